/** Addresses as people write them, as libp2p dials them, and what a failed dial means. */
import { isIP } from 'node:net'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { OrchError } from '../core/error.ts'
import type { DurationMs, NodeId } from '../core/id.ts'
import { readNodeId } from './identity.ts'
import type { Address } from './net.ts'

const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s/:]+)):(\d{1,5})$/
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/
const TRANSPORTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

export interface Target {
  readonly multiaddr: Multiaddr
  /** Absent: whoever answers there. */
  readonly node?: NodeId
}

/**
 * Reads `/ip4/10.0.0.7/tcp/7946/p2p/<node id>`, with or without its end, `10.0.0.7:7946`, `[::1]:7946` or `name.example:7946`.
 *
 * @throws ORCH_USAGE
 */
export function readAddress(text: Address, expected?: NodeId): Target {
  const written = multiaddrOf(text.trim())
  const parts = written?.getComponents()
  const tcp = parts?.[1]
  if (!written || !parts || !TRANSPORTS.has(parts[0]?.name ?? '') || tcp?.name !== 'tcp' || parts.length > 3)
    throw wrong(text, 'is no address')
  if (Number(tcp.value) === 0) throw wrong(text, 'has no port')
  const last = parts[2]
  if (last && last.name !== 'p2p') throw wrong(text, 'is no address')
  const named = last?.value
  if (named !== undefined && !readNodeId(named)) throw wrong(text, 'does not end in the id of a node')
  if (named !== undefined && expected !== undefined && named !== expected)
    throw wrong(text, `names another node than ${expected}`)
  const node = named ?? expected
  if (node === undefined) return { multiaddr: written }
  return { multiaddr: named === undefined ? written.encapsulate(`/p2p/${node}`) : written, node }
}

/** An address to listen on; port 0 = any. */
export function readListen(text: Address): Multiaddr {
  const written = multiaddrOf(text.trim())
  const [host, tcp, ...rest] = written?.getComponents() ?? []
  if (!written || (host?.name !== 'ip4' && host?.name !== 'ip6') || tcp?.name !== 'tcp' || rest.length > 0)
    throw wrong(text, 'is no address to listen on')
  return written
}

function multiaddrOf(text: string): Multiaddr | undefined {
  const pair = HOST_PORT.exec(text)
  try {
    if (!pair) return text.startsWith('/') ? multiaddr(text) : undefined
    const host = pair[1] ?? pair[2]!
    const port = Number(pair[3])
    if (port > 65_535) return undefined
    const kind = { 4: 'ip4', 6: 'ip6' }[isIP(host)] ?? (HOST_NAME.test(host) ? 'dns4' : undefined)
    return kind === undefined ? undefined : multiaddr(`/${kind}/${host}/tcp/${port}`)
  } catch {
    return undefined
  }
}

function wrong(text: string, what: string): OrchError {
  return new OrchError('ORCH_USAGE', `${JSON.stringify(text)} ${what}`, {
    context: { address: text },
    hint: 'write HOST:PORT, say 192.168.1.7:7946, or a whole multiaddr as `orch-node status` prints it',
  })
}

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the machine answers, but nobody listens there',
  ECONNRESET: 'the other side closed the connection at once',
  EHOSTUNREACH: 'there is no way to that machine',
  ENETUNREACH: 'there is no way to that network',
  ENOTFOUND: 'there is no such host name',
  EAI_AGAIN: 'the host name cannot be looked up now',
  ETIMEDOUT: 'nobody answers',
}

/** What a failed dial of libp2p means. */
export function dialFault(text: Address, cause: unknown, waitedMs: DurationMs): OrchError {
  const all = flatten(cause)
  const said = all.map((error) => `${error.name}: ${error.message}`).join('; ')
  const context = { address: text }
  if (/dial self|own peer id/i.test(said)) return wrong(text, 'is the address of this node itself')
  if (all.some((error) => error.name === 'UnexpectedPeerError') || /does not match expected/i.test(said))
    return new OrchError('ORCH_PEER_UNREACHABLE', `another node than the expected one answers at ${text}`, {
      context: { ...context, otherNode: true },
      cause,
    })
  const code = all.map((error) => error.code ?? '').find((name) => name in WORDS)
  const word = code ?? Object.keys(WORDS).find((name) => said.includes(name))
  if (word !== undefined)
    return new OrchError('ORCH_PEER_UNREACHABLE', `${text}: ${WORDS[word]}`, {
      context: { ...context, reason: word, ...(word === 'ECONNREFUSED' ? { refused: true } : {}) },
      cause,
    })
  // A handshake that runs out of time tells it in its words only: the machine answers, but the process stands still.
  if (all.some(({ name }) => name === 'TimeoutError' || name === 'AbortError') || /due to timeout/.test(said))
    return new OrchError('ORCH_PEER_UNREACHABLE', `${text}: nobody answered within ${waitedMs} ms`, {
      context: { ...context, timeoutMs: waitedMs },
      cause,
    })
  return new OrchError('ORCH_PEER_UNREACHABLE', `${text}: what answers there is no orch-node (${said})`, {
    context,
    cause,
  })
}

interface Told {
  readonly name: string
  readonly message: string
  readonly code?: string
}

function flatten(error: unknown): readonly Told[] {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.flatMap(flatten)
  if (error instanceof Error) {
    const { code } = error as NodeJS.ErrnoException
    return [
      { name: error.name, message: error.message, ...(code === undefined ? {} : { code }) },
      ...(error.cause === undefined ? [] : flatten(error.cause)),
    ]
  }
  return [{ name: 'Error', message: String(error) }]
}
