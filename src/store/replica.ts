/**
 * The replicated store as anti-entropy and gossip see it (contract: net/replica.ts): takes frames of anybody, believes what is signed, chained and guarded, and gives it on.
 *
 *     frame ──▶ decode ──▶ wanted? ──▶ place in its chain ──▶ signature ──▶ guard ──▶ disk ──▶ watchers
 *                                       │ known  │ gap: parked     │ other frame there: proof, chain cut
 *
 * One frame is dealt with at a time, in the order of the calls. No clock, timer or randomness: a simulation runs it as it is.
 */
import { type Author, type DocId, isSameAuthor, type NodeId } from '../core/id.ts'
import { CHAINS_MAX, PARKED_BYTES_MAX, PROOFS_TOLD_MAX } from '../core/limit.ts'
import {
  type Chain,
  type ChainExtent,
  type Chains,
  type DocExtent,
  idOf,
  type LoadedChains,
  lastCommit,
  type ReplicaReport,
} from './chain.ts'
import { readClock, readKeys, readOne } from './chain-reader.ts'
import type { SealedFrame } from './chain-writer.ts'
import {
  type ChainId,
  type Frame,
  hashFrame,
  isSameBytes,
  isSigned,
  NO_HASH,
  readFrame,
  type Verify,
} from './frame.ts'
import type { FrameDisk, ProofPair } from './frame-disk.ts'
import { IngestQueue } from './ingest-queue.ts'
import { linkFrames } from './link.ts'
import { Listeners } from './listeners.ts'
import { Parking } from './parking.ts'
import { proofOf, readProof } from './proof.ts'
import { ENDED, type FrameVerdict, KNOWN, rejected, TAKEN, unwanted } from './verdict.ts'

export interface ReplicaOptions {
  readonly disk: FrameDisk
  readonly loaded: LoadedChains
  /** Who writes here: its chains grow by `record` only. */
  readonly author: Author
  readonly cluster: string
  readonly verify: Verify
  /** False for documents that this node does not keep now, say archived ones. */
  readonly isWanted: (doc: DocId) => boolean
  readonly onReport: (report: ReplicaReport) => void
  /** The chains of this incarnation do not count any more: nothing can be written under it. */
  readonly onDisowned: () => void
}

/** Where an own frame stands: what is announced of it. */
type OwnHead = ChainId & { readonly n: number; readonly head: string }

export class FrameReplica {
  readonly #options: ReplicaOptions
  readonly #chains: Chains
  readonly #proofs: Map<Chain, ProofPair>
  readonly #parking = new Parking()
  readonly #watchers = new Listeners<Frame>()
  readonly #ownListeners = new Listeners<readonly [Uint8Array, OwnHead]>()
  readonly #cutListeners = new Listeners<ChainId>()
  /** Documents that were dropped: this incarnation writes no more to them, its own frames come back like any other's. */
  readonly #dropped = new Set<DocId>()
  readonly #queue = new IngestQueue()
  #refusedBytes = 0
  #isCloned = false

  constructor(options: ReplicaOptions) {
    this.#options = options
    this.#chains = options.loaded.chains
    this.#proofs = new Map(options.loaded.proofs)
  }

  digest(): string {
    return this.#chains.digest()
  }

  docs(): readonly DocExtent[] {
    return this.#chains.docs()
  }

  heads(doc: DocId): readonly ChainExtent[] {
    return this.#chains.heads(doc)
  }

  async *range(id: ChainId, from: number, to: number): AsyncGenerator<Uint8Array> {
    const last = Math.min(to, this.#chains.find(id)?.n ?? 0)
    for await (const frames of this.#options.disk.read(id, Math.max(1, from), last)) yield* frames
  }

  authorOf(bytes: Uint8Array): NodeId | undefined {
    const reading = readFrame(bytes)
    return reading.ok ? reading.frame.node : undefined
  }

  ingest(bytes: Uint8Array): Promise<FrameVerdict> {
    return this.#enter(bytes.length, async () => {
      const reading = this.#open(bytes)
      if ('type' in reading) return reading
      const verdict = await this.#place(reading, false)
      if (verdict.type === 'taken') await this.#unpark(this.#chains.take(reading))
      return verdict
    })
  }

  ingestRange(id: ChainId, list: readonly Uint8Array[]): Promise<FrameVerdict> {
    const bytes = list.reduce((sum, frame) => sum + frame.length, 0)
    return this.#enter(bytes, () => this.#ingestRange(id, list))
  }

  proofs(): readonly ProofPair[] {
    const told = new Map<string, number>()
    const pairs: ProofPair[] = []
    for (const [{ node }, pair] of this.#proofs) {
      const count = (told.get(node) ?? 0) + 1
      told.set(node, count)
      if (count <= PROOFS_TOLD_MAX) pairs.push(pair)
    }
    return pairs
  }

  ingestProof(pair: ProofPair): Promise<boolean> {
    return this.#queue.add(0, async () => {
      const proof = readProof(pair, this.#options.verify)
      if (!proof || proof.frame.cluster !== this.#options.cluster) return false
      if (this.#options.isWanted(proof.frame.doc) && this.#hasRoom(proof.frame))
        await this.#convict(this.#chains.take(proof.frame), proof.pair, proof.cut)
      return true
    })
  }

  onOwnFrame(listener: (frame: Uint8Array, head: OwnHead) => void): () => void {
    return this.#ownListeners.add(([frame, head]) => listener(frame, head))
  }

  /** Foreign frames that are believed from now on, in the order of their chains, each once. Listeners may not throw. */
  onFrame(listener: (frame: Frame) => void): () => void {
    return this.#watchers.add(listener)
  }

  /** Facts that were told do not count: the end of this chain is gone. What holds is read anew. */
  onCut(listener: (chain: ChainId) => void): () => void {
    return this.#cutListeners.add(listener)
  }

  /** Own frames that are on the disk now. */
  record(frames: readonly SealedFrame[]): void {
    const told: (readonly [Uint8Array, OwnHead])[] = []
    for (const { frame, head } of frames) {
      const chain = this.#chains.take(frame)
      // Cut while they were on their way.
      if (chain.cut !== undefined || this.#dropped.has(frame.doc)) continue
      this.#chains.append(chain, frame, head)
      told.push([frame.bytes, { ...idOf(frame), n: frame.n, head }])
    }
    for (const own of told) this.#ownListeners.tell(own)
  }

  isDropped(doc: DocId): boolean {
    return this.#dropped.has(doc)
  }

  /** Forgets a document, here and on the disk, once `written` says that nothing of it is on its way. It must not be wanted any more. */
  drop(doc: DocId, written: Promise<void>): Promise<void> {
    this.#dropped.add(doc)
    return this.#queue.add(0, async () => {
      await written
      for (const chain of [...this.#chains.all()]) {
        if (chain.doc !== doc) continue
        this.#parking.forget(chain)
        this.#proofs.delete(chain)
        this.#forgive(chain)
      }
      this.#chains.drop(doc)
      await this.#options.disk.drop(doc)
    })
  }

  /** Waits for what was handed in before. */
  settled(): Promise<void> {
    return this.#queue.add(0, async () => {})
  }

  async #enter(bytes: number, work: () => Promise<FrameVerdict>): Promise<FrameVerdict> {
    return this.#queue.isFull ? unwanted('too many frames wait to be checked') : this.#queue.add(bytes, work)
  }

  /** What can be said of the bytes alone. */
  #open(bytes: Uint8Array): Frame | FrameVerdict {
    const reading = readFrame(bytes)
    if (!reading.ok) return reading.newer ? unwanted(reading.problem) : rejected('sender', reading.problem)
    const { frame } = reading
    if (frame.cluster !== this.#options.cluster) return rejected('sender', 'is of another cluster')
    if (!this.#options.isWanted(frame.doc)) return unwanted(`${frame.doc} is not kept here`)
    return frame
  }

  /** Decides about one frame. `isSure`: its signature is known to be good, or a signed frame behind it names its hash. */
  async #place(frame: Frame, isSure: boolean): Promise<FrameVerdict> {
    const chain = this.#chains.find(frame)
    const n = chain?.n ?? 0
    if (chain && frame.n <= n) {
      const stored = await readOne(this.#options.disk, chain, frame.n)
      if (stored && isSameBytes(stored.bytes, frame.bytes)) return KNOWN
      return this.#doubled(chain, stored, frame)
    }
    if (chain?.cut !== undefined && frame.n > chain.cut) return ENDED
    if (!isSure && !isSigned(frame, this.#options.verify))
      return rejected('sender', 'is not signed by its author')
    if (isSameAuthor(frame, this.#options.author) && !this.#dropped.has(frame.doc)) {
      this.#reportClone(frame)
      return unwanted('signed as this very process by another one')
    }
    if (!this.#hasRoom(frame))
      return unwanted(`${frame.node} has ${CHAINS_MAX} chains in ${frame.doc} already`)
    const own = this.#chains.take(frame)
    if (frame.n > n + 1) {
      if (own.refused) return rejected('author', `frame ${n + 1} was refused: ${own.refused.reason}`)
      this.#parking.park(own, frame)
      return { type: 'gap', chain: idOf(frame), from: n + 1, to: frame.n - 1 }
    }
    return this.#extend(own, [frame])
  }

  #hasRoom(id: ChainId): boolean {
    return this.#chains.find(id) !== undefined || this.#chains.count(id.doc, id.node) < CHAINS_MAX
  }

  /** The next frames of a chain, known to be signed or hashed by a signed one. */
  async #extend(chain: Chain, frames: readonly Frame[]): Promise<FrameVerdict> {
    chain.keys ??= await readKeys(this.#options.disk, chain, chain.n)
    const { taken, reason } = linkFrames(chain, chain.keys, frames)
    const before = chain.refused
    try {
      if (taken.length > 0)
        await this.#options.disk.write(
          taken.map(({ frame }) => ({ type: 'frame', chain: idOf(chain), n: frame.n, frame: frame.bytes })),
          { sync: false },
        )
    } catch (error) {
      chain.keys = undefined
      throw error
    }
    this.#forgive(chain)
    for (const { frame, head } of taken) {
      this.#chains.append(chain, frame, head)
      this.#watchers.tell(frame)
    }
    // It was refused before, and now there is another one in its place.
    const first = taken[0]
    if (before?.frame && first && before.frame.n === first.frame.n)
      return this.#doubled(chain, before.frame, first.frame)
    const bad = frames[taken.length]
    return bad && reason !== undefined ? this.#refuse(chain, bad, reason) : TAKEN
  }

  /** A signed frame cannot be the next one of its chain. */
  async #refuse(chain: Chain, frame: Frame, reason: string): Promise<FrameVerdict> {
    const { verify } = this.#options
    if (frame.prev !== chain.head && chain.n > 0) {
      const stored = await readOne(this.#options.disk, chain, chain.n)
      const proof = stored && proofOf(stored, frame)
      if (proof && isSigned(stored, verify) && isSigned(frame, verify)) {
        await this.#convict(chain, proof.pair, proof.cut)
        return rejected('author', 'its author signed two stories')
      }
    }
    const isKept = this.#refusedBytes + frame.bytes.length <= PARKED_BYTES_MAX
    if (isKept) this.#refusedBytes += frame.bytes.length
    chain.refused = { reason, frame: isKept ? frame : undefined }
    this.#parking.forget(chain)
    return rejected('author', reason)
  }

  #forgive(chain: Chain): void {
    this.#refusedBytes -= chain.refused?.frame?.bytes.length ?? 0
    chain.refused = undefined
  }

  /** Another frame stands where this one wants to. */
  async #doubled(chain: Chain, stored: Frame | undefined, frame: Frame): Promise<FrameVerdict> {
    const { verify } = this.#options
    if (!isSigned(frame, verify)) return rejected('sender', 'is not signed by its author')
    const proof = stored && proofOf(stored, frame)
    if (proof && isSigned(stored, verify)) await this.#convict(chain, proof.pair, proof.cut)
    return rejected('author', 'its author signed two stories')
  }

  /** Cuts a chain for good. A pair that cuts earlier than the one before replaces it, so that all end at the same place. */
  async #convict(chain: Chain, pair: ProofPair, cut: number): Promise<void> {
    if (chain.cut !== undefined && chain.cut <= cut) return
    const isCurrent = isSameAuthor(chain, this.#options.author) && !this.#dropped.has(chain.doc)
    const id = idOf(chain)
    const end = await readOne(this.#options.disk, chain, Math.min(cut, chain.n))
    const clock = chain.n > cut ? await readClock(this.#options.disk, chain, cut) : chain.clock
    await this.#options.disk.write(
      [
        { type: 'cut', chain: id, from: cut + 1 },
        { type: 'proof', chain: id, pair },
      ],
      { sync: true },
    )
    const isShorter = chain.n > cut
    chain.cut = cut
    this.#proofs.set(chain, pair)
    this.#parking.forget(chain)
    this.#forgive(chain)
    if (isShorter) {
      chain.n = cut
      chain.head = end ? hashFrame(end.bytes) : NO_HASH
      chain.commit = end ? lastCommit(end) : 0
      chain.clock = clock
      chain.keys = undefined
      this.#chains.changed(chain)
    }
    this.#options.onReport({ kind: 'equivocation', chain: id, from: cut + 1 })
    if (isCurrent) {
      this.#reportClone(chain)
      this.#options.onDisowned()
    }
    if (isShorter) this.#cutListeners.tell(id)
  }

  #reportClone(chain: ChainId): void {
    if (this.#isCloned) return
    this.#isCloned = true
    this.#options.onReport({ kind: 'cloned', chain: idOf(chain) })
  }

  async #ingestRange(id: ChainId, list: readonly Uint8Array[]): Promise<FrameVerdict> {
    const frames: Frame[] = []
    let hash: string | undefined
    for (const bytes of list) {
      const frame = this.#open(bytes)
      if ('type' in frame) return frame
      const last = frames.at(-1)
      if (frame.doc !== id.doc || frame.node !== id.node || frame.incarnation !== id.incarnation)
        return rejected('sender', 'is of another chain')
      if (last && (frame.n !== last.n + 1 || frame.prev !== hash))
        return rejected('sender', 'does not follow the frame before it')
      hash = hashFrame(bytes)
      frames.push(frame)
    }
    const last = frames.at(-1)
    if (!last) return KNOWN
    const n = this.#chains.find(id)?.n ?? 0
    // What is known already is compared, and needs no signature.
    const fresh = frames.filter((frame) => frame.n > n)
    if (fresh.length > 0 && !isSigned(last, this.#options.verify))
      return rejected('sender', 'the last frame is not signed by its author')
    // They name each other's hash: when the last of the known ones is ours, all are. If not, the first that differs is the proof.
    const known = frames.slice(0, frames.length - fresh.length)
    const top = known.at(-1)
    const mine = top && (await readOne(this.#options.disk, id, top.n))
    const isMine = top !== undefined && mine !== undefined && isSameBytes(mine.bytes, top.bytes)
    for (const frame of isMine ? [] : known) {
      const verdict = await this.#place(frame, true)
      if (verdict.type !== 'known') return verdict
    }
    const [first, ...rest] = fresh
    if (!first) return KNOWN
    // The first says whether any may come; the others then go to the disk with one write.
    const verdict = await this.#place(first, true)
    const chain = this.#chains.find(id)
    if (verdict.type !== 'taken' || !chain || rest.length === 0) {
      if (verdict.type === 'taken' && chain) await this.#unpark(chain)
      return verdict
    }
    const counting = rest.filter((frame) => frame.n <= (chain.cut ?? frame.n))
    if (counting.length === 0) return ENDED
    const others = await this.#extend(chain, counting)
    if (others.type === 'taken') await this.#unpark(chain)
    return others.type === 'taken' && counting.length < rest.length ? ENDED : others
  }

  /** Frames that waited for the one that just came. */
  async #unpark(chain: Chain): Promise<void> {
    for (;;) {
      const frame = chain.n < (chain.cut ?? Infinity) ? this.#parking.take(chain, chain.n + 1) : undefined
      if (!frame || (await this.#extend(chain, [frame])).type !== 'taken') return
    }
  }
}
