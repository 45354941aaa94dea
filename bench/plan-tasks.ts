/** Large plans, the same ones every time. */
import type { TaskSpec } from '../src/core/task.ts'

export type Entry = readonly [string, TaskSpec]

/** Two needs each among the 2,000 tasks before, from a fixed seed. */
export function benchTasks(n: number): Entry[] {
  let seed = 1
  const below = (max: number) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((seed / 2 ** 32) * max)
  }
  const tasks: Entry[] = []
  for (let i = 0; i < n; i++) {
    const span = Math.min(i, 2_000)
    const needs = span < 2 ? [] : [`task-${i - 1 - below(span)}`, `task-${i - 1 - below(span)}`]
    if (needs[0] === needs[1]) needs.pop()
    tasks.push([
      `task-${i}`,
      needs.length === 0 ? { kind: 'shell', run: 'true' } : { kind: 'shell', run: 'true', needs },
    ])
  }
  return tasks
}
