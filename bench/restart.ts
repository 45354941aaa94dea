/** How long a node takes to read its board back from the journal, in a fresh process: 100,000 tasks that are finished, and 100,000 that wait for a worker. */
import { endChild, nextMessage, startChild } from './child.ts'
import { withDirectory } from './disk.ts'
import { Executions, taskInputs } from './payload.ts'
import { createNode, type defineWorker } from './product.ts'
import { type Sample, Samples } from './sample.ts'

const TASKS = 100_000

interface Opened {
  readonly ms: number
  readonly tasks: number
  readonly rss: number
}

async function reopened(
  what: string,
  backend: 'file' | 'crdt',
  workers: readonly ReturnType<typeof defineWorker>[],
  runs: number,
  samples: Samples,
): Promise<void> {
  await withDirectory(async (dataDir) => {
    const node = await createNode({ dataDir, workers, backend })
    const run = await node.submit({ name: 'restart', tasks: taskInputs(TASKS) })
    if (workers.length > 0) await run.done
    else run.done.catch(() => {})
    await node.close()
    for (let k = 0; k < runs; k++) {
      const child = startChild('restarting-node.ts', dataDir)
      const { ms, tasks, rss } = await nextMessage<Opened>(child)
      await endChild(child)
      if (tasks !== TASKS) throw new Error(`${tasks} tasks came back of ${TASKS}`)
      samples.add(`open with 100,000 ${what} tasks`, 'ms', ms)
      samples.add(`memory with 100,000 ${what} tasks`, 'MiB', rss / 2 ** 20)
    }
  })
}

export async function restart(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  await reopened('finished', 'file', [new Executions().worker], runs, samples)
  await reopened('waiting', 'file', [], runs, samples)
  return samples.all()
}

/** The same on the replicated board, of a cluster of one. */
export async function restartCluster(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  await reopened('finished', 'crdt', [new Executions().worker], runs, samples)
  await reopened('waiting', 'crdt', [], runs, samples)
  return samples.all()
}
