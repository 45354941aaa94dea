/**
 * The node's own clock: monotonic, and counting the time that the machine slept, which Linux's does not (libuv reads CLOCK_MONOTONIC; the uptime of the system
 * counts sleep). Never the wall clock: people and NTP move that.
 */
import { uptime } from 'node:os'
import type { DurationMs, Millis } from '../core/id.ts'

/** The uptime is told in hundredths of a second and read a moment apart: less than this is no sleep. */
const SLEEP_MS_MIN = 1_000

export class Clock {
  readonly #monotonic: () => Millis
  readonly #uptime: () => Millis
  #slept = 0
  #offset: DurationMs

  constructor(
    monotonic: () => Millis = () => performance.now(),
    upMs: () => Millis = () => uptime() * 1_000,
  ) {
    this.#monotonic = monotonic
    this.#uptime = upMs
    this.#offset = upMs() - monotonic()
  }

  now(): Millis {
    return this.#monotonic() + this.#slept
  }

  /** Looks whether the machine slept since the last call, and counts it from then on. Returns how long, 0 when it did not. */
  wake(): DurationMs {
    const gained = this.#uptime() - this.#monotonic() - this.#offset
    if (gained < SLEEP_MS_MIN) return 0
    this.#offset += gained
    this.#slept += gained
    return gained
  }
}
