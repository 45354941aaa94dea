/** Commits to a board for ever and prints the number of each commit once it is durable. Killed by its parent. Arguments: data directory, incarnation. */
import { writeSync } from 'node:fs'
import { openLevelDisk } from '../../../src/store/level-disk.ts'
import { CLUSTER, openBoard } from '../board.ts'

const [dataDir, incarnation] = process.argv.slice(2) as [string, string]
const { store } = await openBoard({
  author: { node: 'node-a', incarnation },
  disk: await openLevelDisk({ dataDir, cluster: CLUSTER }),
})

async function worker(name: string, facts: number): Promise<never> {
  for (let i = 0; ; i++) {
    const list = Array.from({ length: facts }, (_, k) => ({
      doc: `run-${k % 2}`,
      collection: 'kv' as const,
      key: `${name}-${i}/${k}`,
      body: { text: 'x'.repeat((i * 37) % 400) },
    }))
    const { n, durable } = store.put(list, i)
    await durable
    writeSync(1, `${n} ${name}-${i} ${facts}\n`)
  }
}

await Promise.all([worker('a', 1), worker('b', 3), worker('c', 40), worker('d', 2_000)])
