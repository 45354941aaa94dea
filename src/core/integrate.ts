/**
 * The language between the core, which decides what to integrate and what to believe, and the git edge, which computes trees. A conflict and a
 * failed gate are values here, never exceptions: the same on every node that has the same facts.
 */

import type { RejectReason } from './fact.ts'
import type { NodeId, Oid, RunId, TaskId, WallMs } from './id.ts'

/** One attempt's work: what changed between `base` and `head`. */
export interface Delta {
  readonly task: TaskId
  readonly round: number
  readonly epoch: number
  /** Author of the result. */
  readonly by: NodeId
  readonly base: Oid
  readonly head: Oid
  readonly title: string
  /** Author of the commit, for `git log`. */
  readonly authorName: string
  /** Gate of this task, run on the candidate right after its commit. */
  readonly check?: string
  /** Globs it may change; absent = anything. */
  readonly write?: readonly string[]
}

export interface MergeRequest {
  readonly run: RunId
  /** Candidate is built onto this commit. */
  readonly tip: Oid
  readonly deltas: readonly Delta[]
  /** Date of every commit made: the run's creation. */
  readonly date: WallMs
  readonly term: number
}

export interface MergedCommit {
  readonly task: TaskId
  readonly commit: Oid
  /** Delta was empty on this tip: `commit` is the one before it. */
  readonly empty: boolean
}

export interface Conflict {
  readonly task: TaskId
  readonly paths: readonly string[]
  /** Tasks of this run whose commits touched those paths since the delta's base. */
  readonly with: readonly TaskId[]
  /** Git's own words. */
  readonly output: string
}

/** `chain` holds the commits made in order, up to the conflict if there is one. */
export interface MergeOutcome {
  readonly chain: readonly MergedCommit[]
  readonly conflict?: Conflict
}

export interface GateFailure {
  readonly task: TaskId
  readonly why: Extract<RejectReason, 'check' | 'verify'>
  readonly command: string
  readonly exit: number | null
  readonly output: string
}
