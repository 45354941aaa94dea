/**
 * W1: independent no-op tasks of 200 bytes, eight handlers at a time in the node's process, every acknowledged task on the disk. `end to end` is from the first
 * enqueue to the run's durable end, so it includes the acceptance of each result.
 */
import { nextMessage, startChild } from './child.ts'
import { Executions, PAYLOAD, taskInputs, withNode } from './payload.ts'
import { perSecond, type Sample, Samples, timed } from './sample.ts'

const RATE = 'tasks/s'
const CALLERS = 8

/** The queue is filled while nobody works; then a worker comes. */
async function fillThenDrain(count: number, label: string, samples: Samples): Promise<void> {
  const seen = new Executions()
  await withNode([], async (node) => {
    const tasks = taskInputs(count)
    const start = performance.now()
    const run = await node.submit({ name: 'w1', tasks })
    samples.add(`bulk enqueue${label}`, RATE, perSecond(count, performance.now() - start))
    const drained = await timed(async () => {
      node.addWorker(seen.worker)
      await run.done
    })
    samples.add(`drain${label}`, RATE, perSecond(count, drained))
  })
  seen.mustBeOnceEach(count)
}

/** Tasks per second, the worker already there. */
export async function endToEndOnce(count: number): Promise<number> {
  const seen = new Executions()
  const ms = await withNode([seen.worker], (node) => {
    const tasks = taskInputs(count)
    return timed(async () => {
      const run = await node.submit({ name: 'w1', tasks })
      const { outcome } = await run.done
      if (outcome !== 'complete') throw new Error(`the run is ${outcome}`)
    })
  })
  seen.mustBeOnceEach(count)
  return perSecond(count, ms)
}

/** Each task is durable before its caller gives the next. */
async function oneByOne(count: number, callers: number, name: string, samples: Samples): Promise<void> {
  await withNode([], async (node) => {
    const run = await node.submit({ name: 'w1', tasks: [], open: true })
    let next = 0
    const call = async (): Promise<void> => {
      for (let i = next++; i < count; i = next++)
        await run.add([{ id: `t${i}`, kind: 'noop', payload: PAYLOAD }])
    }
    const ms = await timed(() => Promise.all(Array.from({ length: callers }, call)))
    samples.add(name, RATE, perSecond(count, ms))
    await run.seal()
    const { tasks } = await node.face.run({ run: run.id })
    if (tasks !== count) throw new Error(`${tasks} of ${count} tasks were taken`)
  })
}

export async function w1(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  for (let run = 0; run < runs; run++) {
    const { rate } = await nextMessage<{ readonly rate: number }>(startChild('cold.ts'))
    samples.add('end to end, first run of a process', RATE, rate)
    await fillThenDrain(10_000, '', samples)
    samples.add('end to end', RATE, await endToEndOnce(10_000))
    await oneByOne(2_000, 1, 'enqueue one by one', samples)
    await oneByOne(10_000, CALLERS, `enqueue one by one, ${CALLERS} callers`, samples)
  }
  await fillThenDrain(50_000, ', 50,000 tasks', samples)
  samples.add('end to end, 50,000 tasks', RATE, await endToEndOnce(50_000))
  return samples.all()
}
