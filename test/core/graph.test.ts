// Graph code against naive models on random graphs, and the bounds of DESIGN 12 on large ones.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { findCycles } from '../../src/core/cycle.ts'
import {
  buildGraph,
  buildGraphOfEdges,
  createReadySet,
  criticalPath,
  criticalPaths,
  dependantsOf,
  layerGraph,
  needsOf,
} from '../../src/core/graph.ts'
import { createReach, transitiveDependants, transitiveNeeds } from '../../src/core/reach.ts'

type Needs = number[][]

/** Needs point to lower indices, then indices are shuffled: acyclic in any order. */
const acyclic = fc
  .integer({ min: 1, max: 24 })
  .chain((n) =>
    fc.tuple(
      fc.array(fc.tuple(fc.nat(n - 1), fc.nat(n - 1)), { maxLength: 60 }),
      fc.shuffledSubarray([...Array(n).keys()], { minLength: n }),
    ),
  )
  .map(([pairs, name]) => {
    const needs: Needs = name.map(() => [])
    for (const [a, b] of pairs) if (a !== b) needs[name[Math.max(a, b)]!]!.push(name[Math.min(a, b)]!)
    return needs
  })

const anyGraph = fc
  .integer({ min: 1, max: 14 })
  .chain((n) =>
    fc.array(fc.tuple(fc.nat(n - 1), fc.nat(n - 1)), { maxLength: 40 }).map((pairs) => ({ n, pairs })),
  )
  .map(({ n, pairs }) => {
    const needs: Needs = Array.from({ length: n }, () => [])
    for (const [a, b] of pairs) needs[a]!.push(b)
    return needs
  })

function closure(needs: Needs): Set<number>[] {
  return needs.map((_, start) => {
    const seen = new Set<number>()
    const stack = [...needs[start]!]
    while (stack.length > 0) {
      const i = stack.pop()!
      if (seen.has(i)) continue
      seen.add(i)
      stack.push(...needs[i]!)
    }
    return seen
  })
}

const graphOf = (needs: Needs) => buildGraph(needs.length, needs)

describe('graph', () => {
  it('[GR1] keeps needs as given and dependants ascending', () => {
    const graph = graphOf([[], [0], [1, 0], [2]])
    expect([...needsOf(graph, 2)]).toEqual([1, 0])
    expect([...dependantsOf(graph, 0)]).toEqual([1, 2])
    const same = buildGraphOfEdges(4, [1, 2, 2, 3], [0, 1, 0, 2])
    expect(same).toEqual(graph)
    expect(() => buildGraph(1, [[1]])).toThrow('invariant')
  })

  it('[GR2] a layer is one more than the deepest need, and the order is topological', () => {
    fc.assert(
      fc.property(acyclic, (needs) => {
        const { order, layer, count } = layerGraph(graphOf(needs))
        expect([...order].sort((a, b) => a - b)).toEqual(needs.map((_, i) => i))
        const deepest = needs.map((list) => Math.max(-1, ...list.map((need) => layer[need]!)))
        expect([...layer]).toEqual(deepest.map((below) => below + 1))
        expect(count).toBe(Math.max(...layer) + 1)
        const place = new Map([...order].map((task, at) => [task, at]))
        needs.forEach((list, i) => {
          for (const need of list) expect(place.get(need)!).toBeLessThan(place.get(i)!)
        })
      }),
    )
  })

  it('[GR3] names a cycle in order: each needs the next, the last the first, lowest index first', () => {
    const graph = graphOf([[], [2], [3], [1], [3]])
    expect(findCycles(graph, layerGraph(graph))).toEqual([[1, 2, 3]])
    fc.assert(
      fc.property(anyGraph, (needs) => {
        const cyclic = closure(needs).some((reached, i) => reached.has(i))
        const g = graphOf(needs)
        const cycles = findCycles(g, layerGraph(g))
        expect(cycles.length > 0).toBe(cyclic)
        const seen = new Set<number>()
        for (const cycle of cycles) {
          expect(cycle[0]).toBe(Math.min(...cycle))
          cycle.forEach((task, k) => {
            expect(needs[task]).toContain(cycle[(k + 1) % cycle.length])
            expect(seen.has(task)).toBe(false)
            seen.add(task)
          })
        }
        // What is left without the named cycles' tasks has no cycle that touches none of them.
        const rest = needs.map((list, i) => (seen.has(i) ? [] : list.filter((need) => !seen.has(need))))
        expect(closure(rest).some((reached, i) => reached.has(i))).toBe(false)
      }),
    )
  })

  it('[GR4] prefers a short cycle to the long way round, and names separate cycles apart', () => {
    // 0 -> 1 -> … -> 9 -> 0, and a chord 3 -> 2.
    const ring = Array.from({ length: 10 }, (_, i) => (i === 3 ? [4, 2] : [(i + 1) % 10]))
    const graph = graphOf(ring)
    expect(findCycles(graph, layerGraph(graph))).toEqual([[2, 3]])
    const two = graphOf([[1], [0], [3], [2], [2]])
    expect(findCycles(two, layerGraph(two))).toEqual([
      [0, 1],
      [2, 3],
    ])
    expect(findCycles(two, layerGraph(two), 1)).toHaveLength(1)
    const self = graphOf([[0]])
    expect(findCycles(self, layerGraph(self))).toEqual([[0]])
  })

  it('[GR5] the critical path is the heaviest chain, and toEnd of each task the heaviest one from it', () => {
    fc.assert(
      fc.property(acyclic, fc.infiniteStream(fc.nat(9)), (needs, stream) => {
        const weight = needs.map(() => stream.next().value as number)
        const graph = graphOf(needs)
        const memo = new Map<number, number>()
        const heaviest = (i: number): number => {
          const known = memo.get(i)
          if (known !== undefined) return known
          const value =
            weight[i]! + Math.max(0, ...needs.flatMap((list, d) => (list.includes(i) ? [heaviest(d)] : [])))
          memo.set(i, value)
          return value
        }
        const { length, path, toEnd } = criticalPath(graph, layerGraph(graph), weight)
        expect([...toEnd]).toEqual(needs.map((_, i) => heaviest(i)))
        expect(length).toBe(Math.max(...needs.map((_, i) => heaviest(i))))
        expect(path.reduce((sum, i) => sum + weight[i]!, 0)).toBe(length)
        for (let k = 1; k < path.length; k++) expect(needs[path[k]!]).toContain(path[k - 1])
      }),
    )
    expect([...criticalPaths(graphOf([[], [0], [1], []]))]).toEqual([3, 2, 1, 1])
    expect(criticalPath(graphOf([[], [0], [1], []])).path).toEqual([0, 1, 2])
    expect(criticalPath(graphOf([])).length).toBe(0)
  })

  it('[GR6] the ready set frees each task once, when its last need completes', () => {
    fc.assert(
      fc.property(acyclic, (needs) => {
        const set = createReadySet(graphOf(needs))
        const done = new Set<number>()
        const queue = [...set.initial]
        expect(queue).toEqual(needs.flatMap((list, i) => (list.length === 0 ? [i] : [])))
        while (queue.length > 0) {
          const i = queue.pop()!
          expect(needs[i]!.every((need) => done.has(need))).toBe(true)
          done.add(i)
          queue.push(...set.complete(i))
          expect(set.complete(i)).toEqual([])
        }
        expect(done.size).toBe(needs.length)
      }),
    )
  })

  it('[GR7] transitive needs and dependants, and the reach of pairs, agree with a naive closure', () => {
    fc.assert(
      fc.property(acyclic, fc.constantFrom(1, 1 << 20), (needs, bytes) => {
        const reached = closure(needs)
        const graph = graphOf(needs)
        const reach = createReach(graph, layerGraph(graph), bytes)
        needs.forEach((_, i) => {
          expect([...transitiveNeeds(graph, i)]).toEqual([...reached[i]!].sort((a, b) => a - b))
          expect([...transitiveDependants(graph, i)]).toEqual(
            needs.flatMap((__, d) => (reached[d]!.has(i) ? [d] : [])),
          )
          needs.forEach((__, k) => {
            expect(reach.reaches(k, i)).toBe(reached[i]!.has(k))
            expect(reach.ordered(k, i)).toBe(reached[i]!.has(k) || reached[k]!.has(i))
          })
        })
      }),
    )
  })

  it('[GR7] far pairs are answered from kept rows, within the memory given', () => {
    // 600 layers of 3 tasks, each needing all of the layer before: too wide to walk, deep enough to matter.
    const needs = Array.from({ length: 1_800 }, (_, i) =>
      i < 3 ? [] : [0, 1, 2].map((k) => 3 * (Math.floor(i / 3) - 1) + k),
    )
    const graph = graphOf(needs)
    for (const bytes of [1, 1 << 20]) {
      const reach = createReach(graph, layerGraph(graph), bytes)
      for (let k = 0; k < 300; k += 7) {
        expect(reach.reaches(k, 1_799)).toBe(true)
        expect(reach.reaches(1_799, k)).toBe(false)
        expect(reach.reaches(k, k + (k % 3 === 0 ? 1 : 0))).toBe(false)
      }
    }
  })

  it('[GR8] a chain of a million tasks is an ordinary graph, with and without a cycle', () => {
    const n = 1_000_000
    const task = Int32Array.from({ length: n }, (_, i) => i)
    const need = Int32Array.from({ length: n }, (_, i) => (i + n - 1) % n)
    const chain = buildGraphOfEdges(n, task.subarray(1), need.subarray(1))
    const layering = layerGraph(chain)
    expect(layering.count).toBe(n)
    expect(criticalPath(chain, layering).path).toHaveLength(n)
    expect(transitiveDependants(chain, 0)).toHaveLength(n - 1)
    const ring = buildGraphOfEdges(n, task, need)
    expect(findCycles(ring, layerGraph(ring))[0]).toHaveLength(n)
  })
})
