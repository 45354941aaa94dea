/**
 * What one node sends another on `/orch/call/1`: one request, then answers, each a message of a tag and JSON. Nothing that a peer sends can raise a bug here: what is not understood is
 * ORCH_PROTOCOL, and errors come out as data. Wire format: `PROTOCOL.md`.
 */
import { ERRORS, type ErrorCode, isOrchError, OrchError } from '../core/error.ts'
import type { DurationMs } from '../core/id.ts'
import type { Json } from '../core/task.ts'

export interface CallRequest {
  readonly method: string
  readonly params: Json
  readonly stream: boolean
  /** The caller waits no longer; 0 = as long as the stream lives. */
  readonly timeoutMs: DurationMs
}

export type CallAnswer =
  | { readonly type: 'result'; readonly value: Json }
  /** Joined by commas they are an array. */
  | { readonly type: 'items'; readonly values: readonly Json[] }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly error: OrchError }
  /** Nothing new, but it is being worked on. */
  | { readonly type: 'alive' }

const TAG = { result: 0x52, items: 0x49, end: 0x5a, error: 0x45, alive: 0x41 } as const
const METHOD = /^[a-z][A-Za-z0-9.]{0,63}$/
const WORDS_MAX = 4_000

export function encodeRequest({ method, params, stream, timeoutMs }: CallRequest): Uint8Array {
  return Buffer.from(JSON.stringify({ v: 1, method, params, stream, timeoutMs }))
}

/** @throws ORCH_PROTOCOL */
export function decodeRequest(bytes: Uint8Array): CallRequest {
  const { v, method, params, stream, timeoutMs } = fields(parse(bytes))
  if (v !== 1) throw garbled('a call of another version')
  if (typeof method !== 'string' || !METHOD.test(method)) throw garbled('a call without a method')
  if (typeof stream !== 'boolean' || !Number.isSafeInteger(timeoutMs) || (timeoutMs as number) < 0)
    throw garbled('a call without a kind or a deadline')
  return { method, params: (params ?? null) as Json, stream, timeoutMs: timeoutMs as number }
}

export function encodeResult(json: string): Uint8Array {
  return tagged(TAG.result, json)
}

/** @param jsons the JSON of each item */
export function encodeItems(jsons: readonly string[]): Uint8Array {
  return tagged(TAG.items, `[${jsons.join(',')}]`)
}

export function encodeEnd(): Uint8Array {
  return Uint8Array.of(TAG.end)
}

export function encodeAlive(): Uint8Array {
  return Uint8Array.of(TAG.alive)
}

/** The code, what happened, what to do, and plain data; never a stack. What is no OrchError is told by its message only. */
export function encodeError(error: unknown): Uint8Array {
  const { code, message, hint, context } = isOrchError(error)
    ? error
    : new OrchError('ORCH_FAILED', error instanceof Error ? error.message : String(error))
  const words = { code, message: message.slice(0, WORDS_MAX), hint: hint.slice(0, WORDS_MAX) }
  return tagged(TAG.error, JSON.stringify(isSmall(context) ? { ...words, context } : words))
}

/** @throws ORCH_PROTOCOL */
export function decodeAnswer(bytes: Uint8Array): CallAnswer {
  const rest = bytes.subarray(1)
  switch (bytes[0]) {
    case TAG.result:
      return { type: 'result', value: parse(rest) }
    case TAG.items: {
      const values = parse(rest)
      if (!Array.isArray(values)) throw garbled('items that are no list')
      return { type: 'items', values: values as readonly Json[] }
    }
    case TAG.error:
      return { type: 'error', error: readError(parse(rest)) }
    case TAG.end:
      return { type: 'end' }
    case TAG.alive:
      return { type: 'alive' }
    default:
      throw garbled('an answer of an unknown kind')
  }
}

/** A code of a newer version becomes a failure that names it; a bug over there is a failure here. */
function readError(wire: Json): OrchError {
  const { code, message, hint, context } = fields(wire)
  const text =
    typeof message === 'string' ? printable(message) : 'the node answered with an error that cannot be read'
  const isKnown = typeof code === 'string' && Object.hasOwn(ERRORS, code) && code !== 'ORCH_BUG'
  return new OrchError(
    isKnown ? (code as ErrorCode) : 'ORCH_FAILED',
    isKnown ? text : `${text} (${printable(String(code)).slice(0, 64)})`,
    {
      ...(typeof hint === 'string' && isKnown && { hint: printable(hint) }),
      ...(typeof context === 'object' && context !== null && { context: { ...context } }),
    },
  )
}

/** Another node's words end up on a terminal. */
function printable(text: string): string {
  return text.slice(0, WORDS_MAX).replace(/[^\P{C}\n\t]/gu, '\ufffd')
}

function isSmall(context: object): boolean {
  try {
    const json = JSON.stringify(context)
    return json !== undefined && json !== '{}' && json.length <= WORDS_MAX
  } catch {
    return false
  }
}

function tagged(tag: number, json: string): Uint8Array {
  const length = Buffer.byteLength(json)
  const bytes = Buffer.allocUnsafe(1 + length)
  bytes[0] = tag
  bytes.write(json, 1)
  return bytes
}

function parse(bytes: Uint8Array): Json {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as Json
  } catch {
    throw garbled('what is no JSON')
  }
}

function fields(value: Json): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

function garbled(what: string): OrchError {
  return new OrchError('ORCH_PROTOCOL', `the other node sent ${what}`)
}
