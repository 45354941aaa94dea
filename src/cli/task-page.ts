/** One task on one page. */
import type { AttemptSummary, TaskDetail } from '../node/face.ts'
import { count, showDuration } from './quantity.ts'
import { elapsedMs } from './run-model.ts'
import { paintStatus, type Style } from './style.ts'
import { formatTable } from './table.ts'
import { line, safe } from './text.ts'

const OUTPUT_LINES = 10

export function formatTask(task: TaskDetail, now: number, style: Style, columns: number | undefined): string {
  const { spec } = task
  const rows: string[][] = [
    ['task', `${task.run}/${task.id}${task.title ? `: ${line(task.title)}` : ''}`],
    ['status', `${task.status}${task.reason ? `: ${line(task.reason)}` : ''}`],
  ]
  if (task.explain && task.explain !== task.status && task.explain !== task.reason)
    rows.push(['why', line(task.explain)])
  rows.push(['kind', `${line(task.kind)}, priority ${task.priority}`])
  if (task.holder) rows.push(['holder', `${line(task.holder)}${timeOf(task, now)}`])
  if (task.activity || task.step !== undefined)
    rows.push([
      'now',
      [task.step === undefined ? '' : `step ${task.step}`, line(task.activity ?? '')]
        .filter((part) => part !== '')
        .join(' · '),
    ])
  if (task.needs.length > 0) rows.push(['needs', task.needs.join(', ')])
  if (task.dependants.length > 0) rows.push(['needed by', task.dependants.join(', ')])
  if (spec.scope) rows.push(['writes', spec.scope.write.map(line).join(', ') || 'nothing'])
  if (spec.check) rows.push(['check', line(spec.check)])
  if (task.commit)
    rows.push(['commit', `${task.commit}${task.files === undefined ? '' : `, ${count(task.files, 'file')}`}`])
  const parts = [
    formatTable(
      [
        { title: '', paint: (cell) => style.dim(cell) },
        {
          title: '',
          flexible: true,
          paint: (cell, row) => (row === 1 ? paintStatus(style, task.status)(cell) : cell),
        },
      ],
      rows,
      columns,
    ),
  ]
  if (task.attemptList.length > 0) parts.push(attempts(task.attemptList, columns))
  for (const reject of task.rejects)
    parts.push(`rejected in round ${reject.round} (${reject.why}): ${line(reject.reason)}`)
  const work = spec.prompt ?? spec.run
  if (work) parts.push(`${spec.prompt === undefined ? 'runs' : 'prompt'}:\n${indent(safe(work).trimEnd())}`)
  const output = task.attemptList.at(-1)?.excerpt
  if (output)
    parts.push(`last output:\n${indent(safe(output).trimEnd().split('\n').slice(-OUTPUT_LINES).join('\n'))}`)
  return parts.join('\n\n')
}

function timeOf(task: TaskDetail, now: number): string {
  const ms = elapsedMs(task, now)
  return ms === undefined ? '' : `, ${showDuration(ms)}`
}

function attempts(list: readonly AttemptSummary[], columns: number | undefined): string {
  const rows = list.map((attempt) => {
    const { startedAt, endedAt } = attempt
    return [
      `${attempt.round}.${attempt.epoch}`,
      attempt.outcome ?? 'running',
      startedAt !== undefined && endedAt !== undefined ? showDuration(endedAt - startedAt) : '',
      attempt.files === undefined ? '' : count(attempt.files, 'file'),
      attempt.workspaceMs === undefined ? '' : `${Math.round(attempt.workspaceMs)} ms`,
      attempt.exit === undefined || attempt.exit === 0 || attempt.reason?.includes(`exit ${attempt.exit}`)
        ? ''
        : `exit ${attempt.exit}`,
      line(attempt.reason ?? ''),
    ]
  })
  return formatTable(
    [
      { title: 'attempt' },
      { title: 'outcome' },
      { title: 'time', side: 'right' },
      { title: 'changed' },
      { title: 'clone made in', side: 'right' },
      { title: '' },
      { title: '', flexible: true },
    ],
    rows,
    columns,
  )
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ')
}
