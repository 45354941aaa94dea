import type { RunHeader, Seal } from './fact.ts'
import type { Author, NodeId, Oid, RunId, TaskId } from './id.ts'
import { TASK_STATUSES, type TaskStatus } from './status.ts'
import type { MergePolicy } from './task.ts'
import type { OrderOf, OrderRecord, Register, TaskState } from './task-state.ts'
import { type AdoptRecord, reckonTerms, type Term } from './term.ts'

export type RunStatus =
  | 'unknown'
  | 'planning'
  | 'running'
  | 'paused'
  | 'stuck'
  | 'finishing'
  | 'complete'
  | 'partial'
  | 'failed'
  | 'cancelled'

const STATUS_INDEX = Object.fromEntries(TASK_STATUSES.map((s, i) => [s, i])) as Record<TaskStatus, number>

/** One execution of a plan: header, seal, registers, tasks, and counts kept up to date so that no question needs a scan. */
export class RunState {
  readonly id: RunId
  header: RunHeader | undefined = undefined
  headerAuthor: Author | undefined = undefined
  /** Every task that some fact names; those without a spec of the creator stay `unknown` and count for nothing. */
  readonly tasks = new Map<TaskId, TaskState>()
  readonly seals: { readonly author: Author; readonly seal: Seal }[] = []
  /** The creator's seal, once its count and digest fit the specs. */
  sealed = false
  life: Register<OrderOf<'cancel'>> | undefined = undefined
  pause: Register<OrderOf<'pause'> | OrderOf<'resume'>> | undefined = undefined
  closing: Register<OrderOf<'close'>> | undefined = undefined
  landed: Register<OrderOf<'landed'>> | undefined = undefined
  verified: Register<OrderOf<'verified'>> | undefined = undefined
  /** Largest version of any order on the run that counts: the next one is this + 1. */
  orderVersion = 0
  /** Orders whose version is out of reach so far. */
  parked: readonly OrderRecord[] = []
  /** What was said of the run's end; it counts when an integrator of the run said it. */
  endings: readonly OrderRecord[] = []
  adopts: readonly AdoptRecord[] = []
  /** The terms that count, from the first: who integrates, and up to where. Empty before the header. */
  terms: readonly Term[] = []
  /** Whoever integrated the run in some term, also in one that another took at the same time. */
  integrators: ReadonlySet<NodeId> = new Set()
  /** Tasks that wait, by order, for a task that is not known yet. */
  readonly blockedOn = new Map<TaskId, TaskState[]>()
  /** Specs that count: written by the creator. */
  specCount = 0
  /** Of the ids of those specs; absent when they have changed since it was computed. */
  digest: string | undefined = undefined
  /** Accepted tasks by their place in the run's history. */
  readonly positions = new Map<number, TaskState>()
  lastPosition = 0
  /** Largest position whose accept has a commit. */
  lastCommitPosition = 0
  readonly #counts = new Int32Array(TASK_STATUSES.length)

  constructor(id: RunId) {
    this.id = id
  }

  get integrator(): NodeId | undefined {
    return this.terms.at(-1)?.integrator
  }

  /** Of the integrator, from 1. */
  get term(): number {
    return this.terms.length || 1
  }

  /** @internal The header or an adoption came in. */
  reckon(): void {
    const { chain, all } = reckonTerms(this.header, this.adopts)
    this.terms = chain
    this.integrators = all
  }

  get merge(): MergePolicy {
    return this.header?.merge ?? { mode: 'combined', onConflict: 'retry', onPartial: 'hold' }
  }

  get cancelled(): boolean {
    return this.life !== undefined
  }

  get paused(): boolean {
    return this.pause?.value.verb === 'pause'
  }

  count(...statuses: readonly TaskStatus[]): number {
    let sum = 0
    for (const status of statuses) sum += this.#counts[STATUS_INDEX[status]]!
    return sum
  }

  /** @internal */
  moved(before: TaskStatus, after: TaskStatus): void {
    this.#counts[STATUS_INDEX[before]]!--
    this.#counts[STATUS_INDEX[after]]!++
  }

  /** @internal */
  added(): void {
    this.#counts[STATUS_INDEX.unknown]!++
  }

  /** Commit of the latest accepted task that has one: the tip that the run's ref must show. */
  tip(): Oid | undefined {
    return this.positions.get(this.lastCommitPosition)?.accepted?.commit ?? this.header?.base
  }

  /** Nothing is "all" before the seal (DESIGN 2); provisional tasks are not final. */
  get settled(): boolean {
    return (
      this.sealed &&
      this.count('accepted', 'skipped', 'passed', 'failed', 'dropped', 'cancelled') === this.specCount
    )
  }

  /** The integrator's close fits what the run is now: nothing is left to do. */
  get finished(): boolean {
    const close = this.closing?.value
    return (
      close !== undefined && this.settled && close.outcome === this.outcome && close.commit === this.tip()
    )
  }

  get status(): RunStatus {
    if (!this.header) return 'unknown'
    if (this.finished) return this.outcome
    if (this.settled) return 'finishing'
    if (this.cancelled) return 'cancelled'
    if (!this.sealed) return 'planning'
    if (this.paused) return 'paused'
    // Only a person can go on from here.
    if (
      this.count('ready', 'claimed', 'running', 'provisional', 'paused') === 0 &&
      this.count('blocked', 'held') > 0
    )
      return 'stuck'
    return 'running'
  }

  /** What a settled run came to. */
  get outcome(): OrderOf<'close'>['outcome'] {
    if (this.cancelled) return 'cancelled'
    const bad = this.count('failed', 'dropped', 'cancelled')
    if (bad === 0) return 'complete'
    return this.count('accepted') > 0 ? 'partial' : 'failed'
  }
}
