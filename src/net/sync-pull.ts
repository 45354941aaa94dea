/**
 * One session of the pulling side: asks a member what it has, and takes what is missing here. It believes nothing: every frame goes through `Replica.ingestRange`, and two stories of
 * one author are searched for where they part, so that the replica sees the proof.
 */
import { OrchError } from '../core/error.ts'
import { SYNC_BATCH_MAX, SYNC_FORKS_MAX, SYNC_LIST_MAX } from '../core/limit.ts'
import type { Messages } from './message.ts'
import type { ChainHead, ChainId, DocDigest, IngestVerdict, Replica } from './replica.ts'
import {
  chainKey,
  encodeRequest,
  type Range,
  readAnswer,
  type SyncAnswer,
  type SyncRequest,
} from './sync-message.ts'

/** What the sessions of one node share. */
export interface PullBoard {
  readonly replica: Replica
  /** Keeps two sessions from pulling one chain at once. The undo, or `undefined` when another one has it. */
  claim(chain: ChainId): (() => void) | undefined
  /** This head of a chain was refused a short while ago. */
  isRefused(head: ChainHead): boolean
  refuse(head: ChainHead): void
  /** A proof that was judged before. */
  knowsProof(id: string): boolean
  learnProof(id: string): void
}

export interface Pulled {
  /** Everything the other side had when it was asked is here, or was refused for a reason; false: another session is at a part of it. */
  readonly isComplete: boolean
  /** Frames that were new here. */
  readonly frames: number
  /** Wanted ranges that the other side does not have (yet). */
  readonly short: readonly Range[]
  /** What only the other side can be blamed for. */
  readonly fault?: string
}

class Blamed extends Error {}

export class Pull {
  readonly #messages: Messages
  readonly #board: PullBoard
  readonly #forks: ChainHead[] = []
  #isComplete = true
  #frames = 0

  constructor(messages: Messages, board: PullBoard) {
    this.#messages = messages
    this.#board = board
  }

  /**
   * Takes `wants`, and with `full` compares everything.
   *
   * @throws ORCH_PEER_GONE, ORCH_PROTOCOL, and what the replica throws (its disk failed)
   */
  async run(wants: readonly Range[], full: boolean): Promise<Pulled> {
    try {
      await this.#take(
        wants.flatMap(({ chain, to }) => {
          const n = this.#known(chain)?.n ?? 0
          return n < to ? [{ chain, from: n + 1, to }] : []
        }),
      )
      if (full) await this.#compare()
      await this.#messages.end()
    } catch (error) {
      if (!(error instanceof Blamed)) throw error
      this.#messages.abort(error.message)
      return { isComplete: false, frames: this.#frames, short: [], fault: error.message }
    }
    const short = wants.filter((want) => (this.#known(want.chain)?.n ?? 0) < want.to)
    return { isComplete: this.#isComplete, frames: this.#frames, short }
  }

  async #compare(): Promise<void> {
    const { replica } = this.#board
    const theirs = await this.#listDocs(replica.digest())
    if (!theirs) return
    const mine = new Map(replica.docs().map(({ doc, digest }) => [doc, digest]))
    const others = theirs.filter(({ doc, digest }) => mine.get(doc) !== digest).map(({ doc }) => doc)
    for (let at = 0; at < others.length; at += SYNC_BATCH_MAX)
      await this.#takeDocs(others.slice(at, at + SYNC_BATCH_MAX))
    for (const head of this.#forks.splice(0, SYNC_FORKS_MAX)) await this.#findFork(head)
    await this.#takeProofs()
  }

  async #takeDocs(docs: readonly string[]): Promise<void> {
    await this.#ask({ type: 'heads', docs })
    const heads: ChainHead[] = []
    for (let more = true; more; ) {
      const answer = await this.#expect('heads')
      heads.push(...answer.heads)
      more = answer.more
      if (heads.length > SYNC_LIST_MAX) throw malformed(this.#messages.peer)
    }
    const asked = new Set(docs)
    const known = keyed(docs.flatMap((doc) => this.#board.replica.heads(doc)))
    const told = keyed(heads)
    const ranges: Range[] = []
    for (const [key, head] of told) {
      if (!asked.has(head.doc)) throw malformed(this.#messages.peer)
      if (this.#board.isRefused(head)) continue
      const mine = known.get(key)
      const n = mine?.n ?? 0
      if (head.n > n) ranges.push({ chain: chainOf(head), from: n + 1, to: head.n })
      else if (mine && head.n === n && head.head !== mine.head) this.#forks.push(head)
    }
    await this.#take(ranges, told)
  }

  /** `heads`: what the other side said of these chains, to remember what was refused. */
  async #take(ranges: readonly Range[], heads: ReadonlyMap<string, ChainHead> = new Map()): Promise<void> {
    for (let at = 0; at < ranges.length; at += SYNC_BATCH_MAX) {
      const undo: (() => void)[] = []
      try {
        const batch = ranges.slice(at, at + SYNC_BATCH_MAX).filter(({ chain }) => {
          const release = this.#board.claim(chain)
          if (release) undo.push(release)
          else this.#isComplete = false
          return release !== undefined
        })
        if (batch.length > 0) await this.#takeBatch(batch, heads)
      } finally {
        for (const release of undo) release()
      }
    }
  }

  async #takeBatch(batch: readonly Range[], heads: ReadonlyMap<string, ChainHead>): Promise<void> {
    const stopped = new Set<number>()
    await this.#ask({ type: 'ranges', ranges: batch })
    for (;;) {
      const answer = await this.#expect('frames')
      const range = batch[answer.index]
      if (!range) throw malformed(this.#messages.peer)
      if (answer.frames.length > 0 && !stopped.has(answer.index)) {
        const verdict = await this.#board.replica.ingestRange(range.chain, answer.frames)
        if (verdict.type === 'taken') this.#frames += answer.frames.length
        else if (verdict.type !== 'known') {
          stopped.add(answer.index)
          this.#judge(verdict)
          const head = heads.get(chainKey(range.chain))
          if (head) this.#board.refuse(head)
        }
      }
      if (!answer.more) return
    }
  }

  /** The lowest frame that is another one there than here, shown to the replica. */
  async #findFork(head: ChainHead): Promise<void> {
    const { replica } = this.#board
    const chain = chainOf(head)
    let low = 1
    let high = head.n
    let other: Uint8Array | undefined
    while (low <= high) {
      const middle = Math.floor((low + high) / 2)
      const theirs = await this.#frame(chain, middle)
      const mine = await firstOf(replica.range(chain, middle, middle))
      // One of the two was cut meanwhile: the next session sees the new heads.
      if (!theirs || !mine) return
      if (Buffer.compare(theirs, mine) === 0) low = middle + 1
      else {
        other = theirs
        high = middle - 1
      }
    }
    if (other) this.#judge(await replica.ingest(other))
    this.#board.refuse(head)
  }

  async #takeProofs(): Promise<void> {
    await this.#ask({ type: 'proofs' })
    const { ids } = await this.#expect('proofs')
    const known = new Set(ids.filter((id) => this.#board.knowsProof(id)))
    for (const id of ids) {
      if (known.has(id)) continue
      await this.#ask({ type: 'proof', id })
      const pair: Uint8Array[] = []
      for (let more = true; more; ) {
        const answer = await this.#expect('frames')
        pair.push(...answer.frames)
        more = answer.more
        if (pair.length > 2) throw malformed(this.#messages.peer)
      }
      const [a, b] = pair
      if (!a || !b) continue
      const isProof = await this.#board.replica.ingestProof([a, b])
      if (!isProof) throw new Blamed('it told of a double talk that is none')
      this.#board.learnProof(id)
    }
  }

  async #frame(chain: ChainId, n: number): Promise<Uint8Array | undefined> {
    await this.#ask({ type: 'ranges', ranges: [{ chain, from: n, to: n }] })
    let frame: Uint8Array | undefined
    for (let more = true; more; ) {
      const answer = await this.#expect('frames')
      frame ??= answer.frames[0]
      more = answer.more
    }
    return frame
  }

  /** `undefined`: all is the same. */
  async #listDocs(digest: string): Promise<readonly DocDigest[] | undefined> {
    await this.#ask({ type: 'compare', digest })
    const docs: DocDigest[] = []
    for (;;) {
      const answer = await this.#answer()
      if (answer.type === 'same') return undefined
      if (answer.type !== 'docs') throw malformed(this.#messages.peer)
      docs.push(...answer.docs)
      if (!answer.more) return docs
      if (docs.length > SYNC_LIST_MAX) throw malformed(this.#messages.peer)
    }
  }

  #judge(verdict: IngestVerdict): void {
    if (verdict.type === 'rejected' && verdict.blame === 'sender')
      throw new Blamed(`a frame ${verdict.reason}`)
  }

  #known(chain: ChainId): ChainHead | undefined {
    return this.#board.replica
      .heads(chain.doc)
      .find(({ node, incarnation }) => node === chain.node && incarnation === chain.incarnation)
  }

  #ask(request: SyncRequest): Promise<void> {
    return this.#messages.send(encodeRequest(request))
  }

  async #expect<T extends SyncAnswer['type']>(type: T): Promise<Extract<SyncAnswer, { type: T }>> {
    const answer = await this.#answer()
    if (answer.type !== type) throw malformed(this.#messages.peer)
    return answer as Extract<SyncAnswer, { type: T }>
  }

  async #answer(): Promise<SyncAnswer> {
    const bytes = await this.#messages.receive()
    const answer = bytes && readAnswer(bytes)
    if (answer) return answer
    throw bytes
      ? malformed(this.#messages.peer)
      : new OrchError('ORCH_PEER_GONE', `${this.#messages.peer} ended the sync in the middle`, {
          context: { node: this.#messages.peer },
        })
  }
}

function malformed(node: string): OrchError {
  return new OrchError('ORCH_PROTOCOL', `${node} answered a sync with something malformed`, {
    context: { node },
  })
}

function keyed(heads: readonly ChainHead[]): ReadonlyMap<string, ChainHead> {
  return new Map(heads.map((head) => [chainKey(head), head]))
}

function chainOf({ doc, node, incarnation }: ChainId): ChainId {
  return { doc, node, incarnation }
}

async function firstOf<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  for await (const item of items) return item
  return undefined
}
