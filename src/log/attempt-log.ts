/**
 * What attempts did, event by event (R79, R81): one file of JSON lines for each author and attempt,
 * `<dir>/<node>/<run>/<task>/<round>.<epoch>-<last 6 of incarnation>.jsonl`. No truth of the board depends on it, so nothing waits for the disk:
 * a dying process loses at most what it gathered for ATTEMPT_LOG_DELAY_MS. Format: store/LAYOUT.md.
 */
import { mkdirSync } from 'node:fs'
import type { AttemptEvent } from '../core/attempt.ts'
import { OrchError } from '../core/error.ts'
import type { AttemptId, NodeId, WallMs } from '../core/id.ts'
import {
  ATTEMPT_EVENTS_MAX,
  ATTEMPT_LOG_DELAY_MS,
  ATTEMPT_LOG_FLUSH_BYTES,
  ATTEMPT_LOG_QUEUE_BYTES_MAX,
  SLOTS_MAX,
} from '../core/limit.ts'
import { appendText, attemptPath, readAttempts, type TaskName } from './attempt-directory.ts'
import { eventLine, type FileTail, headerLine, type LoggedEvent, readTail } from './attempt-file.ts'

export type { TaskName } from './attempt-directory.ts'
export type { LoggedEvent } from './attempt-file.ts'

/** Code of the one `error` event that says where an attempt's log ends, see ATTEMPT_EVENTS_MAX. */
export const EVENTS_DROPPED = 'events-dropped'
/** Files written at once: as many as the thread pool takes, so that a thousand attempts do not hold a thousand descriptors. */
const WRITES_MAX = 4

export interface AttemptLogOptions {
  /** The `events/` directory. */
  readonly dir: string
  /** Author of what this process appends. */
  readonly node: NodeId
  /** A write failed: the events of it are gone, the log goes on. Told once until a write succeeds. */
  readonly onFault?: (fault: OrchError) => void
}

export interface AttemptLog {
  /**
   * Adds one event: at once visible to followers, later on disk. `n` counts from 1 for each attempt, also over restarts. Returns false when it was
   * dropped: the attempt has ATTEMPT_EVENTS_MAX already (a last `finished` still fits), or the disk is too far behind.
   */
  append(attempt: AttemptId, event: AttemptEvent, at: WallMs): boolean
  /** Events of one attempt, or of all attempts of a task by every author (oldest round and epoch first), of each those above `since`. */
  read(of: AttemptId | TaskName, since?: number): AsyncIterable<LoggedEvent>
  /** Calls back for each appended event, in order. Listeners may not throw. Returns what ends it. */
  follow(listener: (event: LoggedEvent) => void): () => void
  /** Events of an attempt that this process dropped since it first logged it. */
  dropped(attempt: AttemptId): number
  /** Resolves when everything appended so far was handed to the system. Never rejects. */
  flush(): Promise<void>
  /** Flushes, and forgets what is held in memory of an attempt that ended. */
  finish(attempt: AttemptId): Promise<void>
  /** Flushes and stops. Idempotent. */
  close(): Promise<void>
}

/** The end of one attempt's file, and what still has to get there. */
interface Tail {
  readonly path: string
  readonly attempt: AttemptId
  n: number
  /** Events up to this number were handed to the system, or given up. */
  written: number
  dropped: number
  needsHeader: boolean
  isTorn: boolean
  isWriting: boolean
  lines: string[]
  chars: number
}

export function openAttemptLog(options: AttemptLogOptions): AttemptLog {
  try {
    mkdirSync(options.dir, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw new OrchError('ORCH_DATA_DIR', `${options.dir}: ${(cause as Error).message}`, {
      context: { path: options.dir },
      cause,
    })
  }
  return new FileAttemptLog(options)
}

class FileAttemptLog implements AttemptLog {
  readonly #options: AttemptLogOptions
  readonly #tails = new Map<AttemptId, Tail>()
  /** Wait for the timer. */
  readonly #dirty = new Set<Tail>()
  /** Wait for a free writer. */
  readonly #due = new Set<Tail>()
  readonly #listeners = new Set<(event: LoggedEvent) => void>()
  #waiters: (() => void)[] = []
  #writes = 0
  #chars = 0
  #timer: NodeJS.Timeout | undefined
  #isFaulty = false
  #isClosed = false

  constructor(options: AttemptLogOptions) {
    this.#options = options
  }

  append(attempt: AttemptId, event: AttemptEvent, at: WallMs): boolean {
    if (this.#isClosed) return false
    const tail = this.#tail(attempt)
    if (tail.n === ATTEMPT_EVENTS_MAX) {
      const message = `only the first ${ATTEMPT_EVENTS_MAX} events of an attempt are kept`
      this.#add(tail, { type: 'error', code: EVENTS_DROPPED, message, retryable: false }, at)
    }
    const isLast = event.type === 'finished' && tail.n === ATTEMPT_EVENTS_MAX + 1
    if ((tail.n > ATTEMPT_EVENTS_MAX && !isLast) || this.#chars > ATTEMPT_LOG_QUEUE_BYTES_MAX) {
      tail.dropped++
      return false
    }
    this.#add(tail, event, at)
    return true
  }

  read(of: AttemptId | TaskName, since = 0): AsyncIterable<LoggedEvent> {
    return readAttempts(this.#options.dir, of, since, this.flush())
  }

  follow(listener: (event: LoggedEvent) => void): () => void {
    const own = (event: LoggedEvent) => listener(event)
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  dropped(attempt: AttemptId): number {
    return this.#tails.get(attempt)?.dropped ?? 0
  }

  flush(): Promise<void> {
    return this.#flush([...this.#tails.values()])
  }

  async finish(attempt: AttemptId): Promise<void> {
    const tail = this.#tails.get(attempt)
    if (!tail) return
    await this.#flush([tail])
    if (tail.written === tail.n && this.#tails.get(attempt) === tail) this.#tails.delete(attempt)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.flush()
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#listeners.clear()
  }

  #add(tail: Tail, event: AttemptEvent, at: WallMs): void {
    const n = ++tail.n
    const line = eventLine(n, at, event)
    tail.lines.push(line)
    tail.chars += line.length
    this.#chars += line.length
    if (tail.chars >= ATTEMPT_LOG_FLUSH_BYTES) {
      this.#due.add(tail)
      this.#pump()
    } else if (!this.#due.has(tail)) {
      this.#dirty.add(tail)
      this.#timer ??= setTimeout(() => this.#writeDirty(), ATTEMPT_LOG_DELAY_MS)
    }
    for (const listener of this.#listeners)
      listener({ attempt: tail.attempt, node: this.#options.node, n, at, event })
  }

  #tail(attempt: AttemptId): Tail {
    const known = this.#tails.get(attempt)
    if (known) return known
    // Attempts at once are bounded; what is more was not finished by its caller.
    if (this.#tails.size > 2 * SLOTS_MAX) {
      for (const [id, { n, written }] of this.#tails) if (n === written) this.#tails.delete(id)
    }
    const path = attemptPath(this.#options.dir, this.#options.node, attempt)
    const { n, isEmpty, isTorn } = this.#readTail(path)
    const tail: Tail = {
      path,
      attempt,
      n,
      written: n,
      dropped: 0,
      needsHeader: isEmpty,
      isTorn,
      isWriting: false,
      lines: [],
      chars: 0,
    }
    this.#tails.set(attempt, tail)
    return tail
  }

  #readTail(path: string): FileTail {
    try {
      return readTail(path)
    } catch (cause) {
      this.#tellFault(path, cause)
      return { n: 0, isEmpty: true, isTorn: true }
    }
  }

  #writeDirty(): void {
    this.#timer = undefined
    for (const tail of this.#dirty) this.#due.add(tail)
    this.#dirty.clear()
    this.#pump()
  }

  #pump(): void {
    for (const tail of this.#due) {
      if (this.#writes >= WRITES_MAX) return
      if (tail.isWriting) continue
      this.#due.delete(tail)
      this.#dirty.delete(tail)
      if (tail.lines.length > 0) void this.#write(tail)
    }
  }

  async #write(tail: Tail): Promise<void> {
    const { lines, chars, n } = tail
    tail.lines = []
    tail.chars = 0
    tail.isWriting = true
    this.#writes++
    const head = (tail.isTorn ? '\n' : '') + (tail.needsHeader ? headerLine(tail.attempt) : '')
    try {
      await appendText(tail.path, head + lines.join(''))
      tail.needsHeader = false
      tail.isTorn = false
      this.#isFaulty = false
    } catch (cause) {
      // How much of it reached the file is unknown: the next write begins on a line of its own.
      tail.isTorn = true
      tail.dropped += lines.length
      this.#tellFault(tail.path, cause)
    }
    tail.written = n
    tail.isWriting = false
    this.#writes--
    this.#chars -= chars
    const waiters = this.#waiters
    this.#waiters = []
    for (const resolve of waiters) resolve()
    this.#pump()
  }

  #tellFault(path: string, cause: unknown): void {
    if (this.#isFaulty) return
    this.#isFaulty = true
    const isFull = ['ENOSPC', 'EDQUOT'].includes((cause as NodeJS.ErrnoException).code ?? '')
    const message = `events were not written to ${path}: ${(cause as Error).message}`
    this.#options.onFault?.(
      new OrchError(isFull ? 'ORCH_DISK_FULL' : 'ORCH_DISK_FAILED', message, { context: { path }, cause }),
    )
  }

  async #flush(tails: readonly Tail[]): Promise<void> {
    const goals = tails.filter((tail) => tail.written < tail.n).map((tail) => ({ tail, n: tail.n }))
    for (const { tail } of goals) if (tail.lines.length > 0) this.#due.add(tail)
    this.#pump()
    while (goals.some(({ tail, n }) => tail.written < n)) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve))
    }
  }
}
