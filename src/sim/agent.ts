/** An agent at work on a machine: a span of virtual time with an end. It outlives the node that began it. */
import type { Result } from '../core/attempt.ts'
import type { AttemptId, DurationMs, Millis, Oid, Slot } from '../core/id.ts'
import type { Appointment } from './timeline.ts'

export interface Agent {
  readonly attempt: AttemptId
  readonly slot: Slot
  readonly startedAt: Millis
  readonly base: Oid | undefined
  /** Does not listen when it is asked to end: it has to be killed. */
  readonly isDeaf: boolean
  outcome: 'done' | 'failed' | 'cancelled' | 'lost'
  end: Appointment
  /** When it ended; its record waits on the disk until a node reads it. */
  endedAt: Millis | undefined
}

/** What its node says of it. */
export function resultOf(agent: Agent, head: Oid | undefined, wallMs: DurationMs): Result {
  const usage = { wallMs }
  if (agent.outcome === 'done')
    return {
      outcome: 'done',
      usage,
      ...(agent.base === undefined || head === undefined ? {} : { base: agent.base, head, files: 1 }),
    }
  return {
    outcome: agent.outcome,
    usage,
    reason: agent.outcome === 'failed' ? 'exit 1' : `was ${agent.outcome}`,
    ...(agent.outcome === 'failed' ? { exit: 1 } : {}),
  }
}
