/** Values of options. */
import { Option } from 'commander'
import { ROLES } from '../../core/fact.ts'
import { readDuration } from '../../core/quantity.ts'
import { PRIORITIES, type Priority } from '../../core/task.ts'
import { usage } from '../failure.ts'

/** An option that may be given more than once; `false` = its negation came before. */
export function collect(value: string, before: readonly string[] | false | undefined): readonly string[] {
  return [...(before || []), value]
}

export function roleOption(description: string): Option {
  return new Option('--role <role>', description).choices(ROLES)
}

export function durationOf(text: string, name: string): number {
  const ms = readDuration(text)
  if (ms === undefined)
    throw usage(`${name} is a duration such as 30s, 10m, 1h30m, not ${JSON.stringify(text)}`)
  return ms
}

export function countOf(text: string, name: string): number {
  if (!/^\d{1,15}$/.test(text)) throw usage(`${name} is a whole number, not ${JSON.stringify(text)}`)
  return Number(text)
}

export function priorityOf(text: string): Priority {
  if (!(PRIORITIES as readonly string[]).includes(text))
    throw usage(`a priority is one of ${PRIORITIES.join(', ')}, not ${JSON.stringify(text)}`)
  return text as Priority
}

/** A moment: so long ago (`10m`), or a date with time (`2026-01-31T12:00:00Z`). */
export function momentOf(text: string, now: number, name: string): number {
  const ms = readDuration(text)
  if (ms !== undefined) return now - ms
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(at))
    throw usage(`${name} is a time ago (10m) or a date (2026-01-31T12:00:00Z), not ${JSON.stringify(text)}`)
  return at
}
