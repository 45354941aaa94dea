/**
 * CoordStore of one machine: `journal.jsonl` in the data directory is the truth. One process writes it, under the lock of the directory; each
 * open is a new incarnation. Memory holds the keys of this incarnation and what is not durable yet, nothing else. Format: LAYOUT.md.
 */
import { existsSync, openSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { assert, OrchError } from '../core/error.ts'
import type { Batch, Fact } from '../core/fact.ts'
import { type Author, authorKey, type WallMs } from '../core/id.ts'
import { COMMIT_FACTS_MAX, JOURNAL_LINE_BYTES_MAX } from '../core/limit.ts'
import {
  dataDirFault,
  FILE_MODE,
  makeDataDir,
  removeIfThere,
  renameDurably,
  writeSyncedFile,
} from './durable-file.ts'
import {
  commitJson,
  commitJsonHead,
  encodeLine,
  headerJson,
  isWholeLine,
  LINE_PREFIX_BYTES,
  readBatch,
} from './journal-line.ts'
import { cutTornTail, type JournalReport, repairJournal } from './journal-repair.ts'
import { assertReadable, checkJournal, visitPieces } from './journal-scan.ts'
import { type JournalFs, JournalWriter, rejected } from './journal-writer.ts'
import { acquireLock, type DataDirLock } from './lock.ts'
import { OwnKeys } from './own-keys.ts'
import type { CoordStore, FactQuery, PutReceipt } from './store.ts'

export const JOURNAL_FILE = 'journal.jsonl'

export interface FileStoreOptions {
  readonly dataDir: string
  /** The incarnation must be new: a journal that has commits of it is refused. */
  readonly author: Author
  /** Lock of `dataDir` that the caller holds and releases. Default: taken here, released by `close`. */
  readonly lock?: DataDirLock
  /** Wall clock, for headers and names of kept files. Default `Date.now`. */
  readonly now?: () => WallMs
  /** Default true. False trades the last second of work for speed when the machine (not the process) dies: tests only. */
  readonly fsync?: boolean
  /** Opens a damaged journal: keeps a full copy, drops the damaged lines, records which commits are missing. */
  readonly repair?: boolean
  readonly fs?: Partial<JournalFs>
  readonly onReport?: (report: JournalReport) => void
}

/**
 * Opens or creates the store of a data directory.
 *
 * @throws ORCH_LOCKED, ORCH_DATA_DIR, ORCH_JOURNAL_CORRUPT (names file and line), ORCH_JOURNAL_NEWER
 */
export async function openFileStore(options: FileStoreOptions): Promise<CoordStore> {
  makeDataDir(options.dataDir)
  const lock = options.lock ?? acquireLock(options.dataDir)
  const release = options.lock ? () => {} : () => lock.release()
  try {
    const path = join(options.dataDir, JOURNAL_FILE)
    await prepareJournal(path, options)
    const fd = openSync(path, 'a', FILE_MODE)
    const writer = new JournalWriter({
      path,
      fd,
      size: statSync(path).size,
      fsync: options.fsync ?? true,
      ...(options.fs ? { fs: options.fs } : {}),
    })
    return new FileStore(options.author, path, writer, release)
  } catch (error) {
    release()
    throw dataDirFault(options.dataDir, error)
  }
}

/** Leaves a journal that is whole: made, checked, cut or repaired. */
async function prepareJournal(path: string, options: FileStoreOptions): Promise<void> {
  const at = (options.now ?? Date.now)()
  const { node } = options.author
  if (existsSync(path) && statSync(path).size > 0) {
    let check = await checkJournal(path)
    if (check.newer === undefined && check.damaged.length > 0 && options.repair) {
      options.onReport?.(await repairJournal(check, node, at))
      check = await checkJournal(path)
    }
    assertReadable(check)
    if (check.torn) {
      const kept = cutTornTail(path, check.torn)
      options.onReport?.({ kind: 'torn-tail', line: check.torn.line, bytes: check.torn.bytes, kept })
    }
    assert(
      !check.heads.has(authorKey(options.author)),
      `${authorKey(options.author)} wrote ${path} before: each open needs a new incarnation`,
    )
    if (statSync(path).size > 0) return
  }
  // Under another name first: a journal without a header never exists, whenever the machine stops.
  const fresh = `${path}.new`
  removeIfThere(fresh)
  writeSyncedFile(fresh, encodeLine(headerJson(node, at)))
  renameDurably(fresh, path)
}

class FileStore implements CoordStore {
  readonly author: Author
  readonly #path: string
  readonly #head: string
  readonly #writer: JournalWriter
  readonly #release: () => void
  readonly #keys = new OwnKeys()
  #n = 0
  #closed: Promise<void> | undefined

  constructor(author: Author, path: string, writer: JournalWriter, release: () => void) {
    this.author = author
    this.#path = path
    this.#head = commitJsonHead(author)
    this.#writer = writer
    this.#release = release
  }

  put(facts: readonly Fact[], at: WallMs): PutReceipt {
    assert(!this.#closed, `put after close of ${this.#path}`)
    const writer = this.#writer
    if (writer.failed) return { n: 0, written: [], durable: rejected(writer.failed) }
    if (facts.length > COMMIT_FACTS_MAX) {
      throw new OrchError(
        'ORCH_USAGE',
        `one commit holds at most ${COMMIT_FACTS_MAX} facts, not ${facts.length}`,
      )
    }
    const written = this.#keys.take(facts)
    if (written.length === 0) return { n: 0, written, durable: writer.durable }
    try {
      const durable = this.#append(written, at)
      this.#n++
      return { n: this.#n, written, durable }
    } catch (error) {
      this.#keys.giveBack(written)
      throw error
    }
  }

  #append(written: readonly Fact[], at: WallMs): Promise<void> {
    const writer = this.#writer
    const json = commitJson(this.#head, this.#n + 1, at, writer.beginsGroup(written.length), written)
    if (json.length * 3 > JOURNAL_LINE_BYTES_MAX && Buffer.byteLength(json) > JOURNAL_LINE_BYTES_MAX) {
      throw new OrchError('ORCH_USAGE', `one commit holds at most ${JOURNAL_LINE_BYTES_MAX} bytes of facts`)
    }
    return writer.append(json, written.length)
  }

  facts(query: FactQuery = {}): AsyncIterable<Batch> {
    assert(!this.#closed, `read after close of ${this.#path}`)
    // Both at the same instant, now: together they are every commit so far, each once.
    const bytes = this.#writer.durableBytes
    const pending = this.#writer.pending()
    return replay(this.#path, bytes, pending, query)
  }

  /** The only writer is this incarnation: nothing foreign ever arrives. */
  watch(): () => void {
    assert(!this.#closed, `watch after close of ${this.#path}`)
    return () => {}
  }

  close(): Promise<void> {
    this.#closed ??= this.#writer.close().finally(this.#release)
    return this.#closed
  }
}

/** Batches of the durable part, then of what was pending; one piece of the file at a time. */
async function* replay(
  path: string,
  bytes: number,
  pending: readonly string[],
  query: FactQuery,
): AsyncGenerator<Batch> {
  const file = await open(path, 'r')
  try {
    // A line without the doc's name holds none of its facts: skipped unparsed.
    const name = query.doc === undefined ? undefined : Buffer.from(JSON.stringify(query.doc))
    let batches: Batch[] = []
    let damaged: number | undefined
    const pieces = visitPieces(file, 0, bytes, (buffer, start, end, offset) => {
      if (damaged !== undefined) return
      if (!isWholeLine(buffer, start, end)) {
        damaged = offset
        return
      }
      const json = start + LINE_PREFIX_BYTES
      if (name && !buffer.subarray(json, end).includes(name)) return
      const batch = readBatch(buffer.toString('utf8', json, end), query)
      if (batch) batches.push(batch)
    })
    for await (const _ of pieces) {
      // Not `yield*`: it costs twice as much for each batch.
      for (const batch of batches) yield batch
      batches = []
      if (damaged !== undefined) throw damagedWhileOpen(path, damaged)
    }
  } finally {
    await file.close()
  }
  for (const json of pending) {
    const batch = readBatch(json, query)
    if (batch) yield batch
  }
}

function damagedWhileOpen(path: string, offset: number): OrchError {
  return new OrchError('ORCH_JOURNAL_CORRUPT', `${path} was damaged at byte ${offset} while it was open`, {
    context: { path, offset },
  })
}
