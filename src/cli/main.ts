#!/usr/bin/env node
/** Entry of the program: `orch-node`, or `orch`. */
import { createMachine } from './machine.ts'
import { runProgram } from './program.ts'

// A fault that nobody waits for: told in words, and the process ends. What was acknowledged is on the disk; the next start goes on from there.
process.on('uncaughtException', (error) => {
  process.stderr.write(
    `error: ${error.stack ?? String(error)}\nnext: start it again: nothing that was acknowledged is lost; please report this with the lines above\nORCH_BUG\n`,
  )
  process.exit(1)
})

const code = await runProgram(process.argv.slice(2), createMachine())
// What is written to a pipe leaves first; then nothing may keep the process: connections, a node's timers, a follower.
const flush = (stream: NodeJS.WriteStream) =>
  new Promise<void>((resolve) => stream.write('', () => resolve()))
await Promise.all([flush(process.stdout), flush(process.stderr)])
process.exit(code)
