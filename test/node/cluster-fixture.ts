/** Several whole nodes in one process, on one memory network with injected faults: what the sequences of a cluster are played on. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createMemoryNetwork, type MemoryNetwork } from '../../src/net/memory.ts'
import type { NodeConfig } from '../../src/node/node-config.ts'
import { startNode, type TestNode, temporaryDir } from './fixture.ts'

export interface TestCluster {
  readonly network: MemoryNetwork
  readonly nodes: readonly TestNode[]
  /** Starts a node in a directory of its own, or again in the one it had. */
  start(name: string, config?: NodeConfig): Promise<TestNode>
  /** Asks `by` for an invitation and starts a node with it. */
  join(
    by: TestNode,
    name: string,
    config?: NodeConfig & { readonly role?: 'observer' | 'worker' | 'planner' | 'admin' },
  ): Promise<TestNode>
  dirOf(name: string): string
}

/** The first node founds the cluster; each of the others is invited by it. */
export async function startCluster(
  names: readonly string[],
  config: (
    name: string,
  ) => NodeConfig & { readonly role?: 'observer' | 'worker' | 'planner' | 'admin' } = () => ({}),
): Promise<TestCluster> {
  const network = createMemoryNetwork()
  const root = temporaryDir('orch-cluster-')
  const dirOf = (name: string): string => join(root, name)
  const nodes: TestNode[] = []
  const start = async (name: string, more: NodeConfig = {}): Promise<TestNode> => {
    mkdirSync(dirOf(name), { recursive: true })
    const node = await startNode({
      name,
      dataDir: dirOf(name),
      openNet: async ({ identity, cluster, name: told }) =>
        network.join({ node: identity.node, name: told, ...(cluster === undefined ? {} : { cluster }) }),
      ...more,
    })
    nodes.push(node)
    return node
  }
  const cluster: TestCluster = {
    network,
    nodes,
    dirOf,
    start,
    async join(by, name, more = {}) {
      const { role, ...rest } = more
      const { token } = await by.face.invite(role ? { role } : {})
      return start(name, { join: [token], ...rest })
    },
  }
  const [first, ...others] = names
  const founder = await start(first!, { backend: 'crdt', ...config(first!) })
  for (const name of others) await cluster.join(founder, name, config(name))
  return cluster
}

/** Resolves when the condition holds, looked at after every change of the boards; fails after the deadline, in words. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 30_000,
  state: () => unknown = () => '',
): Promise<void> {
  const until = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > until)
      throw new Error(`not within ${deadlineMs} ms: ${what} ${JSON.stringify(await state())}`)
    await new Promise((resume) => setTimeout(resume, 20))
  }
}
