/** Boards of several nodes in one process: fake signatures, memory disks, and an exchange of frames that stands for the network. */
import { createHash } from 'node:crypto'
import type { Author, DocId } from '../../src/core/id.ts'
import type { ReplicaReport } from '../../src/store/chain.ts'
import { type CrdtStore, openCrdtStore } from '../../src/store/crdt.ts'
import {
  type ChainId,
  createFrame,
  type Frame,
  type FrameHeader,
  factsOf,
  hashFrame,
  NO_HASH,
  type Signer,
  type Verify,
} from '../../src/store/frame.ts'
import type { FrameDisk } from '../../src/store/frame-disk.ts'
import { createMemoryDisk, type MemoryDisk, type MemoryDiskOptions } from '../../src/store/memory-disk.ts'
import type { FrameReplica } from '../../src/store/replica.ts'
import { createItems, createUpdate } from '../../src/store/update.ts'
import { author, collect, kv } from './contract.ts'

export const CLUSTER = '000102030405060708090a0b0c0d0e0f'

/** A keyed digest that everyone can compute: enough to tell a signed frame from another. */
export function fakeSigner(node: string): Signer {
  return { node, sign: (bytes) => digest(node, bytes) }
}

export const fakeVerify: Verify = (node, bytes, signature) =>
  Buffer.compare(digest(node, bytes), signature) === 0

function digest(node: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha512').update(node).update('\0').update(bytes).digest())
}

export interface BoardOptions extends MemoryDiskOptions {
  readonly author?: Author
  readonly medium?: MemoryDisk
  readonly disk?: FrameDisk
  readonly verify?: Verify
  readonly isWanted?: (doc: DocId) => boolean
}

export interface Board {
  readonly store: CrdtStore
  readonly replica: FrameReplica
  readonly medium: MemoryDisk
  readonly reports: ReplicaReport[]
}

export async function openBoard(options: BoardOptions = {}): Promise<Board> {
  const medium = options.medium ?? createMemoryDisk()
  const by = options.author ?? author('node-z')
  const reports: ReplicaReport[] = []
  const store = await openCrdtStore({
    disk: options.disk ?? medium.open(options.beforeWrite ? { beforeWrite: options.beforeWrite } : {}),
    author: by,
    signer: fakeSigner(by.node),
    verify: options.verify ?? fakeVerify,
    cluster: CLUSTER,
    onReport: (report) => reports.push(report),
    ...(options.isWanted ? { isWanted: options.isWanted } : {}),
  })
  return { store, replica: store.replica, medium, reports }
}

/** Everything that can be seen of a board: two that show the same are the same. */
export async function view({ store, replica }: Board): Promise<string> {
  return JSON.stringify([
    replica.digest(),
    replica.docs(),
    replica.proofs().length,
    await collect(store.facts()),
  ])
}

/** Lets every replica pull from every other what it lacks, until all have the same. */
export async function exchange(replicas: readonly FrameReplica[]): Promise<void> {
  for (let moved = true; moved; ) {
    moved = false
    for (const from of replicas)
      for (const to of replicas) if (from !== to && (await pull(from, to))) moved = true
  }
}

async function pull(from: FrameReplica, to: FrameReplica): Promise<boolean> {
  let moved = false
  for (const { doc } of from.docs()) {
    const known = new Map(to.heads(doc).map((head) => [`${head.node}/${head.incarnation}`, head.n]))
    for (const head of from.heads(doc)) {
      const n = known.get(`${head.node}/${head.incarnation}`) ?? 0
      if (head.n <= n) continue
      const { type } = await to.ingestRange(head, await collectBytes(from.range(head, n + 1, head.n)))
      if (type === 'taken') moved = true
    }
  }
  return moved
}

export async function collectBytes(frames: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const list: Uint8Array[] = []
  for await (const frame of frames) list.push(frame)
  return list
}

/** Writes a chain by hand, also one that no sound node would write. */
export class Scribe {
  readonly id: ChainId
  readonly signer: Signer
  readonly frames: Frame[] = []
  clock = 0

  constructor(id: Partial<ChainId> = {}) {
    const { node, incarnation } = author(id.node ?? 'node-a')
    this.id = { doc: 'run-1', node, incarnation, ...id }
    this.signer = fakeSigner(this.id.node)
  }

  /** The next frame, with one fact unless told otherwise; not remembered. */
  draft(key: string, change: Partial<FrameHeader> & { readonly body?: Uint8Array } = {}): Frame {
    const last = this.frames.at(-1)
    const { body = createUpdate(createItems([kv(key)], this.id), this.id, this.clock), ...header } = change
    return createFrame(
      {
        ...this.id,
        cluster: CLUSTER,
        n: this.frames.length + 1,
        prev: last ? hashFrame(last.bytes) : NO_HASH,
        commits: [{ n: (last?.commits.at(-1)?.n ?? 0) + 1, at: 5, facts: 1 }],
        ...header,
      },
      body,
      this.signer,
    )
  }

  write(key: string, change: Partial<FrameHeader> & { readonly body?: Uint8Array } = {}): Frame {
    const frame = this.draft(key, change)
    this.frames.push(frame)
    this.clock += factsOf(frame)
    return frame
  }

  /** A scribe who continues from frame `n` of this one. */
  fork(n: number): Scribe {
    const other = new Scribe(this.id)
    other.frames.push(...this.frames.slice(0, n))
    other.clock = other.frames.reduce((sum, frame) => sum + factsOf(frame), 0)
    return other
  }

  get bytes(): Uint8Array[] {
    return this.frames.map((frame) => frame.bytes)
  }
}
