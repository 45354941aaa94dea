/** Twelve nodes in other storms than those of `twelve.test.ts`, each played twice. */
import { describe, expect, it } from 'vitest'
import { LONG_MS, play } from './play.ts'

describe('twelve nodes twice', () => {
  it.each([[21], [31]])(
    '[SI1] [SI6] storms from %i: no rule is broken, and each seed goes the same way twice',
    async (from) => {
      const { broken } = await play({
        faults: 'storm',
        from,
        count: 10,
        nodes: 12,
        tasks: 150,
        twice: true,
      })
      expect(broken).toEqual([])
    },
    LONG_MS,
  )
})
