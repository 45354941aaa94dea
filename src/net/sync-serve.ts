/** The answering side of a sync: reads from the replica and changes nothing. */
import { createHash } from 'node:crypto'
import { OrchError } from '../core/error.ts'
import { FRAME_BYTES_MAX, SYNC_IDLE_MS_MAX, SYNC_PIECE_BYTES } from '../core/limit.ts'
import type { Messages } from './message.ts'
import type { Replica } from './replica.ts'
import { encodeAnswer, type Range, readRequest, type SyncAnswer } from './sync-message.ts'

/** Documents or heads of one piece: at most 400 bytes each. */
const PIECE_ITEMS_MAX = Math.floor(SYNC_PIECE_BYTES / 400)

/** Answers until the other side ends. Throws when the stream breaks or what comes is no request. */
export async function serveSync(messages: Messages, replica: Replica): Promise<void> {
  const answer = (message: SyncAnswer): Promise<void> => messages.send(encodeAnswer(message))
  for (;;) {
    // Whoever pulls writes what it got before it asks on.
    const bytes = await messages.receive(SYNC_IDLE_MS_MAX)
    if (!bytes) break
    const request = readRequest(bytes)
    switch (request?.type) {
      case 'compare':
        if (request.digest === replica.digest()) await answer({ type: 'same' })
        else
          for (const { more, items } of pieces(replica.docs()))
            await answer({ type: 'docs', more, docs: items })
        break
      case 'heads': {
        const heads = request.docs.flatMap((doc) => replica.heads(doc))
        for (const { more, items } of pieces(heads)) await answer({ type: 'heads', more, heads: items })
        break
      }
      case 'ranges':
        for (const [index, range] of request.ranges.entries()) await sendRange(replica, index, range, answer)
        await answer({ type: 'frames', more: false, index: 0, frames: [] })
        break
      case 'proofs':
        await answer({ type: 'proofs', ids: replica.proofs().map(proofId) })
        break
      case 'proof': {
        const pair = replica.proofs().find((each) => proofId(each) === request.id)
        for (const frame of pair ?? [])
          await answer({ type: 'frames', more: true, index: 0, frames: [frame] })
        await answer({ type: 'frames', more: false, index: 0, frames: [] })
        break
      }
      case 'unknown':
        await answer({ type: 'unknown' })
        break
      case undefined:
        throw new OrchError('ORCH_PROTOCOL', `${messages.peer} asked for something malformed`, {
          context: { node: messages.peer },
        })
    }
  }
  await messages.end()
}

/** Names a pair of frames: SHA-256 of both. */
function proofId([a, b]: readonly [Uint8Array, Uint8Array]): string {
  return createHash('sha256').update(a).update(b).digest('hex')
}

async function sendRange(
  replica: Replica,
  index: number,
  { chain, from, to }: Range,
  answer: (message: SyncAnswer) => Promise<void>,
): Promise<void> {
  let frames: Uint8Array[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    if (frames.length > 0) await answer({ type: 'frames', more: true, index, frames })
    frames = []
    bytes = 0
  }
  for await (const frame of replica.range(chain, from, to)) {
    if (frame.length > FRAME_BYTES_MAX) break
    if (bytes + frame.length > SYNC_PIECE_BYTES) await flush()
    frames.push(frame)
    bytes += frame.length
  }
  await flush()
}

function* pieces<T>(all: readonly T[]): Generator<{ more: boolean; items: readonly T[] }> {
  for (let at = 0; ; at += PIECE_ITEMS_MAX) {
    const more = at + PIECE_ITEMS_MAX < all.length
    yield { more, items: all.slice(at, at + PIECE_ITEMS_MAX) }
    if (!more) return
  }
}
