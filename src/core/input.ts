/** What happened: the only things that can move a node's state. Time and randomness come in with them. */
import type { AttemptEvent, Result } from './attempt.ts'
import type { ErrorCode } from './error.ts'
import type { Batch, MemberFact, NodeRecord, Order, RunHeader } from './fact.ts'
import type { AttemptId, DurationMs, Incarnation, NodeId, Oid, RunId, Slot, TaskId } from './id.ts'
import type { MergeOutcome } from './integrate.ts'
import type { TaskSpec } from './task.ts'

export type Input =
  /** Facts of others, or of earlier process lives (replay). */
  | { readonly type: 'facts'; readonly batch: Batch }
  /** Replay is over: decide what earlier lives left open. `adopted` attempts still run under this node. */
  | {
      readonly type: 'started'
      readonly adopted: readonly AdoptedAttempt[]
      readonly record: NodeRecord
      /** How long each finished run has been finished already, as counted by earlier lives (`NodeState.finishedAt`). */
      readonly finishedFor?: Readonly<Record<RunId, DurationMs>>
    }
  | {
      readonly type: 'submit'
      readonly run: RunId
      readonly header: RunHeader
      readonly tasks: readonly (readonly [TaskId, TaskSpec])[]
      readonly seal: boolean
    }
  /** What this node offers has changed: kinds, addresses. */
  | { readonly type: 'record'; readonly record: NodeRecord }
  /** A worker kind became available, or went away (`concurrency` 0). */
  | {
      readonly type: 'kind'
      readonly kind: string
      readonly inProcess: boolean
      readonly concurrency: number
    }
  | { readonly type: 'members'; readonly live: readonly NodeId[] }
  /** Longest round trip to a live member, as it is now. Until it is told the waits of bidders are those of the options. */
  | { readonly type: 'delay'; readonly roundTripMs: DurationMs }
  /**
   * A member is gone: what it holds may be voided. `in-process`: only what ran inside its process, as its record names the kinds (all where it does not); the rest may
   * be adopted by its next life. `incarnation`: only what that life began. Default: everything.
   */
  | {
      readonly type: 'dead'
      readonly node: NodeId
      readonly what?: 'all' | 'in-process'
      readonly incarnation?: Incarnation
    }
  /**
   * This node says something about members; refused when its role does not let it. `since` of a role or a removal is made here from what is known of the subject. About this
   * node itself (it leaves) the caller adds the frames of this process, which only the store can count.
   */
  | { readonly type: 'member'; readonly subject: string; readonly fact: MemberFact }
  | { readonly type: 'attempt-event'; readonly attempt: AttemptId; readonly event: AttemptEvent }
  | { readonly type: 'attempt-ended'; readonly attempt: AttemptId; readonly result: Result }
  /** The base of an attempt could not be made: two results it needs do not merge. */
  | { readonly type: 'base-conflict'; readonly attempt: AttemptId; readonly reason: string }
  /** Nobody who has the base of an attempt can be reached now: given back, and not tried again at once. */
  | { readonly type: 'base-missing'; readonly attempt: AttemptId; readonly reason: string }
  /** The answer to `fetch`. `refused`: the objects came and are not fit to be kept. */
  | {
      readonly type: 'fetched'
      readonly slot: Slot
      /** Author of the result. */
      readonly by: NodeId
      readonly answer: 'ok' | 'failed' | 'refused'
      readonly reason?: string
    }
  | { readonly type: 'folded'; readonly run: RunId; readonly job: number; readonly outcome: MergeOutcome }
  | {
      readonly type: 'gated'
      readonly run: RunId
      readonly job: number
      readonly ok: boolean
      readonly exit: number | null
      readonly output: string
    }
  | { readonly type: 'advanced'; readonly run: RunId; readonly job: number; readonly ok: boolean }
  | {
      readonly type: 'published'
      readonly run: RunId
      readonly job: number
      readonly landed?: { readonly branch: string; readonly commit: Oid }
      readonly problem?: Problem
    }
  /** An edge failed in the middle of a job: disk, git. Tried again later. */
  | { readonly type: 'job-failed'; readonly run: RunId; readonly job: number; readonly problem: Problem }
  /** Commits found on a run's ref whose accepts are missing on the board (a crash between the two). */
  | {
      readonly type: 'recovered'
      readonly run: RunId
      readonly commits: readonly RecoveredCommit[]
      /** Of the ref that was read. Default 1. A term that is over is not gone on with. */
      readonly term?: number
    }
  | {
      readonly type: 'order'
      readonly run: RunId /** A task, or `*` for the run. */
      readonly subject: string
      readonly order: Order
    }
  /** An outside worker asks for a task, or for this one. */
  | {
      readonly type: 'claim'
      readonly run?: RunId
      readonly task?: TaskId
      readonly capabilities?: readonly string[]
    }
  /** A person or the worker gives a task back. */
  | { readonly type: 'release'; readonly attempt: AttemptId; readonly reason: string }
  /** Nothing new is started while this node lacks something, say disk space. What runs goes on. */
  | { readonly type: 'intake'; readonly closed?: string }
  /** Nothing new is started. What runs is given back: at once, or what still runs after `deadlineMs`. */
  | { readonly type: 'drain'; readonly deadlineMs?: DurationMs }
  | { readonly type: 'undrain' }
  | { readonly type: 'tick' }

export interface Problem {
  readonly code: ErrorCode
  readonly message: string
}

export interface AdoptedAttempt {
  readonly attempt: AttemptId
  /** When it began, for its timeout, as an age: clocks do not survive a process. */
  readonly ageMs: number
}

export interface RecoveredCommit {
  readonly task: TaskId
  readonly round: number
  readonly epoch: number
  readonly by: NodeId
  readonly position: number
  readonly commit: Oid
}

/** An expected no, as a value (STYLE 3.3). */
export interface Refusal {
  readonly ok: false
  readonly code: ErrorCode
  readonly message: string
  readonly context?: Readonly<Record<string, unknown>>
}

export type Reply = { readonly ok: true; readonly attempt?: AttemptId; readonly n?: number } | Refusal

export type InputOf<T extends Input['type']> = Extract<Input, { type: T }>
