/** Chance, as the simulation needs it. Everything comes from one seed; each part draws from a stream of its own, so that one more throw here changes nothing there. */
import { createPrng, type Prng } from '../core/prng.ts'

export class Dice {
  readonly #prng: Prng

  constructor(seed: number) {
    this.#prng = createPrng(seed)
  }

  /** A stream of its own. */
  fork(): Dice {
    return new Dice(this.int(2 ** 47))
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.#prng.next()
  }

  /** Uniform in 0..n-1. */
  int(n: number): number {
    return n > 2 ** 32
      ? Math.floor((Math.floor(this.#prng.next() * 2 ** 21) * 2 ** 32 + this.#prng.next() * 2 ** 32) % n)
      : Math.floor(this.#prng.next() * n)
  }

  between(from: number, to: number): number {
    return from + this.#prng.next() * (to - from)
  }

  chance(probability: number): boolean {
    return this.#prng.next() < probability
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)]!
  }

  shuffle<T>(list: readonly T[]): T[] {
    const mixed = [...list]
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = this.int(i + 1)
      const swapped = mixed[i]!
      mixed[i] = mixed[j]!
      mixed[j] = swapped
    }
    return mixed
  }

  /** Waiting time of a process without memory. */
  exponential(mean: number): number {
    return -Math.log(1 - this.#prng.next()) * mean
  }

  /** What delays and durations look like: mostly near the median, sometimes far above. */
  lognormal(median: number, sigma: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#prng.next()))
    return median * Math.exp(sigma * radius * Math.cos(2 * Math.PI * this.#prng.next()))
  }
}
