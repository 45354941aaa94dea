/** Commits to a journal. Arguments: data directory, incarnation. */
import { openFileStore } from '../../../src/store/file.ts'
import { commitForEver } from './commit-for-ever.ts'

const [dataDir, incarnation] = process.argv.slice(2) as [string, string]
const store = await openFileStore({ dataDir, author: { node: 'node-a', incarnation } })

await commitForEver(store, () => 'run-1')
