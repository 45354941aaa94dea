/** What a worker is given at its start: the base to build on, what went wrong before, who works next to it. */
import { holds, sourcesOf } from './ack.ts'
import type { Result } from './attempt.ts'
import { attemptOf } from './attempt-name.ts'
import type { Entry } from './claim.ts'
import type { BaseRequest, SourcedDelta, StartRequest } from './effect.ts'
import type { AttemptId, NodeId, Slot, TaskId } from './id.ts'
import { deltaOf, pendingDeltas } from './merge-base.ts'
import type { NodeState } from './node-state.ts'
import type { RunState } from './run-state.ts'
import { TASK_DEFAULT } from './task.ts'
import type { TaskState } from './task-state.ts'

export function startRequest(state: NodeState, task: TaskState, slot: Slot, id: AttemptId): StartRequest {
  const spec = task.spec!
  const handoff = latestResult(task)?.handoff
  const base = baseRequest(state, task)
  return {
    id,
    slot,
    task: spec,
    number: task.failures + 1,
    hints: hintsFor(task),
    neighbours: neighboursOf(state, task),
    ...(handoff ? { handoff } : {}),
    ...(base ? { base } : {}),
    timeoutMs: spec.timeoutMs ?? TASK_DEFAULT.timeoutMs,
  }
}

const NONE: readonly never[] = Object.freeze([])

/** Only tasks with files have neighbours; those that run now, at most a screenful. */
function neighboursOf(state: NodeState, task: TaskState): StartRequest['neighbours'] {
  if (!task.run.header?.repository) return NONE
  const found: { task: TaskId; write: readonly string[] }[] = []
  for (const other of state.byTask.keys()) {
    if (other.run === task.run && other !== task && found.length < NEIGHBOURS_MAX) {
      found.push({ task: other.id, write: other.spec?.scope?.write ?? ['**'] })
    }
  }
  return found
}

const NEIGHBOURS_MAX = 20

function baseRequest(state: NodeState, task: TaskState): BaseRequest | undefined {
  const header = task.run.header
  const tip = task.run.tip()
  if (!header?.repository || !tip) return undefined
  return {
    repository: header.repository,
    tip,
    ...tipSources(state, task.run),
    deltas: pendingDeltas(task).map((need) => sourced(state, need)),
    date: header.createdAt,
  }
}

/** Its integrators made the tip; what they had accepted, others may have made again. */
export function tipSources(state: NodeState, run: RunState): { readonly sources?: readonly NodeId[] } {
  const made = run.terms.map((t) => t.integrator).reverse()
  if (made[0] === state.me && made.length === 1) return {}
  const sources = [...new Set([...made, ...state.live])].filter((node) => node !== state.me)
  return sources.length > 0 ? { sources } : {}
}

function sourced(state: NodeState, task: TaskState): SourcedDelta {
  const entry = task.provisional!
  const delta = { ...deltaOf(task), attempt: attemptOf(task, entry) }
  return holds(task, entry, state.me) ? delta : { ...delta, sources: sourcesOf(task, entry, state.me) }
}

/** What the next attempt should know of the ones before it (R57-R59): newest last. */
function hintsFor(task: TaskState): readonly string[] {
  const hints: { readonly round: number; readonly epoch: number; readonly text: string }[] = []
  for (const entry of task.entries) {
    const { result } = entry
    if (!result || result.outcome === 'done' || result.outcome === 'released') continue
    const why = result.reason ?? result.outcome
    const lines = [
      result.excerpt
        ? `An earlier attempt failed (${why}). Its last output:\n${result.excerpt}`
        : `An earlier attempt failed: ${why}`,
    ]
    if (result.hint) lines.push(result.hint)
    hints.push({ round: entry.round, epoch: entry.epoch, text: lines.join('\n') })
  }
  for (const reject of task.rejects) {
    const text = `An earlier result was rejected (${reject.why}): ${reject.reason}`
    hints.push({
      round: reject.round,
      epoch: Number.MAX_SAFE_INTEGER,
      text: reject.output ? `${text}\n${reject.output}` : text,
    })
  }
  const order = task.retryHint?.value.hint
  if (hints.length === 0) return order ? [order] : NONE
  hints.sort((a, b) => a.round - b.round || a.epoch - b.epoch)
  const said = hints.slice(-3).map((h) => h.text)
  return order ? [...said, order] : said
}

function latestResult(task: TaskState): Result | undefined {
  let latest: Entry | undefined
  for (const entry of task.entries) {
    if (!entry.result?.handoff) continue
    if (!latest || entry.round > latest.round || (entry.round === latest.round && entry.epoch > latest.epoch))
      latest = entry
  }
  return latest?.result
}
