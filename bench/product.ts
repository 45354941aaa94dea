/** The product as it is shipped: every figure is of the built files in `dist`, never of sources that a loader transforms on the way. Types are of the sources. */
const load = <T>(file: string): Promise<T> => import(new URL(`../dist/${file}`, import.meta.url).href)

export const { createNode, defineWorker } = await load<typeof import('../src/index.ts')>('index.js')
export const { connectSocket } =
  await load<typeof import('../src/api/socket-client.ts')>('api/socket-client.js')
export const { readEndpoint } = await load<typeof import('../src/api/endpoint.ts')>('api/endpoint.js')
export const { openFileStore } = await load<typeof import('../src/store/file.ts')>('store/file.js')
export const { criticalPath } = await load<typeof import('../src/core/graph.ts')>('core/graph.js')
export const { examinePlan } = await load<typeof import('../src/core/plan.ts')>('core/plan.js')
export const { createGit } = await load<typeof import('../src/git/git.ts')>('git/git.js')
export const { openNode } = await load<typeof import('../src/node/node.ts')>('node/node.js')
export const { createWorkerExecutor } =
  await load<typeof import('../src/executor/worker.ts')>('executor/worker.js')
export const { openCrdtStore } = await load<typeof import('../src/store/crdt.ts')>('store/crdt.js')
export const { openLevelDisk } =
  await load<typeof import('../src/store/level-disk.ts')>('store/level-disk.js')
export const { createLibp2pNet } = await load<typeof import('../src/net/libp2p.ts')>('net/libp2p.js')
export const { createMemoryNetwork } = await load<typeof import('../src/net/memory.ts')>('net/memory.js')
export const { createSync } = await load<typeof import('../src/net/sync.ts')>('net/sync.js')
export const { createGossip, BOARD_TOPIC } =
  await load<typeof import('../src/net/gossip.ts')>('net/gossip.js')
export const { BEAT_TOPIC } = await load<typeof import('../src/net/beat.ts')>('net/beat.js')
export const { Conduct } = await load<typeof import('../src/net/conduct.ts')>('net/conduct.js')
export const { createIncarnation, identityFromSeed, verifySignature } =
  await load<typeof import('../src/net/identity.ts')>('net/identity.js')
