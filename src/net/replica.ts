/**
 * What anti-entropy and gossip need of a replicated store. The store has it, `node/assemble.ts` connects the two: neither edge imports the other.
 *
 * A chain is what one incarnation of one node wrote to one document: frames 1, 2, 3 … without gaps, each signed and naming the hash of the one before. A frame is
 * opaque here.
 */
import type { DocId, Incarnation, NodeId } from '../core/id.ts'

export interface ChainId {
  readonly doc: DocId
  readonly node: NodeId
  readonly incarnation: Incarnation
}

/** How far a chain is known: frames 1..n, and the hash of frame n (SHA-256, 64 hex digits). */
export interface ChainHead extends ChainId {
  readonly n: number
  readonly head: string
}

/** Digest of what is known of one document: equal digests = equal frames. */
export interface DocDigest {
  readonly doc: DocId
  /** SHA-256 over the sorted chain heads, 64 hex digits. */
  readonly digest: string
}

export type IngestVerdict =
  /** New, kept, and told to the watchers. */
  | { readonly type: 'taken' }
  | { readonly type: 'known' }
  /** Frames before it are missing: pull `from`..`to` of the chain. It is parked within bounds, or dropped; nothing is lost, its author has it. */
  | { readonly type: 'gap'; readonly chain: ChainId; readonly from: number; readonly to: number }
  /** Not for this node now: a document that is archived or not allowed. No fault of the sender. */
  | { readonly type: 'unwanted'; readonly reason: string }
  /** Provably wrong, by the frame and its chain alone. `sender`: only who handed it on can be blamed (bytes that no author signed). */
  | { readonly type: 'rejected'; readonly reason: string; readonly blame: 'author' | 'sender' }

export interface Replica {
  /** SHA-256 over all `DocDigest`s, 64 hex digits. */
  digest(): string
  docs(): readonly DocDigest[]
  /** The chains of a document. */
  heads(doc: DocId): readonly ChainHead[]
  /** Frames `from`..`to` of a chain as they were signed, in order; ends early where this store knows no more. */
  range(chain: ChainId, from: number, to: number): AsyncIterable<Uint8Array>
  /** Whose frame these bytes say they are; nothing is checked. */
  authorOf(frame: Uint8Array): NodeId | undefined
  /** One frame from gossip or a direct stream: checked whole, signature included. */
  ingest(frame: Uint8Array): Promise<IngestVerdict>
  /**
   * Frames of one chain in order, as `range` gave them elsewhere: checked by their chain of hashes, and the signature of the last one only. Stops at the first frame that is
   * not taken or known and returns its verdict; what came before it is kept.
   */
  ingestRange(chain: ChainId, frames: readonly Uint8Array[]): Promise<IngestVerdict>
  /** Two frames that one author signed for one place: tells others of his double talk. At most one pair a chain. */
  proofs(): readonly (readonly [Uint8Array, Uint8Array])[]
  /** Takes such a pair; false when it proves nothing. */
  ingestProof(pair: readonly [Uint8Array, Uint8Array]): Promise<boolean>
  /** Own frames, once they are on this disk: to be published, with their place in the chain. Returns the undo. */
  onOwnFrame(listener: (frame: Uint8Array, head: ChainHead) => void): () => void
}
