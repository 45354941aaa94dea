/** Priority inheritance (R22): a task is as urgent as the most urgent one that waits for it. */
import { isFinal } from './status.ts'
import type { TaskState } from './task-state.ts'

/** Brings `task.level` and those of what it needs up to date; tells ready tasks whose level moved. */
export function inheritPriority(task: TaskState, note: (task: TaskState) => void): void {
  const stack = [task]
  while (stack.length > 0) {
    const next = stack.pop()!
    let level = next.ownLevel
    for (const d of next.dependants) if (!isFinal(d.status) && d.level > level) level = d.level
    const moved = level !== next.level
    if (!moved && next !== task) continue
    next.level = level
    if (moved && next.status === 'ready') note(next)
    for (const need of next.needs) if (need.level < level || moved) stack.push(need)
  }
}
