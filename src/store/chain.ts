/** Chains of a board as they are known here, in memory: how far each goes, not what is in it. Filled from a disk at open, which checks every link. */
import { hash } from 'node:crypto'
import type { DocId, NodeId } from '../core/id.ts'
import type { ChainKeys } from './fact-key.ts'
import { type ChainId, type Frame, factsOf, hashFrame, NO_HASH, readFrame } from './frame.ts'
import type { FrameDisk, ProofPair } from './frame-disk.ts'
import { cutOf } from './proof.ts'

export interface Chain extends ChainId {
  /** Frames 1..n are believed and on the disk. */
  n: number
  /** Hash of frame n. */
  head: string
  /** Facts of frames 1..n: the Yjs clock of what comes next. */
  clock: number
  /** Number of the last commit of frame n. */
  commit: number
  /** Keys of frames 1..n; absent until they are needed: they can be read again. */
  keys: ChainKeys | undefined
  /** Its author told two stories: nothing after this number is believed, ever. */
  cut: number | undefined
  /** A signed frame n + 1 that the guard refused: nothing that builds on it can be good. */
  refused: { readonly reason: string; readonly frame: Frame | undefined } | undefined
}

/** How far a chain is known. `commit` is the number of the last commit in it: what a cutoff names. */
export interface ChainExtent extends ChainId {
  readonly n: number
  readonly head: string
  readonly commit: number
}

export interface DocExtent {
  readonly doc: DocId
  readonly digest: string
}

/** News for the log and for `doctor`. */
export type ReplicaReport =
  /** Frames `from` and later of a chain were not whole at open; they are left out, and come back from other members. `own`: of this node, perhaps known to nobody else. */
  | { readonly kind: 'damaged'; readonly chain: ChainId; readonly from: number; readonly own: boolean }
  /** Its author signed two stories; frames `from` and later do not count. */
  | { readonly kind: 'equivocation'; readonly chain: ChainId; readonly from: number }
  /** Another process signs as this incarnation of this node: a copy of this machine runs somewhere. */
  | { readonly kind: 'cloned'; readonly chain: ChainId }

interface Doc {
  readonly name: DocId
  readonly chains: Map<string, Chain>
  /** Of each node: how many, and the newest. */
  readonly lives: Map<NodeId, { count: number; latest: Chain }>
  /** Sorted, of chains with frames; absent after a change. */
  heads: readonly ChainExtent[] | undefined
  digest: string | undefined
}

export class Chains {
  readonly #docs = new Map<DocId, Doc>()
  #extents: readonly DocExtent[] | undefined
  #digest: string | undefined

  find(id: ChainId): Chain | undefined {
    return this.#docs.get(id.doc)?.chains.get(`${id.node}/${id.incarnation}`)
  }

  /** The chain, made when it is new. */
  take(id: ChainId): Chain {
    let doc = this.#docs.get(id.doc)
    if (!doc) {
      doc = { name: id.doc, chains: new Map(), lives: new Map(), heads: undefined, digest: undefined }
      this.#docs.set(id.doc, doc)
    }
    const key = `${id.node}/${id.incarnation}`
    let chain = doc.chains.get(key)
    if (!chain) {
      chain = createChain(id)
      const before = doc.lives.get(id.node)
      // Earlier lives write no more: their keys are read again should that turn out wrong.
      if (before) before.latest.keys = undefined
      doc.lives.set(id.node, { count: (before?.count ?? 0) + 1, latest: chain })
      doc.chains.set(key, chain)
    }
    return chain
  }

  /** Chains of one node in a document. */
  count(doc: DocId, node: NodeId): number {
    return this.#docs.get(doc)?.lives.get(node)?.count ?? 0
  }

  *all(): Generator<Chain> {
    for (const doc of this.#docs.values()) yield* doc.chains.values()
  }

  drop(doc: DocId): void {
    this.#docs.delete(doc)
    this.#extents = undefined
    this.#digest = undefined
  }

  /** The next frame of a chain is believed. */
  append(chain: Chain, frame: Frame, head: string): void {
    chain.n = frame.n
    chain.head = head
    chain.clock += factsOf(frame)
    chain.commit = lastCommit(frame)
    this.changed(chain)
  }

  changed(chain: Chain): void {
    const doc = this.#docs.get(chain.doc)!
    doc.heads = undefined
    doc.digest = undefined
    this.#extents = undefined
    this.#digest = undefined
  }

  heads(name: DocId): readonly ChainExtent[] {
    const doc = this.#docs.get(name)
    if (!doc) return []
    doc.heads ??= [...doc.chains]
      .filter(([, chain]) => chain.n > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { node, incarnation, n, head, commit }]) => ({
        doc: name,
        node,
        incarnation,
        n,
        head,
        commit,
      }))
    return doc.heads
  }

  /** Sorted by name. */
  docs(): readonly DocExtent[] {
    this.#extents ??= [...this.#docs.values()]
      .filter((doc) => this.heads(doc.name).length > 0)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((doc) => {
        doc.digest ??= sha256(
          this.heads(doc.name).map(
            ({ node, incarnation, n, head }) => `${node}/${incarnation} ${n} ${head}\n`,
          ),
        )
        return { doc: doc.name, digest: doc.digest }
      })
    return this.#extents
  }

  digest(): string {
    this.#digest ??= sha256(this.docs().map(({ doc, digest }) => `${JSON.stringify(doc)} ${digest}\n`))
    return this.#digest
  }
}

function createChain({ doc, node, incarnation }: ChainId): Chain {
  return {
    doc,
    node,
    incarnation,
    n: 0,
    head: NO_HASH,
    clock: 0,
    commit: 0,
    keys: undefined,
    cut: undefined,
    refused: undefined,
  }
}

function sha256(lines: readonly string[]): string {
  return hash('sha256', lines.join(''), 'hex')
}

export interface LoadedChains {
  readonly chains: Chains
  readonly proofs: ReadonlyMap<Chain, ProofPair>
}

/**
 * Reads what a disk holds. Each chain counts as far as its frames are whole, without a gap, and each names the hash of the one before; what comes after is cut off and reported.
 */
export async function loadChains(
  disk: FrameDisk,
  cluster: string,
  node: string,
  onReport: (report: ReplicaReport) => void,
): Promise<LoadedChains> {
  const chains = new Chains()
  const proofs = new Map<Chain, ProofPair>()
  for (const { chain: id, pair } of await disk.proofs()) {
    const chain = chains.take(id)
    const cut = cutOf(pair)
    if (cut === undefined) continue
    chain.cut = cut
    proofs.set(chain, pair)
  }
  const broken = new Map<Chain, number>()
  let chain: Chain | undefined
  for await (const records of disk.scan()) {
    for (const { chain: id, n, frame: bytes } of records) {
      if (!chain || chain.incarnation !== id.incarnation || chain.doc !== id.doc || chain.node !== id.node)
        chain = chains.take(id)
      if (broken.has(chain)) continue
      const reading = bytes ? readFrame(bytes) : undefined
      const frame = reading?.ok ? reading.frame : undefined
      if (n <= (chain.cut ?? n) && frame?.cluster === cluster && isNext(chain, n, frame))
        chains.append(chain, frame, hashFrame(frame.bytes))
      else broken.set(chain, chain.n + 1)
    }
  }
  for (const [chain, from] of broken) {
    await disk.write([{ type: 'cut', chain, from }], { sync: true })
    // What was written after a cut, in the instant of it, is no damage.
    if (chain.cut === undefined || from <= chain.cut)
      onReport({ kind: 'damaged', chain: idOf(chain), from, own: chain.node === node })
  }
  return { chains, proofs }
}

function isNext(chain: Chain, n: number, frame: Frame): boolean {
  return (
    frame.n === n &&
    n === chain.n + 1 &&
    frame.prev === chain.head &&
    frame.commits[0]!.n >= chain.commit &&
    frame.doc === chain.doc &&
    frame.node === chain.node &&
    frame.incarnation === chain.incarnation
  )
}

export function lastCommit(frame: Frame): number {
  return frame.commits.at(-1)!.n
}

export function idOf({ doc, node, incarnation }: ChainId): ChainId {
  return { doc, node, incarnation }
}
