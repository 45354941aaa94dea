/**
 * What the core asks the edges to do. Effects of a step are carried out only after the facts of that step, and of all steps before it, are durable
 * (SPEC ND1): nothing that others can see precedes what it rests on.
 */
import type { Handoff } from './attempt.ts'
import type { AttemptId, DurationMs, NodeId, Oid, RunId, Slot, TaskId, WallMs } from './id.ts'
import type { Delta, MergeRequest } from './integrate.ts'
import type { RepositorySpec, TaskSpec } from './task.ts'

/** How the base of an attempt is made: `tip`, then the provisional results it needs that are not part of it yet, in order. */
export interface BaseRequest {
  readonly repository: RepositorySpec
  readonly tip: Oid
  /** Other members that have the tip, the surest first; absent when this node made it, or nobody else is known. */
  readonly sources?: readonly NodeId[]
  readonly deltas: readonly SourcedDelta[]
  readonly date: WallMs
}

export interface SourcedDelta extends Delta {
  /** Names the refs of the work, at its author's. */
  readonly attempt: AttemptId
  /** Other members that have its objects; absent when this node has them. */
  readonly sources?: readonly NodeId[]
}

export interface StartRequest {
  readonly id: AttemptId
  readonly slot: Slot
  readonly task: TaskSpec
  /** Tries so far, this one included. */
  readonly number: number
  readonly hints: readonly string[]
  readonly handoff?: Handoff
  /** Tasks of the run that may run at the same time, and what they write: shown to the worker so that nobody builds the same thing twice. */
  readonly neighbours: readonly { readonly task: TaskId; readonly write: readonly string[] }[]
  readonly base?: BaseRequest
  /** Nothing is run for it: somebody outside does the work and says so through the verbs of the command line. */
  readonly outside?: true
  readonly timeoutMs: DurationMs
}

export type Effect =
  | { readonly type: 'start'; readonly request: StartRequest }
  | {
      readonly type: 'stop'
      readonly attempt: AttemptId
      readonly reason: StopReason
      readonly graceMs: DurationMs
    }
  /** Into the worker's inbox, or its session. */
  | { readonly type: 'hint'; readonly attempt: AttemptId; readonly text: string }
  | {
      readonly type: 'fold'
      readonly run: RunId
      readonly job: number
      readonly repository: RepositorySpec
      readonly request: MergeRequest
      /** Other members that have the tip, should it be missing here: after an adoption. The deltas are here. */
      readonly sources?: readonly NodeId[]
    }
  /**
   * Brings the objects of another node's result here, through the quarantine, and keeps them under a ref; answered by `fetched` when they are durable.
   */
  | {
      readonly type: 'fetch'
      readonly run: RunId
      readonly repository: RepositorySpec
      readonly slot: Slot
      /** Author of the result. */
      readonly by: NodeId
      /** Names the refs of its work, at its author's. */
      readonly attempt: AttemptId
      readonly base: Oid
      readonly head: Oid
      /** Who has them, the surest first; all seem to be there. */
      readonly sources: readonly NodeId[]
    }
  | {
      readonly type: 'gate'
      readonly run: RunId
      readonly job: number
      readonly repository: RepositorySpec
      readonly commit: Oid
      readonly command: string
      readonly what: 'check' | 'verify'
      /** Whose commit it is; absent when the tip itself is tested. */
      readonly task?: TaskId
    }
  /** Moves the run's ref of this term from `old` to `next` by compare-and-set. Where the ref does not exist yet it is at `old`. */
  | {
      readonly type: 'advance'
      readonly run: RunId
      readonly job: number
      readonly repository: RepositorySpec
      readonly old: Oid
      readonly next: Oid
      readonly term: number
    }
  | {
      readonly type: 'publish'
      readonly run: RunId
      readonly job: number
      readonly repository: RepositorySpec
      readonly commit: Oid
      /** Branch of a person to land on as well. */
      readonly land?: {
        readonly branch: string
        readonly base: Oid
        readonly verify?: string
        readonly date: WallMs
      }
    }
  /** The run is over for good and the board has forgotten it: its document is archived and dropped, its workspaces go. */
  | { readonly type: 'archive'; readonly run: RunId }
  /** Facts that were believed do not count by what is known of their author now: the board is made anew from all facts of the store. */
  | { readonly type: 'rebuild'; readonly reason: string }
  | { readonly type: 'alarm'; readonly code: string; readonly message: string }

export type StopReason = 'cancelled' | 'timed-out' | 'stalled' | 'memory' | 'shutdown'
export type EffectOf<T extends Effect['type']> = Extract<Effect, { type: T }>
