/** Messages of the board's topic as bytes. Grammar: `PROTOCOL.md`. */
import { FRAME_BYTES_MAX } from '../core/limit.ts'
import type { ChainHead } from './replica.ts'
import { readHead, writeChain } from './sync-message.ts'
import { readWire, WireWriter } from './wire.ts'

export type GossipMessage =
  | { readonly type: 'frame'; readonly frame: Uint8Array }
  /** A frame too long for gossip is there to be pulled. */
  | { readonly type: 'announce'; readonly head: ChainHead }
  /** Of a later version: neither understood nor wrong. */
  | { readonly type: 'unknown' }

const VERSION = 1
const FRAME = 1
const ANNOUNCE = 2

export function encodeFrame(frame: Uint8Array): Uint8Array {
  return new WireWriter().byte(VERSION).byte(FRAME).raw(frame).finish()
}

export function encodeAnnounce(head: ChainHead): Uint8Array {
  const out = new WireWriter().byte(VERSION).byte(ANNOUNCE)
  return writeChain(out, head).integer(head.n).hash(head.head).finish()
}

/** `undefined` when it is malformed. */
export function readGossip(bytes: Uint8Array): GossipMessage | undefined {
  const [version, kind] = bytes
  if (version === undefined || kind === undefined || version === 0) return undefined
  if (version !== VERSION || (kind !== FRAME && kind !== ANNOUNCE)) return { type: 'unknown' }
  if (kind === FRAME) {
    const frame = bytes.slice(2)
    return frame.length > 0 && frame.length <= FRAME_BYTES_MAX ? { type: 'frame', frame } : undefined
  }
  const head = readWire(bytes.subarray(2), readHead)
  return head && head.n > 0 ? { type: 'announce', head } : undefined
}
