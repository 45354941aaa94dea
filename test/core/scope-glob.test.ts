// Globs: a table of the language, a regular-expression model for matching, and brute force over small paths for overlap.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesAny, overlap } from '../../src/core/glob.ts'
import { matchGlob } from '../../src/core/glob-match.ts'
import { parseGlob } from '../../src/core/glob-pattern.ts'

const matches = (glob: string, path: string) => matchesAny([glob])(path)

const TABLE: readonly [glob: string, yes: readonly string[], no: readonly string[]][] = [
  ['src/a.ts', ['src/a.ts'], ['src/a.tsx', 'a.ts', 'src', 'src/a.ts/b']],
  ['src/*.ts', ['src/a.ts', 'src/.ts', 'src/.a.ts'], ['src/a/b.ts', 'src/a.js']],
  ['src/?.ts', ['src/a.ts', 'src/é.ts', 'src/😀.ts'], ['src/ab.ts', 'src/.ts']],
  ['src/[a-c].ts', ['src/b.ts'], ['src/d.ts']],
  ['src/[!a-c].ts', ['src/d.ts'], ['src/b.ts']],
  ['src/[^a-c].ts', ['src/d.ts'], ['src/b.ts']],
  ['[[]id[]]/x', ['[id]/x'], ['i/x']],
  ['a[*]b', ['a*b'], ['axb']],
  ['[]a].ts', ['].ts', 'a.ts'], ['b.ts']],
  ['src/**', ['src/a', 'src/a/b/.c', 'src'], ['srcs/a', 'a/src/b']],
  ['**/x.ts', ['x.ts', 'a/b/x.ts'], ['a/xx.ts']],
  ['a/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['a/x', 'b']],
  ['**', ['a', 'a/b/c', '.env'], []],
  ['a**b', ['ab', 'axxb'], ['a/b']],
  ['*a*b*c', ['abc', 'xaxbxc', 'aabbcc', 'abcabc'], ['acb', 'abcx']],
  ['{a,b}/c', ['a/c', 'b/c'], ['c/c', '{a,b}/c']],
  ['{a/b,c}/{d,e{f,g}}.ts', ['a/b/d.ts', 'c/ef.ts', 'c/eg.ts'], ['a/d.ts', 'c/e.ts']],
  ['*{,a}*/b', ['b', 'x/y/b', 'ca/b'], ['b/c']],
  ['x{,.test}.ts', ['x.ts', 'x.test.ts'], ['x.spec.ts']],
  ['(group)/page.ts', ['(group)/page.ts'], ['group/page.ts']],
]

const BAD: readonly [glob: string, reason: string][] = [
  ['', 'empty'],
  ['/etc/passwd', 'absolute'],
  ['C:/x', 'absolute'],
  ['../x', '".."'],
  ['a/../b', '".."'],
  ['./a', '"."'],
  ['a//b', 'empty path segment'],
  ['a/', 'ends with "/"'],
  ['a\\b', 'backslash'],
  ['!a', '"!"'],
  ['[a', '"["'],
  ['[]', '"["'],
  ['a[b/c]d', '"["'],
  ['{a,b', '"{"'],
  ['a}b', '"}"'],
  ['{1..9}', 'range'],
  ['[z-a]', 'backwards'],
  ['[/]', '"["'],
  ['a\u0000b', 'control'],
  ['{,a}/b', 'absolute'],
  ['{..,a}/b', '".."'],
  ['x/[.]', '"."'],
  ['{a,b}'.repeat(9), 'choices'],
]

describe('glob', () => {
  it.each(TABLE)('[SC1] %s matches what it should', (glob, yes, no) => {
    expect(parseGlob(glob)).toMatchObject({ ok: true })
    for (const path of yes) expect([path, matches(glob, path)]).toEqual([path, true])
    for (const path of no) expect([path, matches(glob, path)]).toEqual([path, false])
  })

  it.each(BAD)('[SC2] refuses %j with a reason', (glob, reason) => {
    const reading = parseGlob(glob)
    expect(reading.ok).toBe(false)
    expect(reading.ok ? '' : reading.reason).toContain(reason)
  })

  it('[SC2] refuses a pattern longer than a path can be', () => {
    expect(parseGlob('a'.repeat(1_025))).toMatchObject({
      ok: false,
      reason: expect.stringContaining('longer'),
    })
  })

  it('[SC1] a path that is none is never matched', () => {
    for (const path of ['', '/a', 'a/', 'a//b', '../a', 'a/./b', '..', '.'])
      expect(matches('**', path)).toBe(false)
  })

  it('[SC1] a list matches when one of it does', () => {
    const covered = matchesAny(['a/b.ts', 'docs/**', '*.md', '{x,y}/z*', 'not[ok'])
    for (const path of ['a/b.ts', 'docs/q/r', 'README.md', 'y/zz']) expect(covered(path)).toBe(true)
    for (const path of ['a/c.ts', 'b/README.md', 'z/z', 'not[ok', 'constructor'])
      expect(covered(path)).toBe(false)
    expect(matchesAny([])('a')).toBe(false)
  })

  it('[SC3] patterns made to be slow are matched in time', () => {
    const glob = `${'*a'.repeat(200)}b`
    const start = performance.now()
    expect(matches(glob, 'a'.repeat(5_000))).toBe(false)
    expect(matches(`${'**/a/'.repeat(100)}b`, `${'a/'.repeat(2_000)}c`)).toBe(false)
    expect(performance.now() - start).toBeLessThan(2_000)
  })
})

const ALPHABET = ['a', 'b', '.'] as const
const segmentText = fc
  .array(fc.constantFrom('a', 'b', '.', '*', '?', '[ab]', '[!a]', '[.b]', '{a,b}', '{.,ab}', '{,a}'), {
    minLength: 1,
    maxLength: 4,
  })
  .map((parts) => parts.join(''))
const globText = fc
  .array(fc.oneof({ weight: 4, arbitrary: segmentText }, { weight: 1, arbitrary: fc.constant('**') }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((segments) => segments.join('/'))
  .filter((text) => parseGlob(text).ok)

function words(max: number): string[] {
  let all: string[] = ['']
  const out: string[] = []
  for (let k = 0; k < max; k++) {
    all = all.flatMap((word) => ALPHABET.map((c) => word + c))
    out.push(...all)
  }
  return out.filter((word) => word !== '.' && word !== '..')
}

const SHORT = words(2)
const PATHS = [
  ...words(4),
  ...SHORT.flatMap((a) => SHORT.map((b) => `${a}/${b}`)),
  ...SHORT.slice(0, 8).flatMap((a) =>
    SHORT.slice(0, 8).flatMap((b) => SHORT.slice(0, 8).map((c) => `${a}/${b}/${c}`)),
  ),
]

/** Choices are made before anything else is read, so that `*{,a}*` is `**` or `*a*`. */
function choices(glob: string): string[] {
  const brace = /\{([^}]*)\}/.exec(glob)
  if (!brace) return [glob]
  return brace[1]!.split(',').flatMap((choice) => choices(glob.replace(brace[0], () => choice)))
}

/** The same language, without braces, by way of the runtime's regular expressions. */
function model(glob: string): RegExp {
  const body = glob
    .split('/')
    .map((segment) =>
      segment === '**'
        ? '\u0002'
        : segment
            .replaceAll('.', '\u0001')
            .replaceAll('[!', '[^')
            .replaceAll('[^', '[^/')
            .replaceAll('*', '[^/]*')
            .replaceAll('?', '[^/]'),
    )
    .map((segment) => segment.replaceAll('\u0001', '\\.'))
  // Slashes stand with `**`, so that it may be nothing at all.
  let text = ''
  body.forEach((segment, k) => {
    const last = k === body.length - 1
    if (segment === '\u0002')
      text += last ? (k === 0 ? '.+' : '(?:/.+)?') : k === 0 ? '(?:[^/]+/)*' : '(?:/[^/]+)*/'
    else text += k > 0 && body[k - 1] !== '\u0002' ? `/${segment}` : segment
  })
  return new RegExp(`^${text}$`, 'u')
}

describe('glob properties', () => {
  it('[SC1] matching agrees with regular expressions', () => {
    const single = globText.filter((text) =>
      choices(text).every((choice) => choice.split('/').filter((name) => name === '**').length <= 1),
    )
    fc.assert(
      fc.property(single, (text) => {
        const reading = parseGlob(text)
        if (!reading.ok) throw new Error('filtered')
        const regulars = choices(text).map(model)
        for (const path of PATHS)
          if (matchGlob(reading.glob, path) !== regulars.some((regular) => regular.test(path)))
            throw new Error(`${text} ${path} ${regulars.join(' ')}`)
      }),
      { numRuns: 200, examples: [['*{,a}*/a']] },
    )
  })

  it('[SC4] overlap is found when any path matches both, and its witness matches both', () => {
    let found = 0
    fc.assert(
      fc.property(globText, globText, (a, b) => {
        const [left, right] = [parseGlob(a), parseGlob(b)]
        if (!left.ok || !right.ok) throw new Error('filtered')
        const witness = overlap(a, b)
        if (witness === undefined) {
          for (const path of PATHS)
            if (matchGlob(left.glob, path) && matchGlob(right.glob, path)) throw new Error(`missed ${path}`)
        } else {
          found++
          expect([witness, matchGlob(left.glob, witness), matchGlob(right.glob, witness)]).toEqual([
            witness,
            true,
            true,
          ])
        }
        expect(overlap(b, a) === undefined).toBe(witness === undefined)
        expect(overlap(a, a)).toBeDefined()
      }),
      { numRuns: 400 },
    )
    expect(found).toBeGreaterThan(20)
  })

  it.each([
    ['src/**', 'src/*.ts', 'src/x.ts'],
    ['src/**/*.ts', 'src/a/**', 'src/a/x.ts'],
    ['a*', '*b', 'ab'],
    ['**', '**', 'x'],
    ['[a-m]*', '[k-z]*', 'k'],
    ['{a,b}/x', '{b,c}/x', 'b/x'],
    ['docs', 'docs/**', 'docs'],
  ])('[SC4] %s and %s share a path', (a, b, path) => {
    expect(overlap(a, b)).toBe(path)
  })

  it.each([
    ['src/*.ts', 'src/*.js'],
    ['src/a/**', 'src/b/**'],
    ['*/x', 'a/b/*'],
    ['[a-k]*', '[l-z]*'],
    ['.?', '?.'],
    ['a', 'A'],
    ['../x', '../x'],
  ])('[SC4] %s and %s share none', (a, b) => {
    expect(overlap(a, b)).toBeUndefined()
  })
})
