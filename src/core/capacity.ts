/** Whether some node could ever run a task (R23). */
import type { TaskId } from './id.ts'
import { quote, type RefusalList } from './plan-refusal.ts'
import { showSize } from './quantity.ts'
import type { Resources } from './task.ts'

/** What one node offers; a task must fit on a single one. Absent = none of it. */
export interface Capacity {
  readonly cpu: number
  readonly memoryBytes: number
  readonly gpu?: number
  readonly quota?: { readonly [name: string]: number }
  readonly capabilities?: readonly string[]
}

/** Refuses what no single node has, and what each has but none has together. */
export function checkCapacity(
  id: TaskId,
  asked: Resources,
  capabilities: readonly string[],
  nodes: readonly Capacity[],
  refusals: RefusalList,
): void {
  const wants: { path: (string | number)[]; text: string; met(node: Capacity): boolean; best?: string }[] = []
  const most = (of: (node: Capacity) => number) => nodes.reduce((max, node) => Math.max(max, of(node)), 0)
  const amount = (
    name: string,
    wanted: number | undefined,
    of: (node: Capacity) => number,
    show: (n: number) => string = String,
  ) => {
    if (wanted === undefined || wanted === 0) return
    wants.push({
      path: ['resources', ...name.split(' ')],
      text: `${name} ${show(wanted)}`,
      met: (node) => of(node) >= wanted,
      best: `the most is ${show(most(of))}`,
    })
  }
  amount('cpu', asked.cpu, (node) => node.cpu)
  amount('memory', asked.memoryBytes, (node) => node.memoryBytes, showSize)
  amount('gpu', asked.gpu, (node) => node.gpu ?? 0)
  for (const [name, units] of Object.entries(asked.quota ?? {})) {
    const of = (node: Capacity) =>
      node.quota !== undefined && Object.hasOwn(node.quota, name) ? node.quota[name]! : 0
    wants.push({
      path: ['resources', 'quota', name],
      text: `quota ${quote(name)} ${units}`,
      met: (node) => of(node) >= units,
      best: `the most is ${most(of)}`,
    })
  }
  capabilities.forEach((name, k) => {
    wants.push({
      path: ['capabilities', k],
      text: `capability ${quote(name)}`,
      met: (node) => node.capabilities?.includes(name) === true,
    })
  })
  let alone = true
  for (const want of wants) {
    if (nodes.some((node) => want.met(node))) continue
    alone = false
    refusals.error(['tasks', id, ...want.path], 'missing-resource', `no member has ${want.text}`, want.best)
  }
  if (alone && wants.length > 1 && !nodes.some((node) => wants.every((want) => want.met(node)))) {
    refusals.error(
      ['tasks', id, wants[0]!.path[0]!],
      'missing-resource',
      `no member has all at once: ${wants.map((want) => want.text).join(', ')}`,
    )
  }
}
