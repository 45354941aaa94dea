import type { DurationMs, TaskId, WallMs } from './id.ts'
import { TIMEOUT_MS_DEFAULT } from './limit.ts'

/** JSON as a type: what may cross the board, a socket or a process border. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

export const PRIORITIES = ['critical', 'high', 'medium', 'low', 'backlog'] as const
/** R22. Ordered: the first is the most urgent. */
export type Priority = (typeof PRIORITIES)[number]

/** Urgency as a number, 4 (critical) … 0 (backlog), so that aging can add to it. */
export function priorityLevel(priority: Priority): number {
  return 4 - PRIORITIES.indexOf(priority)
}

/**
 * R62. `attempts` counts the first one. `delayMs` is the base of the backoff: fixed as it is, exponential
 * doubled for each further attempt; both with full jitter. `reassign` starts again at once, on another node
 * when there is one.
 */
export interface Retry {
  readonly strategy: 'none' | 'fixed' | 'exponential' | 'reassign'
  readonly attempts: number
  readonly delayMs: DurationMs
}

/** R23. What a task needs of the node that runs it. Absent = 0. */
export interface Resources {
  /** Cores, may be a fraction. */
  readonly cpu?: number
  readonly memoryBytes?: number
  readonly gpu?: number
  /** Units of a named allowance (requests of an API at a time), held while the attempt runs. */
  readonly quota?: { readonly [name: string]: number }
}

/** Globs relative to the repository root. Absent = writes anything, so the task runs alone. */
export interface Scope {
  readonly write: readonly string[]
  readonly read: readonly string[]
}

/** R8. At most `concurrency` members of a group run at once on a node; `needs: [group:NAME]` waits for all members. */
export interface Group {
  readonly name: string
  readonly concurrency?: number
}

/**
 * A task as it stands on the board: immutable once written (R1). Every absent field means its default
 * (`TASK_DEFAULT`), so that a small task is a small fact.
 */
export interface TaskSpec {
  readonly title?: string
  /**
   * Who can run it: `shell` (the field `run` is a command), `scripted`, an agent's name, a kind registered by an in-process
   * worker, `outside` (claimed by hand through the verbs of the command line), or `barrier` (nothing to run: done when its
   * needs are).
   */
  readonly kind: string
  readonly run?: string
  readonly prompt?: string
  /** Input of an in-process worker, as it was submitted. */
  readonly payload?: Json
  /** Hard dependencies: must be accepted, or skipped. */
  readonly needs?: readonly TaskId[]
  /** Soft ones: order the start, do not block when they fail. */
  readonly after?: readonly TaskId[]
  /** Condition over the needs, see `core/condition.ts`. */
  readonly if?: string
  readonly scope?: Scope
  readonly priority?: Priority
  /** Orders tasks of one priority: the earlier the sooner. */
  readonly due?: WallMs
  readonly capabilities?: readonly string[]
  readonly resources?: Resources
  /** At most one start, ever. */
  readonly exclusive?: string
  readonly retry?: Retry
  readonly timeoutMs?: DurationMs
  /** Ends an attempt without any step for so long; 0 = never. */
  readonly stallMs?: DurationMs
  /** Gate of this task's result: a command run on the integration candidate. */
  readonly check?: string
  readonly group?: Group
  readonly env?: { readonly [name: string]: string }
  /** What becomes of a success that changed no file. */
  readonly onEmpty?: 'accept' | 'reject'
  /** What becomes of changes outside `scope.write`. */
  readonly onOutside?: 'refuse' | 'trim'
  /** Command that undoes the task's outside effects. Kept with the task; run by sagas. */
  readonly compensation?: string
  /** Index in the plan: the last tie-break of every order. */
  readonly order?: number
}

export const TASK_DEFAULT = {
  priority: 'medium' as Priority,
  retry: { strategy: 'none', attempts: 1, delayMs: 0 } as Retry,
  timeoutMs: TIMEOUT_MS_DEFAULT,
  stallMs: 0,
  onEmpty: 'accept' as 'accept' | 'reject',
  onOutside: 'refuse' as 'refuse' | 'trim',
}

export const BARRIER_KIND = 'barrier'
/** Claimed and finished by hand, through the verbs of the command line. */
export const OUTSIDE_KIND = 'outside'

/** How the results of a run become one branch. Absent repository = the run has no git side at all. */
export interface MergePolicy {
  readonly mode: 'combined' | 'per-task'
  readonly verify?: string
  readonly onConflict: 'resolve' | 'retry' | 'manual' | 'take-first'
  readonly onPartial: 'land' | 'hold'
  /** Branch to land on when the run is complete; absent = only `orch/<run>` is made. */
  readonly land?: string
}

/** Where a run's work starts. `url` is a path on the submitting machine; `id` names the repository everywhere. */
export interface RepositorySpec {
  /** Digest of the root commits: equal for every clone of one repository. */
  readonly id: string
  readonly path: string
  readonly base: string
  /** Branch that was checked out at submission, if any. */
  readonly branch?: string
}

/** A checked plan: matrix unfolded, defaults applied, group barriers made tasks. What the board takes. */
export interface Plan {
  readonly name: string
  readonly tasks: readonly (readonly [TaskId, TaskSpec])[]
  readonly merge: MergePolicy
  /** Directory as written in the file, if it names one. */
  readonly repo?: string
  readonly base?: string
}
