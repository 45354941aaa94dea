/** What the cluster is given to do: one run of tasks that need each other, some with files, some with a check. */
import type { RunHeader } from '../core/fact.ts'
import type { DurationMs, NodeId, RunId, TaskId } from '../core/id.ts'
import { PRIORITIES, type TaskSpec } from '../core/task.ts'
import { BASE } from './commit.ts'
import type { Dice } from './dice.ts'

export const RUN: RunId = 'simulated-0001'

/** Attempts of a task: what fails by chance must not fail the run. */
const ATTEMPTS = 20

export interface Workload {
  readonly header: RunHeader
  readonly tasks: readonly (readonly [TaskId, TaskSpec])[]
  /** How long an attempt works. */
  span(dice: Dice): DurationMs
}

/** @param integrator also who submits it */
export function createWorkload(count: number, integrator: NodeId, dice: Dice): Workload {
  const tasks: (readonly [TaskId, TaskSpec])[] = []
  for (let i = 0; i < count; i++) {
    const needs = new Set<TaskId>()
    // Mostly of the tasks just before it, so that the graph is deep as well as wide.
    if (i >= count / 10)
      for (let n = dice.int(3); n > 0; n--)
        needs.add(`t${Math.max(0, i - 1 - dice.int(Math.ceil(count / 4)))}`)
    tasks.push([
      `t${i}`,
      {
        kind: 'shell',
        order: i,
        retry: { strategy: 'reassign', attempts: ATTEMPTS, delayMs: 0 },
        scope: { write: [`f${i}`], read: [] },
        priority: dice.chance(0.8) ? 'medium' : dice.pick(PRIORITIES),
        ...(needs.size > 0 ? { needs: [...needs] } : {}),
        ...(dice.chance(0.2) ? { check: 'check' } : {}),
      },
    ])
  }
  return {
    header: {
      name: RUN,
      creator: integrator,
      createdAt: 1,
      integrator,
      base: BASE,
      repository: { id: 'repository', path: '/repository', base: BASE },
      merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
    },
    tasks,
    span: (own) => Math.min(own.lognormal(30_000, 0.7), 5 * 60_000),
  }
}
