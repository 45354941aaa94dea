/**
 * CoordStore in memory: one hub holds the "disks" of several nodes and the links between them. Everything crosses as JSON text, so that no
 * reader shares an object with a writer. Deterministic: no timers; the order of deliveries follows the order of opens and puts.
 */
import { assert, OrchError } from '../core/error.ts'
import type { Batch, Fact } from '../core/fact.ts'
import { type Author, authorKey, type NodeId, type WallMs } from '../core/id.ts'
import { COMMIT_FACTS_MAX, JOURNAL_LINE_BYTES_MAX } from '../core/limit.ts'
import { commitJson, commitJsonHead, readBatch } from './journal-line.ts'
import { OwnKeys } from './own-keys.ts'
import type { CoordStore, FactQuery, PutReceipt } from './store.ts'

export interface MemoryHubOptions {
  /** `sync`: a put reaches every linked member before it returns (default). `manual`: only `deliver` moves anything. */
  readonly deliver?: 'sync' | 'manual'
  /** Chooses which of `count` possible deliveries is next, 0..count-1. Default in order; a seeded one shuffles authors and members. */
  readonly pick?: (count: number) => number
}

export interface MemoryHub {
  /**
   * Opens a store. A node that was open before finds what it knew then; the incarnation must be new.
   *
   * @throws ORCH_LOCKED while an earlier incarnation of the node is open
   */
  open(author: Author): CoordStore
  /** Moves batches over the links until nothing is missing, or `limit` were moved. Returns how many. */
  deliver(limit?: number): number
  /** Only nodes that share a group are linked. One node in two groups is a bridge; a node in none is alone. */
  partition(groups: readonly (readonly NodeId[])[]): void
  /** Links all again. What was missed arrives: at once in `sync` mode, else with the next `deliver`. */
  heal(): void
}

interface Entry {
  readonly author: string
  readonly n: number
  readonly json: string
}

/** What a node knows, kept over its process lives. */
interface Disk {
  readonly node: NodeId
  /** In order of arrival, which respects each author's. */
  readonly entries: Entry[]
  /** Entries of an author: commit n at n - 1. */
  readonly heads: Map<string, Entry[]>
  store: MemoryStore | undefined
}

export function createMemoryHub(options: MemoryHubOptions = {}): MemoryHub {
  return new Hub(options)
}

class Hub implements MemoryHub {
  readonly #disks = new Map<NodeId, Disk>()
  readonly #isSync: boolean
  readonly #pick: ((count: number) => number) | undefined
  #groups: readonly ReadonlySet<NodeId>[] | undefined
  #isMoving = false

  constructor(options: MemoryHubOptions) {
    this.#isSync = options.deliver !== 'manual'
    this.#pick = options.pick
  }

  open(author: Author): CoordStore {
    let disk = this.#disks.get(author.node)
    if (!disk) {
      disk = { node: author.node, entries: [], heads: new Map(), store: undefined }
      this.#disks.set(author.node, disk)
    }
    if (disk.store)
      throw new OrchError('ORCH_LOCKED', `${author.node} is open in this hub`, {
        context: { node: author.node },
      })
    assert(
      !disk.heads.has(authorKey(author)),
      `${authorKey(author)} was open before: each open needs a new incarnation`,
    )
    disk.store = new MemoryStore(author, disk, () => this.#settle())
    this.#settle()
    return disk.store
  }

  deliver(limit = Number.POSITIVE_INFINITY): number {
    if (this.#isMoving) return 0
    this.#isMoving = true
    try {
      let moved = 0
      while (moved < limit) {
        const ready = this.#ready()
        if (ready.length === 0) break
        const chosen = this.#pick ? [ready[this.#pick(ready.length)]!] : ready.slice(0, limit - moved)
        for (const [to, entry] of chosen) {
          // A listener of an earlier one may have closed it.
          if (!to.store) continue
          learn(to, entry)
          moved++
          to.store.tell(entry)
        }
      }
      return moved
    } finally {
      this.#isMoving = false
    }
  }

  partition(groups: readonly (readonly NodeId[])[]): void {
    this.#groups = groups.map((group) => new Set(group))
    this.#settle()
  }

  heal(): void {
    this.#groups = undefined
    this.#settle()
  }

  #settle(): void {
    if (this.#isSync) this.deliver()
  }

  /** For each open member and author: the next commit that it lacks and an open linked member has. */
  #ready(): (readonly [Disk, Entry])[] {
    const open = [...this.#disks.values()].filter((disk) => disk.store)
    const ready: (readonly [Disk, Entry])[] = []
    for (const to of open) {
      const seen = new Set<string>()
      for (const from of open) {
        if (from === to || !this.#isLinked(from.node, to.node)) continue
        for (const [author, entries] of from.heads) {
          const next = entries[to.heads.get(author)?.length ?? 0]
          if (!next || seen.has(author)) continue
          seen.add(author)
          ready.push([to, next])
        }
      }
    }
    return ready
  }

  #isLinked(a: NodeId, b: NodeId): boolean {
    return this.#groups === undefined || this.#groups.some((group) => group.has(a) && group.has(b))
  }
}

function learn(disk: Disk, entry: Entry): void {
  disk.entries.push(entry)
  const known = disk.heads.get(entry.author)
  if (known) known.push(entry)
  else disk.heads.set(entry.author, [entry])
}

class MemoryStore implements CoordStore {
  readonly author: Author
  readonly #disk: Disk
  readonly #head: string
  readonly #settle: () => void
  readonly #keys = new OwnKeys()
  readonly #listeners = new Set<(batch: Batch) => void>()
  #n = 0
  #isClosed = false

  constructor(author: Author, disk: Disk, settle: () => void) {
    this.author = author
    this.#disk = disk
    this.#head = commitJsonHead(author)
    this.#settle = settle
  }

  put(facts: readonly Fact[], at: WallMs): PutReceipt {
    assert(!this.#isClosed, 'put after close')
    if (facts.length > COMMIT_FACTS_MAX) {
      throw new OrchError(
        'ORCH_USAGE',
        `one commit holds at most ${COMMIT_FACTS_MAX} facts, not ${facts.length}`,
      )
    }
    const written = this.#keys.take(facts)
    if (written.length === 0) return { n: 0, written, durable: Promise.resolve() }
    const json = commitJson(this.#head, this.#n + 1, at, false, written)
    if (json.length * 3 > JOURNAL_LINE_BYTES_MAX && Buffer.byteLength(json) > JOURNAL_LINE_BYTES_MAX) {
      this.#keys.giveBack(written)
      throw new OrchError('ORCH_USAGE', `one commit holds at most ${JOURNAL_LINE_BYTES_MAX} bytes of facts`)
    }
    this.#n++
    learn(this.#disk, { author: authorKey(this.author), n: this.#n, json })
    const n = this.#n
    this.#settle()
    return { n, written, durable: Promise.resolve() }
  }

  facts(query: FactQuery = {}): AsyncIterable<Batch> {
    assert(!this.#isClosed, 'read after close')
    return replay([...this.#disk.entries], query)
  }

  watch(listener: (batch: Batch) => void): () => void {
    assert(!this.#isClosed, 'watch after close')
    // One entry for each call: a listener that is given twice is told twice, and each call ends its own.
    const own = (batch: Batch) => listener(batch)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  /** Each listener gets an object of its own. */
  tell(entry: Entry): void {
    // One that begins to listen in between is not told of what came before.
    const listeners = [...this.#listeners]
    for (const listener of listeners) {
      const batch = readBatch(entry.json, {})
      if (batch) listener(batch)
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#listeners.clear()
    this.#disk.store = undefined
  }
}

async function* replay(entries: readonly Entry[], query: FactQuery): AsyncGenerator<Batch> {
  for (const { json } of entries) {
    const batch = readBatch(json, query)
    if (batch) yield batch
  }
}
