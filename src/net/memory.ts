/**
 * The net in one process: several nodes with injected faults, for tests and the simulator. Under a virtual scheduler and a seed it is the same every time.
 */
import { OrchError } from '../core/error.ts'
import type { NodeId } from '../core/id.ts'
import { DIAL_MS_MAX, PING_MS_MAX, PROTOCOL_MAX, PROTOCOL_MIN } from '../core/limit.ts'
import { type Hello, judge, refusal } from './hello.ts'
import { MemoryConnection } from './memory-connection.ts'
import { type Faults, Links } from './memory-link.ts'
import { MemoryNet } from './memory-node.ts'
import type { Net, OpenOptions } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

export interface MemoryNetworkOptions {
  /** For every fault; default 1. */
  readonly seed?: number
  /** Default: the timers of this process. Actions due at one instant run in the order they were given. */
  readonly timing?: Pick<Timing, 'now' | 'after'>
}

export interface JoinOptions {
  readonly node: NodeId
  readonly cluster?: string
  readonly name?: string
  readonly version?: string
  readonly protocol?: readonly [number, number]
}

export interface MemoryNetwork {
  join(options: JoinOptions): Net
  /** On every link that has none of its own. */
  setFaults(faults: Faults): void
  /** On one direction; `undefined` = as everywhere. */
  setFaultsBetween(from: NodeId, to: NodeId, faults: Faults | undefined): void
  /** Nothing gets through in one direction until `heal`. Connections stand still, and end after PING_MS_MAX. */
  cut(from: NodeId, to: NodeId): void
  /** Only nodes that share a group reach each other; a node in two groups is a bridge. */
  partition(groups: readonly (readonly NodeId[])[]): void
  /** Ends cuts and partitions. */
  heal(): void
}

export function createMemoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  return new Wires(options)
}

/** What the nodes see of each other. */
export class Wires implements MemoryNetwork {
  readonly links: Links
  readonly timing: Pick<Timing, 'now' | 'after'>
  readonly #nodes = new Map<NodeId, MemoryNet>()
  readonly #connections = new Set<MemoryConnection>()

  constructor(options: MemoryNetworkOptions) {
    this.links = new Links(options.seed ?? 1)
    this.timing = options.timing ?? SYSTEM_TIMING
  }

  join(options: JoinOptions): Net {
    if (this.#nodes.has(options.node))
      throw new OrchError('ORCH_PORT_TAKEN', `${options.node} is in the memory network already`)
    const hello: Hello = {
      protocol: options.protocol ?? [PROTOCOL_MIN, PROTOCOL_MAX],
      version: options.version ?? '0.0.0',
      name: options.name ?? options.node.slice(-8),
      ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
    }
    const net = new MemoryNet(options.node, hello, this)
    this.#nodes.set(options.node, net)
    return net
  }

  leave(node: NodeId): void {
    this.#nodes.delete(node)
    for (const connection of this.#connections)
      if (connection.dialler === node || connection.listener === node)
        this.disconnect(connection, 'the node stops')
  }

  setFaults(faults: Faults): void {
    this.links.setFaults(faults)
  }

  setFaultsBetween(from: NodeId, to: NodeId, faults: Faults | undefined): void {
    this.links.setFaultsBetween(from, to, faults)
  }

  cut(from: NodeId, to: NodeId): void {
    this.links.cut(from, to)
    this.#rewired()
  }

  partition(groups: readonly (readonly NodeId[])[]): void {
    this.links.partition(groups)
    this.#rewired()
  }

  heal(): void {
    this.links.heal()
    this.#rewired()
  }

  /** A connection, and what each side is to the other; or why there is none. */
  connect(from: MemoryNet, to: NodeId, options: OpenOptions): Promise<MemoryConnection> {
    const timeoutMs = options.timeoutMs ?? DIAL_MS_MAX
    return new Promise((resolve, reject) => {
      const unreachable = (message: string, context: object = {}): OrchError =>
        new OrchError('ORCH_PEER_UNREACHABLE', message, { context: { node: to, ...context } })
      const giveUp = (): void => reject(unreachable(`${to}: the dial was given up`))
      options.signal?.addEventListener('abort', giveUp)
      if (options.signal?.aborted) giveUp()
      const isWay = this.links.isOpen(from.node, to) && this.links.isOpen(to, from.node)
      const tripMs = this.links.delay(from.node, to) + this.links.delay(to, from.node)
      if (!isWay || tripMs > timeoutMs) {
        this.timing.after(timeoutMs, () =>
          reject(unreachable(`${to}: nobody answered within ${timeoutMs} ms`)),
        )
        return
      }
      this.timing.after(tripMs, () => {
        const other = this.#nodes.get(to)
        if (!other) {
          reject(unreachable(`${to}: the machine answers, but nobody listens there`, { refused: true }))
          return
        }
        const mine = judge(from.hello, other.hello, from.standingOf(to))
        const theirs = judge(other.hello, from.hello, other.standingOf(from.node))
        const fault =
          refusal(from.hello, other.hello, theirs, to) ?? refusal(from.hello, other.hello, mine, to)
        if (fault || options.signal?.aborted || !this.#nodes.has(from.node)) {
          reject(fault ?? unreachable('the node stops'))
          return
        }
        const connection = new MemoryConnection(from.node, to, this.links, this.timing)
        this.#connections.add(connection)
        other.onConnected(from.node, connection)
        from.onConnected(to, connection)
        resolve(connection)
      })
    })
  }

  disconnect(connection: MemoryConnection, reason: string): void {
    if (!this.#connections.delete(connection)) return
    connection.close(reason)
    this.#nodes.get(connection.dialler)?.onDisconnected(connection.listener, connection)
    this.#nodes.get(connection.listener)?.onDisconnected(connection.dialler, connection)
  }

  net(node: NodeId): MemoryNet | undefined {
    return this.#nodes.get(node)
  }

  #rewired(): void {
    for (const connection of this.#connections) {
      connection.flow()
      if (!connection.isCut()) continue
      // As a ping that nobody answers.
      this.timing.after(PING_MS_MAX, () => {
        if (connection.isOpen && connection.isCut()) this.disconnect(connection, 'nobody answers')
      })
    }
  }
}
