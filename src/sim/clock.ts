/**
 * The clocks of one machine: a monotonic one that runs a little fast or slow and stands still while the machine sleeps, an uptime that does not, and a wall clock that jumps.
 */
import type { DurationMs, Millis, WallMs } from '../core/id.ts'
import { Clock } from '../node/clock.ts'
import type { Timeline } from './timeline.ts'

/** Any date will do; it must not come from the real clock. */
const EPOCH: WallMs = 1_800_000_000_000

export class MachineClock {
  /** The node's own clock, as it runs on a real machine. */
  readonly clock: Clock
  readonly #timeline: Timeline
  readonly #rate: number
  #sleptMs: DurationMs = 0
  #asleepAt: Millis | undefined
  #jumpMs = 0

  constructor(timeline: Timeline, rate: number) {
    this.#timeline = timeline
    this.#rate = rate
    this.clock = new Clock(
      () => this.#monotonic(),
      () => timeline.now * rate,
    )
  }

  sleep(): void {
    this.#asleepAt ??= this.#timeline.now
  }

  wake(): void {
    if (this.#asleepAt === undefined) return
    this.#sleptMs += this.#timeline.now - this.#asleepAt
    this.#asleepAt = undefined
  }

  jump(ms: DurationMs): void {
    this.#jumpMs += ms
  }

  wall(): WallMs {
    return Math.max(0, Math.round(EPOCH + this.#timeline.now * this.#rate + this.#jumpMs))
  }

  /** How long it has slept in all. */
  get sleptMs(): DurationMs {
    return this.#sleptMs
  }

  /** Virtual time that passes while this machine counts `ms`. */
  span(ms: DurationMs): DurationMs {
    return ms / this.#rate
  }

  #monotonic(): Millis {
    return ((this.#asleepAt ?? this.#timeline.now) - this.#sleptMs) * this.#rate
  }
}
