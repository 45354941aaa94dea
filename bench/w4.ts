/** W4: ten layers of a hundred no-op tasks, each needs two of the layer before, eight at a time, durable: from submit to the run's durable end. */
import type { TaskInput } from '../src/index.ts'
import { Executions, PAYLOAD, withNode } from './payload.ts'
import { type Sample, Samples, timed } from './sample.ts'

const LAYERS = 10
const WIDTH = 100

/** Layer by layer; each task of a later one needs two of the layer before. */
export function layered(): TaskInput[] {
  const plan: TaskInput[] = []
  for (let layer = 0; layer < LAYERS; layer++) {
    for (let i = 0; i < WIDTH; i++) {
      const task = { id: `l${layer}-${i}`, kind: 'noop', payload: PAYLOAD }
      const needs = [`l${layer - 1}-${i}`, `l${layer - 1}-${(i + 1) % WIDTH}`]
      plan.push(layer === 0 ? task : { ...task, needs })
    }
  }
  return plan
}

/** @throws when a task began before one that it needs */
function mustBeInOrder(tasks: readonly TaskInput[], order: readonly string[]): void {
  const at = new Map(order.map((id, i) => [id, i]))
  const early = tasks.filter((t) => t.needs?.some((need) => at.get(need)! > at.get(t.id)!)).length
  if (early > 0) throw new Error(`${early} tasks ran before one that they need`)
}

export async function w4(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  for (let k = 0; k < runs; k++) {
    const seen = new Executions()
    await withNode([seen.worker], async (node) => {
      const tasks = layered()
      const ms = await timed(async () => {
        const run = await node.submit({ name: 'w4', tasks })
        const { outcome } = await run.done
        if (outcome !== 'complete') throw new Error(`the run is ${outcome}`)
      })
      samples.add('10 x 100 tasks, submit to end', 'ms', ms)
      mustBeInOrder(tasks, seen.order)
    })
    seen.mustBeOnceEach(LAYERS * WIDTH)
  }
  return samples.all()
}
