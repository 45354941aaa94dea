/** Which attempt a worker speaks of: the one it names, or the one it runs in. */
import type { World } from '../world.ts'

export interface OwnAttempt {
  readonly attempt?: string
  readonly task?: string
}

/** Outside of an attempt and without an id the node looks for the only one that is claimed by hand. */
export function ownAttempt(env: World['env'], id: string | undefined): OwnAttempt {
  if (id !== undefined) return { task: id }
  const { ORCH_ATTEMPT: attempt, ORCH_TASK: task, ORCH_RUN: run } = env
  if (attempt) return { attempt }
  if (task) return { task: task.includes('/') || !run ? task : `${run}/${task}` }
  return {}
}
