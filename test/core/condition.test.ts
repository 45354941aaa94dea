// The language of `if:`: readings, refusals with their place, and three-valued evaluation against its definition.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Condition,
  conditionNames,
  evaluateCondition,
  type NeedStatus,
  parseCondition,
  printCondition,
  renameCondition,
  SUCCESS_OF_ALL,
} from '../../src/core/condition.ts'

const read = (text: string): Condition => {
  const reading = parseCondition(text)
  if (!reading.ok) throw new Error(`${reading.at}: ${reading.reason}`)
  return reading.condition
}

const evaluate = (text: string, statuses: Record<string, NeedStatus>) =>
  evaluateCondition(read(text), Object.keys(statuses), (task) => statuses[task]!)

const STATUSES = ['success', 'skipped', 'failure', 'pending'] as const

const condition: fc.Arbitrary<Condition> = fc.letrec<{
  any: Condition
  call: Condition
  not: Condition
  many: Condition
}>((tie) => ({
  any: fc.oneof({ maxDepth: 4 }, tie('call'), tie('not'), tie('many')),
  call: fc.record({
    op: fc.constantFrom('success', 'failure', 'always'),
    names: fc.subarray(['a', 'b', "c'd"]),
  }),
  not: tie('any').map((of): Condition => ({ op: 'not', of })),
  many: fc
    .tuple(
      fc.constantFrom('and' as const, 'or' as const),
      fc.array(tie('any'), { minLength: 2, maxLength: 3 }),
    )
    .map(([op, of]): Condition => ({ op, of })),
})).any

describe('condition', () => {
  it.each([
    ["success('a')", { op: 'success', names: ['a'] }],
    ['failure("a", \'b\')', { op: 'failure', names: ['a', 'b'] }],
    [' always( ) ', { op: 'always', names: [] }],
    ["!success('a')", { op: 'not', of: { op: 'success', names: ['a'] } }],
    [
      "success('a') || failure('b') && always()",
      {
        op: 'or',
        of: [
          { op: 'success', names: ['a'] },
          {
            op: 'and',
            of: [
              { op: 'failure', names: ['b'] },
              { op: 'always', names: [] },
            ],
          },
        ],
      },
    ],
    [
      "(success('a') || failure('b')) && always()",
      {
        op: 'and',
        of: [
          {
            op: 'or',
            of: [
              { op: 'success', names: ['a'] },
              { op: 'failure', names: ['b'] },
            ],
          },
          { op: 'always', names: [] },
        ],
      },
    ],
  ])('[CO1] reads %s', (text, expected) => {
    expect(read(text)).toEqual(expected)
  })

  it.each([
    ['', 0, 'found the end'],
    ['   ', 0, 'found the end'],
    ["sucess('a')", 0, 'unknown function "sucess"'],
    ['success', 7, 'expected "("'],
    ["success('a'", 11, 'expected ")"'],
    ["success('a)", 8, 'not closed'],
    ['success(a)', 8, "task's name in quotes"],
    ["success('a',)", 12, "task's name in quotes"],
    ["success('a') success('b')", 13, 'expected && or ||'],
    ["success('a') & failure()", 13, 'unexpected "&"'],
    ["success('a') &&", 15, 'found the end'],
    ["(success('a')", 13, 'expected ")"'],
    ["success('a'))", 12, 'expected && or ||'],
    ["success('a') == true", 13, 'unexpected "="'],
    [`${'('.repeat(200)}success()`, 100, 'nested'],
    [`${'!'.repeat(200)}success()`, 100, 'nested'],
  ])('[CO2] refuses %j at its place', (text, at, reason) => {
    const reading = parseCondition(text)
    expect(reading).toMatchObject({ ok: false, at })
    expect(reading.ok ? '' : reading.reason).toContain(reason)
  })

  it('[CO2] a long condition is refused, a long chain is read', () => {
    expect(parseCondition(`success('${'a'.repeat(100_000)}')`)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('longer'),
    })
    expect(parseCondition(Array.from({ length: 4_000 }, () => "success('a')").join(' && '))).toMatchObject({
      ok: true,
    })
  })

  it('[CO3] calls without names speak of all needs; a skipped need counts as a success', () => {
    const cases: [string, Record<string, NeedStatus>, boolean | undefined][] = [
      ['success()', {}, true],
      ['failure()', {}, false],
      ['always()', {}, true],
      ['success()', { a: 'success', b: 'skipped' }, true],
      ['success()', { a: 'success', b: 'pending' }, undefined],
      ['success()', { a: 'failure', b: 'pending' }, false],
      ['failure()', { a: 'failure', b: 'pending' }, true],
      ['failure()', { a: 'success', b: 'pending' }, undefined],
      ['failure()', { a: 'success', b: 'skipped' }, false],
      ['always()', { a: 'failure', b: 'pending' }, undefined],
      ['always()', { a: 'failure', b: 'success' }, true],
      ["success('a')", { a: 'success', b: 'failure' }, true],
      ["success('a', 'b')", { a: 'success', b: 'failure' }, false],
      ["failure('a', 'b')", { a: 'success', b: 'failure' }, true],
    ]
    for (const [text, statuses, expected] of cases)
      expect([text, evaluate(text, statuses)]).toEqual([text, expected])
    expect(evaluateCondition(SUCCESS_OF_ALL, ['a'], () => 'success')).toBe(true)
  })

  it('[CO4] an operator is decided as soon as its answer cannot change', () => {
    const pending = { a: 'pending', b: 'success' } as const
    expect(evaluate("success('a') || success('b')", pending)).toBe(true)
    expect(evaluate("success('a') && failure('b')", pending)).toBe(false)
    expect(evaluate("!success('a')", pending)).toBeUndefined()
    fc.assert(
      fc.property(
        condition,
        fc.tuple(...['a', 'b', "c'd"].map(() => fc.constantFrom(...STATUSES))),
        (ast, statuses) => {
          const names = ['a', 'b', "c'd"]
          const value = evaluateCondition(ast, names, (name) => statuses[names.indexOf(name)]!)
          if (value === undefined) return
          // Whatever the pending ones become, the answer stays.
          const ends = statuses.map((status) =>
            status === 'pending' ? (['success', 'failure'] as const) : [status],
          )
          for (const x of ends[0]!)
            for (const y of ends[1]!)
              for (const z of ends[2]!) {
                expect(evaluateCondition(ast, names, (name) => [x, y, z][names.indexOf(name)]!)).toBe(value)
              }
        },
      ),
    )
    fc.assert(
      fc.property(
        condition,
        fc.tuple(...['a', 'b', "c'd"].map(() => fc.constantFrom('success', 'skipped', 'failure'))),
        (ast, statuses) => {
          const names = ['a', 'b', "c'd"]
          expect(
            evaluateCondition(ast, names, (name) => statuses[names.indexOf(name)] as NeedStatus),
          ).toBeTypeOf('boolean')
        },
      ),
    )
  })

  it('[CO5] printing reads back as the same, names are listed and can be replaced by several', () => {
    fc.assert(
      fc.property(condition, (ast) => {
        expect(read(printCondition(ast))).toEqual(ast)
      }),
    )
    const ast = read("success('m') || !failure('b', 'm')")
    expect(conditionNames(ast)).toEqual(['m', 'b'])
    const renamed = renameCondition(ast, (name) => (name === 'm' ? ['m-1', 'm-2'] : [name]))
    expect(printCondition(renamed)).toBe("success('m-1', 'm-2') || !failure('b', 'm-1', 'm-2')")
  })
})
