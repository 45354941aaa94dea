/** What follows from verdicts of supervision over all attempts of a task (R59): hint, another try, or the end with a post-mortem. */
import { OUTPUT_EXCERPT_BYTES } from './limit.ts'
import type { Rule, Verdict } from './supervise.ts'

/** One thing that supervision did to a task, over all its attempts. */
export interface Intervention {
  /** 1, 2, … */
  readonly attempt: number
  readonly rule: Rule
  readonly reason: string
  readonly action: Escalation
  /** Of the verdict: does not count here either. */
  readonly free?: boolean
  /** Last output at that moment. */
  readonly excerpt?: string
}

export type Escalation = 'hint' | 'cancel-and-retry' | 'fail'

/**
 * What to do about a verdict, given what was done to the task before (R59): hint into the running session → cancel, and retry with the hint →
 * fail with the post-mortem. A rule whose worker cannot listen any more (stall, timeout), and a worker that takes no hints, skip the first rung.
 *
 * @param takesHints a hint can reach the running worker
 */
export function escalate(
  history: readonly Intervention[],
  verdict: Verdict,
  takesHints: boolean,
): Escalation {
  if (verdict.free) return 'cancel-and-retry'
  const counted = history.filter((past) => past.free !== true)
  if (counted.some((past) => past.action !== 'hint')) return 'fail'
  const isHinted = counted.length > 0
  return verdict.action === 'hint' && takesHints && !isHinted ? 'hint' : 'cancel-and-retry'
}

/** Why a task was given up, for people and for whoever repairs it: each intervention, then the last output. At most `OUTPUT_EXCERPT_BYTES`. */
export function postMortem(history: readonly Intervention[]): string {
  const attempts = history.reduce((most, past) => Math.max(most, past.attempt), 0)
  const lines = [
    `given up after ${attempts} attempt${attempts === 1 ? '' : 's'}, ${history.length} intervention${history.length === 1 ? '' : 's'}:`,
  ]
  const shown = history.slice(-SHOWN_MAX)
  if (shown.length < history.length) lines.push(`  … ${history.length - shown.length} earlier ones`)
  for (const past of shown)
    lines.push(`  attempt ${past.attempt} · ${past.rule} · ${line(past.reason)} → ${past.action}`)
  const head = lines.join('\n')
  const excerpt = history.findLast((past) => past.excerpt !== undefined && past.excerpt !== '')?.excerpt
  if (excerpt === undefined) return head
  const title = '\nlast output:\n'
  return head + title + lastBytes(excerpt, OUTPUT_EXCERPT_BYTES - utf8Bytes(head) - title.length)
}

/** The end of a text that takes at most `max` bytes as UTF-8. */
function lastBytes(text: string, max: number): string {
  const points = Array.from(text)
  let from = points.length
  for (let bytes = 0; from > 0; from--) {
    bytes += utf8Bytes(points[from - 1]!)
    if (bytes > max) break
  }
  return points.slice(from).join('')
}

function utf8Bytes(text: string): number {
  let bytes = 0
  for (const point of text) {
    const code = point.codePointAt(0)!
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

const SHOWN_MAX = 6
const LINE_CHARS_MAX = 120

/** One line of at most `LINE_CHARS_MAX` characters. */
export function line(text: string): string {
  const flat = text.replace(/\s+/g, ' ').trim()
  return flat.length <= LINE_CHARS_MAX ? flat : `${flat.slice(0, LINE_CHARS_MAX - 1)}…`
}
