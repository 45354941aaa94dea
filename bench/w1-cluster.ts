/** W1 and W4 on the replicated board: one node alone, and three in processes of their own with eight handlers each; submitted at the first, until the run's durable end there. */

import { type Audit, executions, type Fleet, type Submitted, withFleet } from './fleet.ts'
import { CONCURRENCY } from './payload.ts'
import { perSecond, type Sample, Samples } from './sample.ts'

const SIZES = [1, 3]
const LAYERED = 1_000

async function once(fleet: Fleet, plan: 'flat' | 'layers', tasks: number): Promise<number> {
  const [first] = fleet.members
  const { run, at } = await first!.ask<Submitted>({ do: 'submit', tasks, plan })
  const end = await first!.ask<number>({ do: 'finished', run })
  const { twice, done } = await first!.ask<Audit>({ do: 'audit', run })
  if (twice > 0 || done !== tasks) throw new Error(`${done} of ${tasks} accepted, ${twice} twice`)
  return end - at
}

function sizeOf(members: number): string {
  return members === 1 ? 'one node' : `${members} nodes`
}

export async function w1Cluster(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  for (const members of SIZES) {
    for (let k = 0; k < runs; k++)
      await withFleet(members, { concurrency: CONCURRENCY }, async (fleet) => {
        const tasks = 10_000
        const label = `${tasks.toLocaleString('en-US')} tasks, ${sizeOf(members)}`
        samples.add(
          `${label}, first run of a process`,
          'tasks/s',
          perSecond(tasks, await once(fleet, 'flat', tasks)),
        )
        const before = sum(executions(fleet.members))
        samples.add(label, 'tasks/s', perSecond(tasks, await once(fleet, 'flat', tasks)))
        samples.add(
          `${label}: begun more than once`,
          'handlers',
          sum(executions(fleet.members)) - before - tasks,
        )
      })
  }
  return samples.all()
}

export async function w4Cluster(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  for (const members of SIZES)
    for (let k = 0; k < runs; k++)
      await withFleet(members, { concurrency: CONCURRENCY }, async (fleet) => {
        const ms = await once(fleet, 'layers', LAYERED)
        samples.add(`10 x 100 tasks, ${sizeOf(members)}`, 'ms', ms)
      })
  return samples.all()
}

function sum(counts: ReadonlyMap<string, number>): number {
  let all = 0
  for (const n of counts.values()) all += n
  return all
}
