/** Names the cycles of a graph, so that a person knows which `needs` to take out. */
import type { Graph, Layering } from './graph.ts'
import { CYCLES_NAMED_MAX } from './limit.ts'

/** Starts tried when a cycle is shortened. More finds shorter ones in dense tangles, and costs one search each. */
const STARTS_MAX = 32

/**
 * Cycles that share no task, at most `max`, in the order of their lowest index. In each, every task needs the next and the last needs the
 * first; it begins with its lowest index, and is the shortest through one of the tasks of the first cycle met. Empty when there is none.
 */
export function findCycles(
  graph: Graph,
  layering: Layering,
  max = CYCLES_NAMED_MAX,
): readonly (readonly number[])[] {
  const { n } = graph
  if (layering.order.length === n) return []
  const left = new Uint8Array(n)
  const pending = new Int32Array(n)
  for (let i = 0; i < n; i++) left[i] = layering.layer[i]! < 0 ? 1 : 0
  for (let i = 0; i < n; i++) {
    if (left[i] === 0) continue
    for (let e = graph.needAt[i]!; e < graph.needAt[i + 1]!; e++) pending[i]! += left[graph.need[e]!]!
  }
  const search = createSearch(graph, left)
  const cycles: number[][] = []
  for (let i = 0; i < n && cycles.length < max; ) {
    if (left[i] === 0) {
      i++
      continue
    }
    const cycle = search.shorten(walk(graph, left, i))
    cycles.push(rotate(cycle))
    remove(graph, left, pending, cycle)
  }
  return cycles.sort((a, b) => a[0]! - b[0]!)
}

/** Every task that is left has a need that is left, so the walk must close. */
function walk(graph: Graph, left: Uint8Array, start: number): number[] {
  const seenAt = new Map<number, number>()
  const trail: number[] = []
  for (let i = start; ; ) {
    const at = seenAt.get(i)
    if (at !== undefined) return trail.slice(at)
    seenAt.set(i, trail.length)
    trail.push(i)
    let e = graph.needAt[i]!
    while (left[graph.need[e]!] === 0) e++
    i = graph.need[e]!
  }
}

/** Takes the cycle out, and every task that then waits for nothing on a cycle. */
function remove(graph: Graph, left: Uint8Array, pending: Int32Array, cycle: readonly number[]): void {
  const queue = [...cycle]
  for (const i of cycle) left[i] = 0
  for (let head = 0; head < queue.length; head++) {
    const i = queue[head]!
    for (let e = graph.dependantAt[i]!; e < graph.dependantAt[i + 1]!; e++) {
      const d = graph.dependant[e]!
      if (--pending[d]! === 0 && left[d] === 1) {
        left[d] = 0
        queue.push(d)
      }
    }
  }
}

function rotate(cycle: readonly number[]): number[] {
  let low = 0
  for (let k = 1; k < cycle.length; k++) if (cycle[k]! < cycle[low]!) low = k
  return [...cycle.slice(low), ...cycle.slice(0, low)]
}

/** Breadth-first searches that share their arrays and one budget, so that a tangle of a million tasks is still reported in a second. */
function createSearch(graph: Graph, left: Uint8Array) {
  const { n, needAt, need } = graph
  const seen = new Int32Array(n)
  const from = new Int32Array(n)
  let stamp = 0
  let budget = 4 * n + 1_000_000

  const shortestThrough = (start: number, lengthMax: number): number[] | undefined => {
    stamp++
    let layer = [start]
    for (let length = 1; layer.length > 0 && length <= lengthMax && budget > 0; length++) {
      const next: number[] = []
      for (const i of layer) {
        for (let e = needAt[i]!; e < needAt[i + 1]!; e++) {
          const d = need[e]!
          budget--
          if (d === start) {
            const cycle: number[] = []
            for (let k = i; k !== start; k = from[k]!) cycle.push(k)
            return [start, ...cycle.reverse()]
          }
          if (left[d] === 0 || seen[d] === stamp) continue
          seen[d] = stamp
          from[d] = i
          next.push(d)
        }
      }
      layer = next
    }
    return undefined
  }

  return {
    shorten(cycle: number[]): number[] {
      let best = cycle
      for (const start of cycle.slice(0, STARTS_MAX)) best = shortestThrough(start, best.length - 1) ?? best
      return best
    },
  }
}
