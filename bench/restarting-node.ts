/** Opens a node on a data directory and tells how long that took, then closes it. */
import { createNode } from './product.ts'

const start = performance.now()
const node = await createNode({ dataDir: process.argv[2]! })
const ms = performance.now() - start
const runs = await node.face.runs()
const tasks = runs.reduce((sum, run) => sum + run.tasks, 0)
process.send?.({ ms, tasks, rss: process.memoryUsage.rss() })
process.on('disconnect', () => void node.close())
