/**
 * Where frames are kept. Implementations: `level-disk.ts`, `memory-disk.ts` (tests, simulation). A disk knows nothing of what a frame means, except by whom and which it is.
 */
import { OrchError } from '../core/error.ts'
import type { DocId } from '../core/id.ts'
import type { ChainId } from './frame.ts'

export interface StoredFrame {
  readonly chain: ChainId
  readonly n: number
  /** Absent when the record is damaged. */
  readonly frame?: Uint8Array
}

/** Two frames that one author signed and that cannot both be of one chain. */
export type ProofPair = readonly [Uint8Array, Uint8Array]

export interface StoredProof {
  readonly chain: ChainId
  readonly pair: ProofPair
}

export type DiskChange =
  | { readonly type: 'frame'; readonly chain: ChainId; readonly n: number; readonly frame: Uint8Array }
  | { readonly type: 'proof'; readonly chain: ChainId; readonly pair: ProofPair }
  /** Frames `from` and later are no longer of the chain; they stay beside as evidence. */
  | { readonly type: 'cut'; readonly chain: ChainId; readonly from: number }

export interface FrameDisk {
  /** Every frame, by chain and number, in bounded pieces. */
  scan(): AsyncIterable<readonly StoredFrame[]>
  proofs(): Promise<readonly StoredProof[]>
  /**
   * Frames `from`..`to` of a chain, in order, in bounded pieces; ends early where one is missing.
   *
   * @throws ORCH_STORE_CORRUPT a record is damaged
   */
  read(chain: ChainId, from: number, to: number): AsyncIterable<readonly Uint8Array[]>
  /**
   * All of the changes or none. With `sync` they, and all that was written before, survive a crash of the machine once it resolves; without, a crash of the process. Writes that
   * are waited for come in their order.
   *
   * @throws ORCH_DISK_FULL, ORCH_DISK_FAILED; from then on every write rejects alike
   */
  write(changes: readonly DiskChange[], options: { readonly sync: boolean }): Promise<void>
  /** Removes all of a document: frames, evidence, proofs. Finished at the next open when a crash comes in between. */
  drop(doc: DocId): Promise<void>
  /** Idempotent. */
  close(): Promise<void>
}

export function chainKey(chain: ChainId): string {
  return `${encodeURIComponent(chain.doc)}/${chain.node}/${chain.incarnation}`
}

export function damagedRecord(path: string, chain: ChainId, n: number): OrchError {
  return new OrchError(
    'ORCH_STORE_CORRUPT',
    `${path}: frame ${n} of ${chainKey(chain)} was damaged while it was open`,
    { context: { path, ...chain, n } },
  )
}
