/**
 * Shims that wait for work. A start of Node takes 40-250 ms; a shim that is started while the one before works takes it off the way of the
 * next attempt. One spare is kept, no more: 45 MB each. It waits blocked in a read, uses no processor, and ends by itself with this process.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import type { Socket } from 'node:net'
import { programArguments } from './program.ts'

let spare: ChildProcess | undefined
let kept = true

/** A shim that has been told `dir`; its stdio[3] answers with one byte when the command runs. */
export function takeShim(dir: string, log: number): ChildProcess {
  const ready = spare
  spare = undefined
  if (ready?.pid !== undefined && ready.exitCode === null && ready.signalCode === null) {
    ready.ref()
    const pipe = ready.stdio[3] as Socket
    pipe.ref()
    pipe.write(`${dir}\n`)
    return ready
  }
  return spawnShim([dir], log)
}

/** Starts the next spare, if there is none: to be called when nobody waits for a start any more. */
export function prepareSpare(): void {
  if (spare !== undefined || !kept) return
  const shim = spawnShim([], 'ignore')
  const pipe = shim.stdio[3] as Socket | undefined
  // a broken spare is no fault: the next attempt starts a shim of its own
  shim.once('error', () => forget(shim))
  shim.once('exit', () => forget(shim))
  pipe?.on('error', () => forget(shim))
  shim.unref()
  pipe?.unref()
  spare = shim
}

/** Process id of the spare, for `doctor` and tests. */
export function sparePid(): number | undefined {
  return spare?.pid
}

/** Ends the spare and keeps none from now on; for a node that drains. */
export function dropSpare(): void {
  kept = false
  ;(spare?.stdio[3] as Socket | undefined)?.destroy()
  spare = undefined
}

/** Keeps a spare again, from the next start on: undoes `dropSpare`. */
export function keepSpare(): void {
  kept = true
}

function forget(shim: ChildProcess): void {
  if (spare === shim) spare = undefined
}

function spawnShim(args: readonly string[], log: number | 'ignore'): ChildProcess {
  const stdio: StdioOptions = ['ignore', 'ignore', log, 'pipe']
  // nothing of the node's environment: a variable like NODE_OPTIONS would change the shim, a token would stay in its memory
  const env = Object.fromEntries(
    ['PATH', 'TMPDIR', 'SystemRoot'].flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]]],
    ),
  )
  return spawn(process.execPath, [...programArguments('shim'), ...args], {
    cwd: '/',
    env,
    stdio,
    detached: true,
  })
}
