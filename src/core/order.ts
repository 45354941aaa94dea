/** Orders of people: what may be ordered in which state, and what the fact says. Refusals name the state and the way out. */
import type { Order } from './fact.ts'
import { orderRun } from './finish.ts'
import { knownHistory } from './history.ts'
import type { InputOf, Refusal, Reply } from './input.ts'
import type { NodeState } from './node-state.ts'
import type { RunState } from './run-state.ts'
import type { TaskStatus } from './status.ts'
import type { OrderOf, TaskState } from './task-state.ts'

const OK: Reply = { ok: true }

export function giveOrder(state: NodeState, input: InputOf<'order'>): Reply {
  const run = state.board.runs.get(input.run)
  if (!run?.header) return refuse('ORCH_NOT_FOUND', `there is no run "${input.run}"`)
  if (input.subject === '*') {
    const { order } = input
    if (order.verb === 'cancel' && run.finished)
      return refuse('ORCH_WRONG_STATE', `the run is ${run.status} already`)
    if (order.verb === 'adopt') return adoptRun(state, run, order)
    if (!['cancel', 'pause', 'resume', 'landed'].includes(order.verb))
      return refuse('ORCH_USAGE', `a run takes no order "${order.verb}"`)
    if (order.verb === 'landed' && !state.isIntegrator(run))
      return refuse('ORCH_WRONG_STATE', `run ${run.id} is landed by its integrator ${run.integrator}`, {
        integrator: run.integrator,
      })
    orderRun(state, run, order)
    return OK
  }
  const task = run.tasks.get(input.subject)
  if (!task?.spec) return refuse('ORCH_NOT_FOUND', `run ${run.id} has no task "${input.subject}"`)
  return orderTask(state, task, input.order)
}

/** This node integrates the run from here on. What it does not know of the history is not in it any more: `cutoff` of the order is the most it may keep. */
function adoptRun(state: NodeState, run: RunState, order: OrderOf<'adopt'>): Reply {
  const cutoff = Math.min(order.cutoff, knownHistory(run))
  // Again only to give up what nobody has any more.
  if (state.isIntegrator(run) && cutoff >= run.lastPosition)
    return refuse('ORCH_WRONG_STATE', `this node integrates run ${run.id} already`)
  if (run.finished)
    return refuse('ORCH_WRONG_STATE', `run ${run.id} is ${run.status} already: nothing is left to integrate`)
  const { integrator } = run
  orderRun(state, run, {
    verb: 'adopt',
    term: run.term + 1,
    cutoff,
    ...(integrator === undefined ? {} : { of: integrator }),
    ...(order.reason === undefined ? {} : { reason: order.reason }),
  })
  return OK
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
