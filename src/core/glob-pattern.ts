/**
 * Globs of scopes: literal text, `*` `?` `[a-z]` `[!a-z]` inside one path segment, `**` for any number of segments, `{a,b}` for choices.
 * Paths are relative to the repository root, with `/`. Unlike a shell, `*` also matches names that begin with a dot: a scope speaks of every
 * file. This file reads them; `glob.ts` matches and compares.
 */
import { GLOB_ALTERNATIVES_MAX, PATH_BYTES_MAX } from './limit.ts'

/** Inclusive ranges of code points, ascending, apart from each other, without `/`. */
export type CharSet = readonly (readonly [number, number])[]

/** One place in a segment: a character, any of a set, or `*`. */
export type GlobToken = number | CharSet | '*'

/** `**`, a literal name, or tokens. */
export type GlobSegment = '**' | { readonly literal: string } | { readonly tokens: readonly GlobToken[] }

export interface Glob {
  readonly text: string
  /** One per choice of braces; a path matches when it matches one. */
  readonly alternatives: readonly (readonly GlobSegment[])[]
}

export type GlobReading =
  | { readonly ok: true; readonly glob: Glob }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

export const ANY_CHAR: CharSet = [
  [1, 46],
  [48, 0x10ffff],
]

const refuse = (reason: string, hint?: string): GlobReading =>
  hint === undefined ? { ok: false, reason } : { ok: false, reason, hint }

export function parseGlob(text: string): GlobReading {
  if (text === '') return refuse('it is empty')
  if (text.length > PATH_BYTES_MAX) return refuse(`it is longer than ${PATH_BYTES_MAX} characters`)
  if (text.includes('\\'))
    return refuse('it has a backslash', 'separate directories with /; write [*] for a literal *')
  if (/\p{Cc}/u.test(text)) return refuse('it has a control character')
  if (text.startsWith('!')) return refuse('it begins with "!"', 'a scope only adds: name what may be written')
  if (text.startsWith('/') || /^[A-Za-z]:\//.test(text))
    return refuse('it is absolute', 'paths start at the root of the repository')
  if (text.endsWith('/'))
    return refuse('it ends with "/"', `write ${JSON.stringify(`${text}**`)} for all files in it`)
  const braces = expandBraces(text)
  if (typeof braces === 'string') return refuse(braces)
  const alternatives: GlobSegment[][] = []
  for (const plain of braces) {
    const segments: GlobSegment[] = []
    for (const part of plain.split('/')) {
      if (part === '')
        return refuse(plain.startsWith('/') ? 'it is absolute' : 'it has an empty path segment')
      if (part === '..') return refuse('it has ".."', 'a scope stays inside the repository')
      if (part === '.') return refuse('it has "."', 'leave "./" away')
      const segment = parseSegment(part)
      if (typeof segment === 'object' && 'reason' in segment) return refuse(segment.reason)
      if (segment === '**' && segments.at(-1) === '**') continue
      segments.push(segment)
    }
    alternatives.push(segments)
  }
  return { ok: true, glob: { text, alternatives } }
}

/** All texts without braces, or the reason why not. Slashes may stand inside braces. Brackets shield braces. */
function expandBraces(text: string): readonly string[] | string {
  if (!/[{}[]/.test(text)) return [text]
  const frames: { done: string[]; open: string[] }[] = [{ done: [], open: [''] }]
  let bracket = -1
  const append = (suffixes: readonly string[]): boolean => {
    const frame = frames.at(-1)!
    if (frame.open.length * suffixes.length > GLOB_ALTERNATIVES_MAX) return false
    frame.open = frame.open.flatMap((prefix) => suffixes.map((suffix) => prefix + suffix))
    return true
  }
  const tooMany = `it has more than ${GLOB_ALTERNATIVES_MAX} choices`
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (bracket >= 0) {
      // "]" as the first of a set is a member of it.
      if (
        c === ']' &&
        i > bracket + 1 &&
        !(i === bracket + 2 && (text[i - 1] === '!' || text[i - 1] === '^'))
      )
        bracket = -1
      append([c])
    } else if (c === '[') {
      bracket = i
      append([c])
    } else if (c === '{') {
      if (/^\{[^{},/]*\.\.[^{},/]*\}/.test(text.slice(i)))
        return 'it has a range in braces: name the values, as in {1,2,3}'
      frames.push({ done: [], open: [''] })
    } else if (c === ',' && frames.length > 1) {
      const frame = frames.at(-1)!
      if (frame.done.length + frame.open.length > GLOB_ALTERNATIVES_MAX) return tooMany
      frame.done.push(...frame.open)
      frame.open = ['']
    } else if (c === '}') {
      if (frames.length === 1) return 'a "}" has no "{"'
      const frame = frames.pop()!
      if (!append([...frame.done, ...frame.open])) return tooMany
    } else append([c])
  }
  if (bracket >= 0) return 'a "[" is not closed'
  if (frames.length > 1) return 'a "{" is not closed'
  return [...new Set(frames[0]!.open)]
}

/** A segment, or the reason why not. */
function parseSegment(part: string): GlobSegment | { readonly reason: string } {
  if (part === '**') return '**'
  if (!/[*?[]/.test(part)) return { literal: part }
  const chars = Array.from(part)
  const tokens: GlobToken[] = []
  for (let i = 0; i < chars.length; i++) {
    const c = chars[i]!
    if (c === '*') {
      if (tokens.at(-1) !== '*') tokens.push('*')
    } else if (c === '?') tokens.push(ANY_CHAR)
    else if (c === '[') {
      let end = i + 1
      if (chars[end] === '!' || chars[end] === '^') end++
      end++
      while (end < chars.length && chars[end] !== ']') end++
      if (end >= chars.length) return { reason: 'a "[" is not closed in its path segment' }
      const set = parseSet(chars.slice(i + 1, end))
      if (typeof set === 'string') return { reason: set }
      tokens.push(set.length === 1 && set[0]![0] === set[0]![1] ? set[0]![0] : set)
      i = end
    } else tokens.push(c.codePointAt(0)!)
  }
  // `[*]` and its like are plain characters.
  if (tokens.every((token) => typeof token === 'number')) {
    const literal = String.fromCodePoint(...(tokens as number[]))
    return literal === '.' || literal === '..' ? { reason: `it has "${literal}"` } : { literal }
  }
  return { tokens }
}

function parseSet(chars: readonly string[]): CharSet | string {
  const negated = chars[0] === '!' || chars[0] === '^'
  const ranges: [number, number][] = []
  for (let i = negated ? 1 : 0; i < chars.length; i++) {
    const low = chars[i]!.codePointAt(0)!
    let high = low
    if (chars[i + 1] === '-' && i + 2 < chars.length) {
      high = chars[i + 2]!.codePointAt(0)!
      if (high < low) return `the range ${chars[i]}-${chars[i + 2]} runs backwards`
      i += 2
    }
    ranges.push([low, high])
  }
  const set = intersectSets(negated ? complement(ranges) : normalise(ranges), ANY_CHAR)
  return set.length === 0 ? 'a set in brackets matches nothing' : set
}

function normalise(ranges: readonly [number, number][]): CharSet {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0])
  const out: [number, number][] = []
  for (const [low, high] of sorted) {
    const last = out.at(-1)
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high)
    else out.push([low, high])
  }
  return out
}

function complement(ranges: readonly [number, number][]): CharSet {
  const out: [number, number][] = []
  let from = 0
  for (const [low, high] of normalise(ranges)) {
    if (low > from) out.push([from, low - 1])
    from = high + 1
  }
  if (from <= 0x10ffff) out.push([from, 0x10ffff])
  return out
}

export function intersectSets(a: CharSet, b: CharSet): CharSet {
  const out: [number, number][] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const low = Math.max(a[i]![0], b[j]![0])
    const high = Math.min(a[i]![1], b[j]![1])
    if (low <= high) out.push([low, high])
    if (a[i]![1] < b[j]![1]) i++
    else j++
  }
  return out
}
