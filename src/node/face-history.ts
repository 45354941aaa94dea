/** What happened: raw output, normalised events of attempts (R79), events of tasks (R80). Read from disk, then followed. */

import { attemptOf } from '../core/attempt-name.ts'
import { isOrchError, OrchError } from '../core/error.ts'
import { createEventDeriver, isProblem, type TaskEvent } from '../core/event.ts'
import type { Batch } from '../core/fact.ts'
import {
  type AttemptId,
  authorKey,
  type NodeId,
  type RunId,
  readAttemptId,
  shortNode,
  type TaskId,
} from '../core/id.ts'
import type { Json } from '../core/task.ts'
import type { TaskState } from '../core/task-state.ts'
import { outputBytes, readOutput } from '../executor/output.ts'
import type { LoggedEvent } from '../log/attempt-log.ts'
import { streamPeer } from '../net/call.ts'
import { attemptDir } from './attempt-record.ts'
import { bindSignal, Channel } from './channel.ts'
import type { EventItem, LogChunk, NodeFace } from './face.ts'
import { FacePart } from './face-part.ts'
import { shownEntry } from './view.ts'

/** Between two looks at the output of a running attempt, while somebody follows it. */
const FOLLOW_LOOK_MS = 150
const EVENTS_QUEUE_MAX = 200_000

/** What one node asks another for, once it is known who ran the attempt. */
export interface OwnLogs {
  readonly attempt: AttemptId
  readonly offset: number
  readonly follow: boolean
}

export interface OwnEvents {
  readonly of: AttemptId | { readonly run: RunId; readonly task: TaskId }
  readonly since?: number
  readonly follow: boolean
}

export class FaceHistory extends FacePart {
  async *logs(request: Parameters<NodeFace['logs']>[0], signal?: AbortSignal): AsyncGenerator<LogChunk> {
    const { offset = 0, follow = false } = request
    const { attempt, node } = this.#shown(this.taskOf(request.task), request.attempt)
    const own = { attempt, offset, follow }
    if (node === this.engine.state.me) yield* this.ownLogs(own, signal)
    else yield* this.#elsewhere(node, 'logs', own, signal) as AsyncGenerator<LogChunk>
  }

  /** Output of an attempt that this node ran. */
  async *ownLogs(request: OwnLogs, signal?: AbortSignal): AsyncGenerator<LogChunk> {
    const { attempt, follow } = request
    const dir = attemptDir(this.engine.options.dataDir, attempt)
    let { offset } = request
    for (;;) {
      const isLive = this.#isLive(attempt)
      const total = outputBytes(dir)
      if (total > offset) {
        for (const slice of readOutput(dir, offset)) {
          if (signal?.aborted) return
          yield { data: slice.data.toString('base64'), offset: slice.offset }
          offset = slice.offset + slice.data.length
        }
      }
      if (!follow || !isLive || signal?.aborted) return
      await pause(FOLLOW_LOOK_MS, signal)
    }
  }

  async *attemptEvents(
    request: Parameters<NodeFace['attemptEvents']>[0],
    signal?: AbortSignal,
  ): AsyncGenerator<LoggedEvent> {
    const task = this.taskOf(request.task)
    const { follow = false, since } = request
    const own = { of: request.attempt ?? { run: task.run.id, task: task.id }, follow, ...given(since) }
    const { me } = this.engine.state
    const nodes = request.attempt
      ? [this.#shown(task, request.attempt).node]
      : [...new Set(task.entries.filter((e) => e.start).map((e) => e.node))]
    // What other nodes ran before comes first; who runs it now is followed.
    const last = task.holder?.node ?? nodes.at(-1) ?? me
    for (const node of nodes.filter((n) => n !== last)) {
      if (node === me) yield* this.ownEvents({ ...own, follow: false }, signal)
      else
        yield* this.#elsewhere(
          node,
          'attemptEvents',
          { ...own, follow: false },
          signal,
        ) as AsyncGenerator<LoggedEvent>
    }
    if (last === me) yield* this.ownEvents(own, signal)
    else yield* this.#elsewhere(last, 'attemptEvents', own, signal) as AsyncGenerator<LoggedEvent>
  }

  /** Events of attempts that this node ran. */
  async *ownEvents(request: OwnEvents, signal?: AbortSignal): AsyncGenerator<LoggedEvent> {
    const { log } = this.engine.options
    const { of, since } = request
    if (!request.follow) {
      for await (const item of log.read(of, since)) yield item
      return
    }
    const channel = new Channel<LoggedEvent>(EVENTS_QUEUE_MAX, () => stop())
    const stop = log.follow((item) => {
      const slot = readAttemptId(item.attempt)
      const isOf =
        typeof of === 'string' ? of === item.attempt : slot?.run === of.run && slot.task === of.task
      if (isOf) channel.push(item)
    })
    bindSignal(channel, signal)
    const seen = new Map<AttemptId, number>()
    await log.flush()
    for await (const item of log.read(of, since)) {
      seen.set(item.attempt, item.n)
      yield item
    }
    for await (const item of channel) if (item.n > (seen.get(item.attempt) ?? 0)) yield item
  }

  #elsewhere(
    node: NodeId,
    method: 'logs' | 'attemptEvents',
    params: OwnLogs | OwnEvents,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<unknown> {
    const cluster = this.host.cluster()
    if (!cluster)
      throw new OrchError('ORCH_NOT_MEMBER', `${shortNode(node)} ran it, and this node belongs to no cluster`)
    return streamPeer(cluster.net, node, method, params as unknown as Json, signal ? { signal } : {})
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
      seen.set(chainOf(batch), batch.n)
      for (const event of derive(batch)) {
        n++
        if (wanted(event)) yield { n, event }
      }
    }
    if (!request.follow) return
    for await (const batch of queued) {
      if (batch.n <= (seen.get(chainOf(batch)) ?? 0)) continue
      for (const event of derive(batch)) {
        n++
        if (wanted(event)) yield { n, event }
      }
    }
  }

  /** Of the engine of the moment. While there is none, because the disk is full, attempts go on. One that was told to all may be about to begin. */
  #isLive(id: AttemptId): boolean {
    try {
      const { runner, state, options } = this.engine
      if (runner.live.has(id)) return true
      const slot = readAttemptId(id)
      if (!slot || slot.incarnation !== options.author.incarnation) return false
      return state.attempts.has(id)
    } catch (error) {
      return isOrchError(error) && error.code !== 'ORCH_NO_NODE'
    }
  }

  /** The attempt that is meant, and where it ran. */
  #shown(task: TaskState, attempt: AttemptId | undefined): { attempt: AttemptId; node: NodeId } {
    const entry =
      attempt === undefined ? shownEntry(task) : task.entries.find((e) => attemptOf(task, e) === attempt)
    if (attempt !== undefined && !entry)
      throw new OrchError('ORCH_NOT_FOUND', `${task.name} has no attempt ${attempt}`)
    if (!entry?.start)
      throw new OrchError('ORCH_NOT_FOUND', `${task.name} has not been started: it is ${task.status}`)
    return { attempt: attemptOf(task, entry), node: entry.node }
  }
}

/** Numbers of batches count by author, and on the replicated board by document too, whose batches hold facts of one. */
function chainOf(batch: Batch): string {
  return `${batch.facts[0]?.doc ?? ''}/${authorKey(batch.author)}`
}

function given(since: number | undefined): { readonly since?: number } {
  return since === undefined ? {} : { since }
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
