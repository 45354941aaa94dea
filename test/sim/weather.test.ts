/** Weather other than a storm: none at all, and each fault alone. */
import { describe, expect, it } from 'vitest'
import { FAULTS } from '../../src/sim/fault.ts'
import { LONG_MS, play } from './play.ts'

describe('weather', () => {
  it(
    '[SI8] calm: accepted once, nobody living is taken for dead, no work is thrown away',
    async () => {
      const { broken, figures } = await play({
        faults: 'calm',
        from: 1,
        count: 10,
        nodes: 5,
        tasks: 40,
        twice: true,
      })
      expect(broken).toEqual([])
      expect(figures.accepted).toBe(figures.tasks)
      expect(figures.falseVoids + figures.cutVoids).toBe(0)
      expect(figures.doubleStarts).toBeLessThanOrEqual(5)
      expect(figures.waste).toBeLessThan(0.005)
      expect(figures.startsPerTask - figures.reworksPerTask).toBeLessThan(1.05)
      expect(figures.waitMs.p50).toBeLessThan(900)
      expect(figures.waitMs.p99).toBeLessThan(2_000)
    },
    LONG_MS,
  )

  it.each(FAULTS.map((fault) => [fault]))(
    '[SI7] %s alone breaks no rule',
    async (fault) => {
      expect((await play({ faults: fault, from: 1, count: 2, nodes: 6, tasks: 40 })).broken).toEqual([])
    },
    LONG_MS,
  )
})
