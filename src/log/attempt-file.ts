/** One attempt's file of events: a header line, then one JSON line for each event. Lines that are not whole are passed over. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { AttemptEvent } from '../core/attempt.ts'
import { OrchError } from '../core/error.ts'
import type { AttemptId, NodeId, WallMs } from '../core/id.ts'
import { LINE_BYTES_MAX } from '../core/limit.ts'

const ATTEMPT_FILE_VERSION = 1

export interface LoggedEvent {
  readonly attempt: AttemptId
  /** Who logged it. */
  readonly node: NodeId
  /** Counts the events of the attempt from 1. A gap means that the disk refused some. */
  readonly n: number
  readonly at: WallMs
  readonly event: AttemptEvent
}

const NEWLINE = 0x0a
const PIECE_BYTES = 256 * 1024
/** An event holds at most one line of a worker's stream; JSON escapes make it up to six times as long. */
const EVENT_LINE_BYTES_MAX = 8 * LINE_BYTES_MAX

interface Line {
  readonly v?: number
  readonly attempt?: AttemptId
  readonly n?: number
  readonly at?: WallMs
  readonly event?: AttemptEvent
}

export function headerLine(attempt: AttemptId): string {
  return `${JSON.stringify({ v: ATTEMPT_FILE_VERSION, attempt })}\n`
}

export function eventLine(n: number, at: WallMs, event: AttemptEvent): string {
  return `${JSON.stringify({ n, at, event })}\n`
}

function readJson(text: string): Line | undefined {
  try {
    const line: unknown = JSON.parse(text)
    return typeof line === 'object' && line !== null ? (line as Line) : undefined
  } catch {
    return undefined
  }
}

/** Events above `since`, in order. `attempt` names them should the header be damaged. A file that is not there has none. */
export async function* readEvents(
  path: string,
  node: NodeId,
  attempt: AttemptId,
  since: number,
): AsyncGenerator<LoggedEvent> {
  let name = attempt
  for await (const lines of readLines(path)) {
    for (const text of lines) {
      const line = readJson(text)
      if (line?.v !== undefined && line.v > ATTEMPT_FILE_VERSION) {
        throw new OrchError(
          'ORCH_JOURNAL_NEWER',
          `${path} has format ${line.v}; this version reads ${ATTEMPT_FILE_VERSION}`,
          { context: { path } },
        )
      }
      if (line?.attempt) name = line.attempt
      if (!line?.event || line.n === undefined || line.at === undefined || line.n <= since) continue
      yield { attempt: name, node, n: line.n, at: line.at, event: line.event }
    }
  }
}

/** Lines, piece by piece. The last may have no end: if it lacks the newline only, it is whole. */
async function* readLines(path: string): AsyncGenerator<string[]> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!file) return
  try {
    let rest = Buffer.alloc(0)
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, null)
      if (bytesRead === 0) {
        yield [rest.toString('utf8')]
        return
      }
      const end = piece.subarray(0, bytesRead).lastIndexOf(NEWLINE)
      if (end < 0) {
        // Longer than any event: damage. Its end will not parse either.
        rest =
          rest.length > EVENT_LINE_BYTES_MAX
            ? Buffer.alloc(0)
            : Buffer.concat([rest, piece.subarray(0, bytesRead)])
        continue
      }
      yield Buffer.concat([rest, piece.subarray(0, end)])
        .toString('utf8')
        .split('\n')
      rest = Buffer.from(piece.subarray(end + 1, bytesRead))
    }
  } finally {
    await file.close()
  }
}

export interface FileTail {
  /** Number of the last whole event; 0 when there is none. */
  readonly n: number
  /** Nothing in it: needs a header. */
  readonly isEmpty: boolean
  /** The last line has no end: the next write must begin with one. */
  readonly isTorn: boolean
}

/** Where to go on in a file; synchronous, since an event gets its number when it is appended. */
export function readTail(path: string): FileTail {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { n: 0, isEmpty: true, isTorn: false }
    throw error
  }
  try {
    const { size } = fstatSync(fd)
    let isTorn = false
    for (let span = PIECE_BYTES; ; span *= 4) {
      const from = Math.max(0, size - span)
      const bytes = Buffer.alloc(size - from)
      const read = readSync(fd, bytes, 0, bytes.length, from)
      isTorn = read > 0 && bytes[read - 1] !== NEWLINE
      const lines = bytes.toString('utf8', 0, read).split('\n')
      // The first line of a later piece is not whole.
      for (let i = lines.length - 1; i >= (from > 0 ? 1 : 0); i--) {
        const n = readJson(lines[i]!)?.n
        if (n !== undefined) return { n, isEmpty: false, isTorn }
      }
      if (from === 0 || span > EVENT_LINE_BYTES_MAX) return { n: 0, isEmpty: size === 0, isTorn }
    }
  } finally {
    closeSync(fd)
  }
}
