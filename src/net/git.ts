/**
 * `/orch/git/1`: a message says which repository, a message answers (framing: `message.ts`), then both directions are those of `git upload-pack`. This edge knows no git: `node/`
 * connects the streams with the git edge.
 *
 *     client   fetch <repository id>
 *     server   ok                      and git's protocol, version 2, both ways
 *              no <code> <words>       and the end
 */
import { OrchError } from '../core/error.ts'
import type { NodeId } from '../core/id.ts'
import { GIT_SERVES_MAX, GIT_SERVES_PER_PEER_MAX } from '../core/limit.ts'
import { type Messages, messagesOver } from './message.ts'
import type { Channel, Net, OpenOptions } from './net.ts'

export const GIT_PROTOCOL = '/orch/git/1'

/** Bytes both ways; the git edge has the same shape (`git/duplex.ts`). */
export type GitStream = Omit<Channel, 'peer'>

/** Why a repository is not served, as the other side is told. */
type GitRefusalCode = 'ORCH_NOT_FOUND' | 'ORCH_BACKPRESSURE'

export type GitVerdict =
  | { readonly ok: true; readonly serve: (stream: GitStream) => Promise<void> }
  | { readonly ok: false; readonly code: GitRefusalCode; readonly message: string }

/** Says whether a member may read a repository, and serves it. A throw aborts the stream. */
export type GitServer = (repository: string, peer: NodeId) => Promise<GitVerdict>

export interface GitServeOptions {
  /** Streams at once to one peer; default GIT_SERVES_PER_PEER_MAX. */
  readonly perPeerMax?: number
  /** Streams at once; default GIT_SERVES_MAX. */
  readonly max?: number
}

const LINE_BYTES_MAX = 512
const REQUEST = /^fetch ([0-9a-f]{8,64})$/
const REFUSAL = /^no (ORCH_NOT_FOUND|ORCH_BACKPRESSURE) (.*)$/

/** Answers members. Returns the undo. */
export function serveGitStreams(net: Net, server: GitServer, options: GitServeOptions = {}): () => void {
  const perPeerMax = options.perPeerMax ?? GIT_SERVES_PER_PEER_MAX
  const max = options.max ?? GIT_SERVES_MAX
  const busy = new Map<NodeId, number>()
  let all = 0

  const judge = async (repository: string | undefined, peer: NodeId): Promise<GitVerdict> => {
    if (repository === undefined)
      return { ok: false, code: 'ORCH_NOT_FOUND', message: 'the first line asks for no repository' }
    if (all > max || (busy.get(peer) ?? 0) > perPeerMax)
      return { ok: false, code: 'ORCH_BACKPRESSURE', message: 'too many transfers at once' }
    return server(repository, peer)
  }

  return net.handle(GIT_PROTOCOL, async (channel) => {
    const { peer } = channel
    all += 1
    busy.set(peer, (busy.get(peer) ?? 0) + 1)
    try {
      const messages = messagesOver(channel, { bytesMax: LINE_BYTES_MAX })
      const verdict = await judge(REQUEST.exec(await lineFrom(messages))?.[1], peer)
      if (verdict.ok) {
        await messages.send(Buffer.from('ok'))
        await verdict.serve(streamBehind(channel, messages))
      } else {
        await messages.send(Buffer.from(`no ${verdict.code} ${verdict.message}`))
        await messages.end()
      }
    } finally {
      all -= 1
      const left = (busy.get(peer) ?? 1) - 1
      if (left > 0) busy.set(peer, left)
      else busy.delete(peer)
    }
  })
}

/**
 * A stream to `git upload-pack` of a peer, for one repository.
 *
 * @throws ORCH_NOT_FOUND it has no such repository, ORCH_BACKPRESSURE it serves too many now, ORCH_PROTOCOL, ORCH_PEER_GONE, and what `Net.open` throws
 */
export async function openGitStream(
  net: Net,
  node: NodeId,
  repository: string,
  options: OpenOptions = {},
): Promise<GitStream> {
  const channel = await net.open(node, GIT_PROTOCOL, options)
  const onAbort = (): void => channel.abort('given up')
  options.signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await ask(channel, repository)
  } catch (error) {
    channel.abort('no answer that counts')
    throw error
  } finally {
    options.signal?.removeEventListener('abort', onAbort)
  }
}

async function ask(channel: Channel, repository: string): Promise<GitStream> {
  const messages = messagesOver(channel, { bytesMax: LINE_BYTES_MAX })
  await messages.send(Buffer.from(`fetch ${repository}`))
  const line = await lineFrom(messages)
  if (line === 'ok') return streamBehind(channel, messages)
  const refusal = REFUSAL.exec(line)
  if (!refusal) {
    const words = JSON.stringify(line.slice(0, 40))
    throw new OrchError('ORCH_PROTOCOL', `unexpected answer to a request for a repository: ${words}`)
  }
  const [, code, words] = refusal
  throw new OrchError(code as GitRefusalCode, `${channel.peer} refuses repository ${repository}: ${words}`, {
    context: { node: channel.peer, repository },
  })
}

/** Control characters as spaces: it is shown to people. */
async function lineFrom(messages: Messages): Promise<string> {
  const bytes = await messages.receive()
  if (!bytes) throw new OrchError('ORCH_PEER_GONE', `${messages.peer} ended the stream without a word`)
  return Buffer.from(bytes)
    .toString('utf8')
    .replace(/\p{Cc}+/gu, ' ')
}

function streamBehind(channel: Channel, messages: Messages): GitStream {
  return {
    read: () => messages.rest(),
    write: (bytes) => channel.write(bytes),
    end: () => channel.end(),
    abort: (reason) => channel.abort(reason),
  }
}
