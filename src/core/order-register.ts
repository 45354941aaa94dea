/**
 * Orders as registers of tasks and runs: of each kind the one with the largest (version, author) counts, in whatever order they arrive. A version counts when it is within
 * `VERSION_JUMP_MAX` of those before it: a far-future one waits until the others have come as far, and cannot own a register.
 */
import type { Order } from './fact.ts'
import type { Author } from './id.ts'
import { VERSION_JUMP_MAX } from './limit.ts'
import type { RunState } from './run-state.ts'
import { watchBlockers } from './spec-choice.ts'
import { type OrderOf, type OrderRecord, type Register, supersedes, type TaskState } from './task-state.ts'

/** Rounds that orders may open: a far-future one would leave no round to retry in. */
const ORDERED_ROUND_MAX = 1_000

interface Subject {
  orderVersion: number
  parked: readonly OrderRecord[]
}

/** The orders that count from now on: this one, or none; and those that it brought within reach. */
function reached(subject: Subject, record: OrderRecord): readonly OrderRecord[] {
  if (record.n > subject.orderVersion + VERSION_JUMP_MAX) {
    const isKnown = subject.parked.some((p) => p.n === record.n && sameLife(p.author, record.author))
    if (!isKnown) subject.parked = [...subject.parked, record].sort((a, b) => a.n - b.n)
    return []
  }
  subject.orderVersion = Math.max(subject.orderVersion, record.n)
  const counting = [record]
  for (let next = subject.parked[0]; next && next.n <= subject.orderVersion + VERSION_JUMP_MAX; ) {
    subject.parked = subject.parked.slice(1)
    subject.orderVersion = Math.max(subject.orderVersion, next.n)
    counting.push(next)
    next = subject.parked[0]
  }
  return counting
}

function sameLife(a: Author, b: Author): boolean {
  return a.node === b.node && a.incarnation === b.incarnation
}

/** False when a task takes no such order. */
export function takeTaskOrder(task: TaskState, order: Order, n: number, author: Author): boolean {
  // One that is refused has its version all the same: the next one comes after it.
  for (const record of reached(task, { n, author, order }))
    if (isTaskOrder(record.order)) putTaskOrder(task, record)
  return isTaskOrder(order)
}

function isTaskOrder(order: Order): boolean {
  switch (order.verb) {
    case 'retry':
      return Number.isSafeInteger(order.round) && order.round <= ORDERED_ROUND_MAX
    case 'cancel':
    case 'pause':
    case 'resume':
    case 'block':
    case 'unblock':
    case 'prioritize':
      return true
    default:
      return false
  }
}

function putTaskOrder(task: TaskState, { order, n, author }: OrderRecord): void {
  switch (order.verb) {
    case 'retry':
      task.retryRound = Math.max(task.retryRound, order.round)
      if (supersedes(task.retryHint, n, author)) task.retryHint = { n, author, value: order }
      if (supersedes(task.life, n, author)) task.life = { n, author, value: order }
      return
    case 'cancel':
      if (supersedes(task.life, n, author)) task.life = { n, author, value: order }
      return
    case 'pause':
    case 'resume':
      if (supersedes(task.pause, n, author)) task.pause = { n, author, value: order }
      return
    case 'block':
    case 'unblock':
      if (supersedes(task.block, n, author)) task.block = { n, author, value: order }
      watchBlockers(task)
      return
    case 'prioritize':
      if (supersedes(task.prioritized, n, author)) task.prioritized = { n, author, value: order }
      return
    default:
  }
}

type Moved = 'tasks' | 'run' | 'refused'

/** What it may change: tasks too, only the run, or nothing because a run takes no such order. */
export function takeRunOrder(run: RunState, order: Order, n: number, author: Author): Moved {
  let moved: Moved = isRunOrder(order) ? 'run' : 'refused'
  for (const record of reached(run, { n, author, order })) {
    if (isRunOrder(record.order) && putRunOrder(run, record) === 'tasks') moved = 'tasks'
  }
  return moved
}

function isRunOrder(order: Order): boolean {
  switch (order.verb) {
    case 'adopt':
      return isCount(order.term - 1) && isCount(order.cutoff + 1)
    case 'cancel':
    case 'pause':
    case 'resume':
    case 'close':
    case 'landed':
    case 'verified':
      return true
    default:
      return false
  }
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 1
}

function putRunOrder(run: RunState, record: OrderRecord): Exclude<Moved, 'refused'> {
  const { order, n, author } = record
  switch (order.verb) {
    case 'cancel':
      if (supersedes(run.life, n, author)) run.life = { n, author, value: order }
      return 'tasks'
    case 'pause':
    case 'resume':
      if (supersedes(run.pause, n, author)) run.pause = { n, author, value: order }
      return 'tasks'
    case 'adopt': {
      const { term, cutoff, of } = order
      if (run.adopts.some((a) => a.n === n && sameLife(a.author, author))) return 'run'
      run.adopts = [...run.adopts, { n, author, term, cutoff, of }]
      run.reckon()
      reckonEnd(run)
      return 'tasks'
    }
    default:
      if (!run.endings.some((e) => e.n === n && sameLife(e.author, author)))
        run.endings = [...run.endings, record]
      reckonEnd(run)
      return 'run'
  }
}

/** The end of a run is told by its integrators: what anybody else says of it does not count, whenever it is learnt who they are. */
export function reckonEnd(run: RunState): void {
  run.closing = latest(run, 'close')
  run.landed = latest(run, 'landed')
  run.verified = latest(run, 'verified')
}

function latest<V extends 'close' | 'landed' | 'verified'>(
  run: RunState,
  verb: V,
): Register<OrderOf<V>> | undefined {
  let held: Register<OrderOf<V>> | undefined
  for (const { n, author, order } of run.endings) {
    if (order.verb !== verb || !run.integrators.has(author.node)) continue
    if (supersedes(held, n, author)) held = { n, author, value: order as OrderOf<V> }
  }
  return held
}
