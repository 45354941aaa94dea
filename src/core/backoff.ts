import type { DurationMs } from './id.ts'
import { BACKOFF_MS_MAX } from './limit.ts'
import type { Retry } from './task.ts'

/**
 * How long a task rests after its `failures`-th failure (R62), with full jitter: uniform in [0, bound], so that many tasks failed by one cause do not
 * come back at one instant.
 *
 * @param failures failures so far, from 1
 * @param fraction randomness in [0, 1)
 * @returns milliseconds, at most BACKOFF_MS_MAX
 * @see "Exponential Backoff And Jitter" (Brooker, 2015)
 */
export function backoffMs(retry: Retry, failures: number, fraction: number): DurationMs {
  return Math.floor(backoffBoundMs(retry, failures) * fraction)
}

/** The longest rest that `backoffMs` may give. */
export function backoffBoundMs(retry: Retry, failures: number): DurationMs {
  switch (retry.strategy) {
    case 'none':
    case 'reassign':
      return 0
    case 'fixed':
      return Math.min(retry.delayMs, BACKOFF_MS_MAX)
    case 'exponential':
      return Math.min(retry.delayMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30), BACKOFF_MS_MAX)
  }
}
