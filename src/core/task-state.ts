import type { Entry } from './claim.ts'
import type { Accept, Order, Reject, VoidReason } from './fact.ts'
import type { Author, NodeId, TaskId } from './id.ts'
import type { RunState } from './run-state.ts'
import type { TaskStatus } from './status.ts'
import type { Intervention } from './supervise.ts'
import { priorityLevel, TASK_DEFAULT, type TaskSpec } from './task.ts'

/** A register: a series of facts of which the one with the largest (version, author) counts. */
export interface Register<T> {
  readonly n: number
  readonly author: Author
  readonly value: T
}

export type OrderOf<V extends Order['verb']> = Extract<Order, { verb: V }>

/** True when `next` wins over `held`: larger version, then larger author, so that the order of arrival does not matter. */
export function supersedes(held: Register<unknown> | undefined, n: number, author: Author): boolean {
  if (!held || n !== held.n) return !held || n > held.n
  if (author.node !== held.author.node) return author.node > held.author.node
  return author.incarnation > held.author.incarnation
}

export interface VoidRecord {
  readonly round: number
  readonly epoch: number
  readonly why: VoidReason
}

export interface RejectRecord extends Reject {
  readonly round: number
  readonly epoch: number
  /** Author of the rejected result. */
  readonly node: NodeId
  readonly author: Author
}

export interface AcceptRecord extends Accept {
  readonly round: number
  readonly term: number
  readonly author: Author
}

/** `by` holds the objects of the result that `node` wrote. */
export interface AckRecord {
  readonly round: number
  readonly epoch: number
  readonly node: NodeId
  readonly by: NodeId
}

/** An order as it was written. */
export interface OrderRecord {
  readonly n: number
  readonly author: Author
  readonly order: Order
}

const EMPTY: readonly never[] = Object.freeze([])

/**
 * All that is known of one task: the facts about it, and what `derive` made of them. One object a task, with arrays only where facts exist: a run may have
 * a million of them.
 */
export class TaskState {
  readonly id: TaskId
  readonly run: RunState
  /** Position of arrival; the tie-break of last resort inside one node, never between nodes. */
  readonly index: number

  spec: TaskSpec | undefined = undefined
  specs: readonly { readonly author: Author; readonly spec: TaskSpec }[] = EMPTY
  needs: readonly TaskState[] = EMPTY
  after: readonly TaskState[] = EMPTY
  dependants: TaskState[] = EMPTY as unknown as TaskState[]
  softDependants: TaskState[] = EMPTY as unknown as TaskState[]

  entries: readonly Entry[] = EMPTY
  voids: readonly VoidRecord[] = EMPTY
  rejects: readonly RejectRecord[] = EMPTY
  accepts: readonly AcceptRecord[] = EMPTY
  acks: readonly AckRecord[] = EMPTY
  /** Largest round a `retry` order asked for. */
  retryRound = 1
  retryHint: Register<OrderOf<'retry'>> | undefined = undefined
  life: Register<OrderOf<'cancel'> | OrderOf<'retry'>> | undefined = undefined
  pause: Register<OrderOf<'pause'> | OrderOf<'resume'>> | undefined = undefined
  block: Register<OrderOf<'block'> | OrderOf<'unblock'>> | undefined = undefined
  prioritized: Register<OrderOf<'prioritize'>> | undefined = undefined

  /** The accept as the run's history has it. */
  recorded: AcceptRecord | undefined = undefined

  /** Largest version of any order on the task that counts: the next one is this + 1. */
  orderVersion = 0
  /** Orders whose version is out of reach so far. */
  parked: readonly OrderRecord[] = EMPTY

  // derived
  status: TaskStatus = 'unknown'
  /** Why it stands where it stands, when that is not obvious. */
  reason: string | undefined = undefined
  round = 1
  epoch = 1
  /** Tries used since the last order to retry. */
  failures = 0
  lost = 0
  holder: Entry | undefined = undefined
  provisional: Entry | undefined = undefined
  accepted: AcceptRecord | undefined = undefined
  pendingNeeds = 0
  failedNeeds = 0
  /** Own priority or that of its most urgent waiting dependant, 4 … 0 (R22). */
  level = 2
  /** Longest chain of tasks that wait for this one, itself included; 0 until the run is sealed. */
  criticalPath = 0

  // bookkeeping of the node's own scheduler: never shared
  /** When this node first saw it ready in its current epoch. */
  readySince = -1
  /** Backoff: not started before. */
  notBefore = 0
  /** Failures that the backoff has counted. */
  failuresSeen = 0
  /** Attempts without a base, of any node, that its rest has counted. */
  baselessSeen = 0
  /** Rises with every entry into the ready queue: an entry with another stamp is stale. */
  stamp = 0
  /** Two provisional results it needs do not merge: it waits until they are accepted. */
  finalNeedsOnly = false
  /** What supervision did to its attempts here. */
  interventions: readonly Intervention[] = EMPTY

  // bookkeeping of board.ts
  dirty = false
  changed = false

  constructor(id: TaskId, run: RunState, index: number) {
    this.id = id
    this.run = run
    this.index = index
  }

  get ownLevel(): number {
    return priorityLevel(this.prioritized?.value.priority ?? this.spec?.priority ?? TASK_DEFAULT.priority)
  }

  /** `RUN/TASK`, as people write it. */
  get name(): string {
    return `${this.run.id}/${this.id}`
  }
}
