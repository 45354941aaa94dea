/**
 * The greeting on every connection, before anything else is spoken on it: which versions of the protocol, which cluster, and what each is to the other. Grammar: `PROTOCOL.md`.
 */
import { OrchError } from '../core/error.ts'
import type { NodeId } from '../core/id.ts'
import { NAME_CHARS_MAX } from '../core/limit.ts'
import type { ProtocolId, Standing } from './net.ts'

export const HELLO_PROTOCOL: ProtocolId = '/orch/hello/1'

export interface Hello {
  /** Versions of the protocol that it understands, oldest and newest. */
  readonly protocol: readonly [number, number]
  /** Absent: it belongs to none yet. */
  readonly cluster?: string
  /** Of orch-node, for people. */
  readonly version: string
  readonly name: string
}

/** What one side says of the other after it heard its hello. */
export type Answer = Standing | 'other-cluster' | 'other-protocol'

const ANSWERS: readonly string[] = ['member', 'stranger', 'denied', 'other-cluster', 'other-protocol']

export function encodeHello(hello: Hello): Uint8Array {
  return Buffer.from(JSON.stringify(hello))
}

export function encodeAnswer(answer: Answer): Uint8Array {
  return Buffer.from(JSON.stringify({ answer }))
}

/** `undefined` when it is no hello. What a later version adds is left out. */
export function readHello(bytes: Uint8Array): Hello | undefined {
  const value = readObject(bytes)
  if (!value) return undefined
  const { protocol, cluster, version, name } = value
  if (!Array.isArray(protocol) || protocol.length !== 2) return undefined
  const [min, max] = protocol as unknown[]
  if (!Number.isSafeInteger(min) || !Number.isSafeInteger(max)) return undefined
  if (!isShort(version) || !isShort(name)) return undefined
  if (cluster !== undefined && !isShort(cluster)) return undefined
  return {
    protocol: [min as number, max as number],
    version,
    name,
    ...(cluster === undefined ? {} : { cluster }),
  }
}

export function readAnswer(bytes: Uint8Array): Answer | undefined {
  const answer = readObject(bytes)?.answer
  return typeof answer === 'string' && ANSWERS.includes(answer) ? (answer as Answer) : undefined
}

/** What `own` says of a peer that said `other`. Two clusters, or none in common, come first: then the standing means nothing. */
export function judge(own: Hello, other: Hello, standing: Standing): Answer {
  if (own.cluster !== undefined && other.cluster !== undefined && own.cluster !== other.cluster)
    return 'other-cluster'
  if (other.protocol[1] < own.protocol[0] || own.protocol[1] < other.protocol[0]) return 'other-protocol'
  return standing
}

/** Why the two cannot talk, in words for a person; `undefined` when they can. */
export function refusal(own: Hello, other: Hello, answer: Answer, node: NodeId): OrchError | undefined {
  const context = { node, name: other.name, version: other.version }
  switch (answer) {
    case 'member':
    case 'stranger':
      return undefined
    case 'denied':
      return denied(node, `${other.name} (${node})`)
    case 'other-cluster':
      return new OrchError(
        'ORCH_OTHER_CLUSTER',
        `${other.name} belongs to cluster ${other.cluster ?? 'none'}, this node to ${own.cluster ?? 'none'}`,
        { context: { ...context, cluster: other.cluster } },
      )
    case 'other-protocol': {
      const mine = own.protocol[1] < other.protocol[0]
      const [older, newer] = mine ? [own, other] : [other, own]
      return new OrchError(
        'ORCH_PROTOCOL',
        `${other.name} runs orch-node ${other.version} with protocol ${span(other)}, this node ${own.version} with ${span(own)}`,
        {
          context: { ...context, protocol: other.protocol },
          hint: `install orch-node ${newer.version} on ${mine ? 'this machine' : older.name}`,
        },
      )
    }
  }
}

export function denied(node: NodeId, name: string, cause?: unknown): OrchError {
  return new OrchError('ORCH_PEER_DENIED', `${name} does not let this node in`, { context: { node }, cause })
}

function span({ protocol: [min, max] }: Hello): string {
  return min === max ? String(max) : `${min} to ${max}`
}

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value.length <= NAME_CHARS_MAX * 2
}

function readObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
