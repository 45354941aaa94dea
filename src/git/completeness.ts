/** Whether commits are here with all that is behind them: that one is there proves little, a transfer may have been cut off by a crash. */
import type { Oid } from '../core/id.ts'
import { GIT_IMPORT_MS_MAX } from '../core/limit.ts'
import type { BareRepository } from './bare.ts'

/** Kept in memory: 4 MB. */
const REMEMBERED_MAX = 50_000

/** Those that are not here, or not whole, in the order given. */
export async function lackingCommits(bare: BareRepository, commits: readonly Oid[]): Promise<Oid[]> {
  const unknown = [...new Set(commits)].filter((oid) => !bare.complete.has(oid))
  if (unknown.length === 0) return []
  await bare.objects.flush()
  const found = await Promise.all(unknown.map((oid) => bare.objects.info(oid)))
  const present = unknown.filter((_, i) => found[i]?.type === 'commit')
  const lacking = new Set(unknown.filter((oid) => !present.includes(oid)))
  if (present.length > 0 && !(await areWhole(bare, present))) {
    for (const oid of present) if (!(await areWhole(bare, [oid]))) lacking.add(oid)
  }
  rememberComplete(
    bare,
    present.filter((oid) => !lacking.has(oid)),
  )
  return unknown.filter((oid) => lacking.has(oid))
}

export function rememberComplete(bare: BareRepository, commits: readonly Oid[]): void {
  if (bare.complete.size + commits.length > REMEMBERED_MAX) bare.complete.clear()
  for (const oid of commits) bare.complete.add(oid)
}

/** What a ref of ours reaches is whole: refs move after their objects are there. */
async function areWhole(bare: BareRepository, commits: readonly Oid[]): Promise<boolean> {
  const answer = await bare.run(['rev-list', '--objects', '--quiet', '--stdin', '--not', '--all'], {
    input: `${commits.join('\n')}\n`,
    timeoutMs: GIT_IMPORT_MS_MAX,
    exits: [0, 128],
  })
  return answer.exit === 0
}
