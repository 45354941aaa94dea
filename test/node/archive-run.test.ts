import { describe, expect, it } from 'vitest'
import { ARCHIVE_OWN_MS } from '../../src/core/limit.ts'
import { finishedFor } from '../../src/node/archive-run.ts'

const DAY_MS = 24 * 3_600_000
const NOW = 2_000_000_000_000

describe('how long a run has been over when a node begins', () => {
  it('[LC4] is counted from the last word of it, by whichever machine said it', () => {
    expect(finishedFor(new Map([['r', NOW - DAY_MS]]), NOW, 7 * DAY_MS)).toEqual({ r: DAY_MS })
  })

  it.each([
    ['ten years ahead', NOW + 3_650 * DAY_MS, 0],
    ['ten years behind', NOW - 3_650 * DAY_MS, 7 * DAY_MS - ARCHIVE_OWN_MS],
  ])(
    '[LC4] a clock %s archives nothing at once, and does not keep a run for ever',
    (_which, at, expected) => {
      expect(finishedFor(new Map([['r', at]]), NOW, 7 * DAY_MS)).toEqual({ r: expected })
    },
  )

  it('[LC4] is nothing where runs are archived soon anyhow', () => {
    expect(finishedFor(new Map([['r', NOW - DAY_MS]]), NOW, ARCHIVE_OWN_MS)).toEqual({ r: 0 })
  })
})
