/**
 * Disk in memory, for tests and simulation: keeps its frames over process lives, loses what was not synced when the machine crashes, and can be slow or full. No timers.
 */
import { assert, OrchError } from '../core/error.ts'
import type { DocId } from '../core/id.ts'
import { JOURNAL_READ_BYTES } from '../core/limit.ts'
import { diskFault } from './durable-file.ts'
import type { ChainId } from './frame.ts'
import {
  chainKey,
  type DiskChange,
  damagedRecord,
  type FrameDisk,
  type ProofPair,
  type StoredFrame,
  type StoredProof,
} from './frame-disk.ts'

export interface MemoryDiskOptions {
  /** Called before each write; one that rejects (with an errno) fails it. */
  readonly beforeWrite?: (changes: readonly DiskChange[], sync: boolean) => Promise<void> | void
}

/** The medium; `open` is one process life over it. */
export interface MemoryDisk {
  /** @throws ORCH_LOCKED while it is open */
  open(options?: MemoryDiskOptions): FrameDisk
  /** The machine stops: what was not synced is gone, and whoever has it open can do nothing any more. */
  crash(): void
  /** Changes the bytes of one frame behind everybody's back; `undefined` makes its record unreadable. */
  damage(chain: ChainId, n: number, frame: Uint8Array | undefined): void
  /** Frames of a chain that were cut off. */
  evidence(chain: ChainId): readonly Uint8Array[]
}

interface Kept {
  readonly id: ChainId
  readonly frames: Map<number, Uint8Array | undefined>
  readonly evidence: Map<number, Uint8Array>
  proof: ProofPair | undefined
}

export function createMemoryDisk(): MemoryDisk {
  return new Medium()
}

class Medium implements MemoryDisk {
  readonly chains = new Map<string, Kept>()
  /** Takes back what was not synced, newest last. */
  undo: (() => void)[] = []
  handle: Handle | undefined

  open(options: MemoryDiskOptions = {}): FrameDisk {
    if (this.handle) throw new OrchError('ORCH_LOCKED', 'this memory disk is open already')
    this.handle = new Handle(this, options)
    return this.handle
  }

  crash(): void {
    for (const undo of this.undo.reverse()) undo()
    this.undo = []
    this.handle = undefined
  }

  damage(chain: ChainId, n: number, frame: Uint8Array | undefined): void {
    this.kept(chain).frames.set(n, frame)
  }

  evidence(chain: ChainId): readonly Uint8Array[] {
    return [...this.kept(chain).evidence].sort(([a], [b]) => a - b).map(([, frame]) => frame)
  }

  kept(id: ChainId): Kept {
    const key = chainKey(id)
    let kept = this.chains.get(key)
    if (!kept) {
      const { doc, node, incarnation } = id
      kept = {
        id: { doc, node, incarnation },
        frames: new Map(),
        evidence: new Map(),
        proof: undefined,
      }
      this.chains.set(key, kept)
    }
    return kept
  }

  apply(change: DiskChange): void {
    const kept = this.kept(change.chain)
    switch (change.type) {
      case 'frame':
        this.#set(kept.frames, change.n, change.frame)
        break
      case 'proof': {
        const before = kept.proof
        this.undo.push(() => {
          kept.proof = before
        })
        kept.proof = change.pair
        break
      }
      case 'cut':
        for (const [n, frame] of [...kept.frames]) {
          if (n < change.from) continue
          this.undo.push(() => kept.frames.set(n, frame))
          kept.frames.delete(n)
          if (frame) this.#set(kept.evidence, n, frame)
        }
    }
  }

  #set<V>(map: Map<number, V>, n: number, value: V): void {
    const had = map.has(n)
    const before = map.get(n)
    this.undo.push(() => {
      if (had) map.set(n, before as V)
      else map.delete(n)
    })
    map.set(n, value)
  }
}

class Handle implements FrameDisk {
  readonly #medium: Medium
  readonly #beforeWrite: MemoryDiskOptions['beforeWrite']
  #failed: OrchError | undefined
  #isClosed = false

  constructor(medium: Medium, options: MemoryDiskOptions) {
    this.#medium = medium
    this.#beforeWrite = options.beforeWrite
  }

  async *scan(): AsyncGenerator<readonly StoredFrame[]> {
    this.#check()
    for (const [, { id, frames }] of [...this.#medium.chains].sort(([a], [b]) => (a < b ? -1 : 1))) {
      yield [...frames]
        .sort(([a], [b]) => a - b)
        .map(([n, frame]) => (frame ? { chain: id, n, frame } : { chain: id, n }))
    }
  }

  async proofs(): Promise<readonly StoredProof[]> {
    this.#check()
    return [...this.#medium.chains.values()].flatMap(({ id, proof }) =>
      proof ? [{ chain: id, pair: proof }] : [],
    )
  }

  async *read(chain: ChainId, from: number, to: number): AsyncGenerator<readonly Uint8Array[]> {
    this.#check()
    const frames = this.#medium.chains.get(chainKey(chain))?.frames
    let piece: Uint8Array[] = []
    let bytes = 0
    for (let n = from; n <= to && frames?.has(n); n++) {
      const frame = frames.get(n)
      if (!frame) throw damagedRecord('the memory disk', chain, n)
      piece.push(frame)
      bytes += frame.length
      if (bytes < JOURNAL_READ_BYTES) continue
      yield piece
      piece = []
      bytes = 0
    }
    if (piece.length > 0) yield piece
  }

  async write(changes: readonly DiskChange[], { sync }: { readonly sync: boolean }): Promise<void> {
    this.#check()
    if (this.#failed) throw this.#failed
    try {
      await this.#beforeWrite?.(changes, sync)
    } catch (cause) {
      this.#failed ??= diskFault('the memory disk', cause)
      throw this.#failed
    }
    this.#check()
    for (const change of changes) this.#medium.apply(change)
    if (sync) this.#medium.undo = []
  }

  async drop(doc: DocId): Promise<void> {
    this.#check()
    for (const [key, { id }] of [...this.#medium.chains]) if (id.doc === doc) this.#medium.chains.delete(key)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#medium.handle === this) this.#medium.handle = undefined
  }

  #check(): void {
    assert(!this.#isClosed, 'use of a memory disk after its close')
    if (this.#medium.handle !== this) throw diskFault('the memory disk', new Error('the machine stopped'))
  }
}
