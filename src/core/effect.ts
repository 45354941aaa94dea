/**
 * What the core asks the edges to do. Effects of a step are carried out only after the facts of that step, and of all steps before it, are durable
 * (SPEC ND1): nothing that others can see precedes what it rests on.
 */
import type { Handoff } from './attempt.ts'
import type { AttemptId, DurationMs, Oid, RunId, Slot, TaskId, WallMs } from './id.ts'
import type { Delta, MergeRequest } from './integrate.ts'
import type { RepositorySpec, TaskSpec } from './task.ts'

/** How the base of an attempt is made: `tip`, then the provisional results it needs that are not part of it yet, in order. */
export interface BaseRequest {
  readonly repository: RepositorySpec
  readonly tip: Oid
  readonly deltas: readonly Delta[]
  readonly date: WallMs
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
  /** Moves the run's ref from `old` to `next` by compare-and-set. */
  | {
      readonly type: 'advance'
      readonly run: RunId
      readonly job: number
      readonly repository: RepositorySpec
      readonly old: Oid
      readonly next: Oid
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
  | { readonly type: 'alarm'; readonly code: string; readonly message: string }

export type StopReason = 'cancelled' | 'timed-out' | 'stalled' | 'memory' | 'shutdown'
export type EffectOf<T extends Effect['type']> = Extract<Effect, { type: T }>
