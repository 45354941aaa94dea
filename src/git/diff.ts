/** The work of an attempt as people read it. No drivers, no external diff, no configuration of the person: only trees are compared. */
import type { Oid } from '../core/id.ts'
import type { BareRepository } from './bare.ts'
import { assertOid } from './ref.ts'

/** More is cut by git with an error, so large diffs come as a summary by file. */
const DIFF_BYTES_MAX = 32 * 1024 * 1024

export async function diffText(
  bare: BareRepository,
  base: Oid,
  head: Oid,
  options: { readonly stat: boolean },
): Promise<string> {
  assertOid(base)
  assertOid(head)
  await bare.objects.flush()
  const form = options.stat ? ['--stat=110'] : ['--patch', '--stat=110']
  const answer = await bare.run(
    ['diff-tree', '-r', '-M', '--no-ext-diff', '--no-textconv', '--no-color', ...form, base, head],
    {
      bytesMax: DIFF_BYTES_MAX,
    },
  )
  return answer.stdout.toString('utf8')
}
