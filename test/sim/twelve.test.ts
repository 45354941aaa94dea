/** Twelve nodes and 150 tasks, as the figures of the design were measured. */
import { describe, expect, it } from 'vitest'
import { LONG_MS, play } from './play.ts'

const TWELVE = { nodes: 12, tasks: 150 } as const

describe('twelve nodes', () => {
  it(
    '[SI6] [SI9] storm: no rule is broken, and most of it is started once, and little is wasted',
    async () => {
      const { broken, figures } = await play({ ...TWELVE, faults: 'storm', from: 1, count: 20 })
      expect(broken).toEqual([])
      expect(figures.accepted / figures.tasks).toBeGreaterThan(0.95)
      expect(figures.doubleStarts).toBeLessThan(350)
      expect(figures.waste).toBeLessThan(0.3)
    },
    LONG_MS,
  )

  it(
    '[SI9] mild: no rule is broken, little is started twice',
    async () => {
      const { broken, figures } = await play({ ...TWELVE, faults: 'mild', from: 1, count: 6 })
      expect(broken).toEqual([])
      expect(figures.accepted).toBe(figures.tasks)
      // One partition of 40 s makes a dozen of them: figures of more seeds are in docs/simulator.md.
      expect(figures.doubleStarts).toBeLessThan(30)
      expect(figures.waste).toBeLessThan(0.03)
    },
    LONG_MS,
  )
})
