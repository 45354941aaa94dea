/** Runs a gate (`check`, `verify`) on a candidate, in a checkout that is kept from gate to gate. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { OrchError } from '../core/error.ts'
import type { DurationMs, Oid } from '../core/id.ts'
import { GATE_MS_MAX, OUTPUT_EXCERPT_BYTES, TERM_GRACE_MS } from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { checkOut, copyIndex, isRealDirectory, privateIndex, writeGitDir } from './clone-dir.ts'
import { agentPerson } from './signature.ts'
import { removeTree } from './workspace.ts'

export interface GateRequest {
  /** Ours alone; one gate at a time. Made when it is not there. */
  readonly dir: string
  readonly commit: Oid
  readonly command: string
  /** The whole environment of the command. */
  readonly env: Readonly<Record<string, string>>
  readonly timeoutMs?: DurationMs
  readonly graceMs?: DurationMs
  readonly signal?: AbortSignal
  /** Also removes ignored files (installed packages, build results) of earlier gates. Default: they stay, because a gate is then seconds faster. */
  readonly fresh?: boolean
  readonly onOutput?: (chunk: Buffer) => void
}

export interface GateResult {
  readonly ok: boolean
  /** `null` when a signal ended it. */
  readonly exit: number | null
  readonly stopped?: 'timed-out' | 'cancelled'
  /** Last OUTPUT_EXCERPT_BYTES of what it printed, both streams as they came. */
  readonly output: string
  readonly outputBytes: number
  readonly ms: DurationMs
  /** Time to make the files those of the candidate. */
  readonly prepareMs: DurationMs
}

/** Pipes that a daemon of the gate holds open are not waited for longer than this after its end. */
const DRAIN_MS = 1_000

/** @throws ORCH_GIT_FAILED and the like for faults of this node; a gate that fails is a value */
export async function runGate(bare: BareRepository, request: GateRequest): Promise<GateResult> {
  const start = performance.now()
  await prepare(bare, request)
  const prepareMs = performance.now() - start
  const begun = performance.now()
  const end = await runCommand(request)
  return { ...end, ok: end.exit === 0 && end.stopped === undefined, ms: performance.now() - begun, prepareMs }
}

/** Tracked files become the candidate's, untracked ones go, ignored ones stay. `.git` is made anew: gates may spoil it. */
async function prepare(bare: BareRepository, request: GateRequest): Promise<void> {
  const { dir, commit } = request
  const index = privateIndex(bare, dir)
  try {
    if (!(await isRealDirectory(dir)) || !(await isFile(index)))
      throw new OrchError('ORCH_GIT_FAILED', 'no checkout yet')
    await checkOut(bare, dir, commit, index)
    // After the checkout: an earlier gate may have changed what is ignored.
    const args = ['clean', '-ffdq', ...(request.fresh ? ['-x'] : []), '--', '.']
    await bare.run(args, { cwd: dir, workTree: dir, indexFile: index, config: ['core.bare=false'] })
  } catch (error) {
    if (!(error instanceof OrchError) || error.code !== 'ORCH_GIT_FAILED') throw error
    // First time, or spoilt beyond repair (a directory in the way, no permission): from nothing.
    await removeTree(dir)
    await removeTree(index)
    await mkdir(dir, { recursive: true })
    await checkOut(bare, dir, commit, index)
  }
  await writeGitDir(bare, dir, commit, { identity: agentPerson('gate'), detached: true })
  await copyIndex(index, join(dir, '.git', 'index'))
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found?.isFile() ?? false
}

type GateProcess = ChildProcessByStdio<null, Readable, Readable>
type CommandEnd = Pick<GateResult, 'exit' | 'stopped' | 'output' | 'outputBytes'>

function runCommand(request: GateRequest): Promise<CommandEnd> {
  const { signal } = request
  const tail = new Tail(OUTPUT_EXCERPT_BYTES)
  if (signal?.aborted)
    return Promise.resolve({ exit: null, stopped: 'cancelled', output: '', outputBytes: 0 })
  return new Promise((resolve, reject) => {
    const child = start(request, reject)
    if (!child) return
    const timers: NodeJS.Timeout[] = []
    let stopped: CommandEnd['stopped']
    let exit: number | null = null
    const stop = (why: NonNullable<CommandEnd['stopped']>): void => {
      if (stopped) return
      stopped = why
      signalGroup(child, 'SIGTERM')
      timers.push(setTimeout(() => signalGroup(child, 'SIGKILL'), request.graceMs ?? TERM_GRACE_MS))
    }
    const onAbort = (): void => stop('cancelled')
    signal?.addEventListener('abort', onAbort, { once: true })
    timers.push(setTimeout(() => stop('timed-out'), request.timeoutMs ?? GATE_MS_MAX))
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        tail.push(chunk)
        request.onOutput?.(chunk)
      })
    }
    const settle = (): void => {
      for (const timer of timers) clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    child.on('error', (cause) => {
      settle()
      reject(new OrchError('ORCH_COMMAND_MISSING', `cannot start the gate: ${cause.message}`, { cause }))
    })
    child.on('exit', (code) => {
      exit = code
      // What it left running in the background would use the checkout of the next gate.
      signalGroup(child, 'SIGKILL')
      timers.push(
        setTimeout(() => {
          child.stdout.destroy()
          child.stderr.destroy()
        }, DRAIN_MS),
      )
    })
    child.on('close', () => {
      settle()
      resolve({ exit, ...(stopped && { stopped }), output: tail.text(), outputBytes: tail.bytes })
    })
  })
}

/** In a session of its own, so that all it starts can be ended with it. */
function start(request: GateRequest, reject: (error: OrchError) => void): GateProcess | undefined {
  try {
    return spawn('sh', ['-c', request.command], {
      cwd: request.dir,
      env: { ...request.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
  } catch (cause) {
    reject(
      new OrchError('ORCH_COMMAND_MISSING', `cannot start the gate: ${(cause as Error).message}`, { cause }),
    )
    return undefined
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The last bytes of a stream of any length. */
class Tail {
  bytes = 0
  readonly #max: number
  #chunks: Buffer[] = []
  #kept = 0

  constructor(max: number) {
    this.#max = max
  }

  push(chunk: Buffer): void {
    this.bytes += chunk.length
    this.#chunks.push(chunk)
    this.#kept += chunk.length
    while (this.#kept - (this.#chunks[0]?.length ?? 0) >= this.#max)
      this.#kept -= this.#chunks.shift()!.length
  }

  /** Invalid UTF-8 replaced; a character cut at the start left out. */
  text(): string {
    const kept = Buffer.concat(this.#chunks).subarray(-this.#max)
    return this.bytes > kept.length ? kept.toString('utf8').replace(/^\uFFFD+/, '') : kept.toString('utf8')
  }
}
