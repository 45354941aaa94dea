/** `--set tasks.math.env.X=1`: changes of a plan for one run, applied to its values before they are checked. */
import { type PlanPath, quote } from '../core/plan-refusal.ts'
import { type PlainValue, readPlanSource } from './plan-source.ts'
import type { Problem } from './problem.ts'

/** Where a value comes from that is not in the file. */
export interface Override {
  readonly path: PlanPath
  /** As typed, for messages: `--set defaults.timeout`. */
  readonly origin: string
}

/**
 * Changes `root` in place. A key with dots in it is found when it exists: `tasks.v1.2.run` speaks of task `v1.2` if there is one. Values are YAML
 * (`[a, b]`, `5`, `true`), or text when they are not.
 */
export function applyOverrides(
  root: { [key: string]: PlainValue },
  overrides: readonly string[],
): { readonly applied: readonly Override[]; readonly problems: readonly Problem[] } {
  const applied: Override[] = []
  const problems: Problem[] = []
  for (const text of overrides) {
    const equals = text.indexOf('=')
    const key = equals < 0 ? text : text.slice(0, equals)
    const origin = `--set ${key.length > 60 ? `${key.slice(0, 57)}...` : key}`
    const refuse = (message: string) =>
      void problems.push({
        severity: 'error',
        code: 'bad-override',
        message,
        path: '',
        line: 1,
        column: 1,
        origin,
      })
    const parts = key.split('.')
    if (equals < 0) refuse(`${quote(text)} has no "=": write key=value`)
    else if (parts.some((part) => part === '' || part === '__proto__'))
      refuse(`${quote(key)} is no path of keys joined by "."`)
    else {
      const path = setValue(root, parts, readValue(text.slice(equals + 1), parts))
      if (path === undefined) refuse(`${quote(key)} leads through a value that has no keys`)
      else applied.push({ path, origin })
    }
  }
  return { applied, problems }
}

function readValue(text: string, parts: readonly string[]): PlainValue {
  // Environment values are text, as they are in the file.
  if (parts.includes('env')) return text
  const source = readPlanSource(text)
  return source.problems.length > 0 || source.value === undefined ? text : source.value
}

function setValue(
  root: { [key: string]: PlainValue },
  parts: readonly string[],
  value: PlainValue,
): PlanPath | undefined {
  const path: (string | number)[] = []
  let node: PlainValue = root
  for (let at = 0; at < parts.length; ) {
    if (node === null || typeof node !== 'object') return undefined
    if (Array.isArray(node)) {
      const index = Number(parts[at])
      if (!Number.isInteger(index) || index < 0 || index > node.length) return undefined
      path.push(index)
      if (++at === parts.length) node[index] = value
      else node = node[index] ?? null
      continue
    }
    const mapping: { [key: string]: PlainValue } = node
    let end = parts.length
    while (end > at + 1 && !Object.hasOwn(mapping, parts.slice(at, end).join('.'))) end--
    const key = parts.slice(at, end).join('.')
    path.push(key)
    at = end
    if (at === parts.length) mapping[key] = value
    else {
      if (!Object.hasOwn(mapping, key) || mapping[key] === null)
        mapping[key] = Object.create(null) as { [key: string]: PlainValue }
      node = mapping[key]!
    }
  }
  return path
}
