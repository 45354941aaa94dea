#!/usr/bin/env node
/** Entry of the program: `orch-node`, or `orch`. */
import { createMachine } from './machine.ts'
import { runProgram } from './program.ts'

const code = await runProgram(process.argv.slice(2), createMachine())
// What is written to a pipe leaves first; then nothing may keep the process: connections, a node's timers, a follower.
const flush = (stream: NodeJS.WriteStream) =>
  new Promise<void>((resolve) => stream.write('', () => resolve()))
await Promise.all([flush(process.stdout), flush(process.stderr)])
process.exit(code)
