/** What is wrong with a plan, as a value: plan files, library submissions and planners get the same words. */
import type { TaskId } from './id.ts'

export type PlanPath = readonly (string | number)[]

export interface PlanRefusal {
  /** An error refuses the plan; a warning is only told. */
  readonly severity: 'error' | 'warning'
  /** Stable, kebab-case. */
  readonly code: string
  readonly message: string
  /** For example `['tasks', 'math', 'needs', 1]`. */
  readonly path: PlanPath
  /** What to do, or the nearest name. */
  readonly hint?: string
}

/** Collects the refusals of one plan, in the order found. */
export interface RefusalList {
  readonly all: PlanRefusal[]
  error(path: PlanPath, code: string, message: string, hint?: string): void
  warn(path: PlanPath, code: string, message: string, hint?: string): void
}

export function createRefusalList(): RefusalList {
  const all: PlanRefusal[] = []
  const add = (
    severity: PlanRefusal['severity'],
    path: PlanPath,
    code: string,
    message: string,
    hint?: string,
  ) =>
    void all.push(
      hint === undefined ? { severity, code, message, path } : { severity, code, message, path, hint },
    )
  return {
    all,
    error: (path, code, message, hint) => add('error', path, code, message, hint),
    warn: (path, code, message, hint) => add('warning', path, code, message, hint),
  }
}

/** Quoted for a message: cut to 60 characters, control characters escaped, so that no plan can write to a terminal. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text).replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** `a, b, c and 7 more`. */
export function listNames(names: readonly TaskId[], max = 5): string {
  const shown = names.slice(0, max).map(quote).join(', ')
  return names.length > max ? `${shown} and ${names.length - max} more` : shown
}

export function didYouMean(name: string | undefined): string | undefined {
  return name === undefined ? undefined : `did you mean ${quote(name)}?`
}
