/**
 * What this node holds: attempts that run here, from their start to their result. Also what others held, when they are gone.
 */

import { admitWorker } from './admit.ts'
import type { Result } from './attempt.ts'
import { attemptOf } from './attempt-name.ts'
import { claimRank, type Entry } from './claim.ts'
import { isOpen, needsAllow } from './derive.ts'
import type { StopReason } from './effect.ts'
import { slotKey } from './fact.ts'
import type { AttemptId, Incarnation, NodeId, Slot } from './id.ts'
import type { InputOf, Reply } from './input.ts'
import { TERM_GRACE_MS } from './limit.ts'
import type { LocalAttempt, NodeState, StopCause } from './node-state.ts'
import { refuse } from './order.ts'
import { enqueue, giveBack, poolOf, putVoid, startOutside, unregister } from './schedule.ts'
import { escalate, evaluate, forgive, nextDeadline, observe, postMortem, type Verdict } from './supervise.ts'
import type { TaskState } from './task-state.ts'

const OK: Reply = { ok: true }
/** Interventions remembered for a post-mortem. */
const INTERVENTIONS_MAX = 50
/** Between two nodes that void the same epoch. */
const VOID_STAGGER_MS = 400

/** The facts about a task that runs here changed: go on, move to the new epoch, or stop. */
export function reviewAttempt(state: NodeState, attempt: LocalAttempt): void {
  const { task, slot } = attempt
  if (attempt.stopping) return
  if (task.status === 'cancelled') return stop(state, attempt, 'cancelled')
  if (task.round !== slot.round || task.accepted || task.provisional)
    return stop(state, attempt, 'superseded')
  if (task.epoch > slot.epoch) {
    // Voided while it runs on, and nobody else has begun: it goes on in the new epoch instead of being thrown away.
    const taken = task.entries.some(
      (e) => e.round === task.round && e.epoch === task.epoch && e.start && e.node !== state.me,
    )
    if (taken || task.spec?.exclusive) return stop(state, attempt, 'superseded')
    attempt.slot = { ...slot, epoch: task.epoch }
    state.put({ doc: slot.run, collection: 'starts', key: slotKey(attempt.slot), body: { cont: true } })
    return
  }
  if (task.holder && task.holder.node !== state.me) return stop(state, attempt, 'superseded')
  if (!needsAllow(task)) stop(state, attempt, 'outdated')
}

const STOP_REASON: Record<StopCause, StopReason> = {
  cancelled: 'cancelled',
  'timed-out': 'timed-out',
  stalled: 'stalled',
  memory: 'memory',
  shutdown: 'shutdown',
  superseded: 'cancelled',
  released: 'cancelled',
  outdated: 'cancelled',
}

function stop(state: NodeState, attempt: LocalAttempt, cause: StopCause): void {
  if (attempt.stopping) return
  attempt.stopping = cause
  state.effect({ type: 'stop', attempt: attempt.id, reason: STOP_REASON[cause], graceMs: TERM_GRACE_MS })
}

/** A person or the worker gives it back: the work so far is kept under a ref, another attempt begins. */
export function releaseAttempt(
  state: NodeState,
  attempt: LocalAttempt,
  reason: string,
  cause: 'released' | 'shutdown' = 'released',
): Reply {
  if (attempt.stopping) return refuse('ORCH_WRONG_STATE', `attempt ${attempt.id} is being stopped already`)
  attempt.trouble = reason
  stop(state, attempt, cause)
  return OK
}

/** The result of an attempt, as the edge found it; what it counts as is decided here. */
export function ended(state: NodeState, input: InputOf<'attempt-ended'>): void {
  const attempt = state.attempts.get(input.attempt)
  if (!attempt) return
  const { task, slot } = attempt
  unregister(state, attempt, input.result.usage?.wallMs)
  // Nothing more is said of a run that was archived meanwhile.
  if (state.board.isArchived(slot.run)) return
  const result = unshared(state, attempt, judge(attempt, input.result))
  const { outcome } = result
  if (outcome === 'released' && attempt.noBase) giveBack(state, slot, { ...result, noBase: true }, outcome)
  else if (outcome === 'released' || outcome === 'lost') giveBack(state, slot, result, outcome)
  else state.put({ doc: slot.run, collection: 'results', key: slotKey(slot), body: result })
  if (task.status === 'ready') enqueue(state, task)
}

/** Work that is on this disk only says so, where others are known. The integrator's counts all the same, until another one takes the run over. */
function unshared(state: NodeState, { task }: LocalAttempt, result: Result): Result {
  if (result.outcome !== 'done' || result.head === undefined || !task.run.header?.repository) return result
  return state.hasOthers() ? { ...result, unshared: true } : result
}

function judge(attempt: LocalAttempt, result: Result): Result {
  const cause = attempt.stopping
  if (cause === 'outdated') {
    return { ...result, outcome: 'released', reason: 'what it was built on does not count any more' }
  }
  // Work that was finished in time counts, whatever else we were about to do to it.
  if (result.outcome === 'done') return result
  const reason = attempt.trouble ?? result.reason
  const said = {
    ...(reason === undefined ? {} : { reason }),
    ...(attempt.hint ? { hint: attempt.hint } : {}),
  }
  switch (cause) {
    case undefined:
    case 'memory':
      return result
    case 'cancelled':
      return { ...result, ...said, outcome: 'cancelled' }
    case 'superseded':
    case 'released':
    case 'shutdown':
      return { ...result, ...said, outcome: 'released' }
    case 'timed-out':
      return {
        ...result,
        outcome: 'timed-out',
        error: 'ORCH_TIMEOUT',
        reason: `timed out after ${duration(attempt.timeoutMs)}`,
      }
    case 'stalled':
      return { ...result, ...said, outcome: 'failed', reason: attempt.trouble ?? 'stalled' }
  }
}

function duration(ms: number): string {
  return ms >= 60_000 ? `${Math.round(ms / 6_000) / 10} min` : `${Math.round(ms / 100) / 10} s`
}

export function observed(state: NodeState, input: InputOf<'attempt-event'>): void {
  const attempt = state.attempts.get(input.attempt)
  if (!attempt?.watch || attempt.stopping) return
  attempt.watch = observe(attempt.watch, input.event, state.now)
  supervise(state, attempt)
}

/** A deadline of an attempt may have passed: its timeout, or silence. */
export function superviseDue(state: NodeState, id: AttemptId): void {
  const attempt = state.attempts.get(id)
  if (!attempt || attempt.stopping) return
  if (state.now >= attempt.deadline) attempt.deadline = Number.POSITIVE_INFINITY
  if (attempt.watch) supervise(state, attempt)
  if (!attempt.stopping && attempt.timeoutMs > 0 && state.now >= attempt.startedAt + attempt.timeoutMs)
    stop(state, attempt, 'timed-out')
}

function supervise(state: NodeState, attempt: LocalAttempt): void {
  if (!attempt.watch) return
  const verdict = evaluate(attempt.watch, state.now)
  if (verdict && intervene(state, attempt, verdict)) return
  // One timer at a time: activity only moves the deadline back, and the timer that was set looks again.
  const next = nextDeadline(attempt.watch)
  if (next !== undefined && next < attempt.deadline) {
    attempt.deadline = next
    state.timer({ at: Math.max(next, state.now + 1), kind: 'attempt', key: attempt.id })
  }
}

/** R59: a hint into the running session, then cancel and retry with the hint, then fail with the post-mortem. True when it is being stopped. */
function intervene(state: NodeState, attempt: LocalAttempt, verdict: Verdict): boolean {
  const { task } = attempt
  const action = escalate(task.interventions, verdict, task.spec?.kind !== 'shell')
  const number = task.failures + 1
  task.interventions = [
    ...task.interventions,
    { attempt: number, rule: verdict.rule, reason: verdict.reason, action, free: verdict.free },
  ].slice(-INTERVENTIONS_MAX)
  if (action === 'hint') {
    state.effect({ type: 'hint', attempt: attempt.id, text: verdict.hint })
    attempt.watch = forgive(attempt.watch!)
    return false
  }
  attempt.trouble = action === 'fail' ? postMortem(task.interventions) : verdict.reason
  attempt.hint = verdict.hint
  if (verdict.free) {
    task.notBefore = state.now + (verdict.retryAfterMs ?? 0)
    stop(state, attempt, 'released')
  } else stop(state, attempt, verdict.rule === 'timeout' ? 'timed-out' : 'stalled')
  return true
}

/** What earlier lives of this node left open and no process runs any more: given up, so that it starts again at once. */
export function restarted(state: NodeState): void {
  for (const run of state.board.runs.values()) {
    if (run.count('running', 'claimed') === 0) continue
    for (const task of run.tasks.values()) giveUpOwn(state, task)
  }
}

/** This node holds a task, or bids for it, and knows nothing of it: an earlier life did. Also when that is learnt late. */
export function giveUpOwn(state: NodeState, task: TaskState): void {
  if (task.status !== 'running' && task.status !== 'claimed') return
  if (state.byTask.has(task) || state.bids.has(task)) return
  const { round, epoch } = task
  const entry = task.entries.find((e) => e.node === state.me && e.round === round && e.epoch === epoch)
  if (!entry || entry.result) return
  const slot: Slot = { run: task.run.id, task: task.id, round, epoch }
  const outcome = entry.start ? 'lost' : 'released'
  giveBack(state, slot, { outcome, reason: 'the node was restarted' }, entry.start ? 'restarted' : 'released')
}

/** What of a member's is lost, when not all of it. */
interface Loss {
  readonly what?: 'all' | 'in-process'
  readonly incarnation?: Incarnation
}

/** A member is gone: each epoch it holds is voided, by one observer after the other until one is seen to have done it. */
export function voidHeld(state: NodeState, node: NodeId, loss: Loss = {}): void {
  if (node === state.me) return
  if (loss.what !== 'in-process') state.dead.add(node)
  state.live = state.live.filter((n) => n !== node)
  if (!state.may('worker')) return
  for (const task of [...(state.heldBy.get(node) ?? [])]) {
    if (!isLost(state, node, task, loss)) continue
    const slot: Slot = { run: task.run.id, task: task.id, round: task.round, epoch: task.epoch }
    const rank = claimRank(slot, state.me, state.live, () => 1)
    if (rank === 0) giveUp(state, task, node)
    else state.timer({ at: state.now + rank * VOID_STAGGER_MS, kind: 'void', key: node, task })
  }
}

function isLost(state: NodeState, node: NodeId, task: TaskState, loss: Loss): boolean {
  if (loss.incarnation !== undefined && task.holder?.incarnation !== loss.incarnation) return false
  const kinds = state.board.nodes.get(node)?.value.inProcess
  return loss.what !== 'in-process' || !kinds || kinds.includes(task.spec?.kind ?? '')
}

export function voidDue(state: NodeState, task: TaskState, node: NodeId): void {
  if (!state.live.includes(node)) giveUp(state, task, node)
}

function giveUp(state: NodeState, task: TaskState, node: NodeId): void {
  const entry: Entry | undefined = task.holder
  if (!entry || entry.node !== node || !isOpen(task, entry) || task.spec?.exclusive) return
  putVoid(state, { run: task.run.id, task: task.id, round: entry.round, epoch: entry.epoch }, 'lost')
}

/** An outside worker claims (R19, R20): the named task, or the most urgent one that nothing here would run. */
export function claimOutside(state: NodeState, input: InputOf<'claim'>): Reply {
  if (state.draining) return refuse('ORCH_NOTHING_READY', 'the node is stopping')
  if (input.task !== undefined) {
    const task = input.run === undefined ? undefined : state.board.task(input.run, input.task)
    if (!task?.spec) return refuse('ORCH_NOT_FOUND', `there is no task "${input.run ?? '?'}/${input.task}"`)
    if (task.status === 'running' || task.status === 'claimed') {
      const by = task.holder?.node ?? ''
      return refuse('ORCH_CLAIM_LOST', `${task.name} is held by ${by}`, {
        holder: by,
        attempt: holderAttempt(task),
      })
    }
    if (task.status !== 'ready')
      return refuse(
        'ORCH_WRONG_STATE',
        `${task.name} is ${task.status}${task.reason ? `: ${task.reason}` : ''}`,
      )
    const obstacle = admitWorker(state, task)
    if (obstacle) return refuse('ORCH_NOTHING_READY', `${task.name} ${obstacle.reason}`)
    return { ok: true, attempt: startOutside(state, task) }
  }
  const { ready } = state
  const pools = ready.pools().filter((pool) => pool.startsWith('?'))
  const passed: TaskState[] = []
  let found: TaskState | undefined
  for (let entry = ready.popBest(pools); entry && !found; entry = found ? undefined : ready.popBest(pools)) {
    const { task } = entry
    const fits =
      (input.run === undefined || task.run.id === input.run) &&
      (task.spec!.capabilities ?? []).every((c) => input.capabilities?.includes(c)) &&
      !admitWorker(state, task)
    if (fits) found = task
    else passed.push(task)
  }
  for (const task of passed) ready.push(task, poolOf(state, task))
  if (found) return { ok: true, attempt: startOutside(state, found) }
  return refuse('ORCH_NOTHING_READY', 'no task is ready for an outside worker')
}

function holderAttempt(task: TaskState): AttemptId | undefined {
  const entry = task.holder
  if (!entry) return undefined
  return attemptOf(task, entry)
}
