/**
 * One life of a node: an author, a store, an engine. A node lives several times in one process: after a fault of the disk, when it joins a cluster, when facts it believed
 * turn out not to count.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Batch } from '../core/fact.ts'
import type { Author, NodeId, RunId } from '../core/id.ts'
import {
  ARCHIVE_AFTER_MS_DEFAULT,
  PENDING_TASKS_MAX,
  SETTLE_MS_DEFAULT,
  SLOTS_DEFAULT,
  STAGGER_MS_DEFAULT,
} from '../core/limit.ts'
import { createIncarnation, incarnationTime } from '../net/identity.ts'
import { renameDurably, writeSyncedFile } from '../store/durable-file.ts'
import type { DataDirLock } from '../store/lock.ts'
import type { CoordStore } from '../store/store.ts'
import { VERSION } from '../version.ts'
import { assembleStore, type Edges, machineCapacity } from './assemble.ts'
import type { Clock } from './clock.ts'
import type { Cluster } from './cluster.ts'
import { Engine } from './engine.ts'
import type { NodeConfig } from './node-config.ts'

export interface LifeOptions {
  readonly config: NodeConfig
  readonly dataDir: string
  readonly author: Author
  readonly edges: Edges
  readonly clock: Clock
  readonly lock: DataDirLock | undefined
  /** Present = the replicated board. */
  readonly cluster: Cluster | undefined
  readonly url: () => string | undefined
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  /** What opening the store had to say. */
  readonly onReport: (message: string) => void
  readonly onBatch: (batch: Batch) => void
  readonly onTurn: () => void
  readonly onFault: (error: unknown) => void
  readonly onRebuild: (reason: string) => void
  readonly onArchive: (run: RunId) => void
}

const INCARNATION_FILE = 'incarnation'

/** A life of the node that sorts after all before it, also when the wall clock was turned back: others take what is older for dead. */
export function newAuthor(node: NodeId, dataDir?: string): Author {
  const path = dataDir === undefined ? undefined : join(dataDir, INCARNATION_FILE)
  const before = path !== undefined && existsSync(path) ? readFileSync(path, 'utf8').trim() : ''
  const at = Math.max(Date.now(), incarnationTime(before) + 1)
  const author = { node, incarnation: createIncarnation(at, (n) => randomBytes(n)) }
  if (path !== undefined) {
    writeSyncedFile(`${path}.new`, `${author.incarnation}\n`)
    renameDurably(`${path}.new`, path)
  }
  return author
}

export async function makeEngine(options: LifeOptions): Promise<Engine> {
  const { config, author, edges, cluster, dataDir } = options
  const store = await openStore(options)
  const slots = config.slots ?? SLOTS_DEFAULT
  const capabilities = config.capabilities ?? []
  return new Engine({
    author,
    store,
    dataDir,
    clock: options.clock,
    git: edges.git,
    log: edges.log,
    ...(edges.mirror ? { mirror: edges.mirror } : {}),
    executors: edges.executors,
    core: {
      slots,
      capacity: { ...machineCapacity(), ...config.capacity },
      capabilities,
      seed: randomInt(2 ** 47),
      staggerMs: STAGGER_MS_DEFAULT,
      settleMs: SETTLE_MS_DEFAULT,
      pendingTasksMax: config.pendingTasksMax ?? PENDING_TASKS_MAX,
      stallMs: config.stallMs ?? STALL_MS_DEFAULT,
      ...(cluster
        ? { cluster: cluster.id, archiveAfterMs: config.archiveAfterMs ?? ARCHIVE_AFTER_MS_DEFAULT }
        : {}),
    },
    record: () => {
      const kinds = [...edges.executors.values()]
      return {
        name: config.name ?? hostname(),
        slots,
        version: VERSION,
        capabilities,
        ...(cluster
          ? {
              kinds: kinds.map(({ kind }) => kind),
              inProcess: kinds.filter(({ survives }) => !survives).map(({ kind }) => kind),
              addresses: cluster.net.addresses(),
            }
          : {}),
      }
    },
    keepEnv: config.keepEnv ?? [],
    url: options.url,
    markOutput: edges.markOutput,
    say: options.say,
    onBatch: options.onBatch,
    onTurn: options.onTurn,
    onFault: options.onFault,
    onRebuild: options.onRebuild,
    onArchive: options.onArchive,
    ...(cluster ? { objects: cluster.objects } : {}),
  })
}

const STALL_MS_DEFAULT = 60_000

async function openStore(options: LifeOptions): Promise<CoordStore> {
  const { config, author, dataDir, lock, cluster, onReport } = options
  if (config.openStore) return config.openStore(author)
  if (cluster) return cluster.openStore(author, onReport)
  return assembleStore({
    backend: config.backend === 'memory' ? 'memory' : 'file',
    dataDir,
    author,
    lock,
    onReport,
  })
}
