/** Counts what strangers tried in vain, so that one who tries a lot has to wait. */
import type { DurationMs } from '../core/id.ts'
import { JOIN_TRIES_KEPT_MAX, JOIN_TRIES_MAX, JOIN_TRIES_MS } from '../core/limit.ts'
import type { Timing } from './timing.ts'

export class JoinTries {
  readonly #timing: Timing
  /** The latest last; of each when it tried in vain. */
  readonly #times = new Map<string, number[]>()

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /** How long `who` has to wait, ms; 0 = it may try. */
  waitMs(who: string): DurationMs {
    const times = this.#recent(who)
    return times.length < JOIN_TRIES_MAX ? 0 : Math.ceil(times[0]! + JOIN_TRIES_MS - this.#timing.now())
  }

  add(who: string): void {
    const times = [...this.#recent(who), this.#timing.now()].slice(-JOIN_TRIES_MAX)
    this.#times.delete(who)
    this.#times.set(who, times)
    if (this.#times.size > JOIN_TRIES_KEPT_MAX) this.#times.delete(this.#times.keys().next().value!)
  }

  #recent(who: string): number[] {
    const since = this.#timing.now() - JOIN_TRIES_MS
    return (this.#times.get(who) ?? []).filter((time) => time > since)
  }
}
