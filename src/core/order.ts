/** Orders of people: what may be ordered in which state, and what the fact says. Refusals name the state and the way out. */
import type { Order } from './fact.ts'
import { orderRun } from './finish.ts'
import type { InputOf, Refusal, Reply } from './input.ts'
import type { NodeState } from './node-state.ts'
import type { TaskStatus } from './status.ts'
import type { TaskState } from './task-state.ts'

const OK: Reply = { ok: true }

export function giveOrder(state: NodeState, input: InputOf<'order'>): Reply {
  const run = state.board.runs.get(input.run)
  if (!run?.header) return refuse('ORCH_NOT_FOUND', `there is no run "${input.run}"`)
  if (input.subject === '*') {
    const { order } = input
    if (order.verb === 'cancel' && run.finished)
      return refuse('ORCH_WRONG_STATE', `the run is ${run.status} already`)
    if (!['cancel', 'pause', 'resume', 'landed'].includes(order.verb))
      return refuse('ORCH_USAGE', `a run takes no order "${order.verb}"`)
    orderRun(state, run, order)
    return OK
  }
  const task = run.tasks.get(input.subject)
  if (!task?.spec) return refuse('ORCH_NOT_FOUND', `run ${run.id} has no task "${input.subject}"`)
  return orderTask(state, task, input.order)
}

const RETRYABLE: readonly TaskStatus[] = ['failed', 'cancelled', 'blocked', 'held', 'skipped']

function orderTask(state: NodeState, task: TaskState, order: Order): Reply {
  switch (order.verb) {
    case 'cancel':
      if (task.status === 'accepted') return wrong(task, 'accepted work stays accepted')
      return write(state, task, order)
    case 'retry': {
      if (task.run.cancelled) return wrong(task, 'its run was cancelled: submit it again')
      if (task.status === 'dropped')
        return wrong(task, `${task.reason ?? 'a need failed'}: retry that one, this follows by itself`)
      if (!RETRYABLE.includes(task.status))
        return wrong(task, 'only failed, cancelled, blocked, held and skipped tasks can be retried')
      return write(state, task, { ...order, round: task.round + 1 })
    }
    case 'block':
      return write(state, task, { ...order, round: task.round })
    case 'pause':
    case 'resume':
    case 'unblock':
    case 'prioritize':
      return write(state, task, order)
    default:
      return refuse('ORCH_USAGE', `a task takes no order "${order.verb}"`)
  }
}

function write(state: NodeState, task: TaskState, order: Order): Reply {
  state.put({
    doc: task.run.id,
    collection: 'orders',
    key: `${task.id}/${task.orderVersion + 1}`,
    body: order,
  })
  return OK
}

function wrong(task: TaskState, why: string): Refusal {
  return refuse('ORCH_WRONG_STATE', `task ${task.name} is ${task.status}: ${why}`, { status: task.status })
}

export function refuse(code: Refusal['code'], message: string, context?: Refusal['context']): Refusal {
  return context ? { ok: false, code, message, context } : { ok: false, code, message }
}
