/** The graph of a plan or run, drawn in several languages. */
import { buildGraph, criticalPath, type Graph, layerGraph, needsOf } from '../core/graph.ts'
import { barrierId } from '../core/group.ts'
import type { TaskStatus } from '../core/status.ts'
import { BARRIER_KIND, type Plan } from '../core/task.ts'
import { markOf } from './style.ts'
import { line } from './text.ts'

export interface GraphTask {
  readonly id: string
  readonly title?: string
  readonly needs: readonly string[]
  readonly group?: string
  readonly status?: TaskStatus
  /** How long it took, ms; the critical path is weighed by it when every task has one. */
  readonly tookMs?: number
}

export const GRAPH_FORMATS = ['text', 'mermaid', 'dot', 'json'] as const
export type GraphFormat = (typeof GRAPH_FORMATS)[number]

export interface GraphView {
  readonly tasks: readonly GraphTask[]
  readonly layers: readonly (readonly string[])[]
  /** Longest chain. */
  readonly criticalPath: readonly string[]
  readonly widest: number
}

export function viewGraph(tasks: readonly GraphTask[]): GraphView {
  const index = new Map(tasks.map(({ id }, i) => [id, i]))
  // A barrier is no task that people know: who needs it needs the members of its group.
  const members = new Map<string, number[]>()
  tasks.forEach(({ group }, i) => {
    if (group === undefined) return
    const barrier = barrierId(group)
    const list = members.get(barrier)
    if (list) list.push(i)
    else members.set(barrier, [i])
  })
  const needs = tasks.map((task) => task.needs.flatMap((id) => index.get(id) ?? members.get(id) ?? []))
  const graph: Graph = buildGraph(tasks.length, needs)
  const layering = layerGraph(graph)
  const layers: string[][] = Array.from({ length: layering.count }, () => [])
  for (const [i, { id }] of tasks.entries()) layers[layering.layer[i]!]?.push(id)
  const weighed = tasks.length > 0 && tasks.every(({ tookMs }) => tookMs !== undefined)
  const { path } = criticalPath(graph, layering, weighed ? tasks.map(({ tookMs }) => tookMs!) : undefined)
  return {
    tasks: tasks.map((task, i) => ({ ...task, needs: [...needsOf(graph, i)].map((k) => tasks[k]!.id) })),
    layers,
    criticalPath: path.map((i) => tasks[i]!.id),
    widest: layers.reduce((most, layer) => Math.max(most, layer.length), 0),
  }
}

/** The tasks of a plan that people know: barriers are ours. */
export function tasksOfPlan({ tasks }: Plan): readonly GraphTask[] {
  return tasks.flatMap(([id, { kind, title, needs = [], after = [], group }]) =>
    kind === BARRIER_KIND
      ? []
      : [
          {
            id,
            needs: [...needs, ...after],
            ...(title !== undefined && { title }),
            ...(group && { group: group.name }),
          },
        ],
  )
}

export function formatGraph(
  view: GraphView,
  format: Exclude<GraphFormat, 'json'>,
  onlyCritical: boolean,
): string {
  const chain = new Set(view.criticalPath)
  const tasks = onlyCritical ? view.tasks.filter(({ id }) => chain.has(id)) : view.tasks
  if (format === 'mermaid') return mermaid(tasks, chain)
  if (format === 'dot') return dot(tasks, chain)
  return onlyCritical ? view.criticalPath.join(' → ') : asText(view)
}

function asText({ tasks, layers }: GraphView): string {
  const byId = new Map(tasks.map((task) => [task.id, task]))
  return layers
    .map((layer, k) => {
      const rows = layer.map((id) => {
        const { needs, status } = byId.get(id)!
        return `  ${status ? `${markOf(status)} ` : ''}${id}${needs.length > 0 ? `  ← ${needs.join(', ')}` : ''}`
      })
      return [`${k + 1}.`, ...rows].join('\n')
    })
    .join('\n')
}

function mermaid(tasks: readonly GraphTask[], chain: ReadonlySet<string>): string {
  const name = new Map(tasks.map(({ id }, i) => [id, `t${i}`]))
  const lines = ['flowchart LR']
  for (const { id, title } of tasks) {
    const label = (title ? `${id}: ${line(title)}` : id)
      .replaceAll('&', '#amp;')
      .replaceAll('"', '#quot;')
      .replaceAll('<', '#lt;')
    lines.push(`  ${name.get(id)}["${label}"]`)
  }
  for (const { id, needs } of tasks) {
    for (const need of needs)
      if (name.has(need))
        lines.push(`  ${name.get(need)} ${chain.has(id) && chain.has(need) ? '==>' : '-->'} ${name.get(id)}`)
  }
  return lines.join('\n')
}

function dot(tasks: readonly GraphTask[], chain: ReadonlySet<string>): string {
  const known = new Set(tasks.map(({ id }) => id))
  const lines = ['digraph run {', '  rankdir=LR', '  node [shape=box]']
  for (const { id, title } of tasks)
    lines.push(`  ${quote(id)}${title ? ` [label=${quote(`${id}: ${line(title)}`)}]` : ''}`)
  for (const { id, needs } of tasks) {
    for (const need of needs)
      if (known.has(need))
        lines.push(
          `  ${quote(need)} -> ${quote(id)}${chain.has(id) && chain.has(need) ? ' [penwidth=2]' : ''}`,
        )
  }
  return [...lines, '}'].join('\n')
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
