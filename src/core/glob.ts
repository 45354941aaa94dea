/** What a scope covers: which paths its globs match, and whether two globs share one. */
import { matchSegments, namesOf } from './glob-match.ts'
import { overlapGlobs } from './glob-overlap.ts'
import { type GlobSegment, parseGlob } from './glob-pattern.ts'

/**
 * Compiles a scope list once for many paths: exact paths are one look-up, patterns are tried only under their first directory.
 *
 * @param globs texts that were checked before; one that is not a glob matches nothing
 */
export function matchesAny(globs: readonly string[]): (path: string) => boolean {
  const exact = new Set<string>()
  const byFirst = new Map<string, (readonly GlobSegment[])[]>()
  const anywhere: (readonly GlobSegment[])[] = []
  for (const text of globs) {
    const reading = parseGlob(text)
    if (!reading.ok) continue
    for (const pattern of reading.glob.alternatives) {
      const first = pattern[0]!
      const names = pattern.map((segment) =>
        typeof segment === 'object' && 'literal' in segment ? segment.literal : undefined,
      )
      if (names.every((name) => name !== undefined)) exact.add(names.join('/'))
      else if (typeof first === 'object' && 'literal' in first) {
        const list = byFirst.get(first.literal)
        if (list) list.push(pattern)
        else byFirst.set(first.literal, [pattern])
      } else anywhere.push(pattern)
    }
  }
  return (path) => {
    if (exact.has(path)) return true
    const names = namesOf(path)
    if (names === undefined) return false
    const matches = (pattern: readonly GlobSegment[]) => matchSegments(pattern, names)
    return byFirst.get(names[0]!)?.some(matches) === true || anywhere.some(matches)
  }
}

/** A path that matches both globs, or `undefined` when there is none. A text that is no glob shares nothing. */
export function overlap(a: string, b: string): string | undefined {
  const left = parseGlob(a)
  const right = parseGlob(b)
  return left.ok && right.ok ? overlapGlobs(left.glob, right.glob) : undefined
}
