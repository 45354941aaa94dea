/** How long a plan takes from its list of tasks to a checked graph, its layers and its critical path (DESIGN 12: 5 ms, 200 ms, 3 s). */
import { benchTasks, type Entry } from './plan-tasks.ts'
import { criticalPath, examinePlan } from './product.ts'
import type { Sample } from './sample.ts'

function measure(name: string, runs: number, body: () => void): Sample {
  const values: number[] = []
  for (let k = 0; k < runs; k++) {
    const start = performance.now()
    body()
    values.push(performance.now() - start)
  }
  return { name, unit: 'ms', values }
}

/** Validate, layers and critical path of 1k, 100k and 1M tasks with about two needs each; then the checks of 10,000 trivial and 10,000 scoped tasks. */
export async function benchPlan(runs: number): Promise<Sample[]> {
  const rows: Sample[] = []
  for (const [label, n] of [
    ['1k', 1_000],
    ['100k', 100_000],
    ['1M', 1_000_000],
  ] as const) {
    const tasks = benchTasks(n)
    rows.push(
      measure(`plan ${label}: validate, layers, critical path`, n === 1_000 ? 3 * runs : runs, () => {
        const { refusals, graph, layering } = examinePlan(tasks)
        if (refusals.length > 0 || criticalPath(graph, layering).length === 0)
          throw new Error('the plan should be good')
      }),
    )
  }
  const trivial = Array.from({ length: 10_000 }, (_, i): Entry => [`task-${i}`, { kind: 'noop', payload: i }])
  const scoped = Array.from({ length: 10_000 }, (_, i): Entry => {
    const scope = { write: [`packages/p${i}/**`], read: ['README.md', `packages/p${i}/src/*.ts`] }
    return [`task-${i}`, { kind: 'shell', run: 'true', scope }]
  })
  for (const [name, tasks] of [
    ['plan 10k trivial tasks: check', trivial],
    ['plan 10k disjoint scopes: check', scoped],
  ] as const) {
    rows.push(
      measure(name, runs, () => {
        if (examinePlan(tasks).refusals.length > 0) throw new Error('the plan should be good')
      }),
    )
  }
  return rows
}
