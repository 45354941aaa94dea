// Two storms of the size that is promised, from fixed seeds; `storm.ts` plays as many as one likes.
import { expect, it } from 'vitest'
import { storm } from './storm.ts'

it.each([101, 102])(
  '[EE17] seven nodes, two hundred tasks, random faults of seed %i: each task is accepted once, everywhere the same, and nothing is lost',
  async (seed) => {
    const { wrong, dir, faults } = await storm({ nodes: 7, tasks: 200, seed, faults: 10 })
    expect(wrong, `kept ${dir}; faults ${faults.join(', ')}`).toBeUndefined()
    expect(faults.length).toBeGreaterThan(4)
  },
  900_000,
)
