/** What the tasks of the workloads carry and how they are submitted; the same as in the harness of the peers. */
import type { Node, TaskInput, WorkerTask } from '../src/index.ts'
import { withDirectory } from './disk.ts'
import { createNode, defineWorker } from './product.ts'

/** 200 bytes as JSON. */
export const PAYLOAD = { data: 'x'.repeat(189) }
/** Handlers at once. */
export const CONCURRENCY = 8

export function taskInputs(count: number): TaskInput[] {
  return Array.from({ length: count }, (_, i) => ({ id: `t${i}`, kind: 'noop', payload: PAYLOAD }))
}

/** Counts executions by task: more or less than one each is a broken promise, not a slow one. */
export class Executions {
  readonly #counts = new Map<string, number>()
  readonly order: string[] = []

  readonly worker = defineWorker({
    kind: 'noop',
    concurrency: CONCURRENCY,
    run: (task: WorkerTask) => {
      this.order.push(task.id)
      this.#counts.set(task.id, (this.#counts.get(task.id) ?? 0) + 1)
    },
  })

  /** @throws when some task ran twice or not at all */
  mustBeOnceEach(count: number): void {
    const twice = [...this.#counts.values()].filter((n) => n !== 1).length
    if (this.#counts.size !== count || twice > 0)
      throw new Error(`${this.#counts.size} of ${count} tasks ran, ${twice} of them more than once`)
  }
}

/** A node of its own with the durable file backend (fsync), closed and removed afterwards. */
export function withNode<T>(
  workers: readonly ReturnType<typeof defineWorker>[],
  use: (node: Node) => Promise<T>,
): Promise<T> {
  return withDirectory(async (dataDir) => {
    const node = await createNode({ dataDir, workers })
    try {
      return await use(node)
    } finally {
      await node.close()
    }
  })
}
