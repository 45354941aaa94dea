/** The attempts that run on this node now, by id and by token, and those who wait for one to end. */
import type { AttemptId } from '../core/id.ts'
import type { AttemptRecord } from './attempt-record.ts'
import type { LiveAttempt } from './live-attempt.ts'

export class LiveAttempts {
  readonly #attempts = new Map<AttemptId, LiveAttempt>()
  readonly #tokens = new Map<string, AttemptId>()
  readonly #gone = new Map<AttemptId, (() => void)[]>()

  get(id: AttemptId): LiveAttempt | undefined {
    return this.#attempts.get(id)
  }

  has(id: AttemptId): boolean {
    return this.#attempts.has(id)
  }

  keys(): Iterable<AttemptId> {
    return this.#attempts.keys()
  }

  values(): Iterable<LiveAttempt> {
    return this.#attempts.values()
  }

  add(attempt: LiveAttempt): void {
    this.#attempts.set(attempt.id, attempt)
  }

  /** From now on its token speaks for it. */
  keep(attempt: LiveAttempt, record: AttemptRecord): void {
    attempt.record = record
    this.add(attempt)
    this.#tokens.set(record.token, attempt.id)
  }

  verify(token: string): AttemptId | undefined {
    return this.#tokens.get(token)
  }

  drop(attempt: LiveAttempt): void {
    this.#attempts.delete(attempt.id)
    if (attempt.record) this.#tokens.delete(attempt.record.token)
    const waiting = this.#gone.get(attempt.id)
    if (!waiting) return
    this.#gone.delete(attempt.id)
    // After the result that is offered in this turn.
    queueMicrotask(() => {
      for (const resolve of waiting) resolve()
    })
  }

  /** Resolves when an attempt has ended and its result was handed over. */
  gone(id: AttemptId): Promise<void> {
    if (!this.has(id)) return Promise.resolve()
    return new Promise((resolve) => {
      const waiting = this.#gone.get(id)
      if (waiting) waiting.push(resolve)
      else this.#gone.set(id, [resolve])
    })
  }
}
