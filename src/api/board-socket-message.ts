/**
 * Messages of the y-websocket protocol: a number that names the kind, then its body.
 *
 *     0 sync       0 state vector: what do I lack? · 1 state: that · 2 update: one change
 *     1 awareness  who looks where: not told here
 *     2 auth       a refusal, in words
 *     3 awareness?
 */
import { createDecoder, readVarUint, readVarUint8Array } from 'lib0/decoding'
import { createEncoder, type Encoder, toUint8Array, writeVarUint, writeVarUint8Array } from 'lib0/encoding'
import { writePermissionDenied } from 'y-protocols/auth'
import { messageYjsSyncStep1, messageYjsSyncStep2, messageYjsUpdate } from 'y-protocols/sync'

const SYNC = 0
const AWARENESS = 1
const AUTH = 2
const QUERY_AWARENESS = 3

export type ViewerMessage =
  | { readonly type: 'ask'; readonly stateVector: Uint8Array }
  | { readonly type: 'update'; readonly update: Uint8Array }
  | { readonly type: 'awareness' }
  | { readonly type: 'awareness-query' }

/** @throws for bytes that are no such message */
export function readViewerMessage(bytes: Uint8Array): ViewerMessage {
  const decoder = createDecoder(bytes)
  const kind = readVarUint(decoder)
  if (kind === AWARENESS) return { type: 'awareness' }
  if (kind === QUERY_AWARENESS) return { type: 'awareness-query' }
  if (kind !== SYNC) throw new Error(`no message of a viewer: ${kind}`)
  const step = readVarUint(decoder)
  const body = readVarUint8Array(decoder)
  if (step === messageYjsSyncStep1) return { type: 'ask', stateVector: body }
  if (step === messageYjsSyncStep2 || step === messageYjsUpdate) return { type: 'update', update: body }
  throw new Error(`no step of the sync: ${step}`)
}

/** The answer to a state vector. */
export function stateMessage(update: Uint8Array): Uint8Array {
  return syncMessage(messageYjsSyncStep2, update)
}

export function updateMessage(update: Uint8Array): Uint8Array {
  return syncMessage(messageYjsUpdate, update)
}

function syncMessage(step: number, update: Uint8Array): Uint8Array {
  return message(SYNC, (encoder) => {
    writeVarUint(encoder, step)
    writeVarUint8Array(encoder, update)
  })
}

/** Nobody is here: the awareness of no client. */
export function nobodyMessage(): Uint8Array {
  return message(AWARENESS, (encoder) => writeVarUint8Array(encoder, Uint8Array.of(0)))
}

export function deniedMessage(words: string): Uint8Array {
  return message(AUTH, (encoder) => writePermissionDenied(encoder, words))
}

function message(kind: number, write: (encoder: Encoder) => void): Uint8Array {
  const encoder = createEncoder()
  writeVarUint(encoder, kind)
  write(encoder)
  return toUint8Array(encoder)
}
