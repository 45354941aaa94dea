/**
 * How a command finds its node: by URL (`--node`, ORCH_URL), by the endpoint file of the data directory, or, when none runs, by being the node itself for
 * as long as it takes.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { readEndpoint } from '../api/endpoint.ts'
import type { RemoteNode } from '../api/remote-face.ts'
import { isOrchError, OrchError } from '../core/error.ts'
import type { RunId } from '../core/id.ts'
import { LOCKED_LOOK_MS, LOCKED_WAIT_MS_MAX } from '../core/limit.ts'
import type { JoinUpdate, NodeFace } from '../node/face.ts'
import type { Settings } from './settings.ts'

/**
 * What a command does when no node runs. `never`: it needs one. `passive`: it is the node, and starts nothing. `host`: it is the node, works, and lets
 * others in.
 */
export type Embed = 'never' | 'passive' | 'host'

export interface ConnectRequest {
  readonly settings: Settings
  readonly embed: Embed
  /** Token of an attempt, or of a node that is named by its URL. */
  readonly token?: string
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void
  /** Of a node in this process that is let into a cluster as it starts; `name` is its own. */
  readonly onJoin?: (update: JoinUpdate, name: string) => void
}

export interface Connection {
  readonly face: NodeFace
  /** Set when this process is the node, for others too. */
  readonly host?: Host
  /** This process is the node for the command alone: nothing is started, nobody else gets in. */
  readonly passive?: true
  /** Of a client of the socket: resolves when the node is gone, with its last word. */
  readonly ended?: Promise<OrchError>
  /** Of a client: lets go. Of a host: drains and ends the node. Idempotent. */
  close(): Promise<void>
}

export interface Host {
  readonly url: string
  /** Runs that came in from other processes. */
  readonly foreign: ReadonlySet<RunId>
  /** The node ended by itself or by `stop`. */
  readonly closed: Promise<void>
  /** Ends the node at once: what runs is killed, its work is saved all the same. Hurries a `close` under way. */
  stopNow(): Promise<void>
}

/** @throws ORCH_NO_NODE, ORCH_LOCKED, and what opening a node may throw */
export async function connectNode(request: ConnectRequest): Promise<Connection> {
  const { settings, embed, token } = request
  const url = settings.node.value
  if (url !== undefined) {
    const { connectHttp } = await import('../api/http-client.ts')
    return connectHttp(url, token ?? tokenFor(url, settings.dataDir.value))
  }
  const dataDir = settings.dataDir.value
  const deadline = performance.now() + LOCKED_WAIT_MS_MAX
  for (;;) {
    const running = await connectRunning(dataDir)
    if (running) return running
    if (embed === 'never')
      throw new OrchError('ORCH_NO_NODE', `no node runs on ${dataDir}`, { context: { dataDir } })
    const { openHost, openPassive } = await import('./hosting.ts')
    try {
      return embed === 'host' ? await openHost(request) : await openPassive(request)
    } catch (error) {
      // Somebody was quicker. His endpoint will show in a moment, or his command ends.
      if (!isOrchError(error) || error.code !== 'ORCH_LOCKED' || performance.now() > deadline) throw error
      await pause(LOCKED_LOOK_MS)
    }
  }
}

/** A client of the node of a data directory; `undefined` when none listens. */
export async function connectRunning(dataDir: string): Promise<RemoteNode | undefined> {
  const reading = readEndpoint(dataDir)
  if (reading.state !== 'listening') return undefined
  const { connectSocket } = await import('../api/socket-client.ts')
  try {
    return await connectSocket(reading.endpoint.socket, reading.endpoint.token)
  } catch (error) {
    if (isOrchError(error) && error.code === 'ORCH_NO_NODE') return undefined
    throw error
  }
}

/** The own node's token is not sent to anybody else. */
function tokenFor(url: string, dataDir: string): string | undefined {
  const reading = readEndpoint(dataDir)
  return reading.state === 'listening' && reading.endpoint.url === url.replace(/\/+$/, '')
    ? reading.endpoint.token
    : undefined
}
