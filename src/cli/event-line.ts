/** One event of a task as one line. */
import type { TaskEvent } from '../core/event.ts'
import { shortNode } from '../core/id.ts'
import { showClock } from './quantity.ts'
import { line } from './text.ts'

export function eventLine(event: TaskEvent): string {
  return `${showClock(event.at)} ${event.run}/${event.task} ${event.type}${details(event)}`
}

function details(event: TaskEvent): string {
  switch (event.type) {
    case 'created':
      return event.title ? `: ${line(event.title)}` : ''
    case 'assigned':
    case 'started':
      return ` on ${shortNode(event.agent)} (${event.round}.${event.epoch})`
    case 'progress-updated':
      return `: ${line(event.handoff.current_focus)}`
    case 'blocked':
      return `: ${line(event.reason)}${event.blockers.length > 0 ? ` (by ${event.blockers.join(', ')})` : ''}`
    case 'unblocked':
      return ''
    case 'completed':
      return ` as ${event.position}${event.commit ? ` (${event.commit.slice(0, 7)})` : ''}`
    case 'failed':
      return `: ${line(event.error)}`
    case 'reassigned':
      return ` from ${shortNode(event.from)} to ${shortNode(event.to)}: ${line(event.reason)}`
    default:
      return event satisfies never
  }
}
