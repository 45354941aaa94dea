/** Answers the calls of other members. Which methods there are, and who may use which, the caller says; here is how many at once, how long, how much, and what happens when somebody leaves. */
import { setMaxListeners } from 'node:events'
import { OrchError } from '../core/error.ts'
import { type DurationMs, type NodeId, shortNode } from '../core/id.ts'
import {
  CALL_ALIVE_MS,
  CALL_BYTES_MAX,
  CALL_STALL_MS_MAX,
  CALLS_MAX,
  CALLS_PEER_MAX,
  PEER_ANSWER_MS_MAX,
  PEER_STREAMS_MAX,
  STREAM_BATCH_BYTES,
} from '../core/limit.ts'
import type { Json } from '../core/task.ts'
import { CALL_PROTOCOL } from './call.ts'
import {
  type CallRequest,
  decodeRequest,
  encodeAlive,
  encodeEnd,
  encodeError,
  encodeItems,
  encodeResult,
} from './call-message.ts'
import { type Messages, messagesOver } from './message.ts'
import type { Net } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

/** As long as a timer can be. */
const FOREVER_MS = 2 ** 31 - 1

export interface CallContext {
  /** Proven by the connection. */
  readonly peer: NodeId
  /** Aborts when the caller left, its deadline passed, or calls are served no more. */
  readonly signal: AbortSignal
}

/**
 * Throws OrchErrors, which the caller gets by their code. What it does for a caller that left counts against the limits until it settles, so it should heed the signal.
 */
export type CallMethod = (params: Json, context: CallContext) => Promise<Json> | AsyncIterable<Json>

export type CallMethods = Readonly<Record<string, CallMethod>>

export interface ServeOptions {
  readonly timing?: Timing
  /** Between two signs of life to a caller that waits, ms; default CALL_ALIVE_MS. */
  readonly aliveMs?: DurationMs
}

/** Serves `methods` by their names. Returns the undo, which stops what is under way. */
export function serveCalls(
  net: Net,
  methods: CallMethods,
  { timing = SYSTEM_TIMING, aliveMs = CALL_ALIVE_MS }: ServeOptions = {},
): () => void {
  const places = new Places()
  const closing = new AbortController()
  // Every call under way listens to it.
  setMaxListeners(0, closing.signal)
  const undo = net.handle(
    CALL_PROTOCOL,
    async (channel) => {
      const talk = messagesOver(channel, { bytesMax: CALL_BYTES_MAX, timing })
      const say = speaker(talk)
      const over = new AbortController()
      const work: Promise<unknown>[] = []
      const leave = places.take(channel.peer)
      let leaving: Promise<void> | undefined
      try {
        if (!leave)
          throw new OrchError('ORCH_BACKPRESSURE', `too many calls to ${shortNode(net.node)} at once`, {
            hint: 'try again in a moment',
          })
        const request = await talk.receive()
        if (!request) return
        // Who asks says nothing more until it has what it wants: hearing anything else, or its end, means that it left.
        const left = () => over.abort(new OrchError('ORCH_PEER_GONE', 'the caller left'))
        leaving = talk.receive(FOREVER_MS).then(left, left)
        const { method, ...rest } = decodeRequest(request)
        const run = Object.hasOwn(methods, method) ? methods[method] : undefined
        if (!run)
          throw new OrchError(
            'ORCH_PROTOCOL',
            `${shortNode(net.node)} does not know the call \`${method}\``,
            {
              context: { method },
            },
          )
        await answer({
          peer: channel.peer,
          method,
          run,
          ...rest,
          over,
          closing: closing.signal,
          say,
          timing,
          aliveMs,
          work,
        })
      } catch (error) {
        // To one who left already there is nothing to say.
        await say(encodeError(error)).catch(() => {})
      } finally {
        await talk.end().catch(() => {})
        const undoWait = timing.after(PEER_ANSWER_MS_MAX, () => talk.abort('the caller does not end'))
        await leaving
        undoWait()
        if (leave) void Promise.allSettled(work).then(leave)
      }
    },
    { streamsMax: PEER_STREAMS_MAX },
  )
  return () => {
    undo()
    closing.abort(new OrchError('ORCH_NO_NODE', `${shortNode(net.node)} is stopping`))
  }
}

/** How many calls are under way, of each peer and of all. */
class Places {
  readonly #taken = new Map<NodeId, number>()
  #all = 0

  /** Returns how to give it back; `undefined` when none is free. */
  take(peer: NodeId): (() => void) | undefined {
    const own = this.#taken.get(peer) ?? 0
    if (own >= CALLS_PEER_MAX || this.#all >= CALLS_MAX) return undefined
    this.#taken.set(peer, own + 1)
    this.#all++
    return () => {
      this.#all--
      const left = this.#taken.get(peer)! - 1
      if (left > 0) this.#taken.set(peer, left)
      else this.#taken.delete(peer)
    }
  }
}

/** Says one message after the other. */
function speaker(talk: Messages): (bytes: Uint8Array) => Promise<void> {
  let said = Promise.resolve()
  return (bytes) => {
    said = said.then(() => {
      if (bytes.length <= CALL_BYTES_MAX) return talk.send(bytes, CALL_STALL_MS_MAX)
      throw new OrchError('ORCH_PROTOCOL', `an answer of ${bytes.length} bytes is too long for one message`)
    })
    const outcome = said
    said = said.catch(() => {})
    return outcome
  }
}

interface Call extends CallRequest {
  readonly peer: NodeId
  readonly run: CallMethod
  readonly over: AbortController
  readonly closing: AbortSignal
  readonly say: (bytes: Uint8Array) => Promise<void>
  readonly timing: Timing
  readonly aliveMs: DurationMs
  /** What goes on after the answer, and holds the place. */
  readonly work: Promise<unknown>[]
}

async function answer(call: Call): Promise<void> {
  const { peer, method, params, stream, timeoutMs, run, over, closing, say, timing, aliveMs, work } = call
  const close = () => over.abort(closing.reason)
  if (closing.aborted) close()
  closing.addEventListener('abort', close, { once: true })
  const undoDeadline =
    timeoutMs > 0
      ? timing.after(Math.min(timeoutMs, FOREVER_MS), () =>
          over.abort(
            new OrchError('ORCH_NODE_TIMEOUT', `\`${method}\` took longer than ${timeoutMs / 1_000} s`),
          ),
        )
      : undefined
  let isShown = true
  let undoAlive = () => {}
  const showLife = () => {
    undoAlive = timing.after(aliveMs, showLife)
    if (!isShown) return
    isShown = false
    say(encodeAlive()).then(
      () => {
        isShown = true
      },
      () => {},
    )
  }
  undoAlive = timing.after(aliveMs, showLife)
  try {
    const made = run(params, { peer, signal: over.signal })
    const isStream = Symbol.asyncIterator in made
    if (!isStream) hold(work, made)
    if (isStream !== stream)
      throw new OrchError(
        'ORCH_PROTOCOL',
        `the call \`${method}\` ${isStream ? 'is a stream' : 'is no stream'}`,
      )
    if (isStream) await sendItems(made, over.signal, say, work)
    else await say(encodeResult(JSON.stringify(await orAborted(made, over.signal)) ?? 'null'))
  } finally {
    undoDeadline?.()
    undoAlive()
    closing.removeEventListener('abort', close)
    over.abort(new OrchError('ORCH_CANCELLED', `\`${method}\` is over`))
  }
}

function hold(work: Promise<unknown>[], promise: Promise<unknown>): void {
  work.push(promise)
  promise.catch(() => {})
}

/** Items that are there at once go together; one that comes alone goes at once. The next is asked for when the reader has room. */
async function sendItems(
  items: AsyncIterable<Json>,
  signal: AbortSignal,
  say: (bytes: Uint8Array) => Promise<void>,
  work: Promise<unknown>[],
): Promise<void> {
  const iterator = items[Symbol.asyncIterator]()
  let batch: string[] = []
  let batchBytes = 0
  const flush = async () => {
    if (batch.length === 0) return
    const bytes = encodeItems(batch)
    batch = []
    batchBytes = 0
    await say(bytes)
  }
  let isOver = false
  try {
    for (;;) {
      const next = iterator.next()
      if (batch.length > 0 && !(await isThere(next))) await flush()
      const item = await orAborted(next, signal)
      isOver = item.done === true
      if (item.done) break
      const json = JSON.stringify(item.value) ?? 'null'
      if (batchBytes + json.length > STREAM_BATCH_BYTES) await flush()
      batch.push(json)
      batchBytes += json.length
    }
    await flush()
    await say(encodeEnd())
  } catch (error) {
    // What came before the trouble is the caller's.
    if (!signal.aborted) await flush()
    throw error
  } finally {
    if (!isOver && iterator.return) hold(work, iterator.return())
  }
}

/** Whether it settles before anything else that waits gets its turn. */
function isThere(promise: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve) => {
    const turn = setImmediate(() => resolve(false))
    const settle = () => {
      clearImmediate(turn)
      resolve(true)
    }
    promise.then(settle, settle)
  })
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason as Error)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
