/** What became of a run: for people, and as an exit code. */
import { ERRORS } from '../core/error.ts'
import { REPORT_FAILURES_MAX, REPORT_ROWS_MAX } from '../core/limit.ts'
import type { TaskStatus } from '../core/status.ts'
import type { ConflictItem, NodeFace, RunSummary, TaskDetail, TaskSummary } from '../node/face.ts'
import { count, showDuration } from './quantity.ts'
import { elapsedMs, type RunModel } from './run-model.ts'
import { markOf, paintStatus, type Style } from './style.ts'
import { type Column, formatTable } from './table.ts'
import { line, safe } from './text.ts'

export interface RunEnd {
  readonly run: RunSummary
  /** Conflicts that nobody settled. */
  readonly conflicts: readonly ConflictItem[]
  /** Of tasks that failed or wait for a person, the first ones. */
  readonly details: readonly TaskDetail[]
}

const TOLD: readonly TaskStatus[] = ['failed', 'blocked', 'held']
const OUTPUT_LINES = 8

/** Asks the node for what a report needs beyond the summaries. */
export async function readEnd(face: NodeFace, model: RunModel, run: RunSummary): Promise<RunEnd> {
  const told = model
    .ordered()
    .filter(({ status }) => TOLD.includes(status))
    .slice(0, REPORT_FAILURES_MAX)
  const [conflicts, details] = await Promise.all([
    run.status === 'complete' ? [] : face.conflicts({ run: run.id }),
    Promise.all(told.map(({ id }) => face.task({ task: `${run.id}/${id}` }))),
  ])
  return { run, conflicts, details }
}

/** 0 complete · what its problem says · 10 partial · 9 conflicts left · 1 failed, or waits for a person · 130 cancelled. */
export function exitOfRun({ run, conflicts }: Pick<RunEnd, 'run' | 'conflicts'>): number {
  const { status, problem } = run
  if (status === 'cancelled') return ERRORS.ORCH_CANCELLED.exit
  if (status === 'stuck') return conflicts.length > 0 ? ERRORS.ORCH_CONFLICT.exit : ERRORS.ORCH_FAILED.exit
  if (problem && problem.code !== 'ORCH_PARTIAL') return ERRORS[problem.code].exit
  if (status === 'partial') return ERRORS.ORCH_PARTIAL.exit
  return status === 'complete' ? 0 : ERRORS.ORCH_FAILED.exit
}

export function formatReport(
  model: RunModel,
  end: RunEnd,
  style: Style,
  columns: number | undefined,
): string {
  const { run } = end
  const parts = [taskTable(model, style, columns)]
  for (const detail of end.details) parts.push(failure(run, detail, style))
  if (end.conflicts.length > 0)
    parts.push(end.conflicts.map((conflict) => conflictLine(conflict, style)).join('\n'))
  parts.push(resultLines(model, end, style).join('\n'))
  return parts.filter((part) => part !== '').join('\n')
}

function taskTable(model: RunModel, style: Style, columns: number | undefined): string {
  const all = model.ordered()
  // Of a very long run, what did not go well is what one looks for.
  const isGood = ({ status }: TaskSummary) => status === 'accepted' || status === 'passed'
  const shown =
    all.length <= REPORT_ROWS_MAX ? all : all.filter((task) => !isGood(task)).slice(0, REPORT_ROWS_MAX)
  const rows = shown.map((task) => {
    const ms = task.attempts > 0 ? elapsedMs(task, task.endedAt ?? 0) : undefined
    const attempts = task.attempts > 1 ? `${task.attempts} attempts` : ''
    return [
      `  ${markOf(task.status)}`,
      task.id,
      line(task.holder ?? ''),
      ms === undefined ? '' : showDuration(ms),
      task.files === undefined || (task.files === 0 && !isGood(task)) ? '' : count(task.files, 'file'),
      attempts,
      isGood(task) ? '' : `${task.status}${task.reason ? `: ${line(task.reason)}` : ''}`,
    ]
  })
  const paint = (cell: string, at: number) => paintStatus(style, shown[at]!.status)(cell)
  const head: Column[] = [
    { title: '', paint },
    { title: '' },
    { title: '' },
    { title: '', side: 'right' },
    { title: '' },
    { title: '' },
    { title: '', flexible: true },
  ]
  // Columns in which nobody has a word are left out.
  const used = head.map((_, k) => rows.some((row) => row[k] !== ''))
  const table = formatTable(
    head.filter((_, k) => used[k]),
    rows.map((row) => row.filter((_, k) => used[k])),
    columns,
  )
  const rest = all.length - shown.length
  return rest > 0 ? `${table}${table === '' ? '' : '\n'}  … and ${rest} more` : table
}

function failure(run: RunSummary, task: TaskDetail, style: Style): string {
  const lines = [
    `${paintStatus(style, task.status)(markOf(task.status))} ${style.bold(task.id)} ${task.status}: ${line(task.reason ?? task.explain)}`,
  ]
  // A rejection opens a round: the last one speaks of the last attempt, whatever round is open now.
  const last = task.attemptList.at(-1)
  const reject = task.rejects.filter(({ round }) => round >= (last?.round ?? 0)).at(-1)
  const output = reject?.output ?? last?.excerpt
  if (output) lines.push(...outputLines(output, style))
  const name = `${run.id}/${task.id}`
  if (task.status === 'failed')
    lines.push(`  see: orch-node task logs ${name}    again: orch-node task retry ${name}`)
  return lines.join('\n')
}

/** The end of what a worker or a gate printed. */
function outputLines(output: string, style: Style): readonly string[] {
  const all = safe(output).trimEnd().split('\n')
  return all.slice(-OUTPUT_LINES).map((text) => style.dim(`    ${text}`))
}

export function conflictLine(conflict: ConflictItem, style: Style): string {
  const paths = conflict.paths.slice(0, 3).map(line).join(', ')
  const more = conflict.paths.length > 3 ? ` and ${conflict.paths.length - 3} more` : ''
  return `${style.yellow('conflict')} ${conflict.task} with ${conflict.with.join(', ') || 'the base'}: ${paths}${more}`
}

function resultLines(model: RunModel, end: RunEnd, style: Style): readonly string[] {
  const { run, conflicts } = end
  const done = model.count('accepted', 'passed', 'skipped')
  const lines: string[] = []
  const gate = run.merge.verify
    ? ` · verify: ${line(run.merge.verify)} ${run.problem?.code === 'ORCH_GATE' ? style.red('failed') : 'passed'}`
    : ''
  const verified = run.status === 'complete' || run.status === 'partial' ? gate : ''
  if (run.branch)
    lines.push(
      `integrated ${done}/${model.tasks.size} → ${run.branch} (${(run.commit ?? '').slice(0, 7)})${verified}`,
    )
  else if (run.status === 'complete') lines.push(`done ${done}/${model.tasks.size}`)
  if (run.problem) {
    lines.push(`${style.red('problem:')} ${line(run.problem.message)}`)
    if (run.problem.output) lines.push(...outputLines(run.problem.output, style))
    lines.push(`next: ${ERRORS[run.problem.code].hint}`)
  }
  if (run.landed) lines.push(`landed on ${run.landed.branch} (${run.landed.commit.slice(0, 7)})`)
  else if (run.branch && !run.problem) lines.push(`land it with: orch-node land ${run.id}`)
  if (run.status === 'stuck') {
    lines.push(
      `run ${run.id} waits for a person: ${conflicts.length > 0 ? `${count(conflicts.length, 'conflict')} to settle` : 'nothing can go on by itself'}`,
    )
    for (const task of end.details) lines.push(...advice(run, task))
  } else if (run.status !== 'complete')
    lines.push(`run ${run.id} ${run.status}: ${done} of ${count(model.tasks.size, 'task')} done`)
  return lines
}

/** Who must decide, and how. */
function advice(run: RunSummary, task: TaskDetail): readonly string[] {
  const name = `${run.id}/${task.id}`
  if (task.status === 'blocked')
    return [`  ${task.id} was blocked by its worker: when that is settled, orch-node task unblock ${name}`]
  if (task.status === 'held')
    return [
      `  ${task.id} is held: orch-node task retry ${name} starts it again, orch-node task cancel ${name} gives it up`,
    ]
  return []
}

export function headLine(run: RunSummary, tasks: number, style: Style, slots?: number): string {
  return `run ${style.bold(run.id)} · ${count(tasks, 'task')}${slots === undefined ? '' : ` · up to ${slots} at once`}`
}
