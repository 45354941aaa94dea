/** The board of one machine becomes the replicated board: once, when the node founds or joins a cluster. The journal is kept beside. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Identity } from '../net/identity.ts'
import { renameDurably } from '../store/durable-file.ts'
import { JOURNAL_FILE, openFileStore } from '../store/file.ts'
import { importJournal } from '../store/journal-import.ts'
import { openLevelDisk } from '../store/level-disk.ts'
import type { DataDirLock } from '../store/lock.ts'
import { newAuthor } from './life.ts'

const KEPT = 'journal.before-cluster.jsonl'

/** Says what was done, for the log; `undefined` when there was nothing to do. Safe to be repeated after a crash at any place. */
export async function importOwnJournal(
  dataDir: string,
  cluster: string,
  identity: Identity,
  lock: DataDirLock,
): Promise<string | undefined> {
  const path = join(dataDir, JOURNAL_FILE)
  if (!existsSync(path)) return undefined
  const journal = await openFileStore({ dataDir, author: newAuthor(identity.node), lock })
  const disk = await openLevelDisk({ dataDir, cluster, lock })
  try {
    const { facts, skipped } = await importJournal({
      disk,
      cluster,
      signer: identity,
      batches: journal.facts(),
    })
    await journal.close()
    renameDurably(path, join(dataDir, KEPT))
    const left =
      skipped.length > 0 ? `; ${skipped.length} facts that meant nothing were left out: ${skipped[0]}` : ''
    return `the journal of this machine is on the board of the cluster now: ${facts} facts${left}. It is kept as ${KEPT}`
  } finally {
    await journal.close()
    await disk.close()
  }
}
