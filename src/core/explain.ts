/** Why a task does not run: the words behind `ready --explain`. Computed on demand, never kept. */

import { admit } from './admit.ts'
import { needsSettled } from './merge-base.ts'
import type { NodeState } from './node-state.ts'
import { poolOf } from './schedule.ts'
import { dependencyClass } from './status.ts'
import type { TaskState } from './task-state.ts'

export function explain(state: NodeState, task: TaskState): string {
  if (task.status === 'waiting') {
    const open = [...task.needs, ...task.after].filter((t) => dependencyClass(t.status) === 'pending')
    const shown = open.slice(0, 3).map((t) => `${t.id} (${t.status})`)
    return `waits for ${shown.join(', ')}${open.length > 3 ? ` and ${open.length - 3} more` : ''}`
  }
  if (task.status !== 'ready') return task.reason ?? task.status
  if (task.notBefore > state.now)
    return `rests after a failure for another ${Math.ceil((task.notBefore - state.now) / 1000)} s`
  if (task.finalNeedsOnly && !needsSettled(task))
    return 'waits until what it needs is accepted: two of the results do not merge'
  const obstacle = admit(state, task)
  if (obstacle) return obstacle.reason
  const pool = state.pools.get(poolOf(state, task))
  if (!pool)
    return `no worker here takes tasks of kind "${task.spec!.kind}": claim it with \`orch-node claim ${task.id}\``
  if (state.draining) return 'the node is stopping'
  if (state.intake) return state.intake
  if (pool.running >= pool.concurrency) return `all ${pool.concurrency} slots are in use`
  return 'starts next'
}
