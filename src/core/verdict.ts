/** Facts about results and epochs, as a task keeps them: each once, in any order. True when it was new. */
import type { Accept, Reject, VoidReason } from './fact.ts'
import { type Author, isSameAuthor, type NodeId, type Slot } from './id.ts'
import type { TaskState } from './task-state.ts'

type At = Pick<Slot, 'round' | 'epoch'>

export function takeVoid(task: TaskState, { round, epoch }: At, why: VoidReason): boolean {
  if (task.voids.some((v) => v.round === round && v.epoch === epoch && v.why === why)) return false
  task.voids = [...task.voids, { round, epoch, why }]
  return true
}

/** The last part of its key is a term, and epochs are read like terms. */
export function takeAccept(task: TaskState, slot: At, accept: Accept, author: Author): boolean {
  const { round, epoch: term } = slot
  if (task.accepts.some((a) => a.round === round && a.term === term && isSameAuthor(a.author, author)))
    return false
  const { epoch, by, position, commit } = accept
  const record = { round, term, epoch, by, position, author }
  task.accepts = [...task.accepts, commit === undefined ? record : { ...record, commit }]
  return true
}

/** @param node author of the result */
export function takeReject(
  task: TaskState,
  { round, epoch }: At,
  node: NodeId,
  reject: Reject,
  author: Author,
): boolean {
  const isKnown = task.rejects.some(
    (r) => r.round === round && r.epoch === epoch && r.node === node && isSameAuthor(r.author, author),
  )
  if (isKnown) return false
  task.rejects = [...task.rejects, { ...reject, round, epoch, node, author }]
  return true
}

/** @param node author of the result */
export function takeAck(task: TaskState, { round, epoch }: At, node: NodeId, by: NodeId): boolean {
  if (task.acks.some((a) => a.round === round && a.epoch === epoch && a.node === node && a.by === by))
    return false
  task.acks = [...task.acks, { round, epoch, node, by }]
  return true
}
