/** What is wrong in a file that a person wrote, with its place, and how that is shown. */
import { PROBLEMS_SHOWN_MAX } from '../core/limit.ts'

export interface Problem {
  readonly severity: 'error' | 'warning'
  /** Stable, kebab-case, for scripts. */
  readonly code: string
  readonly message: string
  /** For example `tasks.math.needs[1]`; empty for the whole file. */
  readonly path: string
  /** From 1. */
  readonly line: number
  readonly column: number
  readonly hint?: string
  /** Set when the value came from an option (`--set defaults.timeout`), not from the file. */
  readonly origin?: string
}

const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_-]*$/

/** `['tasks', 'math', 'needs', 1]` → `tasks.math.needs[1]`. */
export function showPath(path: readonly (string | number)[]): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else if (PLAIN_KEY.test(part)) text += text === '' ? part : `.${part}`
    else text += `[${JSON.stringify(part.length > 60 ? `${part.slice(0, 57)}...` : part)}]`
  }
  return text
}

/**
 * One line per problem: `plan.yaml:12:5  error  unknown key "need" (did you mean "needs"?)`, and a line that counts them. Empty text for no
 * problems. At most `max` are shown.
 */
export function formatProblems(
  fileName: string,
  problems: readonly Problem[],
  max = PROBLEMS_SHOWN_MAX,
): string {
  if (problems.length === 0) return ''
  const lines = problems.slice(0, max).map(({ severity, message, line, column, hint, origin }) => {
    const place = origin ?? `${fileName}:${line}:${column}`
    return `${place}  ${severity}  ${message}${hint === undefined ? '' : ` (${hint})`}`
  })
  if (problems.length > max) lines.push(`… and ${problems.length - max} more`)
  const errors = problems.filter((problem) => problem.severity === 'error').length
  const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? '' : 's'}`
  lines.push(`${count(errors, 'error')}, ${count(problems.length - errors, 'warning')}`)
  return lines.join('\n')
}
