/** Small clusters in a storm: nothing that must never be, everything that must come, and the same twice. The seeds after these: `storm-more.test.ts`. */
import { describe, expect, it } from 'vitest'
import { LONG_MS, play } from './play.ts'

describe('five nodes in a storm', () => {
  it(
    '[SI1] [SI6] no rule is broken, all views are equal in the end, and each seed goes the same way twice',
    async () => {
      const { broken } = await play({
        faults: 'storm',
        from: 1,
        count: 120,
        nodes: 5,
        tasks: 40,
        twice: true,
      })
      expect(broken).toEqual([])
    },
    LONG_MS,
  )

  it.each([[14], [16], [95], [179], [224], [241], [1041], [1083], [2042]])(
    '[SI6] seed %i, which found something once, is clean',
    async (seed) => {
      expect((await play({ faults: 'storm', from: seed, count: 1, nodes: 5, tasks: 40 })).broken).toEqual([])
    },
    LONG_MS,
  )
})
