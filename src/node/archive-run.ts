/** One file of a run that is over for good: every frame of its board, signed as it was. Then its board takes no more room. */
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { OrchError } from '../core/error.ts'
import type { Batch } from '../core/fact.ts'
import type { DocId, DurationMs, RunId, WallMs } from '../core/id.ts'
import { ARCHIVE_OWN_MS } from '../core/limit.ts'
import { bundleDoc, readArchive } from '../store/archive.ts'
import type { CrdtStore } from '../store/crdt.ts'
import { renameDurably } from '../store/durable-file.ts'
import type { CoordStore } from '../store/store.ts'

function archivePath(dataDir: string, run: RunId): string {
  return join(dataDir, 'archive', `${run}.frames`)
}

/** The facts of a run, on the board or in its archive, as they were written: by whom, when, in which commit. */
export async function* exportRun(store: CoordStore, dataDir: string, run: RunId): AsyncGenerator<Batch> {
  let isKnown = false
  for await (const batch of store.facts({ doc: run })) {
    isKnown = true
    yield batch
  }
  if (isKnown) return
  const path = archivePath(dataDir, run)
  if (!existsSync(path))
    throw new OrchError('ORCH_NOT_FOUND', `there is no run "${run}", on the board or in the archive`)
  yield* readArchive(createReadStream(path))
}

/**
 * How long runs have been over, as far as earlier lives and other machines can tell: by the wall clock, which people and NTP move, so that this life still waits a while of its own.
 *
 * @param lastWords of each run the time of its last fact
 */
export function finishedFor(
  lastWords: ReadonlyMap<RunId, WallMs>,
  now: WallMs,
  archiveAfterMs: DurationMs,
): Record<RunId, DurationMs> {
  const longest = Math.max(0, archiveAfterMs - ARCHIVE_OWN_MS)
  return Object.fromEntries(
    [...lastWords].map(([run, at]) => [run, Math.min(Math.max(0, now - at), longest)]),
  )
}

/** Resolves to the path of the file. */
export async function archiveRun(store: CrdtStore, dataDir: string, doc: DocId): Promise<string> {
  const path = archivePath(dataDir, doc)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await pipeline(
    bundleDoc(store.replica, doc),
    createWriteStream(`${path}.new`, { mode: 0o600, flush: true }),
  )
  renameDurably(`${path}.new`, path)
  await store.dropDoc(doc)
  return path
}
