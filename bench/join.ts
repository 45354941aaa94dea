/** An empty node joins a cluster that has a finished run: how long from its start (before any file is opened, after Node is) to a board that is equal. */
import { type Audit, type Submitted, withFleet } from './fleet.ts'
import { CONCURRENCY } from './payload.ts'
import { type Sample, Samples } from './sample.ts'

const SIZES = [10_000, 100_000]
const RUN_MS_MAX = 600_000

export async function join(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  for (const tasks of SIZES) {
    await withFleet(1, { concurrency: CONCURRENCY }, async (fleet) => {
      const [first] = fleet.members
      const { run } = await first!.ask<Submitted>({ do: 'submit', tasks, plan: 'flat' })
      await first!.ask<number>({ do: 'finished', run }, RUN_MS_MAX)
      const token = await first!.ask<string>({ do: 'invite' })
      for (let k = 0; k < runs; k++) {
        const joined = await fleet.add(`joined${k}`, token, { concurrency: 0, run })
        const { done } = await joined.ask<Audit>({ do: 'audit', run })
        if (done !== tasks) throw new Error(`${done} of ${tasks} tasks came`)
        const label = `run of ${tasks.toLocaleString('en-US')} tasks`
        samples.add(`${label}: from start to an equal board`, 'ms', joined.openedMs)
        const { rss } = await joined.ask<{ rss: number }>({ do: 'usage' })
        samples.add(`${label}: memory of the new node`, 'MiB', rss / 2 ** 20)
        await joined.end()
      }
    })
  }
  return samples.all()
}
