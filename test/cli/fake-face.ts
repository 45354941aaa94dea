/** A node's face over plain tables, so that a command can be shown any state. Records what it was asked; refuses names that it does not have. */
import { OrchError } from '../../src/core/error.ts'
import type { TaskStatus } from '../../src/core/status.ts'
import type {
  AttemptSummary,
  ConflictItem,
  EventItem,
  ExportItem,
  JoinUpdate,
  LogChunk,
  MembersAnswer,
  NodeFace,
  NodeStatus,
  RunSummary,
  RunUpdate,
  TaskDetail,
  TaskSummary,
  WorkspaceItem,
} from '../../src/node/face.ts'
import { AT, CLUSTER, MEMBERS, NODE, TOKEN } from './fake-cluster.ts'

export const INCARNATION = '01JDFAKEFAKEFAKEFAKEFAKE00'

export interface FakeTask extends TaskSummary {
  readonly attemptList?: readonly AttemptSummary[]
  readonly rejects?: TaskDetail['rejects']
  readonly output?: string
  readonly diff?: string
  readonly spec?: TaskDetail['spec']
}

export function runOf(id: string, fields: Partial<RunSummary> = {}): RunSummary {
  return {
    id,
    name: id.replace(/-[0-9a-f]{4}$/, ''),
    status: 'running',
    createdAt: AT,
    tasks: 0,
    counts: {},
    merge: { mode: 'combined', onConflict: 'retry', onPartial: 'land' },
    ...fields,
  }
}

export function taskOf(
  run: string,
  id: string,
  status: TaskStatus,
  fields: Partial<FakeTask> = {},
): FakeTask {
  return {
    run,
    id,
    kind: 'shell',
    status,
    priority: 'medium',
    needs: [],
    round: 1,
    epoch: 1,
    attempts: 0,
    failures: 0,
    order: 0,
    ...fields,
  }
}

export class FakeFace implements NodeFace {
  readonly calls: { readonly method: string; readonly request: unknown }[] = []
  readonly runTable = new Map<string, RunSummary>()
  readonly taskTable = new Map<string, FakeTask>()
  conflictList: readonly ConflictItem[] = []
  eventList: readonly EventItem[] = []
  exportList: readonly ExportItem[] = []
  workspaceList: readonly WorkspaceItem[] = []
  /** What `followRun` tells after the run and its tasks; the last one ends it unless it waits for the signal. */
  updates: readonly RunUpdate[] = []
  /** Thrown by the next call of a method. */
  readonly faults = new Map<string, unknown>()
  membersAnswer = MEMBERS
  /** What `join` tells; without a last `joined` it waits for the signal. */
  joinUpdates: readonly JoinUpdate[] = [
    { type: 'joined', cluster: CLUSTER.id, name: CLUSTER.name, role: 'worker' },
  ]
  stopped = false
  statusFields: Partial<NodeStatus> = {}

  add(run: RunSummary, ...tasks: readonly FakeTask[]): void {
    this.runTable.set(run.id, { ...run, tasks: tasks.length })
    for (const [order, task] of tasks.entries())
      this.taskTable.set(`${run.id}/${task.id}`, { ...task, order })
  }

  request(method: string): unknown {
    return this.calls.findLast((call) => call.method === method)?.request
  }

  #called(method: string, request: unknown): void {
    this.calls.push({ method, request })
    const fault = this.faults.get(method)
    this.faults.delete(method)
    if (fault !== undefined) throw fault
    if (this.stopped) throw new OrchError('ORCH_NO_NODE', 'the node has stopped')
  }

  #run(name: string | undefined): RunSummary {
    const found = [...this.runTable.values()].filter(({ id }) => name === undefined || id.startsWith(name))
    const run = name === undefined ? found.at(-1) : found[0]
    if (!run) throw new OrchError('ORCH_NOT_FOUND', `there is no run "${name ?? ''}"`)
    return run
  }

  #task(name: string): FakeTask {
    const [run, id] = name.includes('/') ? name.split('/') : [undefined, name]
    const task = this.taskTable.get(`${this.#run(run).id}/${id}`)
    if (!task) throw new OrchError('ORCH_NOT_FOUND', `there is no task "${name}"`)
    return task
  }

  async status(): Promise<NodeStatus> {
    this.#called('status', {})
    return {
      node: NODE,
      name: 'box',
      incarnation: INCARNATION,
      version: '0.1.0',
      pid: 4242,
      startedAt: AT,
      backend: 'file',
      dataDir: '/data',
      url: 'http://127.0.0.1:7947',
      slots: 5,
      running: 1,
      ready: 2,
      draining: false,
      kinds: ['shell', 'scripted'],
      capabilities: [],
      runs: { open: 1, finished: 2 },
      recovery: [],
      ...this.statusFields,
    }
  }

  async submit(request: Parameters<NodeFace['submit']>[0]): ReturnType<NodeFace['submit']> {
    this.#called('submit', request)
    const run = `${request.name}-7f2a`
    if (!this.runTable.has(run)) {
      this.add(
        runOf(run, { name: request.name }),
        ...request.tasks.map(([id, { needs = [] }]) => taskOf(run, id, 'waiting', { needs })),
      )
    }
    return { run, tasks: request.tasks.length, warnings: [] }
  }

  async addTasks(request: Parameters<NodeFace['addTasks']>[0]): Promise<{ tasks: number }> {
    this.#called('addTasks', request)
    return { tasks: request.tasks.length }
  }

  async runs(): Promise<readonly RunSummary[]> {
    this.#called('runs', {})
    return [...this.runTable.values()]
  }

  async run(request: { readonly run?: string }): Promise<RunSummary> {
    this.#called('run', request)
    return this.#run(request.run)
  }

  async tasks(request: { readonly run?: string; readonly limit?: number }): Promise<readonly TaskSummary[]> {
    this.#called('tasks', request)
    const { id } = this.#run(request.run)
    return [...this.taskTable.values()].filter(({ run }) => run === id).slice(0, request.limit)
  }

  async task(request: { readonly task: string }): Promise<TaskDetail> {
    this.#called('task', request)
    const task = this.#task(request.task)
    return {
      ...task,
      spec: task.spec ?? { kind: task.kind, run: 'true' },
      attemptList: task.attemptList ?? [],
      rejects: task.rejects ?? [],
      dependants: [],
      explain: task.reason ?? task.status,
    }
  }

  async *followRun(request: { readonly run?: string }, signal?: AbortSignal): AsyncGenerator<RunUpdate> {
    this.#called('followRun', request)
    const run = this.#run(request.run)
    yield { type: 'run', run }
    for (const task of this.taskTable.values()) if (task.run === run.id) yield { type: 'task', task }
    for (const update of this.updates) {
      if (signal?.aborted) return
      yield update
      if (update.type === 'end') return
    }
    if (!signal?.aborted)
      await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
  }

  async *logs(request: Parameters<NodeFace['logs']>[0]): AsyncGenerator<LogChunk> {
    this.#called('logs', request)
    const bytes = Buffer.from(this.#task(request.task).output ?? '')
    // Cut in the middle of everything that can be cut.
    for (let at = request.offset ?? 0; at < bytes.length; at += 3) {
      yield { data: bytes.subarray(at, at + 3).toString('base64'), offset: at }
    }
  }

  async diff(request: Parameters<NodeFace['diff']>[0]): Promise<{ diff: string }> {
    this.#called('diff', request)
    return { diff: this.#task(request.task).diff ?? '' }
  }

  async *attemptEvents(request: Parameters<NodeFace['attemptEvents']>[0]): AsyncGenerator<never> {
    this.#called('attemptEvents', request)
    yield* []
  }

  #order(method: string, request: { readonly task?: string; readonly run?: string }): void {
    this.#called(method, request)
    if (request.task === undefined) this.#run(request.run)
    else this.#task(request.task)
  }

  async cancel(request: Parameters<NodeFace['cancel']>[0]): Promise<void> {
    this.#order('cancel', request)
  }

  async retry(request: Parameters<NodeFace['retry']>[0]): Promise<void> {
    this.#order('retry', request)
  }

  async pause(request: Parameters<NodeFace['pause']>[0]): Promise<void> {
    this.#order('pause', request)
  }

  async resume(request: Parameters<NodeFace['resume']>[0]): Promise<void> {
    this.#order('resume', request)
  }

  async prioritize(request: Parameters<NodeFace['prioritize']>[0]): Promise<void> {
    this.#order('prioritize', request)
  }

  async ready(request: Parameters<NodeFace['ready']>[0]): ReturnType<NodeFace['ready']> {
    this.#called('ready', request)
    return [...this.taskTable.values()]
      .filter(({ status }) => status === 'ready' || (request.explain === true && status === 'waiting'))
      .map((task) => ({
        task: `${task.run}/${task.id}`,
        kind: task.kind,
        priority: task.priority,
        status: task.status,
        ...(task.title !== undefined && { title: task.title }),
        ...(request.explain && { why: task.reason ?? 'starts next' }),
      }))
  }

  async claim(request: Parameters<NodeFace['claim']>[0]): ReturnType<NodeFace['claim']> {
    this.#called('claim', request)
    const ready = [...this.taskTable.values()].find(({ status }) => status === 'ready')
    const task = request.task === undefined ? ready : this.#task(request.task)
    if (!task) throw new OrchError('ORCH_NOTHING_READY', 'no task is ready for an outside worker')
    const name = `${task.run}/${task.id}`
    return {
      attempt: `${name}/1.1/${INCARNATION}`,
      task: name,
      spec: task.spec ?? { kind: 'outside', prompt: 'Write tests.', scope: { write: ['test/**'], read: [] } },
      workspace: `/data/workspaces/${task.id}`,
      dir: `/data/attempts/${name}/1.1/orch`,
      hints: ['keep it short'],
      token: 'secret',
    }
  }

  async progress(request: Parameters<NodeFace['progress']>[0]): Promise<{ hints: readonly string[] }> {
    this.#called('progress', request)
    return { hints: ['the schema changed'] }
  }

  #own(
    method: string,
    request: { readonly task?: string; readonly attempt?: string },
    status: TaskStatus,
  ): TaskSummary {
    this.#called(method, request)
    const [run, id] = request.attempt?.split('/') ?? []
    return { ...this.#task(request.task ?? (run === undefined ? 'math' : `${run}/${id}`)), status }
  }

  async complete(request: Parameters<NodeFace['complete']>[0]): Promise<TaskSummary> {
    return this.#own('complete', request, 'provisional')
  }

  async fail(request: Parameters<NodeFace['fail']>[0]): Promise<TaskSummary> {
    return this.#own('fail', request, 'ready')
  }

  async block(request: Parameters<NodeFace['block']>[0]): Promise<TaskSummary> {
    return this.#own('block', request, 'blocked')
  }

  async unblock(request: Parameters<NodeFace['unblock']>[0]): Promise<void> {
    this.#order('unblock', request)
  }

  async release(request: Parameters<NodeFace['release']>[0]): Promise<void> {
    this.#own('release', request, 'ready')
  }

  async integrate(request: Parameters<NodeFace['integrate']>[0]): ReturnType<NodeFace['integrate']> {
    this.#called('integrate', request)
    return {
      run: this.#run(request.run).id,
      dryRun: request.dryRun ?? false,
      base: 'a'.repeat(40),
      commit: 'b'.repeat(40),
      tasks: [{ task: 'math', commit: 'b'.repeat(40), state: 'would-accept' }],
      conflicts: this.conflictList,
    }
  }

  async land(request: Parameters<NodeFace['land']>[0]): ReturnType<NodeFace['land']> {
    this.#called('land', request)
    return {
      run: this.#run(request.run).id,
      branch: request.into ?? 'main',
      from: 'a'.repeat(40),
      commit: 'b'.repeat(40),
      tries: 1,
    }
  }

  async conflicts(request: { readonly run?: string }): Promise<readonly ConflictItem[]> {
    this.#called('conflicts', request)
    return this.conflictList
  }

  async *events(request: Parameters<NodeFace['events']>[0], signal?: AbortSignal): AsyncGenerator<EventItem> {
    this.#called('events', request)
    for (const item of this.eventList) {
      if (signal?.aborted) return
      yield item
    }
  }

  async *exportRun(request: { readonly run?: string }): AsyncGenerator<ExportItem> {
    this.#called('exportRun', request)
    yield* this.exportList
  }

  async workspaces(): Promise<readonly WorkspaceItem[]> {
    this.#called('workspaces', {})
    return this.workspaceList
  }

  async cleanWorkspaces(request: { readonly dryRun?: boolean }): ReturnType<NodeFace['cleanWorkspaces']> {
    this.#called('cleanWorkspaces', request)
    return {
      removed: this.workspaceList.filter(({ state }) => state !== 'running'),
      kept: this.workspaceList.filter(({ state }) => state === 'running'),
    }
  }

  async invite(request: Parameters<NodeFace['invite']>[0]): ReturnType<NodeFace['invite']> {
    this.#called('invite', request)
    const { role = 'worker', ttlMs = 86_400_000 } = request
    return { token: TOKEN, id: '9f2c41d07ab3e815', expiresAt: AT + 60_000 + ttlMs, role }
  }

  async *join(request: { readonly to: string }, signal?: AbortSignal): AsyncGenerator<JoinUpdate> {
    this.#called('join', request)
    for (const update of this.joinUpdates) {
      yield update
      if (update.type === 'joined') return
    }
    if (!signal?.aborted && this.joinUpdates.length > 0)
      await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true }))
  }

  async leave(): Promise<void> {
    this.#called('leave', {})
    this.stopped = true
  }

  async members(): Promise<MembersAnswer> {
    this.#called('members', {})
    return this.membersAnswer
  }

  #member(method: string, request: { readonly who: string }): { readonly node: string } {
    this.#called(method, request)
    const { members, requests } = this.membersAnswer
    const found = [...members, ...requests].find(({ name, node }) => [name, node].includes(request.who))
    if (!found) throw new OrchError('ORCH_NOT_FOUND', `there is no member "${request.who}"`)
    return { node: found.node }
  }

  async approve(request: Parameters<NodeFace['approve']>[0]): ReturnType<NodeFace['approve']> {
    return this.#member('approve', request)
  }

  async removeMember(request: Parameters<NodeFace['removeMember']>[0]): ReturnType<NodeFace['removeMember']> {
    return this.#member('removeMember', request)
  }

  async setRole(request: Parameters<NodeFace['setRole']>[0]): ReturnType<NodeFace['setRole']> {
    return this.#member('setRole', request)
  }

  async revokeInvite(request: { readonly id: string }): Promise<void> {
    this.#called('revokeInvite', request)
  }

  async adopt(request: Parameters<NodeFace['adopt']>[0]): ReturnType<NodeFace['adopt']> {
    this.#called('adopt', request)
    return { run: this.#run(request.run).id, term: 2, cutoff: 14 }
  }

  async drain(request: Parameters<NodeFace['drain']>[0]): Promise<void> {
    this.#called('drain', request)
  }

  async undrain(request: Parameters<NodeFace['undrain']>[0]): Promise<void> {
    this.#called('undrain', request)
  }

  async stop(request: { readonly now?: boolean }): Promise<void> {
    this.#called('stop', request)
    this.stopped = true
  }
}
