/**
 * CoordStore: where the facts of a board are kept. The core elects, accepts and derives in every backend; a store only keeps what was
 * written, in an order that respects each author's, and tells others.
 *
 * Implementations: `memory.ts` (tests, simulation, several nodes in one process), `file.ts` (one machine), `crdt.ts` (a
 * cluster). All pass `test/store/contract.ts`.
 */
import type { Batch, Collection, Fact } from '../core/fact.ts'
import type { Author, DocId, WallMs } from '../core/id.ts'

export interface FactQuery {
  readonly doc?: DocId
  readonly collection?: Collection
  /** Keys that start with this. */
  readonly prefix?: string
}

/** Answer to a `put`: the commit's number at once, its durability later. */
export interface PutReceipt {
  /** Number of the commit in this incarnation; `0` when every fact of it was there already. */
  readonly n: number
  /** The facts that were absent before, hence written: what the caller applies to its board. */
  readonly written: readonly Fact[]
  /**
   * Resolves when the facts survive a crash of this machine. Rejects with `ORCH_DISK_FULL` or `ORCH_DISK_FAILED`; from then on every
   * `put` of this store rejects alike: what was told before stays, nothing after it is believed.
   */
  readonly durable: Promise<void>
}

export interface CoordStore {
  readonly author: Author
  /**
   * Writes facts under this author, each key once: a key that this incarnation wrote before is left as it was (put-if-absent). One call is one
   * atomic commit: after a crash all of its facts are there, or none. Commits become durable in the order of the calls.
   */
  put(facts: readonly Fact[], at: WallMs): PutReceipt
  /** Everything known, oldest first per author; includes commits that are not durable yet. */
  facts(query?: FactQuery): AsyncIterable<Batch>
  /**
   * Calls back for each batch of another author (or another process life) that arrives after the call. Own batches are not told. Listeners
   * may not throw.
   */
  watch(listener: (batch: Batch) => void): () => void
  /** Waits for what was put, then frees everything. Idempotent. Never rejects because of a write that failed before. */
  close(): Promise<void>
}
