/** Attempts of in-process workers: no directory, no workspace, no process; beyond what a worker takes at once they wait here, started and not begun. */
import type { AttemptEnd, AttemptEvent, AttemptSpec } from '../core/attempt.ts'
import type { StartRequest, StopReason } from '../core/effect.ts'
import type { AttemptId, DurationMs } from '../core/id.ts'
import type { Input } from '../core/input.ts'
import { resultOf } from '../core/outcome.ts'
import type { RunningAttempt } from '../executor/executor.ts'
import type { WorkerExecutor } from '../executor/worker.ts'

export interface FunctionRunnerOptions {
  readonly offer: (input: Input) => void
  readonly hear: (id: AttemptId, event: AttemptEvent) => void
  readonly fault: (id: AttemptId, error: unknown) => void
}

export class FunctionRunner {
  readonly #options: FunctionRunnerOptions
  readonly #running = new Map<AttemptId, RunningAttempt>()
  readonly #waiting = new Map<string, StartRequest[]>()
  readonly #idle: (() => void)[] = []
  #detached = false
  #pumping = false

  constructor(options: FunctionRunnerOptions) {
    this.#options = options
  }

  start(executor: WorkerExecutor, request: StartRequest): void {
    const queue = this.#waiting.get(request.task.kind)
    if (queue) queue.push(request)
    else this.#waiting.set(request.task.kind, [request])
    this.#pump(executor)
  }

  /** Begins what waits, as far as the worker takes more. A function that ends at once makes room inside of its own start. */
  #pump(executor: WorkerExecutor): void {
    if (this.#pumping) return
    this.#pumping = true
    const queue = this.#waiting.get(executor.kind) ?? []
    let begun = 0
    while (begun < queue.length && executor.running < executor.concurrency) {
      this.#launch(executor, queue[begun++]!)
    }
    queue.splice(0, begun)
    this.#pumping = false
  }

  #launch(executor: WorkerExecutor, request: StartRequest): void {
    const { id, slot, task, hints, handoff, timeoutMs } = request
    const common = { id, slot, task, dir: '', workspace: '', env: NO_ENV, timeoutMs, hints }
    const spec: AttemptSpec = handoff ? { ...common, handoff } : common
    let over = false
    try {
      const running = executor.launch(
        spec,
        (event) => this.#options.hear(id, event),
        (end) => {
          over = true
          this.#ended(executor, request, end)
        },
      )
      if (!over) this.#running.set(id, running)
    } catch (error) {
      this.#options.fault(id, error)
    }
  }

  #ended(executor: WorkerExecutor, { id, task }: StartRequest, end: AttemptEnd): void {
    this.#running.delete(id)
    if (!this.#detached) {
      const result = resultOf(task, end, undefined, undefined)
      this.#options.offer({ type: 'attempt-ended', attempt: id, result })
    }
    this.#pump(executor)
    if (this.#running.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
  }

  /** False when it is not one of these. */
  stop(id: AttemptId, reason: StopReason, graceMs: DurationMs): boolean {
    const running = this.#running.get(id)
    if (running) {
      running.stop(reason, graceMs)
      return true
    }
    for (const queue of this.#waiting.values()) {
      const at = queue.findIndex((r) => r.id === id)
      if (at < 0) continue
      queue.splice(at, 1)
      this.#options.offer({ type: 'attempt-ended', attempt: id, result: { outcome: 'cancelled', reason } })
      return true
    }
    return false
  }

  /** Resolves when none runs any more. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  hurry(): void {
    for (const id of [...this.#running.keys()]) this.stop(id, 'shutdown', 0)
  }

  /** What runs is told to end: the next life starts it again, and needs its place. */
  detach(): void {
    this.#detached = true
    this.#waiting.clear()
    this.hurry()
  }
}

const NO_ENV = Object.freeze({})
