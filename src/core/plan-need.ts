/** The graph of a plan's needs, and what is wrong with it: names that are no tasks, tasks that wait for themselves, cycles. */
import { findCycles } from './cycle.ts'
import { buildGraphOfEdges, type Graph, type Layering } from './graph.ts'
import { readGroupNeed } from './group.ts'
import type { TaskId } from './id.ts'
import { nearestName } from './nearest.ts'
import { didYouMean, quote, type RefusalList } from './plan-refusal.ts'
import type { TaskSpec } from './task.ts'

type Entry = readonly [TaskId, TaskSpec]

/** Names compared for suggestions in one report: the first hundred misspellings among 10,000 tasks. */
const NAMES_COMPARED_MAX = 1_000_000

/** Needs and soft needs as edges. `unsure` gets a 1 for each task with a need that is not there. */
export function linkTasks(
  tasks: readonly Entry[],
  indexOf: ReadonlyMap<TaskId, number>,
  edges: number,
  isKnown: ((id: TaskId) => boolean) | undefined,
  refusals: RefusalList,
  unsure: Uint8Array,
): Graph {
  const task = new Int32Array(edges)
  const need = new Int32Array(edges)
  const lastSeen = new Int32Array(tasks.length).fill(-1)
  let count = 0
  let missing = 0
  const link = (i: number, field: 'needs' | 'after', list: readonly TaskId[]) => {
    const id = tasks[i]![0]
    for (let k = 0; k < list.length; k++) {
      const name = list[k]!
      const j = indexOf.get(name)
      if (j === undefined) {
        if (isKnown?.(name) === true) continue
        unsure[i] = 1
        const group = readGroupNeed(name)
        // `addBarriers` has told of groups without members.
        if (group !== undefined) continue
        const near =
          missing++ * tasks.length < NAMES_COMPARED_MAX ? nearestName(name, indexOf.keys()) : undefined
        refusals.error(
          ['tasks', id, field, k],
          'missing-need',
          `${quote(id)} ${field === 'needs' ? 'needs' : 'comes after'} ${quote(name)}, which is no task`,
          didYouMean(near),
        )
      } else if (j === i) {
        refusals.error(
          ['tasks', id, field, k],
          'self-need',
          `${quote(id)} ${field === 'needs' ? 'needs' : 'comes after'} itself`,
        )
      } else if (lastSeen[j] === i) {
        refusals.warn(['tasks', id, field, k], 'duplicate-need', `${quote(id)} names ${quote(name)} twice`)
      } else {
        lastSeen[j] = i
        task[count] = i
        need[count++] = j
      }
    }
  }
  for (let i = 0; i < tasks.length; i++) {
    const spec = tasks[i]![1]
    if (spec.needs !== undefined) link(i, 'needs', spec.needs)
    if (spec.after !== undefined) link(i, 'after', spec.after)
  }
  return buildGraphOfEdges(tasks.length, task, need, count)
}

/** Names shown of one cycle; the middle of a longer one is left out. */
const CYCLE_NAMES_MAX = 12

export function tellCycles(
  tasks: readonly Entry[],
  graph: Graph,
  layering: Layering,
  refusals: RefusalList,
): void {
  for (const cycle of findCycles(graph, layering)) {
    const names = [...cycle, cycle[0]!].map((i) => tasks[i]![0])
    const shown =
      names.length <= CYCLE_NAMES_MAX
        ? names
        : [...names.slice(0, 6), `(${names.length - 11} more)`, ...names.slice(-5)]
    const [id, spec] = tasks[cycle[0]!]!
    const inNeeds = spec.needs?.indexOf(names[1]!) ?? -1
    const path =
      inNeeds >= 0 ? ['tasks', id, 'needs', inNeeds] : ['tasks', id, 'after', spec.after!.indexOf(names[1]!)]
    refusals.error(
      path,
      'cycle',
      `tasks wait for each other in a cycle: ${shown.join(' -> ')}`,
      'each needs the next: take one of these needs out',
    )
  }
}
