/** The end of a run's life: finished, archived after a while, forgotten (SPEC LC). */
import { give } from './admit.ts'
import type { Archived } from './archive.ts'
import { CLUSTER_DOC, type RunId } from './id.ts'
import { TERM_GRACE_MS } from './limit.ts'
import type { NodeState } from './node-state.ts'
import type { RunState } from './run-state.ts'

/** A finished run is archived when it has been left alone for long enough; a retry in between begins anew. */
export function watchEnd(state: NodeState, run: RunState): void {
  const { archiveAfterMs } = state.options
  if (archiveAfterMs === undefined) return
  if (!run.finished) {
    state.finishedAt.delete(run.id)
    return
  }
  if (state.finishedAt.has(run.id)) return
  const since = state.now - (state.finishedFor[run.id] ?? 0)
  state.finishedAt.set(run.id, since)
  state.timer({ at: Math.max(since + archiveAfterMs, state.now), kind: 'archive', key: run.id })
}

/** The integrator says so for all, as one that others may hear of before they hear of the end itself. */
export function archiveDue(state: NodeState, id: RunId): void {
  const run = state.board.runs.get(id)
  const since = state.finishedAt.get(id)
  if (!run?.header || since === undefined || state.now < since + (state.options.archiveAfterMs ?? 0)) return
  if (!state.isIntegrator(run)) return
  const { creator, createdAt } = run.header
  state.put({
    doc: CLUSTER_DOC,
    collection: 'runs',
    key: `${id}/1`,
    body: { verb: 'archived', creator, createdAt },
  })
}

/** The board has forgotten these runs: so does the node. What still runs for them here is stopped, and its result is told to nobody. */
export function retire(state: NodeState, { ids, runs }: Archived): void {
  for (const run of runs) forget(state, run)
  for (const run of ids) {
    state.finishedAt.delete(run)
    state.effect({ type: 'archive', run })
  }
}

function forget(state: NodeState, run: RunState): void {
  for (const attempt of state.attempts.values()) {
    if (attempt.task.run !== run || attempt.stopping) continue
    attempt.stopping = 'superseded'
    state.effect({ type: 'stop', attempt: attempt.id, reason: 'cancelled', graceMs: TERM_GRACE_MS })
  }
  for (const [task, bid] of state.bids) {
    if (task.run !== run) continue
    state.bids.delete(task)
    give(state, task, bid.pool)
  }
  for (const [task, node] of state.holderOf) {
    if (task.run !== run) continue
    state.holderOf.delete(task)
    state.heldBy.get(node)?.delete(task)
  }
  for (const [key, { task }] of state.fetches) if (task.run === run) state.fetches.delete(key)
  for (const task of state.lacking) if (task.run === run) state.lacking.delete(task)
  // What is queued of it is stale: nothing of it is ready any more.
  state.jobs.delete(run.id)
  state.unmerged.delete(run.id)
  state.integrators.delete(run.id)
}
