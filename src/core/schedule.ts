/**
 * Who starts what, here and now (DESIGN 4). Ready tasks are taken in order of urgency; each must be admitted by slots, resources, group, exclusive name and
 * scope. Alone, or first in the rendezvous order, a node starts at once; otherwise it waits its turn and then for the settle window.
 */
import { sourcesOf } from './ack.ts'
import { admit, give, roomFor, scopeKey, take } from './admit.ts'
import type { Result } from './attempt.ts'
import { backoffMs } from './backoff.ts'
import { claimRank, comesFirst } from './claim.ts'
import { mayStart } from './derive.ts'
import { slotKey, type VoidReason } from './fact.ts'
import { type AttemptId, attemptId, type DurationMs, type NodeId, type Slot } from './id.ts'
import {
  AGENT_IDLE_STEPS,
  AGENT_LOOP_CALLS,
  BASE_REST_MS,
  BASE_REST_MS_MAX,
  BATCH_STARTS_MAX,
} from './limit.ts'
import { needsSettled, pendingDeltas } from './merge-base.ts'
import { type Bid, type LocalAttempt, type NodeState, type Pool, PROCESS_POOL } from './node-state.ts'
import type { Room } from './ready-queue.ts'
import { startRequest } from './start-request.ts'
import { createWatch, nextDeadline, type Watch } from './supervise.ts'
import { BARRIER_KIND, OUTSIDE_KIND, TASK_DEFAULT } from './task.ts'
import type { TaskState } from './task-state.ts'

/** Pool that a task draws on: its kind's, or a name of its own where nobody offers the kind yet. */
export function poolOf(state: NodeState, task: TaskState): string {
  const kind = task.spec?.kind ?? ''
  return state.kinds.get(kind)?.name ?? `?${kind}`
}

/** A task became ready, or is ready with another urgency. */
export function enqueue(state: NodeState, task: TaskState): void {
  const spec = task.spec!
  if (spec.kind === BARRIER_KIND) return
  if (task.readySince < 0) task.readySince = state.now
  if (task.failures < task.failuresSeen) {
    // A person ordered another round: fresh budgets, no rest.
    task.failuresSeen = 0
    task.notBefore = 0
  }
  if (task.failures > task.failuresSeen) {
    task.failuresSeen = task.failures
    const wait = backoffMs(spec.retry ?? TASK_DEFAULT.retry, task.failures, state.prng.next())
    task.notBefore = state.now + wait
  }
  restForBase(state, task)
  if (task.notBefore > state.now) {
    state.timer({ at: task.notBefore, kind: 'ready', key: task.name, task })
    return
  }
  if (task.finalNeedsOnly && !needsSettled(task)) return
  if (state.bids.has(task) || state.byTask.has(task)) return
  state.ready.push(task, poolOf(state, task))
}

/** Nobody could reach its base, whoever tried: the next one would start it in vain, too. */
function restForBase(state: NodeState, task: TaskState): void {
  let count = 0
  for (const { round, result } of task.entries) if (round === task.round && result?.noBase) count++
  if (count > task.baselessSeen) {
    const restMs = Math.min(BASE_REST_MS * 2 ** (count - 1), BASE_REST_MS_MAX)
    task.notBefore = Math.max(task.notBefore, state.now + restMs)
    state.baseless.add(task)
  }
  task.baselessSeen = count
}

/** Members came back. Some may have what the base of a task is made of. */
export function tryBasesAgain(state: NodeState, nodes: readonly NodeId[]): void {
  if (nodes.length === 0) return
  for (const task of state.baseless) {
    const sources = new Set(task.run.terms.map((term) => term.integrator))
    for (const need of pendingDeltas(task))
      for (const node of sourcesOf(need, need.provisional!, state.me)) sources.add(node)
    if (!nodes.some((node) => sources.has(node))) continue
    state.baseless.delete(task)
    task.notBefore = Math.min(task.notBefore, state.now)
    if (task.status === 'ready') enqueue(state, task)
  }
}

/** Starts and bids for whatever may run now. */
export function schedule(state: NodeState): void {
  if (state.draining || !state.started || state.intake !== undefined) return
  const poolName = (task: TaskState): string => poolOf(state, task)
  const room = (key: string, task: TaskState): Room => {
    const pool = state.pools.get(poolName(task))
    return pool && pool.running >= allowance(pool) ? 'later' : roomFor(state, key, task)
  }
  let woken: boolean
  do {
    // Woken first: the most urgent task may be among those that waited for more than a slot.
    woken = state.ready.wake(poolName, room)
    for (const pool of state.pools.values()) fill(state, pool)
  } while (woken)
  state.ready.settle()
}

function fill(state: NodeState, pool: Pool): void {
  while (pool.running < allowance(pool)) {
    // Work of a process kind is long: there it is worth more to keep the order. Short work would be begun by all who have room, before they hear of each other.
    const entry =
      pool.inProcess && state.live.length > 1
        ? state.ready.popMine(
            pool.name,
            (task) => isOwn(state, task),
            // What is another's to begin is taken by idle workers, not ahead of them.
            pool.running >= pool.concurrency,
          )
        : state.ready.pop(pool.name)
    if (!entry) return
    const { task } = entry
    const obstacle = admit(state, task)
    if (obstacle) {
      state.ready.park(entry, obstacle.key)
      continue
    }
    bid(state, task, pool)
  }
}

/**
 * Attempts of a pool that may be started and not ended. In-process work that takes a millisecond is started many at a time, so that one commit carries them: a
 * crash then finds them started, not done, and they run again.
 */
function allowance(pool: Pool): number {
  if (!pool.inProcess) return pool.concurrency
  const ahead = Math.floor(AHEAD_MS / Math.max(pool.meanMs, 0.01))
  return pool.concurrency + Math.min(pool.concurrency * ahead, BATCH_STARTS_MAX)
}

/** Work that is started ahead of a free worker: what this many milliseconds will take. */
const AHEAD_MS = 4

/** Rank 0 starts in the same step; others wait for their turn. Either way the task's needs of this node are taken. */
function bid(state: NodeState, task: TaskState, pool: Pool): void {
  const slot = slotOf(task)
  // A key is written once: who has given the epoch back cannot bid for it again, and nobody else did. The next one opens.
  if (
    task.entries.some(
      (e) => e.node === state.me && e.round === slot.round && e.epoch === slot.epoch && e.result,
    )
  ) {
    putVoid(state, slot, 'released')
    return
  }
  const turn = turnOf(state, task, slot)
  take(state, task, pool)
  if (turn === 'first') {
    begin(state, task, slot, pool)
    return
  }
  const bid: Bid = {
    task,
    slot,
    pool,
    phase: 'staggered',
    dueAt: state.now + Math.min(turn, 8) * state.staggerMs,
  }
  state.bids.set(task, bid)
  if (turn === 0) claim(state, bid)
  else state.timer({ at: bid.dueAt, kind: 'bid', key: task.name, task })
}

function claim(state: NodeState, bid: Bid): void {
  const { task, slot } = bid
  bid.phase = 'settling'
  bid.dueAt = state.now + state.settleMs
  state.put({ doc: slot.run, collection: 'claims', key: slotKey(slot), body: {} })
  state.timer({ at: bid.dueAt, kind: 'bid', key: task.name, task })
}

function slotOf(task: TaskState): Slot {
  return { run: task.run.id, task: task.id, round: task.round, epoch: task.epoch }
}

/**
 * Whose turn it is: `first` when nobody who could ever take the task comes before this node; else how many come before it that have room for it now. Who is preferred only since
 * others look full says so first: they may have had room for longer than is known here.
 */
function turnOf(state: NodeState, task: TaskState, slot: Slot): number | 'first' {
  if (state.live.length <= 1) return 'first'
  const { kind } = task.spec!
  const able = ableFor(state, task)
  const slotsOf = state.board.slotsOf
  const place = claimRank(slot, state.me, able, slotsOf)
  if (mustGoElsewhere(state, task)) return place + able.length
  // A function is over before others hear that it runs: who looks full is not.
  if (state.kinds.get(kind)?.inProcess) return place === 0 ? 'first' : place
  // Later somebody may have begun already, who saw that there was no room here.
  if (place === 0 && state.now - task.readySince <= state.settleMs / 2) return 'first'
  const free = able.filter(
    (node) => node === state.me || runningOn(state, node) < state.board.nodes.get(node)!.value.slots,
  )
  return claimRank(slot, state.me, free, slotsOf)
}

/** Short for `turnOf(…) === 'first'` of a function. */
function isOwn(state: NodeState, task: TaskState): boolean {
  return (
    !mustGoElsewhere(state, task) &&
    comesFirst(slotOf(task), state.me, ableFor(state, task), state.board.slotsOf)
  )
}

/** A failure here says try elsewhere: R62's reassign goes to the back of the row. */
function mustGoElsewhere(state: NodeState, { spec, entries }: TaskState): boolean {
  return spec!.retry?.strategy === 'reassign' && entries.some((e) => e.node === state.me && e.result)
}

/** Members that could ever take it, this node among them. */
function ableFor(state: NodeState, task: TaskState): NodeId[] {
  return state.live.filter((node) => node === state.me || isAble(state, node, task))
}

function isAble(state: NodeState, node: NodeId, { spec }: TaskState): boolean {
  const record = state.board.nodes.get(node)?.value
  if (!record || record.draining || record.slots === 0) return false
  if (record.kinds && !record.kinds.includes(spec!.kind)) return false
  return (spec!.capabilities ?? []).every((c) => record.capabilities?.includes(c))
}

/** Attempts of a node that take a slot there: one that has ended and waits to be fetched takes none. */
function runningOn(state: NodeState, node: NodeId): number {
  let count = 0
  for (const task of state.heldBy.get(node) ?? []) if (!task.holder?.result) count++
  return count
}

/** The bid's timer: its turn has come, or the others have been heard. */
export function bidDue(state: NodeState, task: TaskState): void {
  const bid = state.bids.get(task)
  if (!bid || state.now < bid.dueAt) return
  const stale = task.round !== bid.slot.round || task.epoch !== bid.slot.epoch
  const closed = state.draining || state.intake !== undefined
  if (bid.phase === 'staggered') {
    if (stale || task.status !== 'ready' || closed) return dropBid(state, task)
    claim(state, bid)
    return
  }
  if (!stale && task.holder?.node === state.me && task.status === 'claimed' && !closed && mayStart(task)) {
    state.bids.delete(task)
    begin(state, task, bid.slot, bid.pool)
    return
  }
  dropBid(state, task)
}

/** Gives back what a bid had taken, and the claim if it was written. The task returns to the queue if it is still ready. */
export function dropBid(state: NodeState, task: TaskState): void {
  const bid = state.bids.get(task)
  if (!bid) return
  state.bids.delete(task)
  give(state, task, bid.pool)
  if (bid.phase === 'settling')
    giveBack(state, bid.slot, { outcome: 'released', reason: 'claim lost' }, 'released')
  if (task.status === 'ready') enqueue(state, task)
}

/** The start: durable before the worker exists (I6). */
function begin(state: NodeState, task: TaskState, slot: Slot, pool: Pool, outside?: true): AttemptId {
  const id = attemptId(slot, state.options.author.incarnation)
  state.put({ doc: slot.run, collection: 'starts', key: slotKey(slot), body: outside ? { outside } : {} })
  register(state, task, slot, pool, id, state.now)
  state.effect({
    type: 'start',
    request: outside
      ? { ...startRequest(state, task, slot, id), outside }
      : startRequest(state, task, slot, id),
  })
  return id
}

/** An attempt that runs on this node from now on, be it new or adopted. */
function register(
  state: NodeState,
  task: TaskState,
  slot: Slot,
  pool: Pool,
  id: AttemptId,
  startedAt: number,
): LocalAttempt {
  const spec = task.spec!
  const timeoutMs = spec.timeoutMs ?? TASK_DEFAULT.timeoutMs
  const attempt: LocalAttempt = {
    id,
    task,
    slot,
    pool,
    startedAt,
    timeoutMs,
    watch: watchOf(state, task, pool, timeoutMs, startedAt),
    deadline: Number.POSITIVE_INFINITY,
    stopping: undefined,
    trouble: undefined,
    hint: undefined,
  }
  state.attempts.set(id, attempt)
  state.byTask.set(task, attempt)
  // Supervised from the start of the process, not from its first word (USERS 5).
  const deadline = attempt.watch
    ? nextDeadline(attempt.watch)
    : timeoutMs > 0
      ? startedAt + timeoutMs
      : undefined
  if (deadline !== undefined) {
    attempt.deadline = deadline
    state.timer({ at: deadline, kind: 'attempt', key: id })
  }
  return attempt
}

/** Commands, functions and people may be silent, and repeat themselves; agents that do are stuck (R55-R58). */
function watchOf(
  state: NodeState,
  task: TaskState,
  pool: Pool,
  timeoutMs: DurationMs,
  startedAt: number,
): Watch | undefined {
  const { kind, stallMs } = task.spec!
  if (pool.inProcess || kind === 'shell' || kind === OUTSIDE_KIND) {
    return stallMs ? createWatch({ timeoutMs, stallMs }, startedAt) : undefined
  }
  const agent = { loop: AGENT_LOOP_CALLS, idleSteps: AGENT_IDLE_STEPS }
  return createWatch({ timeoutMs, stallMs: stallMs ?? state.options.stallMs, ...agent }, startedAt)
}

/** Adopted at the start of a process: takes its place without asking, it runs already. */
export function adopt(state: NodeState, task: TaskState, slot: Slot, id: AttemptId, startedAt: number): void {
  const entry = task.entries.find(
    (e) => e.round === slot.round && e.epoch === slot.epoch && e.node === state.me,
  )
  const pool = entry?.outside
    ? state.pools.get(OUTSIDE_KIND)!
    : (state.kinds.get(task.spec!.kind) ?? state.pools.get(PROCESS_POOL)!)
  take(state, task, pool)
  register(state, task, slot, pool, id, startedAt)
}

/** An outside worker takes a ready task past the queue. */
export function startOutside(state: NodeState, task: TaskState): AttemptId {
  const slot = slotOf(task)
  const pool = state.pools.get(OUTSIDE_KIND)!
  take(state, task, pool)
  return begin(state, task, slot, pool, true)
}

/** Forgets an attempt that has ended; its place is free. */
export function unregister(state: NodeState, attempt: LocalAttempt, ranMs: DurationMs | undefined): void {
  state.attempts.delete(attempt.id)
  if (state.byTask.get(attempt.task) === attempt) state.byTask.delete(attempt.task)
  // The worker's own time: waiting for the disk or for a free worker says nothing about how long the next one takes.
  const { pool } = attempt
  const ran = ranMs ?? Math.max(state.now - attempt.startedAt, 0)
  // Four short ones in a row are enough to start them many at a time.
  pool.meanMs += (ran - pool.meanMs) * (ran < pool.meanMs ? 7 / 8 : 1 / 2)
  give(state, attempt.task, attempt.pool)
}

const LATE_VOID_MS = 2_000

/** A result that ends this node's part in an epoch; the epoch is voided with it, in one commit, unless somebody else may still run it. */
export function giveBack(state: NodeState, slot: Slot, result: Result, why: VoidReason): void {
  state.put({ doc: slot.run, collection: 'results', key: slotKey(slot), body: result })
  const task = state.board.task(slot.run, slot.task)!
  if (task.round !== slot.round || task.epoch !== slot.epoch || task.holder) return
  // What was started for an exclusive name is held for a person.
  if (task.spec?.exclusive && task.entries.some((e) => e.start)) return
  putVoid(state, slot, why)
}

export function putVoid(state: NodeState, slot: Slot, why: VoidReason): void {
  state.put({ doc: slot.run, collection: 'voids', key: slotKey(slot), body: { why } })
}

/** Keeps the count of what each node holds, for the free slots of others. */
export function trackHolder(state: NodeState, task: TaskState): void {
  const node: NodeId | undefined =
    task.status === 'running' || task.status === 'claimed' ? task.holder?.node : undefined
  const before = state.holderOf.get(task)
  if (before === node) return
  if (before) {
    state.heldBy.get(before)?.delete(task)
    state.holderOf.delete(task)
    if (task.run.header?.repository) state.ready.release(scopeKey(task))
  }
  if (node && node !== state.me) {
    state.holderOf.set(task, node)
    // Learnt late: nobody voids it otherwise. If the member lives after all, it is heard of before the time is over.
    if (state.dead.has(node)) state.timer({ at: state.now + LATE_VOID_MS, kind: 'void', key: node, task })
    const held = state.heldBy.get(node)
    if (held) held.add(task)
    else state.heldBy.set(node, new Set([task]))
  }
}
