/**
 * What is written in the directory of an attempt, see ATTEMPT.md. Read by the node, the shim and people; kept small in imports, since the
 * shim loads it at every start.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs'

export const RECORD_VERSION = 1

/** `attempt.json`: what to run. Written by the node before the shim starts, never changed. Mode 0600: `env` may hold a token. */
export interface StartRecord {
  readonly v: number
  readonly id: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** The shim ends the attempt by itself after so long, should the node be gone; 0 = never. */
  readonly backstopMs: number
  /** Resident memory of all processes of the attempt together. */
  readonly memoryBytes?: number
  readonly headBytes: number
  readonly tailBytes: number
  /** Path of the shim's socket. */
  readonly socket: string
}

/** `shim.pid`: made once, by link(2), by whoever is first: the shim that runs the attempt, or an `adopt` that rules out a start for ever. */
export type BeginRecord =
  | { readonly v: number; readonly pid: number; readonly mark: string }
  | { readonly v: number; readonly never: true }

/** `shim.json`: the command runs. A `mark` names one life of a process id, see `session.ts`. */
export interface ShimRecord {
  readonly v: number
  readonly pid: number
  readonly mark: string
  readonly childPid: number
  readonly childMark: string
  readonly startedAt: number
}

/** `exit.json`: how it ended. Written last, by rename, with fsync. */
export interface ExitRecord {
  readonly v: number
  readonly exit: number | null
  readonly signal?: string
  readonly spawnError?: string
  readonly stopped?: 'cancelled' | 'timed-out' | 'stalled' | 'memory' | 'shutdown'
  readonly startedAt: number
  readonly endedAt: number
  readonly outputBytes: number
  /** Processes that outlived the command and were ended. */
  readonly leftovers?: number
  /** Processes that survived SIGKILL (uninterruptible); they were left. */
  readonly stuck?: number
  readonly memoryBytesMax?: number
}

export type StopReason = NonNullable<ExitRecord['stopped']>

export const START_FILE = 'attempt.json'
export const BEGIN_FILE = 'shim.pid'
export const SHIM_FILE = 'shim.json'
export const EXIT_FILE = 'exit.json'

/** Writes JSON so that a reader sees all of it or nothing. `durable` survives a power cut too. */
export function writeRecord(dir: string, file: string, value: unknown, durable = false): void {
  const temporary = writeTemporary(dir, file, value, durable)
  renameSync(temporary, `${dir}/${file}`)
  if (durable) syncDirectory(dir)
}

/** Like `writeRecord`, but only the first one succeeds: false when the file is there already. */
export function writeRecordOnce(dir: string, file: string, value: unknown): boolean {
  const temporary = writeTemporary(dir, file, value, false)
  try {
    linkSync(temporary, `${dir}/${file}`)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(temporary)
  }
}

function writeTemporary(dir: string, file: string, value: unknown, durable: boolean): string {
  const path = `${dir}/.${file}.${process.pid}`
  const fd = openSync(path, 'w', 0o600)
  try {
    writeSync(fd, `${JSON.stringify(value)}\n`)
    if (durable) fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  return path
}

function syncDirectory(dir: string): void {
  if (process.platform === 'win32') return
  const fd = openSync(dir, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** `undefined` when absent; `'unreadable'` when it is no record (cut by a power failure); `'newer'` when a later version wrote it. */
export function readRecord<T extends { v: number }>(
  dir: string,
  file: string,
): T | undefined | 'unreadable' | 'newer' {
  let text: string
  try {
    text = readFileSync(`${dir}/${file}`, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || typeof (value as T).v !== 'number') return 'unreadable'
    return (value as T).v > RECORD_VERSION ? 'newer' : (value as T)
  } catch {
    return 'unreadable'
  }
}
