/** What other members may ask of this node directly (DESIGN 8): raw output and events of what it ran, and to take nothing new. All else they read on the board. */
import { OrchError } from '../core/error.ts'
import type { Role } from '../core/fact.ts'
import { isRunId, isTaskId, type NodeId, readAttemptId } from '../core/id.ts'
import type { Json } from '../core/task.ts'
import type { CallMethod } from '../net/call-serve.ts'
import type { FaceHistory, OwnEvents, OwnLogs } from './face-history.ts'

export interface HandsHost {
  readonly history: FaceHistory
  roleOf(node: NodeId): Role | 'none'
  drain(deadlineMs: number | undefined): Promise<void>
  undrain(): Promise<void>
}

type Fields = Readonly<Record<string, Json | undefined>>

export function handsOf(host: HandsHost): Readonly<Record<string, CallMethod>> {
  const asAdmin = (peer: NodeId): void => {
    const role = host.roleOf(peer)
    if (role !== 'admin')
      throw new OrchError('ORCH_ROLE', `only an admin may do that; the role of the asking node is ${role}`)
  }
  return {
    logs: (params, { signal }) =>
      host.history.ownLogs(readLogs(fields(params)), signal) as AsyncIterable<never>,
    attemptEvents: (params, { signal }) =>
      host.history.ownEvents(readEvents(fields(params)), signal) as AsyncIterable<never>,
    drain: async (params, { peer }) => {
      asAdmin(peer)
      const { deadlineMs } = fields(params)
      await host.drain(typeof deadlineMs === 'number' && deadlineMs >= 0 ? deadlineMs : undefined)
      return null
    },
    undrain: async (_params, { peer }) => {
      asAdmin(peer)
      await host.undrain()
      return null
    },
  }
}

function readLogs({ attempt, offset, follow }: Fields): OwnLogs {
  if (typeof attempt !== 'string' || !readAttemptId(attempt)) throw wrong('attempt')
  if (!Number.isSafeInteger(offset) || (offset as number) < 0) throw wrong('offset')
  return { attempt, offset: offset as number, follow: follow === true }
}

function readEvents({ of, since, follow }: Fields): OwnEvents {
  const rest = {
    follow: follow === true,
    ...(Number.isSafeInteger(since) ? { since: since as number } : {}),
  }
  if (typeof of === 'string') {
    if (!readAttemptId(of)) throw wrong('of')
    return { of, ...rest }
  }
  const { run, task } = fields(of ?? null)
  if (typeof run !== 'string' || typeof task !== 'string' || !isRunId(run) || !isTaskId(task))
    throw wrong('of')
  return { of: { run, task }, ...rest }
}

function fields(params: Json): Fields {
  if (typeof params !== 'object' || params === null || Array.isArray(params)) throw wrong('params')
  return params as Fields
}

function wrong(name: string): OrchError {
  return new OrchError('ORCH_USAGE', `\`${name}\` is missing or no such thing`)
}
