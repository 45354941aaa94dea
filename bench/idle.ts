/** CPU of a node that has nothing to do, served, with a hundred finished runs on its board. */
import { setTimeout as sleep } from 'node:timers/promises'
import { endChild, nextMessage, startChild } from './child.ts'
import { withDirectory } from './disk.ts'
import { connectSocket, readEndpoint } from './product.ts'
import { type Sample, Samples } from './sample.ts'
import { submitted } from './w2.ts'

const SPAN_MS = 20_000
/** Timers of the work before, and the collector's, run out first. */
const SETTLE_MS = 5_000

interface Used {
  readonly cpu: NodeJS.CpuUsage
  readonly at: string
}

export async function idle(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  await withDirectory(async (dataDir) => {
    const child = startChild('serving-node.ts', dataDir)
    await nextMessage(child)
    const reading = readEndpoint(dataDir)
    if (reading.state !== 'listening') throw new Error(`the node is ${reading.state}`)
    const { face, close } = await connectSocket(reading.endpoint.socket, reading.endpoint.token)
    await submitted(face, child, 100)
    await close()
    await sleep(SETTLE_MS)
    const look = (): Promise<Used> => {
      const answer = nextMessage<Used>(child)
      child.send('cpu')
      return answer
    }
    for (let run = 0; run < runs; run++) {
      const before = await look()
      await sleep(SPAN_MS)
      const after = await look()
      const ms = Number(BigInt(after.at) - BigInt(before.at)) / 1e6
      const cpu = (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1e3
      samples.add(`CPU over ${SPAN_MS / 1_000} s`, '% of a core', (cpu / ms) * 100)
    }
    await endChild(child)
  })
  return samples.all()
}
