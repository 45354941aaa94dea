/**
 * `cluster.json` of a data directory: which cluster this node belongs to. Written once, when it founds or joins one; its being there makes the replicated board the
 * backend. What the cluster looks like is on its board.
 */
import { readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import type { NodeId, WallMs } from '../core/id.ts'
import { clusterId } from '../core/roster-read.ts'
import { IDENTITY_FILE } from '../net/identity.ts'
import type { Address } from '../net/net.ts'
import { renameDurably, writeSyncedFile } from '../store/durable-file.ts'

export interface ClusterFile {
  readonly v: 1
  /** Hash of founder and nonce. */
  readonly cluster: string
  readonly name: string
  readonly founder: NodeId
  readonly nonce: string
  readonly since: WallMs
  /** Whom to ask first: the member that let this node in. Later the board knows more. */
  readonly seeds: readonly { readonly node: NodeId; readonly addresses: readonly Address[] }[]
}

const FILE = 'cluster.json'

/** @throws ORCH_STORE_CORRUPT when it is there and cannot be understood */
export function readClusterFile(dataDir: string): ClusterFile | undefined {
  const path = join(dataDir, FILE)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new OrchError('ORCH_DATA_DIR', `${path}: ${(cause as Error).message}`, { cause })
  }
  let file: Partial<ClusterFile>
  try {
    file = JSON.parse(text) as Partial<ClusterFile>
  } catch (cause) {
    throw corrupt(path, 'it is no JSON', cause)
  }
  if (typeof file.v === 'number' && file.v > 1)
    throw new OrchError('ORCH_JOURNAL_NEWER', `${path} has version ${file.v}, this program knows 1`)
  if (
    file.v !== 1 ||
    typeof file.founder !== 'string' ||
    typeof file.nonce !== 'string' ||
    typeof file.name !== 'string' ||
    !Array.isArray(file.seeds)
  )
    throw corrupt(path, 'a part is missing')
  if (file.cluster !== clusterId(file.founder, file.nonce))
    throw corrupt(path, 'the id of the cluster does not fit its founder')
  return file as ClusterFile
}

export function writeClusterFile(dataDir: string, file: ClusterFile): void {
  const path = join(dataDir, FILE)
  writeSyncedFile(`${path}.new`, `${JSON.stringify(file, null, 2)}\n`)
  renameDurably(`${path}.new`, path)
}

/** The node belongs to no cluster any more: what it had of it is set aside under the returned name, its key with it, not removed. */
export function setClusterAside(dataDir: string, boardDir: string, at: WallMs): string {
  const aside = `left-${new Date(at).toISOString().replaceAll(':', '-')}`
  renameSync(boardDir, join(dataDir, aside))
  rmSync(join(dataDir, FILE), { force: true })
  // That key has left, and is not let in again; this machine may be, by a new one.
  renameSync(join(dataDir, IDENTITY_FILE), join(dataDir, aside, IDENTITY_FILE))
  return aside
}

function corrupt(path: string, why: string, cause?: unknown): OrchError {
  return new OrchError('ORCH_STORE_CORRUPT', `${path}: ${why}`, {
    cause,
    hint: 'restore it from a backup, or join again: move the file away, then `orch-node join`',
  })
}
