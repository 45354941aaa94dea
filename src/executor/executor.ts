/**
 * Executor: runs one kind of worker. Turns whatever program or function it drives into one normalised stream of events and one end. Decides
 * nothing: timeouts, retries and acceptance are the core's.
 *
 * Implementations: `shell.ts`, `scripted.ts` (processes under the shim), `worker.ts` (functions in this process). All pass
 * `test/executor/contract.ts`.
 */
import type { AttemptEnd, AttemptEvent, AttemptSpec } from '../core/attempt.ts'
import type { AttemptId, DurationMs } from '../core/id.ts'

export type StopReason = NonNullable<AttemptEnd['stopped']>

export interface RunningAttempt {
  readonly id: AttemptId
  /** Process id of the worker, when it has one of its own. */
  readonly pid?: number
  /**
   * Ends the attempt: TERM to its whole session, KILL after `graceMs`, daemonised children too. Returns at once; the end arrives through `ended`.
   * The first reason wins; a second call with a shorter grace hurries.
   */
  stop(reason: StopReason, graceMs: DurationMs): void
  /** Resolves once, when nothing of the attempt runs any more. Never rejects. */
  readonly ended: Promise<AttemptEnd>
}

export interface Executor {
  readonly kind: string
  /** True when an attempt outlives this process, and `adopt` can find it again. */
  readonly survives: boolean
  /**
   * Starts an attempt. Rejects only for faults of this node (disk full, no shim); a command that does not exist is an `AttemptEnd`. `listener` is called in
   * order, never after `ended` resolved, and may not throw.
   */
  start(spec: AttemptSpec, listener: (event: AttemptEvent) => void): Promise<RunningAttempt>
  /**
   * Finds an attempt that an earlier process of this node started in `spec.dir`. Resolves to it when it lives or has left its end; to `undefined` when it
   * never started. A start that left neither process nor record resolves to an attempt that has ended as `lost`, after everything that carries its id was
   * ended.
   */
  adopt(spec: AttemptSpec, listener: (event: AttemptEvent) => void): Promise<RunningAttempt | undefined>
}
