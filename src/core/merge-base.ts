/**
 * Which results a task builds on, and in which order: the accepted ones are on the run's ref already; the provisional ones it needs are laid over it, by
 * topological layer, then task id (DESIGN 5), so that every node makes the same base.
 */
import type { Entry } from './claim.ts'
import type { Delta } from './integrate.ts'
import { dependencyClass } from './status.ts'
import type { TaskState } from './task-state.ts'

/** Transitive needs of `task` whose provisional result is not accepted yet, needs before those that need them. */
export function pendingDeltas(task: TaskState): TaskState[] {
  const layer = new Map<TaskState, number>()
  const stack: { readonly task: TaskState; open: boolean }[] = task.needs.map((t) => ({
    task: t,
    open: true,
  }))
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!
    // An accepted need is on the ref, and so is all that it needs: acceptance is closed.
    if (top.task.status === 'accepted' || (top.open && layer.has(top.task))) {
      stack.pop()
      continue
    }
    if (top.open) {
      top.open = false
      // Should a hostile plan have a cycle, it ends here.
      layer.set(top.task, 0)
      for (const need of top.task.needs) if (!layer.has(need)) stack.push({ task: need, open: true })
      continue
    }
    stack.pop()
    let deepest = 0
    for (const need of top.task.needs) deepest = Math.max(deepest, (layer.get(need) ?? -1) + 1)
    layer.set(top.task, deepest)
  }
  return [...layer.keys()]
    .filter((t) => t.status === 'provisional' && t.provisional?.result?.head !== undefined)
    .sort((a, b) => layer.get(a)! - layer.get(b)! || (a.id < b.id ? -1 : 1))
}

/** The work of a task's provisional result. */
export function deltaOf(task: TaskState): Delta {
  return deltaFrom(task, task.provisional!)
}

/** The work of a result that names its commits. */
export function deltaFrom(task: TaskState, entry: Entry): Delta {
  const { base, head } = entry.result!
  const spec = task.spec!
  return {
    task: task.id,
    round: entry.round,
    epoch: entry.epoch,
    by: entry.node,
    base: base!,
    head: head!,
    title: spec.title ?? task.id,
    authorName: spec.kind,
    ...(spec.check ? { check: spec.check } : {}),
    ...(spec.scope ? { write: spec.scope.write } : {}),
  }
}

/** True when the work of a need is final: accepted, or nothing to accept. A barrier is as final as what it waits for. */
export function isSettledSuccess(task: TaskState): boolean {
  if (task.status === 'accepted' || task.status === 'skipped') return true
  return task.status === 'passed' && task.needs.every(isSettledSuccess)
}

/** A task may be accepted as far as its needs go. One with a condition of its own may rest on failures: they only have to be over. */
export function needsSettled(task: TaskState): boolean {
  return task.needs.every((need) => isSettledFor(task, need))
}

export function isSettledFor(task: TaskState, need: TaskState): boolean {
  return isSettledSuccess(need) || (task.spec?.if !== undefined && dependencyClass(need.status) === 'failure')
}

/** True when a provisional task will be integrated without anything else having to run first. */
export function isComing(task: TaskState): boolean {
  const comes = (need: TaskState): boolean => {
    if (isSettledFor(task, need)) return true
    if (need.status === 'passed') return need.needs.every(comes)
    return need.status === 'provisional' && isComing(need)
  }
  return task.needs.every(comes)
}
