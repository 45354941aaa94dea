/** All that one node decides from: the board, what runs here, and the timers of the core. Moved only by `step`. */
import { Board } from './board.ts'
import type { Effect } from './effect.ts'
import type { Fact } from './fact.ts'
import { Heap } from './heap.ts'
import type { AttemptId, Author, DurationMs, Millis, NodeId, Oid, RunId, Slot, WallMs } from './id.ts'
import type { Conflict, Delta, GateFailure, MergedCommit } from './integrate.ts'
import type { GateVerdict } from './merge-queue.ts'
import { createPrng, type Prng } from './prng.ts'
import { type Capacity, createPool, type ResourcePool } from './quota.ts'
import { ReadyQueue } from './ready-queue.ts'
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
  readonly kind: 'attempt' | 'ready' | 'bid' | 'void' | 'job'
  readonly key: string
  readonly task?: TaskState
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
  readonly board = new Board()
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
  /** Tasks held by other nodes, for free slots in the election of bidders. */
  readonly heldBy = new Map<NodeId, Set<TaskState>>()
  readonly holderOf = new Map<TaskState, NodeId>()
  readonly prng: Prng
  live: readonly NodeId[]
  /** Members that were declared dead and were not seen alive since: what turns out to be held by them is voided too. */
  readonly dead = new Set<NodeId>()
  draining = false
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
    return run.header?.integrator === this.me
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
