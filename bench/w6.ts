/**
 * W6: one replica writes, another has it: signed, durable where it was written before anything is sent. A value every 5 ms for the latency, then all at once with 64 writers for the
 * rate (values of writers that one sync serves share a frame), then a fresh replica that pulls everything.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Asked } from './asked.ts'
import { nextMessage, startChild } from './child.ts'
import { withDirectory } from './disk.ts'
import type { ReplicaCall, ReplicaSettings } from './replica-process.ts'
import { median, perSecond, quantile, type Sample, Samples } from './sample.ts'

const PACED = 500
const GAP_MS = 5
const BURST = 9_500

interface Replica {
  readonly process: Asked<ReplicaCall>
  readonly address: string
  readonly openedMs: number
}

async function start(settings: ReplicaSettings): Promise<Replica> {
  const child = startChild('replica-process.ts', JSON.stringify(settings))
  const { address, openedMs } = await nextMessage<{ address: string; openedMs: number }>(child)
  return { process: new Asked(settings.name, child), address, openedMs }
}

async function oneRun(samples: Samples): Promise<void> {
  await withDirectory(async (dir) => {
    const replicas: Replica[] = []
    const add = async (name: string, more: Partial<ReplicaSettings> = {}): Promise<Replica> => {
      const replica = await start({ dataDir: join(dir, name), name, ...more })
      replicas.push(replica)
      return replica
    }
    try {
      const a = await add('a')
      const b = await add('b', { to: a.address })
      await sleep(500)
      await a.process.ask({ do: 'paced', count: PACED, gapMs: GAP_MS, tag: 'p' })
      await b.process.ask({ do: 'await', total: PACED })
      const delays = await b.process.ask<number[]>({ do: 'delays' })
      samples.add('write to seen, p50', 'ms', median(delays))
      samples.add('write to seen, p99', 'ms', quantile(delays, 0.99))
      const seen = b.process.ask<number>({ do: 'await', total: PACED + BURST })
      const { at, durableAt } = await a.process.ask<{ at: number; durableAt: number }>({
        do: 'burst',
        count: BURST,
        tag: 'b',
      })
      samples.add('burst, seen by the other', 'values/s', perSecond(BURST, (await seen) - at))
      samples.add('burst, durable where written', 'values/s', perSecond(BURST, durableAt - at))
      const fresh = await add('fresh', { to: a.address, expect: PACED + BURST })
      samples.add('fresh replica has 10,000 values', 'ms', fresh.openedMs)
    } finally {
      await Promise.all(replicas.map((replica) => replica.process.end()))
    }
  })
}

export async function w6(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  for (let k = 0; k < runs; k++) await oneRun(samples)
  return samples.all()
}
