/** Turns what the schema says against a value into problems in plain words, and keeps the good parts of the value. */
import type { z } from 'zod'
import { nearestName } from '../core/nearest.ts'
import { didYouMean, type PlanPath, quote } from '../core/plan-refusal.ts'

/** Told of each problem, with the path from the root of the file. `at`: what the place is of. */
export type ShapeReport = (
  path: PlanPath,
  code: 'unknown-key' | 'missing-key' | 'wrong-type' | 'bad-value',
  message: string,
  at: 'key' | 'value',
  hint?: string,
) => void

export interface Shaped<T> {
  /** Without the parts that are wrong; `undefined` when nothing is left of it. */
  readonly data: T | undefined
  readonly wrong: boolean
}

type Issue = z.core.$ZodIssue

/** Stands for "the schema has no words of its own for this". */
const OURS = '\0'

export function readShape<T>(
  schema: z.ZodType<T>,
  value: unknown,
  path: PlanPath,
  report: ShapeReport,
): Shaped<T> {
  // The keys that would have been right are known to the schema alone, and only while it parses.
  const allowed = new WeakMap<readonly string[], readonly string[]>()
  const error: z.core.$ZodErrorMap = (issue) => {
    if (issue.code === 'unrecognized_keys') {
      const def = (issue.inst as z.core.$ZodType | undefined)?._zod.def as { shape?: object } | undefined
      allowed.set(issue.keys, Object.keys(def?.shape ?? {}))
    }
    return OURS
  }
  const first = schema.safeParse(value, { error })
  if (first.success) return { data: first.data, wrong: false }
  const bad = new Set<string>()
  for (const issue of first.error.issues) {
    tell(issue, value, [], path, allowed, report)
    if (issue.path.length > 0) bad.add(String(issue.path[0]))
    else if (issue.code === 'unrecognized_keys') for (const key of issue.keys) bad.add(key)
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value) || bad.size === 0)
    return { data: undefined, wrong: true }
  const rest = Object.assign(Object.create(null) as Record<string, unknown>, value)
  for (const key of bad) delete rest[key]
  const second = schema.safeParse(rest)
  return { data: second.success ? second.data : undefined, wrong: true }
}

function tell(
  issue: Issue,
  root: unknown,
  before: PlanPath,
  base: PlanPath,
  allowed: WeakMap<readonly string[], readonly string[]>,
  report: ShapeReport,
): void {
  const inner = [...before, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))]
  const path = [...base, ...inner]
  const value = valueAt(root, inner)
  const ours = issue.message === OURS
  const got = value === undefined ? '' : `, found ${describe(value)}`
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const key of issue.keys) {
        const known = allowed.get(issue.keys) ?? []
        const near = nearestName(key, known)
        const hint =
          didYouMean(near) ??
          (known.length > 0 && known.length <= 8 ? `known here: ${known.join(', ')}` : undefined)
        report([...path, key], 'unknown-key', `unknown key ${quote(key)}`, 'key', hint)
      }
      return
    case 'invalid_union': {
      // Speak of the one alternative that has the right type, if there is one.
      const fitting = issue.errors.filter(
        (branch) => !branch.some((each) => each.path.length === 0 && isTypeIssue(each)),
      )
      if (fitting.length === 1) {
        for (const each of fitting[0]!) tell(each, root, inner, base, allowed, report)
        return
      }
      report(
        path,
        'wrong-type',
        ours ? `not a value that can stand here${got}` : `${issue.message}${got}`,
        'value',
      )
      return
    }
    case 'invalid_type':
      if (value === undefined)
        report(path, 'missing-key', `the key ${quote(String(inner.at(-1) ?? ''))} is missing`, 'key')
      else
        report(
          path,
          'wrong-type',
          `${ours ? `expected ${NOUNS[issue.expected] ?? issue.expected}` : issue.message}${got}`,
          'value',
        )
      return
    case 'invalid_value': {
      const values = issue.values.map(String)
      const near = typeof value === 'string' ? nearestName(value, values) : undefined
      report(
        path,
        'bad-value',
        `${ours ? `expected ${values.join(', ')}` : issue.message}${got}`,
        'value',
        didYouMean(near),
      )
      return
    }
    case 'too_small':
    case 'too_big': {
      const side = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`
      const of = issue.origin === 'array' ? ' entries' : issue.origin === 'string' ? ' characters' : ''
      report(path, 'bad-value', `expected ${side}${of}${got}`, 'value')
      return
    }
    case 'invalid_key':
      report(
        path,
        'bad-value',
        `${quote(String(inner.at(-1)))} cannot stand here: ${issue.issues[0]?.message ?? 'not a name'}`,
        'key',
      )
      return
    default:
      report(path, 'bad-value', `${ours ? 'not a value that can stand here' : issue.message}${got}`, 'value')
  }
}

function isTypeIssue(issue: Issue): boolean {
  return issue.code === 'invalid_type' || issue.code === 'invalid_value'
}

const NOUNS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
}

function describe(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  if (typeof value === 'number') return `the number ${value}`
  if (typeof value === 'boolean') return `the switch ${value}`
  return quote(String(value as string))
}

function valueAt(root: unknown, path: PlanPath): unknown {
  let value = root
  for (const part of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}
