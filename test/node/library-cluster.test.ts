// A program whose node is a member of a cluster.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createNode } from '../../src/library.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import type { NetRequest } from '../../src/node/node-config.ts'
import { eventually } from './cluster-fixture.ts'
import { temporaryDir, undoLater } from './fixture.ts'

async function startPair() {
  const network = createMemoryNetwork()
  const root = temporaryDir()
  const openNet = async ({ identity, cluster, name }: NetRequest) =>
    network.join({ node: identity.node, name, ...(cluster === undefined ? {} : { cluster }) })
  const start = async (name: string, more: Parameters<typeof createNode>[0] = {}) => {
    const node = await createNode({ dataDir: join(root, name), name, openNet, ...more })
    undoLater(() => node.close())
    return node
  }
  const a = await start('a', {
    backend: 'crdt',
    workers: [{ kind: 'noop', run: () => 1 }],
  })
  const { token } = await a.face.invite({})
  const b = await start('b', { join: [token] })
  return { a, b, start }
}

it('listeners of a program hear what other members do', async () => {
  const { a, b } = await startPair()
  const heard: string[] = []
  b.on('task.completed', ({ event }) => heard.push(event.task))
  b.on('run.finished', ({ run, outcome }) => heard.push(`${run} ${outcome}`))
  const run = await a.submit({ name: 'test', tasks: [{ id: 't1', kind: 'noop' }] })
  await run.done
  await eventually('b heard of the end', () => heard.length === 2)
  expect(heard).toEqual(['t1', `${run.id} complete`])
})

it('a program opens the directory of a member again without saying what it is', async () => {
  const { a, b, start } = await startPair()
  await b.close()
  const again = await start('b')
  expect((await again.face.status()).cluster?.id).toBe((await a.face.status()).cluster?.id)
})
