/**
 * One command under a shim, seen from the node: start it, follow it, stop it, find it again after a restart of the node.
 *
 * The truth is on disk (`exit.json`, output files); the socket only wakes this side up and carries output while it is fresh. So a lost
 * connection loses nothing, and a node that was killed continues where its log ends.
 */
import { unlinkSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { OrchError } from '../core/error.ts'
import type { AttemptId, DurationMs } from '../core/id.ts'
import {
  BACKSTOP_MS,
  KILL_MS_MAX,
  OUTPUT_HEAD_BYTES,
  OUTPUT_TAIL_BYTES,
  SHIM_START_MS_MAX,
  TERM_GRACE_MS,
} from '../core/limit.ts'
import type { StopReason } from './executor.ts'
import { launch, socketPath, writeStart } from './launch.ts'
import { outputBytes, readOutput } from './output.ts'
import {
  BEGIN_FILE,
  type BeginRecord,
  EXIT_FILE,
  type ExitRecord,
  RECORD_VERSION,
  readRecord,
  SHIM_FILE,
  type ShimRecord,
  START_FILE,
  type StartRecord,
  writeRecordOnce,
} from './record.ts'
import { processMark, type Quarry, signalAll, sweep } from './session.ts'

export interface ProcessSpec {
  readonly id: AttemptId
  /** Exists; holds everything that is written about the attempt. */
  readonly dir: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  /** The whole environment; `ORCH_ATTEMPT` is added. */
  readonly env: Readonly<Record<string, string>>
  /** Of the task, 0 = none. The core's to watch; this side only arms the backstop. */
  readonly timeoutMs: DurationMs
  /** Span after which the shim ends the attempt without its node; default `timeoutMs + BACKSTOP_MS`. */
  readonly backstopMs?: DurationMs
  readonly memoryBytes?: number
  /** Output kept on disk. Defaults: `OUTPUT_HEAD_BYTES`, `OUTPUT_TAIL_BYTES`. */
  readonly headBytes?: number
  readonly tailBytes?: number
}

/** Who reads the output. Calls come in order of offset, without overlap; not after `ended` resolved. */
export interface OutputReader {
  /** First byte wanted; default 0. */
  readonly from?: number
  /** Bytes per `OUTPUT_EVENT_MS` at most, the latest win, the rest arrives as a gap. Absent = every byte that is kept. */
  readonly rate?: number
  output(chunk: Buffer, offset: number): void
  /** These bytes do not come: dropped by the caps of the disk, or by `rate`. */
  gap(from: number, to: number): void
}

/** `lost`: the shim is gone and left no record; everything that carried the attempt's id was ended. */
export type ProcessEnd = ExitRecord & { readonly lost?: true }

export interface ProcessAttempt {
  /** The command; absent when it never ran. */
  readonly pid?: number
  readonly shimPid?: number
  stop(reason: StopReason, graceMs: DurationMs): void
  readonly ended: Promise<ProcessEnd>
}

const RECONNECT_MS_MAX = 1_000
/** Longest message of a shim: 64 KiB of output in base64, or the record of the end. */
const FRAME_CHARS_MAX = 256 * 1024

/**
 * Starts the command and waits until it runs.
 *
 * @throws `ORCH_WRONG_STATE` when the directory was used before, `ORCH_SHIM`, `ORCH_DISK_FULL`
 */
export async function startProcess(spec: ProcessSpec, reader: OutputReader): Promise<ProcessAttempt> {
  const record: StartRecord = {
    v: RECORD_VERSION,
    id: spec.id,
    command: spec.command,
    args: spec.args,
    cwd: spec.cwd,
    env: spec.env,
    backstopMs: spec.backstopMs ?? (spec.timeoutMs === 0 ? 0 : spec.timeoutMs + BACKSTOP_MS),
    ...(spec.memoryBytes === undefined ? {} : { memoryBytes: spec.memoryBytes }),
    headBytes: spec.headBytes ?? OUTPUT_HEAD_BYTES,
    tailBytes: spec.tailBytes ?? OUTPUT_TAIL_BYTES,
    socket: socketPath(spec.dir),
  }
  if (!writeStart(spec.dir, record)) {
    throw new OrchError('ORCH_WRONG_STATE', `attempt ${spec.id} was started before`, {
      context: { dir: spec.dir },
    })
  }
  await launch(spec.dir)
  return new FollowedProcess(spec.dir, record, reader)
}

/**
 * Finds what an earlier process of this node started in `dir`. `undefined`: it never started, and never will: a shim that comes late finds
 * itself ruled out.
 */
export async function adoptProcess(dir: string, reader: OutputReader): Promise<ProcessAttempt | undefined> {
  const record = readRecord<StartRecord>(dir, START_FILE)
  if (record === 'newer')
    throw new OrchError('ORCH_JOURNAL_NEWER', `${dir}/${START_FILE} was written by a newer version`)
  // without a readable attempt.json no shim can have gone further than reading it
  if (record === undefined || record === 'unreadable') return undefined
  if (writeRecordOnce(dir, BEGIN_FILE, { v: RECORD_VERSION, never: true })) return undefined
  const begin = readRecord<BeginRecord & { v: number }>(dir, BEGIN_FILE)
  if (typeof begin === 'object' && 'never' in begin) return undefined
  if (typeof begin === 'object') await settle(dir, begin)
  return new FollowedProcess(dir, record, reader)
}

/** A shim that has begun a moment ago has not told its child yet. */
async function settle(dir: string, begin: { pid: number; mark: string }): Promise<void> {
  const until = performance.now() + SHIM_START_MS_MAX
  while (performance.now() < until && processMark(begin.pid) === begin.mark) {
    if (readRecord(dir, SHIM_FILE) !== undefined || readRecord(dir, EXIT_FILE) !== undefined) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

class FollowedProcess implements ProcessAttempt {
  readonly pid?: number
  readonly shimPid?: number
  readonly ended: Promise<ProcessEnd>
  readonly #dir: string
  readonly #start: StartRecord
  readonly #reader: OutputReader
  readonly #shim: ShimRecord | undefined
  #received: number
  #socket: Socket | undefined
  #stop: { reason: StopReason; at: number } | undefined
  #stopTimer: NodeJS.Timeout | undefined

  constructor(dir: string, start: StartRecord, reader: OutputReader) {
    this.#dir = dir
    this.#start = start
    this.#reader = reader
    this.#received = reader.from ?? 0
    const shim = readRecord<ShimRecord>(dir, SHIM_FILE)
    this.#shim = typeof shim === 'object' ? shim : undefined
    if (this.#shim) {
      this.pid = this.#shim.childPid
      this.shimPid = this.#shim.pid
    }
    this.ended = this.#follow()
  }

  stop(reason: StopReason, graceMs: DurationMs): void {
    const at = performance.now() + graceMs
    if (this.#stop && at >= this.#stop.at) return
    this.#stop = { reason: this.#stop?.reason ?? reason, at }
    this.#socket?.write(this.#stopRequest())
    // a shim that does not answer (stopped by a signal, out of memory) is ended like the rest
    clearTimeout(this.#stopTimer)
    this.#stopTimer = setTimeout(() => this.#killShim(), graceMs + 2 * KILL_MS_MAX)
  }

  #stopRequest(): string {
    const { reason, at } = this.#stop!
    return `${JSON.stringify({ stop: reason, graceMs: Math.max(0, Math.round(at - performance.now())) })}\n`
  }

  #isShimAlive(): boolean {
    return this.#shim !== undefined && processMark(this.#shim.pid) === this.#shim.mark
  }

  #killShim(): void {
    if (this.#shim && this.#isShimAlive()) signalAll([this.#shim.pid], 'SIGKILL')
    this.#socket?.destroy()
  }

  async #follow(): Promise<ProcessEnd> {
    await Promise.resolve() // nothing is told before the caller holds this attempt
    let end: ProcessEnd | undefined
    for (let delay = 10; ; delay = Math.min(delay * 2, RECONNECT_MS_MAX)) {
      end = readEnd(this.#dir)
      if (end) break
      if (!this.#isShimAlive()) {
        // it may have ended between the two looks
        end = readEnd(this.#dir) ?? (await this.#lose())
        break
      }
      const { told, connected } = await this.#connect()
      if (told) {
        end = told
        break
      }
      if (connected) delay = 10
      await new Promise((resolve) => setTimeout(resolve, delay))
    }
    clearTimeout(this.#stopTimer)
    this.#catchUp(end.outputBytes)
    return end
  }

  /** One connection, from its start to its end. */
  #connect(): Promise<{ told?: ProcessEnd; connected: boolean }> {
    return new Promise((resolve) => {
      const socket = createConnection(this.#start.socket)
      let told: ProcessEnd | undefined
      let connected = false
      let rest = ''
      socket.setEncoding('latin1')
      socket.on('connect', () => {
        connected = true
        this.#socket = socket
        const { rate } = this.#reader
        socket.write(
          `${JSON.stringify({ follow: this.#received, ...(rate === undefined ? {} : { rate }) })}\n`,
        )
        if (this.#stop) socket.write(this.#stopRequest())
      })
      socket.on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop()!
        try {
          for (const line of lines) told = this.#take(line) ?? told
          if (rest.length > FRAME_CHARS_MAX) socket.destroy()
        } catch {
          socket.destroy() // not a shim's words: whoever listens there, the files tell the truth
        }
      })
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#socket = undefined
        resolve(told === undefined ? { connected } : { told, connected })
      })
    })
  }

  #take(line: string): ExitRecord | undefined {
    const frame = JSON.parse(line) as { o?: unknown; d?: unknown; gap?: [unknown, unknown]; end?: ExitRecord }
    if (frame.end && Number.isSafeInteger(frame.end.outputBytes)) return frame.end
    if (frame.gap) this.#gapTo(count(frame.gap[1]))
    else this.#deliver(Buffer.from(String(frame.d), 'base64'), count(frame.o))
    return undefined
  }

  #deliver(data: Buffer, offset: number): void {
    const fresh = offset < this.#received ? data.subarray(this.#received - offset) : data
    if (offset > this.#received) this.#gapTo(offset)
    if (fresh.length === 0) return
    const at = this.#received
    this.#received += fresh.length
    this.#reader.output(fresh, at)
  }

  #gapTo(to: number): void {
    if (to <= this.#received) return
    const from = this.#received
    this.#received = to
    this.#reader.gap(from, to)
  }

  /** What the socket did not bring is read from disk. */
  #catchUp(total: number): void {
    const { rate } = this.#reader
    if (rate !== undefined) this.#gapTo(total - rate)
    try {
      for (const slice of readOutput(this.#dir, this.#received)) this.#deliver(slice.data, slice.offset)
    } catch {
      // unreadable or removed: told as a gap
    }
    this.#gapTo(total)
  }

  /** Shim killed: its command and all that carries the id is ended, so that nothing runs unwatched. */
  async #lose(): Promise<ProcessEnd> {
    const quarry: Quarry = {
      id: this.#start.id,
      ...(this.#shim ? { leader: { pid: this.#shim.childPid, mark: this.#shim.childMark } } : {}),
    }
    const graceMs = this.#stop ? Math.max(0, this.#stop.at - performance.now()) : TERM_GRACE_MS
    const { found, stuck } = await sweep(quarry, graceMs, KILL_MS_MAX)
    try {
      unlinkSync(this.#start.socket)
    } catch {
      // never made
    }
    const now = Date.now()
    return {
      v: RECORD_VERSION,
      exit: null,
      lost: true,
      ...(this.#stop ? { stopped: this.#stop.reason } : {}),
      startedAt: this.#shim?.startedAt ?? now,
      endedAt: now,
      outputBytes: outputBytes(this.#dir),
      ...(found === 0 ? {} : { leftovers: found }),
      ...(stuck === 0 ? {} : { stuck }),
    }
  }
}

function count(value: unknown): number {
  if (!Number.isSafeInteger(value)) throw new TypeError('not a count')
  return value as number
}

function readEnd(dir: string): ExitRecord | undefined {
  try {
    const record = readRecord<ExitRecord>(dir, EXIT_FILE)
    return typeof record === 'object' ? record : undefined
  } catch {
    return undefined // the directory was taken away: as if there was no record
  }
}
