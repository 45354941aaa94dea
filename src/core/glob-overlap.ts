/**
 * Decides whether some path matches two globs, by walking the product of their automata: first over segments, and inside a pair of segments
 * over characters. Exact: it finds a path whenever there is one, and the path it names matches both.
 */
import { matchName } from './glob-match.ts'
import {
  ANY_CHAR,
  type CharSet,
  type Glob,
  type GlobSegment,
  type GlobToken,
  intersectSets,
} from './glob-pattern.ts'

/** A path that matches both, as short as one alternative of each allows; `undefined` when no path does. */
export function overlapGlobs(a: Glob, b: Glob): string | undefined {
  for (const left of a.alternatives) {
    for (const right of b.alternatives) {
      const path = overlapSegments(left, right)
      if (path !== undefined) return path
    }
  }
  return undefined
}

const NAME = 'x'

function overlapSegments(a: readonly GlobSegment[], b: readonly GlobSegment[]): string | undefined {
  // Most pairs of a plan part ways at a literal directory name.
  for (let i = 0; i < a.length && i < b.length; i++) {
    const left = a[i]!
    const right = b[i]!
    if (left === '**' || right === '**') break
    if ('literal' in left && 'literal' in right) {
      if (left.literal !== right.literal) return undefined
    } else break
  }
  const width = b.length + 1
  // Twice the product: a path has at least one name, so "some name was taken" is part of the state.
  const size = (a.length + 1) * width * 2
  const from = new Int32Array(size).fill(-1)
  const name = Array.from<string | undefined>({ length: size })
  const queue = [0]
  from[0] = 0
  const visit = (state: number, before: number, taken?: string) => {
    if (from[state] !== -1) return
    from[state] = before
    name[state] = taken
    queue.push(state)
  }
  for (let head = 0; head < queue.length; head++) {
    const state = queue[head]!
    const taken = state & 1
    const i = Math.floor((state >>> 1) / width)
    const j = (state >>> 1) % width
    if (taken === 1 && i === a.length && j === b.length) return trace(state, from, name)
    const left = a[i]
    const right = b[j]
    const at = (p: number, q: number, t: number) => ((p * width + q) << 1) | t
    if (left === '**') visit(at(i + 1, j, taken), state)
    if (right === '**') visit(at(i, j + 1, taken), state)
    if (left === undefined || right === undefined) continue
    if (left === '**' && right === '**') visit(at(i, j, 1), state, NAME)
    else if (left === '**') visit(at(i, j + 1, 1), state, sampleOf(right as NameSegment))
    else if (right === '**') visit(at(i + 1, j, 1), state, sampleOf(left as NameSegment))
    else {
      const both = overlapNames(left, right)
      if (both !== undefined) visit(at(i + 1, j + 1, 1), state, both)
    }
  }
  return undefined
}

function trace(end: number, from: Int32Array, name: readonly (string | undefined)[]): string {
  const names: string[] = []
  for (let state = end; state !== 0; state = from[state]!)
    if (name[state] !== undefined) names.push(name[state]!)
  return names.reverse().join('/')
}

type NameSegment = Exclude<GlobSegment, '**'>
const ANY_NAME: NameSegment = { tokens: ['*'] }

/** A name that matches, for `**` on the other side. Patterns such as `.` in brackets match no name at all: then the answer is `undefined`. */
function sampleOf(segment: NameSegment): string | undefined {
  return 'literal' in segment ? segment.literal : overlapNames(segment, ANY_NAME)
}

function tokensOf(segment: NameSegment): readonly GlobToken[] {
  return 'literal' in segment ? Array.from(segment.literal, (c) => c.codePointAt(0)!) : segment.tokens
}

/** What was written so far: nothing, ".", "..", or anything else; the first three are no names. */
const NOTHING = 0
const DOT = 1
const DOTS = 2
const OTHER = 3

function overlapNames(a: NameSegment, b: NameSegment): string | undefined {
  if ('literal' in a && 'literal' in b) return a.literal === b.literal ? a.literal : undefined
  const left = tokensOf(a)
  const right = tokensOf(b)
  const width = right.length + 1
  const size = (left.length + 1) * width * 4
  const from = new Int32Array(size).fill(-1)
  const char = new Int32Array(size)
  const queue = [0]
  from[0] = 0
  const visit = (state: number, before: number, c: number) => {
    if (from[state] !== -1) return
    from[state] = before
    char[state] = c
    queue.push(state)
  }
  for (let head = 0; head < queue.length; head++) {
    const state = queue[head]!
    const seen = state & 3
    const i = Math.floor((state >>> 2) / width)
    const j = (state >>> 2) % width
    if (seen === OTHER && i === left.length && j === right.length) {
      let text = ''
      for (let s = state; s !== 0; s = from[s]!)
        if (char[s]! > 0) text = String.fromCodePoint(char[s]!) + text
      // The shortest answer to `*.ts` is `.ts`; people write `x.ts`.
      const longer = NAME + text
      return text.startsWith('.') && matchName(a, longer) && matchName(b, longer) ? longer : text
    }
    const p = left[i]
    const q = right[j]
    const at = (x: number, y: number, z: number) => ((x * width + y) << 2) | z
    if (p === '*') visit(at(i + 1, j, seen), state, 0)
    if (q === '*') visit(at(i, j + 1, seen), state, 0)
    if (p === undefined || q === undefined) continue
    const next = (z: number) => at(p === '*' ? i : i + 1, q === '*' ? j : j + 1, z)
    const both = intersectSets(setOf(p), setOf(q))
    const plain = pick(both)
    if (plain !== undefined) visit(next(OTHER), state, plain)
    if (both.some(([low, high]) => low <= 46 && high >= 46)) {
      visit(next(seen === NOTHING ? DOT : seen === DOT ? DOTS : OTHER), state, 46)
    }
  }
  return undefined
}

function setOf(token: GlobToken): CharSet {
  if (token === '*') return ANY_CHAR
  return typeof token === 'number' ? [[token, token]] : token
}

/** Letters first, so that the example reads well; never the dot (46), half of a surrogate pair or a control character if there is a choice. */
const LIKED: readonly (readonly [number, number])[] = [
  [120, 122],
  [97, 122],
  [48, 57],
  [65, 90],
  [33, 45],
  [48, 126],
  [160, 0xd7ff],
  [0xe000, 0x10ffff],
  [1, 45],
  [47, 0xd7ff],
]

function pick(set: CharSet): number | undefined {
  for (const range of LIKED) {
    const first = intersectSets(set, [range])[0]
    if (first) return first[0]
  }
  return undefined
}
