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
