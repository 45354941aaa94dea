/** What a plan is told about the files that its tasks work on. */
import type { Graph, Layering } from './graph.ts'
import { groupConcurrency } from './group.ts'
import type { TaskId } from './id.ts'
import { listNames, quote, type RefusalList } from './plan-refusal.ts'
import { transitiveDependants, transitiveNeeds } from './reach.ts'
import { checkScopes } from './scope.ts'
import { BARRIER_KIND, type TaskSpec } from './task.ts'

type Entry = readonly [TaskId, TaskSpec]

const ORDER_HINT =
  'order them with needs or after, narrow a scope, or put both in a group with concurrency: 1'

export function tellScopes(
  tasks: readonly Entry[],
  graph: Graph,
  layering: Layering,
  unsure: Uint8Array,
  refusals: RefusalList,
): void {
  const bounds = groupConcurrency(tasks)
  // What waits for a task of unknown order, or stands on or behind a cycle, may be ordered in a way that is not seen.
  for (const i of layering.order) {
    for (let e = graph.needAt[i]!; unsure[i] === 0 && e < graph.needAt[i + 1]!; e++)
      if (unsure[graph.need[e]!] === 1) unsure[i] = 1
  }
  const scopes = tasks.map(([, spec], i) =>
    unsure[i] === 1 || layering.layer[i]! < 0 ? undefined : spec.scope,
  )
  const serial = tasks.map(([, { group }]) =>
    group !== undefined && bounds.get(group.name) === 1 ? group.name : undefined,
  )
  const { findings, complete } = checkScopes({ graph, layering, scopes, serial })
  for (const { kind, a, b, aAt, aGlob, bGlob, path } of findings) {
    const [one, other] = [tasks[a]![0], tasks[b]![0]]
    if (kind === 'overlap') {
      refusals.error(
        ['tasks', one, 'scope', 'write', aAt],
        'scope-overlap',
        `${quote(one)} and ${quote(other)} may run at once and both write ${quote(path)} (${quote(aGlob)} and ${quote(bGlob)})`,
        ORDER_HINT,
      )
    } else {
      refusals.warn(
        ['tasks', one, 'scope', 'read', aAt],
        'scope-hazard',
        `${quote(one)} reads ${quote(path)} while ${quote(other)} may write it (${quote(aGlob)} and ${quote(bGlob)})`,
        ORDER_HINT,
      )
    }
  }
  if (!complete) {
    refusals.warn(
      ['tasks'],
      'scope-unchecked',
      'too many scopes meet: not all pairs of tasks were compared',
      'mend the pairs named here, or use fewer and wider patterns',
    )
  }
}

/** Tasks walked while it is counted which unscoped ones have somebody to run beside; the rest are believed to have. */
const COUNTED_TASKS_MAX = 2_000_000

export function tellUnscoped(
  tasks: readonly Entry[],
  graph: Graph,
  unsure: ReadonlySet<TaskId> | undefined,
  refusals: RefusalList,
): void {
  const alone: TaskId[] = []
  for (let i = 0; i < tasks.length; i++) {
    const [id, spec] = tasks[i]!
    if (spec.scope !== undefined || spec.kind === BARRIER_KIND || unsure?.has(id) === true) continue
    const counted = alone.length * tasks.length < COUNTED_TASKS_MAX
    if (
      counted &&
      transitiveNeeds(graph, i).length + transitiveDependants(graph, i).length >= tasks.length - 1
    )
      continue
    alone.push(id)
  }
  if (alone.length === 0) return
  const who =
    alone.length === 1
      ? `task ${quote(alone[0]!)} has no scope`
      : `${alone.length} tasks have no scope: ${listNames(alone)}`
  refusals.warn(
    ['tasks', alone[0]!],
    'no-scope',
    `${who}: ${alone.length === 1 ? 'it runs alone' : 'each runs alone'}`,
    'name what it writes with scope: { write: [...] }',
  )
}
