/** Time and chance as inputs of the net's loops, so that a simulator can own them. */
import type { DurationMs, Millis } from '../core/id.ts'

export interface Timing {
  /** Monotonic. */
  now(): Millis
  /** Uniform in [0, 1). */
  random(): number
  /** Calls back once. Returns the undo. */
  after(delayMs: DurationMs, action: () => void): () => void
}

/** Timers of this process; they do not keep it alive. */
export const SYSTEM_TIMING: Timing = {
  now: () => performance.now(),
  random: () => Math.random(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs).unref()
    return () => clearTimeout(timer)
  },
}

/** `span` give or take a quarter, so that nodes that started together do not stay in step. */
export function jittered(span: DurationMs, timing: Timing): DurationMs {
  return span * (0.75 + timing.random() / 2)
}
