// A few of the runs of `kill.ts`, from fixed seeds: nodes and agents killed at random instants, and everything is accepted once all the same.
import { describe, expect, it } from 'vitest'
import { killRun } from './kill.ts'

describe('killed at random instants', () => {
  it.each([3, 7, 114])(
    '[RC12] seed %i: the run completes, each task accepted once, nothing lost, nothing left running',
    async (seed) => {
      const report = await killRun(seed, true)
      expect(report.wrong, `kept ${report.dir}; kills ${report.kills.join(' ')}`).toEqual([])
    },
    120_000,
  )
})
