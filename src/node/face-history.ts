/** What happened: raw output, normalised events of attempts (R79), events of tasks (R80). Read from disk, then followed. */
import { isOrchError, OrchError } from '../core/error.ts'
import { createEventDeriver, isProblem, type TaskEvent } from '../core/event.ts'
import type { Batch } from '../core/fact.ts'
import { type AttemptId, authorKey, readAttemptId } from '../core/id.ts'
import type { TaskState } from '../core/task-state.ts'
import { outputBytes, readOutput } from '../executor/output.ts'
import type { LoggedEvent } from '../log/attempt-log.ts'
import { attemptDir } from './attempt-record.ts'
import { bindSignal, Channel } from './channel.ts'
import type { EventItem, LogChunk, NodeFace } from './face.ts'
import { FacePart } from './face-part.ts'
import { entryAttempt, shownEntry } from './view.ts'

/** Between two looks at the output of a running attempt, while somebody follows it. */
const FOLLOW_LOOK_MS = 150
const EVENTS_QUEUE_MAX = 200_000

export class FaceHistory extends FacePart {
  async *logs(request: Parameters<NodeFace['logs']>[0], signal?: AbortSignal): AsyncGenerator<LogChunk> {
    const { options } = this.engine
    const id = request.attempt ?? this.#shownAttempt(this.taskOf(request.task))
    const dir = attemptDir(options.dataDir, id)
    let offset = request.offset ?? 0
    for (;;) {
      const isLive = this.#isLive(id)
      const total = outputBytes(dir)
      if (total > offset) {
        for (const slice of readOutput(dir, offset)) {
          if (signal?.aborted) return
          yield { data: slice.data.toString('base64'), offset: slice.offset }
          offset = slice.offset + slice.data.length
        }
      }
      if (!request.follow || !isLive || signal?.aborted) return
      await pause(FOLLOW_LOOK_MS, signal)
    }
  }

  async *attemptEvents(
    request: Parameters<NodeFace['attemptEvents']>[0],
    signal?: AbortSignal,
  ): AsyncGenerator<LoggedEvent> {
    const { log } = this.engine.options
    const task = this.taskOf(request.task)
    const of = request.attempt ?? { run: task.run.id, task: task.id }
    if (!request.follow) {
      for await (const item of log.read(of, request.since)) yield item
      return
    }
    const channel = new Channel<LoggedEvent>(EVENTS_QUEUE_MAX, () => stop())
    const stop = log.follow((item) => {
      const slot = readAttemptId(item.attempt)
      if (
        slot?.run === task.run.id &&
        slot.task === task.id &&
        (!request.attempt || request.attempt === item.attempt)
      )
        channel.push(item)
    })
    bindSignal(channel, signal)
    const seen = new Map<AttemptId, number>()
    await log.flush()
    for await (const item of log.read(of, request.since)) {
      seen.set(item.attempt, item.n)
      yield item
    }
    for await (const item of channel) if (item.n > (seen.get(item.attempt) ?? 0)) yield item
  }

  async *events(request: Parameters<NodeFace['events']>[0], signal?: AbortSignal): AsyncGenerator<EventItem> {
    const { store } = this.engine.options
    const run = request.run === undefined ? undefined : this.runOf(request.run).id
    const task = request.task === undefined ? undefined : this.taskOf(request.task)
    const wanted = (event: TaskEvent): boolean =>
      (run === undefined || event.run === run) &&
      (task === undefined || (event.run === task.run.id && event.task === task.id)) &&
      (!request.problems || isProblem(event)) &&
      (request.since === undefined || event.at >= request.since)
    const derive = createEventDeriver()
    let n = 0
    const queued = new Channel<Batch>(EVENTS_QUEUE_MAX, () => stop())
    const stop = request.follow ? this.host.onBatch((batch) => queued.push(batch)) : () => {}
    bindSignal(queued, signal)
    const seen = new Map<string, number>()
    for await (const batch of store.facts()) {
      seen.set(authorKey(batch.author), batch.n)
      for (const event of derive(batch)) {
        n++
        if (wanted(event)) yield { n, event }
      }
    }
    if (!request.follow) return
    for await (const batch of queued) {
      if (batch.n <= (seen.get(authorKey(batch.author)) ?? 0)) continue
      for (const event of derive(batch)) {
        n++
        if (wanted(event)) yield { n, event }
      }
    }
  }

  /** Of the engine of the moment. While there is none, because the disk is full, attempts go on. */
  #isLive(id: AttemptId): boolean {
    try {
      return this.engine.runner.live.has(id)
    } catch (error) {
      return isOrchError(error) && error.code !== 'ORCH_NO_NODE'
    }
  }

  #shownAttempt(task: TaskState): AttemptId {
    const entry = shownEntry(task)
    if (!entry?.start)
      throw new OrchError('ORCH_NOT_FOUND', `${task.name} has not been started: it is ${task.status}`)
    return entryAttempt(task, entry)
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms)
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done, { once: true })
  })
}
