/** Takes a peer's pack into a quarantine: counted, bounded in bytes, memory and time, and looked at by git's fsck while it is read. */
import type { ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { isOrchError, OrchError } from '../core/error.ts'
import type { DurationMs } from '../core/id.ts'
import { GIT_RECEIVE_LOOK_MS } from '../core/limit.ts'
import { feedGit, type GitCall } from './command.ts'

export interface PackLimits {
  readonly bytesMax: number
  readonly objectsMax: number
  readonly memoryBytesMax: number
  readonly timeoutMs: DurationMs
}

export interface PackIntake extends PackLimits {
  /** Old history may hold what git of its time let pass; new objects may not. */
  readonly isHistory: boolean
  readonly signal: AbortSignal
}

/** Signature, version and count of a pack. `gitformat-pack(5)`. */
const HEAD_BYTES = 12
/** Below this many objects they are stored one by one, so that thousands of results do not leave thousands of packs. */
const LOOSE_MAX = 2_000
/** Faults of old commits and tags that hurt nobody: dates, persons, padded modes. Names of files are never among them. */
const OLD_FAULTS = [
  'badDate',
  'badDateOverflow',
  'badEmail',
  'badName',
  'badTimezone',
  'missingEmail',
  'missingNameBeforeEmail',
  'missingSpaceBeforeDate',
  'missingSpaceBeforeEmail',
  'multipleAuthors',
  'missingTaggerEntry',
  'badTagName',
  'extraHeaderEntry',
  'zeroPaddedDate',
  'zeroPaddedFilemode',
]

/**
 * @returns how many objects the pack held
 * @throws ORCH_GIT_HOSTILE when git or a bound refuses it, ORCH_DISK_FULL, and what `pack` throws
 */
export async function intakePack(
  call: GitCall,
  pack: AsyncIterable<Uint8Array>,
  intake: PackIntake,
): Promise<number> {
  const { bytesMax, objectsMax } = intake
  let broke: unknown
  const pieces = (async function* (): AsyncGenerator<Uint8Array, void> {
    try {
      yield* pack
    } catch (error) {
      broke = error
      throw error
    }
  })()
  const { head, rest } = await takeHead(pieces)
  const count = head.length < HEAD_BYTES ? -1 : head.readUInt32BE(8)
  if (count < 0 || head.toString('latin1', 0, 4) !== 'PACK')
    throw new OrchError('ORCH_GIT_HOSTILE', 'what the peer sent is not a pack')
  if (count > objectsMax) {
    throw new OrchError('ORCH_GIT_HOSTILE', `the peer sent ${count} objects, at most ${objectsMax}`, {
      context: { count },
    })
  }
  const strict = intake.isHistory
    ? `--strict=${OLD_FAULTS.map((id) => `${id}=ignore`).join(',')}`
    : '--strict'
  const size = `--max-input-size=${bytesMax}`
  const isLoose = count <= LOOSE_MAX && !intake.isHistory
  const args = isLoose
    ? ['unpack-objects', '-q', strict, size]
    : ['index-pack', '--stdin', '--fix-thin', strict, size]
  const config = ['core.bigFileThreshold=32m', 'core.fsync=committed,pack-metadata,loose-object,reference']
  // Each thread holds objects of its own.
  if (!intake.isHistory) config.push('pack.threads=1')
  const watch = new MemoryWatch(intake.memoryBytesMax)
  try {
    const { timeoutMs, signal } = intake
    await feedGit(args, { ...call, config, timeoutMs, signal }, rest, (child) => watch.start(child))
    return count
  } catch (error) {
    if (watch.isOver) {
      const max = `${Math.round(intake.memoryBytesMax / 2 ** 20)} MiB`
      throw new OrchError('ORCH_GIT_HOSTILE', `the pack of the peer needs more than ${max} of memory`)
    }
    if (error === broke || !isOrchError(error) || error.code !== 'ORCH_GIT_FAILED') throw error
    throw new OrchError('ORCH_GIT_HOSTILE', `the pack of the peer is refused: ${error.message}`, {
      context: error.context,
      cause: error,
    })
  } finally {
    watch.stop()
  }
}

/** The first bytes, and everything from the start again. */
async function takeHead(
  pieces: AsyncGenerator<Uint8Array, void>,
): Promise<{ head: Buffer; rest: AsyncIterable<Uint8Array> }> {
  let head = Buffer.alloc(0)
  while (head.length < HEAD_BYTES) {
    const next = await pieces.next()
    if (next.done) break
    head = Buffer.concat([head, next.value])
  }
  const rest = (async function* (): AsyncGenerator<Uint8Array, void> {
    yield head
    yield* pieces
  })()
  return { head, rest }
}

/** Ends a process that takes too much memory of its own, where the system tells how much it takes (Linux). Mapped packs do not count. */
class MemoryWatch {
  readonly #bytesMax: number
  #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get isOver(): boolean {
    return this.#isOver
  }

  start(child: ChildProcess): void {
    if (process.platform !== 'linux' || child.pid === undefined) return
    const path = `/proc/${child.pid}/status`
    const look = async (): Promise<void> => {
      const text = await readFile(path, 'latin1').catch(() => '')
      const bytes = Number(/^RssAnon:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1_024
      if (bytes <= this.#bytesMax || child.exitCode !== null) return
      this.#isOver = true
      child.kill('SIGKILL')
    }
    this.#timer = setInterval(() => void look(), GIT_RECEIVE_LOOK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
