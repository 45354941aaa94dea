/**
 * Acceptance (DESIGN 5): the run's integrator turns provisional results into final ones, one candidate at a time. Results with files go through the git edge and
 * the gates, and are accepted only after the run's ref has moved (SPEC AC1); the others are accepted as they come. Closed under needs.
 */
import { holds } from './ack.ts'
import type { Reject } from './fact.ts'
import type { NodeId, Oid, TaskId } from './id.ts'
import type { InputOf, RecoveredCommit } from './input.ts'
import type { Conflict, Delta, GateFailure } from './integrate.ts'
import { MERGE_BATCH_MAX } from './limit.ts'
import { deltaOf, isSettledFor, needsSettled } from './merge-base.ts'
import { mergeStep } from './merge-queue.ts'
import type { MergeJob, NodeState } from './node-state.ts'
import { rejectResult } from './reject.ts'
import type { RunState } from './run-state.ts'
import { tipSources } from './start-request.ts'
import type { TaskState } from './task-state.ts'

/** A provisional result appeared, or what it needs became final. */
export function offer(state: NodeState, task: TaskState): void {
  if (!state.isIntegrator(task.run) || isTried(state, task)) return
  if (task.provisional?.result?.head !== undefined && task.run.header?.repository) {
    // What is not here yet is offered again when it was fetched.
    if (holds(task, task.provisional, state.me)) state.job(task.run).queue.add(task)
    return
  }
  const { round, epoch, node } = task.provisional!
  if (needsSettled(task)) accept(state, task, { round, epoch, by: node })
}

/** A result of it is in the running candidate, so it may be on the ref already, though another one counts by now: what comes of it decides. */
function isTried(state: NodeState, task: TaskState): boolean {
  const job = state.jobs.get(task.run.id)
  if (!job || job.phase === 'idle' || job.phase === 'finishing') return false
  return (job.phase !== 'waiting' || job.moving !== undefined) && job.deltas.some((d) => d.task === task.id)
}

/** The candidate is over: what of it still counts is offered again. */
function letGo(state: NodeState, job: MergeJob): void {
  for (const delta of job.deltas) {
    const task = job.run.tasks.get(delta.task)
    if (task?.status === 'provisional') offer(state, task)
  }
}

/** Tasks that may have waited for `task` to be final: those that need it, also through barriers. */
export function* waitingFor(task: TaskState): Generator<TaskState> {
  for (const next of task.dependants) {
    if (next.status === 'passed') yield* waitingFor(next)
    else yield next
  }
}

function accept(
  state: NodeState,
  task: TaskState,
  result: { readonly round: number; readonly epoch: number; readonly by: NodeId; readonly commit?: Oid },
): void {
  const { round, epoch, by, commit } = result
  const position = task.run.lastPosition + 1
  state.put({
    doc: task.run.id,
    collection: 'accepts',
    key: `${task.id}/${round}/${task.run.term}`,
    body: { epoch, by, position, ...(commit ? { commit } : {}) },
  })
}

/** Starts the next candidate of a run when none is on its way. Returns false when there is nothing to integrate. */
export function pump(state: NodeState, run: RunState): boolean {
  const job = state.jobs.get(run.id)
  if (!job) return false
  if (job.phase !== 'idle') return true
  const batch = nextBatch(state, job)
  const tip = run.tip()
  const repository = run.header?.repository
  if (batch.length === 0 || !tip || !repository) return false
  job.job++
  job.phase = 'folding'
  job.tip = tip
  job.deltas = batch.map(deltaOf)
  job.chain = []
  job.checks = new Map()
  job.verifies = new Map()
  state.effect({
    type: 'fold',
    run: run.id,
    job: job.job,
    repository,
    request: { run: run.id, tip, deltas: job.deltas, date: run.header!.createdAt, term: run.term },
    ...tipSources(state, run),
  })
  return true
}

/** Oldest first; a task comes after what it needs, in the same batch at the earliest. */
function nextBatch(state: NodeState, job: MergeJob): TaskState[] {
  const max = job.run.merge.mode === 'per-task' ? 1 : MERGE_BATCH_MAX
  const batch: TaskState[] = []
  const chosen = new Set<TaskState>()
  const fits = (task: TaskState): boolean =>
    task.needs.every(
      (need) => chosen.has(need) || isSettledFor(task, need) || (need.status === 'passed' && fits(need)),
    )
  for (let grew = true; grew && batch.length < max; ) {
    grew = false
    for (const task of job.queue) {
      // Another result of it may count by now: one without files, or one that is not here yet.
      if (!isFoldable(state, task)) {
        job.queue.delete(task)
        continue
      }
      if (chosen.has(task) || batch.length >= max || !fits(task)) continue
      chosen.add(task)
      batch.push(task)
      grew = true
    }
  }
  return batch
}

function isFoldable(state: NodeState, task: TaskState): boolean {
  const entry = task.provisional
  return task.status === 'provisional' && entry?.result?.head !== undefined && holds(task, entry, state.me)
}

export function folded(state: NodeState, input: InputOf<'folded'>): void {
  const job = current(state, input, 'folding')
  if (!job) return
  job.chain = input.outcome.chain
  job.conflict = input.outcome.conflict
  nextGate(state, job)
}

export function gated(state: NodeState, job: MergeJob, input: InputOf<'gated'>): void {
  const { asked } = job
  const verdict = { ok: input.ok, exit: input.exit, output: input.output }
  if (asked && 'check' in asked) job.checks.set(asked.check, verdict)
  else if (asked && 'verify' in asked) job.verifies.set(asked.verify, verdict)
  nextGate(state, job)
}

function nextGate(state: NodeState, job: MergeJob): void {
  const { run } = job
  const repository = run.header!.repository!
  const { verify } = run.merge
  const step = mergeStep({
    tip: job.tip!,
    deltas: job.deltas,
    chain: job.chain,
    ...(verify ? { verify } : {}),
    tipGreen: job.green !== undefined && job.green === job.tip,
    checks: job.checks,
    verifies: job.verifies,
  })
  if (step.next === 'done') {
    job.good = step.prefix
    job.culprit = step.culprit
    job.verified = step.verified
    if (step.red && !job.deferred) {
      job.deferred = true
      state.effect({
        type: 'alarm',
        code: 'ORCH_GATE',
        message: `run ${run.id}: verify fails on the base already; it decides at the end of the run`,
      })
    }
    const next = step.prefix === 0 ? job.tip! : job.chain[step.prefix - 1]!.commit
    if (next === job.tip) return conclude(state, job)
    job.moving = { old: job.tip!, next }
    advance(state, job, job.moving)
    return
  }
  job.phase = 'gating'
  const { commit, command } = step
  const common = { type: 'gate', run: run.id, job: job.job, repository, commit, command } as const
  if (step.next === 'check') {
    job.asked = { check: step.index }
    state.effect({ ...common, what: 'check', task: job.deltas[step.index]!.task })
  } else {
    job.asked = { verify: step.prefix }
    const task = job.deltas[step.prefix - 1]?.task
    state.effect({ ...common, what: 'verify', ...(task ? { task } : {}) })
  }
}

function advance(state: NodeState, job: MergeJob, moving: { readonly old: Oid; readonly next: Oid }): void {
  job.phase = 'advancing'
  const repository = job.run.header!.repository!
  const { id, term } = job.run
  state.effect({ type: 'advance', run: id, job: job.job, repository, ...moving, term })
}

export function advanced(state: NodeState, input: InputOf<'advanced'>): void {
  const job = current(state, input, 'advancing')
  if (!job) return
  job.moving = undefined
  if (input.ok) return conclude(state, job)
  // The ref is not where the board says: what was found on it has been accepted by now (`recovered`), so the next candidate fits.
  job.phase = 'idle'
  retryLater(state, job)
}

/** The ref has moved (or need not): the facts follow. */
function conclude(state: NodeState, job: MergeJob): void {
  job.phase = 'idle'
  job.retries = 0
  const moved = job.good > 0 ? job.chain[job.good - 1]!.commit : job.tip
  if (job.good > 0 ? job.verified : job.verifies.get(0)?.ok) job.green = moved
  for (let i = 0; i < job.good; i++) {
    const delta = job.deltas[i]!
    const made = job.chain[i]!
    const task = job.run.tasks.get(delta.task)!
    job.queue.delete(task)
    if (task.accepted) continue
    // What is on the ref is accepted, whatever came in meanwhile: the ref is the commit point (AC1).
    if (!made.empty) accept(state, task, { ...delta, commit: made.commit })
    else if (isProvisional(task, delta)) accept(state, task, delta)
  }
  if (job.culprit) blame(state, job, job.culprit)
  // A conflict counts only against commits that stayed.
  else if (job.conflict && job.good === job.chain.length) refuseConflict(state, job, job.conflict)
  job.conflict = undefined
  job.culprit = undefined
  letGo(state, job)
  state.ready.release(`scope:${job.run.id}`)
}

function blame(state: NodeState, job: MergeJob, failure: GateFailure): void {
  const why = failure.exit === null ? 'was ended' : `exit ${failure.exit}`
  reject(state, job.run, failure.task, {
    why: failure.why,
    reason: `${why} of ${failure.command}`,
    output: failure.output,
    onto: job.tip!,
  })
}

function refuseConflict(state: NodeState, job: MergeJob, conflict: Conflict): void {
  const { onConflict } = job.run.merge
  const others = conflict.with.length > 0 ? ` with ${conflict.with.join(', ')}` : ''
  reject(state, job.run, conflict.task, {
    why: 'conflict',
    reason: `conflicts${others} in ${conflict.paths.slice(0, 5).join(', ')}`,
    output: conflict.output,
    paths: conflict.paths,
    with: conflict.with,
    onto: job.chain.at(-1)?.commit ?? job.tip!,
    ...(onConflict === 'manual' ? { hold: true } : {}),
    ...(onConflict === 'take-first' ? { drop: true } : {}),
  })
}

function reject(state: NodeState, run: RunState, id: TaskId, body: Reject): void {
  const task = run.tasks.get(id)
  const job = state.job(run)
  const delta = job.deltas.find((d) => d.task === id)
  // Another result of the task counts by now: that one was not tried.
  if (!task || !delta || !isProvisional(task, delta)) return
  job.queue.delete(task)
  rejectResult(state, task, task.provisional!, body)
}

function isProvisional(task: TaskState, delta: Delta): boolean {
  const entry = task.provisional
  return (
    task.status === 'provisional' &&
    entry?.round === delta.round &&
    entry.epoch === delta.epoch &&
    entry.node === delta.by
  )
}

/** Commits of the run's ref without an accept: a crash came between the two. Never moves anything, only says what is. */
export function recovered(
  state: NodeState,
  run: RunState,
  commits: readonly RecoveredCommit[],
  term: number,
): void {
  if (!state.isIntegrator(run) || term !== run.term) return
  for (const commit of commits) {
    const task = run.tasks.get(commit.task)
    if (task && !task.accepted) accept(state, task, commit)
  }
}

/** The edge failed in the middle: nothing was believed, so the same is tried again, later and later. */
export function retryLater(state: NodeState, job: MergeJob): void {
  job.phase = 'waiting'
  job.retries++
  const waitMs = Math.min(250 * 2 ** Math.min(job.retries, 8), 60_000)
  state.timer({ at: state.now + waitMs, kind: 'job', key: job.run.id })
  if (!job.moving) letGo(state, job)
}

/** The wait is over. A move that was not answered is asked for again: if it was made, the answer says so. */
export function resume(state: NodeState, job: MergeJob): void {
  if (job.phase !== 'waiting') return
  job.job++
  if (job.moving) return advance(state, job, job.moving)
  job.phase = 'idle'
  state.board.touch(job.run)
}

export function current(
  state: NodeState,
  input: { readonly run: string; readonly job: number },
  ...phases: readonly MergeJob['phase'][]
): MergeJob | undefined {
  const job = state.jobs.get(input.run)
  if (!job || !state.isIntegrator(job.run)) return undefined
  return job.job === input.job && phases.includes(job.phase) ? job : undefined
}

/** Another node integrates the run from now on, or this one in a new term: what is under way is not waited for, and what it brings is not taken. */
export function abandon(job: MergeJob): void {
  job.job++
  job.phase = 'idle'
  job.queue.clear()
  job.deltas = []
  job.chain = []
  job.moving = undefined
  job.culprit = undefined
  job.conflict = undefined
}
