/** The `tasks` of a plan file: matrix unfolded, names resolved, groups made barriers, and all of it checked by the core. */
import { conditionNames, parseCondition, printCondition, renameCondition } from '../core/condition.ts'
import { addBarriers, barrierId, groupConcurrency, readGroupNeed } from '../core/group.ts'
import type { TaskId } from '../core/id.ts'
import { checkPlan } from '../core/plan.ts'
import { type PlanPath, type PlanRefusal, quote } from '../core/plan-refusal.ts'
import type { TaskSpec } from '../core/task.ts'
import type { PlanOptions, ProblemReport } from './plan-file.ts'
import { checkMatrixNames, expandValue, readMatrix } from './plan-matrix.ts'
import { type PlanDefaults, taskSchema } from './plan-schema.ts'
import { readShape, type ShapeReport } from './plan-shape.ts'
import type { PlainValue, PlanSource } from './plan-source.ts'
import { BUILT_IN_KINDS, readTask } from './plan-task.ts'

type Mapping = { [key: string]: PlainValue }
type Entry = readonly [TaskId, TaskSpec]

interface Context extends PlanOptions {
  readonly defaults: PlanDefaults
}

/** Where a task stands in the file. A list index of the file for each entry of its `needs` and `after`, which unfolding makes longer. */
interface Origin {
  readonly key: string
  readonly raw: Mapping
  needs: readonly number[]
  after: readonly number[]
}

export function readTasks(
  root: Mapping,
  source: PlanSource,
  context: Context,
  report: ProblemReport,
): readonly Entry[] {
  const mapping = root.tasks
  if (mapping === undefined || mapping === null || typeof mapping !== 'object' || Array.isArray(mapping))
    return []
  const reader = createReader(context, report)
  const known = source.keysOf(mapping)
  const added =
    known.length === Object.keys(mapping).length
      ? []
      : Object.keys(mapping).filter((key) => !known.includes(key))
  for (const key of [...known, ...added]) reader.read(key, mapping[key]!)
  if (Object.keys(mapping).length === 0) report('error', ['tasks'], 'no-tasks', 'the plan has no tasks')
  return reader.finish()
}

function createReader(context: Context, report: ProblemReport) {
  const entries: Entry[] = []
  const origins = new Map<TaskId, Origin>()
  /** Names that stand for several tasks. */
  const families = new Map<string, TaskId[]>()
  const unsure = new Set<TaskId>()
  const told = createOnce(report)

  const add = (id: TaskId, key: string, value: PlainValue, raw: Mapping, broken = false) => {
    if (origins.has(id)) {
      const other = origins.get(id)!.key
      told(
        true,
        'error',
        ['tasks', key],
        'duplicate-id',
        `task ${quote(key)} makes ${quote(id)}, which task ${quote(other)} makes too`,
        'key',
      )
      return
    }
    const matrix = id !== key
    const shape: ShapeReport = (path, code, message, at, hint) =>
      told(matrix, 'error', path, code, message, at, hint)
    const { data, wrong: partly } = readShape(taskSchema, value, ['tasks', key], shape)
    const wrong = broken || partly
    if (wrong) unsure.add(id)
    const fromDefaults = (path: PlanPath) =>
      path.length > 0 && !Object.hasOwn(raw, path[0]!) && Object.hasOwn(context.defaults, path[0]!)
    const spec = readTask(
      data ?? {},
      { defaults: context.defaults, defaultAgent: context.defaultAgent, order: entries.length, wrong },
      (path, code, message, hint) => {
        const shared = fromDefaults(path)
        told(
          matrix || shared,
          'error',
          [...(shared ? ['defaults'] : ['tasks', key]), ...path],
          code,
          message,
          'value',
          hint,
        )
      },
    )
    origins.set(id, { key, raw, needs: [], after: [] })
    entries.push([id, spec])
  }

  return {
    read(key: string, value: PlainValue): void {
      if (value === null || typeof value !== 'object' || Array.isArray(value)) {
        readShape(taskSchema, value ?? Object.create(null), ['tasks', key], (path, code, message, at, hint) =>
          report('error', path, code, message, at, hint),
        )
        add(key, key, Object.create(null) as Mapping, Object.create(null) as Mapping, value !== null)
        return
      }
      const axes = readMatrix(key, value, entries.length, report)
      checkMatrixNames(key, value, axes, report)
      if (axes === undefined) {
        add(key, key, value, value)
        return
      }
      const { matrix: _matrix, ...rest } = value
      const members: TaskId[] = []
      for (const { suffix, values } of axes) {
        const id = `${key}-${suffix}`
        if (!members.includes(id)) members.push(id)
        add(id, key, expandValue(rest, values), value)
      }
      families.set(key, members)
    },

    finish(): readonly Entry[] {
      const resolved = entries.map(([id, spec]): Entry => [id, resolveNames(id, spec, origins, families)])
      const bounds = groupConcurrency(resolved)
      const bounded = resolved.map((entry): Entry => {
        const [id, spec] = entry
        const bound = spec.group && bounds.get(spec.group.name)
        return bound === undefined || spec.group!.concurrency !== undefined
          ? entry
          : [id, { ...spec, group: { name: spec.group!.name, concurrency: bound } }]
      })
      const { tasks, refusals } = addBarriers(bounded)
      const found = checkPlan(tasks, {
        kinds: context.knownKinds ?? BUILT_IN_KINDS,
        unscoped: 'warn',
        unsure,
        ...(context.capacities && { capacities: context.capacities }),
      })
      for (const refusal of [...refusals, ...found]) tellRefusal(refusal, origins, context.defaults, told)
      return tasks.map(([id, spec]): Entry => [id, withoutRepeats(spec)])
    },
  }
}

/** Tells each problem of a matrix once, though all of its tasks have it. */
function createOnce(report: ProblemReport) {
  const seen = new Set<string>()
  return (shared: boolean, ...[severity, path, code, message, at, hint]: Parameters<ProblemReport>): void => {
    if (shared) {
      const key = JSON.stringify([code, path])
      if (seen.has(key)) return
      seen.add(key)
    }
    report(severity, path, code, message, at, hint)
  }
}

/** A matrix task's name becomes all of its members, in needs, after and if; a group's name in a condition becomes its barrier. */
function resolveNames(
  id: TaskId,
  spec: TaskSpec,
  origins: Map<TaskId, Origin>,
  families: ReadonlyMap<string, readonly TaskId[]>,
): TaskSpec {
  const resolve = (
    list: readonly string[] | undefined,
  ): { names: readonly string[]; at: readonly number[] } => {
    if (list === undefined) return { names: [], at: [] }
    if (!list.some((name) => families.has(name))) return { names: list, at: list.map((_, k) => k) }
    const names: string[] = []
    const at: number[] = []
    const seen = new Set<string>()
    list.forEach((name, k) => {
      const members = families.get(name)
      for (const member of members ?? [name]) {
        if (members !== undefined && seen.has(member)) continue
        seen.add(member)
        names.push(member)
        at.push(k)
      }
    })
    return { names, at }
  }
  const needs = resolve(spec.needs)
  const after = resolve(spec.after)
  const origin = origins.get(id)!
  origin.needs = needs.at
  origin.after = after.at
  const text = spec.if === undefined ? undefined : resolveCondition(spec.if, families)
  if (needs.names === spec.needs && spec.after === undefined && text === spec.if) return spec
  return {
    ...spec,
    ...(needs.names.length > 0 && { needs: needs.names }),
    ...(after.names.length > 0 && { after: after.names }),
    ...(text !== undefined && { if: text }),
  }
}

function resolveCondition(text: string, families: ReadonlyMap<string, readonly TaskId[]>): string {
  const reading = parseCondition(text)
  if (!reading.ok) return text
  const membersOf = (name: string): readonly string[] => {
    const group = readGroupNeed(name)
    return group === undefined ? (families.get(name) ?? [name]) : [barrierId(group)]
  }
  const changes = conditionNames(reading.condition).some((name) => membersOf(name)[0] !== name)
  return changes ? printCondition(renameCondition(reading.condition, membersOf)) : text
}

/** Codes of the core that `readTask` has words of its own for. */
const TOLD_BEFORE = new Set(['no-work', 'two-works'])

/** Fields of a spec that have another name in the file. */
const FILE_NAMES: Readonly<Record<string, string>> = { kind: 'agent' }

function tellRefusal(
  refusal: PlanRefusal,
  origins: ReadonlyMap<TaskId, Origin>,
  defaults: PlanDefaults,
  told: ReturnType<typeof createOnce>,
): void {
  const { severity, code, message, hint } = refusal
  if (TOLD_BEFORE.has(code)) return
  const [, id, field, ...rest] = refusal.path
  const origin = origins.get(String(id))
  if (origin === undefined || field === undefined) {
    // The whole plan, a barrier that has no place in the file, or the task itself.
    told(
      origin !== undefined && origin.key !== id,
      severity,
      origin === undefined ? ['tasks'] : ['tasks', origin.key],
      code,
      message,
      'key',
      hint,
    )
    return
  }
  const name = FILE_NAMES[field] ?? String(field)
  if (field === 'needs' || field === 'after') {
    const at = typeof rest[0] === 'number' ? [origin[field][rest[0]] ?? rest[0]] : []
    told(origin.key !== id, severity, ['tasks', origin.key, name, ...at], code, message, 'value', hint)
    return
  }
  if (!Object.hasOwn(origin.raw, name) && Object.hasOwn(defaults, name))
    told(true, severity, ['defaults', name, ...rest], code, message, 'value', hint)
  else told(origin.key !== id, severity, ['tasks', origin.key, name, ...rest], code, message, 'value', hint)
}

function withoutRepeats(spec: TaskSpec): TaskSpec {
  const repeats = (list: readonly string[] | undefined) =>
    list !== undefined && new Set(list).size < list.length
  if (!repeats(spec.needs) && !repeats(spec.after)) return spec
  return {
    ...spec,
    ...(spec.needs && { needs: [...new Set(spec.needs)] }),
    ...(spec.after && { after: [...new Set(spec.after)] }),
  }
}
