/** One own chain as it is written: pieces of commits become frames, small ones are joined. The same pieces make the same frames. */
import type { Author, DocId, WallMs } from '../core/id.ts'
import { FRAME_FACTS_MAX, GOSSIP_BYTES_MAX } from '../core/limit.ts'
import {
  type CommitPart,
  createFrame,
  FRAME_HEAD_BYTES_MAX,
  type Frame,
  hashFrame,
  NO_HASH,
  type Signer,
} from './frame.ts'
import { createUpdate, type Items } from './update.ts'

export interface SealedFrame {
  readonly frame: Frame
  /** Its hash. */
  readonly head: string
}

/** Joined frames stay short enough for gossip; each commit takes up to 20 bytes of a header. */
const JOINED_BYTES_MAX = GOSSIP_BYTES_MAX - FRAME_HEAD_BYTES_MAX
const COMMIT_BYTES = 20

export interface ChainWriterOptions {
  readonly cluster: string
  readonly author: Author
  readonly doc: DocId
  readonly signer: Signer
}

export class ChainWriter {
  readonly #options: ChainWriterOptions
  #n = 0
  #head = NO_HASH
  #clock = 0
  #commits: CommitPart[] = []
  #pieces: Items[] = []
  #facts = 0
  #bytes = 0

  constructor(options: ChainWriterOptions) {
    this.#options = options
  }

  /** Takes the next piece; gives the frame before it when it does not fit in there. */
  add(n: number, at: WallMs, items: Items): SealedFrame | undefined {
    const bytes = items.bytes.length + COMMIT_BYTES
    const isFull = this.#facts + items.facts > FRAME_FACTS_MAX || this.#bytes + bytes > JOINED_BYTES_MAX
    const sealed = isFull || this.#commits.at(-1)?.n === n ? this.end() : undefined
    this.#commits.push({ n, at, facts: items.facts })
    this.#pieces.push(items)
    this.#facts += items.facts
    this.#bytes += bytes
    return sealed
  }

  /** The frame of what was added and is in none yet. */
  end(): SealedFrame | undefined {
    if (this.#pieces.length === 0) return undefined
    const { cluster, author, doc, signer } = this.#options
    const frame = createFrame(
      { cluster, doc, ...author, n: this.#n + 1, prev: this.#head, commits: this.#commits },
      createUpdate(this.#pieces, author, this.#clock),
      signer,
    )
    this.#n++
    this.#head = hashFrame(frame.bytes)
    this.#clock += this.#facts
    this.#commits = []
    this.#pieces = []
    this.#facts = 0
    this.#bytes = 0
    return { frame, head: this.#head }
  }
}
