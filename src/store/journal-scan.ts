/**
 * Reads a journal once, from the first byte to the last, holding one piece of it at a time. Decides nothing but whether it is whole: a line
 * is whole when its checksum fits; commits of an incarnation count from 1 without gaps.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { OrchError } from '../core/error.ts'
import { JOURNAL_LINE_BYTES_MAX, JOURNAL_READ_BYTES } from '../core/limit.ts'
import {
  commitJsonHead,
  isWholeLine,
  JOURNAL_VERSION,
  LINE_PREFIX_BYTES,
  type MissingCommits,
  readLine,
} from './journal-line.ts'

const NEWLINE = 0x0a
const LINE_MAX = JOURNAL_LINE_BYTES_MAX + LINE_PREFIX_BYTES

/** Lines as they lie in a piece: `[start, end)` without the newline. `ended` is false for bytes after the last newline. */
export type LineVisit = (buffer: Buffer, start: number, end: number, offset: number, ended: boolean) => void

/**
 * Visits each line of `[from, to)` of a file. A line above the limit is given by its first bytes only (it cannot be whole), so memory stays
 * bounded whatever the file holds. Yields after each piece, so that the caller sets the pace.
 */
export async function* visitPieces(
  file: FileHandle,
  from: number,
  to: number,
  visit: LineVisit,
): AsyncGenerator<void> {
  let buffer = Buffer.allocUnsafe(Math.max(1, Math.min(JOURNAL_READ_BYTES, to - from)))
  let filled = 0
  let position = from
  let lineOffset = from
  while (position < to) {
    if (filled === buffer.length) {
      if (filled > LINE_MAX) {
        position = await skipLine(file, position, to)
        visit(buffer, 0, filled, lineOffset, position < to)
        filled = 0
        lineOffset = position
        continue
      }
      const wider = Buffer.allocUnsafe(Math.min(buffer.length * 2, LINE_MAX + JOURNAL_READ_BYTES))
      buffer.copy(wider, 0, 0, filled)
      buffer = wider
    }
    const { bytesRead } = await file.read(
      buffer,
      filled,
      Math.min(buffer.length - filled, to - position),
      position,
    )
    if (bytesRead === 0) break
    const seen = filled
    position += bytesRead
    filled += bytesRead
    let start = 0
    let end = buffer.subarray(0, filled).indexOf(NEWLINE, seen)
    while (end >= 0 && end < filled) {
      visit(buffer, start, end, lineOffset + start, true)
      start = end + 1
      end = buffer.indexOf(NEWLINE, start)
    }
    lineOffset += start
    if (start > 0) buffer.copyWithin(0, start, filled)
    filled -= start
    yield
  }
  if (filled > 0) visit(buffer, 0, filled, lineOffset, false)
}

/** `visitPieces` without a pause. */
export async function visitLines(
  file: FileHandle,
  from: number,
  to: number,
  visit: LineVisit,
): Promise<void> {
  const pieces = visitPieces(file, from, to, visit)
  while (!(await pieces.next()).done);
}

/** Position after the next newline, or `to`. */
async function skipLine(file: FileHandle, from: number, to: number): Promise<number> {
  const piece = Buffer.allocUnsafe(JOURNAL_READ_BYTES)
  for (let position = from; position < to; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, to - position), position)
    if (bytesRead === 0) return to
    const end = piece.subarray(0, bytesRead).indexOf(NEWLINE)
    if (end >= 0) return position + end + 1
    position += bytesRead
  }
  return to
}

/** A line that is not whole, or does not belong where it stands. `line` counts from 1. */
export interface DamagedLine {
  readonly line: number
  readonly offset: number
  readonly bytes: number
  readonly why: 'checksum' | 'unended' | 'unknown' | 'header' | 'gap' | 'order'
}

export interface JournalCheck {
  readonly path: string
  readonly bytes: number
  readonly lines: number
  readonly commits: number
  /** Last commit of each author in the journal, by `node/incarnation`. */
  readonly heads: ReadonlyMap<string, number>
  /** Set when a newer version wrote it; nothing else was judged then. */
  readonly newer?: number
  /** Lines from here on were never on the disk as a whole, so nobody was told of them: may be cut. */
  readonly torn?: { readonly line: number; readonly offset: number; readonly bytes: number }
  /** Lines that were on the disk and are not any more. */
  readonly damaged: readonly DamagedLine[]
  /** Commits that an earlier repair could not keep. */
  readonly missing: readonly MissingCommits[]
}

/**
 * Reads a journal and judges it; changes nothing. Torn or damaged: lines that were written after a bad one *in a later sync group* prove that
 * the bad one was whole once. Without such proof it is the torn tail of the last group, of which nobody was told.
 */
export async function checkJournal(path: string): Promise<JournalCheck> {
  const file = await open(path, 'r')
  try {
    return await scan(file, path, (await file.stat()).size)
  } finally {
    await file.close()
  }
}

async function scan(file: FileHandle, path: string, bytes: number): Promise<JournalCheck> {
  const heads = new Map<string, number>()
  const missing: MissingCommits[] = []
  const damaged: DamagedLine[] = []
  /** Bad lines since the last proof. */
  let suspects: DamagedLine[] = []
  let lines = 0
  let commits = 0
  let newer: number | undefined
  let head = Buffer.alloc(0)
  let key = ''

  const commit = (n: number, bad: (why: DamagedLine['why']) => void) => {
    const expected = (heads.get(key) ?? 0) + 1
    heads.set(key, Math.max(n, expected - 1))
    // Behind a bad line a gap is no news.
    if (n === expected || (n > expected && damaged.length + suspects.length > 0)) commits++
    else bad(n > expected ? 'gap' : 'order')
  }

  const judge: LineVisit = (buffer, start, end, offset, ended) => {
    if (newer !== undefined) return
    lines++
    const bad = (why: DamagedLine['why']) =>
      suspects.push({ line: lines, offset, bytes: end - start + (ended ? 1 : 0), why })
    if (!ended) return bad('unended')
    if (lines === 1) newer = newerVersion(buffer, start, end)
    if (newer !== undefined) return
    if (!isWholeLine(buffer, start, end)) return bad('checksum')
    const json = start + LINE_PREFIX_BYTES
    const known = json + head.length
    if (
      suspects.length === 0 &&
      known <= end &&
      key !== '' &&
      buffer.compare(head, 0, head.length, json, known) === 0
    ) {
      return commit(digits(buffer, known), bad)
    }
    const line = readLine(buffer.toString('utf8', json, end))
    if (line.kind === 'newer') newer = line.version
    else if ((line.kind === 'header') !== (lines === 1)) bad('header')
    else if (line.kind === 'unknown') bad('unknown')
    else if (line.kind === 'missing') {
      missing.push(line.missing)
      heads.set(`${line.missing[0]}/${line.missing[1]}`, line.missing[3])
    } else if (line.kind === 'commit') {
      if (line.first) {
        damaged.push(...suspects)
        suspects = []
      }
      head = Buffer.from(commitJsonHead(line.author))
      key = `${line.author.node}/${line.author.incarnation}`
      commit(line.n, bad)
    }
  }

  await visitLines(file, 0, bytes, judge)
  const [first] = suspects
  // A checksum that fits cannot be the half of a write: a gap or a foreign line at the end is damage too, unless something torn stands before it.
  const isTorn = first !== undefined && (first.why === 'checksum' || first.why === 'unended')
  if (first && !isTorn) damaged.push(...suspects)
  return {
    path,
    bytes,
    lines,
    commits,
    heads,
    ...(newer === undefined ? {} : { newer }),
    ...(isTorn ? { torn: { line: first.line, offset: first.offset, bytes: bytes - first.offset } } : {}),
    damaged,
    missing,
  }
}

/** Reads the version without trusting the rest: a newer format may even sum differently. */
function newerVersion(buffer: Buffer, start: number, end: number): number | undefined {
  const match = /^[0-9a-f]{8} \{"v":(\d{1,9}),"format":"orch-node journal"/.exec(
    buffer.toString('latin1', start, Math.min(end, start + 80)),
  )
  const version = Number(match?.[1] ?? 0)
  return version > JOURNAL_VERSION ? version : undefined
}

function digits(buffer: Buffer, at: number): number {
  let value = 0
  for (let i = at; buffer[i]! >= 0x30 && buffer[i]! <= 0x39; i++) value = value * 10 + (buffer[i]! - 0x30)
  return value
}

/** Refuses what cannot be opened as it is. */
export function assertReadable(check: JournalCheck): void {
  if (check.newer !== undefined) {
    throw new OrchError(
      'ORCH_JOURNAL_NEWER',
      `${check.path} has format ${check.newer}; this version reads up to ${JOURNAL_VERSION}`,
      { context: { path: check.path, version: check.newer } },
    )
  }
  const [first] = check.damaged
  if (first) {
    const more = check.damaged.length > 1 ? ` and ${check.damaged.length - 1} more` : ''
    throw new OrchError(
      'ORCH_JOURNAL_CORRUPT',
      `${check.path}: line ${first.line} is damaged (${first.why})${more}`,
      {
        context: { path: check.path, line: first.line, offset: first.offset, damaged: check.damaged.length },
      },
    )
  }
}
