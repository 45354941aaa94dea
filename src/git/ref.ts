/** Names of our refs, all generated from checked ids (threat model X12). `REFS.md` lists what each holds. */
import { OrchError } from '../core/error.ts'
import { type AttemptId, isRunId, type NodeId, type Oid, type RunId, readAttemptId } from '../core/id.ts'
import { isOid } from './object.ts'

export function assertOid(text: string): asserts text is Oid {
  if (!isOid(text)) throw new OrchError('ORCH_BUG', `not an object id: ${JSON.stringify(text)}`)
}

function checkedRun(run: RunId): RunId {
  if (!isRunId(run)) throw new OrchError('ORCH_BUG', `not a run id: ${JSON.stringify(run)}`)
  return run
}

/** Pins a commit that work starts from. */
export function baseRef(oid: Oid): string {
  assertOid(oid)
  return `refs/orch/base/${oid}`
}

/** The run's history. A later term has its own; the earlier one is kept. */
export function headRef(run: RunId, term = 1): string {
  return `refs/orch/heads/${checkedRun(run)}${term > 1 ? `-t${term}` : ''}`
}

/** The commit that was last given to the person's repository as `orch/<run>`. */
export function publishedRef(run: RunId): string {
  return `refs/orch/published/${checkedRun(run)}`
}

/** `run/task/round.epoch-incarnation`, the last eight characters of it tell process lives apart. */
function attemptPath(id: AttemptId): string {
  const at = readAttemptId(id)
  if (!at) throw new OrchError('ORCH_BUG', `not an attempt id: ${JSON.stringify(id)}`)
  return `${at.run}/${at.task}/${at.round}.${at.epoch}-${at.incarnation.slice(-8)}`
}

/** The attempt's work as it counts. */
export function workRef(id: AttemptId): string {
  return `refs/orch/runs/${attemptPath(id)}`
}

/** All of its work, when files outside the scope were left out of the one above. */
export function untrimmedRef(id: AttemptId): string {
  return `refs/orch/untrimmed/${attemptPath(id)}`
}

/** The commits that the worker made itself, when they could be read. */
export function rawRef(id: AttemptId): string {
  return `refs/orch/raw/${attemptPath(id)}`
}

/** What a ref of an attempt held before the same attempt was collected again. */
export function replacedRef(oid: Oid): string {
  assertOid(oid)
  return `refs/orch/replaced/${oid}`
}

/** The history of a run as its integrator, another node, last showed it to this one. */
export function peerHeadRef(node: NodeId, run: RunId): string {
  if (!/^[1-9A-HJ-NP-Za-km-z]{20,64}$/.test(node))
    throw new OrchError('ORCH_BUG', `not a node id: ${JSON.stringify(node)}`)
  return `refs/orch/peer/${node}/heads/${checkedRun(run)}`
}

/** The person's branch that shows the run. */
export function runBranch(run: RunId): string {
  return `orch/${checkedRun(run)}`
}
