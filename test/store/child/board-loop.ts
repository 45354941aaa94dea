/** Commits to a board. Arguments: data directory, incarnation. */
import { openLevelDisk } from '../../../src/store/level-disk.ts'
import { CLUSTER, openBoard } from '../board.ts'
import { commitForEver } from './commit-for-ever.ts'

const [dataDir, incarnation] = process.argv.slice(2) as [string, string]
const { store } = await openBoard({
  author: { node: 'node-a', incarnation },
  disk: await openLevelDisk({ dataDir, cluster: CLUSTER }),
})

await commitForEver(store, (k) => `run-${k % 2}`)
