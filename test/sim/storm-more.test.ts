/** More seeds of `storm.test.ts`, in a file of their own so that they run beside it. */
import { describe, expect, it } from 'vitest'
import { LONG_MS, play } from './play.ts'

describe('five nodes in more storms', () => {
  it(
    '[SI1] [SI6] no rule is broken, and each seed goes the same way twice',
    async () => {
      const { broken } = await play({
        faults: 'storm',
        from: 101,
        count: 100,
        nodes: 5,
        tasks: 40,
        twice: true,
      })
      expect(broken).toEqual([])
    },
    LONG_MS,
  )
})
