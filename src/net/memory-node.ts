/** One node of a memory network. */
import { OrchError } from '../core/error.ts'
import type { DurationMs, NodeId } from '../core/id.ts'
import { GOSSIP_BYTES_MAX, PEER_ANSWER_MS_MAX, PEER_STREAMS_MAX } from '../core/limit.ts'
import { denied, type Hello } from './hello.ts'
import type { Wires } from './memory.ts'
import type { MemoryChannel } from './memory-channel.ts'
import type { MemoryConnection } from './memory-connection.ts'
import type {
  Address,
  Channel,
  ChannelHandler,
  Dialled,
  DialOptions,
  GossipListener,
  HandleOptions,
  Net,
  OpenOptions,
  ProtocolId,
  Standing,
} from './net.ts'
import { Standings } from './standing.ts'

/** One message of gossip on its way through the network. */
interface Message {
  readonly topic: string
  readonly bytes: Uint8Array
  readonly seen: Set<NodeId>
}

const ADDRESS = /^\/memory\/([^/]+)(?:\/p2p\/([^/]+))?$/

export class MemoryNet implements Net {
  readonly node: NodeId
  readonly hello: Hello
  readonly #wires: Wires
  readonly #standings: Standings
  readonly #connections = new Map<NodeId, MemoryConnection>()
  readonly #wasMember = new Set<NodeId>()
  readonly #listeners = new Set<(node: NodeId, state: 'up' | 'down') => void>()
  readonly #topics = new Map<string, Set<GossipListener>>()
  readonly #handlers = new Map<ProtocolId, { handler: ChannelHandler; options: HandleOptions }>()
  #isClosed = false

  constructor(node: NodeId, hello: Hello, wires: Wires) {
    this.node = node
    this.hello = hello
    this.#wires = wires
    this.#standings = new Standings(() => wires.timing.now())
  }

  standingOf(node: NodeId): Standing {
    return this.#standings.of(node)
  }

  addresses(): readonly Address[] {
    return this.#isClosed ? [] : [`/memory/${this.node}/p2p/${this.node}`]
  }

  peers(): readonly NodeId[] {
    return [...this.#connections.keys()]
  }

  members(): readonly NodeId[] {
    return this.peers().filter((node) => this.#standings.of(node) === 'member')
  }

  roundTripMs(node: NodeId): DurationMs | undefined {
    return this.#connections.get(node)?.roundTripMs()
  }

  onPeer(listener: (node: NodeId, state: 'up' | 'down') => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async dial(address: Address, options: DialOptions = {}): Promise<Dialled> {
    this.#assertOpen()
    const match = ADDRESS.exec(address)
    const node = match?.[1]
    if (!node || node === this.node || (match[2] !== undefined && match[2] !== node))
      throw new OrchError(
        'ORCH_USAGE',
        `${JSON.stringify(address)} is no address, or that of this node itself`,
        {
          context: { address },
        },
      )
    if (options.expected !== undefined && options.expected !== node)
      throw new OrchError(
        'ORCH_PEER_UNREACHABLE',
        `another node than the expected one answers at ${address}`,
        {
          context: { address, otherNode: true },
        },
      )
    if (this.#standings.of(node) === 'denied') throw denied(node, 'the member list of this node')
    if (!this.#connections.get(node)?.isOpen) await this.#wires.connect(this, node, options)
    const standing = this.#wires.net(node)?.standingOf(this.node)
    if (standing !== 'member' && standing !== 'stranger') throw denied(node, node)
    return { node, address: `/memory/${node}/p2p/${node}`, standing }
  }

  async hangUp(node: NodeId): Promise<void> {
    this.#drop(node, 'it hung up')
  }

  admit(standingOf: (node: NodeId) => Standing): void {
    this.#standings.admit(standingOf)
    this.reviewStandings()
  }

  reviewStandings(): void {
    for (const node of this.peers()) {
      const standing = this.#standings.of(node)
      const wasMember = this.#wasMember.has(node)
      if (standing === 'denied' || (wasMember && standing === 'stranger')) this.#drop(node, 'it is no member')
      else if (!wasMember && standing === 'member') {
        this.#wasMember.add(node)
        this.#tell(node, 'up')
      }
    }
  }

  refuse(node: NodeId, forMs: DurationMs): void {
    this.#standings.refuse(node, forMs)
    this.#drop(node, 'it broke the rules')
  }

  async publish(topic: string, bytes: Uint8Array): Promise<number> {
    if (bytes.length > GOSSIP_BYTES_MAX)
      throw new OrchError('ORCH_BUG', `${bytes.length} bytes are too long for gossip: announce them`)
    if (this.#isClosed) return 0
    return this.#spread({ topic, bytes: bytes.slice(), seen: new Set([this.node]) })
  }

  subscribe(topic: string, listener: GossipListener): () => void {
    const listeners = this.#topics.get(topic) ?? new Set()
    this.#topics.set(topic, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async open(node: NodeId, protocol: ProtocolId, options: OpenOptions = {}): Promise<Channel> {
    this.#assertOpen()
    const known = this.#connections.get(node)
    const connection = known?.isOpen ? known : await this.#connect(node, options)
    const other = this.#wires.net(node)
    if (!other?.speaks(protocol))
      throw new OrchError('ORCH_PROTOCOL', `${node} does not speak ${protocol}`, {
        context: { node, protocol },
      })
    const [mine, theirs] = connection.openChannel(this.node)
    connection.carry(this.node, node, () => other.#take(protocol, theirs, connection))
    return mine
  }

  handle(protocol: ProtocolId, handler: ChannelHandler, options: HandleOptions = {}): () => void {
    this.#handlers.set(protocol, { handler, options })
    return () => this.#handlers.delete(protocol)
  }

  speaks(protocol: ProtocolId): boolean {
    return this.#handlers.has(protocol)
  }

  /** The name of a node is its address here: there is nothing to learn. */
  learn(): void {}

  async close(): Promise<void> {
    if (this.#isClosed) return
    for (const node of this.peers()) this.#drop(node, 'the node stops')
    this.#isClosed = true
    this.#wires.leave(this.node)
  }

  onConnected(node: NodeId, connection: MemoryConnection): void {
    const before = this.#connections.get(node)
    this.#connections.set(node, connection)
    if (before) this.#wires.disconnect(before, 'a newer connection took its place')
    if (this.#standings.of(node) === 'member') this.#wasMember.add(node)
    this.#tell(node, 'up')
  }

  onDisconnected(node: NodeId, connection: MemoryConnection): void {
    if (this.#connections.get(node) !== connection) return
    this.#connections.delete(node)
    this.#wasMember.delete(node)
    this.#tell(node, 'down')
  }

  #connect(node: NodeId, options: OpenOptions): Promise<MemoryConnection> {
    if (this.#standings.of(node) === 'denied') throw denied(node, 'the member list of this node')
    return this.#wires.connect(this, node, options)
  }

  /** To every member that has not got it; each hands it on to those that it alone reaches. */
  #spread(message: Message): number {
    let count = 0
    for (const node of this.members()) {
      const other = this.#wires.net(node)
      if (!other || message.seen.has(node) || !other.#topics.get(message.topic)?.size) continue
      message.seen.add(node)
      count++
      for (const delay of this.#wires.links.copies(this.node, node))
        this.#wires.timing.after(delay, () => void other.#hear(message, this.node))
    }
    return count
  }

  async #hear(message: Message, from: NodeId): Promise<void> {
    if (!this.#connections.get(from)?.isOpen || this.#standings.of(from) !== 'member') return
    const answers = [...(this.#topics.get(message.topic) ?? [])].map((listener) =>
      listener(message.bytes.slice(), from),
    )
    for (const answer of answers) if (answer !== undefined && !(await answer)) return
    this.#spread(message)
  }

  #take(protocol: ProtocolId, channel: MemoryChannel, connection: MemoryConnection): void {
    const found = this.#handlers.get(protocol)
    const standing = this.#standings.of(channel.peer)
    const isAllowed = standing === 'member' || (standing === 'stranger' && found?.options.strangers === true)
    const streams = connection.openChannels(channel.peer)
    if (!found || !isAllowed || streams > (found.options.streamsMax ?? PEER_STREAMS_MAX)) {
      channel.abort('not allowed')
      return
    }
    found.handler(channel).then(
      () => this.#finish(channel),
      (error: unknown) => channel.abort(error instanceof Error ? error.message : 'the handler failed'),
    )
  }

  /** After the handler: what it did not read is thrown away, and a peer that never ends is let go. */
  async #finish(channel: MemoryChannel): Promise<void> {
    const undo = this.#wires.timing.after(PEER_ANSWER_MS_MAX, () => channel.abort('the stream was not ended'))
    try {
      await channel.end()
      for await (const _ of channel.read());
    } catch {
      // It broke: nobody waits for it any more.
    }
    undo()
  }

  #drop(node: NodeId, reason: string): void {
    const connection = this.#connections.get(node)
    if (connection) this.#wires.disconnect(connection, reason)
  }

  #tell(node: NodeId, state: 'up' | 'down'): void {
    for (const listener of [...this.#listeners]) listener(node, state)
  }

  #assertOpen(): void {
    if (this.#isClosed)
      throw new OrchError('ORCH_PEER_GONE', 'the node stops', { context: { node: this.node } })
  }
}
