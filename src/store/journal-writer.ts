/**
 * Group commit: everything that is put while the disk is busy goes out with the next single write and sync; on an idle disk at the end of the
 * running turn of the event loop.
 *
 *     put ──▶ open group ──▶ write ──▶ fdatasync ──▶ durable
 *               ▲  one at a time in flight  │
 *               └────── next group ◀────────┘
 *
 * Measured with a 300 byte commit: writing on the loop takes 2 us, a hop through the thread pool 30; the sync takes 200 either way and always
 * runs in the pool, so the loop never waits for the disk.
 */
import * as nodeFs from 'node:fs'
import { OrchError } from '../core/error.ts'
import {
  COMMIT_FACTS_MAX,
  JOURNAL_GROUP_BYTES,
  JOURNAL_QUEUE_BYTES_MAX,
  JOURNAL_SYNC_WRITE_BYTES_MAX,
} from '../core/limit.ts'
import { diskFault } from './durable-file.ts'
import { LINE_PREFIX_BYTES, writeLine } from './journal-line.ts'

/** The calls of `node:fs` through which commits reach the disk; tests give failing, slow or recording ones. */
export type JournalFs = Pick<typeof nodeFs, 'writeSync' | 'write' | 'fdatasync' | 'ftruncateSync'>

interface Group {
  readonly lines: string[]
  /** At most the bytes of the lines in UTF-8: three for each UTF-16 unit. */
  bytesMax: number
  chars: number
  facts: number
  readonly durable: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: OrchError) => void
}

const LINE_EXTRA_BYTES = LINE_PREFIX_BYTES + 1

function createGroup(): Group {
  let resolve!: () => void
  let reject!: (error: OrchError) => void
  const durable = new Promise<void>((yes, no) => {
    resolve = yes
    reject = no
  })
  // Who does not look at a receipt must not bring the process down: every later put tells the same.
  durable.catch(() => {})
  return { lines: [], bytesMax: 0, chars: 0, facts: 0, durable, resolve, reject }
}

export interface JournalWriterOptions {
  readonly path: string
  /** Open for appending. The writer closes it. */
  readonly fd: number
  /** Bytes in the file, all durable. */
  readonly size: number
  readonly fsync: boolean
  readonly fs?: Partial<JournalFs>
}

export class JournalWriter {
  readonly #path: string
  readonly #fd: number
  readonly #fsync: boolean
  readonly #fs: JournalFs
  readonly #scratch = Buffer.allocUnsafe(JOURNAL_SYNC_WRITE_BYTES_MAX)
  readonly #queue: Group[] = []
  #flying: Group | undefined
  #isScheduled = false
  #chars = 0
  #durableBytes: number
  #failed: OrchError | undefined
  #idle: (() => void) | undefined
  #last: Promise<void> = Promise.resolve()

  constructor(options: JournalWriterOptions) {
    this.#path = options.path
    this.#fd = options.fd
    this.#fsync = options.fsync
    this.#durableBytes = options.size
    this.#fs = { ...nodeFs, ...options.fs }
  }

  get failed(): OrchError | undefined {
    return this.#failed
  }

  /** Resolves when everything appended so far is durable. */
  get durable(): Promise<void> {
    return this.#last
  }

  /** Bytes of the file whose lines are durable; the others are in `pending`. */
  get durableBytes(): number {
    return this.#durableBytes
  }

  /** JSON of the commits that are not durable yet, oldest first. */
  pending(): string[] {
    if (this.#failed) return []
    const groups = this.#flying ? [this.#flying, ...this.#queue] : this.#queue
    return groups.flatMap((group) => group.lines)
  }

  /** True when the next commit begins a group of its own: everything before is on the disk by the time that it is written. */
  beginsGroup(facts: number): boolean {
    return this.#open(facts) === undefined
  }

  /** The group that still has room. */
  #open(facts: number): Group | undefined {
    const group = this.#queue.at(-1)
    if (!group || group.facts + facts > COMMIT_FACTS_MAX || group.chars > JOURNAL_GROUP_BYTES)
      return undefined
    return group
  }

  /** Takes a commit into the open group. The promise is the group's: one for all its commits. */
  append(json: string, facts: number): Promise<void> {
    if (this.#failed) return rejected(this.#failed)
    if (this.#chars > JOURNAL_QUEUE_BYTES_MAX) {
      throw new OrchError('ORCH_BACKPRESSURE', `${this.#chars} bytes wait for the disk under ${this.#path}`, {
        context: { path: this.#path, bytes: this.#chars },
      })
    }
    let group = this.#open(facts)
    if (!group) {
      group = createGroup()
      this.#queue.push(group)
      this.#last = group.durable
    }
    group.lines.push(json)
    group.bytesMax += json.length * 3 + LINE_EXTRA_BYTES
    group.chars += json.length
    group.facts += facts
    this.#chars += json.length
    if (!this.#flying && !this.#isScheduled) {
      this.#isScheduled = true
      // After the promise jobs of this turn: commits of several workers that one event woke go out together.
      process.nextTick(this.#flush)
    }
    return group.durable
  }

  readonly #flush = (): void => {
    this.#isScheduled = false
    const group = this.#queue.shift()
    if (!group) return
    this.#flying = group
    if (group.bytesMax <= this.#scratch.length) this.#writeNow(group)
    else this.#writeApart(group)
  }

  #writeNow(group: Group): void {
    let end = 0
    for (const json of group.lines) end = writeLine(this.#scratch, end, json)
    try {
      for (let at = 0; at < end; ) at += this.#fs.writeSync(this.#fd, this.#scratch, at, end - at)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#sync(group, end)
  }

  #writeApart(group: Group): void {
    let size = 0
    for (const json of group.lines) size += Buffer.byteLength(json) + LINE_EXTRA_BYTES
    const buffer = Buffer.allocUnsafe(size)
    let end = 0
    for (const json of group.lines) end = writeLine(buffer, end, json)
    const next = (at: number): void => {
      if (at === size) {
        this.#sync(group, size)
        return
      }
      this.#fs.write(this.#fd, buffer, at, size - at, null, (error, written) => {
        if (error) this.#fail(error)
        else next(at + written)
      })
    }
    next(0)
  }

  #sync(group: Group, bytes: number): void {
    if (!this.#fsync) {
      this.#done(group, bytes)
      return
    }
    this.#fs.fdatasync(this.#fd, (error) => {
      if (error) this.#fail(error)
      else this.#done(group, bytes)
    })
  }

  #done(group: Group, bytes: number): void {
    this.#durableBytes += bytes
    this.#chars -= group.chars
    this.#flying = undefined
    group.resolve()
    if (this.#queue.length > 0) {
      this.#isScheduled = true
      // Behind the jobs of those who waited for this group: what they put next joins the group that goes out now.
      queueMicrotask(() => process.nextTick(this.#flush))
    } else this.#idle?.()
  }

  /** Nothing after a failed write is believed: the state of the file behind `durableBytes` is unknown, so it is cut there. */
  #fail(cause: unknown): void {
    const failed = diskFault(this.#path, cause)
    this.#failed = failed
    const groups = this.#flying ? [this.#flying, ...this.#queue] : [...this.#queue]
    this.#flying = undefined
    this.#queue.length = 0
    this.#chars = 0
    this.#last = rejected(failed)
    try {
      this.#fs.ftruncateSync(this.#fd, this.#durableBytes)
    } catch {
      // Best effort: the next open finds the torn tail and cuts it.
    }
    for (const group of groups) group.reject(failed)
    this.#idle?.()
  }

  /** Waits for what was appended, then closes the file. Call once. */
  async close(): Promise<void> {
    if (this.#flying || this.#queue.length > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    nodeFs.closeSync(this.#fd)
  }
}

export function rejected(error: OrchError): Promise<never> {
  const promise = Promise.reject(error)
  promise.catch(() => {})
  return promise
}
