/**
 * `--where 'status=ready and priority>=high and group!=docs and title~foo'`: which tasks are listed. Comparisons joined by `and`; values with spaces in quotes.
 */
import { nearestName } from '../core/nearest.ts'
import { TASK_STATUSES } from '../core/status.ts'
import { PRIORITIES, priorityLevel } from '../core/task.ts'
import type { TaskSummary } from '../node/face.ts'
import { usage } from './failure.ts'

type Operator = '=' | '!=' | '<' | '<=' | '>' | '>=' | '~'

interface Field {
  /** Compared as text, as number, or by its place in a list (later = more). */
  readonly kind: 'text' | 'number' | 'rank'
  /** The only values there are. */
  readonly values?: readonly string[]
  readonly of: (task: TaskSummary) => string | number | undefined
}

const text = (of: Field['of'], values?: readonly string[]): Field => ({
  kind: 'text',
  of,
  ...(values && { values }),
})
const number = (of: Field['of']): Field => ({ kind: 'number', of })

const FIELDS: Readonly<Record<string, Field>> = {
  id: text((t) => t.id),
  run: text((t) => t.run),
  title: text((t) => t.title),
  status: text((t) => t.status, TASK_STATUSES),
  kind: text((t) => t.kind),
  group: text((t) => t.group),
  holder: text((t) => t.holder),
  reason: text((t) => t.reason),
  priority: { kind: 'rank', values: PRIORITIES, of: (t) => t.priority },
  round: number((t) => t.round),
  epoch: number((t) => t.epoch),
  attempts: number((t) => t.attempts),
  failures: number((t) => t.failures),
  files: number((t) => t.files),
  step: number((t) => t.step),
  order: number((t) => t.order),
}

interface Comparison {
  readonly field: Field
  readonly operator: Operator
  readonly value: string
}

const TOKEN = /\s*(?:(!=|<=|>=|=|<|>|~)|"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s=!<>~"']+))/y

interface Token {
  readonly kind: 'operator' | 'word' | 'quoted'
  readonly text: string
  /** From 1. */
  readonly at: number
}

/** @throws ORCH_USAGE with the position */
export function parseWhere(source: string): (task: TaskSummary) => boolean {
  const comparisons: Comparison[] = []
  const tokens = tokenize(source)
  let next = 0
  const take = (expected: string, wanted: (token: Token) => boolean): Token => {
    const token = tokens[next]
    if (!token || !wanted(token))
      throw refuse(
        source,
        token?.at ?? source.length + 1,
        `expected ${expected}${token ? `, found ${JSON.stringify(token.text)}` : ''}`,
      )
    next++
    return token
  }
  for (;;) {
    const name = take('the name of a field', ({ kind }) => kind === 'word')
    const field = Object.hasOwn(FIELDS, name.text) ? FIELDS[name.text]! : undefined
    if (!field) {
      const near = nearestName(name.text, Object.keys(FIELDS))
      throw refuse(
        source,
        name.at,
        `there is no field ${JSON.stringify(name.text)}${near ? ` (did you mean "${near}"?)` : `; there are ${Object.keys(FIELDS).join(', ')}`}`,
      )
    }
    const operator = take('one of = != < <= > >= ~', ({ kind }) => kind === 'operator')
    const value = take('a value', ({ kind }) => kind !== 'operator')
    comparisons.push({
      field,
      operator: operator.text as Operator,
      value: check(source, field, operator, value),
    })
    if (next === tokens.length) break
    take('"and"', ({ kind, text }) => kind === 'word' && text.toLowerCase() === 'and')
  }
  return (task) => comparisons.every((comparison) => holds(comparison, task))
}

function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < source.trimEnd().length) {
    const from = TOKEN.lastIndex
    const match = TOKEN.exec(source)
    if (!match) {
      const at = from + /^\s*/.exec(source.slice(from))![0].length + 1
      throw refuse(source, at, `${JSON.stringify(source[at - 1])} cannot be read here`)
    }
    const [all, operator, double, single, word] = match
    const at = from + all.length - all.trimStart().length + 1
    if (operator !== undefined) tokens.push({ kind: 'operator', text: operator, at })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at })
    else tokens.push({ kind: 'quoted', text: double?.replace(/\\(.)/g, '$1') ?? single!, at })
  }
  return tokens
}

function check(source: string, field: Field, operator: Token, value: Token): string {
  const ordered =
    operator.text === '<' || operator.text === '<=' || operator.text === '>' || operator.text === '>='
  if (ordered && field.kind === 'text')
    throw refuse(source, operator.at, `${JSON.stringify(operator.text)} is for numbers and priorities`)
  if (operator.text === '~') return value.text.toLowerCase()
  if (field.kind === 'number' && !/^\d+$/.test(value.text))
    throw refuse(source, value.at, `expected a number, found ${JSON.stringify(value.text)}`)
  if (field.values && !field.values.includes(value.text)) {
    const near = nearestName(value.text, field.values)
    throw refuse(
      source,
      value.at,
      `${JSON.stringify(value.text)} is none of ${field.values.join(', ')}${near ? ` (did you mean "${near}"?)` : ''}`,
    )
  }
  return value.text
}

function holds({ field, operator, value }: Comparison, task: TaskSummary): boolean {
  const found = field.of(task)
  // A task that has none is different from every value, and neither more nor less.
  if (found === undefined) return operator === '!='
  if (operator === '~') return String(found).toLowerCase().includes(value)
  if (operator === '=') return String(found) === value
  if (operator === '!=') return String(found) !== value
  const [a, b] =
    field.kind === 'rank'
      ? [priorityLevel(found as TaskSummary['priority']), priorityLevel(value as TaskSummary['priority'])]
      : [Number(found), Number(value)]
  if (operator === '<') return a < b
  if (operator === '<=') return a <= b
  return operator === '>' ? a > b : a >= b
}

function refuse(source: string, at: number, message: string) {
  return usage(
    `--where, position ${at}: ${message}\n  ${source}\n  ${' '.repeat(at - 1)}^`,
    "for example --where 'status=ready and priority>=high'",
  )
}
