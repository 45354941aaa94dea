/** CPU and memory of each of three members with nothing to do, over a minute. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Usage, withFleet } from './fleet.ts'
import { type Sample, Samples } from './sample.ts'

const SPAN_MS = 60_000
const SETTLE_MS = 5_000

export async function idle3(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  await withFleet(3, { concurrency: 1 }, async ({ members }) => {
    await sleep(SETTLE_MS)
    const look = (): Promise<Usage[]> =>
      Promise.all(members.map((member) => member.ask<Usage>({ do: 'usage' })))
    for (let run = 0; run < runs; run++) {
      const before = await look()
      await sleep(SPAN_MS)
      const after = await look()
      after.forEach(({ cpu, at, rss }, k) => {
        const was = before[k]!
        const used = (cpu.user + cpu.system - was.cpu.user - was.cpu.system) / 1e3
        samples.add('each of 3 members: CPU over 60 s', '% of a core', (used / (at - was.at)) * 100)
        samples.add('each of 3 members: memory', 'MiB', rss / 2 ** 20)
      })
    }
  })
  return samples.all()
}
