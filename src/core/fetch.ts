/**
 * Objects of results on their way to this node (DESIGN 5). The run's integrator fetches what it is to integrate, at once; where it is not there, or cannot, the other members
 * do, one after the other, so that finished work outlives its author. Who holds the objects says so on the board.
 */
import { hasWork, holds, isUnshared, sourcesOf } from './ack.ts'
import { attemptOf } from './attempt-name.ts'
import { claimRank, type Entry } from './claim.ts'
import { isRejected } from './derive.ts'
import { slotKey } from './fact.ts'
import type { DurationMs, NodeId, Slot } from './id.ts'
import type { InputOf } from './input.ts'
import { FETCH_HELP_MS, FETCH_REST_MS_MAX } from './limit.ts'
import type { Fetching, NodeState } from './node-state.ts'
import { rejectResult } from './reject.ts'
import type { TaskState } from './task-state.ts'

/** The facts about a task changed, or who is there did: what of its results this node needs and lacks. */
export function reviewFetches(state: NodeState, task: TaskState): void {
  // Who may not say that it holds something need not fetch it.
  if (!task.run.header?.repository || !state.may('worker')) return
  let lacks = false
  for (const entry of task.entries) {
    if (!isWanted(state, task, entry)) continue
    if (state.isIntegrator(task.run) && !hasWork(entry)) {
      rejectResult(state, task, entry, { why: 'hostile', reason: 'the result names no commits' })
      continue
    }
    if (!hasWork(entry)) continue
    lacks = true
    plan(state, task, entry)
  }
  if (lacks) state.lacking.add(task)
  else state.lacking.delete(task)
}

/** The integrator needs what it integrates; the others, what nobody else holds. */
function isWanted(state: NodeState, task: TaskState, entry: Entry): boolean {
  if (entry.node === state.me || entry.result?.outcome !== 'done' || entry.result.head === undefined)
    return false
  // Also of a task that failed: a success counts whenever it is learnt of.
  if (task.accepted || task.status === 'cancelled' || entry.round !== task.round || isRejected(task, entry))
    return false
  if (isUnshared(task, entry)) return true
  return state.isIntegrator(task.run) && task.provisional === entry && !holds(task, entry, state.me)
}

function plan(state: NodeState, task: TaskState, entry: Entry): void {
  const key = keyOf(task, entry, entry.node)
  if (state.fetches.has(key)) return
  const waitMs = state.isIntegrator(task.run) ? 0 : helpMs(state, task, entry)
  const dueAt = state.now + waitMs
  const fetching = { task, slot: slotOf(task, entry), by: entry.node, asked: false, tries: 0, dueAt }
  if (waitMs === 0) return ask(state, key, fetching)
  state.fetches.set(key, fetching)
  state.timer({ at: dueAt, kind: 'fetch', key })
}

/** An integrator that lives and lags is busy: that all help at once would be the end of it. */
function helpMs(state: NodeState, task: TaskState, entry: Entry): DurationMs {
  const turn = turnOf(state, task, entry)
  return state.live.includes(task.run.integrator ?? '')
    ? FETCH_HELP_MS * (turn + 1)
    : turn * state.options.staggerMs
}

function turnOf(state: NodeState, task: TaskState, entry: Entry): number {
  const others = state.live.filter((node) => node !== entry.node && node !== task.run.integrator)
  return claimRank(slotOf(task, entry), state.me, others, () => 1)
}

function ask(state: NodeState, key: string, fetching: Fetching): void {
  const { task, slot, by } = fetching
  const entry = entryOf(fetching)
  const sources = entry ? sourcesOf(task, entry, state.me).filter((node) => state.live.includes(node)) : []
  // Nobody who has it is there: it is looked at again when somebody comes.
  if (!entry || sources.length === 0) {
    state.fetches.delete(key)
    return
  }
  fetching.asked = true
  state.fetches.set(key, fetching)
  state.effect({
    type: 'fetch',
    run: slot.run,
    repository: task.run.header!.repository!,
    slot,
    by,
    attempt: attemptOf(task, entry),
    base: entry.result!.base!,
    head: entry.result!.head!,
    sources,
  })
}

export function fetchDue(state: NodeState, key: string): void {
  const fetching = state.fetches.get(key)
  if (!fetching || fetching.asked || state.now < fetching.dueAt) return
  const entry = entryOf(fetching)
  if (entry && isWanted(state, fetching.task, entry)) ask(state, key, fetching)
  else state.fetches.delete(key)
}

/** What the edge made of it. An answer that nobody waits for changes nothing. */
export function fetched(state: NodeState, input: InputOf<'fetched'>): void {
  const { slot, by, answer } = input
  const key = keyOf({ run: { id: slot.run }, id: slot.task }, slot, by)
  const fetching = state.fetches.get(key)
  if (!fetching?.asked) return
  const { task } = fetching
  const entry = entryOf(fetching)
  fetching.asked = false
  if (answer === 'failed') {
    fetching.tries++
    const restMs = Math.min(500 * 2 ** Math.min(fetching.tries, 10), FETCH_REST_MS_MAX)
    fetching.dueAt = state.now + restMs
    state.timer({ at: fetching.dueAt, kind: 'fetch', key })
    return
  }
  state.fetches.delete(key)
  if (!entry) return
  if (answer === 'ok') {
    if (!holds(task, entry, state.me))
      state.put({ doc: slot.run, collection: 'acks', key: `${slotKey(slot)}/${by}`, body: {} })
  } else if (state.isIntegrator(task.run)) {
    if (isWanted(state, task, entry))
      rejectResult(state, task, entry, { why: 'hostile', reason: input.reason ?? 'its objects were refused' })
    // Others leave it to the integrator to say so, and do not ask again.
  } else state.fetches.set(key, { ...fetching, asked: true })
}

/** Somebody came or went: who is to fetch, and from whom, may be different. */
export function fetchAgain(state: NodeState): void {
  for (const [key, { asked, tries }] of state.fetches) if (!asked && tries === 0) state.fetches.delete(key)
  for (const task of [...state.lacking]) reviewFetches(state, task)
}

function entryOf({ task, slot, by }: Fetching): Entry | undefined {
  return task.entries.find((e) => e.round === slot.round && e.epoch === slot.epoch && e.node === by)
}

function slotOf(task: TaskState, { round, epoch }: Entry): Slot {
  return { run: task.run.id, task: task.id, round, epoch }
}

function keyOf(
  task: { readonly run: { readonly id: string }; readonly id: string },
  { round, epoch }: { readonly round: number; readonly epoch: number },
  by: NodeId,
): string {
  return `${task.run.id}/${slotKey({ task: task.id, round, epoch })}/${by}`
}
