/** Colours, and the marks of states. Neither carries meaning that the words beside it do not. */
import picocolors from 'picocolors'
import type { RunStatus } from '../core/run-state.ts'
import type { TaskStatus } from '../core/status.ts'
import type { Sink } from './world.ts'

export type Style = ReturnType<typeof picocolors.createColors>

/** `NO_COLOR` wins, then `FORCE_COLOR`; else colours are for terminals that are not dumb. */
export function createStyle(sink: Sink, env: Readonly<Record<string, string | undefined>>): Style {
  return picocolors.createColors(hasColour(sink, env))
}

function hasColour(sink: Sink, env: Readonly<Record<string, string | undefined>>): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0'
  return sink.isTerminal && env.TERM !== 'dumb'
}

/** ✓ over and good, ● at work, ○ waits, ✗ failed, ⊘ will not run, ◐ done but not integrated, ‖ held by somebody. */
const MARKS: Readonly<Record<TaskStatus, string>> = {
  unknown: '○',
  waiting: '○',
  ready: '○',
  claimed: '●',
  running: '●',
  provisional: '◐',
  accepted: '✓',
  skipped: '⊘',
  passed: '✓',
  failed: '✗',
  dropped: '⊘',
  cancelled: '⊘',
  paused: '‖',
  blocked: '‖',
  held: '‖',
}

export function markOf(status: TaskStatus): string {
  return MARKS[status]
}

export function paintStatus(style: Style, status: TaskStatus): (text: string) => string {
  switch (status) {
    case 'accepted':
    case 'passed':
      return style.green
    case 'failed':
    case 'dropped':
      return style.red
    case 'claimed':
    case 'running':
    case 'provisional':
      return style.cyan
    case 'paused':
    case 'blocked':
    case 'held':
      return style.yellow
    default:
      return style.dim
  }
}

export function paintRun(style: Style, status: RunStatus): (text: string) => string {
  if (status === 'complete') return style.green
  if (status === 'failed') return style.red
  return status === 'partial' || status === 'stuck' || status === 'paused' ? style.yellow : style.cyan
}
