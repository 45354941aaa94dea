/**
 * A node: one data directory, one identity, one process life after the other. Opening takes the lock, replays the board, adopts what still runs and begins;
 * closing gives back what runs, or leaves it to be adopted. Whoever acquires pushes its undo; release runs them once, last first.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { isOrchError, OrchError } from '../core/error.ts'
import type { Batch } from '../core/fact.ts'
import type { AttemptId, Author, DurationMs } from '../core/id.ts'
import {
  PENDING_TASKS_MAX,
  SETTLE_MS_DEFAULT,
  SLOTS_DEFAULT,
  SLOTS_MAX,
  STAGGER_MS_DEFAULT,
} from '../core/limit.ts'
import type { Capacity } from '../core/quota.ts'
import type { Executor } from '../executor/executor.ts'
import { dropSpare, keepSpare } from '../executor/spare.ts'
import { createIncarnation, identityFromSeed, openIdentity } from '../net/identity.ts'
import { acquireLock } from '../store/lock.ts'
import type { CoordStore } from '../store/store.ts'
import { VERSION } from '../version.ts'
import { assembleEdges, assembleStore, type Edges, machineCapacity } from './assemble.ts'
import { Engine } from './engine.ts'
import type { NodeFace, NodeStatus } from './face.ts'
import { Followers } from './followers.ts'
import { LocalFace } from './local-face.ts'
import { nodeStatus } from './node-status.ts'

export interface NodeConfig {
  /** Absolute or relative to here; made when it is not there. Memory backend: a temporary one by default. */
  readonly dataDir?: string
  /** Default `file`. */
  readonly backend?: 'file' | 'memory'
  /** For people; default the host's name. */
  readonly name?: string
  /** Attempts of process kinds at once, 1..SLOTS_MAX, default 5. */
  readonly slots?: number
  readonly capabilities?: readonly string[]
  /** Default: this machine's cores and memory, no gpu, no quota. */
  readonly capacity?: Partial<Capacity>
  /** Silence after which an agent's attempt counts as stalled; default 60 s. Shell tasks have no such limit unless they say so. */
  readonly stallMs?: DurationMs
  /** R24: unfinished tasks beyond which submissions are refused. */
  readonly pendingTasksMax?: number
  /** Environment names let through to workers, beyond the allow-list. */
  readonly keepEnv?: readonly string[]
  /** Further executors, by their kind. */
  readonly executors?: readonly Executor[]
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void
  /** Makes the node reachable before it starts anything, so that the first attempt already knows the address. */
  readonly listen?: (node: OpenNode) => Promise<void>
  /** Tests: a store of their own instead of the backend's. */
  readonly openStore?: (author: Author) => Promise<CoordStore>
}

export interface OpenNode {
  readonly face: NodeFace
  readonly tokens: { verify(token: string): AttemptId | undefined }
  readonly dataDir: string
  readonly node: string
  setUrl(url: string, socketPath: string): void
  addExecutor(executor: Executor): void
  /** Every fact as it is written or arrives; for events. */
  onBatch(listener: (batch: Batch) => void): () => void
  /** Starts nothing by itself, for a process that is the node for one command only. Outside workers can claim and report all the same. */
  hold(reason: string): Promise<void>
  /** Stops claiming, ends what runs with its work saved, and waits for it. */
  drain(): Promise<void>
  /**
   * Drains and closes. `now`: what runs is killed at once, its work saved all the same. `leave`: process attempts go on under their shims, to be adopted by the
   * next start (upgrade).
   */
  close(options?: CloseOptions): Promise<void>
  readonly closed: Promise<void>
  /** @internal */
  readonly engine: Engine
}

export interface CloseOptions {
  readonly now?: boolean
  readonly leave?: boolean
}

const STALL_MS_DEFAULT = 60_000
/** Between two tries to open the store again after a fault. */
const REOPEN_MS = 2_000

export async function openNode(config: NodeConfig): Promise<OpenNode> {
  const node = new ServingNode(config)
  try {
    await node.open()
    return node
  } catch (error) {
    await node.close({ leave: true })
    throw error
  }
}

/** Ends a life of the node: nothing of it is believed or done any more, and the journal is free for the next. */
async function bury(engine: Engine): Promise<void> {
  engine.abandon()
  await engine.settled()
  await engine.options.store.close()
}

class ServingNode implements OpenNode {
  readonly #config: NodeConfig
  readonly #releasers: (() => void | Promise<void>)[] = []
  readonly #listeners = new Set<(batch: Batch) => void>()
  readonly #followers: Followers
  readonly #startedAt = Date.now()
  readonly dataDir: string
  readonly face: NodeFace
  readonly closed: Promise<void>
  #resolveClosed!: () => void
  #engine: Engine | undefined
  #edges: Edges | undefined
  #fault: unknown
  #url: string | undefined
  #closing: Promise<void> | undefined
  #reopening: Promise<void> | undefined
  #cutPause: () => void = () => {}
  #nodeId = ''
  #gitVersion: string | undefined
  #lock: ReturnType<typeof acquireLock> | undefined
  readonly #reports: string[] = []

  constructor(config: NodeConfig) {
    const slots = config.slots ?? SLOTS_DEFAULT
    if (!Number.isInteger(slots) || slots < 1 || slots > SLOTS_MAX) {
      throw new OrchError('ORCH_USAGE', `slots must be a whole number of 1..${SLOTS_MAX}, not ${slots}`)
    }
    this.#config = config
    const isMemory = config.backend === 'memory' && config.dataDir === undefined
    if (!isMemory && config.dataDir === undefined)
      throw new OrchError('ORCH_USAGE', 'a node with the file backend needs a dataDir')
    this.dataDir = isMemory ? mkdtempSync(join(tmpdir(), 'orch-node-')) : resolve(config.dataDir!)
    if (isMemory) this.#releasers.push(() => rm(this.dataDir, { recursive: true, force: true }))
    this.closed = new Promise((done) => {
      this.#resolveClosed = done
    })
    this.#followers = new Followers(() => this.#engine)
    this.face = new LocalFace({
      engine: () => this.engine,
      followers: this.#followers,
      status: () => this.#status(),
      onBatch: (listener) => this.onBatch(listener),
      drain: () => this.drain(),
      stop: (now) => this.#stopSoon(now),
    })
  }

  get node(): string {
    return this.#nodeId
  }

  get tokens(): { verify(token: string): AttemptId | undefined } {
    return { verify: (token) => this.#engine?.runner.verifyToken(token) }
  }

  get engine(): Engine {
    if (this.#engine) return this.#engine
    if (isOrchError(this.#fault)) throw this.#fault
    throw new OrchError('ORCH_NO_NODE', 'the node has stopped')
  }

  async open(): Promise<void> {
    // A node of this process may have been closed before.
    keepSpare()
    const backend = this.#config.backend ?? 'file'
    if (backend === 'file') {
      this.#lock = acquireLock(this.dataDir)
      this.#releasers.push(() => this.#lock?.release())
    }
    const identity = backend === 'file' ? openIdentity(this.dataDir) : identityFromSeed(randomBytes(32))
    this.#nodeId = identity.node
    const author = this.#newAuthor()
    this.#edges = assembleEdges(this.dataDir, author, backend, (message) => this.#say('warn', message))
    for (const executor of this.#config.executors ?? []) this.#edges.executors.set(executor.kind, executor)
    const { git, log, mirror } = this.#edges
    this.#releasers.push(
      () => git.close(),
      () => log.close(),
      () => mirror?.close(),
    )
    this.#gitVersion = await git.version().then(
      (v) => v.text,
      () => undefined,
    )
    const engine = await this.#makeEngine(author)
    this.#engine = engine
    await engine.load()
    await this.#config.listen?.(this)
    await engine.begin()
  }

  #newAuthor(): Author {
    return { node: this.#nodeId, incarnation: createIncarnation(Date.now(), (n) => randomBytes(n)) }
  }

  async #makeEngine(author: Author): Promise<Engine> {
    const config = this.#config
    const edges = this.#edges!
    const store =
      (await config.openStore?.(author)) ??
      (await assembleStore({
        backend: config.backend ?? 'file',
        dataDir: this.dataDir,
        author,
        lock: this.#lock,
        onReport: (message) => {
          this.#reports.push(message)
          this.#say('warn', message)
        },
      }))
    const capacity = { ...machineCapacity(), ...config.capacity }
    const slots = config.slots ?? SLOTS_DEFAULT
    const capabilities = config.capabilities ?? []
    const engine: Engine = new Engine({
      author,
      store,
      dataDir: this.dataDir,
      git: edges.git,
      log: edges.log,
      ...(edges.mirror ? { mirror: edges.mirror } : {}),
      executors: edges.executors,
      core: {
        slots,
        capacity,
        capabilities,
        seed: randomInt(2 ** 47),
        staggerMs: STAGGER_MS_DEFAULT,
        settleMs: SETTLE_MS_DEFAULT,
        pendingTasksMax: config.pendingTasksMax ?? PENDING_TASKS_MAX,
        stallMs: config.stallMs ?? STALL_MS_DEFAULT,
      },
      record: { name: config.name ?? hostname(), slots, version: VERSION, capabilities },
      keepEnv: config.keepEnv ?? [],
      url: () => this.#url,
      markOutput: edges.markOutput,
      say: (level, message) => {
        this.#say(level, message)
        if (level !== 'info') this.#followers.alarm(message)
      },
      onBatch: (batch) => {
        for (const listener of this.#listeners) listener(batch)
      },
      onTurn: () => this.#followers.turned(),
      onFault: (error) => this.#failed(engine, error),
    })
    return engine
  }

  setUrl(url: string, _socketPath: string): void {
    this.#url = url
  }

  addExecutor(executor: Executor): void {
    this.#edges!.executors.set(executor.kind, executor)
    this.engine.addExecutor(executor)
  }

  onBatch(listener: (batch: Batch) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async hold(reason: string): Promise<void> {
    await this.engine.loop.post({ type: 'intake', closed: reason }).durable
  }

  async drain(): Promise<void> {
    const { loop, runner } = this.engine
    loop.post({ type: 'drain' })
    await Promise.all([runner.functions.idle(), ...[...runner.live.keys()].map((id) => runner.live.gone(id))])
    await loop.flushed()
  }

  close(options: CloseOptions = {}): Promise<void> {
    // A second, more urgent word hurries the first.
    if (options.now) this.#engine?.runner.hurry()
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  async #close(options: CloseOptions): Promise<void> {
    this.#cutPause()
    await this.#reopening
    const engine = this.#engine
    if (engine?.state.started && !options.leave && this.#fault === undefined) {
      const drained = this.drain()
      if (options.now) engine.runner.hurry()
      await drained.catch((error: unknown) => this.#say('warn', `while draining: ${String(error)}`))
    }
    if (engine) {
      await engine.loop.flushed().catch(() => undefined)
      await bury(engine)
      this.#engine = undefined
    }
    this.#followers.close()
    dropSpare()
    for (const release of this.#releasers.reverse()) {
      await Promise.resolve(release()).catch((error: unknown) =>
        this.#say('warn', `while closing: ${String(error)}`),
      )
    }
    this.#resolveClosed()
  }

  #stopSoon(now: boolean): Promise<void> {
    // The caller's answer leaves first.
    setImmediate(() => void this.close({ now }))
    return Promise.resolve()
  }

  /**
   * The store refused a write, or an invariant broke. What the disk did not take is forgotten: this life ends, process attempts go on under their shims, and the
   * next life replays what is really there. A broken invariant ends the node for good.
   */
  #failed(engine: Engine, error: unknown): void {
    // Of a life that is over, or not in use yet: its maker hears of it too.
    if (engine !== this.#engine) return
    this.#fault = isOrchError(error)
      ? error
      : new OrchError('ORCH_BUG', error instanceof Error ? error.message : String(error), { cause: error })
    const fault = this.#fault as OrchError
    this.#say('error', fault.code === 'ORCH_BUG' ? `${fault.message}\n${fault.stack ?? ''}` : fault.message)
    if (this.#closing) return
    this.#engine = undefined
    // The endpoint and everybody else who waits for the node to end.
    if (fault.code === 'ORCH_BUG') void bury(engine).then(() => this.close({ leave: true }))
    else this.#reopening = this.#reopen(engine)
  }

  /** One life after the other, until one begins. Never two at once: both would write the journal. */
  async #reopen(broken: Engine): Promise<void> {
    await bury(broken)
    for (;;) {
      await new Promise<void>((resume) => {
        const timer = setTimeout(resume, REOPEN_MS)
        this.#cutPause = () => {
          clearTimeout(timer)
          resume()
        }
        if (this.#closing) this.#cutPause()
      })
      if (this.#closing) return
      let engine: Engine | undefined
      try {
        engine = await this.#makeEngine(this.#newAuthor())
        await engine.load()
        await engine.begin()
      } catch (error) {
        this.#say('warn', `still not possible: ${error instanceof Error ? error.message : String(error)}`)
        if (engine) await bury(engine)
        continue
      }
      this.#engine = engine
      this.#fault = undefined
      this.#followers.rebound()
      this.#say('info', 'the store takes writes again: the node goes on')
      return
    }
  }

  #say(level: 'info' | 'warn' | 'error', message: string): void {
    this.#config.log?.(level, message)
  }

  #status(): NodeStatus {
    return nodeStatus(this.engine, {
      startedAt: this.#startedAt,
      backend: this.#config.backend ?? 'file',
      url: this.#url,
      reports: this.#reports,
      gitVersion: this.#gitVersion,
    })
  }
}
