/** Messages of the sync protocol as bytes. Grammar, order and limits: `PROTOCOL.md`. Readers give `undefined` for anything malformed. */
import {
  DOC_BYTES_MAX,
  FRAME_BYTES_MAX,
  PEER_MESSAGE_BYTES_MAX,
  SYNC_BATCH_MAX,
  SYNC_LIST_MAX,
} from '../core/limit.ts'
import type { ChainHead, ChainId, DocDigest } from './replica.ts'
import { readWire, type WireReader, WireWriter } from './wire.ts'

/** Frames `from`..`to` of a chain. */
export interface Range {
  readonly chain: ChainId
  readonly from: number
  readonly to: number
}

export type SyncRequest =
  | { readonly type: 'compare'; readonly digest: string }
  | { readonly type: 'heads'; readonly docs: readonly string[] }
  | { readonly type: 'ranges'; readonly ranges: readonly Range[] }
  | { readonly type: 'proofs' }
  | { readonly type: 'proof'; readonly id: string }

export type SyncAnswer =
  | { readonly type: 'same' }
  | { readonly type: 'docs'; readonly more: boolean; readonly docs: readonly DocDigest[] }
  | { readonly type: 'heads'; readonly more: boolean; readonly heads: readonly ChainHead[] }
  /** Of the range with this place in the request. The last piece is empty. */
  | {
      readonly type: 'frames'
      readonly more: boolean
      readonly index: number
      readonly frames: readonly Uint8Array[]
    }
  /** SHA-256 of both frames, one after the other. */
  | { readonly type: 'proofs'; readonly ids: readonly string[] }
  /** The request is of a later version. */
  | { readonly type: 'unknown' }

const COMPARE = 1
const HEADS_OF = 2
const RANGES = 3
const PROOFS = 4
const PROOF = 5
const SAME = 65
const DOCS = 66
const HEADS = 67
const FRAMES = 68
const PROOF_IDS = 69
const UNKNOWN = 70

const NODE = /^[A-Za-z0-9-]{1,64}$/
const INCARNATION = /^[0-9A-Z]{26}$/
const NODE_BYTES_MAX = 64
const INCARNATION_BYTES = 26

export function encodeRequest(request: SyncRequest): Uint8Array {
  const out = new WireWriter()
  switch (request.type) {
    case 'compare':
      return out.byte(COMPARE).hash(request.digest).finish()
    case 'heads':
      out.byte(HEADS_OF).integer(request.docs.length)
      for (const doc of request.docs) out.text(doc)
      return out.finish()
    case 'ranges':
      out.byte(RANGES).integer(request.ranges.length)
      for (const { chain, from, to } of request.ranges) writeChain(out, chain).integer(from).integer(to)
      return out.finish()
    case 'proofs':
      return out.byte(PROOFS).finish()
    case 'proof':
      return out.byte(PROOF).hash(request.id).finish()
  }
}

/** `unknown`: a kind that this version does not know, to be answered so. */
export function readRequest(bytes: Uint8Array): SyncRequest | { readonly type: 'unknown' } | undefined {
  const kind = bytes[0]
  if (kind !== undefined && (kind < COMPARE || kind > PROOF)) return { type: 'unknown' }
  return readWire(bytes, (input): SyncRequest => {
    switch (input.byte()) {
      case COMPARE:
        return { type: 'compare', digest: input.hash() }
      case HEADS_OF:
        return { type: 'heads', docs: input.list(SYNC_BATCH_MAX, () => readDoc(input)) }
      case RANGES:
        return { type: 'ranges', ranges: input.list(SYNC_BATCH_MAX, () => readRange(input)) }
      case PROOFS:
        return { type: 'proofs' }
      default:
        return { type: 'proof', id: input.hash() }
    }
  })
}

export function encodeAnswer(answer: SyncAnswer): Uint8Array {
  const out = new WireWriter()
  switch (answer.type) {
    case 'same':
      return out.byte(SAME).finish()
    case 'docs':
      out.byte(DOCS).byte(Number(answer.more)).integer(answer.docs.length)
      for (const { doc, digest } of answer.docs) out.text(doc).hash(digest)
      return out.finish()
    case 'heads':
      out.byte(HEADS).byte(Number(answer.more)).integer(answer.heads.length)
      for (const head of answer.heads) writeChain(out, head).integer(head.n).hash(head.head)
      return out.finish()
    case 'frames':
      out.byte(FRAMES).byte(Number(answer.more)).integer(answer.index).integer(answer.frames.length)
      for (const frame of answer.frames) out.bytes(frame)
      return out.finish()
    case 'proofs':
      out.byte(PROOF_IDS).integer(answer.ids.length)
      for (const id of answer.ids) out.hash(id)
      return out.finish()
    case 'unknown':
      return out.byte(UNKNOWN).finish()
  }
}

export function readAnswer(bytes: Uint8Array): SyncAnswer | undefined {
  return readWire(bytes, (input): SyncAnswer => {
    switch (input.byte()) {
      case SAME:
        return { type: 'same' }
      case DOCS:
        return {
          type: 'docs',
          more: readFlag(input),
          docs: input.list(SYNC_LIST_MAX, () => ({ doc: readDoc(input), digest: input.hash() })),
        }
      case HEADS:
        return {
          type: 'heads',
          more: readFlag(input),
          heads: input.list(SYNC_LIST_MAX, () => readHead(input)),
        }
      case FRAMES:
        return {
          type: 'frames',
          more: readFlag(input),
          index: input.integer(),
          frames: input.list(PEER_MESSAGE_BYTES_MAX, () => input.bytes(FRAME_BYTES_MAX)),
        }
      case PROOF_IDS:
        return { type: 'proofs', ids: input.list(SYNC_LIST_MAX, () => input.hash()) }
      case UNKNOWN:
        return { type: 'unknown' }
      default:
        return input.refuse()
    }
  })
}

export function writeChain(out: WireWriter, { doc, node, incarnation }: ChainId): WireWriter {
  return out.text(doc).text(node).text(incarnation)
}

function readChain(input: WireReader): ChainId {
  const doc = readDoc(input)
  const node = input.text(NODE_BYTES_MAX)
  const incarnation = input.text(INCARNATION_BYTES)
  return NODE.test(node) && INCARNATION.test(incarnation) ? { doc, node, incarnation } : input.refuse()
}

export function readHead(input: WireReader): ChainHead {
  return { ...readChain(input), n: input.integer(), head: input.hash() }
}

export function chainKey({ doc, node, incarnation }: ChainId): string {
  return `${incarnation}/${node}/${doc}`
}

function readRange(input: WireReader): Range {
  return { chain: readChain(input), from: input.integer(), to: input.integer() }
}

function readDoc(input: WireReader): string {
  const doc = input.text(DOC_BYTES_MAX)
  return doc === '' ? input.refuse() : doc
}

function readFlag(input: WireReader): boolean {
  const flag = input.byte()
  return flag > 1 ? input.refuse() : flag === 1
}
