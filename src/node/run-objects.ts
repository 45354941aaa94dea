/** Which git objects of other members the parts of a run need, and who may have them. On a node without a cluster everything is here already. */
import { sourcesOf } from '../core/ack.ts'
import { attemptOf } from '../core/attempt-name.ts'
import type { Entry } from '../core/claim.ts'
import type { BaseRequest, EffectOf } from '../core/effect.ts'
import type { NodeId, Oid, RunId } from '../core/id.ts'
import type { RepositorySpec } from '../core/task.ts'
import type { TaskState } from '../core/task-state.ts'
import type { Want } from '../git/fetch.ts'
import type { Objects } from './objects.ts'

/** Before a workspace is made: the history of the run, its tip, and the results that it builds on. */
export async function needBase(
  objects: Objects,
  run: RunId,
  base: BaseRequest,
  signal?: AbortSignal,
): Promise<void> {
  const { repository, sources = [] } = base
  const options = signal ? { signal } : {}
  await needTip(objects, run, repository, base.tip, sources, options)
  for (const delta of base.deltas) {
    if (!delta.sources) continue
    const want: Want = { kind: 'work', commit: delta.head, attempt: delta.attempt }
    await objects.need(repository.id, [want], delta.sources, options)
  }
}

/** The commit that a run starts from, with its history, and its integrated tip. */
export async function needTip(
  objects: Objects,
  run: RunId,
  repository: RepositorySpec,
  tip: Oid,
  sources: readonly NodeId[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  if (sources.length === 0) return
  const wants: Want[] = [{ kind: 'base', commit: repository.base }]
  if (tip !== repository.base) wants.push({ kind: 'head', commit: tip, run, node: sources[0]! })
  await objects.need(repository.id, wants, sources, options)
}

/** The result of another node, to be kept here. */
export async function needResult(
  objects: Objects,
  effect: EffectOf<'fetch'>,
  signal: AbortSignal,
): Promise<void> {
  const { repository, attempt, head, sources } = effect
  const wants: Want[] = [
    { kind: 'base', commit: repository.base },
    { kind: 'work', commit: head, attempt },
  ]
  await objects.need(repository.id, wants, sources, { signal })
}

/** To look at what an attempt did. */
export async function needWork(objects: Objects, task: TaskState, entry: Entry, me: NodeId): Promise<void> {
  const repository = task.run.header?.repository
  const head = entry.result?.head
  const sources = sourcesOf(task, entry, me)
  if (!repository || !head || sources.length === 0) return
  const wants: Want[] = [
    { kind: 'base', commit: repository.base },
    { kind: 'work', commit: head, attempt: attemptOf(task, entry) },
  ]
  await objects.need(repository.id, wants, sources)
}
