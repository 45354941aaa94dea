/** The name of the attempt behind an entry. One that went on in a new epoch (SPEC CH10) keeps the name, the directory and the refs that it began with. */
import type { Entry } from './claim.ts'
import { type AttemptId, attemptId } from './id.ts'
import type { TaskState } from './task-state.ts'

export function attemptOf(task: TaskState, entry: Entry): AttemptId {
  let first = entry
  while (first.cont) {
    let before: Entry | undefined
    for (const e of task.entries) {
      if (e.node !== first.node || e.round !== first.round || e.epoch >= first.epoch || !e.start) continue
      if (!before || e.epoch > before.epoch) before = e
    }
    if (!before) break
    first = before
  }
  const slot = { run: task.run.id, task: task.id, round: first.round, epoch: first.epoch }
  return attemptId(slot, first.incarnation)
}
