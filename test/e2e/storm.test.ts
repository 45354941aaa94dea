// One small storm from a fixed seed; `storm.ts` plays large ones.
import { expect, it } from 'vitest'
import { storm } from './storm.ts'

it('[EE17] four nodes, forty tasks, random faults: each task is accepted once, everywhere the same, and nothing is lost', async () => {
  const { wrong, dir, faults } = await storm({ nodes: 4, tasks: 40, seed: 3, faults: 5 })
  expect(wrong, `kept ${dir}; faults ${faults.join(', ')}`).toBeUndefined()
  expect(faults.length).toBeGreaterThan(2)
}, 300_000)
