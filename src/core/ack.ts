/**
 * Whether a result outlives its author (DESIGN 5): one whose objects are on the author's disk only releases nothing until another member says that it holds them. Until then
 * the attempt counts as running.
 */
import type { Entry } from './claim.ts'
import type { NodeId, Oid } from './id.ts'
import type { TaskState } from './task-state.ts'

/** Its success counts: there are no objects, or they are elsewhere too, or where the run is integrated. */
export function isShared(task: TaskState, entry: Entry): boolean {
  const { result } = entry
  if (result?.unshared !== true || result.head === undefined || !task.run.header?.repository) return true
  return entry.node === task.run.integrator || holdersOf(task, entry).length > 0
}

/** A success that nobody else holds: it keeps its epoch as a running attempt would, and may be voided like one. */
export function isUnshared(task: TaskState, entry: Entry): boolean {
  return entry.result?.outcome === 'done' && !isShared(task, entry)
}

/** Members other than the author that hold the objects of a result. */
export function holdersOf(task: TaskState, entry: Entry): NodeId[] {
  const holders: NodeId[] = []
  for (const { round, epoch, node, by } of task.acks) {
    if (round === entry.round && epoch === entry.epoch && node === entry.node && by !== node) holders.push(by)
  }
  return holders
}

export function holds(task: TaskState, entry: Entry, node: NodeId): boolean {
  return entry.node === node || holdersOf(task, entry).includes(node)
}

/** Where the objects of a result can be had, the surest first. */
export function sourcesOf(task: TaskState, entry: Entry, me: NodeId): readonly NodeId[] {
  const holders = holdersOf(task, entry).sort()
  const { integrator } = task.run
  const first = integrator !== undefined && holders.includes(integrator) ? [integrator] : []
  return [...new Set([...first, entry.node, ...holders])].filter((node) => node !== me)
}

const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/

/** The work of another node names commits that can be asked for; anything else would keep the merge queue from ever going on. */
export function hasWork(entry: Entry): boolean {
  const { base, head } = entry.result ?? {}
  return isOid(base) && isOid(head)
}

function isOid(value: Oid | undefined): boolean {
  return typeof value === 'string' && OID.test(value)
}
