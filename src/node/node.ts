/**
 * A node: one data directory, one identity, one process life after the other. Opening takes the lock, replays the board, adopts what still runs and begins;
 * closing gives back what runs, or leaves it to be adopted. Whoever acquires pushes its undo; release runs them once, last first.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { isOrchError, OrchError } from '../core/error.ts'
import type { Batch } from '../core/fact.ts'
import type { AttemptId, Author, DocId, DurationMs } from '../core/id.ts'
import { DRAIN_MS_DEFAULT, SLOTS_DEFAULT, SLOTS_MAX } from '../core/limit.ts'
import type { Executor } from '../executor/executor.ts'
import { dropSpare, keepSpare } from '../executor/spare.ts'
import { type Identity, identityFromSeed, openIdentity } from '../net/identity.ts'
import { acquireLock } from '../store/lock.ts'
import { assembleEdges, type Edges } from './assemble.ts'
import { type BoardView, openBoardView } from './board-view.ts'
import { Clock } from './clock.ts'
import type { Cluster } from './cluster.ts'
import { readClusterFile } from './cluster-file.ts'
import type { Engine } from './engine.ts'
import type { NodeFace, NodeStatus } from './face.ts'
import { FaceHistory } from './face-history.ts'
import type { FaceHost } from './face-part.ts'
import { Followers } from './followers.ts'
import { handsOf } from './hands.ts'
import { makeEngine, newAuthor } from './life.ts'
import { LocalFace } from './local-face.ts'
import { Membership } from './membership.ts'
import type { NodeConfig } from './node-config.ts'
import { nodeStatus } from './node-status.ts'
import type { CloseOptions, OpenNode } from './open-node.ts'

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
  #cluster: Cluster | undefined
  #identity!: Identity
  readonly #clock = new Clock()
  readonly #membership: Membership
  #fault: unknown
  #url: string | undefined
  #closing: Promise<void> | undefined
  #reopening: Promise<void> | undefined
  #cutPause: () => void = () => {}
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
    this.#membership = new Membership({
      config,
      dataDir: this.dataDir,
      clock: this.#clock,
      lock: () => this.#lock!,
      identity: () => this.#identity,
      calls: () =>
        handsOf({
          history: new FaceHistory(host),
          roleOf: (node) => this.#engine?.state.roster?.role(node) ?? 'none',
          drain: (deadlineMs) => this.#beginDrain(deadlineMs),
          undrain: () => this.undrain(),
        }),
      engine: () => this.engine,
      cluster: () => this.#cluster,
      enter: (change) => this.#enter(change),
      end: () => this.close(),
      say: (level, message) => this.#say(level, message),
    })
    const host: FaceHost = {
      engine: () => this.engine,
      cluster: () => this.#cluster,
      membership: this.#membership,
      followers: this.#followers,
      status: () => this.#status(),
      onBatch: (listener) => this.onBatch(listener),
      drain: (deadlineMs) => this.#beginDrain(deadlineMs),
      undrain: () => this.undrain(),
      stop: (now) => this.#stopSoon(now),
    }
    this.face = new LocalFace(host)
  }

  get node(): string {
    return this.#identity.node
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
    const isMemory = this.#config.backend === 'memory'
    if (!isMemory) {
      this.#lock = acquireLock(this.dataDir)
      this.#releasers.push(() => this.#lock?.release())
    }
    this.#identity = isMemory ? identityFromSeed(randomBytes(32)) : openIdentity(this.dataDir)
    const author = newAuthor(this.node, isMemory ? undefined : this.dataDir)
    this.#edges = assembleEdges(this.dataDir, author, isMemory ? 'memory' : 'file', (message) =>
      this.#say('warn', message),
    )
    for (const executor of this.#config.executors ?? []) this.#edges.executors.set(executor.kind, executor)
    const { git, log, mirror } = this.#edges
    this.#releasers.push(
      () => git.close(),
      () => log.close(),
      () => mirror?.close(),
      () => this.#cluster?.close(),
    )
    this.#gitVersion = await git.version().then(
      (v) => v.text,
      () => undefined,
    )
    if (!isMemory) await this.#openCluster()
    const engine = await this.#makeEngine(author)
    this.#engine = engine
    await engine.load()
    await this.#config.listen?.(this)
    await this.#cluster?.attach(engine)
    await engine.begin()
  }

  /** What the data directory or the configuration says of a cluster. */
  async #openCluster(): Promise<void> {
    const { join: ways, backend, onJoin } = this.#config
    let file = readClusterFile(this.dataDir)
    if (file && backend === 'file')
      throw new OrchError('ORCH_OTHER_CLUSTER', `this node belongs to the cluster "${file.name}"`, {
        hint: 'leave `--backend file` away, or `orch-node leave` first',
      })
    if (ways && ways.length > 0) file = await this.#membership.enterBy(ways, file, onJoin ?? (() => {}))
    else if (!file && backend === 'crdt') file = this.#membership.found()
    if (file) this.#cluster = await this.#membership.open(file, this.#edges!)
  }

  /**
   * The node goes on under another backend: it founds a cluster or joins one while it runs. Process attempts go on under their shims, and are adopted by the next life;
   * whoever follows sees it go on.
   */
  async #enter(change: (edges: Edges) => Promise<Cluster>): Promise<void> {
    const before = this.engine
    this.#engine = undefined
    this.#fault = new OrchError('ORCH_NODE_TIMEOUT', 'the node is changing to the board of its cluster', {
      hint: 'try again in a moment',
    })
    await before.loop.flushed()
    await this.#bury(before)
    try {
      this.#cluster = await change(this.#edges!)
    } finally {
      this.#reopening = this.#reopen(0)
    }
    await this.#reopening
  }

  async #makeEngine(author: Author): Promise<Engine> {
    const engine: Engine = await makeEngine({
      config: this.#config,
      dataDir: this.dataDir,
      author,
      edges: this.#edges!,
      clock: this.#clock,
      lock: this.#lock,
      cluster: this.#cluster,
      url: () => this.#url,
      say: (level, message) => {
        this.#say(level, message)
        if (level !== 'info') this.#followers.alarm(message)
      },
      onReport: (message) => {
        this.#reports.push(message)
        this.#say('warn', message)
      },
      onBatch: (batch) => {
        for (const listener of this.#listeners) listener(batch)
      },
      onTurn: () => this.#followers.turned(),
      onFault: (error) => this.#failed(engine, error),
      onRebuild: (reason) => this.#rebuild(engine, reason),
      onArchive: (run) => this.#cluster?.archive(run),
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

  async board(doc: DocId): Promise<BoardView> {
    return openBoardView(this.engine, this.#cluster, doc)
  }

  onBatch(listener: (batch: Batch) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async hold(reason: string): Promise<void> {
    await this.engine.loop.post({ type: 'intake', closed: reason }).durable
  }

  async drain(): Promise<void> {
    await this.#beginDrain(0)
    const { loop, runner } = this.engine
    await Promise.all([runner.functions.idle(), ...[...runner.live.keys()].map((id) => runner.live.gone(id))])
    await loop.flushed()
  }

  async undrain(): Promise<void> {
    await this.engine.loop.post({ type: 'undrain' }).durable
  }

  /** Nothing new is taken from here on; what runs goes on until the deadline. */
  async #beginDrain(deadlineMs: DurationMs = DRAIN_MS_DEFAULT): Promise<void> {
    await this.engine.loop.post({ type: 'drain', deadlineMs }).durable
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
      await this.#cluster?.leaving(options.leave ? 'upgrade' : 'stop')
      await this.#bury(engine)
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
    if (fault.code === 'ORCH_BUG') void this.#bury(engine).then(() => this.close({ leave: true }))
    else this.#reopening = this.#bury(engine).then(() => this.#reopen(REOPEN_MS))
  }

  /** Facts that were believed do not count: the board is read anew, without them, by a new life. */
  #rebuild(engine: Engine, reason: string): void {
    if (engine !== this.#engine || this.#closing) return
    this.#say('warn', `the board is read anew: ${reason}`)
    this.#fault = new OrchError('ORCH_NODE_TIMEOUT', 'the node is reading its board anew', {
      hint: 'try again in a moment',
    })
    this.#engine = undefined
    this.#reopening = engine.loop
      .flushed()
      .catch(() => undefined)
      .then(() => this.#bury(engine))
      .then(() => this.#reopen(0))
  }

  /** Ends a life of the node: nothing of it is believed or done any more, and the store is free for the next. */
  async #bury(engine: Engine): Promise<void> {
    engine.abandon()
    await engine.settled()
    await this.#cluster?.detach()
    await engine.options.store.close()
  }

  /** One life after the other, until one begins. Never two at once: both would write the journal. */
  async #reopen(firstPauseMs: DurationMs): Promise<void> {
    for (let pauseMs = firstPauseMs; ; pauseMs = REOPEN_MS) {
      await new Promise<void>((resume) => {
        const timer = setTimeout(resume, pauseMs)
        this.#cutPause = () => {
          clearTimeout(timer)
          resume()
        }
        if (this.#closing) this.#cutPause()
      })
      if (this.#closing) return
      let engine: Engine | undefined
      try {
        engine = await this.#makeEngine(
          newAuthor(this.node, this.#config.backend === 'memory' ? undefined : this.dataDir),
        )
        await engine.load()
        await this.#cluster?.attach(engine)
        await engine.begin()
      } catch (error) {
        this.#say('warn', `still not possible: ${error instanceof Error ? error.message : String(error)}`)
        if (engine) await this.#bury(engine)
        continue
      }
      this.#engine = engine
      this.#fault = undefined
      this.#followers.rebound()
      const why = firstPauseMs > 0 ? 'the store takes writes again: ' : ''
      this.#say('info', `${why}the node goes on`)
      return
    }
  }

  #say(level: 'info' | 'warn' | 'error', message: string): void {
    this.#config.log?.(level, message)
  }

  #status(): NodeStatus {
    return nodeStatus(this.engine, {
      startedAt: this.#startedAt,
      backend: this.#config.backend === 'memory' ? 'memory' : this.#cluster ? 'crdt' : 'file',
      url: this.#url,
      cluster: this.#cluster,
      reports: this.#reports,
      gitVersion: this.#gitVersion,
    })
  }
}
