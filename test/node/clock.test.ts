// The clock of a node by injected readings: sleep counts, drift of the reading does not.
import { describe, expect, it } from 'vitest'
import { Clock } from '../../src/node/clock.ts'

describe('clock', () => {
  it('[CN9] counts a sleep of eight hours, once, that the monotonic clock did not see', () => {
    let [monotonic, up] = [1_000, 501_000]
    const clock = new Clock(
      () => monotonic,
      () => up,
    )
    expect(clock.wake()).toBe(0)
    expect(clock.now()).toBe(1_000)
    monotonic += 20
    up += 20 + 8 * 3_600_000
    expect(clock.wake()).toBe(8 * 3_600_000)
    expect(clock.wake()).toBe(0)
    expect(clock.now()).toBe(1_020 + 8 * 3_600_000)
  })

  it('[CN9] takes the coarse uptime for no sleep', () => {
    let [monotonic, up] = [0, 0]
    const clock = new Clock(
      () => monotonic,
      () => up,
    )
    for (let k = 0; k < 1_000; k++) {
      monotonic += 7.3
      up = Math.round(monotonic / 10) * 10
      expect(clock.wake()).toBe(0)
    }
    expect(clock.now()).toBe(monotonic)
  })
})
