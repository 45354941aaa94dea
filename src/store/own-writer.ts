/**
 * Own commits on their way to the disk, as frames. Whatever is put while the disk is busy goes out with the next write: one atomic batch, synced, with one frame for each
 * document (more when it is long), since a signature costs more than what it signs. Frames are made as they go out, so that their order is the order of the disk.
 */
import { OrchError } from '../core/error.ts'
import type { Fact } from '../core/fact.ts'
import type { Author, DocId, WallMs } from '../core/id.ts'
import { JOURNAL_GROUP_BYTES, JOURNAL_QUEUE_BYTES_MAX } from '../core/limit.ts'
import { ChainWriter, type SealedFrame } from './chain-writer.ts'
import type { Signer } from './frame.ts'
import type { FrameDisk } from './frame-disk.ts'
import { createItems, type Items } from './update.ts'

export interface OwnCommit {
  readonly commit: number
  readonly at: WallMs
  readonly parts: readonly CommitItems[]
  readonly bytes: number
}

export interface CommitItems {
  readonly doc: DocId
  readonly pieces: readonly Items[]
}

interface Entry {
  readonly commit: OwnCommit
  readonly resolve: () => void
  readonly reject: (error: OrchError) => void
}

export interface OwnWriterOptions {
  readonly author: Author
  readonly cluster: string
  readonly signer: Signer
  readonly disk: FrameDisk
  /** Frames of one group, in order, once they are on the disk; before any receipt of it resolves. */
  readonly onWritten: (frames: readonly SealedFrame[]) => void
}

export class OwnWriter {
  readonly #options: OwnWriterOptions
  readonly #chains = new Map<DocId, ChainWriter>()
  #queue: Entry[] = []
  #flying: Entry[] = []
  #bytes = 0
  #isScheduled = false
  #isWriting = false
  #failed: OrchError | undefined
  #last: Promise<void> = Promise.resolve()
  #idle: (() => void)[] = []

  constructor(options: OwnWriterOptions) {
    this.#options = options
  }

  get failed(): OrchError | undefined {
    return this.#failed
  }

  /** Resolves when everything appended so far is durable. */
  get durable(): Promise<void> {
    return this.#last
  }

  /**
   * Encodes a commit as it stands. Nothing is written yet.
   *
   * @throws Malformed naming a fact that cannot be on a board
   */
  encode(facts: readonly Fact[], commit: number, at: WallMs): OwnCommit {
    const byDoc = new Map<DocId, Fact[]>()
    for (const fact of facts) {
      const list = byDoc.get(fact.doc)
      if (list) list.push(fact)
      else byDoc.set(fact.doc, [fact])
    }
    const { author } = this.#options
    const parts = [...byDoc].map(([doc, list]) => ({ doc, pieces: createItems(list, author) }))
    let size = 0
    for (const { pieces } of parts) for (const { bytes } of pieces) size += bytes.length
    return { commit, at, parts, bytes: size }
  }

  /** @throws ORCH_BACKPRESSURE too much waits for the disk */
  append(commit: OwnCommit): Promise<void> {
    if (this.#bytes > JOURNAL_QUEUE_BYTES_MAX)
      throw new OrchError('ORCH_BACKPRESSURE', `${this.#bytes} bytes of facts wait for the disk`, {
        context: { bytes: this.#bytes },
      })
    this.#bytes += commit.bytes
    this.#last = new Promise<void>((resolve, reject) => {
      this.#queue.push({ commit, resolve, reject })
    })
    // Who does not look at a receipt must not bring the process down: every later put tells the same.
    this.#last.catch(() => {})
    if (!this.#isWriting && !this.#isScheduled) this.#schedule()
    return this.#last
  }

  /** Commits that are not on the disk yet, oldest first. */
  pending(): OwnCommit[] {
    return [...this.#flying, ...this.#queue].map(({ commit }) => commit)
  }

  /** A document that is written to no more. */
  forget(doc: DocId): void {
    this.#chains.delete(doc)
  }

  /** Nothing after this is written: what waits, and every later commit, rejects. */
  fail(error: OrchError): void {
    if (this.#failed) return
    this.#failed = error
    const entries = [...this.#flying, ...this.#queue]
    this.#flying = []
    this.#queue = []
    this.#bytes = 0
    for (const { reject } of entries) reject(error)
    this.#wake()
  }

  /** Waits until nothing is on its way; never rejects. */
  async idle(): Promise<void> {
    while (this.#isWriting || this.#queue.length > 0)
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve)
      })
  }

  #wake(): void {
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }

  #chain(doc: DocId): ChainWriter {
    let chain = this.#chains.get(doc)
    if (!chain) {
      const { author, cluster, signer } = this.#options
      chain = new ChainWriter({ author, cluster, doc, signer })
      this.#chains.set(doc, chain)
    }
    return chain
  }

  #schedule(): void {
    this.#isScheduled = true
    // After the promise jobs of this turn: commits of several workers that one event woke go out together.
    process.nextTick(() => {
      this.#isScheduled = false
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    if (this.#isWriting || this.#failed) return
    const group = this.#takeGroup()
    if (group.length === 0) return
    this.#isWriting = true
    this.#flying = group
    try {
      const sealed = this.#seal(group)
      await this.#options.disk.write(
        sealed.map(({ frame }) => ({ type: 'frame', chain: frame, n: frame.n, frame: frame.bytes })),
        { sync: true },
      )
      if (!this.#failed) {
        this.#flying = []
        for (const { commit } of group) this.#bytes -= commit.bytes
        this.#options.onWritten(sealed)
        for (const { resolve } of group) resolve()
      }
    } catch (error) {
      this.fail(
        error instanceof OrchError
          ? error
          : new OrchError('ORCH_BUG', `own facts were not written: ${(error as Error).message}`, {
              cause: error,
            }),
      )
    }
    this.#isWriting = false
    if (this.#queue.length > 0) {
      this.#isScheduled = true
      // Behind the jobs of those who waited for this group: what they put next joins the group that goes out now.
      queueMicrotask(() => this.#schedule())
    } else this.#wake()
  }

  #takeGroup(): Entry[] {
    let bytes = 0
    let count = 0
    for (const { commit } of this.#queue) {
      bytes += commit.bytes
      if (count > 0 && bytes > JOURNAL_GROUP_BYTES) break
      count++
    }
    return this.#queue.splice(0, count)
  }

  #seal(group: readonly Entry[]): SealedFrame[] {
    const sealed: SealedFrame[] = []
    const touched = new Set<ChainWriter>()
    for (const { commit } of group) {
      for (const { doc, pieces } of commit.parts) {
        const chain = this.#chain(doc)
        touched.add(chain)
        for (const items of pieces) {
          const frame = chain.add(commit.commit, commit.at, items)
          if (frame) sealed.push(frame)
        }
      }
    }
    for (const chain of touched) {
      const frame = chain.end()
      if (frame) sealed.push(frame)
    }
    return sealed
  }
}
