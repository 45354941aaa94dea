/** Gives a run's history to a person: as the branch `orch/<run>`, and onto a branch of theirs. The only writes to a person's repository. */
import { OrchError } from '../core/error.ts'
import type { Oid, RunId } from '../core/id.ts'
import { LAND_TRIES_MAX, PATHS_SHOWN_MAX } from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { changesOf, rebase } from './integrate.ts'
import { showPath } from './object.ts'
import { publishedRef, runBranch } from './ref.ts'
import { branchRef, moveBranch, refuseDirty } from './user-branch.ts'
import type { UserRepository } from './user-repository.ts'

export interface LandRequest {
  readonly branch: string
  /** The run's commits are `base`..`tip`. */
  readonly base: Oid
  readonly tip: Oid
  /** Runs the gate on a candidate that nobody has verified: the chain on a branch that moved. Absent = no gate. */
  readonly verify?: (commit: Oid) => Promise<{ readonly ok: boolean; readonly output?: string }>
}

export interface Landed {
  readonly branch: string
  /** Where the branch is now. */
  readonly commit: Oid
  /** Where it was. Equal to `commit` when everything was there already. */
  readonly from: Oid
  readonly tries: number
}

/**
 * Makes or moves `orch/<run>` in the person's repository. It is ours as long as nobody commits on it.
 *
 * @throws ORCH_TARGET_MOVED when somebody did; ORCH_TARGET_DIRTY
 */
export async function publishBranch(
  bare: BareRepository,
  user: UserRepository,
  run: RunId,
  commit: Oid,
): Promise<{ branch: string }> {
  const branch = runBranch(run)
  const ref = await branchRef(user, branch)
  await bare.exportTo(user, commit)
  const [held, ours] = await Promise.all([user.resolve(ref), bare.readRef(publishedRef(run))])
  if (held !== commit) {
    const mayMove = held === undefined || held === ours || (await isAncestor(user, held, commit))
    const moved = mayMove && (await moveBranch(user, ref, commit, held))
    if (!moved) {
      throw new OrchError('ORCH_TARGET_MOVED', `${branch} has commits that are not of this run`, {
        context: { branch, held, commit },
        hint: `rename it (\`git branch -m ${branch} NAME\`) and try again`,
      })
    }
  }
  await bare.moveRefs([{ ref: publishedRef(run), to: commit }])
  return { branch }
}

async function isAncestor(user: UserRepository, ancestor: Oid, of: Oid): Promise<boolean> {
  const answer = await user.run(['merge-base', '--is-ancestor', ancestor, of], { exits: [0, 1] })
  return answer.exit === 0
}

/**
 * Moves a person's branch to the run's commits by compare-and-set. A branch that moved gets them rebased onto its new tip, verified again; after
 * LAND_TRIES_MAX times it is left alone.
 *
 * @throws ORCH_GIT_BASE, ORCH_TARGET_DIRTY, ORCH_TARGET_MOVED, ORCH_CONFLICT, ORCH_GATE
 */
export async function land(
  bare: BareRepository,
  user: UserRepository,
  request: LandRequest,
): Promise<Landed> {
  const { branch, base, tip } = request
  const ref = await branchRef(user, branch)
  for (let tries = 1; tries <= LAND_TRIES_MAX; tries += 1) {
    const from = await user.resolve(ref)
    if (from === undefined) {
      throw new OrchError('ORCH_GIT_BASE', `${user.path} has no branch ${branch}`, {
        context: { branch },
        hint: `make it with \`git branch ${branch}\`, or name another with \`--into\``,
      })
    }
    await bare.importFrom(user, from)
    const isContained = async (ancestor: Oid, of: Oid): Promise<boolean> =>
      (await bare.run(['merge-base', '--is-ancestor', ancestor, of], { exits: [0, 1] })).exit === 0
    if (await isContained(tip, from)) return { branch, commit: from, from, tries }
    await refuseDirty(user, ref)
    const candidate = (await isContained(from, tip)) ? tip : await candidateOn(bare, request, from, base, tip)
    if (candidate === from) return { branch, commit: from, from, tries }
    await bare.exportTo(user, candidate)
    if (await moveBranch(user, ref, candidate, from)) return { branch, commit: candidate, from, tries }
  }
  throw new OrchError('ORCH_TARGET_MOVED', `${branch} moved ${LAND_TRIES_MAX} times while landing`, {
    context: { branch },
  })
}

async function candidateOn(
  bare: BareRepository,
  request: LandRequest,
  onto: Oid,
  base: Oid,
  tip: Oid,
): Promise<Oid> {
  const rebased = await rebase(bare, onto, await changesOf(bare, base, tip))
  if (!rebased.ok) {
    const paths = rebased.conflict.paths.slice(0, PATHS_SHOWN_MAX).map(showPath)
    throw new OrchError(
      'ORCH_CONFLICT',
      `${rebased.failed.task} does not fit onto ${request.branch}: ${paths.slice(0, 5).join(', ')}`,
      {
        context: { task: rebased.failed.task, paths, onto, output: rebased.conflict.output },
        hint: `merge \`orch/…\` into ${request.branch} by hand`,
      },
    )
  }
  if (rebased.tip === onto) return onto
  const verdict = await request.verify?.(rebased.tip)
  if (verdict && !verdict.ok) {
    throw new OrchError('ORCH_GATE', `the gate failed on top of ${request.branch}`, {
      context: { commit: rebased.tip, onto, output: verdict.output },
    })
  }
  return rebased.tip
}
