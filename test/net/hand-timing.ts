/** Time that passes when the test says so. */
import type { Timing } from '../../src/net/timing.ts'

export class HandTiming implements Timing {
  #now = 0
  readonly #due = new Set<{ readonly at: number; readonly action: () => void }>()
  /** Timers set so far. */
  set = 0

  now(): number {
    return this.#now
  }

  random(): number {
    return 0.5
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { at: this.#now + delayMs, action }
    this.set++
    this.#due.add(timer)
    return () => this.#due.delete(timer)
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#due.size
  }

  advance(ms: number): void {
    const until = this.#now + ms
    for (;;) {
      const next = [...this.#due].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0]
      if (!next) break
      this.#due.delete(next)
      this.#now = next.at
      next.action()
    }
    this.#now = until
  }
}
