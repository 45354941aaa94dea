/** Tries to lock each directory whose path arrives on stdin, and says how it went. Keeps what it got until stdin ends. */
import { createInterface } from 'node:readline'
import { isOrchError } from '../../../src/core/error.ts'
import { acquireLock } from '../../../src/store/lock.ts'

process.stdout.write('ready\n')
for await (const dir of createInterface({ input: process.stdin })) {
  let outcome: string
  try {
    acquireLock(dir)
    outcome = 'won'
  } catch (error) {
    outcome = isOrchError(error) ? `${error.code} ${error.message}` : `fault ${error}`
  }
  process.stdout.write(`${outcome}\n`)
}
