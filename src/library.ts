/** The library's face: typed, promise-based, over the same NodeFace as everything else. */

import { serve as serveEndpoint } from './api/serve.ts'
import { OrchError } from './core/error.ts'
import { createEventDeriver, type TaskEvent } from './core/event.ts'
import type { RunId, TaskId } from './core/id.ts'
import type { RunStatus } from './core/run-state.ts'
import type { Json, MergePolicy, TaskSpec } from './core/task.ts'
import { createWorkerExecutor, type WorkerTask } from './executor/worker.ts'
import type { NodeFace, RunSummary, TaskSummary } from './node/face.ts'
import { openNode } from './node/node.ts'
import type { NodeConfig } from './node/node-config.ts'
import type { OpenNode } from './node/open-node.ts'

/** A function that takes tasks of one kind. */
export interface Worker<P extends Json = Json> {
  readonly kind: string
  /** Calls at once; default 1. */
  readonly concurrency?: number
  /** What it returns (JSON, at most 64 KiB) is the task's value; what it throws is the reason of a failure. */
  run(task: WorkerTask & { readonly payload: P }): unknown
}

/** Only gives the worker its types. */
export function defineWorker<P extends Json = Json>(worker: Worker<P>): Worker<P> {
  return worker
}

export interface NodeSettings extends Omit<NodeConfig, 'listen' | 'openStore'> {
  // biome-ignore lint/suspicious/noExplicitAny: payload types differ from worker to worker
  readonly workers?: readonly Worker<any>[]
  /** Serves the local endpoint too, so that the command line can watch this node. Default false. */
  readonly serve?: boolean | { readonly httpPort?: number }
}

/** A task as a program writes it: an id, and the fields of a plan's task. */
export type TaskInput = { readonly id: TaskId } & TaskSpec

export interface RunInput {
  readonly name: string
  readonly tasks: readonly TaskInput[]
  readonly merge?: MergePolicy
  /** Path of a git repository; absent = tasks without files. */
  readonly repository?: string
  readonly base?: string
  /** True leaves the run open for `add`. */
  readonly open?: boolean
}

export interface RunResult {
  readonly run: RunId
  readonly outcome: RunStatus
  readonly summary: RunSummary
}

export interface Run {
  readonly id: RunId
  /** Resolves when the run is finished, whatever came of it. Rejects only when the node is closed before. */
  readonly done: Promise<RunResult>
  /** Adds tasks to an open run. Resolves when they are durable. */
  add(tasks: readonly TaskInput[]): Promise<void>
  /** No more tasks will come: the run can finish. */
  seal(): Promise<void>
  tasks(): Promise<readonly TaskSummary[]>
  /** What a task's worker returned. */
  value(task: TaskId): Promise<Json | undefined>
  cancel(reason?: string): Promise<void>
}

export type NodeEvent =
  | {
      [K in TaskEvent['type']]: {
        readonly type: `task.${K}`
        readonly event: Extract<TaskEvent, { type: K }>
      }
    }[TaskEvent['type']]
  | { readonly type: 'run.finished'; readonly run: RunId; readonly outcome: RunStatus }

export interface Node {
  readonly id: string
  /** All that the command line can do. */
  readonly face: NodeFace
  addWorker<P extends Json>(worker: Worker<P>): void
  submit(input: RunInput): Promise<Run>
  /** Events from now on. Listeners may not throw. Returns how to end it. */
  on<T extends NodeEvent['type']>(
    type: T,
    listener: (event: Extract<NodeEvent, { type: T }>) => void,
  ): () => void
  /** Ends what runs, with its work saved, and closes. Idempotent. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export async function createNode(settings: NodeSettings = {}): Promise<Node> {
  const { workers = [], serve, ...config } = settings
  const executors = [...(config.executors ?? []), ...workers.map(executorOf)]
  const isMemory = config.backend === undefined && config.dataDir === undefined
  // Else the data directory says: one that belongs to a cluster goes on in it.
  const open = await openNode({ ...config, ...(isMemory ? { backend: 'memory' as const } : {}), executors })
  const library = new LibraryNode(open)
  if (serve) {
    const served = await serveEndpoint(open, typeof serve === 'object' ? serve : {})
    library.onClose(() => served.close())
  }
  return library
}

function executorOf(worker: Worker): ReturnType<typeof createWorkerExecutor> {
  return createWorkerExecutor({
    kind: worker.kind,
    concurrency: worker.concurrency ?? 1,
    run: (task) => worker.run(task),
  })
}

function entries(tasks: readonly TaskInput[]): [TaskId, TaskSpec][] {
  return tasks.map(({ id, ...spec }) => [id, spec])
}

/** Who waits for the end of a run. */
interface Waiting {
  readonly settle: () => void
  readonly reject: (error: OrchError) => void
}

class LibraryNode implements Node {
  readonly #open: OpenNode
  readonly #listeners = new Map<string, Set<(event: NodeEvent) => void>>()
  readonly #waiting = new Map<RunId, Waiting[]>()
  readonly #closers: (() => Promise<void>)[] = []
  #stopEvents: (() => void) | undefined

  constructor(open: OpenNode) {
    this.#open = open
    // Closings are rare: one look at each batch's last facts is cheap.
    const stop = open.onBatch((batch) => {
      for (const fact of batch.facts) {
        if (fact.collection !== 'orders' || fact.body.verb !== 'close') continue
        const run = fact.doc
        const outcome = fact.body.outcome
        for (const { settle } of this.#waiting.get(run) ?? []) settle()
        this.#waiting.delete(run)
        // After the events of the tasks that ended in the same commit.
        queueMicrotask(() => this.#emit({ type: 'run.finished', run, outcome }))
      }
    })
    this.#closers.push(async () => stop())
    void open.closed.then(() => {
      for (const [run, waiting] of this.#waiting)
        for (const { reject } of waiting)
          reject(new OrchError('ORCH_NO_NODE', `the node was closed before run ${run} was finished`))
      this.#waiting.clear()
    })
  }

  get id(): string {
    return this.#open.node
  }

  get face(): NodeFace {
    return this.#open.face
  }

  onClose(closer: () => Promise<void>): void {
    this.#closers.push(closer)
  }

  addWorker<P extends Json>(worker: Worker<P>): void {
    this.#open.addExecutor(executorOf(worker as unknown as Worker))
  }

  async submit(input: RunInput): Promise<Run> {
    const tasks = entries(input.tasks)
    const answer = await this.face.submit({
      name: input.name,
      tasks,
      ...(input.merge ? { merge: input.merge } : {}),
      ...(input.repository ? { repository: input.repository } : {}),
      ...(input.base ? { base: input.base } : {}),
      seal: !input.open,
    })
    return this.#run(answer.run)
  }

  #run(id: RunId): Run {
    const { face } = this
    const finished = (): boolean => this.#open.engine.state.board.runs.get(id)?.finished === true
    const done = new Promise<RunResult>((resolve, reject) => {
      const settle = (): void => {
        face
          .run({ run: id })
          .then((summary) => resolve({ run: id, outcome: summary.status, summary }), reject)
      }
      if (finished()) return settle()
      this.#waiting.set(id, [...(this.#waiting.get(id) ?? []), { settle, reject }])
    })
    // Who does not look at it must not bring the program down when the node is closed.
    done.catch(() => {})
    return {
      id,
      done,
      add: async (tasks) => void (await face.addTasks({ run: id, tasks: entries(tasks) })),
      seal: async () => void (await face.addTasks({ run: id, tasks: [], seal: true })),
      tasks: () => face.tasks({ run: id }),
      value: async (task) =>
        (await face.task({ task: `${id}/${task}` })).attemptList.findLast((a) => a.outcome === 'done')?.value,
      cancel: (reason) => face.cancel({ run: id, ...(reason ? { reason } : {}) }),
    }
  }

  on<T extends NodeEvent['type']>(
    type: T,
    listener: (event: Extract<NodeEvent, { type: T }>) => void,
  ): () => void {
    const set = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, set)
    const typed = listener as (event: NodeEvent) => void
    set.add(typed)
    // Deriving costs a little per fact: only while somebody listens to tasks.
    if (type !== 'run.finished') {
      const derive = createEventDeriver()
      this.#stopEvents ??= this.#open.onBatch((batch) => {
        for (const event of derive(batch)) this.#emit({ type: `task.${event.type}`, event } as NodeEvent)
      })
    }
    return () => set.delete(typed)
  }

  #emit(event: NodeEvent): void {
    for (const listener of this.#listeners.get(event.type) ?? []) listener(event)
  }

  async close(): Promise<void> {
    this.#stopEvents?.()
    for (const closer of this.#closers.splice(0).reverse()) await closer()
    await this.#open.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
