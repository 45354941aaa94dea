/** The person's repository of a run, by its path. The path comes from the machine where the run was submitted: on another one the same path may be another repository. */
import { OrchError } from '../core/error.ts'
import { GIT_IMPORT_MS_MAX } from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { UserRepository } from './user-repository.ts'

/** @throws ORCH_GIT_NOT_REPO when there is none, or when it is another repository */
export async function openClone(bare: BareRepository, path: string): Promise<UserRepository> {
  const user = await UserRepository.open(path)
  const pins = (await bare.listRefs('refs/orch/base/')).map(({ oid }) => oid)
  if ((await user.having(pins)).length > 0) return user
  // Its history was rewritten, perhaps: what it began with is left.
  const input = `${pins.join('\n')}\n`
  const answer = await bare.run(['rev-list', '--max-parents=0', '--stdin'], {
    input,
    timeoutMs: GIT_IMPORT_MS_MAX,
  })
  const roots = answer.stdout.toString('latin1').split('\n').filter(Boolean)
  if ((await user.having(roots)).length > 0) return user
  throw new OrchError('ORCH_GIT_NOT_REPO', `${user.path} is another repository than that of the run`, {
    context: { path: user.path, id: bare.id },
    hint: 'the path of a run counts on the machine where it was submitted: publish and land there',
  })
}
