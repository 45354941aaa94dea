/** From a plan on the command line to a run on a node. */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { isOrchError, OrchError } from '../core/error.ts'
import { BACKPRESSURE_LOOK_MS } from '../core/limit.ts'
import type { Plan } from '../core/task.ts'
import type { NodeFace, SubmitAnswer, SubmitRequest } from '../node/face.ts'

/**
 * @param path of the plan file, as given
 * @param repo `--repo`: a directory, or `none`
 * @throws ORCH_GIT_NOT_REPO when the plan changes files and there is no repository
 */
export function submissionOf(cwd: string, path: string, plan: Plan, repo: string | undefined): SubmitRequest {
  const repository = repositoryOf(cwd, resolve(cwd, path), plan, repo)
  return {
    name: plan.name,
    tasks: plan.tasks,
    merge: plan.merge,
    ...(repository !== undefined && { repository }),
    ...(repository !== undefined && plan.base !== undefined && { base: plan.base }),
  }
}

/** The flag, what the plan names (from where the file lies), or where the command runs if that is a repository. */
function repositoryOf(cwd: string, file: string, plan: Plan, flag: string | undefined): string | undefined {
  if (flag === 'none') return undefined
  if (flag !== undefined) return resolve(cwd, flag)
  if (plan.repo !== undefined) return resolve(dirname(file), plan.repo)
  for (let dir = cwd; ; dir = dirname(dir)) {
    if (existsSync(join(dir, '.git'))) return cwd
    if (dirname(dir) === dir) break
  }
  const needsFiles =
    plan.merge.verify !== undefined ||
    plan.base !== undefined ||
    plan.tasks.some(([, { scope, check }]) => (scope && scope.write.length > 0) || check !== undefined)
  if (needsFiles)
    throw new OrchError('ORCH_GIT_NOT_REPO', `${cwd} is in no git repository, and the plan changes files`, {
      context: { cwd },
    })
  return undefined
}

export interface SubmitOptions {
  /** Too much is pending: ask again instead of failing. */
  readonly wait: boolean
  readonly onWait: (message: string) => void
  readonly signal: AbortSignal
}

/** @throws ORCH_CANCELLED when the signal aborts first; the node may take the run all the same */
export async function submit(
  face: NodeFace,
  request: SubmitRequest,
  { wait, onWait, signal }: SubmitOptions,
): Promise<SubmitAnswer> {
  for (let told = false; ; told = true) {
    try {
      return await unlessAborted(face.submit(request), signal)
    } catch (error) {
      if (!wait || !isOrchError(error) || error.code !== 'ORCH_BACKPRESSURE') throw error
      if (!told) onWait(error.message)
      await unlessAborted(pause(BACKPRESSURE_LOOK_MS), signal)
    }
  }
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () =>
      reject(
        new OrchError('ORCH_CANCELLED', 'interrupted before the run was submitted', {
          hint: 'see with `orch-node runs` whether it was taken',
        }),
      )
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
