/** Every small merge queue there is: up to eight results, every set of culprits, by check and by verify, on a green, an unknown and a red tip. */
import { describe, expect, it } from 'vitest'
import type { Delta, MergedCommit } from '../../src/core/integrate.ts'
import { type Candidate, type GateVerdict, type MergeStep, mergeStep } from '../../src/core/merge-queue.ts'

const OK: GateVerdict = { ok: true, exit: 0, output: '' }
const BAD: GateVerdict = { ok: false, exit: 1, output: 'boom' }

function delta(i: number, check: boolean): Delta {
  return {
    task: `t${i}`,
    round: 1,
    epoch: 1,
    by: 'n',
    base: 'b',
    head: `h${i}`,
    title: '',
    authorName: '',
    ...(check ? { check: `check ${i}` } : {}),
  }
}

interface World {
  readonly n: number
  readonly verify: boolean
  readonly checks: boolean
  readonly tip: 'green' | 'unknown' | 'red'
  /** Bit i: the result i breaks `verify` for itself and all after it. */
  readonly breaks: number
  /** Bit i: the check of result i fails. */
  readonly failsCheck: number
  /** Bit i: result i is empty. */
  readonly empty?: number
}

interface Run {
  readonly done: Extract<MergeStep, { next: 'done' }>
  readonly verifies: readonly number[]
  readonly checks: readonly number[]
}

function play(world: World): Run {
  const { n, breaks, failsCheck, empty = 0 } = world
  let at = 'tip'
  const chain: MergedCommit[] = []
  for (let i = 0; i < n; i++) {
    const isEmpty = ((empty >> i) & 1) === 1
    if (!isEmpty) at = `c${i}`
    chain.push({ task: `t${i}`, commit: at, empty: isEmpty })
  }
  const checks = new Map<number, GateVerdict>()
  const verifies = new Map<number, GateVerdict>()
  const candidate: Candidate = {
    tip: 'tip',
    deltas: Array.from({ length: n }, (_, i) => delta(i, world.checks)),
    chain,
    ...(world.verify ? { verify: 'npm test' } : {}),
    tipGreen: world.tip === 'green',
    checks,
    verifies,
  }
  const asked: number[] = []
  for (let i = 0; i < 100; i++) {
    const step = mergeStep(candidate)
    if (step.next === 'done') return { done: step, verifies: asked, checks: [...checks.keys()] }
    if (step.next === 'check') {
      expect(step.commit).toBe(chain[step.index]!.commit)
      checks.set(step.index, ((failsCheck >> step.index) & 1) === 1 ? BAD : OK)
    } else {
      expect(step.commit).toBe(step.prefix === 0 ? 'tip' : chain[step.prefix - 1]!.commit)
      asked.push(step.prefix)
      const held = breaks & ((1 << step.prefix) - 1) & ~empty
      verifies.set(step.prefix, world.tip === 'red' || held !== 0 ? BAD : OK)
    }
  }
  throw new Error('it does not end')
}

/** Index of the lowest bit, or n. */
function first(bits: number, n: number): number {
  for (let i = 0; i < n; i++) if ((bits >> i) & 1) return i
  return n
}

const sizes = [1, 2, 3, 4, 5, 6, 7, 8]

describe('every set of culprits', () => {
  it('[MQ1] nothing to gate with: everything is good at once, unverified', () => {
    for (const n of sizes) {
      expect(play({ n, verify: false, checks: false, tip: 'unknown', breaks: 0, failsCheck: 0 })).toEqual({
        done: { next: 'done', prefix: n, verified: false, red: false },
        verifies: [],
        checks: [],
      })
    }
  })

  it('[MQ2] checks run in order on the task’s own commit; the first that fails is the culprit and ends the prefix', () => {
    for (const n of sizes) {
      for (let bits = 0; bits < 1 << n; bits++) {
        const { done, checks } = play({
          n,
          verify: false,
          checks: true,
          tip: 'unknown',
          breaks: 0,
          failsCheck: bits,
        })
        const bad = first(bits, n)
        expect(done.prefix).toBe(bad)
        expect(done.culprit?.task).toBe(bad < n ? `t${bad}` : undefined)
        if (bad < n)
          expect(done.culprit).toMatchObject({
            why: 'check',
            command: `check ${bad}`,
            exit: 1,
            output: 'boom',
          })
        expect(checks).toHaveLength(Math.min(bad + 1, n))
      }
    }
  })

  it('[MQ3] without a culprit `verify` runs once, on the longest prefix', () => {
    for (const n of sizes) {
      for (const tip of ['green', 'unknown'] as const) {
        const { done, verifies } = play({ n, verify: true, checks: false, tip, breaks: 0, failsCheck: 0 })
        expect(verifies).toEqual([n])
        expect(done).toEqual({ next: 'done', prefix: n, verified: true, red: false })
      }
    }
  })

  it('[MQ4] with any set of culprits the first is named, all before it are verified, and it takes at most 2 + log2(n) runs', () => {
    let most = 0
    for (const n of sizes) {
      for (let bits = 1; bits < 1 << n; bits++) {
        for (const tip of ['green', 'unknown'] as const) {
          const { done, verifies } = play({
            n,
            verify: true,
            checks: false,
            tip,
            breaks: bits,
            failsCheck: 0,
          })
          const bad = first(bits, n)
          expect(done).toMatchObject({
            prefix: bad,
            red: false,
            verified: bad > 0,
            culprit: { task: `t${bad}`, why: 'verify' },
          })
          // The good prefix itself was run, unless it is the green tip.
          if (bad > 0 || tip === 'unknown') expect(verifies).toContain(bad)
          expect(new Set(verifies).size).toBe(verifies.length)
          expect(verifies.length).toBeLessThanOrEqual(
            1 + (tip === 'unknown' ? 1 : 0) + Math.ceil(Math.log2(n)),
          )
          most = Math.max(most, verifies.length)
        }
      }
    }
    expect(most).toBe(5)
  })

  it('[MQ5] on a red tip nobody is blamed by `verify`: the checks decide, and the result says so', () => {
    for (const n of sizes) {
      for (let bits = 0; bits < 1 << n; bits++) {
        const { done, verifies } = play({
          n,
          verify: true,
          checks: true,
          tip: 'red',
          breaks: 0,
          failsCheck: bits,
        })
        const bad = first(bits, n)
        expect(done).toMatchObject({ prefix: bad, verified: false, red: bad > 0 })
        expect(done.culprit?.why).toBe(bad < n ? 'check' : undefined)
        expect(verifies).toEqual(bad > 0 ? [bad, 0] : [])
      }
    }
  })

  it('[MQ2] checks and verify together: verify gates only what the checks left, and an earlier culprit of either is named', () => {
    for (const n of [1, 2, 3, 4, 5]) {
      for (let breaks = 0; breaks < 1 << n; breaks++) {
        for (let fails = 0; fails < 1 << n; fails++) {
          const { done } = play({ n, verify: true, checks: true, tip: 'green', breaks, failsCheck: fails })
          const byCheck = first(fails, n)
          const byVerify = first(breaks, n)
          expect(done.prefix).toBe(Math.min(byCheck, byVerify))
          expect(done.culprit?.task).toBe(done.prefix < n ? `t${done.prefix}` : undefined)
          if (done.culprit) expect(done.culprit.why).toBe(byVerify < byCheck ? 'verify' : 'check')
        }
      }
    }
  })

  it('[MQ6] results that change nothing cost no run, and are never blamed', () => {
    for (const n of [1, 2, 3, 4, 5]) {
      for (let empty = 0; empty < 1 << n; empty++) {
        for (let breaks = 0; breaks < 1 << n; breaks++) {
          const real = breaks & ~empty
          const { done, verifies } = play({
            n,
            verify: true,
            checks: false,
            tip: 'green',
            breaks,
            failsCheck: 0,
            empty,
          })
          const bad = first(real, n)
          expect(done.culprit?.task).toBe(bad < n ? `t${bad}` : undefined)
          expect(done.prefix).toBe(bad)
          if (empty === (1 << n) - 1) expect(verifies).toEqual([])
        }
      }
    }
  })
})
