/**
 * What a worker writes into `$ORCH_DIR`: `step` (a number), `status` (a line), `handoff.json`, `summary.md`. Read as a stranger's data: bounded,
 * only plain files, never through a link.
 */
import { closeSync, constants, type FSWatcher, fstatSync, openSync, readSync, watch } from 'node:fs'
import type { AttemptEvent, Handoff } from '../core/attempt.ts'
import { HANDOFF_BYTES_MAX } from '../core/limit.ts'
import { printable } from './line.ts'

export interface Reports {
  readonly handoff?: Handoff
  readonly summary?: string
}

const STATUS_CHARS_MAX = 200
const LIST_MAX = 1_000
/** Several files are written together: looked at once. */
const SETTLE_MS = 30
const POLL_MS = 2_000

/** Handoff and summary, where they are valid. */
export function readReports(dir: string): Reports {
  const handoff = readHandoffFile(dir)
  const summary = readBounded(`${dir}/summary.md`)
  return {
    ...(handoff === undefined ? {} : { handoff }),
    ...(summary === undefined || summary.bytes.length === 0 ? {} : { summary: printable(summary.bytes) }),
  }
}

function readHandoffFile(dir: string): Handoff | undefined {
  const file = readBounded(`${dir}/handoff.json`)
  if (file === undefined || file.cut) return undefined
  try {
    return readHandoff(JSON.parse(file.bytes.toString('utf8')), new Date(file.modifiedMs).toISOString())
  } catch {
    return undefined
  }
}

/**
 * Checks the seven fields of a handoff (R73); `undefined` when it is none. Fields it does not know are dropped.
 *
 * @param writtenAt stands in for a missing `updated_at`
 */
export function readHandoff(value: unknown, writtenAt?: string): Handoff | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const raw = value as Record<string, unknown>
  const updatedAt = raw.updated_at ?? writtenAt
  if (typeof raw.current_focus !== 'string' || typeof updatedAt !== 'string') return undefined
  if (!isTextList(raw.progress) || !isTextList(raw.next_steps)) return undefined
  const optional: Record<string, readonly string[]> = {}
  for (const name of ['blockers', 'open_questions', 'files_touched']) {
    const list = raw[name]
    if (list === undefined || list === null) continue
    if (!isTextList(list)) return undefined
    optional[name] = list
  }
  return {
    current_focus: raw.current_focus,
    progress: raw.progress,
    next_steps: raw.next_steps,
    ...optional,
    updated_at: updatedAt,
  }
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= LIST_MAX && value.every((item) => typeof item === 'string')
}

function readBounded(path: string): { bytes: Buffer; cut: boolean; modifiedMs: number } | undefined {
  let fd: number
  try {
    // a link could point at a secret, a FIFO would block
    fd = openSync(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch {
    return undefined
  }
  try {
    const stat = fstatSync(fd)
    if (!stat.isFile()) return undefined
    const bytes = Buffer.alloc(Math.min(stat.size, HANDOFF_BYTES_MAX))
    const length = readSync(fd, bytes, 0, bytes.length, 0)
    return { bytes: bytes.subarray(0, length), cut: stat.size > HANDOFF_BYTES_MAX, modifiedMs: stat.mtimeMs }
  } catch {
    return undefined
  } finally {
    closeSync(fd)
  }
}

/** Turns changes of `$ORCH_DIR` into events: `step` when number or status changed, `progress` when a valid handoff changed. */
export class ReportWatch {
  readonly #dir: string
  readonly #listener: (event: AttemptEvent) => void
  readonly #watcher: FSWatcher | undefined
  #poll: NodeJS.Timeout | undefined
  #timer: NodeJS.Timeout | undefined
  #step = ''
  #handoff = ''

  constructor(dir: string, listener: (event: AttemptEvent) => void) {
    this.#dir = dir
    this.#listener = listener
    const soon = (): void => {
      this.#timer ??= setTimeout(() => this.look(), SETTLE_MS)
    }
    try {
      this.#watcher = watch(dir, { persistent: false }, soon)
      this.#watcher.on('error', () => this.#startPoll())
    } catch {
      this.#startPoll() // no watches left, or a file system without them
    }
  }

  #startPoll(): void {
    this.#poll ??= setInterval(() => this.look(), POLL_MS).unref()
  }

  /** Reads the files now and tells what changed. */
  look(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#lookAtStep()
    const handoff = readHandoffFile(this.#dir)
    const text = handoff === undefined ? '' : JSON.stringify(handoff)
    if (handoff === undefined || text === this.#handoff) return
    this.#handoff = text
    this.#listener({ type: 'progress', handoff })
  }

  #lookAtStep(): void {
    const step = readLine(`${this.#dir}/step`)
    const status = readLine(`${this.#dir}/status`)
    const n = /^\d{1,9}$/.test(step) ? Number(step) : 0
    if (n === 0 && status === '') return
    const key = `${n} ${status}`
    if (key === this.#step) return
    this.#step = key
    this.#listener({ type: 'step', n, ...(status === '' ? {} : { status }) })
  }

  /** The last look, then nothing more. */
  close(): void {
    this.look()
    this.#watcher?.close()
    clearInterval(this.#poll)
  }
}

function readLine(path: string): string {
  const file = readBounded(path)
  return file === undefined
    ? ''
    : printable(file.bytes).trim().split('\n')[0]!.trim().slice(0, STATUS_CHARS_MAX)
}
