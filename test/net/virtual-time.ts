/** A clock that stands still until it is told: actions run in the order of their time, and everything that promises hang on is through before the next one. */
import type { DurationMs, Millis } from '../../src/core/id.ts'
import { createPrng } from '../../src/core/prng.ts'
import type { Timing } from '../../src/net/timing.ts'

interface Action {
  readonly at: Millis
  readonly run: () => void
}

export interface VirtualTime extends Timing {
  /** Runs until `isDone`, or throws when `forMs` of virtual time are over. */
  until(isDone: () => boolean, forMs?: DurationMs): Promise<void>
  /** Runs for a span. */
  pass(forMs: DurationMs): Promise<void>
}

export function createVirtualTime(seed: number): VirtualTime {
  const prng = createPrng(seed)
  let now = 0
  let actions: Action[] = []

  const settle = async (): Promise<void> => {
    // Promises settle in microtasks, all of which run before the next macrotask.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const step = async (limit: Millis): Promise<boolean> => {
    await settle()
    let first: Action | undefined
    for (const action of actions) if (!first || action.at < first.at) first = action
    if (!first || first.at > limit) return false
    now = Math.max(now, first.at)
    // All of one instant, in the order in which they were asked for.
    const due = actions.filter(({ at }) => at <= now)
    actions = actions.filter(({ at }) => at > now)
    for (const { run } of due) run()
    return true
  }

  return {
    now: () => now,
    random: () => prng.next(),
    after(delayMs, run) {
      const action: Action = { at: now + Math.max(0, delayMs), run: () => run() }
      actions.push(action)
      return () => {
        actions = actions.filter((each) => each !== action)
      }
    },
    async until(isDone, forMs = 10 * 60_000) {
      const limit = now + forMs
      for (;;) {
        await settle()
        if (isDone()) return
        if (!(await step(limit))) throw new Error(`not so within ${forMs} ms of virtual time`)
      }
    },
    async pass(forMs) {
      const limit = now + forMs
      while (await step(limit));
      now = limit
    },
  }
}
