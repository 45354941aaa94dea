/** Who listens at a shim's socket: followers of the output, and stops. The protocol is in ATTEMPT.md. */
import type { Socket } from 'node:net'
import { OUTPUT_EVENT_MS, SHIM_READER_BYTES_MAX, TERM_GRACE_MS } from '../core/limit.ts'
import type { OutputWriter } from './output.ts'
import type { ExitRecord, StopReason } from './record.ts'

const SLICE_BYTES = 64 * 1024
const REQUEST_CHARS_MAX = 64 * 1024

interface Follower {
  readonly socket: Socket
  sent: number
  /** Bytes per window, the latest win; absent = every byte that is kept. */
  readonly rate: number | undefined
  flushedAt: number
  timer: NodeJS.Timeout | undefined
}

export class Followers {
  readonly #output: OutputWriter
  readonly #stop: (reason: StopReason, graceMs: number) => void
  readonly #all = new Set<Follower>()

  constructor(output: OutputWriter, stop: (reason: StopReason, graceMs: number) => void) {
    this.#output = output
    this.#stop = stop
  }

  get size(): number {
    return this.#all.size
  }

  serve(socket: Socket): void {
    let rest = ''
    let follower: Follower | undefined
    socket.setEncoding('utf8')
    socket.on('error', () => {})
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop()!
      if (rest.length > REQUEST_CHARS_MAX) socket.destroy()
      for (const line of lines) follower = this.#answer(socket, line) ?? follower
    })
    socket.on('close', () => {
      if (!follower) return
      clearTimeout(follower.timer)
      this.#all.delete(follower)
    })
  }

  /** There is more output. */
  notify(): void {
    for (const follower of this.#all) this.#schedule(follower)
  }

  /** Tells the end. What is not sent by now is on disk. */
  end(record: ExitRecord): void {
    for (const follower of this.#all) {
      clearTimeout(follower.timer)
      this.#flush(follower)
      follower.socket.end(`${JSON.stringify({ end: record })}\n`)
    }
  }

  #answer(socket: Socket, line: string): Follower | undefined {
    let request: { follow?: unknown; rate?: unknown; stop?: unknown; graceMs?: unknown }
    try {
      request = JSON.parse(line)
    } catch {
      socket.destroy()
      return undefined
    }
    if (isStopReason(request.stop)) {
      this.#stop(request.stop, typeof request.graceMs === 'number' ? request.graceMs : TERM_GRACE_MS)
      return undefined
    }
    if (!Number.isSafeInteger(request.follow)) return undefined
    const rate = typeof request.rate === 'number' ? request.rate : undefined
    const follower: Follower = {
      socket,
      sent: request.follow as number,
      rate,
      flushedAt: 0,
      timer: undefined,
    }
    this.#all.add(follower)
    socket.on('drain', () => this.#schedule(follower))
    this.#schedule(follower)
    return follower
  }

  /** At once after a pause, else once in a window: many small writes become one message. */
  #schedule(follower: Follower): void {
    if (follower.timer !== undefined) return
    const delay = Math.max(0, follower.flushedAt + OUTPUT_EVENT_MS - performance.now())
    follower.timer = setTimeout(() => {
      follower.timer = undefined
      follower.flushedAt = performance.now()
      this.#flush(follower)
    }, delay)
  }

  /** Sends from disk, never from memory of its own: a slow reader costs `SHIM_READER_BYTES_MAX`, whatever it misses. */
  #flush(follower: Follower): void {
    const { socket, rate } = follower
    const total = this.#output.total
    if (rate !== undefined && total - follower.sent > rate) skip(follower, total - rate)
    while (follower.sent < total && socket.writableLength < SHIM_READER_BYTES_MAX) {
      const slice = this.#output.read(follower.sent, SLICE_BYTES)
      if (slice === undefined || slice.offset > follower.sent) skip(follower, slice?.offset ?? total)
      if (slice === undefined) return
      socket.write(`{"o":${slice.offset},"d":"${slice.data.toString('base64')}"}\n`)
      follower.sent = slice.offset + slice.data.length
    }
  }
}

function skip(follower: Follower, to: number): void {
  follower.socket.write(`{"gap":[${follower.sent},${to}]}\n`)
  follower.sent = to
}

const STOP_REASONS: ReadonlySet<unknown> = new Set<StopReason>([
  'cancelled',
  'timed-out',
  'stalled',
  'memory',
  'shutdown',
])

function isStopReason(value: unknown): value is StopReason {
  return STOP_REASONS.has(value)
}
