/** All that one node decides from: the board, what runs here, and the timers of the core. Moved only by `step`. */
import { Board } from './board.ts'
import type { Effect } from './effect.ts'
import type { Fact, NodeRecord, Role } from './fact.ts'
import { Heap } from './heap.ts'
import type { AttemptId, Author, DurationMs, Millis, NodeId, Oid, RunId, Slot, WallMs } from './id.ts'
import type { Conflict, Delta, GateFailure, MergedCommit } from './integrate.ts'
import { Judge } from './judge.ts'
import type { GateVerdict } from './merge-queue.ts'
import { createPrng, type Prng } from './prng.ts'
import { type Capacity, createPool, type ResourcePool } from './quota.ts'
import { ReadyQueue } from './ready-queue.ts'
import { Roster } from './roster.ts'
import type { RunState } from './run-state.ts'
import type { Watch } from './supervise.ts'
import { OUTSIDE_KIND } from './task.ts'
import type { TaskState } from './task-state.ts'

export interface NodeOptions {
  readonly author: Author
  /** Attempts of process kinds at once. */
  readonly slots: number
  readonly capacity: Capacity
  readonly capabilities: readonly string[]
  readonly seed: number
  /** Delta between the ranks of bidders. */
  readonly staggerMs: DurationMs
  /** Wait before a claim that was not rank 0 is believed. */
  readonly settleMs: DurationMs
  /** R24: unfinished tasks beyond which `submit` is refused. */
  readonly pendingTasksMax: number
  /** An attempt of an agent may be silent for so long, where its task does not say. 0 = no limit. */
  readonly stallMs: DurationMs
  /** Id of the cluster that the node belongs to: its members and their roles are read from facts. Absent = this node alone, nothing is judged. */
  readonly cluster?: string
  /** From the end of a run to its archive, on its integrator's clock. Absent = never. */
  readonly archiveAfterMs?: DurationMs
}

/** Kinds that run in a process of their own share one pool: the node's slots. */
export const PROCESS_POOL = 'process'

export interface Pool {
  readonly name: string
  /** Attempts that may run at once; 0 while no worker offers the kind. */
  concurrency: number
  inProcess: boolean
  /** Started and not ended. */
  running: number
  /** Mean length of its attempts, by exponential smoothing: short ones are started ahead, many in one commit. */
  meanMs: number
}

export interface LocalAttempt {
  readonly id: AttemptId
  readonly task: TaskState
  /** Moves to the next epoch when its own is voided and nobody else has started. */
  slot: Slot
  readonly pool: Pool
  readonly startedAt: Millis
  readonly timeoutMs: DurationMs
  /** Supervision of its stream; absent for in-process work without a stall limit. */
  watch: Watch | undefined
  stopping: StopCause | undefined
  /** When its supervision wants to look again. */
  deadline: Millis
  /** Why it was stopped, as far as we know better than its exit code. */
  trouble: string | undefined
  /** What supervision advises the next attempt. */
  hint: string | undefined
  /** The objects of its base could not be had. */
  noBase?: true
}

/** Why an attempt was told to stop, as far as its result depends on it. */
export type StopCause =
  | 'cancelled'
  | 'timed-out'
  | 'stalled'
  | 'memory'
  | 'shutdown'
  | 'superseded'
  | 'released'
  /** What it builds on is gone again: even finished, it would not count. */
  | 'outdated'

/** A bid that waits: for its turn (staggered), or for others to be heard (settling). */
export interface Bid {
  readonly task: TaskState
  readonly slot: Slot
  readonly pool: Pool
  phase: 'staggered' | 'settling'
  /** End of the phase. A timer of an earlier bid for the same task comes before it and means nothing. */
  dueAt: Millis
}

export interface Timer {
  readonly at: Millis
  readonly kind: 'attempt' | 'ready' | 'bid' | 'void' | 'job' | 'fetch' | 'drain' | 'archive'
  readonly key: string
  readonly task?: TaskState
}

/** Objects of another node's result that are to come here. */
export interface Fetching {
  readonly task: TaskState
  readonly slot: Slot
  /** Author of the result. */
  readonly by: NodeId
  /** The edge is at it. */
  asked: boolean
  tries: number
  /** Otherwise: when it is to be asked for. */
  dueAt: Millis
}

/** Integration of one run, one step at a time. */
export interface MergeJob {
  readonly run: RunState
  /** Numbers the requests: an answer to an older one is not taken. */
  job: number
  phase: 'idle' | 'folding' | 'gating' | 'advancing' | 'finishing' | 'waiting'
  /** Provisional tasks, oldest first. */
  readonly queue: Set<TaskState>
  deltas: readonly Delta[]
  chain: readonly MergedCommit[]
  checks: Map<number, GateVerdict>
  verifies: Map<number, GateVerdict>
  /** What the running gate answers to. */
  asked: { readonly check: number } | { readonly verify: number } | { readonly final: Oid } | undefined
  tip: Oid | undefined
  /** Commit that is known to pass the run's `verify`. */
  green: Oid | undefined
  /** Some step could not be verified, because the tip was red before it. */
  deferred: boolean
  /** The move of the ref that was asked for and not answered: until then its results are neither on the ref nor off it. */
  moving: { readonly old: Oid; readonly next: Oid } | undefined
  /** What `advance` will have accepted. */
  good: number
  verified: boolean
  /** The finished branch fails its verify: published, not landed. */
  red: boolean
  culprit: GateFailure | undefined
  conflict: Conflict | undefined
  retries: number
}

export class NodeState {
  readonly options: NodeOptions
  readonly roster: Roster | undefined
  readonly board: Board
  readonly attempts = new Map<AttemptId, LocalAttempt>()
  readonly byTask = new Map<TaskState, LocalAttempt>()
  readonly bids = new Map<TaskState, Bid>()
  readonly ready = new ReadyQueue()
  readonly timers = new Heap<Timer>((a, b) => a.at < b.at)
  readonly pools = new Map<string, Pool>()
  /** Kinds offered here, and the pool each draws on. */
  readonly kinds = new Map<string, Pool>()
  readonly resources: ResourcePool
  readonly exclusives = new Set<string>()
  /** Running members of `run/group`, on this node. */
  readonly groups = new Map<string, number>()

  readonly jobs = new Map<RunId, MergeJob>()
  /** By run: finished and not integrated yet, so that nothing that writes the same files starts without it. */
  readonly unmerged = new Map<RunId, Set<TaskState>>()
  readonly fetches = new Map<string, Fetching>()
  /** Tasks with a result whose objects this node may have to fetch. */
  readonly lacking = new Set<TaskState>()
  /** Tasks that rest because nobody could reach their base. */
  readonly baseless = new Set<TaskState>()
  /** Integrator and term of each run, as last seen: to notice a change. */
  readonly integrators = new Map<RunId, string>()
  /** Since when each finished run is finished, by this node's clock. */
  readonly finishedAt = new Map<RunId, Millis>()
  /** How long runs were finished before this life. */
  finishedFor: Readonly<Record<RunId, DurationMs>> = {}
  /** Tasks held by other nodes, for free slots in the election of bidders. */
  readonly heldBy = new Map<NodeId, Set<TaskState>>()
  readonly holderOf = new Map<TaskState, NodeId>()
  readonly prng: Prng
  live: readonly NodeId[]
  /** As it was told: `live` are those of them whose role lets them work. */
  present: readonly NodeId[]
  /** This node's own, to be written once it is a member. */
  record: NodeRecord | undefined = undefined
  /** Members that were declared dead and were not seen alive since: what turns out to be held by them is voided too. */
  readonly dead = new Set<NodeId>()
  /** See `SETTLE_MS_DEFAULT`. */
  staggerMs: DurationMs
  settleMs: DurationMs
  draining = false
  /** When what runs is given back, while it drains. */
  drainAt: Millis = Number.POSITIVE_INFINITY
  /** Why nothing new is started, when the node lacks something. */
  intake: string | undefined = undefined
  /** Somebody follows runs: what changed is gathered for them. */
  watched = false
  readonly touched = new Set<TaskState>()
  readonly touchedRuns = new Set<RunState>()
  started = false

  // outputs of the step that is being made
  facts: Fact[] = []
  effects: Effect[] = []
  now: Millis = 0
  at: WallMs = 0

  constructor(options: NodeOptions) {
    this.options = options
    this.live = [options.author.node]
    this.present = this.live
    this.staggerMs = options.staggerMs
    this.settleMs = options.settleMs
    this.roster = options.cluster === undefined ? undefined : new Roster(options.cluster)
    this.board = new Board(this.roster && new Judge(this.roster))
    this.resources = createPool(options.capacity)
    this.prng = createPrng(options.seed)
    this.pools.set(PROCESS_POOL, {
      name: PROCESS_POOL,
      concurrency: options.slots,
      inProcess: false,
      running: 0,
      meanMs: 1_000,
    })
    // What a worker outside claims by hand (R20) takes no slot of ours, and nothing is started here for it.
    this.pools.set(OUTSIDE_KIND, {
      name: OUTSIDE_KIND,
      concurrency: 0,
      inProcess: false,
      running: 0,
      meanMs: 1_000,
    })
  }

  get me(): NodeId {
    return this.options.author.node
  }

  /** Writes a fact: on the board at once, durable before any effect of this step is carried out. */
  put(fact: Fact): void {
    // What would not count is not written. Membership facts were checked by who gives them.
    if (fact.collection !== 'members' && this.board.judge?.mayWrite(fact, this.me) === false) return
    this.facts.push(fact)
    this.board.applyOwn(fact, this.options.author, this.at)
  }

  effect(effect: Effect): void {
    this.effects.push(effect)
  }

  timer(timer: Timer): void {
    this.timers.push(timer)
  }

  /** When `step` wants to be called again without news; `undefined` = never. */
  wakeAt(): Millis | undefined {
    return this.timers.peek()?.at
  }

  isIntegrator(run: RunState): boolean {
    return run.integrator === this.me && this.may('planner')
  }

  /** By its role; a node alone may do everything. */
  may(role: Role): boolean {
    return this.roster?.can(this.me, role) ?? true
  }

  /** Some other member is known. */
  hasOthers(): boolean {
    if (this.live.length > 1) return true
    for (const node of this.board.nodes.keys()) if (node !== this.me) return true
    return false
  }

  job(run: RunState): MergeJob {
    let job = this.jobs.get(run.id)
    if (!job) {
      job = {
        run,
        job: 0,
        phase: 'idle',
        queue: new Set(),
        deltas: [],
        chain: [],
        checks: new Map(),
        verifies: new Map(),
        asked: undefined,
        tip: undefined,
        green: undefined,
        deferred: false,
        moving: undefined,
        good: 0,
        verified: false,
        red: false,
        culprit: undefined,
        conflict: undefined,
        retries: 0,
      }
      this.jobs.set(run.id, job)
    }
    return job
  }
}
