/**
 * A hundred whole nodes in one process: stores on LevelDB, real sync, presence and schedule, on the memory network. What a burst of ready tasks costs in claims when everybody is
 * idle, and what it costs to be there. CPU is that of the process by the number of nodes; of the network it holds the checks, not the sockets.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Net } from '../src/net/net.ts'
import type { NetRequest } from '../src/node/node-config.ts'
import type { OpenNode } from '../src/node/open-node.ts'
import { withDirectory } from './disk.ts'
import { PAYLOAD } from './payload.ts'
import { BEAT_TOPIC, createMemoryNetwork, createWorkerExecutor, openNode } from './product.ts'
import { type Sample, Samples } from './sample.ts'

const NODES = 100
const TASK_MS = 500
const IDLE_MS = 20_000
const WAIT_MS_MAX = 300_000
const LOOK_MS = 100

/** Bytes of beats that came to any node. */
let beatBytes = 0

function counted(net: Net): Net {
  const subscribe: Net['subscribe'] = (topic, listener) =>
    net.subscribe(topic, (bytes, from) => {
      if (topic === BEAT_TOPIC) beatBytes += bytes.length
      return listener(bytes, from)
    })
  return new Proxy(net, {
    get(target, name) {
      if (name === 'subscribe') return subscribe
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function withNodes(count: number, use: (nodes: readonly OpenNode[]) => Promise<void>): Promise<void> {
  await withDirectory(async (dir) => {
    const network = createMemoryNetwork()
    const nodes: OpenNode[] = []
    const open = (name: string, token?: string): Promise<OpenNode> =>
      openNode({
        dataDir: join(dir, name),
        name,
        backend: 'crdt',
        openNet: async ({ identity, cluster, name: told }: NetRequest) =>
          counted(
            network.join({ node: identity.node, name: told, ...(cluster === undefined ? {} : { cluster }) }),
          ),
        executors: [createWorkerExecutor({ kind: 'noop', concurrency: 1, run: () => sleep(TASK_MS) })],
        ...(token === undefined ? {} : { join: [token] }),
      })
    try {
      const founder = await open('n0')
      nodes.push(founder)
      const { token } = await founder.face.invite({ uses: count })
      for (let k = 1; k < count; k++) nodes.push(await open(`n${k}`, token))
      await until(
        () => nodes.every((node) => node.engine.state.live.length === count),
        'all are live everywhere',
      )
      await use(nodes)
    } finally {
      await Promise.all(nodes.map((node) => node.close({ now: true })))
    }
  })
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + WAIT_MS_MAX
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await sleep(LOOK_MS)
  }
}

async function idleCost(nodes: readonly OpenNode[], samples: Samples): Promise<void> {
  const cpu = process.cpuUsage()
  const bytes = beatBytes
  const at = performance.now()
  await sleep(IDLE_MS)
  const span = performance.now() - at
  const { user, system } = process.cpuUsage(cpu)
  samples.add('CPU of a node while idle', '% of a core', ((user + system) / 1e3 / span / nodes.length) * 100)
  samples.add('beats heard by a node', 'kB a second', (beatBytes - bytes) / span / nodes.length)
  samples.add('memory of a node', 'MiB', process.memoryUsage.rss() / 2 ** 20 / nodes.length)
}

/** As many tasks as there are idle workers become ready at once. */
async function burst(nodes: readonly OpenNode[], samples: Samples): Promise<void> {
  const [first] = nodes
  const tasks = nodes.map((_, i) => [`t${i}`, { kind: 'noop', payload: PAYLOAD }] as const)
  const at = performance.now()
  const { run } = await first!.face.submit({ name: 'burst', tasks, seal: true })
  await until(() => first!.engine.state.board.runs.get(run)?.finished === true, `${run} is finished`)
  samples.add('burst of 100 tasks of 0.5 s, submit to end', 's', (performance.now() - at) / 1_000)
  const bids = new Set<string>()
  const starts = new Set<string>()
  for await (const batch of first!.engine.options.store.facts({ doc: run }))
    for (const { collection, key } of batch.facts) {
      if (collection === 'claims' || collection === 'starts') bids.add(`${key} ${batch.author.node}`)
      if (collection === 'starts') starts.add(`${key} ${batch.author.node}`)
    }
  samples.add('claims and starts a task, 100 idle workers', 'times', bids.size / tasks.length)
  samples.add('starts a task, 100 idle workers', 'times', starts.size / tasks.length)
}

export async function nodes100(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  // Nothing else does while all wait for each other: the timers of a node keep no process alive, its sockets do, and here are none.
  const alive = setInterval(() => {}, LOOK_MS)
  try {
    await withNodes(NODES, async (nodes) => {
      for (let k = 0; k < runs; k++) await idleCost(nodes, samples)
      for (let k = 0; k < runs; k++) await burst(nodes, samples)
    })
  } finally {
    clearInterval(alive)
  }
  return samples.all()
}
