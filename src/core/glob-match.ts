/**
 * Matching of paths, in time proportional to pattern times path, whatever the pattern: no regular expressions.
 */
import type { CharSet, Glob, GlobSegment, GlobToken } from './glob-pattern.ts'

function inSet(set: CharSet, c: number): boolean {
  for (const [low, high] of set) if (c >= low && c <= high) return true
  return false
}

function matchToken(token: GlobToken, c: number): boolean {
  return typeof token === 'number' ? token === c : inSet(token as CharSet, c)
}

/** Wildcard matching with one point of return: the last `*` is enough, earlier ones need never give back. */
export function matchName(segment: Exclude<GlobSegment, '**'>, name: string): boolean {
  if ('literal' in segment) return segment.literal === name
  const { tokens } = segment
  const chars = Array.from(name, (c) => c.codePointAt(0)!)
  let t = 0
  let star = -1
  let back = 0
  for (let i = 0; i < chars.length; ) {
    const token = tokens[t]
    if (token === '*') {
      star = t++
      back = i
    } else if (token !== undefined && matchToken(token, chars[i]!)) {
      t++
      i++
    } else if (star >= 0) {
      t = star + 1
      i = ++back
    } else return false
  }
  while (tokens[t] === '*') t++
  return t === tokens.length
}

export function matchSegments(pattern: readonly GlobSegment[], names: readonly string[]): boolean {
  let p = 0
  let star = -1
  let back = 0
  for (let i = 0; i < names.length; ) {
    const segment = pattern[p]
    if (segment === '**') {
      star = p++
      back = i
    } else if (segment !== undefined && matchName(segment, names[i]!)) {
      p++
      i++
    } else if (star >= 0) {
      p = star + 1
      i = ++back
    } else return false
  }
  while (pattern[p] === '**') p++
  return p === pattern.length
}

/** Names of a relative path; `undefined` when it is none: empty, absolute, or with an empty, `.` or `..` segment. */
export function namesOf(path: string): readonly string[] | undefined {
  const names = path.split('/')
  for (const name of names) if (name === '' || name === '.' || name === '..') return undefined
  return names
}

export function matchGlob(glob: Glob, path: string): boolean {
  const names = namesOf(path)
  return names !== undefined && glob.alternatives.some((pattern) => matchSegments(pattern, names))
}
