/**
 * A bare replica in a process of its own: store on LevelDB, signed frames, net over TCP, gossip and anti-entropy; no node around it. Values of 100 bytes that begin with the time of
 * their writing (CLOCK_MONOTONIC).
 */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fact } from '../src/core/fact.ts'
import {
  BOARD_TOPIC,
  Conduct,
  createGossip,
  createIncarnation,
  createLibp2pNet,
  createSync,
  identityFromSeed,
  openCrdtStore,
  openLevelDisk,
  verifySignature,
} from './product.ts'

export interface ReplicaSettings {
  readonly dataDir: string
  readonly name: string
  /** Address of another one. */
  readonly to?: string
  /** Tells when so many values of others are here. */
  readonly expect?: number
}

export type ReplicaCall =
  | { readonly do: 'paced'; readonly count: number; readonly gapMs: number; readonly tag: string }
  | { readonly do: 'burst'; readonly count: number; readonly tag: string }
  /** Resolves when so many more values of others came; answers when, and the latencies since the last time. */
  | { readonly do: 'await'; readonly total: number }
  | { readonly do: 'delays' }

const CLUSTER = '000102030405060708090a0b0c0d0e0f'
const VALUE_BYTES = 100
/** Writers that wait for the disk at once in a burst. */
const WINDOW = 64
const DOC = 'bench-7f2a'

const settings = JSON.parse(process.argv[2]!) as ReplicaSettings
const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6

function fact(key: string): Fact {
  const stamp = nowMs().toFixed(3)
  return {
    doc: DOC,
    collection: 'results',
    key,
    body: { outcome: 'failed', reason: stamp.padEnd(VALUE_BYTES, ' ') },
  }
}

const opening = nowMs()
const identity = identityFromSeed(createHash('sha256').update(settings.name).digest())
const author = {
  node: identity.node,
  incarnation: createIncarnation(Date.now(), (n) => randomBytes(n)),
}
const store = await openCrdtStore({
  disk: await openLevelDisk({ dataDir: settings.dataDir, cluster: CLUSTER }),
  author,
  signer: identity,
  verify: verifySignature,
  cluster: CLUSTER,
})
let received = 0
const delays: number[] = []
let waiting: { readonly total: number; readonly tell: (at: number) => void } | undefined
store.watch((batch) => {
  const at = nowMs()
  for (const { body } of batch.facts) {
    received++
    delays.push(at - Number.parseFloat((body as { readonly reason: string }).reason))
  }
  if (waiting && received >= waiting.total) waiting.tell(at)
})
const net = await createLibp2pNet({
  identity,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  cluster: CLUSTER,
  name: settings.name,
  version: '0',
  topics: [BOARD_TOPIC],
})
net.admit(() => 'member')
const conduct = new Conduct({ net })
const sync = createSync({ net, replica: store.replica, conduct })
const gossip = createGossip({ net, replica: store.replica, sync, conduct })
if (settings.to !== undefined) await net.dial(settings.to)

function arrived(total: number): Promise<number> {
  if (received >= total) return Promise.resolve(nowMs())
  return new Promise((resolve) => {
    waiting = { total, tell: resolve }
  })
}

async function burst(count: number, tag: string): Promise<{ at: number; durableAt: number }> {
  const at = nowMs()
  let next = 0
  const write = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await store.put([fact(`${tag}${i}/1/1`)], i).durable
  }
  await Promise.all(Array.from({ length: WINDOW }, write))
  return { at, durableAt: nowMs() }
}

async function answer(call: ReplicaCall): Promise<unknown> {
  switch (call.do) {
    case 'paced':
      for (let i = 0; i < call.count; i++) {
        await store.put([fact(`${call.tag}${i}/1/1`)], i).durable
        await sleep(call.gapMs)
      }
      return undefined
    case 'burst':
      return burst(call.count, call.tag)
    case 'await':
      return arrived(call.total)
    case 'delays':
      return delays.splice(0)
  }
}

process.on('message', ({ id, call }: { id: number; call: ReplicaCall }) => {
  answer(call).then(
    (value) => process.connected && process.send?.({ id, value: value ?? null }),
    (error: Error) => process.connected && process.send?.({ id, error: error.message }),
  )
})
process.on('disconnect', () => {
  gossip.close()
  void sync
    .close()
    .then(() => net.close())
    .then(() => store.close())
    .finally(() => process.exit())
})
if (settings.expect !== undefined) await arrived(settings.expect)
process.send?.({ address: net.addresses()[0], openedMs: nowMs() - opening })
