/** A run as its follower knows it: the latest of everything that was told. */
import type { RunId, TaskId } from '../core/id.ts'
import { dependencyClass, isFinal, type TaskStatus } from '../core/status.ts'
import type { RunSummary, RunUpdate, TaskSummary } from '../node/face.ts'

export interface TaskChange {
  readonly before: TaskSummary | undefined
  readonly after: TaskSummary
}

export class RunModel {
  readonly id: RunId
  run: RunSummary | undefined
  readonly tasks = new Map<TaskId, TaskSummary>()

  constructor(id: RunId) {
    this.id = id
  }

  /** Answers with what changed of a task, if the update is of one. */
  apply(update: RunUpdate): TaskChange | undefined {
    if (update.type === 'run' || update.type === 'end') this.run = update.run
    if (update.type !== 'task') return undefined
    const { task } = update
    const before = this.tasks.get(task.id)
    this.tasks.set(task.id, task)
    return { before, after: task }
  }

  /** In the order of the plan. */
  ordered(): readonly TaskSummary[] {
    return [...this.tasks.values()].sort((a, b) => a.order - b.order)
  }

  count(...statuses: readonly TaskStatus[]): number {
    let n = 0
    for (const { status } of this.tasks.values()) if (statuses.includes(status)) n++
    return n
  }

  /** Needs of a task that are not done yet. */
  openNeeds(task: TaskSummary): readonly TaskId[] {
    return task.needs.filter((id) => {
      const need = this.tasks.get(id)
      // A barrier is no task that people know; it waits for tasks that are.
      return need !== undefined && dependencyClass(need.status) === 'pending'
    })
  }

  get isOver(): boolean {
    return [...this.tasks.values()].every(({ status }) => isFinal(status))
  }
}

/** Time that the attempt shown takes, or took. */
export function elapsedMs(task: TaskSummary, now: number): number | undefined {
  if (task.startedAt === undefined) return undefined
  const isLive = task.status === 'running' || task.status === 'claimed'
  return Math.max(0, (isLive ? now : (task.endedAt ?? now)) - task.startedAt)
}
