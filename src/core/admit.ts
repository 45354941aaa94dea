/**
 * What a task needs of this node besides a free slot: capabilities, resources, its group's and its exclusive name's turn, files that nobody else writes (R8, R12,
 * R22, R23). Taken with the start, given back with the end, announced to those that wait.
 */
import { isComing, pendingDeltas } from './merge-base.ts'
import type { NodeState, Pool } from './node-state.ts'
import { allocate, release, shortage } from './quota.ts'
import { scopesMeet } from './scope-guard.ts'
import type { Resources } from './task.ts'
import type { TaskState } from './task-state.ts'

export interface Obstacle {
  /** What its release is announced under: the whole, or the part before `/`. */
  readonly key: string
  readonly reason: string
  /** It cannot run on this node at all. */
  readonly never?: boolean
}

/** Why a ready task may not start here now; `undefined` when it may. Slots are the caller's. */
export function admit(state: NodeState, task: TaskState): Obstacle | undefined {
  const { exclusive } = task.spec!
  if (exclusive && task.run.header?.creator !== state.me) {
    // Alone it was admitted: that one node starts it at most once. Two sides of a partition would start it twice.
    return {
      key: 'exclusive',
      reason: `exclusive "${exclusive}" runs where it was submitted only`,
      never: true,
    }
  }
  const missing = task.spec!.capabilities?.find((c) => !state.options.capabilities.includes(c))
  if (missing) {
    return { key: 'capability', reason: `this node lacks the capability "${missing}"`, never: true }
  }
  return admitWorker(state, task)
}

/** The same for a worker that brings capabilities of its own. */
export function admitWorker(state: NodeState, task: TaskState): Obstacle | undefined {
  const spec = task.spec!
  const short = shortage(state.resources, spec.resources)
  if (short && !short.ever) {
    return { key: 'never', reason: `needs more ${short.name} than this node has`, never: true }
  }
  if (short) {
    const key = `${RESOURCE_KEY}/${signature(spec.resources!)}`
    return { key, reason: `waits for ${short.name} in use by other tasks` }
  }
  if (spec.exclusive && state.exclusives.has(spec.exclusive)) {
    return { key: `exclusive:${spec.exclusive}`, reason: `"${spec.exclusive}" is in use by another task` }
  }
  const group = groupKey(task)
  if (group && (state.groups.get(group) ?? 0) >= spec.group!.concurrency!) {
    return {
      key: `group:${group}`,
      reason: `its group "${spec.group!.name}" runs ${spec.group!.concurrency} at once`,
    }
  }
  const other = task.run.header?.repository && scopeObstacle(state, task)
  if (!other) return undefined
  // Tasks without a scope wait for the same: one that still has to wait speaks for all of them.
  const key = spec.scope ? scopeKey(task) : `${scopeKey(task)}/alone`
  return { key, reason: `may write the same files as "${other.id}", which is ${other.status}` }
}

const RESOURCE_KEY = 'resource'

function signature({ cpu, memoryBytes, gpu, quota }: Resources): string {
  return JSON.stringify([
    cpu,
    memoryBytes,
    gpu,
    Object.entries(quota ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
  ])
}

/** What was parked for the files of a task's run. */
export function scopeKey(task: TaskState): string {
  return `scope:${task.run.id}`
}

function groupKey(task: TaskState): string | undefined {
  const group = task.spec?.group
  return group?.concurrency === undefined ? undefined : `${task.run.id}/${group.name}`
}

/** A task of the same run that is running anywhere, or bid for here, and may write what this one writes. */
function scopeObstacle(state: NodeState, task: TaskState): TaskState | undefined {
  const meets = (other: TaskState): boolean =>
    other.run === task.run && other !== task && scopesMeet(task.spec!, other.spec!)
  for (const other of state.byTask.keys()) if (meets(other)) return other
  for (const other of state.bids.keys()) if (meets(other)) return other
  for (const other of state.holderOf.keys()) if (meets(other)) return other
  const queue = state.unmerged.get(task.run.id)
  if (!queue) return undefined
  // Finished and not integrated yet: started now, this one would be built without it, and conflict. Not so for what it is built on; and what cannot be
  // integrated before something else runs is not waited for, since that may be this one.
  const under = pendingDeltas(task)
  for (const other of queue) {
    if (meets(other) && (other.status === 'running' || (!under.includes(other) && isComing(other))))
      return other
  }
  return undefined
}

/** Keeps what is finished and not integrated: own work that nobody else holds yet, and provisional results with files. */
export function trackUnmerged(state: NodeState, task: TaskState): void {
  if (!task.run.header?.repository) return
  const own = task.status === 'running' && task.holder?.node === state.me ? task.holder.result : undefined
  const result = task.status === 'provisional' ? task.provisional?.result : own
  const waiting = state.unmerged.get(task.run.id)
  if (result?.head !== undefined) {
    if (waiting) waiting.add(task)
    else state.unmerged.set(task.run.id, new Set([task]))
  } else if (waiting?.delete(task)) {
    if (waiting.size === 0) state.unmerged.delete(task.run.id)
    state.ready.release(scopeKey(task))
  }
}

/** How many of those parked under `key`, of which `task` is the most urgent, to try again. */
export function roomFor(state: NodeState, key: string, task: TaskState): 'none' | 'one' | 'some' {
  // Scopes differ: what keeps one waiting says nothing of the next.
  if (key === scopeKey(task)) return 'some'
  return admit(state, task)?.key === key ? 'none' : 'one'
}

export function take(state: NodeState, task: TaskState, pool: Pool): void {
  const spec = task.spec!
  pool.running++
  allocate(state.resources, spec.resources)
  if (spec.exclusive) state.exclusives.add(spec.exclusive)
  const group = groupKey(task)
  if (group) state.groups.set(group, (state.groups.get(group) ?? 0) + 1)
}

/** Frees what `take` took and announces it to those that wait for it. */
export function give(state: NodeState, task: TaskState, pool: Pool): void {
  const spec = task.spec!
  pool.running--
  if (spec.resources) {
    release(state.resources, spec.resources)
    state.ready.release(RESOURCE_KEY)
  }
  if (spec.exclusive) {
    state.exclusives.delete(spec.exclusive)
    state.ready.release(`exclusive:${spec.exclusive}`)
  }
  const group = groupKey(task)
  if (group) {
    state.groups.set(group, (state.groups.get(group) ?? 1) - 1)
    state.ready.release(`group:${group}`)
  }
  if (task.run.header?.repository) state.ready.release(scopeKey(task))
}
