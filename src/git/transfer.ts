/**
 * Moves objects between two repositories on this machine: `pack-objects | index-pack`, no transport, no `upload-pack`, no configuration of the
 * side that is read. Small sets are unpacked, so that thousands of attempts do not leave thousands of packs.
 */

import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { GIT_IMPORT_MS_MAX, PACK_BYTES_MAX, PACK_OBJECTS_MAX } from '../core/limit.ts'
import { type GitCall, pipeGit, runGit } from './command.ts'
import { assertOid } from './ref.ts'

export interface Transfer {
  readonly from: GitCall
  readonly into: GitCall
  readonly tips: readonly Oid[]
  /** Commits that the target has with all that is behind them. */
  readonly exclude: readonly Oid[]
  /** Objects of strangers: fsck, size and count limits. */
  readonly isForeign?: boolean
  readonly timeoutMs?: number
}

/** Below this many objects they are stored one by one. */
const LOOSE_MAX = 2_000

/** @returns number of objects brought in; 0 = the first import, not counted */
export async function transferObjects(transfer: Transfer): Promise<number> {
  for (const oid of [...transfer.tips, ...transfer.exclude]) assertOid(oid)
  const timeoutMs = transfer.timeoutMs ?? GIT_IMPORT_MS_MAX
  const input = `${[...transfer.tips, ...transfer.exclude.map((oid) => `^${oid}`)].join('\n')}\n`
  let count = 0
  if (transfer.isForeign || transfer.exclude.length > 0) {
    const counted = await runGit(['rev-list', '--objects', '--count', '--stdin'], {
      ...transfer.from,
      input,
      timeoutMs,
    })
    count = Number(counted.stdout.toString('latin1'))
    if (count === 0) return 0
  }
  if (transfer.isForeign && count > PACK_OBJECTS_MAX) {
    throw new OrchError('ORCH_GIT_HOSTILE', `${count} objects, at most ${PACK_OBJECTS_MAX}`, {
      context: { count },
    })
  }
  const unpack = count > 0 && count <= LOOSE_MAX
  const limit = transfer.isForeign ? [`--max-input-size=${PACK_BYTES_MAX}`] : []
  const strict = transfer.isForeign ? ['--strict'] : []
  const receive = unpack
    ? ['unpack-objects', '-q', ...strict, ...limit]
    : ['index-pack', '--stdin', ...strict, ...limit]
  await pipeGit(
    {
      args: ['pack-objects', '--revs', '--stdout', '--quiet', '--delta-base-offset'],
      call: { ...transfer.from, input, timeoutMs },
    },
    { args: receive, call: { ...transfer.into, timeoutMs } },
  )
  return count
}
