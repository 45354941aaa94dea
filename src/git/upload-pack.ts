/** Serves objects of one of our repositories to a peer: `git upload-pack` behind a stream. Members may read every object of it, so any commit may be asked for. */
import type { ChildProcess } from 'node:child_process'
import { isOrchError, OrchError } from '../core/error.ts'
import type { DurationMs } from '../core/id.ts'
import {
  GIT_ASK_BYTES_MAX,
  GIT_IMPORT_MS_MAX,
  GIT_SILENCE_MS_MAX,
  HISTORY_BYTES_MAX,
  PEER_ANSWER_MS_MAX,
} from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { drained, startGit } from './command.ts'
import { type Duplex, deadline, endedBy, readWithin, within } from './duplex.ts'

export interface ServeOptions {
  readonly signal?: AbortSignal
  /** Of the whole, ms; default GIT_IMPORT_MS_MAX. */
  readonly timeoutMs?: DurationMs
  /** Of the peer while it has something to say or to take, ms; default GIT_SILENCE_MS_MAX. */
  readonly silenceMs?: DurationMs
  /** Sent at most; default HISTORY_BYTES_MAX. */
  readonly bytesMax?: number
}

export interface Served {
  /** Sent. */
  readonly bytes: number
  /** Exit code of git, which has told the peer why when it is not 0; `null` when a signal ended it. */
  readonly exit: number | null
}

const CONFIG = [
  'uploadpack.allowAnySHA1InWant=true',
  'uploadpack.allowFilter=false',
  'uploadpack.keepAlive=5',
  // A peer must not be able to take every core.
  'pack.threads=1',
]

/**
 * Answers one peer until it has what it asked for. The stream is ended, or aborted on a fault.
 *
 * @throws ORCH_PEER_GONE the peer broke off, was silent, or a deadline passed; ORCH_GIT_MISSING; ORCH_GIT_HOSTILE it asked with more than GIT_ASK_BYTES_MAX
 */
export async function serveUploadPack(
  bare: BareRepository,
  duplex: Duplex,
  options: ServeOptions = {},
): Promise<Served> {
  const silenceMs = options.silenceMs ?? GIT_SILENCE_MS_MAX
  const time = deadline(options.timeoutMs ?? GIT_IMPORT_MS_MAX, options.signal)
  const { signal } = time
  await bare.objects.flush()
  const child = startGit(['upload-pack', '--strict', bare.dir], {
    gitDir: bare.dir,
    protocol: 2,
    config: CONFIG,
  })
  const onAbort = (): void => killGroup(child)
  signal.addEventListener('abort', onAbort, { once: true })
  // The `--timeout` of git does not count in version 2. Either side may be silent for long, but not both.
  const silence = setTimeout(
    () => time.end(new OrchError('ORCH_PEER_GONE', `a peer was silent for ${silenceMs} ms`)),
    silenceMs,
  )
  const heard = (): void => void silence.refresh()
  const fail = (error: unknown): void =>
    time.end(
      isOrchError(error) ? error : new OrchError('ORCH_PEER_GONE', `a peer broke off: ${String(error)}`),
    )
  const asking = ask(child, duplex, signal, heard).catch(fail)
  const bytesMax = options.bytesMax ?? HISTORY_BYTES_MAX
  const answering = answer(child, duplex, signal, bytesMax, heard).catch(fail)
  try {
    const [exit, bytes] = await Promise.all([exitOf(child), answering])
    if (signal.aborted) throw endedBy(signal)
    await within(duplex.end(), { silenceMs, signal })
    await within(asking, { silenceMs: Math.min(silenceMs, PEER_ANSWER_MS_MAX), signal })
    return { bytes: bytes ?? 0, exit }
  } catch (error) {
    duplex.abort(error instanceof Error ? error.message : 'failed')
    throw error
  } finally {
    clearTimeout(silence)
    signal.removeEventListener('abort', onAbort)
    time.clear()
    killGroup(child)
  }
}

/** From the peer to git. */
async function ask(
  child: ChildProcess,
  duplex: Duplex,
  signal: AbortSignal,
  heard: () => void,
): Promise<void> {
  // It is silent for as long as it takes the answer in.
  const bounds = { silenceMs: Number.POSITIVE_INFINITY, bytesMax: GIT_ASK_BYTES_MAX, signal }
  for await (const piece of readWithin(duplex, bounds)) {
    heard()
    if (child.stdin?.writable && !child.stdin.write(piece)) await drained(child)
  }
  child.stdin?.end()
}

/** From git to the peer, as fast as the peer takes it. */
async function answer(
  child: ChildProcess,
  duplex: Duplex,
  signal: AbortSignal,
  bytesMax: number,
  heard: () => void,
): Promise<number> {
  let bytes = 0
  for await (const piece of child.stdout as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > bytesMax)
      throw new OrchError('ORCH_PEER_GONE', `a peer asked for more than ${bytesMax} bytes`)
    await within(duplex.write(piece), { silenceMs: Number.POSITIVE_INFINITY, signal })
    heard()
  }
  return bytes
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    // Read so that git never waits; what matters of it goes to the peer by the protocol.
    child.stderr?.resume()
    child.stdin?.on('error', () => {})
    child.on('error', (cause) =>
      reject(new OrchError('ORCH_GIT_MISSING', `cannot start git: ${cause.message}`, { cause })),
    )
    child.on('close', (exit) => resolve(exit))
  })
}

/** With the `pack-objects` that it started. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    if (process.platform === 'win32') child.kill('SIGKILL')
    else process.kill(-child.pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
