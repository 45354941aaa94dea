/**
 * Checks a plan before anything of it runs (R9, R12): everything that is wrong, in one report. Plan files, planners and library submissions
 * pass through here. Linear in tasks and needs: 10,000 trivial tasks take a few milliseconds, a million with two needs each about two
 * seconds.
 */
import { conditionNames, parseCondition } from './condition.ts'
import { type Graph, type Layering, layerGraph } from './graph.ts'
import { addBarriers, barrierId, groupConcurrency, readGroupNeed } from './group.ts'
import type { TaskId } from './id.ts'
import { RUN_TASKS_MAX } from './limit.ts'
import { nearestName } from './nearest.ts'
import { createTaskCheck, type TaskCheckOptions } from './plan-check.ts'
import { linkTasks, tellCycles } from './plan-need.ts'
import { createRefusalList, didYouMean, type PlanRefusal, quote, type RefusalList } from './plan-refusal.ts'
import { tellScopes, tellUnscoped } from './plan-scope.ts'
import type { MergePolicy, TaskSpec } from './task.ts'

export type { Capacity } from './capacity.ts'
export type { PlanRefusal } from './plan-refusal.ts'

type Entry = readonly [TaskId, TaskSpec]

/** What a plan gets that says nothing of `merge`. */
export const MERGE_DEFAULT: MergePolicy = { mode: 'combined', onConflict: 'retry', onPartial: 'land' }

export interface PlanCheckOptions extends TaskCheckOptions {
  /** True for tasks that are on the board already, and may be needed though they are not in the list. */
  readonly known?: (id: TaskId) => boolean
  /** `warn` names the tasks without a scope, which run alone; for plans that change a repository. Default `allow`. */
  readonly unscoped?: 'warn' | 'allow'
  /** Tasks whose needs or scope could not be read: nothing is concluded from their order. */
  readonly unsure?: ReadonlySet<TaskId>
}

export interface PlanReport {
  readonly refusals: readonly PlanRefusal[]
  /** Index of each task in the list. */
  readonly indexOf: ReadonlyMap<TaskId, number>
  /** Needs and soft needs alike; those that are not in the list are left out. */
  readonly graph: Graph
  readonly layering: Layering
}

/** Empty when the plan is good. Warnings do not refuse it: look at `severity`. */
export function checkPlan(tasks: readonly Entry[], options: PlanCheckOptions = {}): readonly PlanRefusal[] {
  return examinePlan(tasks, options).refusals
}

/**
 * The tasks of a library submission as the board takes them: group needs become barriers, `order` is the place in the list. Plan files pass
 * the same two steps.
 */
export function unfoldPlan(
  tasks: readonly Entry[],
  options: PlanCheckOptions = {},
): { readonly tasks: readonly Entry[]; readonly refusals: readonly PlanRefusal[] } {
  const barriers = addBarriers(tasks)
  return { tasks: barriers.tasks, refusals: [...barriers.refusals, ...checkPlan(barriers.tasks, options)] }
}

/** The same as `checkPlan`, with the graph that was built on the way. */
export function examinePlan(tasks: readonly Entry[], options: PlanCheckOptions = {}): PlanReport {
  const refusals = createRefusalList()
  if (tasks.length > RUN_TASKS_MAX)
    refusals.error(
      ['tasks'],
      'too-many',
      `the plan has ${tasks.length} tasks; at most ${RUN_TASKS_MAX} are taken`,
    )
  const checkTask = createTaskCheck(options, refusals)
  const indexOf = new Map<TaskId, number>()
  let edges = 0
  let scoped = false
  let grouped = false
  let conditional = false
  for (let i = 0; i < tasks.length; i++) {
    const [id, spec] = tasks[i]!
    checkTask(id, spec)
    indexOf.set(id, i)
    if (indexOf.size !== i + 1) {
      // Two tasks with one id: the map is short by one from here on, so each further one must be looked for.
      return examineDuplicates(tasks, options, refusals)
    }
    if (spec.needs !== undefined) edges += spec.needs.length
    if (spec.after !== undefined) edges += spec.after.length
    scoped ||= spec.scope !== undefined
    grouped ||= spec.group !== undefined
    conditional ||= spec.if !== undefined
  }
  const unsure = new Uint8Array(tasks.length)
  if (options.unsure !== undefined) {
    for (const id of options.unsure) {
      const i = indexOf.get(id)
      if (i !== undefined) unsure[i] = 1
    }
  }
  const graph = linkTasks(tasks, indexOf, edges, options.known, refusals, unsure)
  const layering = layerGraph(graph)
  if (layering.order.length < tasks.length) tellCycles(tasks, graph, layering, refusals)
  if (conditional)
    for (const [id, spec] of tasks) if (spec.if !== undefined) checkCondition(id, spec, refusals)
  if (grouped) checkGroups(tasks, refusals)
  if (scoped) tellScopes(tasks, graph, layering, unsure, refusals)
  if (options.unscoped === 'warn') tellUnscoped(tasks, graph, options.unsure, refusals)
  return { refusals: refusals.all, indexOf, graph, layering }
}

/** Names every duplicate, then checks the rest of the plan without them. */
function examineDuplicates(
  tasks: readonly Entry[],
  options: PlanCheckOptions,
  refusals: RefusalList,
): PlanReport {
  const first = new Map<TaskId, Entry>()
  refusals.all.length = 0
  for (const entry of tasks) {
    if (first.has(entry[0]))
      refusals.error(['tasks', entry[0]], 'duplicate-id', `two tasks have the id ${quote(entry[0])}`)
    else first.set(entry[0], entry)
  }
  const rest = examinePlan([...first.values()], options)
  return { ...rest, refusals: [...refusals.all, ...rest.refusals] }
}

function checkCondition(id: TaskId, spec: TaskSpec, refusals: RefusalList): void {
  const reading = parseCondition(spec.if!)
  if (!reading.ok) return
  const needs = new Set(spec.needs)
  for (const name of conditionNames(reading.condition)) {
    if (needs.has(name)) continue
    const group = readGroupNeed(name)
    const near =
      group !== undefined && needs.has(barrierId(group)) ? barrierId(group) : nearestName(name, needs)
    refusals.error(
      ['tasks', id, 'if'],
      'condition-name',
      `the condition names ${quote(name)}, which is not among the needs of ${quote(id)}`,
      didYouMean(near),
    )
  }
}

function checkGroups(tasks: readonly Entry[], refusals: RefusalList): void {
  const bounds = groupConcurrency(tasks)
  for (const [id, { group }] of tasks) {
    if (group?.concurrency === undefined || group.concurrency === bounds.get(group.name)) continue
    refusals.error(
      ['tasks', id, 'group', 'concurrency'],
      'group-concurrency',
      `group ${quote(group.name)} has concurrency ${group.concurrency} here and ${bounds.get(group.name)} elsewhere`,
      'one member is enough to say it',
    )
  }
}
