/** Orders as registers of tasks and runs: of each kind the one with the largest (version, author) counts, in whatever order they arrive. */
import type { Order } from './fact.ts'
import type { Author } from './id.ts'
import type { RunState } from './run-state.ts'
import { watchBlockers } from './spec-choice.ts'
import { supersedes, type TaskState } from './task-state.ts'

/** Rounds that orders may open: a far-future one would leave no round to retry in. */
const ORDERED_ROUND_MAX = 1_000

/** False when a task takes no such order. */
export function takeTaskOrder(task: TaskState, order: Order, n: number, author: Author): boolean {
  task.orderVersion = Math.max(task.orderVersion, n)
  switch (order.verb) {
    case 'cancel':
      if (supersedes(task.life, n, author)) task.life = { n, author, value: order }
      return true
    case 'retry':
      if (!Number.isSafeInteger(order.round) || order.round > ORDERED_ROUND_MAX) return false
      task.retryRound = Math.max(task.retryRound, order.round)
      if (supersedes(task.retryHint, n, author)) task.retryHint = { n, author, value: order }
      if (supersedes(task.life, n, author)) task.life = { n, author, value: order }
      return true
    case 'pause':
    case 'resume':
      if (supersedes(task.pause, n, author)) task.pause = { n, author, value: order }
      return true
    case 'block':
    case 'unblock':
      if (supersedes(task.block, n, author)) task.block = { n, author, value: order }
      watchBlockers(task)
      return true
    case 'prioritize':
      if (supersedes(task.prioritized, n, author)) task.prioritized = { n, author, value: order }
      return true
    case 'close':
    case 'landed':
    case 'verified':
      return false
  }
}

/** What it may change: tasks too, only the run, or nothing because a run takes no such order. */
export function takeRunOrder(
  run: RunState,
  order: Order,
  n: number,
  author: Author,
): 'tasks' | 'run' | 'refused' {
  run.orderVersion = Math.max(run.orderVersion, n)
  switch (order.verb) {
    case 'cancel':
      if (supersedes(run.life, n, author)) run.life = { n, author, value: order }
      return 'tasks'
    case 'pause':
    case 'resume':
      if (supersedes(run.pause, n, author)) run.pause = { n, author, value: order }
      return 'tasks'
    case 'close':
      if (supersedes(run.closing, n, author)) run.closing = { n, author, value: order }
      return 'run'
    case 'landed':
      if (supersedes(run.landed, n, author)) run.landed = { n, author, value: order }
      return 'run'
    case 'verified':
      if (supersedes(run.verified, n, author)) run.verified = { n, author, value: order }
      return 'run'
    case 'retry':
    case 'block':
    case 'unblock':
    case 'prioritize':
      return 'refused'
  }
}
