/** The net over TCP: libp2p with noise, yamux and gossipsub, behind the contract of `net.ts`. Its settings are in `libp2p-node.ts`. */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { OrchError } from '../core/error.ts'
import type { DurationMs, NodeId } from '../core/id.ts'
import {
  ADDRESSES_MAX,
  DIAL_MS_MAX,
  GOSSIP_BYTES_MAX,
  PEER_STREAMS_MAX,
  PING_MS,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  STRANGER_IDLE_MS_MAX,
  STRANGERS_MAX,
} from '../core/limit.ts'
import { denied, HELLO_PROTOCOL, type Hello } from './hello.ts'
import type { Identity } from './identity.ts'
import { dialFault, readAddress, readListen } from './libp2p-address.ts'
import { gone, StreamChannel } from './libp2p-channel.ts'
import { MemberGossip } from './libp2p-gossip.ts'
import { createNode, listenFault, OPEN_STREAMS_MAX } from './libp2p-node.ts'
import { Session } from './libp2p-session.ts'
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

export interface Libp2pOptions {
  readonly identity: Identity
  /** `/ip4/0.0.0.0/tcp/7946`; port 0 = any. Empty: this node only dials. */
  readonly listen: readonly Address[]
  /** Told to others instead of what is listened on: behind a port forwarding, or in a container. */
  readonly announce?: readonly Address[]
  /** Id of the cluster; absent while this node belongs to none. */
  readonly cluster?: string
  /** Of this node, for people. */
  readonly name: string
  /** Of orch-node, for people. */
  readonly version: string
  /** Every topic that `publish` and `subscribe` will name. */
  readonly topics: readonly string[]
  /** Default PROTOCOL_MIN..PROTOCOL_MAX. */
  readonly protocol?: readonly [number, number]
}

const REFUSED_MS_MAX = 1_000

/** @throws ORCH_PORT_TAKEN, ORCH_USAGE an address that is none */
export async function createLibp2pNet(options: Libp2pOptions): Promise<Net> {
  const net = new Libp2pNet(options)
  await net.start()
  return net
}

class Libp2pNet implements Net {
  readonly node: NodeId
  readonly #options: Libp2pOptions
  readonly #hello: Hello
  readonly #standings = new Standings(() => performance.now())
  readonly #gossip: MemberGossip
  /** By connection id. */
  readonly #sessions = new Map<string, Session>()
  readonly #up = new Map<NodeId, Set<Session>>()
  readonly #listeners = new Set<(node: NodeId, state: 'up' | 'down') => void>()
  readonly #addresses = new Map<NodeId, readonly Address[]>()
  /** Members as of the last review, to tell of those that became one. */
  readonly #wasMember = new Set<NodeId>()
  #libp2p!: Libp2p
  #watch: NodeJS.Timeout | undefined
  #closed: Promise<void> | undefined

  constructor(options: Libp2pOptions) {
    this.node = options.identity.node
    this.#options = options
    this.#hello = {
      protocol: options.protocol ?? [PROTOCOL_MIN, PROTOCOL_MAX],
      version: options.version,
      name: options.name,
      ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
    }
    this.#gossip = new MemberGossip(options.cluster ?? 'none', options.topics, {
      connections: (node) => this.#open(node).map(({ connection }) => connection),
      admitted: async (connection) => {
        const session = this.#sessionOf(connection)
        await session.greeted
        return this.#standings.of(session.node) === 'member'
      },
      hangUp: (node, reason) => this.#drop(node, reason),
    })
  }

  async start(): Promise<void> {
    const { identity, listen, announce, version } = this.#options
    this.#libp2p = await createNode({
      identity,
      listen: listen.map((address) => readListen(address).toString()),
      announce: (announce ?? []).map((address) => readAddress(address).multiaddr.toString()),
      version,
      gossip: this.#gossip,
      mayEnter: (node) => {
        const standing = this.#standings.of(node)
        return (
          standing === 'member' ||
          (standing === 'stranger' && this.peers().length - this.members().length < STRANGERS_MAX)
        )
      },
      mayDial: (node) => this.#standings.of(node) !== 'denied',
    })
    this.#libp2p.addEventListener('connection:open', ({ detail }) => void this.#sessionOf(detail))
    try {
      await this.#libp2p.handle(HELLO_PROTOCOL, (stream, connection) => {
        this.#sessionOf(connection).answer(stream)
      })
      await this.#libp2p.start()
    } catch (cause) {
      await this.#libp2p.stop()
      throw listenFault(listen, cause)
    }
    this.#watch = setInterval(() => this.#look(), PING_MS).unref()
  }

  addresses(): readonly Address[] {
    return this.#libp2p.getMultiaddrs().map(String)
  }

  peers(): readonly NodeId[] {
    return [...this.#up.keys()]
  }

  members(): readonly NodeId[] {
    return this.peers().filter((node) => this.#standings.of(node) === 'member')
  }

  roundTripMs(node: NodeId): DurationMs | undefined {
    return this.#open(node)[0]?.roundTripMs
  }

  onPeer(listener: (node: NodeId, state: 'up' | 'down') => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async dial(address: Address, options: DialOptions = {}): Promise<Dialled> {
    this.#assertOpen()
    const target = readAddress(address, options.expected)
    if (target.node === this.node) throw dialFault(address, new Error('dial self'), 0)
    if (target.node !== undefined && this.#standings.of(target.node) === 'denied')
      throw denied(target.node, 'the member list of this node', undefined)
    const timeoutMs = options.timeoutMs ?? DIAL_MS_MAX
    const signals = [AbortSignal.timeout(timeoutMs), ...(options.signal ? [options.signal] : [])]
    const how = { signal: AbortSignal.any(signals), force: options.anew === true }
    const connection = await this.#libp2p.dial(target.multiaddr, how).catch((cause: unknown) => {
      throw dialFault(address, cause, timeoutMs)
    })
    const session = this.#sessionOf(connection)
    const { standing } = await session.greeted
    return { node: session.node, address: connection.remoteAddr.toString(), standing }
  }

  async hangUp(node: NodeId): Promise<void> {
    await Promise.all(this.#open(node).map((session) => session.close()))
  }

  admit(standingOf: (node: NodeId) => Standing): void {
    this.#standings.admit(standingOf)
    this.reviewStandings()
  }

  reviewStandings(): void {
    for (const node of [...this.#up.keys()]) {
      const standing = this.#standings.of(node)
      const wasMember = this.#wasMember.has(node)
      if (standing === 'denied' || (wasMember && standing === 'stranger')) this.#drop(node, 'it is no member')
      else if (!wasMember && standing === 'member') {
        this.#enrol(node)
        this.#tell(node, 'up')
      }
    }
  }

  refuse(node: NodeId, forMs: DurationMs): void {
    this.#standings.refuse(node, forMs)
    this.#drop(node, 'it broke the rules')
  }

  async publish(topic: string, bytes: Uint8Array): Promise<number> {
    this.#assertTopic(topic)
    if (bytes.length > GOSSIP_BYTES_MAX)
      throw new OrchError('ORCH_BUG', `${bytes.length} bytes are too long for gossip: announce them`)
    return this.#closed ? 0 : this.#gossip.publish(topic, bytes)
  }

  subscribe(topic: string, listener: GossipListener): () => void {
    this.#assertTopic(topic)
    return this.#gossip.subscribe(topic, listener)
  }

  async open(node: NodeId, protocol: ProtocolId, options: OpenOptions = {}): Promise<Channel> {
    this.#assertOpen()
    const session = this.#open(node)[0] ?? (await this.#connect(node, options))
    const { connection } = session
    const signals = [
      AbortSignal.timeout(options.timeoutMs ?? DIAL_MS_MAX),
      ...(options.signal ? [options.signal] : []),
    ]
    let stream: Stream
    try {
      stream = await connection.newStream(protocol, {
        signal: AbortSignal.any(signals),
        maxOutboundStreams: OPEN_STREAMS_MAX,
      })
    } catch (cause) {
      if ((cause as Error).name === 'UnsupportedProtocolError')
        throw new OrchError('ORCH_PROTOCOL', `${node} does not speak ${protocol}`, {
          context: { node, protocol },
          cause,
        })
      throw gone(node, cause)
    }
    return new StreamChannel(stream, node, connection.remoteAddr.toString())
  }

  handle(protocol: ProtocolId, handler: ChannelHandler, options: HandleOptions = {}): () => void {
    const take = async (stream: Stream, connection: Connection): Promise<void> => {
      const channel = new StreamChannel(
        stream,
        connection.remotePeer.toString(),
        connection.remoteAddr.toString(),
      )
      try {
        await this.#sessionOf(connection).greeted
        const standing = this.#standings.of(channel.peer)
        if (standing !== 'member' && !(standing === 'stranger' && options.strangers === true))
          throw denied(this.node, channel.peer)
        await handler(channel)
      } catch (error) {
        channel.abort(error instanceof Error ? error.message : 'the handler failed')
        return
      }
      await channel.finish()
    }
    // Registered before the first await of libp2p; it fails only when the protocol has a handler already.
    const isThere = this.#libp2p.handle(protocol, (stream, connection) => void take(stream, connection), {
      maxInboundStreams: options.streamsMax ?? PEER_STREAMS_MAX,
      maxOutboundStreams: OPEN_STREAMS_MAX,
      force: true,
    })
    isThere.catch(() => undefined)
    return () => void this.#libp2p.unhandle(protocol).catch(() => undefined)
  }

  learn(node: NodeId, addresses: readonly Address[]): void {
    if (addresses.length > 0) this.#addresses.set(node, addresses.slice(0, ADDRESSES_MAX))
    else this.#addresses.delete(node)
  }

  close(): Promise<void> {
    this.#closed ??= this.#stop()
    return this.#closed
  }

  async #stop(): Promise<void> {
    clearInterval(this.#watch)
    for (const session of this.#sessions.values()) session.breakStreams('the node stops')
    await this.#libp2p.stop()
  }

  #sessionOf(connection: Connection): Session {
    const known = this.#sessions.get(connection.id)
    if (known) return known
    const node = connection.remotePeer.toString()
    const session = new Session(connection, this.#hello, () => this.#standings.of(node), this.#gossip)
    this.#sessions.set(connection.id, session)
    connection.addEventListener('close', () => this.#onClose(session))
    session.greeted.then(
      () => this.#onGreeted(session),
      (error: Error) => {
        // The side that dialled closes when it has read why; the other one gives it a moment.
        if (connection.direction === 'outbound') void session.close()
        else setTimeout(() => connection.abort(error), REFUSED_MS_MAX).unref()
      },
    )
    return session
  }

  #onGreeted(session: Session): void {
    const { node, connection } = session
    if (connection.status !== 'open' || this.#standings.of(node) === 'denied') {
      connection.abort(new Error('it is not let in any more'))
      return
    }
    const sessions = this.#up.get(node) ?? new Set()
    this.#up.set(node, sessions)
    sessions.add(session)
    if (this.#standings.of(node) === 'member') {
      this.#wasMember.add(node)
      this.#gossip.attach(connection, session.standing === 'member')
    }
    this.#tell(node, 'up')
    this.#prune(node)
  }

  /**
   * Two nodes that dial each other at once have two connections. Of those that this node made one too many is closed, by a rule that leaves the other side's: none is closed by both,
   * and none that carries more than gossip.
   */
  #prune(node: NodeId): void {
    const all = this.#open(node)
    const made = all.filter(({ connection }) => connection.direction === 'outbound')
    const keep = made.length < all.length && this.node > node ? 0 : 1
    for (const session of made.slice(keep)) if (session.isIdle) void session.close()
  }

  #onClose(session: Session): void {
    this.#sessions.delete(session.connection.id)
    const sessions = this.#up.get(session.node)
    if (!sessions?.delete(session)) return
    const left = [...sessions][0]
    if (left) {
      // Its gossip streams may have been on the closed one.
      if (this.#wasMember.has(session.node)) this.#gossip.attach(left.connection, left.standing === 'member')
      return
    }
    this.#up.delete(session.node)
    this.#wasMember.delete(session.node)
    this.#gossip.detach(session.node)
    this.#tell(session.node, 'down')
  }

  #enrol(node: NodeId): void {
    this.#wasMember.add(node)
    for (const session of this.#open(node)) {
      if (session.standing === 'member') this.#gossip.attach(session.connection, true)
      // It may have admitted this node since, or not: a new hello tells, when nobody waits for anything on this connection.
      else session.isOutdated = true
    }
  }

  #look(): void {
    this.#gossip.watch()
    for (const [node, sessions] of this.#up) {
      this.#prune(node)
      for (const session of sessions) if (session.isOutdated && session.isIdle) void session.close()
      if (this.#standings.of(node) !== 'stranger') continue
      for (const session of sessions)
        if (session.isIdle && session.ageMs > STRANGER_IDLE_MS_MAX) void session.close()
    }
    for (const session of this.#sessions.values()) session.watch.look()
  }

  async #connect(node: NodeId, options: OpenOptions): Promise<Session> {
    const addresses = this.#addresses.get(node) ?? []
    let fault: unknown = new OrchError('ORCH_PEER_UNREACHABLE', `no address of ${node} is known`, {
      context: { node },
    })
    for (const address of addresses) {
      try {
        await this.dial(address, { ...options, expected: node })
        const session = this.#open(node)[0]
        if (session) return session
        fault = gone(node)
      } catch (error) {
        fault = error
      }
    }
    throw fault
  }

  /** Greeted sessions whose connection is open. */
  #open(node: NodeId): Session[] {
    return [...(this.#up.get(node) ?? [])].filter(({ connection }) => connection.status === 'open')
  }

  #drop(node: NodeId, reason: string): void {
    for (const session of [...this.#sessions.values()])
      if (session.node === node) session.connection.abort(new Error(reason))
  }

  #tell(node: NodeId, state: 'up' | 'down'): void {
    for (const listener of [...this.#listeners]) listener(node, state)
  }

  #assertTopic(topic: string): void {
    if (!this.#gossip.has(topic)) throw new OrchError('ORCH_BUG', `topic ${topic} was not given at the start`)
  }

  #assertOpen(): void {
    if (this.#closed) throw gone(this.node, new Error('the node stops'))
  }
}
