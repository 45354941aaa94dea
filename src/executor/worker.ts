/**
 * In-process workers: a function of the program that embeds the node. The hot path of 10,000 small tasks: a start takes no timer, no listener and
 * no controller that the function does not ask for.
 */
import type { AttemptEnd, AttemptEvent, AttemptSpec, Handoff } from '../core/attempt.ts'
import { isOrchError, OrchError } from '../core/error.ts'
import type { AttemptId, DurationMs, RunId, TaskId, WallMs } from '../core/id.ts'
import { OUTPUT_EXCERPT_BYTES, RESULT_BYTES_MAX, SLOTS_MAX } from '../core/limit.ts'
import type { Json } from '../core/task.ts'
import type { Executor, RunningAttempt, StopReason } from './executor.ts'
import { readHandoff } from './report.ts'

type Listener = (event: AttemptEvent) => void

/** What the function gets. */
export interface WorkerTask {
  readonly id: TaskId
  readonly run: RunId
  readonly attempt: AttemptId
  /** The task's id where it has none. */
  readonly title: string
  /** As it was submitted; `null` when nothing was. */
  readonly payload: Json
  /** What went wrong before. */
  readonly hints: readonly string[]
  /** From the attempt before. */
  readonly handoff: Handoff | undefined
  readonly workspace: string
  /** Aborted when the attempt is stopped; its reason says why. */
  readonly signal: AbortSignal
  /** Refuses (false) what is no handoff. */
  progress(handoff: Handoff): boolean
  step(n: number, status?: string): void
}

export interface WorkerOptions {
  readonly kind: string
  /** Attempts at once on this node. */
  readonly concurrency: number
  /** Returns JSON of at most `RESULT_BYTES_MAX`, or nothing. What it throws is the reason of a failure. */
  run(task: WorkerTask): unknown
  /** A function that was stopped, did not return in time and has returned or thrown now: too late to count. */
  late?(attempt: AttemptId, error?: unknown): void
}

export interface WorkerExecutor extends Executor {
  readonly concurrency: number
  /** Attempts that run now. */
  readonly running: number
  /**
   * The same as `start` without a promise: throws what `start` rejects with. `onEnd` is called once, before `launch` returns when the function ends at once, and
   * may not throw.
   */
  launch(spec: AttemptSpec, listener: Listener, onEnd: (end: AttemptEnd) => void): RunningAttempt
}

/** @throws `ORCH_USAGE` when `concurrency` is no whole number of 1..`SLOTS_MAX` */
export function createWorkerExecutor(options: WorkerOptions): WorkerExecutor {
  const { concurrency } = options
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > SLOTS_MAX) {
    throw new OrchError('ORCH_USAGE', `concurrency must be a whole number of 1..${SLOTS_MAX}`, {
      context: { concurrency },
    })
  }
  return new FunctionExecutor(options)
}

class FunctionExecutor implements WorkerExecutor {
  readonly kind: string
  readonly survives = false
  readonly concurrency: number
  readonly options: WorkerOptions
  readonly attempts = new Map<AttemptId, FunctionAttempt>()

  constructor(options: WorkerOptions) {
    this.options = options
    this.kind = options.kind
    this.concurrency = options.concurrency
  }

  get running(): number {
    return this.attempts.size
  }

  start(spec: AttemptSpec, listener: Listener): Promise<RunningAttempt> {
    try {
      return Promise.resolve(this.launch(spec, listener))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  launch(spec: AttemptSpec, listener: Listener, onEnd?: (end: AttemptEnd) => void): RunningAttempt {
    if (this.attempts.has(spec.id))
      throw new OrchError('ORCH_WRONG_STATE', `attempt ${spec.id} was started before`)
    if (this.attempts.size >= this.concurrency) {
      throw new OrchError(
        'ORCH_BACKPRESSURE',
        `${this.concurrency} attempts of kind ${this.kind} run already`,
      )
    }
    const attempt = new FunctionAttempt(this, spec, listener, onEnd)
    this.attempts.set(spec.id, attempt)
    attempt.begin()
    return attempt
  }

  /** Functions end with their process: what is not running here is lost. */
  adopt(spec: AttemptSpec, _listener: Listener): Promise<RunningAttempt> {
    const attempt = this.attempts.get(spec.id)
    if (attempt) return Promise.resolve(attempt)
    const now = Date.now()
    const end: AttemptEnd = {
      exit: null,
      lost: true,
      startedAt: now,
      endedAt: now,
      outputBytes: 0,
      excerpt: '',
    }
    return Promise.resolve({ id: spec.id, stop: () => {}, ended: Promise.resolve(end) })
  }
}

class FunctionAttempt implements RunningAttempt {
  readonly id: AttemptId
  readonly spec: AttemptSpec
  readonly #executor: FunctionExecutor
  readonly #listener: Listener
  readonly #startedAt: WallMs = Date.now()
  readonly #onEnd: ((end: AttemptEnd) => void) | undefined
  #end: AttemptEnd | undefined
  #ended: Promise<AttemptEnd> | undefined
  #resolve: ((end: AttemptEnd) => void) | undefined
  #stopped: StopReason | undefined
  #stopAt = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #controller: AbortController | undefined

  constructor(
    executor: FunctionExecutor,
    spec: AttemptSpec,
    listener: Listener,
    onEnd: ((end: AttemptEnd) => void) | undefined,
  ) {
    this.id = spec.id
    this.spec = spec
    this.#executor = executor
    this.#listener = listener
    this.#onEnd = onEnd
  }

  /** Made when somebody asks: whoever gave `onEnd` need not. */
  get ended(): Promise<AttemptEnd> {
    const end = this.#end
    this.#ended ??= end
      ? Promise.resolve(end)
      : new Promise((resolve) => {
          this.#resolve = resolve
        })
    return this.#ended
  }

  begin(): void {
    let value: unknown
    try {
      value = this.#executor.options.run(new FunctionTask(this))
    } catch (error) {
      this.#fail(error)
      return
    }
    if (isThenable(value)) {
      value.then(
        (result) => this.#succeed(result),
        (error: unknown) => this.#fail(error),
      )
    } else this.#succeed(value)
  }

  stop(reason: StopReason, graceMs: DurationMs): void {
    if (this.#end) return
    this.#stopped ??= reason
    const at = performance.now() + graceMs
    if (at < this.#stopAt) {
      this.#stopAt = at
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.#finish({}), graceMs)
    }
    this.#controller?.abort(this.#stopped)
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#stopped) this.#controller.abort(this.#stopped)
    }
    return this.#controller.signal
  }

  tell(event: AttemptEvent): void {
    if (!this.#end) this.#listener(event)
  }

  #succeed(value: unknown): void {
    if (this.#end) this.#executor.options.late?.(this.id)
    else if (value === undefined) this.#finish({ finished: { ok: true } })
    else {
      const wrong = refuseValue(value)
      this.#finish(
        wrong === undefined
          ? { finished: { ok: true }, value: value as Json }
          : { finished: { ok: false, reason: wrong } },
      )
    }
  }

  #fail(error: unknown): void {
    if (this.#end) {
      this.#executor.options.late?.(this.id, error)
      return
    }
    const stack = error instanceof Error ? (error.stack ?? '') : ''
    this.#finish({
      finished: { ok: false, reason: reasonOf(error) },
      excerpt: stack.slice(0, OUTPUT_EXCERPT_BYTES),
    })
  }

  #finish(fields: Pick<AttemptEnd, 'finished' | 'value'> & { excerpt?: string }): void {
    clearTimeout(this.#timer)
    this.#executor.attempts.delete(this.id)
    const end: AttemptEnd = {
      exit: fields.finished?.ok ? 0 : null,
      startedAt: this.#startedAt,
      endedAt: Date.now(),
      outputBytes: 0,
      excerpt: '',
      ...fields,
      ...(this.#stopped === undefined ? undefined : { stopped: this.#stopped }),
    }
    this.#end = end
    this.#resolve?.(end)
    this.#onEnd?.(end)
  }
}

/** A class, not a literal: the getters cost nothing until they are asked. */
class FunctionTask implements WorkerTask {
  readonly #attempt: FunctionAttempt

  constructor(attempt: FunctionAttempt) {
    this.#attempt = attempt
  }

  get id(): TaskId {
    return this.#attempt.spec.slot.task
  }
  get run(): RunId {
    return this.#attempt.spec.slot.run
  }
  get attempt(): AttemptId {
    return this.#attempt.id
  }
  get title(): string {
    return this.#attempt.spec.task.title ?? this.id
  }
  get payload(): Json {
    return this.#attempt.spec.task.payload ?? null
  }
  get hints(): readonly string[] {
    return this.#attempt.spec.hints
  }
  get handoff(): Handoff | undefined {
    return this.#attempt.spec.handoff
  }
  get workspace(): string {
    return this.#attempt.spec.workspace
  }
  get signal(): AbortSignal {
    return this.#attempt.signal
  }
  // Getters of bound functions: workers take them apart (`run: ({ step }) => …`), and most never ask.
  get progress(): (handoff: Handoff) => boolean {
    return (handoff) => this.#progress(handoff)
  }
  get step(): (n: number, status?: string) => void {
    return (n, status) =>
      this.#attempt.tell(status === undefined ? { type: 'step', n } : { type: 'step', n, status })
  }
  #progress(handoff: Handoff): boolean {
    const checked = readHandoff(handoff)
    if (checked) this.#attempt.tell({ type: 'progress', handoff: checked })
    return checked !== undefined
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as PromiseLike<unknown>).then === 'function'
  )
}

/** Why a returned value cannot cross the board; `undefined` when it can. */
function refuseValue(value: unknown): string | undefined {
  if (value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value)))
    return undefined
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    return `the returned value is not JSON: ${reasonOf(error)}`
  }
  if (text === undefined || typeof value === 'number')
    return `the returned value is not JSON: ${typeof value === 'number' ? value : typeof value}`
  const bytes = Buffer.byteLength(text)
  return bytes <= RESULT_BYTES_MAX
    ? undefined
    : `the returned value has ${bytes} bytes as JSON, at most ${RESULT_BYTES_MAX} are kept`
}

function reasonOf(error: unknown): string {
  if (isOrchError(error)) return `${error.code}: ${error.message}`
  if (error instanceof Error) return error.message === '' ? error.name : error.message
  return String(error)
}
