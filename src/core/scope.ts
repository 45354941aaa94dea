/**
 * Finds tasks that may run at once and would touch the same files, before anything runs (R12). Patterns are compared, not tasks: 10,000 tasks
 * with a directory each cost 10,000 walks down one tree of names.
 */

import { overlapGlobs } from './glob-overlap.ts'
import { type Glob, type GlobSegment, parseGlob } from './glob-pattern.ts'
import type { Graph, Layering } from './graph.ts'
import { PROBLEMS_SHOWN_MAX, SCOPE_COMPARISONS_MAX } from './limit.ts'
import { createReach } from './reach.ts'
import type { Scope } from './task.ts'

export interface ScopeInput {
  readonly graph: Graph
  readonly layering: Layering
  /** By task; `undefined` = left out of the comparison. */
  readonly scopes: readonly (Scope | undefined)[]
  /** By task: name of a group whose members run one at a time. */
  readonly serial: readonly (string | undefined)[]
}

/** Two tasks that may run at once. `overlap`: both write `path`. `hazard`: `a` reads what `b` writes. */
interface ScopeFinding {
  readonly kind: 'overlap' | 'hazard'
  readonly a: number
  readonly b: number
  /** Index into the list of `a`: `write` for an overlap, `read` for a hazard. */
  readonly aAt: number
  /** Index into `write` of `b`. */
  readonly bAt: number
  readonly aGlob: string
  readonly bGlob: string
  /** A path that matches both. */
  readonly path: string
}

export interface ScopeReport {
  readonly findings: readonly ScopeFinding[]
  /** False when the bound of comparisons or of findings ended the search early. */
  readonly complete: boolean
}

interface Pattern {
  readonly glob: Glob
  readonly writers: number[]
  readonly readers: number[]
}

export function checkScopes(input: ScopeInput): ScopeReport {
  const patterns = collectPatterns(input.scopes)
  const search = createSearch(input)
  eachNearPair(patterns, (a, b) => search.compare(a, b))
  return search.report()
}

function collectPatterns(scopes: readonly (Scope | undefined)[]): Pattern[] {
  const byText = new Map<string, Pattern | undefined>()
  const add = (text: string, task: number, list: 'writers' | 'readers') => {
    let pattern = byText.get(text)
    if (pattern === undefined) {
      if (byText.has(text)) return
      const reading = parseGlob(text)
      pattern = reading.ok ? { glob: reading.glob, writers: [], readers: [] } : undefined
      byText.set(text, pattern)
      if (pattern === undefined) return
    }
    if (pattern[list].at(-1) !== task) pattern[list].push(task)
  }
  for (let i = 0; i < scopes.length; i++) {
    for (const text of scopes[i]?.write ?? []) add(text, i, 'writers')
    for (const text of scopes[i]?.read ?? []) add(text, i, 'readers')
  }
  return [...byText.values()].filter((pattern) => pattern !== undefined)
}

interface Directory {
  readonly children: Map<string, Directory>
  /** Patterns whose literal beginning ends here. */
  readonly patterns: number[]
}

/** Calls `visit` for each pair of patterns (also of one with itself) whose literal beginnings allow a common path; at least one writes. */
function eachNearPair(patterns: readonly Pattern[], visit: (a: Pattern, b: Pattern) => boolean): void {
  const root: Directory = { children: new Map(), patterns: [] }
  const places: { pattern: number; trail: readonly Directory[] }[] = []
  for (let k = 0; k < patterns.length; k++) {
    for (const segments of patterns[k]!.glob.alternatives) {
      const trail = [root]
      for (const segment of segments) {
        if (!isLiteral(segment)) break
        const { children } = trail.at(-1)!
        let child = children.get(segment.literal)
        if (child === undefined) {
          child = { children: new Map(), patterns: [] }
          children.set(segment.literal, child)
        }
        trail.push(child)
      }
      const own = trail.at(-1)!.patterns
      if (own.at(-1) !== k) {
        own.push(k)
        places.push({ pattern: k, trail })
      }
    }
  }
  // Patterns with several alternatives may meet more than once.
  const met = new Set<number>()
  for (const { pattern, trail } of places) {
    const a = patterns[pattern]!
    for (const directory of trail) {
      const last = directory === trail.at(-1)
      for (const other of directory.patterns) {
        if (last && other > pattern) break
        const b = patterns[other]!
        if (a.writers.length === 0 && b.writers.length === 0) continue
        if (a.glob.alternatives.length > 1 && b.glob.alternatives.length > 1) {
          const pair = Math.max(pattern, other) * patterns.length + Math.min(pattern, other)
          if (met.has(pair)) continue
          met.add(pair)
        }
        if (!visit(a, b)) return
      }
    }
  }
}

function isLiteral(segment: GlobSegment): segment is { readonly literal: string } {
  return segment !== '**' && 'literal' in segment
}

/** False when no two different tasks can be paired from the lists. */
function concernsTwo(left: readonly number[], right: readonly number[]): boolean {
  return left.length > 0 && right.length > 0 && (left.length > 1 || right.length > 1 || left[0] !== right[0])
}

function createSearch({ graph, layering, scopes, serial }: ScopeInput) {
  const reach = createReach(graph, layering)
  const rank = new Int32Array(graph.n)
  for (let k = 0; k < layering.order.length; k++) rank[layering.order[k]!] = k
  const findings: ScopeFinding[] = []
  const found = { overlap: new Set<number>(), hazard: new Set<number>() }
  // Warnings may not push errors out of the report.
  const foundMax = { overlap: PROBLEMS_SHOWN_MAX, hazard: PROBLEMS_SHOWN_MAX / 2 }
  let budget = SCOPE_COMPARISONS_MAX
  let complete = true

  const isParallel = (a: number, b: number) =>
    a !== b && !(serial[a] !== undefined && serial[a] === serial[b]) && !reach.ordered(a, b)

  /** True when every two of them are ordered: then neighbours in topological order are. */
  const isChain = (tasks: readonly number[]): boolean => {
    const sorted = [...new Set(tasks)].sort((a, b) => rank[a]! - rank[b]!)
    budget -= sorted.length
    const group = serial[sorted[0]!]
    if (group !== undefined && sorted.every((task) => serial[task] === group)) return true
    for (let k = 1; k < sorted.length; k++) if (!reach.reaches(sorted[k - 1]!, sorted[k]!)) return false
    return true
  }

  const add = (
    kind: ScopeFinding['kind'],
    a: number,
    b: number,
    from: Pattern,
    to: Pattern,
    path: string,
  ) => {
    const key = kind === 'overlap' ? Math.min(a, b) * graph.n + Math.max(a, b) : a * graph.n + b
    if (found[kind].has(key)) return
    found[kind].add(key)
    const list = kind === 'overlap' ? 'write' : 'read'
    const aGlob = from.glob.text
    const bGlob = to.glob.text
    findings.push({
      kind,
      a,
      b,
      aAt: scopes[a]![list].indexOf(aGlob),
      bAt: scopes[b]!.write.indexOf(bGlob),
      aGlob,
      bGlob,
      path,
    })
  }

  const pairUp = (kind: ScopeFinding['kind'], from: Pattern, to: Pattern, path: string) => {
    const left = kind === 'overlap' ? from.writers : from.readers
    const right = to.writers
    if (!concernsTwo(left, right)) return
    if (found[kind].size >= foundMax[kind]) {
      complete = false
      return
    }
    // Against a single task the pairs themselves are the shorter way.
    if (left.length > 1 && right.length > 1 && isChain([...left, ...right])) return
    for (const a of left) {
      for (const b of right) {
        // Both orders of one pair are met when the patterns are the same.
        if (kind === 'overlap' && from === to && b <= a) continue
        if (--budget < 0 || found[kind].size >= foundMax[kind]) {
          complete = false
          return
        }
        if (isParallel(a, b)) {
          if (kind === 'overlap' && b < a) add(kind, b, a, to, from, path)
          else add(kind, a, b, from, to, path)
        }
      }
    }
  }

  return {
    /** Returns false when nothing more should be compared. */
    compare(a: Pattern, b: Pattern): boolean {
      if (--budget < 0) {
        complete = false
        return false
      }
      if (
        !concernsTwo(a.writers, b.writers) &&
        !concernsTwo(a.readers, b.writers) &&
        !concernsTwo(b.readers, a.writers)
      )
        return true
      const path = overlapGlobs(a.glob, b.glob)
      if (path === undefined) return true
      pairUp('overlap', a, b, path)
      pairUp('hazard', a, b, path)
      if (a !== b) pairUp('hazard', b, a, path)
      return true
    },
    report(): ScopeReport {
      // A pair that overlaps is told once: its hazards add nothing.
      const clear = (f: ScopeFinding) =>
        f.kind === 'overlap' || !found.overlap.has(Math.min(f.a, f.b) * graph.n + Math.max(f.a, f.b))
      return { findings: findings.filter(clear), complete }
    },
  }
}
