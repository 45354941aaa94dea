// Which tasks may touch the same files at once: named pairs on small plans, a naive model on random ones, and time on a large one.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matchesAny, overlap } from '../../src/core/glob.ts'
import { checkPlan } from '../../src/core/plan.ts'
import type { TaskSpec } from '../../src/core/task.ts'

type Entry = readonly [string, TaskSpec]

const shell = (rest: Partial<TaskSpec> = {}): TaskSpec => ({ kind: 'shell', run: 'true', ...rest })
const writes = (write: string[], rest: Partial<TaskSpec> = {}) =>
  shell({ scope: { write, read: [] }, ...rest })
const codes = (tasks: readonly Entry[], options = {}) =>
  checkPlan(tasks, options).map((refusal) => refusal.code)

describe('scope', () => {
  it('[SC5] two tasks that may run at once and write one path are refused: both named, both patterns, a path', () => {
    const [refusal, ...more] = checkPlan([
      ['docs', writes(['README.md', 'docs/**'])],
      ['site', writes(['docs/*.md'])],
    ])
    expect(more).toEqual([])
    expect(refusal).toMatchObject({
      severity: 'error',
      code: 'scope-overlap',
      path: ['tasks', 'docs', 'scope', 'write', 1],
    })
    expect(refusal!.message).toBe(
      '"docs" and "site" may run at once and both write "docs/x.md" ("docs/**" and "docs/*.md")',
    )
    expect(refusal!.hint).toContain('needs')
  })

  it('[SC6] an order by needs or after, over any number of steps, allows the same path', () => {
    const tasks = (last: Partial<TaskSpec>): Entry[] => [
      ['a', writes(['src/**'])],
      ['b', writes(['lib/**'], { needs: ['a'] })],
      ['c', writes(['src/x.ts'], last)],
    ]
    expect(codes(tasks({}))).toEqual(['scope-overlap'])
    expect(codes(tasks({ needs: ['b'] }))).toEqual([])
    expect(codes(tasks({ after: ['b'] }))).toEqual([])
  })

  it('[SC6] members of a group with concurrency 1 may write the same path; others beside them may not', () => {
    const group = { name: 'db', concurrency: 1 }
    expect(
      codes([
        ['a', writes(['x'], { group })],
        ['b', writes(['x'], { group: { name: 'db' } })],
      ]),
    ).toEqual([])
    expect(
      codes([
        ['a', writes(['x'], { group: { name: 'db', concurrency: 2 } })],
        ['b', writes(['x'], { group: { name: 'db' } })],
      ]),
    ).toEqual(['scope-overlap'])
    expect(
      codes([
        ['a', writes(['x'], { group })],
        ['b', writes(['x'], { group })],
        ['c', writes(['x'])],
      ]),
    ).toEqual(['scope-overlap', 'scope-overlap'])
  })

  it('[SC7] reading what a parallel task writes is a warning', () => {
    const [refusal, ...more] = checkPlan([
      ['a', shell({ scope: { write: [], read: ['src/**'] } })],
      ['b', writes(['src/b.ts'])],
    ])
    expect(more).toEqual([])
    expect(refusal).toMatchObject({
      severity: 'warning',
      code: 'scope-hazard',
      path: ['tasks', 'a', 'scope', 'read', 0],
    })
    expect(refusal!.message).toContain('"a" reads "src/b.ts" while "b" may write it')
    expect(
      codes([
        ['a', shell({ scope: { write: [], read: ['src/**'] } })],
        ['b', writes(['src/b.ts'], { needs: ['a'] })],
      ]),
    ).toEqual([])
    // Its own files, and what it collides with anyway, are no news.
    expect(codes([['a', shell({ scope: { write: ['x'], read: ['x'] } })]])).toEqual([])
    expect(
      codes([
        ['a', shell({ scope: { write: ['x'], read: ['x'] } })],
        ['b', writes(['x'])],
      ]),
    ).toEqual(['scope-overlap'])
  })

  it('[SC8] tasks without a scope run alone: one warning names them, if anything could run beside them', () => {
    const warn = { unscoped: 'warn' as const }
    expect(codes([['a', shell()]], warn)).toEqual([])
    expect(
      codes(
        [
          ['a', shell()],
          ['b', shell({ needs: ['a'] })],
        ],
        warn,
      ),
    ).toEqual([])
    expect(
      codes([
        ['a', shell()],
        ['b', writes(['b'])],
      ]),
    ).toEqual([])
    const many = Array.from({ length: 8 }, (_, i): Entry => [`t${i}`, shell()])
    expect(checkPlan(many, warn)).toMatchObject([
      { severity: 'warning', code: 'no-scope', path: ['tasks', 't0'] },
    ])
    expect(checkPlan(many, warn)[0]!.message).toBe(
      '8 tasks have no scope: "t0", "t1", "t2", "t3", "t4" and 3 more: each runs alone',
    )
    expect(
      checkPlan(
        [
          ['a', shell()],
          ['b', writes(['b'])],
        ],
        warn,
      )[0]!.message,
    ).toBe('task "a" has no scope: it runs alone')
  })

  it('[SC9] where an order is broken or unknown, no overlap is claimed behind it', () => {
    const beside = writes(['x'])
    expect(
      codes([
        ['a', writes(['x'], { needs: ['gone'] })],
        ['b', beside],
      ]),
    ).toEqual(['missing-need'])
    expect(
      codes([
        ['a', shell({ needs: ['gone'] })],
        ['b', writes(['x'], { needs: ['a'] })],
        ['c', beside],
      ]),
    ).toEqual(['missing-need'])
    expect(
      codes([
        ['a', writes(['x'], { needs: ['b'] })],
        ['b', writes(['x'], { needs: ['a'] })],
        ['c', beside],
      ]),
    ).toEqual(['cycle'])
    expect(
      codes(
        [
          ['a', writes(['x'])],
          ['b', beside],
        ],
        { unsure: new Set(['a']) },
      ),
    ).toEqual([])
  })

  it('[SC5] agrees with a comparison of all pairs on random plans', () => {
    const glob = fc.constantFrom(
      'a',
      'a/**',
      'a/b',
      '*',
      '**',
      'b/*',
      'b/*.ts',
      'b/x.ts',
      '{a,b}/y',
      '[ab]/**',
      'c/d/e',
      'c/**/e',
    )
    const plan = fc.array(
      fc.record({
        write: fc.array(glob, { maxLength: 2 }),
        read: fc.array(glob, { maxLength: 2 }),
        needs: fc.array(fc.nat(9), { maxLength: 2 }),
        serial: fc.boolean(),
      }),
      { minLength: 1, maxLength: 9 },
    )
    fc.assert(
      fc.property(plan, (rows) => {
        const before = rows.map((row, i) => [...new Set(row.needs.filter((need) => need < i))])
        const tasks = rows.map(
          ({ write, read, serial }, i): Entry => [
            `t${i}`,
            shell({
              scope: { write, read },
              needs: before[i]!.map((need) => `t${need}`),
              ...(serial && { group: { name: 'g', concurrency: 1 } }),
            }),
          ],
        )
        const behind = before.map(() => new Set<number>())
        before.forEach((needs, i) => {
          for (const need of needs) for (const each of [need, ...behind[need]!]) behind[i]!.add(each)
        })
        const meet = (left: string[], right: string[]) =>
          left.some((x) => right.some((y) => overlap(x, y) !== undefined))
        const expected = new Set<string>()
        rows.forEach((row, b) => {
          for (let a = 0; a < b; a++) {
            if (behind[b]!.has(a) || (rows[a]!.serial && row.serial)) continue
            if (meet(rows[a]!.write, row.write)) expected.add(`scope-overlap t${a} t${b}`)
            else {
              if (meet(rows[a]!.read, row.write)) expected.add(`scope-hazard t${a} t${b}`)
              if (meet(row.read, rows[a]!.write)) expected.add(`scope-hazard t${b} t${a}`)
            }
          }
        })
        const found = checkPlan(tasks).map(({ code, message }) => {
          const [, a, b, path, x, y] =
            /^"(t\d)" (?:and|reads .* while) "(t\d)" may .*?(?:write|it) ?(?:"(.*)")? ?\("(.*)" and "(.*)"\)$/.exec(
              message,
            )!
          if (path !== undefined) expect(matchesAny([x!])(path) && matchesAny([y!])(path)).toBe(true)
          return `${code} ${a} ${b}`
        })
        expect(new Set(found)).toEqual(expected)
        expect(found).toHaveLength(expected.size)
      }),
      { numRuns: 500 },
    )
  })

  it('[SC10] 10,000 disjoint scopes, a chain of 10,000 writers of one file, and 10,000 colliding ones are all judged, or it is told', () => {
    const all = Array.from({ length: 10_000 }, (_, i) => i)
    const disjoint = checkPlan(
      all.map(
        (i): Entry => [
          `t${i}`,
          shell({ scope: { write: [`pkg/p${i}/**`], read: ['README.md', `pkg/p${i}/*.ts`] } }),
        ],
      ),
    )
    expect(disjoint).toEqual([])
    const chain = checkPlan(
      all.map(
        (i): Entry => [
          `t${i}`,
          writes(['CHANGELOG.md', `pkg/p${i}/**`], i === 0 ? {} : { needs: [`t${i - 1}`] }),
        ],
      ),
    )
    expect(chain).toEqual([])
    const collision = checkPlan(
      all.map((i): Entry => [`t${i}`, shell({ scope: { write: ['src/**'], read: ['src/**'] } })]),
    )
    expect(collision.length).toBeLessThanOrEqual(301)
    expect(collision.filter((refusal) => refusal.code === 'scope-overlap')).toHaveLength(200)
    expect(collision.at(-1)).toMatchObject({ severity: 'warning', code: 'scope-unchecked' })
  })

  it('[SC10] a wide layer of readers behind a wide layer of writers is no hazard', () => {
    const all = Array.from({ length: 1_000 }, (_, i) => i)
    const tasks: Entry[] = [
      ...all.map((i): Entry => [`w${i}`, writes([`src/p${i}/**`])]),
      ['gate', shell({ needs: all.map((i) => `w${i}`) })],
      ...all.map((i): Entry => [`r${i}`, shell({ needs: ['gate'], scope: { write: [], read: ['src/**'] } })]),
    ]
    expect(checkPlan(tasks)).toEqual([])
  })
})
