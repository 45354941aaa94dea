/** One line per change of a run, for logs and pipes. */
import type { TaskId } from '../core/id.ts'
import type { RunSummary, TaskSummary } from '../node/face.ts'
import { count, showDuration } from './quantity.ts'
import { elapsedMs, type TaskChange } from './run-model.ts'
import { line } from './text.ts'

export interface LineOptions {
  readonly now: number
  /** Attempts that a task may have; unknown when the run was submitted elsewhere. */
  readonly attemptsMax: (task: TaskId) => number | undefined
  /** What is known of the attempt that just failed. */
  readonly failure?: { readonly reason?: string; readonly restS?: number }
}

/** An attempt failed, and there will be another. */
export function isRetried({ before, after }: TaskChange): boolean {
  return (
    before !== undefined &&
    after.failures > before.failures &&
    after.round === before.round &&
    after.status !== 'failed'
  )
}

/** What happened to a task, in words; several things when updates were gathered. */
export function taskLines({ before, after }: TaskChange, options: LineOptions): readonly string[] {
  const { id, status } = after
  const reason = after.reason ? `: ${line(after.reason)}` : ''
  const lines: string[] = []
  if (before === undefined) {
    // The first word on a task: news only if something goes on, or went wrong before anybody looked.
    if (status === 'running' || status === 'claimed') lines.push(`started ${id}${attemptOf(after)}`)
    else if (isOut(status)) lines.push(...endLines(after, options))
    return lines
  }
  if (after.round > before.round && !isOut(after.status))
    lines.push(
      `again ${id}${before.reason && after.reason !== before.reason ? `: ${line(before.reason)}` : reason}`,
    )
  if (after.attempts > before.attempts) lines.push(`started ${id}${attemptOf(after)}`)
  if (isRetried({ before, after })) {
    const why = options.failure?.reason ?? after.reason
    const rest = options.failure?.restS
    const again = rest === undefined ? 'will be tried again' : `again in ${rest} s`
    lines.push(`failed ${id}${why ? `: ${line(why)}` : ''}${triesOf(after, options)}, ${again}`)
  }
  if (status !== before.status) lines.push(...endLines(after, options, before))
  return lines
}

function endLines(after: TaskSummary, options: LineOptions, before?: TaskSummary): readonly string[] {
  const { id, status } = after
  const reason = after.reason ? `: ${line(after.reason)}` : ''
  switch (status) {
    case 'provisional':
    case 'accepted': {
      if (before?.status === 'provisional' && before.round === after.round) return []
      const files = after.files === undefined ? '' : ` ${count(after.files, 'file')}`
      const ms = elapsedMs(after, options.now)
      return [`done ${id}${files}${ms === undefined ? '' : ` ${showDuration(ms)}`}`]
    }
    case 'failed':
      return [`failed ${id}${reason}${triesOf(after, options)}`]
    case 'dropped':
    case 'skipped':
    case 'cancelled':
    case 'paused':
    case 'blocked':
    case 'held':
      return [`${status} ${id}${reason}`]
    default:
      return []
  }
}

function isOut(status: TaskSummary['status']): boolean {
  return (
    status === 'failed' ||
    status === 'dropped' ||
    status === 'blocked' ||
    status === 'held' ||
    status === 'paused'
  )
}

function attemptOf(task: TaskSummary): string {
  return task.attempts > 0 ? ` (attempt ${task.attempts})` : ''
}

function triesOf(task: TaskSummary, { attemptsMax }: LineOptions): string {
  const max = attemptsMax(task.id)
  return max === undefined || max <= 1 || task.failures === 0
    ? ''
    : ` (attempt ${Math.min(task.failures, max)} of ${max})`
}

/** What happened to the run as a whole. */
export function runLines(before: RunSummary | undefined, after: RunSummary): readonly string[] {
  const lines: string[] = []
  if (after.integrating !== before?.integrating && after.integrating)
    lines.push(`integrating: ${line(after.integrating)}`)
  if (before && after.status !== before.status && (after.status === 'paused' || before.status === 'paused')) {
    lines.push(after.status === 'paused' ? 'the run is paused' : 'the run goes on')
  }
  return lines
}
