/**
 * The shim: a small process between the node and one command, in a session of its own. It owns the pipe of the command, keeps the output
 * within its caps, ends what must be ended and records how it ended, whether or not the node lives. See ATTEMPT.md for files and protocol.
 *
 *     waiting for its directory (fd 3) → begun → running → (stopping) → ended: exit.json
 *
 * It loads as little as possible: every attempt pays for its start.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { createServer, Socket } from 'node:net'
import { KILL_MS_MAX, LEFTOVER_GRACE_MS, MEMORY_SAMPLE_MS, TERM_GRACE_MS } from '../core/limit.ts'
import { Followers } from './follower.ts'
import { OutputWriter } from './output.ts'
import {
  BEGIN_FILE,
  EXIT_FILE,
  type ExitRecord,
  RECORD_VERSION,
  readRecord,
  SHIM_FILE,
  START_FILE,
  type StartRecord,
  type StopReason,
  writeRecord,
  writeRecordOnce,
} from './record.ts'
import { descendants, findProcesses, memoryBytes, processMark, type Quarry, signalAll } from './session.ts'

const PIPE_FD = 3
/** Longest span a timer takes. */
const TIMER_MS_MAX = 2 ** 31 - 1

const dir = process.argv[2] ?? readDirectory()
process.on('uncaughtException', (error) => {
  // the node finds the command without its shim, ends it and counts the attempt as lost
  log(error.stack ?? String(error))
  process.exit(1)
})
const record = readRecord<StartRecord>(dir, START_FILE)
if (record === undefined || typeof record === 'string')
  throw new Error(`${START_FILE} is ${record ?? 'missing'}`)
const start: StartRecord = record
const own = { v: RECORD_VERSION, pid: process.pid, mark: processMark(process.pid) ?? '' }
// an adopt came first and ruled this start out, or a second shim was started: nothing may run
if (!writeRecordOnce(dir, BEGIN_FILE, own)) process.exit(0)

const output = new OutputWriter(dir, start.headBytes, start.tailBytes)
const followers = new Followers(output, stop)
const startedAt = Date.now()
let child: ChildProcess | undefined
let quarry: Quarry = { id: start.id, except: process.pid }
let exited: { exit: number | null; signal: NodeJS.Signals | null; at: number } | undefined
let stopped: StopReason | undefined
let killAt = Number.POSITIVE_INFINITY
let killTimer: NodeJS.Timeout | undefined
let pipesOpen = 0
let memoryMax = 0
let told = false
let ended = false
let wake = (): void => {}

run()

/** Blocking on purpose: a spare shim that waits for work costs no processor time, and ends with its node. */
function readDirectory(): string {
  const buffer = Buffer.alloc(8192)
  let length = 0
  for (;;) {
    const n = readSync(PIPE_FD, buffer, length, buffer.length - length, null)
    if (n === 0) process.exit(0)
    length += n
    const end = buffer.indexOf(0x0a)
    if (end >= 0 && end < length) return buffer.toString('utf8', 0, end)
    if (length === buffer.length) process.exit(2)
  }
}

function log(line: string): void {
  try {
    appendFileSync(`${dir}/shim.log`, `${line}\n`, { mode: 0o600 })
  } catch {
    // nowhere left to tell
  }
}

function run(): void {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => stop('shutdown', TERM_GRACE_MS))
  process.on('SIGHUP', () => {})
  const spawnError = startChild()
  if (spawnError !== undefined) {
    finish({ ...base(), exit: null, spawnError })
    return
  }
  listen()
  if (start.backstopMs > 0)
    setTimeout(() => stop('timed-out', TERM_GRACE_MS), Math.min(start.backstopMs, TIMER_MS_MAX))
  setInterval(sampleMemory, MEMORY_SAMPLE_MS)
}

/**
 * Standard output and error are one FIFO, so that their order is the worker's, and a real pipe, so that `/dev/stderr` can be opened: what
 * Node makes are sockets. Without mkfifo(1) these are taken.
 */
function startChild(): string | undefined {
  if (!existsSync(start.cwd)) return `directory does not exist: ${start.cwd}`
  const fifo = openFifo()
  try {
    child = spawn(start.command, start.args, {
      cwd: start.cwd,
      env: { ...start.env, ORCH_ATTEMPT: start.id },
      stdio: fifo ? ['ignore', fifo.write, fifo.write] : ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
  } catch (error) {
    return String((error as Error).message)
  } finally {
    if (fifo) closeSync(fifo.write)
  }
  const pid = child.pid
  if (pid === undefined) {
    child.once('error', (error: NodeJS.ErrnoException) =>
      finish({ ...base(), exit: null, spawnError: tellSpawnError(error) }),
    )
    return undefined
  }
  child.on('error', () => {})
  child.once('exit', (exit, signal) => {
    exited = { exit, signal, at: Date.now() }
    void end()
  })
  const childMark = processMark(pid) ?? ''
  quarry = { id: start.id, leader: { pid, mark: childMark }, except: process.pid }
  for (const pipe of fifo
    ? [new Socket({ fd: fifo.read, readable: true, writable: false })]
    : [child.stdout!, child.stderr!]) {
    pipesOpen++
    pipe.on('data', (chunk: Buffer) => take(chunk))
    pipe.on('error', () => {})
    pipe.once('close', () => {
      pipesOpen--
      wake()
    })
  }
  return undefined
}

function openFifo(): { read: number; write: number } | undefined {
  const path = `${dir}/out`
  if (spawnSync('mkfifo', ['-m', '600', path], { stdio: 'ignore' }).status !== 0) return undefined
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const write = openSync(path, constants.O_WRONLY)
  unlinkSync(path)
  return { read, write }
}

function tellSpawnError(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return `command not found: ${start.command}`
  if (error.code === 'EACCES') return `no permission to run: ${start.command}`
  if (error.code === 'E2BIG') return 'arguments and environment are larger than the system takes'
  return `${start.command}: ${error.message}`
}

function listen(): void {
  if (child?.pid === undefined) return
  const server = createServer((socket) => followers.serve(socket))
  server.on('error', (error) => {
    // the attempt goes on without a socket: the node reads files, and ends it by signals to this process
    log(`socket: ${error.message}`)
    tellStarted()
  })
  process.umask(0o077)
  server.listen(start.socket, () => {
    chmodSync(start.socket, 0o600)
    tellStarted()
  })
}

function tellStarted(): void {
  if (ended) return
  const leader = quarry.leader!
  writeRecord(dir, SHIM_FILE, { ...own, childPid: leader.pid, childMark: leader.mark, startedAt })
  ready()
}

/** The node waits for this byte; should it be gone already, nobody minds. Once: the number of the closed pipe is given to another file. */
function ready(): void {
  if (told) return
  told = true
  try {
    writeSync(PIPE_FD, '\n')
    closeSync(PIPE_FD)
  } catch {
    // started by hand, or the node is gone
  }
}

function take(chunk: Buffer): void {
  output.append(chunk)
  followers.notify()
}

/** First reason wins, a shorter grace hurries. */
function stop(reason: StopReason, graceMs: number): void {
  if (ended) return
  const at = performance.now() + graceMs
  if (exited === undefined && stopped === undefined) {
    stopped = reason
    signalTree('SIGTERM')
  }
  if (at >= killAt) return
  killAt = at
  clearTimeout(killTimer)
  killTimer = setTimeout(() => {
    signalTree('SIGKILL')
    wake()
  }, graceMs)
}

function signalTree(signal: NodeJS.Signals): void {
  // the group first: one call that no fork can outrun. Only while its leader is ours and not reaped, so that its id is not another's.
  if (exited === undefined && child?.pid !== undefined) signalAll([-child.pid], signal)
  signalAll(findProcesses(quarry), signal)
}

function sampleMemory(): void {
  const pid = child?.pid
  if (pid === undefined || exited !== undefined) return
  const pids = start.memoryBytes === undefined ? descendants(pid) : findProcesses(quarry)
  const bytes = memoryBytes(pids)
  memoryMax = Math.max(memoryMax, bytes)
  if (start.memoryBytes !== undefined && bytes > start.memoryBytes) stop('memory', TERM_GRACE_MS)
}

/** The command has exited: what it left behind is ended, the pipe is read to its end, at most `LEFTOVER_GRACE_MS` long. */
async function end(): Promise<void> {
  const { exit, signal, at } = exited!
  const seen = new Set<number>()
  const since = performance.now()
  let stuck = 0
  let alive: number[] = []
  for (let round = 0; ; round++) {
    // once none is left none can come: whoever holds the pipe then is a stranger
    if (round === 0 || alive.length > 0) alive = findProcesses(quarry)
    const elapsed = performance.now() - since
    const held = pipesOpen > 0 && elapsed < LEFTOVER_GRACE_MS
    if (alive.length === 0 && !held) break
    const deadline = stopped === undefined ? Math.min(since + LEFTOVER_GRACE_MS, killAt) : killAt
    const killNow = performance.now() >= deadline
    if (performance.now() >= deadline + KILL_MS_MAX) {
      stuck = alive.length
      break
    }
    // round 0 only looks: the rest of a pipeline is often just about to exit by itself
    if (round > 0) {
      signalAll(killNow ? alive : alive.filter((pid) => !seen.has(pid)), killNow ? 'SIGKILL' : 'SIGTERM')
      for (const pid of alive) seen.add(pid)
    }
    await pause(Math.min(10 + round * 10, 100))
  }
  finish({
    ...base(),
    exit,
    ...(signal === null ? {} : { signal }),
    endedAt: at,
    ...(seen.size === 0 ? {} : { leftovers: seen.size }),
    ...(stuck === 0 ? {} : { stuck }),
  })
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    wake = () => {
      clearTimeout(timer)
      resolve()
    }
  })
}

function base(): Omit<ExitRecord, 'exit'> {
  return {
    v: RECORD_VERSION,
    ...(stopped === undefined ? {} : { stopped }),
    startedAt,
    endedAt: Date.now(),
    outputBytes: output.total,
    ...(memoryMax === 0 ? {} : { memoryBytesMax: memoryMax }),
  }
}

function finish(exit: ExitRecord): void {
  if (ended) return
  ended = true
  // first: once the record is there, nothing of the attempt is left anywhere else
  try {
    unlinkSync(start.socket)
  } catch {
    // never made
  }
  try {
    writeRecord(dir, EXIT_FILE, exit, true)
  } catch (error) {
    log(`${EXIT_FILE}: ${String(error)}`)
    output.dropTail()
    try {
      writeRecord(dir, EXIT_FILE, exit, true)
    } catch {
      // the node that listens is told by the socket; without one the attempt counts as lost, which is safe
    }
  }
  ready()
  followers.end(exit)
  const until = performance.now() + LEFTOVER_GRACE_MS
  const leave = (): void => {
    if (followers.size === 0 || performance.now() >= until) process.exit(0)
    setTimeout(leave, 10)
  }
  leave()
}
