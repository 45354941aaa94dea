/**
 * What a task's facts mean. A pure function of the set of facts and of the classes of the tasks it needs: that is why any order of arrival, any
 * duplicate and any split gives the same state (SPEC BD1).
 */

import { isShared, isUnshared } from './ack.ts'
import { type Entry, holder, type SlotsOf } from './claim.ts'
import { type Condition, evaluateCondition, parseCondition } from './condition.ts'
import { isFailure } from './fact.ts'
import { LOST_MAX, REJECTS_MAX, VERSION_JUMP_MAX } from './limit.ts'
import { isSettledSuccess } from './merge-base.ts'
import { type DependencyClass, dependencyClass, type TaskStatus } from './status.ts'
import { BARRIER_KIND, TASK_DEFAULT } from './task.ts'
import type { AcceptRecord, RejectRecord, TaskState } from './task-state.ts'
import { isStanding } from './term.ts'

/** Recomputes every derived field of `task` but its status, which is returned. */
export function derive(task: TaskState, slotsOf: SlotsOf): TaskStatus {
  const { run, spec } = task
  task.reason = undefined
  if (!spec) return forget(task)
  task.accepted = firstAccept(task)
  const rejects = countRejects(task)
  task.round = rejects.round
  const tries = countTries(task)
  task.failures = tries.failures + rejects.own
  task.lost = tries.lost
  task.epoch = tries.epoch
  const slot = { run: run.id, task: task.id, round: task.round, epoch: task.epoch }
  task.provisional = task.entries.length === 0 ? undefined : provisional(task, slotsOf)
  task.holder = task.entries.length === 0 ? undefined : holder(slot, task.entries, slotsOf)

  if (task.accepted) return 'accepted'
  if (run.cancelled || task.life?.value.verb === 'cancel')
    return because(task, cancelReason(task), 'cancelled')
  if (spec.kind === BARRIER_KIND) return barrier(task)
  const end = task.provisional ? undefined : exhausted(task, rejects)
  const runs = task.holder !== undefined && isOpen(task, task.holder) && !task.provisional && !end
  // A need that failed for good drops even finished work: acceptance is closed under needs. What runs is told to stop first.
  if (!spec.if && task.failedNeeds > 0 && !runs) return because(task, failedNeed(task), 'dropped')
  if (task.provisional) return 'provisional'
  if (end) return because(task, end.reason, end.status)
  if (runs) return task.holder!.start || task.holder!.result ? 'running' : 'claimed'

  if (spec.exclusive && tries.started) {
    return because(
      task,
      `exclusive "${spec.exclusive}" was started once and left no result: a person decides`,
      'held',
    )
  }
  return idle(task)
}

/** No further attempt: the plan's tries are used up, or a rejection said so. */
function exhausted(
  task: TaskState,
  rejects: Rejects,
): { readonly status: TaskStatus; readonly reason: string } | undefined {
  const spec = task.spec!
  const attempts = spec.exclusive ? 1 : (spec.retry ?? TASK_DEFAULT.retry).attempts
  if (rejects.drop) return { status: 'failed', reason: rejects.drop.reason }
  if (rejects.hold) return { status: 'blocked', reason: rejects.hold.reason }
  if (task.failures >= attempts) return { status: 'failed', reason: lastTrouble(task) }
  if (rejects.conflicts >= REJECTS_MAX) {
    return { status: 'failed', reason: `rejected ${rejects.conflicts} times: ${lastTrouble(task)}` }
  }
  return task.lost > LOST_MAX
    ? { status: 'failed', reason: `lost with its node ${task.lost} times` }
    : undefined
}

/** Facts without a spec mean nothing yet. */
function forget(task: TaskState): TaskStatus {
  task.round = 1
  task.epoch = 1
  task.failures = 0
  task.lost = 0
  task.holder = undefined
  task.provisional = undefined
  task.accepted = undefined
  return 'unknown'
}

function cancelReason(task: TaskState): string | undefined {
  const life = task.life?.value
  return life?.verb === 'cancel' ? life.reason : task.run.life?.value.reason
}

function because(task: TaskState, reason: string | undefined, status: TaskStatus): TaskStatus {
  task.reason = reason
  return status
}

/** It holds its epoch: it has not ended, or with a success that does not count before somebody else has its objects. */
export function isOpen(task: TaskState, entry: Entry): boolean {
  return entry.result === undefined || isUnshared(task, entry)
}

/** The accept that counts: written by the integrator of its term, not cut off by a later one; the first in its history, so that a second one can change nothing. */
function firstAccept(task: TaskState): AcceptRecord | undefined {
  let first: AcceptRecord | undefined
  for (const accept of task.accepts) {
    if (!isStanding(task.run, accept)) continue
    if (!first || acceptOrder(accept, first) < 0) first = accept
  }
  return first
}

function acceptOrder(a: AcceptRecord, b: AcceptRecord): number {
  return (
    a.round - b.round ||
    a.position - b.position ||
    a.term - b.term ||
    (a.author.incarnation < b.author.incarnation ? -1 : 1)
  )
}

/** The latest result's reject is the one that speaks; of two process lives the later. */
function isLater(a: RejectRecord, b: RejectRecord | undefined): boolean {
  if (!b) return true
  const order = a.round - b.round || a.epoch - b.epoch
  if (order !== 0) return order > 0
  return a.node === b.node ? a.author.incarnation > b.author.incarnation : a.node > b.node
}

interface Rejects {
  round: number
  own: number
  conflicts: number
  hold?: RejectRecord
  drop?: RejectRecord
}

function countRejects(task: TaskState): Rejects {
  if (task.rejects.length === 0) return { round: task.retryRound, own: 0, conflicts: 0 }
  let round = task.retryRound
  const own = new Set<number>()
  const conflicts = new Set<number>()
  let hold: RejectRecord | undefined
  let drop: RejectRecord | undefined
  for (const reject of task.rejects) {
    if (!task.run.integrators.has(reject.author.node) || reject.round < task.retryRound) continue
    if (reject.why === 'conflict') conflicts.add(reject.round)
    else if (reject.why !== 'base') own.add(reject.round)
    if (reject.drop) {
      if (isLater(reject, drop)) drop = reject
    } else if (reject.hold) {
      if (isLater(reject, hold)) hold = reject
    } else round = Math.max(round, reject.round + 1)
  }
  return {
    round,
    own: own.size,
    conflicts: conflicts.size,
    ...(hold && hold.round >= round ? { hold } : {}),
    ...(drop && drop.round >= round ? { drop } : {}),
  }
}

/** Failures and losses since the last order to retry; the open epoch of the current round; whether anything was ever started. */
function countTries(task: TaskState): { failures: number; lost: number; epoch: number; started: boolean } {
  if (task.entries.length === 0 && task.voids.length === 0)
    return { failures: 0, lost: 0, epoch: 1, started: false }
  let failures = 0
  const closed: number[] = []
  let started = false
  for (const entry of task.entries) {
    if (entry.round < task.retryRound) continue
    started ||= entry.start
    if (!entry.failed || !entry.start) continue
    failures++
    if (entry.round === task.round) closed.push(entry.epoch)
  }
  const lost = new Set<string>()
  for (const v of task.voids) {
    if (v.round < task.retryRound) continue
    if (v.why === 'lost' || v.why === 'restarted') lost.add(`${v.round}/${v.epoch}`)
    if (v.round === task.round) closed.push(v.epoch)
  }
  return { failures, lost: lost.size, epoch: openEpoch(closed), started }
}

/** The one after the last that was closed. A far-future one waits for those before it: no void uses up all epochs. */
function openEpoch(closed: number[]): number {
  let last = 0
  for (const epoch of closed.length > 1 ? closed.sort((a, b) => a - b) : closed) {
    if (epoch > last + VERSION_JUMP_MAX) break
    last = epoch
  }
  return last + 1
}

/** The successful, unrejected result of the lowest epoch of the round, void or not, that somebody else holds; ties by holder order (DESIGN 5). */
function provisional(task: TaskState, slotsOf: SlotsOf): Entry | undefined {
  let lowest: Entry[] = []
  for (const entry of task.entries) {
    if (entry.round !== task.round || entry.result?.outcome !== 'done') continue
    if (!isShared(task, entry) || isRejected(task, entry)) continue
    if (lowest.length === 0 || entry.epoch < lowest[0]!.epoch) lowest = [entry]
    else if (entry.epoch === lowest[0]!.epoch) lowest.push(entry)
  }
  if (lowest.length <= 1) return lowest[0]
  return holder(
    { run: task.run.id, task: task.id, round: task.round, epoch: lowest[0]!.epoch },
    lowest,
    slotsOf,
  )
}

export function isRejected(task: TaskState, entry: Entry): boolean {
  return task.rejects.some(
    (r) =>
      r.round === entry.round &&
      r.epoch === entry.epoch &&
      r.node === entry.node &&
      task.run.integrators.has(r.author.node),
  )
}

function barrier(task: TaskState): TaskStatus {
  if (task.failedNeeds > 0) return because(task, failedNeed(task), 'dropped')
  return task.pendingNeeds > 0 ? 'waiting' : 'passed'
}

/** Whether its needs let it run now; an attempt whose base has gone again must stop (SPEC AC4). */
export function needsAllow(task: TaskState): boolean {
  if (task.spec?.if) return condition(task) === true
  return task.pendingNeeds === 0 && task.failedNeeds === 0
}

/** Whether it would be ready, were there no bid for it: a claim that waits must not start what was paused meanwhile. */
export function mayStart(task: TaskState): boolean {
  const { reason } = task
  const may = idle(task) === 'ready'
  task.reason = reason
  return may
}

function idle(task: TaskState): TaskStatus {
  const spec = task.spec!
  if (spec.if) {
    const verdict = condition(task)
    if (verdict === undefined) return 'waiting'
    if (!verdict) return because(task, `its condition is false: ${spec.if}`, 'skipped')
  } else if (task.pendingNeeds > 0) return 'waiting'
  for (const soft of task.after) if (dependencyClass(soft.status) === 'pending') return 'waiting'
  if (isBlocked(task))
    return because(task, task.block?.value.verb === 'block' ? task.block.value.reason : undefined, 'blocked')
  if (task.run.paused || task.pause?.value.verb === 'pause') {
    return because(
      task,
      task.pause?.value.verb === 'pause' ? task.pause.value.reason : 'the run is paused',
      'paused',
    )
  }
  return 'ready'
}

const CONDITIONS = new Map<string, Condition | undefined>()

/** Conditions recur: parsed once by text. The plan was checked before, so a text that does not parse is never true. */
function condition(task: TaskState): boolean | undefined {
  const text = task.spec!.if!
  let parsed = CONDITIONS.get(text)
  if (parsed === undefined && !CONDITIONS.has(text)) {
    const read = parseCondition(text)
    parsed = read.ok ? read.condition : undefined
    if (CONDITIONS.size < 10_000) CONDITIONS.set(text, parsed)
  }
  if (!parsed) return false
  const names = task.needs.map((n) => n.id)
  return evaluateCondition(parsed, names, (name): DependencyClass => {
    const need = task.needs.find((n) => n.id === name)
    return need ? dependencyClass(need.status) : 'pending'
  })
}

function isBlocked(task: TaskState): boolean {
  const block = task.block?.value
  if (block?.verb !== 'block' || block.round !== task.round) return false
  if (!block.blockers || block.blockers.length === 0) return true
  return block.blockers.some((id) => {
    const blocker = task.run.tasks.get(id)
    // Only accepted work is in what the next attempt starts from: a blocker is no need.
    return !blocker || !isSettledSuccess(blocker)
  })
}

function failedNeed(task: TaskState): string {
  const need = task.needs.find((n) => dependencyClass(n.status) === 'failure')
  return need ? `its need "${need.id}" is ${need.status}` : 'a need failed'
}

/** The latest trouble, for people: of the latest round, a rejection before a failure, the latest epoch first; then by text. */
function lastTrouble(task: TaskState): string {
  let best: { round: number; epoch: number; text: string } | undefined
  const offer = (round: number, epoch: number, text: string): void => {
    const order = best ? round - best.round || epoch - best.epoch || (text < best.text ? 1 : -1) : 1
    if (order > 0) best = { round, epoch, text }
  }
  for (const e of task.entries) {
    if (e.result && isFailure(e.result.outcome)) offer(e.round, e.epoch, e.result.reason ?? e.result.outcome)
  }
  for (const r of task.rejects) offer(r.round, Number.MAX_SAFE_INTEGER, `${r.why}: ${r.reason}`)
  return best?.text ?? 'failed'
}
