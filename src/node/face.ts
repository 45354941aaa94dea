/**
 * NodeFace: all that the outside may ask of a node. One interface, the same in process and over the local endpoint (DESIGN 8): every argument and answer is plain JSON,
 * every refusal an OrchError with its code. Faces (command line, API) ask and watch; they decide nothing.
 *
 * Names of tasks: `RUN/TASK`, `TASK` (in the latest run), or any unique prefix of either. Names of runs: the id, any unique prefix, or absent = the latest.
 */
import type { AttemptEvent, Handoff, Outcome } from '../core/attempt.ts'
import type { ErrorCode } from '../core/error.ts'
import type { TaskEvent } from '../core/event.ts'
import type { Role } from '../core/fact.ts'
import type { AttemptId, Author, Incarnation, NodeId, Oid, RunId, TaskId, WallMs } from '../core/id.ts'
import type { RunStatus } from '../core/run-state.ts'
import type { TaskStatus } from '../core/status.ts'
import type { Json, MergePolicy, Priority, TaskSpec } from '../core/task.ts'
import type { ClusterStatus, JoinUpdate, MembersAnswer } from './cluster-face.ts'

export interface NodeStatus {
  readonly node: NodeId
  readonly name: string
  readonly incarnation: Incarnation
  readonly version: string
  readonly pid: number
  readonly startedAt: WallMs
  readonly backend: 'memory' | 'file' | 'crdt'
  readonly dataDir: string
  /** Absent while this node belongs to no cluster. */
  readonly cluster?: ClusterStatus
  /** `http://127.0.0.1:7947`, when it listens. */
  readonly url?: string
  readonly slots: number
  readonly running: number
  readonly ready: number
  readonly draining: boolean
  readonly kinds: readonly string[]
  readonly capabilities: readonly string[]
  readonly runs: { readonly open: number; readonly finished: number }
  /** What start-up found and mended: torn tail, adopted attempts, processes ended. */
  readonly recovery: readonly string[]
  readonly git?: string
}

export type {
  ClusterStatus,
  InviteItem,
  JoinRequestItem,
  JoinUpdate,
  MemberItem,
  MembersAnswer,
} from './cluster-face.ts'

/** What `submit` takes: a plan that was read and checked, and where it is to work. */
export interface SubmitRequest {
  readonly name: string
  readonly tasks: readonly (readonly [TaskId, TaskSpec])[]
  readonly merge?: MergePolicy
  /** Absolute path of a git repository; absent = a run without files. */
  readonly repository?: string
  /** Commit-ish that tasks start from; default: the current branch. */
  readonly base?: string
  /** False leaves the run open for `addTasks`. */
  readonly seal?: boolean
}

export interface SubmitAnswer {
  readonly run: RunId
  readonly tasks: number
  readonly base?: Oid
  readonly branch?: string
  /** Things a person should know: uncommitted changes that agents will not see. */
  readonly warnings: readonly string[]
}

export interface RunSummary {
  readonly id: RunId
  readonly name: string
  readonly status: RunStatus
  readonly createdAt: WallMs
  readonly tasks: number
  readonly counts: Partial<Readonly<Record<TaskStatus, number>>>
  readonly repository?: string
  readonly base?: Oid
  /** Tip of the integrated history. */
  readonly commit?: Oid
  /** `orch/<run>` once it is published. */
  readonly branch?: string
  readonly landed?: { readonly branch: string; readonly commit: Oid }
  /** What kept the run from its end; `output` is that of the gate. */
  readonly problem?: { readonly code: ErrorCode; readonly message: string; readonly output?: string }
  readonly merge: MergePolicy
  /** Integration is busy with: `folding`, `check lint`, `verify`. */
  readonly integrating?: string
}

export interface TaskSummary {
  readonly run: RunId
  readonly id: TaskId
  readonly title?: string
  readonly kind: string
  readonly status: TaskStatus
  readonly reason?: string
  readonly priority: Priority
  readonly needs: readonly TaskId[]
  readonly group?: string
  readonly round: number
  readonly epoch: number
  /** Attempts started so far. */
  readonly attempts: number
  readonly failures: number
  /** Who runs or ran it: short node name, or `outside`. */
  readonly holder?: string
  readonly startedAt?: WallMs
  readonly endedAt?: WallMs
  /** Changed files of the result that counts. */
  readonly files?: number
  readonly commit?: Oid
  readonly position?: number
  /** Live: what the worker says, `step 7 · Edit …`. */
  readonly step?: number
  readonly activity?: string
  readonly order: number
}

export interface AttemptSummary {
  readonly attempt: AttemptId
  readonly round: number
  readonly epoch: number
  readonly node: NodeId
  readonly outcome?: Outcome
  readonly reason?: string
  readonly exit?: number
  readonly startedAt?: WallMs
  readonly endedAt?: WallMs
  readonly files?: number
  readonly paths?: readonly string[]
  readonly base?: Oid
  readonly head?: Oid
  readonly ref?: string
  readonly excerpt?: string
  readonly handoff?: Handoff
  readonly usage?: Json
  readonly value?: Json
  /** Time it took to make the workspace, ms. */
  readonly workspaceMs?: number
}

export interface TaskDetail extends TaskSummary {
  readonly spec: TaskSpec
  readonly attemptList: readonly AttemptSummary[]
  readonly rejects: readonly {
    readonly round: number
    readonly why: string
    readonly reason: string
    readonly output?: string
    readonly paths?: readonly string[]
    readonly with?: readonly TaskId[]
  }[]
  readonly dependants: readonly TaskId[]
  readonly explain: string
}

/** Changes of a run as they happen; the first item is the whole run, then what changed. Ends when the run is finished. */
export type RunUpdate =
  | { readonly type: 'run'; readonly run: RunSummary }
  | { readonly type: 'task'; readonly task: TaskSummary }
  | { readonly type: 'alarm'; readonly message: string }
  | { readonly type: 'end'; readonly run: RunSummary }

export interface ReadyItem {
  readonly task: string
  readonly title?: string
  readonly kind: string
  readonly priority: Priority
  readonly status: TaskStatus
  /** With `explain`: why it does not run. */
  readonly why?: string
}

export interface ClaimAnswer {
  readonly attempt: AttemptId
  readonly task: string
  readonly spec: TaskSpec
  /** Where to work; absent for runs without a repository. */
  readonly workspace?: string
  /** `$ORCH_DIR`. */
  readonly dir: string
  readonly hints: readonly string[]
  readonly handoff?: Handoff
  /** Valid for this attempt only. */
  readonly token: string
}

export interface ConflictItem {
  readonly task: string
  readonly with: readonly TaskId[]
  readonly paths: readonly string[]
  readonly status: TaskStatus
  readonly reason: string
  readonly output?: string
}

export interface IntegrateAnswer {
  readonly run: RunId
  readonly dryRun: boolean
  readonly base: Oid
  readonly commit: Oid
  /** In the order of the history. */
  readonly tasks: readonly {
    readonly task: TaskId
    readonly commit?: Oid
    readonly state: 'accepted' | 'would-accept' | 'conflict'
  }[]
  readonly conflicts: readonly ConflictItem[]
}

export interface LandAnswer {
  readonly run: RunId
  readonly branch: string
  readonly commit: Oid
  readonly from: Oid
  readonly tries: number
}

export interface WorkspaceItem {
  readonly path: string
  readonly attempt: AttemptId
  readonly state: 'running' | 'saved' | 'unsaved'
  readonly ref?: string
  readonly bytes: number
}

export interface LogChunk {
  /** Base64 of raw bytes: output is not always text. */
  readonly data: string
  readonly offset: number
}

/** What an agent or an outside worker says of its own attempt. */
export interface AttemptReport {
  readonly attempt?: AttemptId
  readonly task?: string
}

/** One commit of one author. */
export interface ExportItem {
  readonly author: Author
  readonly n: number
  readonly at: WallMs
  readonly facts: readonly { readonly collection: string; readonly key: string; readonly body: Json }[]
}

export interface EventItem {
  readonly n: number
  readonly event: TaskEvent
}

export interface NodeFace {
  status(): Promise<NodeStatus>
  submit(request: SubmitRequest): Promise<SubmitAnswer>
  addTasks(request: {
    readonly run: RunId
    readonly tasks: SubmitRequest['tasks']
    readonly seal?: boolean
  }): Promise<{ readonly tasks: number }>
  runs(): Promise<readonly RunSummary[]>
  run(request: { readonly run?: string }): Promise<RunSummary>
  tasks(request: { readonly run?: string; readonly limit?: number }): Promise<readonly TaskSummary[]>
  task(request: { readonly task: string }): Promise<TaskDetail>
  followRun(request: { readonly run?: string }, signal?: AbortSignal): AsyncIterable<RunUpdate>
  /** Raw output of one attempt (default: the latest) from a byte offset; with `follow` until it ends. */
  logs(
    request: {
      readonly task: string
      readonly attempt?: AttemptId
      readonly offset?: number
      readonly follow?: boolean
    },
    signal?: AbortSignal,
  ): AsyncIterable<LogChunk>
  /** Unified diff of the result that counts, or of the latest attempt. */
  diff(request: {
    readonly task: string
    readonly attempt?: AttemptId
    readonly stat?: boolean
  }): Promise<{ readonly diff: string }>
  /** Normalised events of a task's attempts. */
  attemptEvents(
    request: {
      readonly task: string
      readonly attempt?: AttemptId
      readonly since?: number
      readonly follow?: boolean
    },
    signal?: AbortSignal,
  ): AsyncIterable<{
    readonly attempt: AttemptId
    readonly n: number
    readonly at: WallMs
    readonly event: AttemptEvent
  }>
  cancel(request: { readonly task?: string; readonly run?: string; readonly reason?: string }): Promise<void>
  retry(request: { readonly task: string; readonly reason?: string; readonly hint?: string }): Promise<void>
  pause(request: { readonly task?: string; readonly run?: string; readonly reason?: string }): Promise<void>
  resume(request: { readonly task?: string; readonly run?: string }): Promise<void>
  prioritize(request: { readonly task: string; readonly priority: Priority }): Promise<void>
  ready(request: {
    readonly run?: string
    readonly explain?: boolean
    readonly limit?: number
  }): Promise<readonly ReadyItem[]>
  claim(request: {
    readonly task?: string
    readonly run?: string
    readonly capabilities?: readonly string[]
  }): Promise<ClaimAnswer>
  progress(
    request: AttemptReport & { readonly step?: number; readonly status?: string; readonly handoff?: Handoff },
  ): Promise<{ readonly hints: readonly string[] }>
  complete(
    request: AttemptReport & { readonly summary?: string; readonly value?: Json },
  ): Promise<TaskSummary>
  fail(request: AttemptReport & { readonly reason: string }): Promise<TaskSummary>
  block(
    request: AttemptReport & { readonly reason: string; readonly blockers?: readonly TaskId[] },
  ): Promise<TaskSummary>
  unblock(request: { readonly task: string }): Promise<void>
  /** Gives back what runs here: the work so far is kept, the task becomes ready. */
  release(request: AttemptReport & { readonly reason?: string }): Promise<void>
  integrate(request: { readonly run?: string; readonly dryRun?: boolean }): Promise<IntegrateAnswer>
  land(request: { readonly run?: string; readonly into?: string }): Promise<LandAnswer>
  conflicts(request: { readonly run?: string }): Promise<readonly ConflictItem[]>
  events(
    request: {
      readonly run?: string
      readonly task?: string
      readonly since?: number
      readonly follow?: boolean
      readonly problems?: boolean
    },
    signal?: AbortSignal,
  ): AsyncIterable<EventItem>
  /** The facts of a run as they were written, also of one that is archived; `run` is its whole id then. */
  exportRun(request: { readonly run?: string }, signal?: AbortSignal): AsyncIterable<ExportItem>
  workspaces(): Promise<readonly WorkspaceItem[]>
  cleanWorkspaces(request: {
    readonly dryRun?: boolean
  }): Promise<{ readonly removed: readonly WorkspaceItem[]; readonly kept: readonly WorkspaceItem[] }>
  /**
   * Makes this node the founder of a cluster if it belongs to none: its runs go on, on the replicated board. The token is shown once and kept nowhere.
   */
  invite(request: {
    /** Default `worker`. */
    readonly role?: Role
    /** Default INVITE_MS_DEFAULT. */
    readonly ttlMs?: number
    /** Machines that may use it; default 1. */
    readonly uses?: number
    /** A person approves each of them. */
    readonly approve?: boolean
  }): Promise<{
    readonly token: string
    readonly id: string
    readonly expiresAt: WallMs
    readonly role: Role
  }>
  /** By a token, or by the address of any member, where a person then approves. This node's own runs go with it. */
  join(request: { readonly to: string }, signal?: AbortSignal): AsyncIterable<JoinUpdate>
  /** Leaves the cluster: what runs is given back, members are told; the board of this machine is kept aside and the node ends. */
  leave(): Promise<void>
  members(): Promise<MembersAnswer>
  /** Lets a waiting machine in; named by name, node id or any unique part of its words. Default role `worker`. */
  approve(request: { readonly who: string; readonly role?: Role }): Promise<{ readonly node: NodeId }>
  /** Effective at once everywhere it is heard; what it wrote until now counts, nothing after. */
  removeMember(request: {
    readonly who: string
    readonly reason?: string
  }): Promise<{ readonly node: NodeId }>
  setRole(request: { readonly who: string; readonly role: Role }): Promise<{ readonly node: NodeId }>
  revokeInvite(request: { readonly id: string }): Promise<void>
  /** This node becomes the run's integrator, where the former one is gone for good. */
  adopt(request: { readonly run?: string; readonly reason?: string }): Promise<{
    readonly run: RunId
    readonly term: number
    /** Accepts of the former integrator that this node had not heard of are offered again. */
    readonly cutoff: number
  }>
  /** A node takes nothing new; what runs there may finish until the deadline, then it is given back. Default: this node. */
  drain(request: { readonly node?: string; readonly deadlineMs?: number }): Promise<void>
  undrain(request: { readonly node?: string }): Promise<void>
  /** Drains, then ends the node. */
  stop(request: { readonly now?: boolean }): Promise<void>
}
