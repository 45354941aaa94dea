/**
 * W2: submit to handler start on an idle node, one task at a time, in two processes: this one submits over the unix socket, the other runs node and worker. The run,
 * its task and the start of the attempt are on the disk (one commit) before the handler begins. Both read CLOCK_MONOTONIC.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { endChild, nextMessage, startChild } from './child.ts'
import { rawSyncs, withDirectory } from './disk.ts'
import { PAYLOAD } from './payload.ts'
import { connectSocket, readEndpoint } from './product.ts'
import { median, quantile, type Sample, Samples } from './sample.ts'

const SUBMITS = 500
/** Not counted: both processes have yet to be compiled and their caches filled. */
const WARM_UP = 100
/** Between two submits, so that each finds the node idle. */
const GAP_MS = 5

interface Began {
  readonly run: string
  readonly at: string
}

type Face = Awaited<ReturnType<typeof connectSocket>>['face']

export async function submitted(
  face: Face,
  child: ReturnType<typeof startChild>,
  count: number,
): Promise<{ readonly began: number[]; readonly answered: number[] }> {
  const began: number[] = []
  const answered: number[] = []
  for (let i = 0; i < count; i++) {
    const heard = nextMessage<Began>(child)
    const start = process.hrtime.bigint()
    const answer = await face.submit({ name: 'w2', tasks: [['t', { kind: 'noop', payload: PAYLOAD }]] })
    answered.push(Number(process.hrtime.bigint() - start) / 1e6)
    const { run, at } = await heard
    if (run !== answer.run) throw new Error(`run ${run} began instead of ${answer.run}`)
    began.push(Number(BigInt(at) - start) / 1e6)
    await sleep(GAP_MS)
  }
  return { began, answered }
}

export async function w2(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  await withDirectory(async (dataDir) => {
    const child = startChild('serving-node.ts', dataDir)
    await nextMessage(child)
    const reading = readEndpoint(dataDir)
    if (reading.state !== 'listening') throw new Error(`the node is ${reading.state}`)
    const { face, close } = await connectSocket(reading.endpoint.socket, reading.endpoint.token)
    await submitted(face, child, WARM_UP)
    const medians: number[] = []
    for (let run = 0; run < runs; run++) {
      const disk = await withDirectory((dir) => rawSyncs(dir, SUBMITS))
      const { began, answered } = await submitted(face, child, SUBMITS)
      medians.push(median(began))
      samples.add('submit to handler start, p50', 'ms', median(began))
      samples.add('submit to handler start, p99', 'ms', quantile(began, 0.99))
      samples.add(
        'the same p99 above the p99 of fdatasync alone',
        'ms',
        quantile(began, 0.99) - quantile(disk, 0.99),
      )
      samples.add('fdatasync alone, p50', 'ms', median(disk))
      samples.add('fdatasync alone, p99', 'ms', quantile(disk, 0.99))
      samples.add('submit to its answer, p50', 'ms', median(answered))
    }
    // One node took all: what its number of finished runs costs the next submit.
    const before = WARM_UP + (runs - 1) * SUBMITS
    if (runs > 1)
      samples.add(
        `p50 after ${before} runs, by that after ${WARM_UP}`,
        'times',
        medians.at(-1)! / medians[0]!,
      )
    await close()
    await endChild(child)
  })
  return samples.all()
}
