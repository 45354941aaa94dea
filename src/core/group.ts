/**
 * Groups (R8): members share a bound of how many run at once, and `needs: [group:NAME]` waits for all of them. The wait is a task of its own
 * (`group.NAME`, kind `barrier`), so that 1,000 tasks that wait for 1,000 members are 2,000 edges and not a million.
 */
import { isTaskId, type TaskId } from './id.ts'
import { nearestName } from './nearest.ts'
import { createRefusalList, didYouMean, type PlanRefusal, quote } from './plan-refusal.ts'
import { BARRIER_KIND, type TaskSpec } from './task.ts'

type Entry = readonly [TaskId, TaskSpec]

const PREFIX = 'group:'

/** Id of the barrier of a group. */
export function barrierId(group: string): TaskId {
  return `group.${group}`
}

export function isGroupName(name: string): boolean {
  return isTaskId(name) && isTaskId(barrierId(name))
}

/** Name of the group that an entry of `needs` or `after` asks for; `undefined` for a task's id. */
export function readGroupNeed(need: string): string | undefined {
  return need.startsWith(PREFIX) ? need.slice(PREFIX.length) : undefined
}

/** Smallest bound that a member gives, by group; groups without one are absent. */
export function groupConcurrency(tasks: readonly Entry[]): ReadonlyMap<string, number> {
  const bounds = new Map<string, number>()
  for (const [, { group }] of tasks) {
    if (group?.concurrency === undefined) continue
    bounds.set(group.name, Math.min(group.concurrency, bounds.get(group.name) ?? Number.POSITIVE_INFINITY))
  }
  return bounds
}

/**
 * Replaces `group:NAME` in `needs` and `after` by the id of the group's barrier, and adds a barrier for each group so asked for, behind all
 * tasks. Tasks that ask for none are returned as they are.
 */
export function addBarriers(tasks: readonly Entry[]): {
  tasks: readonly Entry[]
  refusals: readonly PlanRefusal[]
} {
  const refusals = createRefusalList()
  if (!tasks.some(([, spec]) => spec.needs?.some(isGroupNeed) || spec.after?.some(isGroupNeed)))
    return { tasks, refusals: [] }
  const members = new Map<string, TaskId[]>()
  const ids = new Set<TaskId>()
  for (const [id, { group }] of tasks) {
    ids.add(id)
    if (group === undefined) continue
    const list = members.get(group.name)
    if (list) list.push(id)
    else members.set(group.name, [id])
  }
  const wanted = new Set<string>()
  const replace = (id: TaskId, field: 'needs' | 'after', list: readonly string[]): readonly TaskId[] =>
    list.map((need, at) => {
      const name = readGroupNeed(need)
      if (name === undefined) return need
      if (members.has(name)) {
        if (!wanted.has(name) && ids.has(barrierId(name))) {
          refusals.error(
            ['tasks', id, field, at],
            'duplicate-id',
            `group ${quote(name)} needs the id ${quote(barrierId(name))}, which a task has`,
            'rename that task',
          )
        }
        wanted.add(name)
        return barrierId(name)
      }
      refusals.error(
        ['tasks', id, field, at],
        'missing-group',
        `no task is in group ${quote(name)}`,
        didYouMean(nearestName(name, members.keys())),
      )
      return need
    })
  const out: Entry[] = tasks.map((entry) => {
    const [id, spec] = entry
    const needs = spec.needs?.some(isGroupNeed) ? replace(id, 'needs', spec.needs) : undefined
    const after = spec.after?.some(isGroupNeed) ? replace(id, 'after', spec.after) : undefined
    if (needs === undefined && after === undefined) return entry
    return [id, { ...spec, ...(needs && { needs }), ...(after && { after }) }]
  })
  for (const name of wanted) {
    if (ids.has(barrierId(name))) continue
    out.push([barrierId(name), { kind: BARRIER_KIND, needs: members.get(name)!, order: out.length }])
  }
  return { tasks: out, refusals: refusals.all }
}

function isGroupNeed(need: string): boolean {
  return need.startsWith(PREFIX)
}
