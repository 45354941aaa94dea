/**
 * The core's one entry: `step(state, input, now)`. Synchronous, deterministic, total: what it returns depends on nothing but the state and its arguments (SPEC ND2).
 * The caller makes the facts durable, then carries out the effects, in order.
 */
import {
  advanced,
  current,
  folded,
  gated,
  offer,
  pump,
  recovered,
  resume,
  retryLater,
  waitingFor,
} from './accept.ts'
import { scopeKey, trackUnmerged } from './admit.ts'
import { drain, drainDue, undrain } from './drain.ts'
import type { Effect } from './effect.ts'
import { unreachable } from './error.ts'
import type { Fact, Role } from './fact.ts'
import { fetchAgain, fetchDue, fetched, reviewFetches } from './fetch.ts'
import { finallyGated, finish, published } from './finish.ts'
import {
  claimOutside,
  ended,
  giveUpOwn,
  observed,
  releaseAttempt,
  restarted,
  reviewAttempt,
  superviseDue,
  voidDue,
  voidHeld,
} from './hold.ts'
import { type Millis, type RunId, readAttemptId, type WallMs } from './id.ts'
import type { Input, InputOf, Refusal, Reply } from './input.ts'
import { neededForOrder } from './judge.ts'
import { BASE_REST_MS, SETTLE_MS_MIN } from './limit.ts'
import { followRoster, giveMember, keepWorkers, putRecord } from './member.ts'
import { type NodeState, PROCESS_POOL } from './node-state.ts'
import { giveOrder, refuse } from './order.ts'
import { archiveDue, retire, watchEnd } from './retire.ts'
import type { RunState } from './run-state.ts'
import { adopt, bidDue, dropBid, enqueue, schedule, trackHolder, tryBasesAgain } from './schedule.ts'
import { sealRun } from './seal.ts'
import { isFinal } from './status.ts'
import { watchTerm } from './succession.ts'
import type { TaskState } from './task-state.ts'

export interface StepOutput {
  /** To be written in one commit, before any effect. */
  readonly facts: readonly Fact[]
  readonly effects: readonly Effect[]
  readonly reply: Reply
}

const OK: Reply = { ok: true }

export function step(state: NodeState, input: Input, now: Millis, at: WallMs): StepOutput {
  return stepAll(state, [input], now, at)
}

/** The same for inputs that arrived together: what they change is followed to its end once. The reply is the last one's. */
export function stepAll(state: NodeState, inputs: readonly Input[], now: Millis, at: WallMs): StepOutput {
  state.now = now
  state.at = at
  state.facts = []
  state.effects = []
  let reply = OK
  for (const input of inputs) reply = take(state, input)
  timersDue(state)
  settle(state)
  return { facts: state.facts, effects: state.effects, reply }
}

function take(state: NodeState, input: Input): Reply {
  switch (input.type) {
    case 'facts':
      state.board.apply(input.batch)
      return OK
    case 'started':
      return begin(state, input)
    case 'member':
      return giveMember(state, input)
    case 'submit':
      return lacking(state, 'planner', 'submit a run') ?? submit(state, input)
    case 'record':
      putRecord(state, input.record)
      return OK
    case 'kind':
      return offerKind(state, input)
    case 'members':
      tryBasesAgain(
        state,
        input.live.filter((node) => !state.present.includes(node)),
      )
      state.present = input.live
      keepWorkers(state)
      for (const node of state.live) state.dead.delete(node)
      fetchAgain(state)
      return OK
    case 'delay': {
      const { settleMs, staggerMs } = state.options
      state.settleMs = Math.min(settleMs, SETTLE_MS_MIN + 4 * input.roundTripMs)
      state.staggerMs = settleMs > 0 ? (staggerMs * state.settleMs) / settleMs : staggerMs
      return OK
    }
    case 'dead':
      voidHeld(state, input.node, input)
      state.ready.shareAnew()
      fetchAgain(state)
      return OK
    case 'attempt-event':
      observed(state, input)
      return OK
    case 'attempt-ended':
      ended(state, input)
      return OK
    case 'base-conflict': {
      const attempt = state.attempts.get(input.attempt)
      if (!attempt) return OK
      attempt.task.finalNeedsOnly = true
      return releaseAttempt(state, attempt, input.reason)
    }
    case 'base-missing': {
      const attempt = state.attempts.get(input.attempt)
      if (!attempt) return OK
      attempt.task.notBefore = Math.max(attempt.task.notBefore, state.now + BASE_REST_MS)
      attempt.noBase = true
      return releaseAttempt(state, attempt, input.reason)
    }
    case 'fetched':
      fetched(state, input)
      return OK
    case 'folded':
      folded(state, input)
      touch(state, input)
      return OK
    case 'gated': {
      const job = current(state, input, 'gating', 'finishing')
      if (job?.phase === 'gating') gated(state, job, input)
      else if (job) finallyGated(state, job, input)
      touch(state, input)
      return OK
    }
    case 'advanced':
      advanced(state, input)
      touch(state, input)
      return OK
    case 'published':
      published(state, input)
      touch(state, input)
      return OK
    case 'job-failed': {
      const job = current(state, input, 'folding', 'gating', 'advancing', 'finishing')
      if (!job) return OK
      state.effect({
        type: 'alarm',
        code: input.problem.code,
        message: `${input.run}: ${input.problem.message}`,
      })
      retryLater(state, job)
      return OK
    }
    case 'recovered': {
      const run = state.board.runs.get(input.run)
      if (run) recovered(state, run, input.commits, input.term ?? 1)
      return OK
    }
    case 'order':
      return (
        lacking(state, neededForOrder(input.order.verb), `${input.order.verb} it`) ?? giveOrder(state, input)
      )
    case 'claim':
      return lacking(state, 'worker', 'claim a task') ?? claimOutside(state, input)
    case 'release': {
      const attempt = state.attempts.get(input.attempt)
      if (!attempt) return refuse('ORCH_SUPERSEDED', `attempt ${input.attempt} does not run here`)
      return releaseAttempt(state, attempt, input.reason)
    }
    case 'drain':
      drain(state, input)
      return OK
    case 'intake':
      state.intake = input.closed
      if (input.closed === undefined) state.ready.release('intake')
      return OK
    case 'undrain':
      undrain(state)
      return OK
    case 'tick':
      return OK
    default:
      return unreachable(input)
  }
}

/** The role of this node does not let it do that. */
function lacking(state: NodeState, needed: Role, deed: string): Refusal | undefined {
  if (state.may(needed)) return undefined
  const role = state.roster?.role(state.me) ?? 'none'
  if (role === 'none')
    return refuse('ORCH_NOT_MEMBER', `this node is no member of the cluster: it cannot ${deed}`)
  return refuse('ORCH_ROLE', `this node's role is ${role}: to ${deed} it must be ${needed}`, { role, needed })
}

/** A job went on: there may be a next one, also where the answer wrote no fact. */
function touch(state: NodeState, input: { readonly run: RunId }): void {
  const run = state.board.runs.get(input.run)
  if (run) state.board.touch(run)
}

function begin(state: NodeState, input: InputOf<'started'>): Reply {
  state.started = true
  state.finishedFor = input.finishedFor ?? {}
  putRecord(state, input.record)
  for (const { attempt: id, ageMs } of input.adopted) {
    const slot = readAttemptId(id)
    const task = slot && state.board.task(slot.run, slot.task)
    if (slot && task?.spec)
      adopt(
        state,
        task,
        { run: slot.run, task: slot.task, round: slot.round, epoch: slot.epoch },
        id,
        state.now - ageMs,
      )
  }
  restarted(state)
  // While this node was away an adopted attempt may have been voided, cancelled or overtaken.
  for (const attempt of [...state.attempts.values()]) reviewAttempt(state, attempt)
  for (const run of state.board.runs.values()) {
    for (const task of run.tasks.values()) {
      reviewFetches(state, task)
      if (task.status === 'provisional') offer(state, task)
    }
    reviewRun(state, run)
  }
  return OK
}

function submit(state: NodeState, input: InputOf<'submit'>): Reply {
  const known = state.board.runs.get(input.run)
  if (state.board.isArchived(input.run))
    return refuse('ORCH_WRONG_STATE', `run ${input.run} was archived: submit a new run`)
  if (known?.header && (known.sealed || known.header.creator !== state.me)) {
    return refuse('ORCH_WRONG_STATE', `run ${input.run} is sealed: submit a new run`)
  }
  const pending = state.board.unfinished
  const max = state.options.pendingTasksMax
  if (pending + input.tasks.length > max) {
    return refuse(
      'ORCH_BACKPRESSURE',
      `${pending} tasks are pending and ${input.tasks.length} more would pass the bound of ${max}`,
      { pending, max },
    )
  }
  const doc = input.run
  for (const [id, spec] of input.tasks) {
    if (spec.exclusive && state.hasOthers()) {
      return refuse(
        'ORCH_UNSUPPORTED',
        `task "${id}" is exclusive: with several members that needs voters, which this version does not have`,
      )
    }
    if (known?.tasks.get(id)?.spec) return refuse('ORCH_USAGE', `run ${doc} has a task "${id}" already`)
  }
  if (!known?.header) state.put({ doc, collection: 'runs', key: `${doc}/0`, body: input.header })
  for (const [id, spec] of input.tasks) state.put({ doc, collection: 'specs', key: id, body: spec })
  const run = state.board.runs.get(doc)!
  if (input.seal)
    state.put({
      doc,
      collection: 'seals',
      key: '*',
      body: sealRun(run),
    })
  return { ok: true, n: input.tasks.length }
}

/** Tasks of a run that still want work; how the back-pressure bound counts (R24). */
export function unfinished(run: RunState): number {
  return run.count('waiting', 'ready', 'claimed', 'running', 'provisional', 'paused', 'blocked', 'held')
}

function offerKind(state: NodeState, input: InputOf<'kind'>): Reply {
  if (!input.inProcess) {
    state.kinds.set(input.kind, state.pools.get(PROCESS_POOL)!)
  } else {
    const name = `worker:${input.kind}`
    const pool = state.pools.get(name)
    if (pool) pool.concurrency = input.concurrency
    else {
      const made = {
        name,
        concurrency: input.concurrency,
        inProcess: true,
        running: 0,
        meanMs: 1_000,
      }
      state.pools.set(name, made)
      state.kinds.set(input.kind, made)
    }
  }
  state.ready.move(`?${input.kind}`, () => state.kinds.get(input.kind)!.name)
  return OK
}

function timersDue(state: NodeState): void {
  for (let timer = state.timers.peek(); timer && timer.at <= state.now; timer = state.timers.peek()) {
    state.timers.pop()
    switch (timer.kind) {
      case 'attempt':
        superviseDue(state, timer.key)
        break
      case 'ready':
        if (timer.task?.status === 'ready') enqueue(state, timer.task)
        break
      case 'bid':
        if (timer.task) bidDue(state, timer.task)
        break
      case 'void':
        if (timer.task) voidDue(state, timer.task, timer.key)
        break
      case 'fetch':
        fetchDue(state, timer.key)
        break
      case 'drain':
        drainDue(state)
        break
      case 'archive':
        archiveDue(state, timer.key)
        break
      case 'job': {
        const job = state.jobs.get(timer.key)
        if (job) resume(state, job)
      }
    }
  }
}

/** Follows every change to its end: what a fact made ready starts, what it made final is accepted, what it superseded stops. */
function settle(state: NodeState): void {
  for (;;) {
    const tasks = state.board.takeChanged()
    for (const task of tasks) changed(state, task)
    if (state.watched) for (const task of tasks) state.touched.add(task)
    const runs = state.board.takeChangedRuns()
    if (state.watched) for (const run of runs) state.touchedRuns.add(run)
    if (state.started) for (const run of runs) reviewRun(state, run)
    if (state.started) retire(state, state.board.archive.take())
    if (tasks.length > 0 || runs.length > 0) continue
    const before = state.facts.length
    followRoster(state)
    if (state.may('worker')) schedule(state)
    if (state.facts.length === before) return
  }
}

function changed(state: NodeState, task: TaskState): void {
  trackHolder(state, task)
  trackUnmerged(state, task)
  const attempt = state.byTask.get(task)
  if (attempt) reviewAttempt(state, attempt)
  const bid = state.bids.get(task)
  if (bid && task.status !== 'ready' && task.status !== 'claimed') dropBid(state, task)
  if (task.status === 'ready') enqueue(state, task)
  else task.readySince = -1
  if (!state.started) return
  giveUpOwn(state, task)
  reviewFetches(state, task)
  if (task.status === 'provisional') offer(state, task)
  else if (isFinal(task.status)) {
    if (task.run.header?.repository) state.ready.release(scopeKey(task))
    for (const next of waitingFor(task)) {
      if (next.status === 'provisional') offer(state, next)
      else if (next.finalNeedsOnly && next.status === 'ready') enqueue(state, next)
    }
  }
}

function reviewRun(state: NodeState, run: RunState): void {
  watchTerm(state, run)
  watchEnd(state, run)
  if (!state.isIntegrator(run)) return
  if (!pump(state, run)) finish(state, run)
}
