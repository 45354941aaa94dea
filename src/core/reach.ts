/** Who depends on whom over any number of steps, on demand and in bounded memory (R3). */
import type { Graph, Layering } from './graph.ts'
import { REACH_BYTES_MAX } from './limit.ts'

/** Edges walked before a whole row is computed and kept: most asked pairs are near each other. */
const NEAR_MAX = 512

/** All tasks that `i` depends on, ascending, without itself. O(result + edges). */
export function transitiveNeeds(graph: Graph, i: number): Int32Array {
  return collect(graph.n, graph.needAt, graph.need, i)
}

/** All tasks that wait for `i`, ascending, without itself. O(result + edges). */
export function transitiveDependants(graph: Graph, i: number): Int32Array {
  return collect(graph.n, graph.dependantAt, graph.dependant, i)
}

function collect(n: number, at: Int32Array, row: Int32Array, start: number): Int32Array {
  const seen = new Uint8Array(n)
  const found: number[] = []
  const stack = [start]
  while (stack.length > 0) {
    const i = stack.pop()!
    for (let e = at[i]!; e < at[i + 1]!; e++) {
      const d = row[e]!
      if (seen[d] === 1) continue
      seen[d] = 1
      stack.push(d)
      if (d !== start) found.push(d)
    }
  }
  return Int32Array.from(found).sort()
}

export interface Reach {
  /** True when `to` depends on `from` over one or more steps. */
  reaches(from: number, to: number): boolean
  /** True when one of the two waits for the other: they never run at once. */
  ordered(a: number, b: number): boolean
}

/**
 * Answers pairs of an acyclic graph. Tasks on or behind a cycle are ordered with nothing.
 *
 * @param bytesMax memory for kept rows (n / 8 bytes each); the oldest rows go first
 */
export function createReach(graph: Graph, layering: Layering, bytesMax = REACH_BYTES_MAX): Reach {
  const { n, needAt, need, dependantAt, dependant } = graph
  const { layer } = layering
  const words = (n + 31) >>> 5
  const rowsMax = Math.max(1, Math.floor(bytesMax / (4 * words + 64)))
  const rows = new Map<number, Uint32Array>()
  const seen = new Int32Array(n)
  let stamp = 0

  /** Looks backwards from `to` through the layers in between; `undefined` when that is far. */
  const near = (from: number, to: number): boolean | undefined => {
    stamp++
    const stack = [to]
    let walked = 0
    while (stack.length > 0) {
      const i = stack.pop()!
      walked += needAt[i + 1]! - needAt[i]!
      if (walked > NEAR_MAX) return undefined
      for (let e = needAt[i]!; e < needAt[i + 1]!; e++) {
        const d = need[e]!
        if (d === from) return true
        if (layer[d]! <= layer[from]! || seen[d] === stamp) continue
        seen[d] = stamp
        stack.push(d)
      }
    }
    return false
  }

  const rowOf = (from: number): Uint32Array => {
    const row = new Uint32Array(words)
    const stack = [from]
    while (stack.length > 0) {
      const i = stack.pop()!
      for (let e = dependantAt[i]!; e < dependantAt[i + 1]!; e++) {
        const d = dependant[e]!
        if ((row[d >>> 5]! & (1 << (d & 31))) !== 0) continue
        row[d >>> 5]! |= 1 << (d & 31)
        stack.push(d)
      }
    }
    if (rows.size >= rowsMax)
      for (const oldest of rows.keys()) {
        rows.delete(oldest)
        break
      }
    rows.set(from, row)
    return row
  }

  const reaches = (from: number, to: number): boolean => {
    if (layer[from]! < 0 || layer[from]! >= layer[to]!) return false
    let row = rows.get(from)
    if (row === undefined) {
      const answer = near(from, to)
      if (answer !== undefined) return answer
      row = rowOf(from)
    }
    return (row[to >>> 5]! & (1 << (to & 31))) !== 0
  }

  return { reaches, ordered: (a, b) => reaches(a, b) || reaches(b, a) }
}
