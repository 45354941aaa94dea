/** A node in a process of its own, served over its socket, with one worker that tells when each of its handlers began. Ends when its parent lets go of it. */
import { CONCURRENCY } from './payload.ts'
import { createNode, defineWorker } from './product.ts'

const dataDir = process.argv[2]!
const node = await createNode({
  dataDir,
  serve: { httpPort: 0 },
  workers: [
    defineWorker({
      kind: 'noop',
      concurrency: CONCURRENCY,
      run: (task) => {
        const at = process.hrtime.bigint()
        process.send?.({ run: task.run, at: String(at) })
      },
    }),
  ],
})
process.on('disconnect', () => void node.close())
process.on('message', () => process.send?.({ cpu: process.cpuUsage(), at: String(process.hrtime.bigint()) }))
process.send?.({ ready: true })
