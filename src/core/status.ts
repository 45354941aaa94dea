/**
 * States of a task (R5, R6, R39), derived from facts and never stored.
 *
 *     waiting → ready → claimed → running → provisional → accepted
 *        |        |                  |            |
 *        |        |                  └ failure, void: ready again, or failed
 *        |        └ paused, blocked, held         └ rejected: waiting or ready in the next round
 *        └ skipped (its `if` is false), passed (a barrier), dropped (a need failed), cancelled
 */
export const TASK_STATUSES = [
  'unknown',
  'waiting',
  'ready',
  'claimed',
  'running',
  'provisional',
  'accepted',
  'skipped',
  'passed',
  'failed',
  'dropped',
  'cancelled',
  'paused',
  'blocked',
  'held',
] as const
export type TaskStatus = (typeof TASK_STATUSES)[number]

/** What a task means to those that need it. */
export type DependencyClass = 'pending' | 'success' | 'failure'

const CLASS: Record<TaskStatus, DependencyClass> = {
  unknown: 'pending',
  waiting: 'pending',
  ready: 'pending',
  claimed: 'pending',
  running: 'pending',
  provisional: 'success',
  accepted: 'success',
  skipped: 'success',
  passed: 'success',
  failed: 'failure',
  dropped: 'failure',
  cancelled: 'failure',
  paused: 'pending',
  blocked: 'pending',
  held: 'pending',
}

export function dependencyClass(status: TaskStatus): DependencyClass {
  return CLASS[status]
}

const FINAL: Record<TaskStatus, boolean> = {
  unknown: false,
  waiting: false,
  ready: false,
  claimed: false,
  running: false,
  provisional: false,
  accepted: true,
  skipped: true,
  passed: true,
  failed: true,
  dropped: true,
  cancelled: true,
  paused: false,
  blocked: false,
  held: false,
}

/** Nothing more happens to it unless a person orders a retry (an accepted task not even then). */
export function isFinal(status: TaskStatus): boolean {
  return FINAL[status]
}

/** What can happen to a task, as seen by one observer that learns of facts one at a time. */
export const TASK_TRIGGERS = [
  'spec',
  'need',
  'claim',
  'start',
  'success',
  'failure',
  'release',
  'void',
  'ack',
  'accept',
  'adopt',
  'reject',
  'cancel',
  'retry',
  'pause',
  'resume',
  'block',
  'unblock',
] as const
export type TaskTrigger = (typeof TASK_TRIGGERS)[number]

const set = (...statuses: TaskStatus[]): ReadonlySet<TaskStatus> => new Set(statuses)
const NONE = set()
const PROVISIONAL = set('provisional')
const ACCEPTED = set('accepted')
const CANCELLED = set('cancelled')
const CLAIMED = set('claimed')
const DROPPED = set('dropped')
/** Nobody has it: where it stands follows from its needs and from orders. */
const FREE = ['waiting', 'ready', 'skipped', 'paused', 'blocked', 'held'] as const
/** An epoch ended: whoever bid in the next one has it, or nobody; or that was the last try. */
const NEXT = set(...FREE, 'claimed', 'running', 'failed', 'dropped')
/** A round ended, by order or by rejection: results in the next one may be known already. */
const ROUND = set(...NEXT, 'provisional')
/** From a status in which nobody has it, what a fact about an attempt can show: another has it, or none will. */
const SHOWN = set('claimed', 'running', 'failed', 'held')
/** Work came in that somebody else holds, or nobody else yet: then the task runs on. */
const WORK = set('provisional', 'running')
/** Another integrator: accepts that were cut off do not count, those of its own do, and so do its rejections. */
const TERM = set(...ROUND, 'passed', 'accepted', 'cancelled')
const NEEDS = set('waiting', 'ready', 'skipped', 'passed', 'paused', 'blocked', 'dropped')

/** What all statuses have in common in which nobody has the task. */
const free = {
  need: NEEDS,
  claim: CLAIMED,
  start: SHOWN,
  success: WORK,
  ack: PROVISIONAL,
  failure: SHOWN,
  void: SHOWN,
  accept: ACCEPTED,
  reject: ROUND,
  adopt: TERM,
  cancel: CANCELLED,
  retry: ROUND,
}

/**
 * The complete transition table: from each status, by each trigger, the statuses that may follow besides the same one (SPEC TS1). Facts of one task
 * may arrive in any order, so a `spec` can reveal any later status, and an accept may come before the result that it accepts.
 */
export const TRANSITIONS: Record<TaskStatus, Record<TaskTrigger, ReadonlySet<TaskStatus>>> = {
  unknown: row({ spec: set(...ROUND, 'passed', 'accepted', 'cancelled') }),
  waiting: row(free),
  ready: row({ ...free, pause: set('paused'), block: set('blocked') }),
  claimed: row({
    start: NEXT,
    success: set('provisional', 'running', 'dropped'),
    ack: set('provisional', 'dropped'),
    adopt: TERM,
    failure: NEXT,
    release: NEXT,
    void: NEXT,
    accept: ACCEPTED,
    reject: ROUND,
    cancel: CANCELLED,
    retry: ROUND,
  }),
  running: row({
    start: NEXT,
    success: set('provisional', 'dropped'),
    ack: set('provisional', 'dropped'),
    adopt: TERM,
    failure: NEXT,
    release: NEXT,
    void: NEXT,
    accept: ACCEPTED,
    reject: ROUND,
    cancel: CANCELLED,
    retry: ROUND,
  }),
  provisional: row({
    need: DROPPED,
    accept: ACCEPTED,
    adopt: TERM,
    reject: ROUND,
    cancel: CANCELLED,
    retry: ROUND,
  }),
  accepted: row({ adopt: TERM }),
  skipped: row(free),
  passed: row({ need: set('waiting', 'dropped'), accept: ACCEPTED, adopt: TERM, cancel: CANCELLED }),
  failed: row({
    need: DROPPED,
    success: PROVISIONAL,
    ack: PROVISIONAL,
    adopt: TERM,
    accept: ACCEPTED,
    reject: ROUND,
    cancel: CANCELLED,
    retry: ROUND,
  }),
  dropped: row({
    need: set(...ROUND, 'passed'),
    claim: CLAIMED,
    start: set('running', 'claimed'),
    success: set('running'),
    adopt: TERM,
    void: set('claimed', 'running'),
    failure: set('claimed', 'running'),
    accept: ACCEPTED,
    reject: set('claimed', 'running'),
    cancel: CANCELLED,
    retry: set('claimed', 'running'),
  }),
  cancelled: row({ accept: ACCEPTED, adopt: TERM, retry: set(...ROUND, 'passed') }),
  paused: row({ ...free, resume: set('ready'), block: set('blocked') }),
  blocked: row({ ...free, block: set('ready', 'paused'), unblock: set('ready', 'paused') }),
  held: row({ ...free, need: DROPPED }),
}

function row(
  given: Partial<Record<TaskTrigger, ReadonlySet<TaskStatus>>>,
): Record<TaskTrigger, ReadonlySet<TaskStatus>> {
  return Object.fromEntries(TASK_TRIGGERS.map((t) => [t, given[t] ?? NONE])) as Record<
    TaskTrigger,
    ReadonlySet<TaskStatus>
  >
}
