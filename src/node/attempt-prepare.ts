/** What stands on disk before a worker exists: its workspace, what it is told, and the record by which a later process finds it. */
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StartRequest } from '../core/effect.ts'
import { type ErrorCode, isOrchError } from '../core/error.ts'
import type { Input } from '../core/input.ts'
import { type AttemptRecord, machineTime, saveRecord } from './attempt-record.ts'
import type { AttemptWork } from './attempt-work.ts'

/** Objects of other members cannot be had now. */
const AWAY: readonly ErrorCode[] = ['ORCH_PEER_UNREACHABLE', 'ORCH_PEER_GONE', 'ORCH_CANCELLED']

/** It does not begin here now: what the core is told. */
export interface NotPrepared {
  readonly inputs: readonly Input[]
}

export async function prepareAttempt(
  work: AttemptWork,
  dir: string,
  request: StartRequest,
): Promise<AttemptRecord | NotPrepared> {
  const { id, slot, task, hints, handoff } = request
  await mkdir(join(dir, 'orch', 'inbox'), { recursive: true, mode: 0o700 })
  const made = await work.makeWorkspace(id, slot.run, task.kind, request.base).catch((error: unknown) => {
    // Whoever has what it builds on is away, or does not answer: no fault of the task, and no reason to try again at once.
    if (!isOrchError(error) || !AWAY.includes(error.code)) throw error
    return { missing: error.message }
  })
  if ('missing' in made) {
    const reason = made.missing
    return { inputs: [{ type: 'base-missing', attempt: id, reason }, released(id, reason)] }
  }
  if ('conflict' in made) {
    const reason = made.conflict
    return {
      inputs: [
        { type: 'base-conflict', attempt: id, reason },
        released(id, 'two results it needs do not merge'),
      ],
    }
  }
  const record: AttemptRecord = {
    v: 1,
    attempt: id,
    startedAt: Date.now(),
    ...machineTime(),
    token: randomBytes(24).toString('base64url'),
    ...(request.outside ? { outside: true as const } : {}),
    ...made,
    hints,
  }
  const whole = {
    ...slot,
    attempt: id,
    number: request.number,
    ...task,
    hints,
    handoff,
    neighbours: request.neighbours,
  }
  await writeFile(join(dir, 'task.json'), JSON.stringify(whole, null, 2))
  await saveRecord(dir, record)
  return record
}

function released(attempt: string, reason: string): Input {
  return { type: 'attempt-ended', attempt, result: { outcome: 'released', reason } }
}
