/** One node under a virtual clock: inputs in, facts and effects kept for the test to look at. */
import type { Result } from '../../src/core/attempt.ts'
import type { Effect, EffectOf, StartRequest } from '../../src/core/effect.ts'
import type { Batch, Bodies, Collection, Fact, Order, RunHeader } from '../../src/core/fact.ts'
import type { Author } from '../../src/core/id.ts'
import type { AdoptedAttempt, Input, Reply } from '../../src/core/input.ts'
import { type NodeOptions, NodeState } from '../../src/core/node-state.ts'
import type { Capacity } from '../../src/core/quota.ts'
import { step } from '../../src/core/step.ts'
import type { MergePolicy, TaskSpec } from '../../src/core/task.ts'
import type { TaskState } from '../../src/core/task-state.ts'
import { BASE, FakeGit } from './fake-git.ts'

export const RUN = 'run-1'
const CAPACITY: Capacity = { cpu: 8, memoryBytes: 2 ** 33, gpu: 0, quota: {} }

export interface LoneOptions extends Partial<Omit<NodeOptions, 'author'>> {
  readonly author?: Author
  readonly git?: FakeGit
  /** Kinds in a process of their own that this node runs. Default `shell`. */
  readonly kinds?: readonly string[]
  /** Facts of earlier process lives. */
  readonly replay?: readonly Batch[]
  readonly adopted?: readonly AdoptedAttempt[]
  readonly finishedFor?: Readonly<Record<string, number>>
}

export function incarnation(n: number): string {
  return `01J${String(n).padStart(23, '0')}`
}

export class LoneNode {
  readonly state: NodeState
  readonly author: Author
  readonly git: FakeGit
  /** One batch a step, as the store would keep them. */
  readonly batches: Batch[] = []
  effects: Effect[] = []
  now = 1_000

  constructor(options: LoneOptions = {}) {
    this.author = options.author ?? { node: 'node-a', incarnation: incarnation(1) }
    this.git = options.git ?? new FakeGit()
    this.state = new NodeState({
      author: this.author,
      slots: options.slots ?? 5,
      capacity: options.capacity ?? CAPACITY,
      capabilities: options.capabilities ?? [],
      seed: options.seed ?? 1,
      staggerMs: options.staggerMs ?? 200,
      settleMs: options.settleMs ?? 500,
      pendingTasksMax: options.pendingTasksMax ?? 1_000_000,
      stallMs: options.stallMs ?? 0,
      ...(options.archiveAfterMs === undefined ? {} : { archiveAfterMs: options.archiveAfterMs }),
    })
    for (const batch of options.replay ?? []) this.do({ type: 'facts', batch })
    for (const kind of options.kinds ?? ['shell'])
      this.do({ type: 'kind', kind, inProcess: false, concurrency: 0 })
    for (const run of this.state.board.runs.keys())
      this.do({ type: 'recovered', run, commits: this.git.trailers(run) })
    this.do({
      type: 'started',
      adopted: options.adopted ?? [],
      record: { name: 'a', slots: options.slots ?? 5, version: '0' },
      ...(options.finishedFor ? { finishedFor: options.finishedFor } : {}),
    })
  }

  do(input: Input): Reply {
    const { facts, effects, reply } = step(this.state, input, this.now, this.now)
    if (facts.length > 0)
      this.batches.push({ author: this.author, n: this.batches.length + 1, at: this.now, facts })
    this.effects.push(...effects)
    return reply
  }

  #heard = 0

  /** A fact of another node, or of another life of this one. */
  hear<C extends Collection>(
    node: string,
    collection: C,
    key: string,
    body: Bodies[C],
    options: { readonly doc?: string; readonly life?: number } = {},
  ): void {
    const { doc = RUN, life = 1 } = options
    const author = { node, incarnation: incarnation(life + 50) }
    const fact = { doc, collection, key, body } as unknown as Fact
    this.do({ type: 'facts', batch: { author, n: ++this.#heard, at: 1, facts: [fact] } })
  }

  /** Lets time pass, from one timer to the next. */
  after(ms: number): void {
    const end = this.now + ms
    for (let at = this.state.wakeAt(); at !== undefined && at <= end; at = this.state.wakeAt()) {
      this.now = Math.max(this.now, at)
      this.do({ type: 'tick' })
    }
    this.now = end
    this.do({ type: 'tick' })
  }

  submit(
    tasks: Record<string, Partial<TaskSpec>>,
    options: {
      merge?: Partial<MergePolicy>
      repository?: boolean
      run?: string
      seal?: boolean
      integrator?: string
    } = {},
  ): Reply {
    const { run = RUN, repository = false, seal = true } = options
    const header: RunHeader = {
      name: run,
      creator: this.author.node,
      createdAt: 7,
      integrator: options.integrator ?? this.author.node,
      merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold', ...options.merge },
      ...(repository ? { base: BASE, repository: { id: 'repo', path: '/repo', base: BASE } } : {}),
    }
    const specs = Object.entries(tasks).map(
      ([id, spec], order) => [id, { kind: 'shell', order, ...spec }] as const,
    )
    return this.do({ type: 'submit', run, header, tasks: specs, seal })
  }

  order(subject: string, order: Order, run = RUN): Reply {
    return this.do({ type: 'order', run, subject, order })
  }

  task(id: string, run = RUN): TaskState {
    const task = this.state.board.task(run, id)
    if (!task) throw new Error(`no task ${id}`)
    return task
  }

  statuses(run = RUN): Record<string, string> {
    return Object.fromEntries(
      [...this.state.board.runs.get(run)!.tasks.values()].map((t) => [t.id, t.status]),
    )
  }

  /** Ids of the tasks that run here, in the order of their starts. */
  running(): string[] {
    return [...this.state.byTask.keys()].map((t) => t.id)
  }

  /** The attempt of a task ends; a success with files by default when the run has a repository, none with `files: 0`. */
  end(id: string, result: Partial<Result> = {}, run = RUN): void {
    const task = this.task(id, run)
    const attempt = this.state.byTask.get(task)
    if (!attempt) throw new Error(`${id} does not run`)
    const files = task.run.header?.repository && (result.outcome ?? 'done') === 'done' && result.files !== 0
    const work = files ? { base: BASE, head: `head-${id}-${attempt.slot.round}.${attempt.slot.epoch}` } : {}
    this.do({ type: 'attempt-ended', attempt: attempt.id, result: { outcome: 'done', ...work, ...result } })
  }

  fail(id: string, reason = 'exit 1'): void {
    this.end(id, { outcome: 'failed', reason })
  }

  /** Answers the git effects until there are none. */
  integrate(): void {
    for (;;) {
      const at = this.effects.findIndex(
        (e) => e.type === 'fold' || e.type === 'gate' || e.type === 'advance' || e.type === 'publish',
      )
      if (at < 0) return
      const [effect] = this.effects.splice(at, 1)
      this.do(this.git.answer(effect!)!)
    }
  }

  /** Runs everything to its end: each attempt ends as `work` says, at once, in the order of the starts. */
  runAll(work: (id: string) => Partial<Result> | undefined = () => ({}), steps = 10_000): void {
    for (let i = 0; i < steps; i++) {
      this.integrate()
      const next = [...this.state.byTask.values()].find((a) => work(a.task.id) !== undefined)
      if (!next) return
      this.end(next.task.id, work(next.task.id), next.task.run.id)
    }
    throw new Error('it does not end')
  }

  /** Takes the effects of one type out. */
  take<T extends Effect['type']>(type: T): EffectOf<T>[] {
    const found = this.effects.filter((e): e is EffectOf<T> => e.type === type)
    this.effects = this.effects.filter((e) => e.type !== type)
    return found
  }

  starts(): StartRequest[] {
    return this.take('start').map((e) => e.request)
  }

  get facts(): Fact[] {
    return this.batches.flatMap((b) => b.facts)
  }

  /** Facts of one collection, as `key body`. */
  said(collection: Fact['collection']): { key: string; body: unknown }[] {
    return this.facts.filter((f) => f.collection === collection).map(({ key, body }) => ({ key, body }))
  }

  /** The next process life of the same node, with what this one wrote. */
  restart(options: LoneOptions = {}): LoneNode {
    const n = Number(this.author.incarnation.slice(3)) + 1
    return new LoneNode({
      author: { node: this.author.node, incarnation: incarnation(n) },
      git: this.git,
      replay: [...(options.replay ?? this.batches)],
      ...options,
    })
  }
}

/** The answer, where it must be a yes. */
export function isOk(reply: Reply): Extract<Reply, { ok: true }> {
  if (!reply.ok) throw new Error(reply.message)
  return reply
}
