/** A node that is going to be killed: starts the process that a file describes, and tells how much of its output it has read. */
import { readFileSync } from 'node:fs'
import { type ProcessSpec, startProcess } from '../../src/executor/process.ts'
import { sparePid } from '../../src/executor/spare.ts'

const spec = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as ProcessSpec
let read = 0
const attempt = await startProcess(spec, {
  output: (chunk) => {
    read += chunk.length
    process.stdout.write(`read ${read}\n`)
  },
  gap: () => {},
})
process.stdout.write(`spare ${sparePid()}\n`)
await attempt.ended
