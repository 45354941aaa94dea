/** A run on a terminal, redrawn in place. */
import { stripVTControlCharacters } from 'node:util'
import { FRAME_MS } from '../core/limit.ts'
import { isFinal, type TaskStatus } from '../core/status.ts'
import type { TaskSummary } from '../node/face.ts'
import { count, showDuration } from './quantity.ts'
import { elapsedMs, type RunModel } from './run-model.ts'
import { createStyle, markOf, paintStatus, type Style } from './style.ts'
import { line, pad, truncate, width } from './text.ts'
import type { World } from './world.ts'

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const NAME_COLUMNS_MAX = 32

export interface LiveView {
  /** Something changed: the next frame shows it. */
  touch(): void
  /** A line that stays, above the view. */
  print(text: string): void
  /** Takes the view away. Idempotent. */
  end(): void
}

export function createLiveView(world: World, model: RunModel, head: () => string): LiveView {
  const { stderr } = world
  const style = createStyle(stderr, world.env)
  let drawn = 0
  let ended = false
  let dirty = true
  let lastSecond = -1
  const erase = () => (drawn > 0 ? `\u001b[${drawn}A\u001b[0J` : '')
  const draw = () => {
    const lines = frame(
      model,
      head(),
      { now: world.now(), columns: stderr.columns, rows: stderr.rows },
      style,
    )
    void stderr.write(`${erase()}${lines.join('\n')}\n`)
    drawn = lines.length
    dirty = false
  }
  void stderr.write(HIDE_CURSOR)
  // Frames are paced here, whatever the rate of changes; clocks move once a second without any.
  const stop = world.every(FRAME_MS, () => {
    const second = Math.floor(world.now() / 1000)
    if (!dirty && second === lastSecond) return
    lastSecond = second
    draw()
  })
  return {
    touch() {
      dirty = true
    },
    print(text) {
      if (ended) return
      void stderr.write(`${erase()}${text}\n`)
      drawn = 0
      draw()
    },
    end() {
      if (ended) return
      ended = true
      stop()
      void stderr.write(`${erase()}${SHOW_CURSOR}`)
    },
  }
}

export interface Screen {
  readonly now: number
  readonly columns: number
  readonly rows: number
}

/** The lines of one frame: never more than the terminal has, never wider. */
export function frame(
  model: RunModel,
  head: string,
  { now, columns, rows }: Screen,
  style: Style,
): readonly string[] {
  const tasks = model.ordered()
  const room = Math.max(1, rows - 4)
  const shown = tasks.length <= room ? tasks : choose(tasks, room - 1)
  const names = Math.min(
    NAME_COLUMNS_MAX,
    shown.reduce((most, { id }) => Math.max(most, width(id)), 0),
  )
  const lines = [head, ...shown.map((task) => row(model, task, names, now, columns, style))]
  if (shown.length < tasks.length) lines.push(style.dim(`  … and ${tasks.length - shown.length} more`))
  lines.push(foot(model, style))
  return lines.map((text) => cutLine(text, columns))
}

/** What goes on or went wrong first, then what comes next, then what is over; shown in the order of the plan. */
function choose(tasks: readonly TaskSummary[], room: number): readonly TaskSummary[] {
  const rank = ({ status }: TaskSummary) => {
    if (status === 'running' || status === 'claimed') return 0
    if (status === 'failed' || status === 'blocked' || status === 'held') return 1
    if (status === 'provisional' || status === 'ready') return 2
    return isFinal(status) ? 4 : 3
  }
  return [...tasks]
    .sort(
      (a, b) =>
        rank(a) - rank(b) || (rank(a) === 4 ? (b.endedAt ?? 0) - (a.endedAt ?? 0) : a.order - b.order),
    )
    .slice(0, room)
    .sort((a, b) => a.order - b.order)
}

function row(
  model: RunModel,
  task: TaskSummary,
  names: number,
  now: number,
  columns: number,
  style: Style,
): string {
  const paint = paintStatus(style, task.status)
  const ms = elapsedMs(task, now)
  const name = pad(truncate(task.id, names), names)
  const holder = pad(line(task.holder ?? ''), 8)
  const time = pad(ms === undefined || task.attempts === 0 ? '' : showDuration(ms), 6, 'left')
  const start = `  ${markOf(task.status)} ${name}  ${holder}  ${time}  `
  const rest = truncate(what(model, task), Math.max(0, columns - 1 - width(start)))
  return `  ${paint(markOf(task.status))} ${name}  ${style.dim(holder)}  ${time}  ${rest}`
}

function what(model: RunModel, task: TaskSummary): string {
  const { status } = task
  if (status === 'running' || status === 'claimed') {
    const step = task.step === undefined ? [] : [`step ${task.step}`]
    return [...step, ...(task.activity ? [line(task.activity)] : [])].join(' · ')
  }
  if (status === 'waiting') {
    const open = model.openNeeds(task)
    return open.length > 0
      ? `waits for ${open.slice(0, 3).join(', ')}${open.length > 3 ? ` and ${open.length - 3} more` : ''}`
      : 'waits'
  }
  if (status === 'accepted') return task.files === undefined ? '' : count(task.files, 'file')
  if (status === 'provisional')
    return `${task.files === undefined ? '' : `${count(task.files, 'file')} · `}to be integrated`
  return `${status}${task.reason ? `: ${line(task.reason)}` : ''}`
}

const GROUPS: readonly (readonly [string, readonly TaskStatus[]])[] = [
  ['done', ['accepted', 'passed', 'skipped']],
  ['to integrate', ['provisional']],
  ['running', ['claimed', 'running']],
  ['ready', ['ready']],
  ['waiting', ['waiting', 'unknown']],
  ['held', ['paused', 'blocked', 'held']],
  ['failed', ['failed', 'dropped']],
  ['cancelled', ['cancelled']],
]

/** `3 done · 1 running · 1 waiting`. */
export function countLine(model: RunModel): string {
  const parts = GROUPS.flatMap(([name, statuses]) => {
    const n = model.count(...statuses)
    return n > 0 ? [`${n} ${name}`] : []
  })
  return parts.join(' · ')
}

function foot(model: RunModel, style: Style): string {
  const { run } = model
  const state = run?.integrating
    ? ` · integrating: ${line(run.integrating)}`
    : run && run.status !== 'running'
      ? ` · ${run.status}`
      : ''
  return style.dim(`  ${countLine(model)}${state}`)
}

/** Cuts what `row` did not; colours stay whole because only plain lines are cut. */
function cutLine(text: string, columns: number): string {
  const plain = stripVTControlCharacters(text)
  return width(plain) < columns ? text : truncate(plain, columns - 1)
}
