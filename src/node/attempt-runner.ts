/**
 * Carries out `start` and `stop`: workspace, environment, executor, and at the end the work and its result. One attempt, one directory; everything that
 * a later process needs to go on with it stands there before the worker exists.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AttemptEnd, AttemptEvent, AttemptSpec, Handoff } from '../core/attempt.ts'
import type { StartRequest, StopReason } from '../core/effect.ts'
import { type ErrorCode, isOrchError, OrchError } from '../core/error.ts'
import { type AttemptId, type DurationMs, readAttemptId } from '../core/id.ts'
import type { Input } from '../core/input.ts'
import { resultOf } from '../core/outcome.ts'
import type { TaskSpec } from '../core/task.ts'
import type { Executor, RunningAttempt } from '../executor/executor.ts'
import { readReports } from '../executor/report.ts'
import type { WorkerExecutor } from '../executor/worker.ts'
import { workRef } from '../git/ref.ts'
import type { AttemptLog } from '../log/attempt-log.ts'
import type { Mirror } from '../store/mirror.ts'
import { prepareAttempt } from './attempt-prepare.ts'
import {
  type AttemptRecord,
  ageOf,
  attemptDir,
  readRecord,
  workspaceDir,
  writeWhole,
} from './attempt-record.ts'
import type { AttemptWork } from './attempt-work.ts'
import { FunctionRunner } from './function-runner.ts'
import { createLiveAttempt, createSpec, type LiveAttempt, neverRan, type SaidEnd } from './live-attempt.ts'
import { LiveAttempts } from './live-attempts.ts'

export interface RunnerOptions {
  readonly dataDir: string
  readonly work: AttemptWork
  readonly log: AttemptLog
  /** Files for people who look into the data directory (R39). */
  readonly mirror?: Mirror
  readonly executors: ReadonlyMap<string, Executor>
  readonly nodeId: string
  readonly offer: (input: Input) => void
  /** Resolves when what was offered so far is durable; rejected when it never will be. */
  readonly written: () => Promise<void>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  readonly url: () => string | undefined
  /** Before an adoption: finds where the attempt's log ends, so that nothing is told twice. */
  readonly markOutput: (id: AttemptId) => Promise<void>
  /** Environment names that the operator lets through to workers. */
  readonly keepEnv?: readonly string[]
}

export class AttemptRunner {
  readonly #options: RunnerOptions
  readonly live = new LiveAttempts()
  readonly functions: FunctionRunner
  /** Starts and ends that are being carried out. */
  readonly #busy = new Set<Promise<unknown>>()
  #detached = false
  #begin: () => void = () => {}
  /** Ends of adopted attempts wait until the core knows the attempts. */
  readonly #begun = new Promise<void>((resolve) => {
    this.#begin = resolve
  })

  constructor(options: RunnerOptions) {
    this.#options = options
    this.functions = new FunctionRunner({
      offer: options.offer,
      hear: (id, event) => this.#tell(id, event),
      fault: (id, error) => this.#giveUp(id, error),
    })
  }

  verifyToken(token: string): AttemptId | undefined {
    return this.live.verify(token)
  }

  start(request: StartRequest): void {
    const executor = this.#options.executors.get(request.task.kind)
    if (executor && !executor.survives && !request.outside) {
      this.functions.start(executor as WorkerExecutor, request)
      return
    }
    let prepared = (): void => {}
    const ready = new Promise<void>((resolve) => {
      prepared = resolve
    })
    const attempt = createLiveAttempt(
      this.#options.dataDir,
      request.id,
      request.slot,
      request.task,
      undefined,
      ready,
    )
    const said = request.outside ? this.#listenOutside(attempt) : undefined
    this.live.add(attempt)
    this.#track(ready)
    void this.#run(attempt, request, executor, said, prepared)
  }

  stop(id: AttemptId, reason: StopReason, graceMs: DurationMs): void {
    const attempt = this.live.get(id)
    if (!attempt) {
      this.functions.stop(id, reason, graceMs)
      return
    }
    attempt.stop ??= { reason, graceMs }
    if (attempt.running) attempt.running.stop(reason, graceMs)
    else attempt.finish?.({ stopped: reason })
  }

  /** KILL follows at once, also for what is about to start. */
  hurry(): void {
    for (const attempt of this.live.values()) {
      attempt.stop = { reason: attempt.stop?.reason ?? 'shutdown', graceMs: 0 }
      attempt.running?.stop(attempt.stop.reason, 0)
    }
    this.functions.hurry()
  }

  /** The core has taken what was adopted. */
  begin(): void {
    this.#begin()
  }

  /** The node goes away and leaves its process attempts running, to be adopted. Their ends are not reported any more. */
  detach(): void {
    this.#detached = true
    this.functions.detach()
  }

  /** Resolves when nothing of this life touches the directory of an attempt any more: after `detach`, the next life may adopt. */
  async settled(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy)
    await this.functions.idle()
  }

  /** Finds an attempt of an earlier process of this node. Resolves to its age when it is this node's again, `undefined` when nothing of it is left. */
  async adopt(id: AttemptId, task: TaskSpec): Promise<{ readonly ageMs: DurationMs } | undefined> {
    const slot = readAttemptId(id)
    if (!slot) return undefined
    const found = await readRecord(attemptDir(this.#options.dataDir, id))
    if (!found) {
      // Nothing ran yet: the record is written before the worker exists.
      await this.#options.work.discard(id)
      return undefined
    }
    // The data directory may have been moved or restored elsewhere since.
    const record = { ...found, workspace: workspaceDir(this.#options.dataDir, id) }
    const { run, round, epoch } = slot
    const attempt = createLiveAttempt(
      this.#options.dataDir,
      id,
      { run, task: slot.task, round, epoch },
      task,
      record,
      Promise.resolve(),
    )
    const ageMs = ageOf(record)
    if (record.outside) {
      const said = this.#listenOutside(attempt)
      this.live.keep(attempt, record)
      void this.#finishOutside(attempt, said)
      return { ageMs }
    }
    await this.#options.markOutput(id)
    const executor = this.#options.executors.get(task.kind)
    const spec = this.#spec(attempt, record, task.timeoutMs ?? 0)
    const running = await executor?.adopt(spec, (event) => this.#hear(attempt, event))
    if (!running) {
      // The workspace was made, the worker never was and never will be: there is no work to keep.
      await this.#options.work.discard(id)
      return undefined
    }
    attempt.running = running
    this.live.keep(attempt, record)
    void running.ended.then(async (end) => {
      await this.#begun
      await this.#finish(attempt, end)
    })
    return { ageMs }
  }

  /** What an outside worker says through the verbs, as if its process had said it. */
  hear(attempt: LiveAttempt, event: AttemptEvent): void {
    this.#hear(attempt, event)
  }

  async saveHandoff(attempt: LiveAttempt, handoff: Handoff): Promise<void> {
    await writeWhole(join(attempt.dir, 'orch', 'handoff.json'), JSON.stringify(handoff))
  }

  /** A hint for the running worker: a file in its inbox. */
  hint(id: AttemptId, text: string): void {
    const attempt = this.live.get(id)
    if (!attempt) return
    const file = join(attempt.dir, 'orch', 'inbox', `${Date.now()}-hint.md`)
    writeFile(file, `${text}\n`).catch((error: unknown) =>
      this.#options.say('warn', `hint for ${id}: ${String(error)}`),
    )
  }

  #listenOutside(attempt: LiveAttempt): Promise<SaidEnd> {
    return new Promise((resolve) => {
      attempt.finish = resolve
    })
  }

  async #run(
    attempt: LiveAttempt,
    request: StartRequest,
    executor: Executor | undefined,
    said: Promise<SaidEnd> | undefined,
    prepared: () => void,
  ): Promise<void> {
    try {
      await this.#options.work.needRoom()
      const record = await prepareAttempt(this.#options.work, attempt.dir, request)
      if ('inputs' in record) {
        this.live.drop(attempt)
        for (const input of record.inputs) this.#options.offer(input)
        return
      }
      this.live.keep(attempt, record)
      if (said) {
        prepared()
        return await this.#finishOutside(attempt, said)
      }
      if (!executor) {
        throw new OrchError('ORCH_RESOURCE', `no worker here takes tasks of kind "${request.task.kind}"`)
      }
      if (attempt.stop) return await this.#finish(attempt, neverRan(attempt.stop.reason))
      if (this.#detached) return
      const spec = this.#spec(attempt, record, request.timeoutMs)
      const running = await executor.start(spec, (event) => this.#hear(attempt, event))
      attempt.running = running
      prepared()
      this.#show(attempt, running, record)
      this.#forwardStop(attempt)
      await this.#finish(attempt, await running.ended)
    } catch (error) {
      this.live.drop(attempt)
      this.#giveUp(attempt.id, error)
    } finally {
      prepared()
    }
  }

  /** A stop that came while the attempt was being prepared. */
  #forwardStop(attempt: LiveAttempt): void {
    if (attempt.stop) attempt.running?.stop(attempt.stop.reason, attempt.stop.graceMs)
  }

  #show(attempt: LiveAttempt, running: RunningAttempt, record: AttemptRecord): void {
    const { mirror } = this.#options
    mirror?.set(attempt.id, 'status', 'running')
    if (running.pid !== undefined) mirror?.set(attempt.id, 'pid', running.pid)
    if (record.base) mirror?.set(attempt.id, 'branch', workRef(attempt.id))
  }

  #spec(attempt: LiveAttempt, record: AttemptRecord, timeoutMs: DurationMs): AttemptSpec {
    const { nodeId, url, keepEnv } = this.#options
    return createSpec(attempt, record, timeoutMs, { nodeId, url: url(), keepEnv: keepEnv ?? [] })
  }

  #hear(attempt: LiveAttempt, event: AttemptEvent): void {
    if (event.type === 'step') {
      attempt.step = event.n
      if (event.status) attempt.activity = event.status
      this.#options.mirror?.set(attempt.id, 'step', event.n)
    } else if (event.type === 'tool-call') attempt.activity = event.name
    this.#tell(attempt.id, event)
  }

  #tell(id: AttemptId, event: AttemptEvent): void {
    // The next life hears it too.
    if (this.#detached) return
    this.#options.log.append(id, event, Date.now())
    this.#options.offer({ type: 'attempt-event', attempt: id, event })
  }

  async #finishOutside(attempt: LiveAttempt, said: Promise<SaidEnd>): Promise<void> {
    const end = await said
    await this.#begun
    const now = Date.now()
    await this.#finish(attempt, {
      exit: end.stopped ? null : end.finished?.ok === false ? 1 : 0,
      startedAt: attempt.record?.startedAt ?? now,
      endedAt: now,
      outputBytes: 0,
      excerpt: '',
      ...end,
    })
  }

  #track(work: Promise<unknown>): void {
    this.#busy.add(work)
    void work.finally(() => this.#busy.delete(work))
  }

  #finish(attempt: LiveAttempt, end: AttemptEnd): Promise<void> {
    const done = this.#conclude(attempt, end)
    this.#track(done)
    return done
  }

  async #conclude(attempt: LiveAttempt, end: AttemptEnd): Promise<void> {
    if (this.#detached) return
    const { id, task, record } = attempt
    try {
      const work = await this.#options.work.collect(id, task, record, end)
      const reports = readReports(join(attempt.dir, 'orch'))
      const result = resultOf(task, end, work, reports.handoff, record?.workspaceMs)
      const summary = end.finished?.reason ?? reports.summary?.trim().split('\n')[0]?.slice(0, 200)
      await this.#options.log.finish(id)
      if (this.#detached) return
      this.#options.mirror?.set(id, 'status', result.outcome)
      this.live.drop(attempt)
      const told = result.reason === undefined && summary ? { ...result, reason: summary } : result
      this.#options.offer({ type: 'attempt-ended', attempt: id, result: told })
      await this.#removeWorkspace(attempt)
    } catch (error) {
      this.live.drop(attempt)
      this.#giveUp(id, error)
    }
  }

  async #removeWorkspace(attempt: LiveAttempt): Promise<void> {
    if (!attempt.record) return
    // Before the result is durable the next life may need it again.
    const isDurable = await this.#options.written().then(
      () => true,
      () => false,
    )
    if (!isDurable) return
    try {
      await this.#options.work.remove(attempt.id, attempt.record)
    } catch (error) {
      // It stays until `workspace clean` can prove that nothing is lost.
      this.#options.say('warn', `workspace of ${attempt.id} stays: ${messageOf(error)}`)
    }
  }

  /** This node could not do its part. Its disk is not the task's fault: given back, and nothing new starts until there is room. */
  #giveUp(id: AttemptId, error: unknown): void {
    if (this.#detached) return
    const code: ErrorCode = isOrchError(error) ? error.code : 'ORCH_FAILED'
    const reason = messageOf(error)
    const full = code === 'ORCH_DISK_FULL' || (error as NodeJS.ErrnoException | undefined)?.code === 'ENOSPC'
    this.#options.say('error', `attempt ${id}: ${reason}`)
    if (full) this.#options.offer({ type: 'intake', closed: 'the disk of this node is full' })
    const result = full
      ? ({ outcome: 'released', reason, error: 'ORCH_DISK_FULL' } as const)
      : ({ outcome: 'failed', reason, error: code } as const)
    this.#options.offer({ type: 'attempt-ended', attempt: id, result })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
