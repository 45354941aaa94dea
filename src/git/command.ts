/**
 * Runs git: argv only, a fixed environment, a deadline and an output bound on every call. Nothing of the person's configuration, hooks,
 * attributes or credential helpers takes part, and nothing asks on a terminal (rules GT1, GT2).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { devNull } from 'node:os'
import { OrchError } from '../core/error.ts'
import type { DurationMs } from '../core/id.ts'
import { GIT_MS_MAX, GIT_OUTPUT_BYTES_MAX } from '../core/limit.ts'

export interface GitCall {
  /** Working directory; default: the git directory. */
  readonly cwd?: string
  readonly gitDir?: string
  readonly workTree?: string
  readonly indexFile?: string
  /** Where objects are written, and where else they are read: a quarantine. */
  readonly objectDir?: string
  readonly alternates?: readonly string[]
  /** Version of the wire protocol that a server may speak; default what git takes. */
  readonly protocol?: 2
  /** Further `-c key=value`. */
  readonly config?: readonly string[]
  readonly input?: string | Buffer
  readonly timeoutMs?: DurationMs
  readonly bytesMax?: number
  readonly signal?: AbortSignal
  /** Exit codes that are answers; default only 0. Anything else is ORCH_GIT_FAILED. */
  readonly exits?: readonly number[]
}

export interface GitAnswer {
  readonly exit: number
  readonly stdout: Buffer
  /** First 16 KiB. */
  readonly stderr: string
}

const STDERR_BYTES = 16 * 1024

const SAFE = [
  `core.hooksPath=${devNull}`,
  `core.attributesFile=${devNull}`,
  `core.excludesFile=${devNull}`,
  'core.fsmonitor=false',
  'core.untrackedCache=false',
  'core.quotePath=false',
  'core.pager=cat',
  'protocol.allow=never',
  'gc.auto=0',
  'maintenance.auto=false',
  'submodule.recurse=false',
  'commit.gpgSign=false',
].flatMap((pair) => ['-c', pair])

/** Variables git itself needs from ours: where programs and temporary files are. */
const INHERITED = ['PATH', 'TMPDIR', 'TEMP', 'TMP', 'SystemRoot', 'PATHEXT']

function environment(call: GitCall): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_SYSTEM: devNull,
    GIT_CONFIG_GLOBAL: devNull,
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_NO_LAZY_FETCH: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_ASKPASS: devNull,
    SSH_ASKPASS: devNull,
    GIT_ADVICE: '0',
    // For reflogs of the person's repository; commits are written with their own people.
    GIT_COMMITTER_NAME: 'orch-node',
    GIT_COMMITTER_EMAIL: 'orch-node@localhost',
    LC_ALL: 'C',
  }
  for (const name of INHERITED) if (process.env[name] !== undefined) env[name] = process.env[name]
  if (call.gitDir !== undefined) env.GIT_DIR = call.gitDir
  if (call.workTree !== undefined) env.GIT_WORK_TREE = call.workTree
  if (call.indexFile !== undefined) env.GIT_INDEX_FILE = call.indexFile
  if (call.protocol !== undefined) env.GIT_PROTOCOL = `version=${call.protocol}`
  if (call.objectDir !== undefined) env.GIT_OBJECT_DIRECTORY = call.objectDir
  if (call.alternates) env.GIT_ALTERNATE_OBJECT_DIRECTORIES = call.alternates.map(quoteAlternate).join(':')
  return env
}

/** A path with the separator in it must be quoted as git quotes C strings. */
function quoteAlternate(path: string): string {
  if (!/[:"\n]/.test(path)) return path
  return `"${path.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`
}

/** Starts git with pipes. The caller must listen to `error` and `close`. */
export function startGit(args: readonly string[], call: GitCall): ChildProcess {
  const config = (call.config ?? []).flatMap((pair) => ['-c', pair])
  return spawn('git', [...SAFE, ...config, ...args], {
    cwd: call.cwd ?? call.gitDir,
    env: environment(call),
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
    // Out of the terminal's group: Ctrl-C is for us, and we let running calls finish.
    detached: process.platform !== 'win32',
  })
}

interface Ended {
  readonly exit: number | null
  readonly why?: 'timeout' | 'output' | 'aborted'
  readonly error?: NodeJS.ErrnoException
  readonly stdout: Buffer
  readonly stderr: string
}

/** Collects a child until it has ended; kills it at its deadline, its output bound, or on abort. */
function ended(child: ChildProcess, call: GitCall, wantOutput: boolean): Promise<Ended> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const complaints: Buffer[] = []
    const bytesMax = call.bytesMax ?? GIT_OUTPUT_BYTES_MAX
    let bytes = 0
    let complained = 0
    let why: Ended['why']
    let error: NodeJS.ErrnoException | undefined
    const stop = (reason: NonNullable<Ended['why']>): void => {
      why ??= reason
      child.kill('SIGKILL')
    }
    const onAbort = (): void => stop('aborted')
    const timer = setTimeout(() => stop('timeout'), call.timeoutMs ?? GIT_MS_MAX)
    if (call.signal?.aborted) onAbort()
    else call.signal?.addEventListener('abort', onAbort, { once: true })
    if (wantOutput) {
      child.stdout?.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > bytesMax) stop('output')
        else chunks.push(chunk)
      })
    }
    child.stderr?.on('data', (chunk: Buffer) => {
      if (complained < STDERR_BYTES) complaints.push(chunk.subarray(0, STDERR_BYTES - complained))
      complained += chunk.length
    })
    // The child may end before it has read its input; its exit code tells more than EPIPE.
    child.stdin?.on('error', () => {})
    child.on('error', (fault) => {
      error ??= fault as NodeJS.ErrnoException
      if (child.pid === undefined) finish(null)
    })
    child.on('close', (exit) => finish(exit))
    function finish(exit: number | null): void {
      clearTimeout(timer)
      call.signal?.removeEventListener('abort', onAbort)
      const stderr = Buffer.concat(complaints).toString('utf8')
      resolve({ exit, stdout: Buffer.concat(chunks), stderr, ...(why && { why }), ...(error && { error }) })
    }
  })
}

/** Turns the end of a call into its answer, or throws. */
function judge(args: readonly string[], call: GitCall, end: Ended): GitAnswer {
  const context = { args: args.slice(0, 12), cwd: call.cwd ?? call.gitDir }
  if (end.error && end.exit === null) {
    if (end.error.code === 'ENOENT') {
      throw new OrchError(
        'ORCH_GIT_MISSING',
        'cannot start git: it is not on PATH, or the directory is gone',
        {
          context,
          cause: end.error,
        },
      )
    }
    throw new OrchError('ORCH_GIT_FAILED', `cannot start git: ${end.error.message}`, {
      context,
      cause: end.error,
    })
  }
  if (end.why === 'aborted')
    throw new OrchError('ORCH_CANCELLED', `git ${args[0]} was cancelled`, { context })
  if (end.why === 'timeout') {
    const limit = call.timeoutMs ?? GIT_MS_MAX
    throw new OrchError('ORCH_GIT_FAILED', `git ${args[0]} did not end within ${limit} ms`, { context })
  }
  if (end.why === 'output') {
    throw new OrchError('ORCH_GIT_FAILED', `git ${args[0]} printed more than its bound`, { context })
  }
  if (end.exit === null || !(call.exits ?? [0]).includes(end.exit)) {
    if (/No space left on device|Disk quota exceeded/.test(end.stderr)) {
      throw new OrchError('ORCH_DISK_FULL', `git ${args[0]}: no space left on device`, { context })
    }
    const words = end.stderr.trim().split('\n').slice(-5).join(' · ') || `exit ${end.exit}`
    throw new OrchError('ORCH_GIT_FAILED', `git ${args[0]} failed: ${words}`, {
      context: { ...context, exit: end.exit, stderr: end.stderr },
    })
  }
  return { exit: end.exit, stdout: end.stdout, stderr: end.stderr }
}

export async function runGit(args: readonly string[], call: GitCall): Promise<GitAnswer> {
  const child = startGit(args, call)
  const end = ended(child, call, true)
  child.stdin?.end(call.input ?? '')
  return judge(args, call, await end)
}

/** First line of the output, trimmed. */
export async function askGit(args: readonly string[], call: GitCall): Promise<string> {
  const answer = await runGit(args, call)
  const text = answer.stdout.toString('utf8')
  const end = text.indexOf('\n')
  return (end < 0 ? text : text.slice(0, end)).trim()
}

/** Feeds git from a stream. A fault of the stream is told before that of git, which it caused. `onStart` is told the process. */
export async function feedGit(
  args: readonly string[],
  call: GitCall,
  source: AsyncIterable<Uint8Array>,
  onStart?: (child: ChildProcess) => void,
): Promise<GitAnswer> {
  const child = startGit(args, call)
  onStart?.(child)
  const end = ended(child, call, true)
  let fault: { readonly error: unknown } | undefined
  try {
    for await (const piece of source) {
      // Git has ended already: its words tell why.
      if (!child.stdin?.writable) break
      if (!child.stdin.write(piece)) await drained(child)
    }
    child.stdin?.end()
  } catch (error) {
    fault = { error }
    child.kill('SIGKILL')
  }
  const answer = await end
  if (fault) throw fault.error
  return judge(args, call, answer)
}

/** Resolves when more may be written to a process, or when it takes nothing any more. */
export function drained(child: ChildProcess): Promise<void> {
  const { stdin } = child
  if (!stdin?.writable) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      stdin.off('drain', done)
      stdin.off('close', done)
      resolve()
    }
    stdin.on('drain', done)
    stdin.on('close', done)
  })
}

export interface Piped {
  readonly args: readonly string[]
  readonly call: GitCall
}

/** `source | target`. The source's failure is told first: it is the cause of the other. */
export async function pipeGit(source: Piped, target: Piped): Promise<GitAnswer> {
  const from = startGit(source.args, source.call)
  const to = startGit(target.args, target.call)
  const fromEnd = ended(from, source.call, false)
  const toEnd = ended(to, target.call, true)
  if (from.stdout && to.stdin) from.stdout.pipe(to.stdin)
  from.on('error', () => to.stdin?.end())
  // When the reader ends first the writer must not wait for it for ever.
  to.on('close', () => from.stdout?.destroy())
  from.stdin?.end(source.call.input ?? '')
  const [first, second] = await Promise.all([fromEnd, toEnd])
  const targetFailed = second.exit !== 0 && first.exit === null && first.why === undefined && !first.error
  if (!targetFailed) judge(source.args, source.call, first)
  return judge(target.args, target.call, second)
}
