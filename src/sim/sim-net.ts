/** The net edge of one simulated process: the contract of `net/net.ts` over the simulated network. */
import { OrchError } from '../core/error.ts'
import type { DurationMs, NodeId } from '../core/id.ts'
import { DIAL_MS_MAX } from '../core/limit.ts'
import type {
  Address,
  Channel,
  ChannelHandler,
  Dialled,
  GossipListener,
  HandleOptions,
  Net,
  OpenOptions,
  ProtocolId,
  Standing,
} from '../net/net.ts'
import type { Machine } from './machine.ts'
import type { Host, Network } from './network.ts'
import { openStream, type Stream } from './stream.ts'

/** Who hears a beat only writes it down; what follows from it is told apart. */
export const QUIET_TOPIC = 'beat'
const NOBODY: ReadonlySet<GossipListener> = new Set()

interface Message {
  readonly topic: string
  readonly bytes: Uint8Array
  /** Who sent it first: direct neighbours of it are not sent it again. */
  readonly origin: NodeId
  /** Who has had it. */
  readonly seen: Set<SimNet>
}

/** To whom a message of one node is handed on, as long as nobody comes or goes. */
interface Relay {
  readonly version: number
  readonly to: readonly NodeId[]
}

export class SimNet implements Net, Host {
  readonly node: NodeId
  readonly machine: Machine
  readonly #network: Network
  readonly #find: (node: NodeId) => SimNet | undefined
  readonly #peers = new Set<NodeId>()
  readonly #peerListeners = new Set<(node: NodeId, state: 'up' | 'down') => void>()
  readonly #topics = new Map<string, Set<GossipListener>>()
  readonly #protocols = new Map<ProtocolId, ChannelHandler>()
  readonly #streams = new Map<NodeId, Set<Stream>>()
  readonly #relays = new Map<NodeId, Relay>()
  readonly #refused = new Set<NodeId>()
  #standingOf: (node: NodeId) => Standing = () => 'denied'
  #isClosed = false

  /** @param find the net of another node's process, when one lives */
  constructor(machine: Machine, network: Network, find: (node: NodeId) => SimNet | undefined) {
    this.node = machine.node
    this.machine = machine
    this.#network = network
    this.#find = find
  }

  // ---- host

  get isOver(): boolean {
    return this.#isClosed
  }

  isConnected(node: NodeId): boolean {
    return this.#peers.has(node)
  }

  lets(node: NodeId): boolean {
    return !this.#refused.has(node) && this.#standingOf(node) === 'member'
  }

  connected(node: NodeId): void {
    this.#peers.add(node)
    this.machine.run(() => this.#tell(node, 'up'))
  }

  disconnected(node: NodeId): void {
    this.#peers.delete(node)
    for (const stream of this.#streams.get(node) ?? []) stream.break('the connection was lost')
    this.#streams.delete(node)
    this.machine.run(() => this.#tell(node, 'down'))
  }

  #tell(node: NodeId, state: 'up' | 'down'): void {
    if (this.#isClosed) return
    for (const listener of this.#peerListeners) listener(node, state)
  }

  // ---- net

  addresses(): readonly Address[] {
    return [`/memory/${this.node}/p2p/${this.node}`]
  }

  peers(): readonly NodeId[] {
    return [...this.#peers]
  }

  members(): readonly NodeId[] {
    return this.peers()
  }

  roundTripMs(): undefined {
    return undefined
  }

  onPeer(listener: (node: NodeId, state: 'up' | 'down') => void): () => void {
    this.#peerListeners.add(listener)
    return () => this.#peerListeners.delete(listener)
  }

  async dial(address: Address): Promise<Dialled> {
    const node = address.slice(address.lastIndexOf('/') + 1)
    if (this.#peers.has(node)) return { node, address, standing: 'member' }
    const other = this.#find(node)
    const reached = this.#network.isOpen(this.node, node) && this.#network.isOpen(node, this.node)
    await this.#wait(reached ? 2 * this.#network.delay() : DIAL_MS_MAX)
    throw new OrchError('ORCH_PEER_UNREACHABLE', `${node} does not answer`, {
      context: { node, refused: reached && (other?.isOver ?? true) },
    })
  }

  async hangUp(node: NodeId): Promise<void> {
    this.#network.hangUp(this.node, node)
  }

  admit(standingOf: (node: NodeId) => Standing): void {
    this.#standingOf = standingOf
  }

  reviewStandings(): void {
    for (const node of [...this.#peers]) if (!this.lets(node)) this.#network.hangUp(this.node, node)
  }

  refuse(node: NodeId, forMs: DurationMs): void {
    this.#refused.add(node)
    this.#network.hangUp(this.node, node)
    this.machine.after(forMs, () => this.#refused.delete(node))
  }

  async publish(topic: string, bytes: Uint8Array): Promise<number> {
    const message: Message = { topic, bytes, origin: this.node, seen: new Set([this]) }
    for (const peer of this.#peers) this.#toss(peer, message)
    return this.#peers.size
  }

  /** To one peer, as only those do that say one thing here and another there. */
  whisper(to: NodeId, topic: string, bytes: Uint8Array): void {
    this.#toss(to, { topic, bytes, origin: this.node, seen: new Set([this]) })
  }

  subscribe(topic: string, listener: GossipListener): () => void {
    const listeners = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async open(node: NodeId, protocol: ProtocolId, options: OpenOptions = {}): Promise<Channel> {
    const unreachable = (why: string): OrchError =>
      new OrchError('ORCH_PEER_UNREACHABLE', `${node} ${why}`, { context: { node } })
    if (!this.#peers.has(node)) {
      await this.#wait(Math.min(options.timeoutMs ?? DIAL_MS_MAX, 2 * this.#network.delay()))
      throw unreachable('is not connected')
    }
    const other = this.#find(node)
    if (!other) throw unreachable('is gone')
    const stream: Stream = openStream(this.#network, this.machine, other.machine, () => {
      this.#streams.get(node)?.delete(stream)
      other.#streams.get(this.node)?.delete(stream)
    })
    this.#keep(node, stream)
    other.#keep(this.node, stream)
    this.#network.carry(this.node, node, 0, () =>
      other.machine.run(() => {
        const handler = other.#isClosed ? undefined : other.#protocols.get(protocol)
        if (!handler) return stream.far.abort('protocol')
        handler(stream.far).catch((error: unknown) => stream.far.abort(String(error)))
      }),
    )
    return stream.near
  }

  handle(protocol: ProtocolId, handler: ChannelHandler, _options?: HandleOptions): () => void {
    this.#protocols.set(protocol, handler)
    return () => this.#protocols.delete(protocol)
  }

  learn(): void {}

  async close(): Promise<void> {
    this.cutOff()
  }

  /** The process is gone, whether it wanted to or not. */
  cutOff(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const streams of this.#streams.values())
      for (const stream of streams) stream.break('the process ended')
    this.#streams.clear()
    this.#peers.clear()
    this.#peerListeners.clear()
    this.#topics.clear()
    this.#protocols.clear()
    this.#network.remove(this)
  }

  // ---- gossip

  #toss(to: NodeId, message: Message): void {
    const arrive = (): void => {
      const other = this.#find(to)
      other?.machine.run(() => other.#receive(message, this.node))
    }
    this.#network.toss(this.node, to, arrive, message.topic === QUIET_TOPIC)
  }

  #receive(message: Message, from: NodeId): void {
    if (this.#isClosed || message.seen.has(this) || !this.lets(from)) return
    message.seen.add(this)
    const answers: Promise<boolean>[] = []
    for (const listener of this.#topics.get(message.topic) ?? NOBODY) {
      const answer = listener(message.bytes, from)
      if (answer) answers.push(answer)
    }
    const others = this.#relaysOf(message.origin)
    if (others.length === 0) return
    if (answers.length === 0) {
      for (const peer of others) this.#toss(peer, message)
      return
    }
    Promise.all(answers).then(
      (verdicts) => {
        if (!this.#isClosed && !verdicts.includes(false)) for (const peer of others) this.#toss(peer, message)
      },
      () => {},
    )
  }

  /** Most are neighbours of who sent it first, and get it from there. */
  #relaysOf(node: NodeId): readonly NodeId[] {
    const { version } = this.#network
    const known = this.#relays.get(node)
    if (known?.version === version) return known.to
    const origin = this.#find(node)
    const to = [...this.#peers].filter((peer) => peer !== node && !origin?.isConnected(peer))
    this.#relays.set(node, { version, to })
    return to
  }

  #keep(node: NodeId, stream: Stream): void {
    const streams = this.#streams.get(node) ?? new Set()
    this.#streams.set(node, streams)
    streams.add(stream)
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => void this.machine.after(ms, resolve))
  }
}
