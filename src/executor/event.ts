/** Normalised events out of untrusted JSON: a worker's line, or a recording. */
import type { AttemptEvent, Usage } from '../core/attempt.ts'
import { LINE_BYTES_MAX } from '../core/limit.ts'
import type { Json } from '../core/task.ts'
import { readHandoff } from './report.ts'

type Raw = Readonly<Record<string, unknown>>

const KINDS = ['read', 'write', 'run', 'mcp', 'other'] as const
const USAGE_FIELDS = [
  'inputTokens',
  'outputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'usd',
  'wallMs',
  'memoryBytesMax',
] as const

/** The event, with exactly its own fields; `undefined` when it is none. */
export function readEvent(value: unknown): AttemptEvent | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const raw = value as Raw
  const read = READERS[raw.type as AttemptEvent['type']]
  return typeof raw.type === 'string' && Object.hasOwn(READERS, raw.type) ? read(raw) : undefined
}

const READERS: {
  readonly [T in AttemptEvent['type']]: (raw: Raw) => Extract<AttemptEvent, { type: T }> | undefined
} = {
  session: (r) => (isText(r.id) ? { type: 'session', id: r.id, ...text(r, 'model') } : undefined),
  step: (r) => (isCount(r.n) ? { type: 'step', n: r.n, ...text(r, 'status') } : undefined),
  text: (r) =>
    isText(r.text) && isOneOf(r.role, ['agent', 'user', 'output'])
      ? { type: 'text', role: r.role, text: r.text }
      : undefined,
  'tool-call': (r) =>
    isText(r.id) && isText(r.name)
      ? {
          type: 'tool-call',
          id: r.id,
          name: r.name,
          kind: isOneOf(r.kind, KINDS) ? r.kind : 'other',
          ...(r.args === undefined ? {} : { args: r.args as Json }),
        }
      : undefined,
  'tool-result': (r) =>
    isText(r.id) && typeof r.ok === 'boolean'
      ? {
          type: 'tool-result',
          id: r.id,
          ok: r.ok,
          ...(isCount(r.bytes) ? { bytes: r.bytes } : {}),
          ...text(r, 'summary'),
        }
      : undefined,
  'file-changed': (r) =>
    isText(r.path) && isOneOf(r.op, ['add', 'modify', 'delete'])
      ? { type: 'file-changed', path: r.path, op: r.op }
      : undefined,
  usage: (r) => {
    const usage = readUsage(r.usage)
    return usage && { type: 'usage', usage }
  },
  'rate-limit': (r) => (isCount(r.untilMs) ? { type: 'rate-limit', untilMs: r.untilMs } : undefined),
  wait: (r) =>
    isCount(r.forMs) ? { type: 'wait', forMs: r.forMs, why: isText(r.why) ? r.why : '' } : undefined,
  permission: (r) =>
    isText(r.tool) && isOneOf(r.decision, ['allow', 'deny'])
      ? { type: 'permission', tool: r.tool, decision: r.decision }
      : undefined,
  progress: (r) => {
    const handoff = readHandoff(r.handoff)
    return handoff && { type: 'progress', handoff }
  },
  output: (r) => (isCount(r.bytes) ? { type: 'output', bytes: r.bytes } : undefined),
  error: (r) =>
    isText(r.code) && isText(r.message)
      ? { type: 'error', code: r.code, message: r.message, retryable: r.retryable === true }
      : undefined,
  finished: (r) =>
    typeof r.ok === 'boolean' ? { type: 'finished', ok: r.ok, ...text(r, 'reason') } : undefined,
}

function readUsage(value: unknown): Usage | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const usage: Record<string, number> = {}
  for (const name of USAGE_FIELDS) {
    const n = (value as Raw)[name]
    if (typeof n === 'number' && Number.isFinite(n) && n >= 0) usage[name] = n
  }
  return usage
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LINE_BYTES_MAX
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function isOneOf<T extends string>(value: unknown, words: readonly T[]): value is T {
  return words.includes(value as T)
}

function text<K extends string>(raw: Raw, name: K): { [P in K]?: string } {
  return isText(raw[name]) ? ({ [name]: raw[name] } as { [P in K]?: string }) : {}
}
