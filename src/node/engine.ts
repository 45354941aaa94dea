/**
 * One process life of a node over one store: core, loop and edges wired together. Made anew when the store failed, so that nothing is believed that the disk
 * did not take.
 */

import { setMaxListeners } from 'node:events'
import { attemptOf } from '../core/attempt-name.ts'
import type { Effect, EffectOf } from '../core/effect.ts'
import { isOrchError, unreachable } from '../core/error.ts'
import type { Batch, NodeRecord } from '../core/fact.ts'
import { type AttemptId, type Author, CLUSTER_DOC, type RunId, shortNode, type WallMs } from '../core/id.ts'
import type { AdoptedAttempt, InputOf } from '../core/input.ts'
import { type NodeOptions, NodeState } from '../core/node-state.ts'
import { step } from '../core/step.ts'
import type { TaskState } from '../core/task-state.ts'
import type { Executor } from '../executor/executor.ts'
import type { Git } from '../git/git.ts'
import type { AttemptLog } from '../log/attempt-log.ts'
import type { Mirror } from '../store/mirror.ts'
import type { CoordStore } from '../store/store.ts'
import { finishedFor } from './archive-run.ts'
import { AttemptRunner } from './attempt-runner.ts'
import { AttemptWork } from './attempt-work.ts'
import type { Clock } from './clock.ts'
import { Integrator } from './integrator.ts'
import { Loop } from './loop.ts'
import type { Objects } from './objects.ts'
import { needResult } from './run-objects.ts'
import type { LiveView } from './view.ts'

export interface EngineOptions {
  readonly author: Author
  readonly store: CoordStore
  readonly dataDir: string
  readonly git: Git
  readonly log: AttemptLog
  readonly mirror?: Mirror
  readonly executors: ReadonlyMap<string, Executor>
  readonly core: Omit<NodeOptions, 'author'>
  /** What this node says of itself; asked when it begins. */
  readonly record: () => NodeRecord
  readonly clock: Clock
  /** Brings commits of other members here; absent on one machine. */
  readonly objects?: Objects
  readonly keepEnv?: readonly string[]
  readonly url: () => string | undefined
  readonly markOutput: (id: AttemptId) => Promise<void>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  readonly onBatch: (batch: Batch) => void
  readonly onTurn: () => void
  readonly onFault: (error: unknown) => void
  /** A run is over for good and forgotten: what is kept of it goes into the archive. */
  readonly onArchive: (run: RunId) => void
  /** Facts that were believed do not count: the board has to be read anew. */
  readonly onRebuild: (reason: string) => void
}

export class Engine {
  readonly options: EngineOptions
  readonly state: NodeState
  readonly loop: Loop
  readonly runner: AttemptRunner
  readonly work: AttemptWork
  readonly integrator: Integrator
  /** What was found and mended at the start, for people. */
  readonly recovery: string[] = []
  #unwatch: () => void = () => {}
  /** When the last of each run was said that the board held when it was read. */
  readonly #lastWords = new Map<RunId, WallMs>()
  #lastRunAt: WallMs = 0
  /** Aborts what is under way when the life is over. */
  readonly #life = new AbortController()
  readonly #fetches = new Set<Promise<void>>()
  #diskTimer: NodeJS.Timeout | undefined

  constructor(options: EngineOptions) {
    const { store, dataDir, git, log, say } = options
    this.options = options
    // Everything under way listens to it.
    setMaxListeners(0, this.#life.signal)
    this.state = new NodeState({ ...options.core, author: options.author })
    this.loop = new Loop({
      state: this.state,
      store,
      perform: (effect) => this.#perform(effect),
      onBatch: options.onBatch,
      now: () => options.clock.now(),
      onTurn: options.onTurn,
      onFault: options.onFault,
    })
    const offer = this.loop.offer.bind(this.loop)
    const keepEnv = options.keepEnv ?? []
    this.work = new AttemptWork(dataDir, git, options.objects)
    this.runner = new AttemptRunner({
      dataDir,
      work: this.work,
      log,
      executors: options.executors,
      nodeId: options.author.node,
      offer: (input) => {
        offer(input)
        if (input.type === 'intake' && input.closed !== undefined) this.#watchDisk()
      },
      written: () => this.loop.flushed(),
      say,
      url: options.url,
      markOutput: options.markOutput,
      keepEnv,
      ...(options.mirror ? { mirror: options.mirror } : {}),
    })
    this.integrator = new Integrator({
      dataDir,
      git,
      offer,
      say,
      keepEnv,
      ...(options.objects ? { objects: options.objects } : {}),
    })
  }

  /** Replays the board: it can be read and written from here on; nothing is started yet. */
  async load(): Promise<void> {
    const { store, executors } = this.options
    const { state, loop } = this
    // Who counts is known before what they said: else a removal that comes late in the order would ask for the board to be read anew.
    if (state.roster) {
      for await (const batch of store.facts({ doc: CLUSTER_DOC, collection: 'members' }))
        step(state, { type: 'facts', batch }, this.options.clock.now(), Date.now())
    }
    for await (const batch of store.facts()) {
      step(state, { type: 'facts', batch }, this.options.clock.now(), Date.now())
      for (const { doc } of batch.facts)
        this.#lastWords.set(doc, Math.max(this.#lastWords.get(doc) ?? 0, batch.at))
    }
    this.#unwatch = store.watch((batch) => loop.offer({ type: 'facts', batch }))
    for (const run of state.board.runs.values())
      this.#lastRunAt = Math.max(this.#lastRunAt, run.header?.createdAt ?? 0)
    for (const executor of executors.values()) this.#offerKind(executor)
  }

  /** Finds what still runs, mends what a crash left between ref and fact, and starts attempts from here on. */
  async begin(): Promise<void> {
    await this.#endLeftovers()
    const adopted = await this.#adopt()
    await this.#recoverRefs()
    const { archiveAfterMs = 0 } = this.options.core
    const { durable } = this.loop.post({
      type: 'started',
      adopted,
      record: this.options.record(),
      finishedFor: finishedFor(this.#lastWords, Date.now(), archiveAfterMs),
    })
    this.#lastWords.clear()
    this.runner.begin()
    await durable
  }

  /** Runs of one node have a strict order, even when they are submitted in one millisecond: "the latest run" is one run. */
  nextRunAt(): WallMs {
    this.#lastRunAt = Math.max(Date.now(), this.#lastRunAt + 1)
    return this.#lastRunAt
  }

  /** A worker kind that came after the start. */
  addExecutor(executor: Executor): void {
    this.#offerKind(executor)
    this.announce()
  }

  /** Tells the members what this node offers, when that is something else than before. */
  announce(): void {
    if (this.state.started) this.loop.post({ type: 'record', record: this.options.record() })
  }

  #offerKind(executor: Executor): void {
    const concurrency = (executor as { readonly concurrency?: number }).concurrency ?? 0
    this.loop.post({ type: 'kind', kind: executor.kind, inProcess: !executor.survives, concurrency })
  }

  async #adopt(): Promise<AdoptedAttempt[]> {
    const { state, runner } = this
    const { incarnation } = this.options.author
    const open: { task: TaskState; id: string }[] = []
    // Whatever its task is by now: one that was cancelled or overtaken a moment before the crash still runs.
    for (const run of state.board.runs.values()) {
      for (const task of run.tasks.values()) {
        for (const entry of task.entries) {
          const isEarlier = entry.node === state.me && entry.incarnation !== incarnation
          if (isEarlier && entry.start && !entry.result && task.spec)
            open.push({ task, id: attemptOf(task, entry) })
        }
      }
    }
    const adopted: AdoptedAttempt[] = []
    await Promise.all(
      open.map(async ({ task, id }) => {
        const found = await runner.adopt(id, task.spec!)
        if (found) adopted.push({ attempt: id, ageMs: found.ageMs })
      }),
    )
    if (adopted.length > 0)
      this.recovery.push(`${adopted.length} running attempt${adopted.length === 1 ? '' : 's'} adopted`)
    const lost = open.length - adopted.length
    if (lost > 0)
      this.recovery.push(
        `${lost} attempt${lost === 1 ? '' : 's'} had not begun or left nothing: started again`,
      )
    return adopted
  }

  async #endLeftovers(): Promise<void> {
    const ended = await this.integrator.endLeftovers()
    if (ended > 0)
      this.recovery.push(`${ended} process${ended === 1 ? '' : 'es'} of an unfinished gate ended`)
  }

  /** The ref moves before its accepts are written: after a crash between the two, the facts follow from the trailers. */
  async #recoverRefs(): Promise<void> {
    for (const run of this.state.board.runs.values()) {
      const header = run.header
      if (!header?.repository || !header.base || !this.state.isIntegrator(run) || run.finished) continue
      try {
        const inputs = await this.integrator.recover(run.id, header.repository.id, header.base, run.term)
        const before = run.count('accepted')
        for (const input of inputs) this.loop.post(input)
        const found = run.count('accepted') - before
        if (found > 0)
          this.recovery.push(
            `run ${run.id}: ${found} accepted commit${found === 1 ? '' : 's'} read back from its ref`,
          )
      } catch (error) {
        this.options.say(
          'warn',
          `run ${run.id}: its ref could not be read: ${error instanceof Error ? error.message : String(error)}`,
        )
      }
    }
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'start':
        return this.runner.start(effect.request)
      case 'stop':
        return this.runner.stop(effect.attempt, effect.reason, effect.graceMs)
      case 'hint':
        return this.runner.hint(effect.attempt, effect.text)
      case 'fold':
      case 'gate':
      case 'advance':
      case 'publish':
        return this.integrator.perform(effect)
      case 'fetch':
        return this.#fetch(effect)
      case 'archive':
        return this.options.onArchive(effect.run)
      case 'rebuild':
        return this.options.onRebuild(effect.reason)
      case 'alarm':
        return this.options.say('warn', effect.message)
      default:
        return unreachable(effect)
    }
  }

  /** Keeps what another member made: from then on it outlives its author. */
  #fetch(effect: EffectOf<'fetch'>): void {
    const { objects, say } = this.options
    const { slot, by } = effect
    const answer = (input: Pick<InputOf<'fetched'>, 'answer' | 'reason'>): void =>
      this.loop.offer({ type: 'fetched', slot, by, ...input })
    if (!objects) return answer({ answer: 'failed', reason: 'this node belongs to no cluster' })
    const done = needResult(objects, effect, this.#life.signal).then(
      () => answer({ answer: 'ok' }),
      (error: unknown) => {
        if (this.#life.signal.aborted) return
        const reason = error instanceof Error ? error.message : String(error)
        say('info', `result of ${effect.attempt}: ${reason}`)
        answer({
          answer: isOrchError(error) && error.code === 'ORCH_GIT_HOSTILE' ? 'refused' : 'failed',
          reason,
        })
      },
    )
    this.#fetches.add(done)
    void done.finally(() => this.#fetches.delete(done))
  }

  /** Looks again while the disk is full, and only then. */
  #watchDisk(): void {
    const { say } = this.options
    this.#diskTimer ??= setInterval(() => {
      const look = this.work.hasRoom().then((has) => {
        if (!has) return
        clearInterval(this.#diskTimer)
        this.#diskTimer = undefined
        this.loop.offer({ type: 'intake' })
      })
      look.catch((error: unknown) => say('warn', `free disk space: ${String(error)}`))
    }, DISK_LOOK_MS)
    this.#diskTimer.unref()
  }

  readonly live: LiveView = {
    nameOf: (node) => this.state.board.nodes.get(node)?.value.name ?? shortNode(node),
    activity: (task) => {
      const local = this.state.byTask.get(task)
      const live = local && this.runner.live.get(local.id)
      if (!live) return undefined
      return {
        ...(live.step === undefined ? {} : { step: live.step }),
        ...(live.activity === undefined ? {} : { activity: live.activity }),
      }
    },
    integrating: (run) => this.integrator.busy.get(run.id),
  }

  /** Ends the life: nothing is stepped any more. Process attempts go on and are adopted by the next. */
  abandon(): void {
    this.#unwatch()
    this.#life.abort()
    clearInterval(this.#diskTimer)
    this.runner.detach()
    this.integrator.close()
    this.loop.stop()
  }

  /** Resolves when nothing of this life is under way any more. Call after `abandon`. */
  async settled(): Promise<void> {
    await Promise.all([this.runner.settled(), this.integrator.settled(), ...this.#fetches])
  }
}

const DISK_LOOK_MS = 5_000
