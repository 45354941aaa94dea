/** One node asks another: a question and its answer, or a question and a stream of items. The other end is `call-serve.ts`, the bytes are `call-message.ts`. */
import { isOrchError, OrchError } from '../core/error.ts'
import { type DurationMs, type NodeId, shortNode } from '../core/id.ts'
import {
  CALL_ALIVE_MS,
  CALL_BYTES_MAX,
  CALL_MS_DEFAULT,
  DIAL_MS_MAX,
  PEER_ANSWER_MS_MAX,
} from '../core/limit.ts'
import type { Json } from '../core/task.ts'
import { type CallAnswer, decodeAnswer, encodeRequest } from './call-message.ts'
import { type Messages, messagesOver } from './message.ts'
import type { Net, ProtocolId } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

export const CALL_PROTOCOL: ProtocolId = '/orch/call/1'

export interface CallOptions {
  /** For all of it, ms; default CALL_MS_DEFAULT. For a stream: until its end, default no limit as long as the other node shows that it lives. */
  readonly timeoutMs?: DurationMs
  readonly signal?: AbortSignal
  /** Silence after which the other node is taken to be gone, ms; default three times CALL_ALIVE_MS. */
  readonly silenceMs?: DurationMs
  readonly timing?: Timing
}

/**
 * Asks a node once.
 *
 * @throws what the method threw there, by its code; ORCH_NODE_TIMEOUT no answer in time, ORCH_PEER_GONE the connection broke, ORCH_CANCELLED by the signal, ORCH_PROTOCOL the
 *   node does not know the method or answered with what is none, and what `Net.open` throws
 */
export async function callPeer(
  net: Net,
  node: NodeId,
  method: string,
  params: Json,
  options: CallOptions = {},
): Promise<Json> {
  const timeoutMs = options.timeoutMs ?? CALL_MS_DEFAULT
  for await (const answer of ask(net, node, { method, params, stream: false, timeoutMs }, options)) {
    if (answer.type === 'result') return answer.value
    throw unexpected(node, method)
  }
  throw new OrchError('ORCH_CANCELLED', `\`${method}\` was given up`)
}

/**
 * Asks a node for a stream: items as they come, as fast as they are taken. Stopping early, or the signal, stops the other side too; by the signal the stream ends without an error.
 *
 * @throws as `callPeer`, but ORCH_CANCELLED
 */
export async function* streamPeer(
  net: Net,
  node: NodeId,
  method: string,
  params: Json,
  options: CallOptions = {},
): AsyncGenerator<Json, void, undefined> {
  const timeoutMs = options.timeoutMs ?? 0
  for await (const answer of ask(net, node, { method, params, stream: true, timeoutMs }, options)) {
    if (answer.type === 'items') yield* answer.values
    else if (answer.type === 'end') return
    else throw unexpected(node, method)
  }
}

interface Question {
  readonly method: string
  readonly params: Json
  readonly stream: boolean
  readonly timeoutMs: DurationMs
}

/** The answers, without signs of life and errors, which it throws. Ends without an answer only when the signal aborted. */
async function* ask(
  net: Net,
  node: NodeId,
  question: Question,
  { signal, silenceMs = 3 * CALL_ALIVE_MS, timing = SYSTEM_TIMING }: CallOptions,
): AsyncGenerator<Exclude<CallAnswer, { type: 'error' | 'alive' }>, void, undefined> {
  if (signal?.aborted) return
  const { method, timeoutMs } = question
  const request = encodeRequest(question)
  if (request.length > CALL_BYTES_MAX)
    throw new OrchError(
      'ORCH_USAGE',
      `the parameters of \`${method}\` are longer than ${CALL_BYTES_MAX} bytes`,
    )
  const until = timeoutMs > 0 ? timing.now() + timeoutMs : Number.POSITIVE_INFINITY
  const waitMs = (most: DurationMs): DurationMs =>
    Math.max(1, Math.ceil(Math.min(most, until - timing.now())))
  let talk: Messages | undefined
  let isDone = false
  const stop = () => talk?.abort('the caller wants no more')
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const channel = await net.open(node, CALL_PROTOCOL, {
      timeoutMs: waitMs(DIAL_MS_MAX),
      ...(signal && { signal }),
    })
    talk = messagesOver(channel, { bytesMax: CALL_BYTES_MAX, timing })
    if (signal?.aborted) return
    await talk.send(request, waitMs(PEER_ANSWER_MS_MAX))
    for (;;) {
      const bytes = await talk.receive(waitMs(silenceMs))
      if (signal?.aborted) return
      if (!bytes) throw gone(node, `left without an answer to \`${method}\``)
      const answer = decodeAnswer(bytes)
      if (answer.type === 'alive') {
        if (timing.now() >= until) throw late(node, question)
        continue
      }
      isDone = answer.type !== 'items'
      if (answer.type === 'error') throw answer.error
      yield answer
    }
  } catch (error) {
    if (signal?.aborted) return
    throw isDone ? error : translate(error, node, question)
  } finally {
    signal?.removeEventListener('abort', stop)
    if (isDone) talk?.end().catch(() => {})
    else talk?.abort('the caller wants no more')
  }
}

/** A message that did not come in time is the other node's silence; a stream that broke is its loss. */
function translate(error: unknown, node: NodeId, question: Question): OrchError {
  if (!isOrchError(error))
    return gone(node, `is gone: ${error instanceof Error ? error.message : String(error)}`, error)
  return error.code === 'ORCH_PEER_GONE' && 'timeoutMs' in error.context ? late(node, question, error) : error
}

function late(node: NodeId, { method, timeoutMs }: Question, cause?: unknown): OrchError {
  const span = timeoutMs > 0 ? ` within ${timeoutMs / 1_000} s` : ''
  return new OrchError('ORCH_NODE_TIMEOUT', `${shortNode(node)} did not answer \`${method}\`${span}`, {
    context: { node, method },
    cause,
  })
}

function gone(node: NodeId, what: string, cause?: unknown): OrchError {
  return new OrchError('ORCH_PEER_GONE', `${shortNode(node)} ${what}`, { context: { node }, cause })
}

function unexpected(node: NodeId, method: string): OrchError {
  return new OrchError(
    'ORCH_PROTOCOL',
    `${shortNode(node)} answered \`${method}\` with something else than was asked for`,
  )
}
