/** Which of the specs written for a task counts, and the links to other tasks that follow from it. */
import type { TaskId } from './id.ts'
import { inheritPriority } from './inherit.ts'
import type { RunState } from './run-state.ts'
import { dependencyClass } from './status.ts'
import type { TaskState } from './task-state.ts'

export interface SpecHooks {
  /** The task of that name, made if need be; `undefined` when it cannot be a name. */
  readonly task: (run: RunState, id: TaskId) => TaskState | undefined
  readonly note: (task: TaskState) => void
  readonly dirty: (task: TaskState) => void
}

/** Specs of the run's creator count; of two process lives of one creator the earlier. True when another one counts now. */
export function chooseSpec(task: TaskState, hooks: SpecHooks): boolean {
  const creator = task.run.header?.creator
  let best: TaskState['specs'][number] | undefined
  for (const s of task.specs) {
    if (s.author.node === creator && (!best || s.author.incarnation < best.author.incarnation)) best = s
  }
  if (task.spec === best?.spec) return false
  task.run.specCount += (best ? 1 : 0) - (task.spec ? 1 : 0)
  task.run.digest = undefined
  const { needs } = task
  for (const need of needs) removeFrom(need.dependants, task)
  for (const soft of task.after) removeFrom(soft.softDependants, task)
  for (const need of needs) inheritPriority(need, hooks.note)
  task.spec = best?.spec
  task.needs = link(task, 'dependants', best?.spec.needs, hooks)
  task.after = link(task, 'softDependants', best?.spec.after, hooks)
  watchBlockers(task)
  task.pendingNeeds = 0
  task.failedNeeds = 0
  for (const need of task.needs) {
    const kind = dependencyClass(need.status)
    if (kind === 'pending') task.pendingNeeds++
    else if (kind === 'failure') task.failedNeeds++
  }
  inheritPriority(task, hooks.note)
  hooks.dirty(task)
  return true
}

/** A task that is blocked by others looks again when one of them moves, also one that is not known yet. */
export function watchBlockers(task: TaskState): void {
  const block = task.block?.value
  if (block?.verb !== 'block') return
  const { run } = task
  for (const id of block.blockers ?? []) {
    const blocker = run.tasks.get(id)
    if (blocker) {
      if (!blocker.softDependants.includes(task)) addTo(blocker, 'softDependants', task)
    } else run.blockedOn.set(id, [...(run.blockedOn.get(id) ?? []), task])
  }
}

/** One object for all tasks without links. */
const NONE: readonly TaskState[] = Object.freeze([])

type Side = 'dependants' | 'softDependants'

function link(
  task: TaskState,
  side: Side,
  ids: readonly TaskId[] | undefined,
  hooks: SpecHooks,
): readonly TaskState[] {
  if (!ids || ids.length === 0) return NONE
  const links: TaskState[] = []
  for (const id of new Set(ids)) {
    const other = hooks.task(task.run, id)
    if (!other) continue
    links.push(other)
    addTo(other, side, task)
  }
  return links
}

export function addTo(task: TaskState, side: Side, other: TaskState): void {
  // The empty list is one object for all tasks.
  if (task[side].length === 0) task[side] = [other]
  else task[side].push(other)
}

function removeFrom(list: TaskState[], task: TaskState): void {
  const at = list.indexOf(task)
  if (at >= 0) list.splice(at, 1)
}
