/**
 * One process life of a node over one store: core, loop and edges wired together. Made anew when the store failed, so that nothing is believed that the disk
 * did not take.
 */
import type { Effect } from '../core/effect.ts'
import { unreachable } from '../core/error.ts'
import type { Batch, NodeRecord } from '../core/fact.ts'
import type { AttemptId, Author, WallMs } from '../core/id.ts'
import type { AdoptedAttempt } from '../core/input.ts'
import { type NodeOptions, NodeState } from '../core/node-state.ts'
import { step } from '../core/step.ts'
import type { TaskState } from '../core/task-state.ts'
import type { Executor } from '../executor/executor.ts'
import type { Git } from '../git/git.ts'
import type { AttemptLog } from '../log/attempt-log.ts'
import type { Mirror } from '../store/mirror.ts'
import type { CoordStore } from '../store/store.ts'
import { AttemptRunner } from './attempt-runner.ts'
import { AttemptWork } from './attempt-work.ts'
import { Integrator } from './integrator.ts'
import { Loop } from './loop.ts'
import type { LiveView } from './view.ts'
import { entryAttempt } from './view.ts'

export interface EngineOptions {
  readonly author: Author
  readonly store: CoordStore
  readonly dataDir: string
  readonly git: Git
  readonly log: AttemptLog
  readonly mirror?: Mirror
  readonly executors: ReadonlyMap<string, Executor>
  readonly core: Omit<NodeOptions, 'author'>
  readonly record: NodeRecord
  readonly keepEnv?: readonly string[]
  readonly url: () => string | undefined
  readonly markOutput: (id: AttemptId) => Promise<void>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  readonly onBatch: (batch: Batch) => void
  readonly onTurn: () => void
  readonly onFault: (error: unknown) => void
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
  #lastRunAt: WallMs = 0
  #diskTimer: NodeJS.Timeout | undefined

  constructor(options: EngineOptions) {
    const { store, dataDir, git, log, say } = options
    this.options = options
    this.state = new NodeState({ ...options.core, author: options.author })
    this.loop = new Loop({
      state: this.state,
      store,
      perform: (effect) => this.#perform(effect),
      onBatch: options.onBatch,
      onTurn: options.onTurn,
      onFault: options.onFault,
    })
    const offer = this.loop.offer.bind(this.loop)
    const keepEnv = options.keepEnv ?? []
    this.work = new AttemptWork(dataDir, git)
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
    this.integrator = new Integrator({ dataDir, git, offer, say, keepEnv })
  }

  /** Replays the board: it can be read and written from here on; nothing is started yet. */
  async load(): Promise<void> {
    const { store, executors } = this.options
    const { state, loop } = this
    for await (const batch of store.facts())
      step(state, { type: 'facts', batch }, performance.now(), Date.now())
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
    const { durable } = this.loop.post({ type: 'started', adopted, record: this.options.record })
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
            open.push({ task, id: entryAttempt(task, entry) })
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
        const inputs = await this.integrator.recover(run.id, header.repository.id, header.base)
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
      case 'alarm':
        return this.options.say('warn', effect.message)
      default:
        return unreachable(effect)
    }
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
    clearInterval(this.#diskTimer)
    this.runner.detach()
    this.integrator.close()
    this.loop.stop()
  }

  /** Resolves when nothing of this life is under way any more. Call after `abandon`. */
  async settled(): Promise<void> {
    await Promise.all([this.runner.settled(), this.integrator.settled()])
  }
}

const DISK_LOOK_MS = 5_000
