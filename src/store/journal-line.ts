/**
 * Lines of the journal, format 1: `<crc32c of the JSON, 8 hex digits> <JSON>\n`. See LAYOUT.md for the grammar and the golden bytes.
 */
import type { Batch, Collection, Fact } from '../core/fact.ts'
import type { Author, DocId, WallMs } from '../core/id.ts'
import { crc32c } from './crc32c.ts'
import type { FactQuery } from './store.ts'

export const JOURNAL_VERSION = 1
const JOURNAL_FORMAT = 'orch-node journal'
/** Bytes before the JSON: checksum and a space. */
export const LINE_PREFIX_BYTES = 9

const HEX = Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0))
const SPACE = 0x20
const NEWLINE = 0x0a

interface CommitJson {
  readonly v: number
  readonly a: string
  readonly i: string
  readonly n: number
  readonly t: WallMs
  readonly s?: 1
  readonly f: readonly (readonly [DocId, Collection, string, unknown])[]
}

/** Commits of one incarnation that a repair could not keep: `[node, incarnation, from, to]`. */
export type MissingCommits = readonly [node: string, incarnation: string, from: number, to: number]

export function headerJson(node: string, at: WallMs): string {
  return JSON.stringify({ v: JOURNAL_VERSION, format: JOURNAL_FORMAT, node, t: at })
}

export function missingJson(missing: MissingCommits, copy: string, at: WallMs): string {
  return JSON.stringify({ v: JOURNAL_VERSION, missing, copy, t: at })
}

/** Same bytes for every commit of an author, up to its number: lets the scan tell lines without parsing them. */
export function commitJsonHead(author: Author): string {
  return `{"v":${JOURNAL_VERSION},"a":${JSON.stringify(author.node)},"i":${JSON.stringify(author.incarnation)},"n":`
}

/**
 * JSON of a commit. `first` marks the first commit of a sync group: when its line was written, every byte before it was on the disk. By that
 * a reader tells a torn tail from damage.
 */
export function commitJson(
  head: string,
  n: number,
  at: WallMs,
  first: boolean,
  facts: readonly Fact[],
): string {
  const list = facts.map((fact) => [fact.doc, fact.collection, fact.key, fact.body])
  return `${head}${n},"t":${at}${first ? ',"s":1' : ''},"f":${JSON.stringify(list)}}`
}

/** Writes one line at `at`; returns where it ends. The buffer must have room: 10 bytes more than the JSON. */
export function writeLine(buffer: Buffer, at: number, json: string): number {
  const start = at + LINE_PREFIX_BYTES
  const end = start + buffer.write(json, start, 'utf8')
  const crc = crc32c(buffer, start, end)
  for (let digit = 0; digit < 8; digit++) buffer[at + digit] = HEX[(crc >>> (28 - 4 * digit)) & 15]!
  buffer[at + 8] = SPACE
  buffer[end] = NEWLINE
  return end + 1
}

export function encodeLine(json: string): Buffer {
  const buffer = Buffer.allocUnsafe(Buffer.byteLength(json) + LINE_PREFIX_BYTES + 1)
  writeLine(buffer, 0, json)
  return buffer
}

/** True when `[start, end)` (without the newline) carries the checksum of its own JSON. */
export function isWholeLine(buffer: Buffer, start: number, end: number): boolean {
  if (end - start < LINE_PREFIX_BYTES + 2 || buffer[start + 8] !== SPACE) return false
  const crc = crc32c(buffer, start + LINE_PREFIX_BYTES, end)
  for (let digit = 0; digit < 8; digit++) {
    if (buffer[start + digit] !== HEX[(crc >>> (28 - 4 * digit)) & 15]) return false
  }
  return true
}

export type JournalLine =
  | { readonly kind: 'header'; readonly version: number; readonly node: string }
  | { readonly kind: 'commit'; readonly author: Author; readonly n: number; readonly first: boolean }
  | { readonly kind: 'missing'; readonly missing: MissingCommits }
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'unknown' }

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1

/** Tells what a whole line is. Never throws. */
export function readLine(json: string): JournalLine {
  let line: Partial<CommitJson> & { format?: unknown; node?: unknown; missing?: unknown }
  try {
    line = JSON.parse(json)
  } catch {
    return { kind: 'unknown' }
  }
  if (typeof line !== 'object' || line === null || !isCount(line.v)) return { kind: 'unknown' }
  if (line.v > JOURNAL_VERSION) return { kind: 'newer', version: line.v }
  if (line.format === JOURNAL_FORMAT && typeof line.node === 'string') {
    return { kind: 'header', version: line.v, node: line.node }
  }
  if (Array.isArray(line.missing)) {
    const [node, incarnation, from, to] = line.missing
    if (
      typeof node === 'string' &&
      typeof incarnation === 'string' &&
      isCount(from) &&
      isCount(to) &&
      to >= from
    ) {
      return { kind: 'missing', missing: [node, incarnation, from, to] }
    }
  }
  if (typeof line.a === 'string' && typeof line.i === 'string' && isCount(line.n) && Array.isArray(line.f)) {
    const author = { node: line.a, incarnation: line.i }
    return { kind: 'commit', author, n: line.n, first: line.s === 1 }
  }
  return { kind: 'unknown' }
}

function matches(fact: Fact, query: FactQuery): boolean {
  return (
    (query.doc === undefined || fact.doc === query.doc) &&
    (query.collection === undefined || fact.collection === query.collection) &&
    (query.prefix === undefined || fact.key.startsWith(query.prefix))
  )
}

/** Batch of a commit's JSON with the facts that match; `undefined` when none does, or the line is no commit. */
export function readBatch(json: string, query: FactQuery): Batch | undefined {
  const line: CommitJson = JSON.parse(json)
  if (line.f === undefined) return undefined
  const facts: Fact[] = []
  for (const [doc, collection, key, body] of line.f) {
    const fact = { doc, collection, key, body } as Fact
    if (matches(fact, query)) facts.push(fact)
  }
  if (facts.length === 0) return undefined
  return { author: { node: line.a, incarnation: line.i }, n: line.n, at: line.t, facts }
}
