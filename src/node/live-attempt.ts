/** An attempt of a process or of an outside worker, as this node has it in hand. */
import { join } from 'node:path'
import type { AttemptEnd, AttemptSpec } from '../core/attempt.ts'
import type { StopReason } from '../core/effect.ts'
import type { AttemptId, DurationMs, Slot } from '../core/id.ts'
import type { TaskSpec } from '../core/task.ts'
import { buildEnvironment } from '../executor/environment.ts'
import type { RunningAttempt } from '../executor/executor.ts'
import { type AttemptRecord, attemptDir } from './attempt-record.ts'

/** What an outside worker says of its end by hand. */
export type SaidEnd = Pick<AttemptEnd, 'finished' | 'value' | 'stopped'>

export interface LiveAttempt {
  readonly id: AttemptId
  readonly slot: Slot
  readonly task: TaskSpec
  readonly dir: string
  record: AttemptRecord | undefined
  running: RunningAttempt | undefined
  stop: { readonly reason: StopReason; readonly graceMs: DurationMs } | undefined
  /** Latest word of the worker. */
  step: number | undefined
  activity: string | undefined
  /** Set for outside workers. */
  finish: ((end: SaidEnd) => void) | undefined
  /** Resolves when there is a workspace, or none could be made. */
  readonly prepared: Promise<void>
}

export function createLiveAttempt(
  dataDir: string,
  id: AttemptId,
  slot: Slot,
  task: TaskSpec,
  record: AttemptRecord | undefined,
  prepared: Promise<void>,
): LiveAttempt {
  return {
    id,
    slot,
    task,
    dir: attemptDir(dataDir, id),
    record,
    running: undefined,
    stop: undefined,
    step: undefined,
    activity: undefined,
    finish: undefined,
    prepared,
  }
}

/** It was stopped before there was anything to run. */
export function neverRan(reason: StopReason): AttemptEnd {
  const now = Date.now()
  return { exit: null, stopped: reason, startedAt: now, endedAt: now, outputBytes: 0, excerpt: '' }
}

/** What the worker gets: its task, its workspace, and the environment of CLI.md, nothing else of the node's. */
export function createSpec(
  attempt: LiveAttempt,
  record: AttemptRecord,
  timeoutMs: DurationMs,
  node: { readonly nodeId: string; readonly url: string | undefined; readonly keepEnv: readonly string[] },
): AttemptSpec {
  const { slot, task, dir, id } = attempt
  const env = buildEnvironment(
    process.env,
    task.env,
    {
      ORCH_RUN: slot.run,
      ORCH_TASK: slot.task,
      ORCH_ATTEMPT: id,
      ORCH_EPOCH: String(slot.epoch),
      ORCH_NODE_ID: node.nodeId,
      ORCH_TOKEN: record.token,
      ORCH_TASK_FILE: join(dir, 'task.json'),
      ORCH_DIR: join(dir, 'orch'),
      ...(node.url ? { ORCH_URL: node.url } : {}),
    },
    { keep: node.keepEnv },
  )
  return { id, slot, task, dir, workspace: record.workspace, env, timeoutMs, hints: record.hints }
}
