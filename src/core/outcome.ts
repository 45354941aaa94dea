/** What the end of a process and the work it left mean (R35): pure, so that every node would say the same. */
import type { AttemptEnd, Handoff, Result } from './attempt.ts'
import type { ErrorCode } from './error.ts'
import type { DurationMs, Oid } from './id.ts'
import type { TaskSpec } from './task.ts'
import { TASK_DEFAULT } from './task.ts'

/** The work of an attempt as the git edge collected it. */
export interface CollectedWork {
  readonly base: Oid
  readonly head: Oid
  readonly files: number
  readonly paths: readonly string[]
  /** Changed paths outside the scope. They are in `head` unless the task's policy trims them. */
  readonly outside: readonly string[]
  /** The tree was refused: why. */
  readonly hostile?: string
}

/**
 * The result of an attempt. `exit 0` is not enough: work outside of its scope, an empty result where the plan refuses it, and a stream that says
 * otherwise are failures.
 */
export function resultOf(
  spec: TaskSpec,
  end: AttemptEnd,
  work: CollectedWork | undefined,
  handoff: Handoff | undefined,
  workspaceMs?: DurationMs,
): Result {
  if (!work && !handoff && workspaceMs === undefined && isPlainSuccess(end)) return plainSuccess(end)
  const common = {
    ...(end.exit === null ? {} : { exit: end.exit }),
    ...(end.signal ? { signal: end.signal } : {}),
    ...(work
      ? { base: work.base, head: work.head, files: work.files, paths: work.paths.slice(0, PATHS_MAX) }
      : {}),
    ...(handoff ? { handoff } : {}),
    usage: {
      ...end.usage,
      wallMs: Math.max(0, end.endedAt - end.startedAt),
      ...(workspaceMs === undefined ? {} : { workspaceMs }),
    },
    ...(end.excerpt ? { excerpt: end.excerpt } : {}),
    ...(end.value === undefined ? {} : { value: end.value }),
  }
  const failed = (reason: string, error: ErrorCode): Result => ({
    ...common,
    outcome: 'failed',
    reason,
    error,
  })
  if (end.lost) return { ...common, outcome: 'lost', reason: 'its process is gone and left no record' }
  if (end.spawnError) return failed(`could not be started: ${end.spawnError}`, 'ORCH_COMMAND_MISSING')
  if (end.stopped === 'timed-out')
    return { ...common, outcome: 'timed-out', reason: 'timed out', error: 'ORCH_TIMEOUT' }
  if (end.stopped === 'memory') return failed('used more memory than its `resources` allow', 'ORCH_RESOURCE')
  if (end.stopped === 'stalled') return failed('stalled', 'ORCH_FAILED')
  if (end.stopped) return { ...common, outcome: 'cancelled', reason: end.stopped }
  if (end.finished && !end.finished.ok)
    return failed(end.finished.reason ?? 'the worker says it failed', 'ORCH_FAILED')
  // A function in this process has no exit code: that it returned is its success.
  const returned = end.exit === null && end.signal === undefined && end.finished?.ok === true
  if (end.exit === 127) return failed('exit 127: command not found', 'ORCH_COMMAND_MISSING')
  if (end.exit === null && !returned) return failed(`ended by signal ${end.signal ?? '?'}`, 'ORCH_FAILED')
  if (end.exit === 137) return failed('exit 137: killed, often for want of memory', 'ORCH_FAILED')
  if (end.exit !== 0 && !returned) return failed(`exit ${end.exit}`, 'ORCH_FAILED')
  if (work?.hostile) return failed(`refused: ${work.hostile}`, 'ORCH_GIT_HOSTILE')
  if (work && work.outside.length > 0 && (spec.onOutside ?? TASK_DEFAULT.onOutside) === 'refuse') {
    return failed(
      `changed ${list(work.outside)} outside of its scope ${(spec.scope?.write ?? []).join(', ')}`,
      'ORCH_SCOPE',
    )
  }
  if (work && work.files === 0 && (spec.onEmpty ?? TASK_DEFAULT.onEmpty) === 'reject') {
    return failed('exit 0, but no file was changed', 'ORCH_FAILED')
  }
  const trimmed =
    work && work.outside.length > 0 ? { reason: `left out ${list(work.outside)}: outside of its scope` } : {}
  // The last output of a success is in its log; a fact for each would only be weight.
  const { excerpt: _, ...rest } = common
  return { ...rest, ...trimmed, outcome: 'done' }
}

/** A success with nothing to say but its value and its time: what ten thousand functions a second come to. */
function isPlainSuccess(end: AttemptEnd): boolean {
  return (
    end.exit === 0 &&
    end.finished?.ok !== false &&
    !end.signal &&
    !end.lost &&
    !end.spawnError &&
    !end.stopped &&
    !end.usage
  )
}

function plainSuccess({ value, startedAt, endedAt }: AttemptEnd): Result {
  const usage = { wallMs: Math.max(0, endedAt - startedAt) }
  return value === undefined
    ? { exit: 0, usage, outcome: 'done' }
    : { exit: 0, usage, value, outcome: 'done' }
}

/** Paths kept in a result. */
const PATHS_MAX = 50

function list(paths: readonly string[]): string {
  const shown = paths.slice(0, 3).join(', ')
  return paths.length > 3 ? `${shown} and ${paths.length - 3} more` : shown
}
