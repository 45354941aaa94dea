/** A node that takes nothing new, and hands over what it runs: at once, or when it has had its time. */
import { releaseAttempt } from './hold.ts'
import { CLUSTER_DOC } from './id.ts'
import type { InputOf } from './input.ts'
import type { NodeState } from './node-state.ts'
import { dropBid } from './schedule.ts'

export function drain(state: NodeState, { deadlineMs }: InputOf<'drain'>): void {
  state.draining = true
  announce(state, true)
  for (const task of [...state.bids.keys()]) dropBid(state, task)
  state.drainAt = state.now + (deadlineMs ?? 0)
  if (state.drainAt > state.now) state.timer({ at: state.drainAt, kind: 'drain', key: '' })
  else handOver(state)
}

/** The time is over, unless the drain was called off, or given more. */
export function drainDue(state: NodeState): void {
  if (state.draining && state.now >= state.drainAt) handOver(state)
}

function handOver(state: NodeState): void {
  for (const attempt of state.attempts.values())
    releaseAttempt(state, attempt, 'the node is stopping', 'shutdown')
}

export function undrain(state: NodeState): void {
  state.draining = false
  state.drainAt = Number.POSITIVE_INFINITY
  announce(state, false)
}

/** The others do not leave work for it. */
function announce(state: NodeState, draining: boolean): void {
  const held = state.board.nodes.get(state.me)
  if (!state.started || !held || (held.value.draining ?? false) === draining) return
  const { draining: _, ...record } = held.value
  state.put({
    doc: CLUSTER_DOC,
    collection: 'nodes',
    key: `${state.me}/${held.n + 1}`,
    body: draining ? { ...record, draining } : record,
  })
}
