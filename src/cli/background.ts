/** A node that outlives the command which starts it. */
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readEndpoint } from '../api/endpoint.ts'
import { ERRORS, type ErrorCode, OrchError } from '../core/error.ts'
import { LOCKED_LOOK_MS, NODE_START_MS_MAX } from '../core/limit.ts'
import { connectRunning } from './connection.ts'
import type { Settings } from './settings.ts'

const LOG_FILE = 'node.log'
const LINES_TOLD = 5

export interface Background {
  readonly pid: number
  readonly url: string
  readonly log: string
}

/**
 * Resolves when the node answers.
 *
 * @throws the code that the node ended with, and its last words; ORCH_NODE_TIMEOUT
 */
export async function startInBackground(settings: Settings): Promise<Background> {
  const { dataDir } = settings
  mkdirSync(dataDir.value, { recursive: true, mode: 0o700 })
  const log = join(dataDir.value, LOG_FILE)
  const fd = openSync(log, 'a', 0o600)
  const logStart = fstatSync(fd).size
  let exit: { readonly code: number | null; readonly signal: string | null } | undefined
  let failure: Error | undefined
  // The same program that runs now: compiled, or from source under the same loader.
  const main = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, main, ...startArguments(settings)], {
    detached: true,
    stdio: ['ignore', fd, fd],
    cwd: dataDir.value,
    env: withoutInvitation(process.env),
  })
  closeSync(fd)
  child.once('exit', (code, signal) => {
    exit = { code, signal }
  })
  child.once('error', (error) => {
    failure = error
  })
  const deadline = performance.now() + NODE_START_MS_MAX
  while (performance.now() < deadline) {
    if (failure)
      throw new OrchError('ORCH_FAILED', `the node could not be started: ${failure.message}`, {
        cause: failure,
      })
    if (exit) throw ended(exit, readFileSync(log).subarray(logStart).toString('utf8'), log)
    const reading = readEndpoint(dataDir.value)
    if (reading.state === 'listening' && reading.endpoint.pid === child.pid) {
      const node = await connectRunning(dataDir.value)
      if (node) {
        try {
          await node.face.status()
        } finally {
          await node.close()
        }
        child.unref()
        return { pid: child.pid, url: reading.endpoint.url, log }
      }
    }
    await pause(LOCKED_LOOK_MS)
  }
  child.unref()
  throw new OrchError(
    'ORCH_NODE_TIMEOUT',
    `the node (pid ${child.pid}) did not answer within ${NODE_START_MS_MAX / 1000} s`,
    { hint: `see ${log}` },
  )
}

/** What the new process is started with. What there is to join is joined by whoever starts it: he can tell people of it, and no invitation becomes an argument. */
export function startArguments(settings: Settings): readonly string[] {
  const { dataDir, http, slots, name, backend, capabilities, listen, profile } = settings
  const args = ['start', '--no-join', '--data-dir', dataDir.value]
  if (backend.value !== undefined) args.push('--backend', backend.value)
  if (profile.value !== undefined) args.push('--profile', profile.value)
  if (slots.origin !== 'default') args.push('--slots', String(slots.value))
  if (http.value !== undefined) args.push('--http', String(http.value))
  if (name.value !== undefined) args.push(`--name=${name.value}`)
  if (capabilities.origin === 'flag')
    for (const capability of capabilities.value) args.push(`--cap=${capability}`)
  if (listen.origin !== 'default') for (const address of listen.value) args.push('--listen', address)
  return args
}

function withoutInvitation(given: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const env = { ...given }
  delete env.ORCH_JOIN
  return env
}

function ended(
  exit: { readonly code: number | null; readonly signal: string | null },
  text: string,
  log: string,
): OrchError {
  const found = text.match(/\bORCH_[A-Z_]+\b/g)?.at(-1)
  const code: ErrorCode =
    found !== undefined && Object.hasOwn(ERRORS, found) ? (found as ErrorCode) : 'ORCH_FAILED'
  const said = text.trim().split('\n').slice(-LINES_TOLD).join('\n  ')
  return new OrchError(
    code,
    `the node ended at once (${exit.signal ?? `exit ${exit.code}`})${said === '' ? '' : `:\n  ${said}`}`,
    { hint: `see ${log}` },
  )
}
