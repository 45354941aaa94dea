/** NodeFace of a node in this process: reads the board, posts inputs, waits until what it answers is durable. */
import { attemptOf } from '../core/attempt-name.ts'
import { OrchError } from '../core/error.ts'
import { explain } from '../core/explain.ts'
import { unfinished } from '../core/step.ts'
import type { Json } from '../core/task.ts'
import type { TaskState } from '../core/task-state.ts'
import { exportRun } from './archive-run.ts'
import { bindSignal } from './channel.ts'
import type {
  ConflictItem,
  ExportItem,
  NodeFace,
  NodeStatus,
  ReadyItem,
  RunUpdate,
  TaskSummary,
} from './face.ts'
import { FaceCluster } from './face-cluster.ts'
import { FaceHistory } from './face-history.ts'
import { conflictsOf, FaceIntegration } from './face-integration.ts'
import { type FaceHost, FacePart } from './face-part.ts'
import { FaceWorker } from './face-worker.ts'
import { needWork } from './run-objects.ts'
import { accepted, checkedTasks, submit } from './submit.ts'
import { priorityOf, runSummary, shownEntry, shownTasks, taskDetail, taskSummary } from './view.ts'
import { cleanWorkspaces, listWorkspaces } from './workspaces.ts'

export class LocalFace extends FacePart implements NodeFace {
  readonly claim: NodeFace['claim']
  readonly progress: NodeFace['progress']
  readonly complete: NodeFace['complete']
  readonly fail: NodeFace['fail']
  readonly block: NodeFace['block']
  readonly release: NodeFace['release']
  readonly integrate: NodeFace['integrate']
  readonly land: NodeFace['land']
  readonly logs: NodeFace['logs']
  readonly attemptEvents: NodeFace['attemptEvents']
  readonly events: NodeFace['events']
  readonly invite: NodeFace['invite']
  readonly join: NodeFace['join']
  readonly leave: NodeFace['leave']
  readonly members: NodeFace['members']
  readonly approve: NodeFace['approve']
  readonly removeMember: NodeFace['removeMember']
  readonly setRole: NodeFace['setRole']
  readonly revokeInvite: NodeFace['revokeInvite']
  readonly adopt: NodeFace['adopt']
  readonly drain: NodeFace['drain']
  readonly undrain: NodeFace['undrain']

  constructor(host: FaceHost) {
    super(host)
    const worker = new FaceWorker(host)
    this.claim = (request) => worker.claim(request)
    this.progress = (request) => worker.progress(request)
    this.complete = (request) => worker.complete(request)
    this.fail = (request) => worker.fail(request)
    this.block = (request) => worker.block(request)
    this.release = (request) => worker.release(request)
    const integration = new FaceIntegration(host)
    this.integrate = (request) => integration.integrate(request)
    this.land = (request) => integration.land(request)
    const history = new FaceHistory(host)
    this.logs = (request, signal) => history.logs(request, signal)
    this.attemptEvents = (request, signal) => history.attemptEvents(request, signal)
    this.events = (request, signal) => history.events(request, signal)
    const cluster = new FaceCluster(host)
    this.invite = (request) => cluster.invite(request)
    this.join = (request, signal) => cluster.join(request, signal)
    this.leave = () => cluster.leave()
    this.members = () => cluster.members()
    this.approve = (request) => cluster.approve(request)
    this.removeMember = (request) => cluster.removeMember(request)
    this.setRole = (request) => cluster.setRole(request)
    this.revokeInvite = (request) => cluster.revokeInvite(request)
    this.adopt = (request) => cluster.adopt(request)
    this.drain = (request) => cluster.drain(request)
    this.undrain = (request) => cluster.undrain(request)
  }

  async status(): Promise<NodeStatus> {
    return this.host.status()
  }

  submit(request: Parameters<NodeFace['submit']>[0]): ReturnType<NodeFace['submit']> {
    return submit(this.engine, request)
  }

  async addTasks(request: Parameters<NodeFace['addTasks']>[0]): Promise<{ tasks: number }> {
    const run = this.runOf(request.run)
    const { reply, durable } = this.engine.loop.post({
      type: 'submit',
      run: run.id,
      header: run.header!,
      tasks: checkedTasks(request.tasks, (id) => run.tasks.get(id)?.spec !== undefined),
      seal: request.seal ?? false,
    })
    accepted(reply)
    await durable
    return { tasks: request.tasks.length }
  }

  async runs(): ReturnType<NodeFace['runs']> {
    const { state, live } = this.engine
    return [...state.board.runs.values()]
      .filter((r) => r.header)
      .sort((a, b) => b.header!.createdAt - a.header!.createdAt || (a.id < b.id ? 1 : -1))
      .map((r) => runSummary(r, live))
  }

  async run(request: { readonly run?: string }): ReturnType<NodeFace['run']> {
    return runSummary(this.runOf(request.run), this.engine.live)
  }

  async tasks(request: { readonly run?: string; readonly limit?: number }): Promise<readonly TaskSummary[]> {
    const { state, live } = this.engine
    const tasks = shownTasks(this.runOf(request.run))
    return (request.limit === undefined ? tasks : tasks.slice(0, request.limit)).map((t) =>
      taskSummary(t, live, state.me),
    )
  }

  async task(request: { readonly task: string }): ReturnType<NodeFace['task']> {
    const { state, live } = this.engine
    return taskDetail(this.taskOf(request.task), state, live)
  }

  async *followRun(request: { readonly run?: string }, signal?: AbortSignal): AsyncGenerator<RunUpdate> {
    const channel = this.host.followers.follow(this.runOf(request.run))
    bindSignal(channel, signal)
    yield* channel
  }

  async diff(request: Parameters<NodeFace['diff']>[0]): Promise<{ diff: string }> {
    const task = this.taskOf(request.task)
    const entry = request.attempt
      ? task.entries.find((e) => attemptOf(task, e) === request.attempt)
      : (shownEntry(task) ?? undefined)
    const result = entry?.result
    const repository = task.run.header?.repository
    if (!repository || !result?.base || !result.head) {
      throw new OrchError('ORCH_NOT_FOUND', `${task.name} has no work to show yet: it is ${task.status}`)
    }
    const { objects } = this.engine.options
    if (objects) await needWork(objects, task, entry!, this.engine.state.me)
    const diff = await this.engine.options.git.diff(repository.id, result.base, result.head, {
      stat: request.stat ?? false,
    })
    return { diff }
  }

  async cancel(request: Parameters<NodeFace['cancel']>[0]): Promise<void> {
    await this.giveOrder(request, { verb: 'cancel', ...(request.reason ? { reason: request.reason } : {}) })
  }

  async retry(request: Parameters<NodeFace['retry']>[0]): Promise<void> {
    const { reason, hint } = request
    await this.giveOrder(request, {
      verb: 'retry',
      round: 0,
      ...(reason ? { reason } : {}),
      ...(hint ? { hint } : {}),
    })
  }

  async pause(request: Parameters<NodeFace['pause']>[0]): Promise<void> {
    await this.giveOrder(request, { verb: 'pause', ...(request.reason ? { reason: request.reason } : {}) })
  }

  async resume(request: Parameters<NodeFace['resume']>[0]): Promise<void> {
    await this.giveOrder(request, { verb: 'resume' })
  }

  async prioritize(request: Parameters<NodeFace['prioritize']>[0]): Promise<void> {
    await this.giveOrder(request, { verb: 'prioritize', priority: request.priority })
  }

  async unblock(request: { readonly task: string }): Promise<void> {
    await this.giveOrder(request, { verb: 'unblock' })
  }

  async ready(request: Parameters<NodeFace['ready']>[0]): Promise<readonly ReadyItem[]> {
    const { state } = this.engine
    const runs =
      request.run === undefined
        ? [...state.board.runs.values()].filter((r) => r.header)
        : [this.runOf(request.run)]
    const items: ReadyItem[] = []
    for (const run of runs) {
      if (run.finished || unfinished(run) === 0) continue
      for (const task of shownTasks(run)) {
        const isReady = task.status === 'ready'
        if (!isReady && !(request.explain && !isOver(task))) continue
        items.push({
          task: task.name,
          ...(task.spec!.title ? { title: task.spec!.title } : {}),
          kind: task.spec!.kind,
          priority: priorityOf(task),
          status: task.status,
          ...(request.explain ? { why: explain(state, task) } : {}),
        })
      }
    }
    return request.limit === undefined ? items : items.slice(0, request.limit)
  }

  async conflicts(request: { readonly run?: string }): Promise<readonly ConflictItem[]> {
    return conflictsOf(this.runOf(request.run))
  }

  async *exportRun(request: { readonly run?: string }, signal?: AbortSignal): AsyncGenerator<ExportItem> {
    const { store, dataDir } = this.engine.options
    const { archive } = this.engine.state.board
    const name = request.run
    const run = name !== undefined && archive.has(name) ? name : this.runOf(name).id
    for await (const { author, n, at, facts } of exportRun(store, dataDir, run)) {
      if (signal?.aborted) return
      yield {
        author,
        n,
        at,
        facts: facts.map(({ collection, key, body }) => ({ collection, key, body: body as Json })),
      }
    }
  }

  workspaces(): ReturnType<NodeFace['workspaces']> {
    return listWorkspaces(this.engine)
  }

  cleanWorkspaces(request: { readonly dryRun?: boolean }): ReturnType<NodeFace['cleanWorkspaces']> {
    return cleanWorkspaces(this.engine, request.dryRun ?? false)
  }

  stop(request: { readonly now?: boolean }): Promise<void> {
    return this.host.stop(request.now ?? false)
  }
}

function isOver(task: TaskState): boolean {
  return ['accepted', 'skipped', 'passed', 'failed', 'dropped', 'cancelled', 'running'].includes(task.status)
}
