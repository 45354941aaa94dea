/**
 * Asks a peer's `git upload-pack` for objects: the client's half of git's protocol, version 2, one question and one answer. No git program takes part, so no URL, no
 * transport helper and no configuration stands between the peer and the quarantine.
 */
import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { type Duplex, type StreamBounds, within } from './duplex.ts'
import type { ObjectFormat } from './object.ts'
import { DELIM, FLUSH, type Packet, packet, readPackets } from './pkt-line.ts'
import { assertOid } from './ref.ts'

export interface PackRequest {
  readonly format: ObjectFormat
  readonly wants: readonly Oid[]
  /** Commits that are here with all that is behind them. The peer leaves out what they reach, as far as it knows them. */
  readonly haves: readonly Oid[]
}

/** Progress and errors of the other side, as text; it is the peer's, so it is cut. */
const WORDS_MAX = 300

/**
 * Bytes of the pack, as they come; it ends with the answer. `pieces`: what the peer says.
 *
 * @throws ORCH_NOT_FOUND (`context.missing`) when the peer lacks a wanted commit, ORCH_PROTOCOL, ORCH_PEER_GONE, ORCH_GIT_FAILED in the peer's words
 */
export async function* requestPack(
  duplex: Duplex,
  pieces: AsyncIterable<Uint8Array>,
  request: PackRequest,
  bounds: StreamBounds,
): AsyncGenerator<Buffer, void> {
  const packets = readPackets(pieces)
  await readGreeting(packets, request.format)
  await within(duplex.write(question(request)), bounds)
  if ((await nextText(packets)) !== 'packfile') throw odd('no pack follows')
  let isWhole = false
  for await (const next of packets) {
    if (isWhole) throw odd('more after the pack')
    if (next === 'flush') {
      isWhole = true
      // The other side ends too when it hears this: read until then, so that the stream closes by itself.
      await within(duplex.end(), bounds)
      continue
    }
    if (typeof next === 'string') throw odd(`${next} inside of the pack`)
    const band = next[0]
    if (band === 1) {
      if (next.length > 1) yield next.subarray(1)
    } else if (band === 3) {
      throw refused(next.toString('utf8', 1))
    } else if (band !== 2) {
      throw refusal(next) ?? odd(`band ${band}`)
    }
  }
  if (!isWhole) throw new OrchError('ORCH_PEER_GONE', 'the peer stopped before the pack was whole')
}

function question({ format, wants, haves }: PackRequest): Buffer {
  for (const oid of [...wants, ...haves]) assertOid(oid)
  return Buffer.concat([
    packet('command=fetch\n'),
    packet(`object-format=${format}\n`),
    DELIM,
    packet('thin-pack\n'),
    packet('no-progress\n'),
    packet('ofs-delta\n'),
    ...wants.map((oid) => packet(`want ${oid}\n`)),
    ...haves.map((oid) => packet(`have ${oid}\n`)),
    packet('done\n'),
    FLUSH,
  ])
}

async function readGreeting(packets: AsyncGenerator<Packet, void>, format: ObjectFormat): Promise<void> {
  if ((await nextText(packets)) !== 'version 2') throw odd('not version 2')
  let theirs = 'sha1'
  let canFetch = false
  for (;;) {
    const line = await nextText(packets)
    if (line === undefined) break
    if (line.startsWith('object-format=')) theirs = line.slice('object-format='.length)
    if (line === 'fetch' || line.startsWith('fetch=')) canFetch = true
  }
  if (!canFetch) throw odd('it serves no objects')
  if (theirs !== format) throw odd(`its objects are named by ${theirs.slice(0, 20)}, ours by ${format}`)
}

/** One line; `undefined` for a flush. */
async function nextText(packets: AsyncGenerator<Packet, void>): Promise<string | undefined> {
  // Not `for await`: the rest is read later.
  const next = await packets.next()
  if (next.done) throw new OrchError('ORCH_PEER_GONE', 'the peer ended the conversation')
  if (next.value === 'flush') return undefined
  if (typeof next.value === 'string') throw odd(next.value)
  const error = refusal(next.value)
  if (error) throw error
  return next.value.toString('utf8').replace(/\n$/, '')
}

function refusal(bytes: Buffer): OrchError | undefined {
  return bytes.toString('latin1', 0, 4) === 'ERR ' ? refused(bytes.toString('utf8', 4)) : undefined
}

function refused(text: string): OrchError {
  const missing = /not our ref ([0-9a-f]{40,64})\b/.exec(text)?.[1]
  if (missing !== undefined) {
    return new OrchError('ORCH_NOT_FOUND', `the peer has no commit ${missing}`, { context: { missing } })
  }
  return new OrchError('ORCH_GIT_FAILED', `git of the peer says: ${plainWords(text)}`)
}

function odd(what: string): OrchError {
  return new OrchError('ORCH_PROTOCOL', `unexpected answer to a request for git objects: ${what}`)
}

function plainWords(text: string): string {
  return text
    .slice(0, WORDS_MAX)
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
}
