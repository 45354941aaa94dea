/** How a shim gets to work: its directory prepared, its process told, its word awaited. */
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, lstatSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import { KILL_MS_MAX, SHIM_START_MS_MAX } from '../core/limit.ts'
import {
  BEGIN_FILE,
  EXIT_FILE,
  readRecord,
  SHIM_FILE,
  START_FILE,
  type StartRecord,
  writeRecordOnce,
} from './record.ts'
import { sweep } from './session.ts'
import { prepareSpare, takeShim } from './spare.ts'

/** Longest path of a unix socket that every system takes, without its final NUL. */
const SOCKET_PATH_MAX = 100
const LOG_FILE = 'shim.log'

/** False when the directory was used before. */
export function writeStart(dir: string, record: StartRecord): boolean {
  try {
    return writeRecordOnce(dir, START_FILE, record)
  } catch (error) {
    throw diskError(error, dir)
  }
}

function diskError(error: unknown, dir: string): OrchError {
  const code = (error as NodeJS.ErrnoException).code
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  return new OrchError(
    full ? 'ORCH_DISK_FULL' : 'ORCH_SHIM',
    `cannot write to ${dir}: ${(error as Error).message}`,
    { cause: error, context: { dir } },
  )
}

/** Short paths stay in the directory; longer ones go to a private directory of this user, named by a hash. */
export function socketPath(dir: string): string {
  const near = join(dir, 's')
  if (process.platform === 'win32') return `\\\\.\\pipe\\orch-${hash(dir)}`
  if (Buffer.byteLength(near) < SOCKET_PATH_MAX) return near
  const uid = process.getuid?.() ?? 0
  const shared = join(tmpdir(), `orch-${uid}`)
  mkdirSync(shared, { recursive: true, mode: 0o700 })
  const stat = lstatSync(shared)
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
    throw new OrchError('ORCH_SHIM', `${shared} is not a private directory of this user`, {
      context: { dir: shared },
      hint: 'remove it, or set TMPDIR',
    })
  }
  return join(shared, hash(dir))
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24)
}

/** Hands the directory to a shim and waits for its word. A spare that died unseen is replaced, once. */
export async function launch(dir: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    const shim = await tell(dir)
    if (readRecord(dir, SHIM_FILE) !== undefined || readRecord(dir, EXIT_FILE) !== undefined) break
    const died = shim.exitCode !== null || shim.signalCode !== null
    if (died && tries < 2 && readRecord(dir, BEGIN_FILE) === undefined) continue
    shim.kill('SIGKILL')
    const record = readRecord<StartRecord>(dir, START_FILE)
    if (typeof record === 'object') await sweep({ id: record.id }, 0, KILL_MS_MAX)
    throw new OrchError('ORCH_SHIM', `the shim did not start: ${lastLine(join(dir, LOG_FILE))}`, {
      context: { dir },
    })
  }
  prepareSpare()
}

async function tell(dir: string): Promise<ChildProcess> {
  let shim: ChildProcess
  try {
    const log = openSync(join(dir, LOG_FILE), 'a', 0o600)
    try {
      shim = takeShim(dir, log)
    } finally {
      closeSync(log)
    }
  } catch (error) {
    throw diskError(error, dir)
  }
  const word = shim.stdio[3] as Socket | undefined
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, SHIM_START_MS_MAX)
    const done = (): void => {
      clearTimeout(timer)
      resolve()
    }
    shim.once('error', done)
    shim.once('exit', done)
    word?.on('error', () => {}) // it died: `exit` tells
    word?.once('data', done)
  })
  word?.destroy()
  shim.unref()
  return shim
}

function lastLine(path: string): string {
  const text = readFileSync(path, 'utf8').trim()
  return text === '' ? 'it left no message' : text.slice(-500)
}
