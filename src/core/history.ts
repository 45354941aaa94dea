/** A run's history: its accepted tasks by position. A function of what is accepted, whatever the order in which that was learned. */
import type { RunState } from './run-state.ts'
import type { TaskState } from './task-state.ts'

export function recordAccept(task: TaskState): void {
  const { run, accepted, recorded } = task
  if (accepted === recorded) return
  task.recorded = accepted
  if (!recorded) return enter(task)
  // Only when an earlier accept of the same task came in late, the run's header changed, or a new term cut the history.
  run.positions.clear()
  run.lastPosition = 0
  run.lastCommitPosition = 0
  for (const other of run.tasks.values()) if (other.recorded) enter(other)
}

/** The last position before the first that is missing here. */
export function knownHistory(run: RunState): number {
  let last = 0
  while (run.positions.has(last + 1)) last++
  return last
}

function enter(task: TaskState): void {
  const { run } = task
  const { position, commit } = task.recorded!
  const held = run.positions.get(position)
  if (!held || isBefore(task, held)) run.positions.set(position, task)
  if (position > run.lastPosition) run.lastPosition = position
  if (commit && position > run.lastCommitPosition) run.lastCommitPosition = position
}

/** Of two tasks at one position (I10 is broken then): the one with a commit, then the smaller id. */
function isBefore(task: TaskState, held: TaskState): boolean {
  const has = task.recorded?.commit !== undefined
  const had = held.recorded?.commit !== undefined
  return has === had ? task.id < held.id : has
}
