/** The election as tables (classes, ties) and as statistics (fair, weighted); hash and randomness below it against known answers. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../src/core/attempt.ts'
import { backoffBoundMs, backoffMs } from '../../src/core/backoff.ts'
import { betterResult, claimRank, claimScore, type Entry, entryClass, holder } from '../../src/core/claim.ts'
import { hashFraction, sha256Hex } from '../../src/core/hash.ts'
import { Heap } from '../../src/core/heap.ts'
import { BACKOFF_MS_MAX } from '../../src/core/limit.ts'
import { createPrng } from '../../src/core/prng.ts'
import { sealOf } from '../../src/core/seal.ts'

const slot = { run: 'run-1', task: 't', round: 1, epoch: 1 }
const one = (): number => 1

function entry(node: string, over: Partial<Entry> & { outcome?: Outcome } = {}): Entry {
  const { outcome, ...rest } = over
  return {
    round: 1,
    epoch: 1,
    node,
    incarnation: '01J',
    claim: false,
    start: false,
    cont: false,
    outside: false,
    startedAt: undefined,
    endedAt: undefined,
    failed: false,
    result: outcome ? { outcome } : undefined,
    resultIncarnation: undefined,
    ...rest,
  }
}

describe('holder', () => {
  it('[CH1] a success before a continued start before a start before a claim', () => {
    const claim = entry('claims', { claim: true })
    const start = entry('starts', { start: true })
    const cont = entry('goes-on', { start: true, cont: true })
    const done = entry('done', { start: true, outcome: 'done' })
    expect([done, cont, start, claim].map(entryClass)).toEqual([0, 1, 2, 3])
    expect(holder(slot, [claim, start, cont, done], one)).toBe(done)
    expect(holder(slot, [cont, claim, start], one)).toBe(cont)
    expect(holder(slot, [claim, start], one)).toBe(start)
    expect(holder(slot, [claim], one)).toBe(claim)
  })

  it('[CH2] who failed, gave back, was cancelled or lost is no candidate', () => {
    for (const outcome of ['failed', 'timed-out', 'released', 'cancelled', 'lost'] as const) {
      const over = entry('over', { claim: true, start: true, outcome })
      expect(holder(slot, [over], one)).toBeUndefined()
      const late = entry('late', { claim: true })
      expect(holder(slot, [over, late], one)).toBe(late)
    }
    expect(holder(slot, [entry('nothing')], one)).toBeUndefined()
  })

  it('[CH2] entries of other epochs and rounds do not count', () => {
    expect(
      holder(slot, [entry('a', { start: true, epoch: 2 }), entry('b', { start: true, round: 2 })], one),
    ).toBeUndefined()
  })

  it('[CH3] within a class the rendezvous score decides, in whatever order the entries came', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 8 }),
        fc.nat(),
        (nodes, epoch) => {
          const at = { ...slot, epoch }
          const entries = nodes.map((n) => entry(n, { claim: true, epoch }))
          const winner = holder(at, entries, one)!
          expect(holder(at, entries.toReversed(), one)).toBe(winner)
          const best = Math.min(...nodes.map((n) => claimScore(at, n, 1)))
          expect(claimScore(at, winner.node, 1)).toBe(best)
          expect(claimRank(at, winner.node, nodes, one)).toBe(0)
        },
      ),
      { numRuns: 200, seed: 3 },
    )
  })

  it('[CH4] fair: each of five nodes is first for a fifth of the tasks (chi-square)', () => {
    const nodes = ['n1', 'n2', 'n3', 'n4', 'n5']
    const wins = new Map(nodes.map((n) => [n, 0]))
    const tasks = 5_000
    for (let i = 0; i < tasks; i++) {
      const at = { ...slot, task: `task-${i}` }
      const first = nodes.find((n) => claimRank(at, n, nodes, one) === 0)!
      wins.set(first, wins.get(first)! + 1)
    }
    const expected = tasks / nodes.length
    const chi = [...wins.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
    // 4 degrees of freedom: 18.5 is passed by chance once in a thousand.
    expect(chi).toBeLessThan(18.5)
  })

  it('[CH4] a node with three times the slots is first three times as often', () => {
    const slots = (node: string): number => (node === 'big' ? 3 : 1)
    let big = 0
    for (let i = 0; i < 4_000; i++) {
      if (claimRank({ ...slot, task: `task-${i}` }, 'big', ['big', 'small'], slots) === 0) big++
    }
    expect(big / 4_000).toBeGreaterThan(0.72)
    expect(big / 4_000).toBeLessThan(0.78)
  })

  it('[CH3] ranks are a permutation: nobody shares one, and a fresh one for each epoch', () => {
    const nodes = ['a', 'b', 'c', 'd']
    const orders = new Set<string>()
    for (let epoch = 1; epoch <= 40; epoch++) {
      const ranks = nodes.map((n) => claimRank({ ...slot, epoch }, n, nodes, one))
      expect(ranks.toSorted()).toEqual([0, 1, 2, 3])
      orders.add(ranks.join())
    }
    expect(orders.size).toBeGreaterThan(10)
    expect(claimRank(slot, 'a', ['a'], one)).toBe(0)
  })

  it('[CH5] of two results by one node the success counts, then the failure, then the earlier life', () => {
    const made = (outcome: Outcome, incarnation: string) => ({ result: { outcome }, incarnation })
    const pairs = [
      [made('done', '02'), made('failed', '01')],
      [made('failed', '02'), made('released', '01')],
      [made('timed-out', '02'), made('lost', '01')],
      [made('done', '01'), made('done', '02')],
      [made('lost', '01'), made('released', '02')],
    ] as const
    for (const [better, worse] of pairs) {
      expect(betterResult(better, worse)).toBe(better)
      expect(betterResult(worse, better)).toBe(better)
    }
  })
})

describe('backoff', () => {
  it('[BK1] none and reassign start again at once, fixed rests the same, exponential doubles, never beyond five minutes', () => {
    const bound = (
      strategy: 'none' | 'fixed' | 'exponential' | 'reassign',
      failures: number,
      delayMs = 10_000,
    ) => backoffBoundMs({ strategy, attempts: 9, delayMs }, failures)
    expect([1, 2, 9].map((n) => bound('none', n))).toEqual([0, 0, 0])
    expect([1, 2, 9].map((n) => bound('reassign', n))).toEqual([0, 0, 0])
    expect([1, 2, 9].map((n) => bound('fixed', n))).toEqual([10_000, 10_000, 10_000])
    expect([1, 2, 3, 4, 5, 6].map((n) => bound('exponential', n))).toEqual([
      10_000,
      20_000,
      40_000,
      80_000,
      160_000,
      BACKOFF_MS_MAX,
    ])
    expect(bound('exponential', 1_000_000)).toBe(BACKOFF_MS_MAX)
    expect(bound('fixed', 1, 3_600_000)).toBe(BACKOFF_MS_MAX)
    expect(bound('exponential', 0)).toBe(10_000)
  })

  it('[BK2] full jitter: uniform from zero to the bound', () => {
    const retry = { strategy: 'exponential' as const, attempts: 9, delayMs: 1_000 }
    const prng = createPrng(4)
    const waits = Array.from({ length: 2_000 }, () => backoffMs(retry, 3, prng.next()))
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...waits)).toBeLessThan(4_000)
    const quarters = [0, 0, 0, 0]
    for (const w of waits) quarters[Math.floor(w / 1_000)]!++
    for (const n of quarters) expect(n).toBeGreaterThan(420)
  })
})

describe('hash and randomness', () => {
  it('[HS1] SHA-256 of any text is that of the platform', () => {
    const platform = (text: string) => createHash('sha256').update(text).digest('hex')
    expect(sha256Hex('')).toBe(platform(''))
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        expect(sha256Hex(text)).toBe(platform(text))
      }),
      { numRuns: 500, seed: 1 },
    )
    for (let n = 50; n < 140; n++) expect(sha256Hex('x'.repeat(n))).toBe(platform('x'.repeat(n)))
  })

  it('[HS2] a fraction of a hash is inside 0 and 1, spread, and the same for ever', () => {
    expect(hashFraction('claim/1\na')).toBe(hashFraction('claim/1\na'))
    expect(sha256Hex('claim/1\na').slice(0, 13)).toBe(
      Math.floor(hashFraction('claim/1\na') * 2 ** 52)
        .toString(16)
        .padStart(13, '0'),
    )
    const all = Array.from({ length: 4_000 }, (_, i) => hashFraction(`k${i}`))
    for (const f of all) expect(f > 0 && f <= 1).toBe(true)
    for (let d = 0; d < 10; d++)
      expect(all.filter((f) => Math.floor(f * 10) === d).length).toBeGreaterThan(330)
  })

  it('[HS3] a seed gives one sequence, another seed another, in 0 to 1', () => {
    const take = (seed: number, n: number) => {
      const prng = createPrng(seed)
      return Array.from({ length: n }, () => prng.next())
    }
    expect(take(7, 20)).toEqual(take(7, 20))
    expect(take(7, 20)).not.toEqual(take(8, 20))
    expect(take(2 ** 40 + 7, 20)).not.toEqual(take(7, 20))
    const many = take(1, 10_000)
    expect(many.every((x) => x >= 0 && x < 1)).toBe(true)
    expect(Math.abs(many.reduce((a, b) => a + b, 0) / many.length - 0.5)).toBeLessThan(0.02)
  })

  it('[HS4] a seal is the digest of a set of ids, whatever their order', () => {
    expect(sealOf(['b', 'a'])).toEqual(sealOf(['a', 'b']))
    expect(sealOf(['a', 'b']).digest).not.toBe(sealOf(['a', 'c']).digest)
    expect(sealOf([]).count).toBe(0)
  })

  it('[HS5] a heap gives what it was given in order, and forgets what is purged', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (numbers) => {
        const heap = new Heap<number>((a, b) => a < b)
        for (const n of numbers) heap.push(n)
        heap.purge((n) => n % 3 !== 0)
        const out: number[] = []
        while (heap.size > 0) out.push(heap.pop()!)
        expect(out).toEqual(numbers.filter((n) => n % 3 !== 0).sort((a, b) => a - b))
        expect(heap.pop()).toBeUndefined()
      }),
      { numRuns: 300, seed: 2 },
    )
  })
})
