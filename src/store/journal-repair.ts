/** Changes an existing journal, only at open and under the lock: cuts a torn tail, drops damaged lines. Removed bytes always stay in a file beside it. */
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { WallMs } from '../core/id.ts'
import { JOURNAL_READ_BYTES } from '../core/limit.ts'
import { FILE_MODE, removeIfThere, renameDurably, syncDirectory } from './durable-file.ts'
import {
  encodeLine,
  headerJson,
  isWholeLine,
  LINE_PREFIX_BYTES,
  type MissingCommits,
  missingJson,
  readLine,
} from './journal-line.ts'
import { type DamagedLine, type JournalCheck, visitLines } from './journal-scan.ts'

/** News of an open, for the log and for `doctor`. */
export type JournalReport =
  /** The last write before a crash was not whole. Nobody had been told of it. `kept` holds the bytes. */
  | { readonly kind: 'torn-tail'; readonly line: number; readonly bytes: number; readonly kept: string }
  /** `kept` is the journal as it was. `missing` are the commits known to be gone; a damaged line at an author's end leaves no number. */
  | {
      readonly kind: 'repaired'
      readonly damaged: readonly DamagedLine[]
      readonly missing: readonly MissingCommits[]
      readonly kept: string
    }

/** Cuts the journal at `torn.offset`; the bytes go to `journal.torn-<n>` first. Returns that path. */
export function cutTornTail(path: string, torn: { readonly offset: number; readonly bytes: number }): string {
  const dir = dirname(path)
  let number = 1
  while (existsSync(join(dir, `journal.torn-${number}`))) number++
  const kept = join(dir, `journal.torn-${number}`)
  const source = openSync(path, 'r+')
  try {
    copyRange(source, torn.offset, torn.bytes, kept)
    syncDirectory(dir)
    ftruncateSync(source, torn.offset)
    fdatasyncSync(source)
  } finally {
    closeSync(source)
  }
  return kept
}

function copyRange(source: number, from: number, bytes: number, path: string): void {
  const target = openSync(path, 'wx', FILE_MODE)
  try {
    const piece = Buffer.allocUnsafe(Math.min(bytes, JOURNAL_READ_BYTES))
    for (let done = 0; done < bytes; ) {
      const read = readSync(source, piece, 0, Math.min(piece.length, bytes - done), from + done)
      if (read === 0) break
      for (let at = 0; at < read; ) at += writeSync(target, piece, at, read - at)
      done += read
    }
    fsyncSync(target)
  } finally {
    closeSync(target)
  }
}

/**
 * Writes the journal anew from its whole lines and puts a `missing` line where commits are gone, so that the gap is on record. The old one
 * stays as `journal.corrupt-<stamp>.jsonl`. A crash in between leaves the old journal in place.
 */
export async function repairJournal(check: JournalCheck, node: string, at: WallMs): Promise<JournalReport> {
  const { path } = check
  const dir = dirname(path)
  const stamp = new Date(at).toISOString().replace(/[-:]|\.\d+/g, '')
  let kept = join(dir, `journal.corrupt-${stamp}.jsonl`)
  for (let number = 2; existsSync(kept); number++)
    kept = join(dir, `journal.corrupt-${stamp}-${number}.jsonl`)
  linkSync(path, kept)

  const fresh = join(dir, 'journal.jsonl.new')
  removeIfThere(fresh)
  const missing: MissingCommits[] = []
  const target = openSync(fresh, 'wx', FILE_MODE)
  const source = await open(path, 'r')
  try {
    const heads = new Map<string, number>()
    const keep = (line: Buffer) => {
      for (let done = 0; done < line.length; ) done += writeSync(target, line, done)
    }
    keep(encodeLine(headerJson(node, at)))
    await visitLines(source, 0, check.torn?.offset ?? check.bytes, (buffer, start, end, _offset, ended) => {
      if (!ended || !isWholeLine(buffer, start, end)) return
      const line = readLine(buffer.toString('utf8', start + LINE_PREFIX_BYTES, end))
      if (line.kind === 'missing') heads.set(`${line.missing[0]}/${line.missing[1]}`, line.missing[3])
      else if (line.kind === 'commit') {
        const { node, incarnation } = line.author
        const key = `${node}/${incarnation}`
        const expected = (heads.get(key) ?? 0) + 1
        if (line.n < expected) return
        if (line.n > expected) {
          const gap: MissingCommits = [node, incarnation, expected, line.n - 1]
          missing.push(gap)
          keep(encodeLine(missingJson(gap, kept.slice(dir.length + 1), at)))
        }
        heads.set(key, line.n)
      } else return
      keep(buffer.subarray(start, end + 1))
    })
    fsyncSync(target)
  } finally {
    closeSync(target)
    await source.close()
  }
  renameDurably(fresh, path)
  return { kind: 'repaired', damaged: check.damaged, missing, kept }
}
