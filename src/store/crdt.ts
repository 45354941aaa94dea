/**
 * CoordStore of a cluster: every fact of every member, in signed and chained frames on a disk of this node. Each open is a new incarnation with chains of its own. Memory
 * holds how far each chain goes, the keys of this incarnation, and what is not durable yet. How frames travel is not its business: see `replica`.
 */
import { assert, OrchError } from '../core/error.ts'
import type { Batch, Fact } from '../core/fact.ts'
import { type Author, authorKey, CLUSTER_DOC, type DocId, isSameAuthor, type WallMs } from '../core/id.ts'
import { COMMIT_FACTS_MAX, DOC_BYTES_MAX, JOURNAL_LINE_BYTES_MAX } from '../core/limit.ts'
import { Malformed } from './byte-reader.ts'
import { loadChains, type ReplicaReport } from './chain.ts'
import { readFrames } from './chain-reader.ts'
import type { DocView, DocViews } from './doc-view.ts'
import { type ChainId, isClusterId, isFrameAuthor, type Signer, type Verify } from './frame.ts'
import type { FrameDisk } from './frame-disk.ts'
import { type Readable, readBatches } from './guard.ts'
import { rejected } from './journal-writer.ts'
import { OwnKeys } from './own-keys.ts'
import { type OwnCommit, OwnWriter } from './own-writer.ts'
import { FrameReplica } from './replica.ts'
import type { CoordStore, FactQuery, PutReceipt } from './store.ts'
import { createUpdate, isWellFormed } from './update.ts'

export interface CrdtStoreOptions {
  /** Closed with the store, also when it cannot be opened. */
  readonly disk: FrameDisk
  /** The incarnation must be new: a disk that has frames of it is refused. */
  readonly author: Author
  /** Of the author's node. */
  readonly signer: Signer
  readonly verify: Verify
  /** 32 hex digits. */
  readonly cluster: string
  /** False for documents that are not kept here; asked at every frame. Default: all are. */
  readonly isWanted?: (doc: DocId) => boolean
  readonly onReport?: (report: ReplicaReport) => void
}

export interface CrdtStore extends CoordStore {
  readonly replica: FrameReplica
  /**
   * Forgets a document, in memory and on the disk: call it when the document is archived, and is not wanted any more. This incarnation can write to it never again. Who watches
   * keeps what he was told.
   */
  dropDoc(doc: DocId): Promise<void>
  /**
   * A document for who speaks Yjs; ends with the store at the latest.
   *
   * @throws what the disk throws; ORCH_NODE_TIMEOUT when the store is closed
   */
  view(doc: DocId): Promise<DocView>
}

/**
 * Opens the store over a disk.
 *
 * @throws what the disk throws; ORCH_BUG for an incarnation that wrote before
 */
export async function openCrdtStore(options: CrdtStoreOptions): Promise<CrdtStore> {
  const { disk, author, cluster } = options
  try {
    assert(isClusterId(cluster), 'a cluster id has 32 hex digits')
    assert(isFrameAuthor(author), `frames can name ${authorKey(author)}`)
    assert(options.signer.node === author.node, 'the signer is the author')
    const onReport = options.onReport ?? (() => {})
    const loaded = await loadChains(disk, cluster, author.node, onReport)
    for (const chain of loaded.chains.all())
      assert(
        !isSameAuthor(chain, author),
        `${authorKey(author)} wrote this board before: each open needs a new incarnation`,
      )
    const writer = new OwnWriter({
      author,
      cluster,
      signer: options.signer,
      disk,
      onWritten: (frames) => replica.record(frames),
    })
    const replica: FrameReplica = new FrameReplica({
      disk,
      loaded,
      author,
      cluster,
      verify: options.verify,
      isWanted: options.isWanted ?? (() => true),
      onReport,
      onDisowned: () => writer.fail(cloned(author)),
    })
    return new Store(author, disk, replica, writer)
  } catch (error) {
    await disk.close()
    throw error
  }
}

function cloned(author: Author): OrchError {
  return new OrchError('ORCH_IDENTITY', `another process signs as ${authorKey(author)}`, {
    context: { ...author },
    hint: 'a copy of this machine or of its data directory runs somewhere: stop it, give it an identity of its own, then start this node again',
  })
}

class Store implements CrdtStore {
  readonly author: Author
  readonly replica: FrameReplica
  readonly #disk: FrameDisk
  readonly #writer: OwnWriter
  readonly #keys = new OwnKeys()
  readonly #unwatch = new Set<() => void>()
  /** Made for the first who wants one: most nodes never load Yjs. */
  #views: Promise<DocViews> | undefined
  #n = 0
  #closed: Promise<void> | undefined

  constructor(author: Author, disk: FrameDisk, replica: FrameReplica, writer: OwnWriter) {
    this.author = author
    this.replica = replica
    this.#disk = disk
    this.#writer = writer
  }

  put(facts: readonly Fact[], at: WallMs): PutReceipt {
    assert(!this.#closed, 'put after close of the board')
    assert(Number.isSafeInteger(at) && at >= 0, `a time of a commit is a whole number, not ${at}`)
    const writer = this.#writer
    if (writer.failed) return { n: 0, written: [], durable: rejected(writer.failed) }
    if (facts.length > COMMIT_FACTS_MAX)
      throw new OrchError(
        'ORCH_USAGE',
        `one commit holds at most ${COMMIT_FACTS_MAX} facts, not ${facts.length}`,
      )
    const written = this.#keys.take(facts)
    if (written.length === 0) return { n: 0, written, durable: writer.durable }
    try {
      const durable = writer.append(this.#encode(written, at))
      this.#n++
      return { n: this.#n, written, durable }
    } catch (error) {
      this.#keys.giveBack(written)
      if (error instanceof Malformed) throw new OrchError('ORCH_USAGE', error.message)
      throw error
    }
  }

  #encode(written: readonly Fact[], at: WallMs): OwnCommit {
    for (const doc of new Set(written.map((fact) => fact.doc))) this.#checkDoc(doc)
    const commit = this.#writer.encode(written, this.#n + 1, at)
    if (commit.bytes > JOURNAL_LINE_BYTES_MAX)
      throw new OrchError('ORCH_USAGE', `one commit holds at most ${JOURNAL_LINE_BYTES_MAX} bytes of facts`)
    return commit
  }

  #checkDoc(doc: DocId): void {
    if (doc === '' || !isWellFormed(doc) || Buffer.byteLength(doc) > DOC_BYTES_MAX)
      throw new OrchError('ORCH_USAGE', `${JSON.stringify(doc.slice(0, 300))} is no name of a document`)
    if (this.replica.isDropped(doc))
      throw new OrchError('ORCH_USAGE', `${doc} is archived: nothing is written to it any more`)
  }

  facts(query: FactQuery = {}): AsyncIterable<Batch> {
    assert(!this.#closed, 'read after close of the board')
    // All of it at the same instant, now: together it is every commit so far, each once.
    // Who is a member is known before what he wrote.
    const docs = new Set([CLUSTER_DOC, ...this.replica.docs().map(({ doc }) => doc)])
    const pending = this.#writer.pending()
    for (const { parts } of pending) for (const { doc } of parts) docs.add(doc)
    const parts: Part[] = []
    for (const doc of query.doc === undefined ? docs : docs.has(query.doc) ? [query.doc] : []) {
      for (const head of this.replica.heads(doc)) parts.push({ kind: 'chain', chain: head, n: head.n })
      const commits = pending.filter((commit) => commit.parts.some((part) => part.doc === doc))
      if (commits.length > 0) parts.push({ kind: 'pending', doc, author: this.author, commits })
    }
    return replay(this.#disk, parts, query)
  }

  watch(listener: (batch: Batch) => void): () => void {
    assert(!this.#closed, 'watch after close of the board')
    const end = this.replica.onFrame((frame) => {
      // Read anew: each listener gets objects of its own.
      for (const batch of readBatches(frame)) listener(batch)
    })
    this.#unwatch.add(end)
    return () => {
      this.#unwatch.delete(end)
      end()
    }
  }

  async dropDoc(doc: DocId): Promise<void> {
    assert(!this.#closed, 'drop after close of the board')
    await this.replica.drop(doc, this.#writer.idle())
    this.#writer.forget(doc)
    this.#keys.forget(doc)
    const views = await this.#views
    views?.end('dropped', doc)
  }

  async view(doc: DocId): Promise<DocView> {
    this.#views ??= import('./doc-view.ts').then(({ DocViews: Views }) => new Views(this.replica))
    const views = await this.#views
    if (this.#closed)
      throw new OrchError('ORCH_NODE_TIMEOUT', 'this board was closed', { hint: 'try again in a moment' })
    return views.hold(doc)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#writer.idle()
    await this.replica.settled()
    for (const end of this.#unwatch) end()
    const views = await this.#views
    views?.end('closed')
    await this.#disk.close()
  }
}

type Part =
  | { readonly kind: 'chain'; readonly chain: ChainId; readonly n: number }
  | {
      readonly kind: 'pending'
      readonly doc: DocId
      readonly author: Author
      readonly commits: readonly OwnCommit[]
    }

/** A commit that needed several frames is one batch again, as far as it is here. */
async function* replay(disk: FrameDisk, parts: readonly Part[], query: FactQuery): AsyncGenerator<Batch> {
  for (const part of parts) {
    let open: (Batch & { readonly facts: Fact[] }) | undefined
    for await (const frames of framesOf(disk, part)) {
      for (const frame of frames) {
        for (const batch of readBatches(frame, query)) {
          if (open?.n === batch.n) {
            for (const fact of batch.facts) open.facts.push(fact)
            continue
          }
          if (open) yield open
          open = batch
        }
      }
    }
    if (open) yield open
  }
}

async function* framesOf(disk: FrameDisk, part: Part): AsyncGenerator<readonly Readable[]> {
  if (part.kind === 'pending') {
    const { doc, author } = part
    for (const { commit, at, parts } of part.commits)
      for (const { pieces } of parts.filter((piece) => piece.doc === doc))
        for (const items of pieces)
          yield [
            {
              doc,
              ...author,
              commits: [{ n: commit, at, facts: items.facts }],
              body: createUpdate([items], author, 0),
            },
          ]
    return
  }
  yield* readFrames(disk, part.chain, 1, part.n)
}
