/**
 * Directed graphs of tasks in typed arrays: 100,000 tasks are layered and measured in milliseconds (R3, R4, R18). Tasks are indices
 * 0..n-1; names live with the caller, whose string map costs more than everything here. Nothing recurses: a chain of a million tasks is
 * an ordinary graph.
 */
import { assert } from './error.ts'

/**
 * Compressed rows in both directions. Needs of `i`: `need[needAt[i]] … need[needAt[i + 1] - 1]`, in the order given; dependants alike, in
 * ascending order.
 */
export interface Graph {
  readonly n: number
  readonly needAt: Int32Array
  readonly need: Int32Array
  readonly dependantAt: Int32Array
  readonly dependant: Int32Array
}

/** Layers by Kahn's algorithm. `order` holds every task that is not on or behind a cycle; the others have layer -1. */
export interface Layering {
  readonly order: Int32Array
  readonly layer: Int32Array
  /** Number of layers: the longest chain, counted in tasks. */
  readonly count: number
}

export interface CriticalPath {
  /** Sum of the weights along `path`. */
  readonly length: number
  readonly path: readonly number[]
  /** See `criticalPaths`. */
  readonly toEnd: Float64Array
}

/** Edge `k` says that `task[k]` needs `need[k]`. Double edges are kept and do no harm. Indices out of 0..n-1 are a bug of the caller. */
export function buildGraphOfEdges(
  n: number,
  task: ArrayLike<number>,
  need: ArrayLike<number>,
  edges = task.length,
): Graph {
  const needAt = new Int32Array(n + 1)
  const dependantAt = new Int32Array(n + 1)
  for (let k = 0; k < edges; k++) {
    const a = task[k]!
    const b = need[k]!
    assert(a >= 0 && a < n && b >= 0 && b < n, 'edges join tasks of the graph')
    needAt[a + 1]!++
    dependantAt[b + 1]!++
  }
  for (let i = 0; i < n; i++) {
    needAt[i + 1]! += needAt[i]!
    dependantAt[i + 1]! += dependantAt[i]!
  }
  const needs = new Int32Array(edges)
  const fill = needAt.slice()
  for (let k = 0; k < edges; k++) needs[fill[task[k]!]!++] = need[k]!
  const dependant = new Int32Array(edges)
  fill.set(dependantAt)
  for (let i = 0; i < n; i++)
    for (let e = needAt[i]!; e < needAt[i + 1]!; e++) dependant[fill[needs[e]!]!++] = i
  return { n, needAt, need: needs, dependantAt, dependant }
}

/** The same from one list of needs per task. */
export function buildGraph(n: number, needs: readonly ArrayLike<number>[]): Graph {
  let edges = 0
  for (const list of needs) edges += list.length
  const task = new Int32Array(edges)
  const need = new Int32Array(edges)
  let k = 0
  for (let i = 0; i < n; i++) {
    const list = needs[i]!
    for (let j = 0; j < list.length; j++) {
      task[k] = i
      need[k++] = list[j]!
    }
  }
  return buildGraphOfEdges(n, task, need)
}

export function needsOf(graph: Graph, i: number): Int32Array {
  return graph.need.subarray(graph.needAt[i]!, graph.needAt[i + 1]!)
}

export function dependantsOf(graph: Graph, i: number): Int32Array {
  return graph.dependant.subarray(graph.dependantAt[i]!, graph.dependantAt[i + 1]!)
}

/** O(tasks + edges). `order` is topological: layer by layer, and by index inside the first one. */
export function layerGraph(graph: Graph): Layering {
  const { n, needAt, dependantAt, dependant } = graph
  const pending = new Int32Array(n)
  const layer = new Int32Array(n)
  const order = new Int32Array(n)
  let tail = 0
  for (let i = 0; i < n; i++) {
    pending[i] = needAt[i + 1]! - needAt[i]!
    if (pending[i] === 0) order[tail++] = i
  }
  let count = 0
  for (let head = 0; head < tail; head++) {
    const i = order[head]!
    const next = layer[i]! + 1
    if (next > count) count = next
    for (let e = dependantAt[i]!; e < dependantAt[i + 1]!; e++) {
      const d = dependant[e]!
      // A queue serves layers in order, so the last need to finish is one of the deepest.
      if (--pending[d]! === 0) {
        layer[d] = next
        order[tail++] = d
      }
    }
  }
  if (tail === n) return { order, layer, count }
  for (let i = 0; i < n; i++) if (pending[i]! > 0) layer[i] = -1
  return { order: order.slice(0, tail), layer, count }
}

/**
 * Weight from the start of each task to the end of the plan, its own included: the larger, the more urgent. 0 on or behind a cycle.
 *
 * @param weight expected duration of each task, any unit, at least 0; absent = 1 each
 */
export function criticalPaths(
  graph: Graph,
  layering = layerGraph(graph),
  weight?: ArrayLike<number>,
): Float64Array {
  const { dependantAt, dependant } = graph
  const toEnd = new Float64Array(graph.n)
  for (let k = layering.order.length - 1; k >= 0; k--) {
    const i = layering.order[k]!
    let after = 0
    for (let e = dependantAt[i]!; e < dependantAt[i + 1]!; e++) {
      const t = toEnd[dependant[e]!]!
      if (t > after) after = t
    }
    toEnd[i] = after + (weight === undefined ? 1 : weight[i]!)
  }
  return toEnd
}

/** The chain of tasks that decides how long the plan takes at least. Ties go to the lower index. */
export function criticalPath(
  graph: Graph,
  layering = layerGraph(graph),
  weight?: ArrayLike<number>,
): CriticalPath {
  const toEnd = criticalPaths(graph, layering, weight)
  const path: number[] = []
  let next = -1
  for (const i of layering.order)
    if (next < 0 || toEnd[i]! > toEnd[next]! || (toEnd[i] === toEnd[next] && i < next)) next = i
  const length = next < 0 ? 0 : toEnd[next]!
  while (next >= 0) {
    const i = next
    path.push(i)
    next = -1
    for (let e = graph.dependantAt[i]!; e < graph.dependantAt[i + 1]!; e++) {
      const d = graph.dependant[e]!
      if (layering.layer[d]! >= 0 && (next < 0 || toEnd[d]! > toEnd[next]!)) next = d
    }
  }
  return { length, path, toEnd }
}

/**
 * Which tasks may start as others finish, at a few nanoseconds per edge.
 *
 *     const set = createReadySet(graph)
 *     set.initial            // tasks without needs
 *     set.complete(3)        // the tasks that waited for 3 last; completing one twice frees nothing
 */
export interface ReadySet {
  readonly initial: readonly number[]
  complete(i: number): readonly number[]
}

export function createReadySet(graph: Graph): ReadySet {
  const { n, needAt, dependantAt, dependant } = graph
  const pending = new Int32Array(n)
  const done = new Uint8Array(n)
  const initial: number[] = []
  for (let i = 0; i < n; i++) {
    pending[i] = needAt[i + 1]! - needAt[i]!
    if (pending[i] === 0) initial.push(i)
  }
  return {
    initial,
    complete(i) {
      const ready: number[] = []
      if (done[i] === 1) return ready
      done[i] = 1
      for (let e = dependantAt[i]!; e < dependantAt[i + 1]!; e++) {
        const d = dependant[e]!
        if (--pending[d]! === 0) ready.push(d)
      }
      return ready
    },
  }
}
