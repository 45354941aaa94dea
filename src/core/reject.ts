/** A result that does not count any more, by word of the integrator (SPEC AC4): with it goes what was built on it. */
import type { Entry } from './claim.ts'
import { type Reject, slotKey } from './fact.ts'
import type { NodeState } from './node-state.ts'
import type { TaskState } from './task-state.ts'

export function rejectResult(state: NodeState, task: TaskState, entry: Entry, body: Reject): void {
  if (task.provisional === entry) {
    // Dependants first: each is still provisional when its own reject is written.
    const built: TaskState[] = []
    const seen = new Set<TaskState>([task])
    for (let i = -1; i < built.length; i++) {
      for (const next of (i < 0 ? task : built[i]!).dependants) {
        if (seen.has(next)) continue
        seen.add(next)
        built.push(next)
      }
    }
    for (const next of built.reverse()) {
      if (next.provisional && next.status === 'provisional') {
        put(state, next, next.provisional, {
          why: 'base',
          reason: `it was built on the result of "${task.id}", which was rejected`,
        })
      }
    }
  }
  put(state, task, entry, body)
}

function put(state: NodeState, task: TaskState, entry: Entry, body: Reject): void {
  const key = `${slotKey({ task: task.id, round: entry.round, epoch: entry.epoch })}/${entry.node}`
  state.put({ doc: task.run.id, collection: 'rejects', key, body })
}
