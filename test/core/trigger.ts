/** By which trigger of the transition table a fact moves a task: its own, or the change of something that the task looks at. */
import type { Fact } from '../../src/core/fact.ts'
import type { TaskTrigger } from '../../src/core/status.ts'

export function triggerOf(fact: Fact, task: string): TaskTrigger {
  const subject = fact.collection === 'runs' ? '*' : fact.key.split('/')[0]
  if (subject !== task && subject !== '*') return 'need'
  switch (fact.collection) {
    case 'runs':
    case 'specs':
      return 'spec'
    case 'claims':
      return 'claim'
    case 'starts':
      return 'start'
    case 'results':
      return fact.body.outcome === 'done'
        ? 'success'
        : fact.body.outcome === 'failed' || fact.body.outcome === 'timed-out'
          ? 'failure'
          : 'release'
    case 'voids':
      return 'void'
    case 'acks':
      return 'ack'
    case 'accepts':
      return 'accept'
    case 'rejects':
      return 'reject'
    case 'orders':
      switch (fact.body.verb) {
        case 'cancel':
        case 'retry':
        case 'pause':
        case 'resume':
        case 'block':
        case 'unblock':
        case 'adopt':
          return fact.body.verb
        default:
          return 'need'
      }
    default:
      return 'need'
  }
}
