/**
 * gossipsub among members only. Its streams are opened and taken when both hellos are through and the peer is a member, not whenever a peer speaks the protocol; and they are
 * watched, because a gossip stream that dies while its connection lives is not opened again by itself.
 */
import { createHash } from 'node:crypto'
import {
  type GossipSub,
  type GossipSubComponents,
  gossipsub,
  StrictNoSign,
  TopicValidatorResult,
} from '@libp2p/gossipsub'
import type { Connection, PeerId, Stream, Topology } from '@libp2p/interface'
import type { Millis, NodeId } from '../core/id.ts'
import { GOSSIP_BYTES_MAX, GOSSIP_SEEN_MS, GOSSIP_UNSENT_BYTES_MAX, PEER_STREAMS_MAX } from '../core/limit.ts'
import type { GossipListener } from './net.ts'

const PREFIX = '/meshsub/'
/** Unsent bytes are looked at after so much was passed on, not at each message. */
const LOOK_BYTES = 1024 * 1024
const LOOKS_MAX = 2

export interface GossipLinks {
  /** Open connections to a peer. */
  connections(node: NodeId): readonly Connection[]
  /** Resolves when the hellos of a connection are through: is the peer a member? */
  admitted(connection: Connection): Promise<boolean>
  hangUp(node: NodeId, reason: string): void
}

interface Attached {
  readonly peer: PeerId
  /** The peer takes this node for a member, so it opens a stream of its own. */
  isMutual: boolean
  looks: number
  /** When it handed something on last. */
  heardAt: Millis
}

export class MemberGossip {
  readonly #topics: ReadonlyMap<string, string>
  readonly #links: GossipLinks
  readonly #attached = new Map<NodeId, Attached>()
  readonly #listeners = new Map<string, Set<GossipListener>>()
  #pubsub: GossipSub | undefined
  #topology: Topology | undefined
  #passedOn = 0

  /** @param topics the only ones that are ever spoken, by our names; on the wire they name the cluster */
  constructor(cluster: string, topics: readonly string[], links: GossipLinks) {
    this.#topics = new Map(topics.map((topic) => [topic, `orch/${cluster}/${topic}`]))
    this.#links = links
  }

  /** The service for libp2p. */
  service(): (components: GossipSubComponents) => GossipSub {
    const create = gossipsub({
      // A lone node writes too: without this, publishing throws.
      allowPublishToZeroTopicPeers: true,
      ignoreDuplicatePublishError: true,
      emitSelf: false,
      // Own messages go to every member at once, which up to some 50 nodes beats the mesh.
      floodPublish: true,
      // So the mesh only serves those that are not connected to the author. Default 6, and up to 12 in fact: sixteen idle nodes then spend a tenth of a core each on passing beats on.
      // Where all hang on one node, those that its mesh leaves out hear by its lists of what there is.
      D: 3,
      Dlo: 2,
      Dhi: 4,
      Dout: 1,
      Dscore: 2,
      Dlazy: 12,
      // One encoding for all of them.
      batchPublish: true,
      // Frames carry a signature of their own, and are 4-7 times faster without a second one; their hash is their identity, the same over every way.
      globalSignaturePolicy: StrictNoSign,
      msgIdFn: (message) => new Uint8Array(createHash('sha256').update(message.data).digest()),
      msgIdToStrFn: (id) => Buffer.from(id).toString('latin1'),
      // Default two minutes: at 10,000 messages a second over a million ids.
      seenTTL: GOSSIP_SEEN_MS,
      // Neither the old flooding protocol nor addresses from strangers' mouths: members come from the board.
      fallbackToFloodsub: false,
      doPX: false,
      // A peer may not fill the memory with topics (CVE-2026-46679), nor use this node to carry others.
      allowedTopics: [...this.#topics.values()],
      maxInboundStreams: PEER_STREAMS_MAX,
      maxOutboundStreams: PEER_STREAMS_MAX,
      tagMeshPeers: false,
      scoreParams: {
        // Default: from the 11th peer behind one address on, the mesh is silently empty. One office, one host of containers is one address.
        IPColocationFactorWeight: 0,
        // Three answers late under load would silence an honest peer. Whoever breaks rules is judged by what he sends, in `gossip.ts`.
        behaviourPenaltyWeight: 0,
      },
      // `maxOutboundBufferSize` stays unset: reaching it kills the stream for good. Unsent bytes are bounded below by closing the connection, which heals.
      // `maxInboundDataLength` stays at its 4 MiB: a message above it would do the same, and none of ours is longer than GOSSIP_BYTES_MAX.
    })
    return (components) => {
      const { registrar, privateKey, peerId, peerStore, connectionManager, logger } = components
      this.#pubsub = create({
        privateKey,
        peerId,
        peerStore,
        connectionManager,
        logger,
        registrar: Object.assign(Object.create(registrar) as typeof registrar, {
          handle: (
            protocol: string,
            take: (stream: Stream, connection: Connection) => void,
            options: object,
          ) =>
            registrar.handle(protocol, (stream, connection) => this.#take(stream, connection, take), options),
          unhandle: (protocol: string) => registrar.unhandle(protocol),
          register: (_protocol: string, topology: Topology) => {
            this.#topology = topology
            return Promise.resolve('members')
          },
          unregister: () => undefined,
        }),
      })
      for (const [topic, wire] of this.#topics)
        this.#pubsub.topicValidators.set(wire, async (peer, message) => {
          const isGood = await this.#deliver(topic, message.data, peer.toString())
          return isGood ? TopicValidatorResult.Accept : TopicValidatorResult.Ignore
        })
      return this.#pubsub
    }
  }

  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  /** When the peer handed something on last, by `performance.now`; 0 = not since it connected. */
  heardAt(node: NodeId): Millis {
    return this.#attached.get(node)?.heardAt ?? 0
  }

  async publish(topic: string, bytes: Uint8Array): Promise<number> {
    const { recipients } = await this.#pubsub!.publish(this.#topics.get(topic)!, bytes)
    this.#count(bytes.length)
    return recipients.length
  }

  subscribe(topic: string, listener: GossipListener): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set()
    this.#listeners.set(topic, listeners)
    listeners.add(listener)
    this.#pubsub!.subscribe(this.#topics.get(topic)!)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#pubsub!.unsubscribe(this.#topics.get(topic)!)
    }
  }

  /**
   * The peer is a member here. A stream to it is opened when it takes this node for one too (`isMutual`): it would refuse it otherwise, which gossipsub does not get over. Later
   * it opens one itself, which is answered.
   */
  attach(connection: Connection, isMutual: boolean): void {
    const peer = connection.remotePeer
    const attached = this.#attached.get(peer.toString()) ?? { peer, isMutual, looks: 0, heardAt: 0 }
    attached.isMutual ||= isMutual
    attached.looks = 0
    this.#attached.set(peer.toString(), attached)
    if (attached.isMutual) void this.#topology?.onConnect?.(peer, sound(connection))
  }

  detach(node: NodeId): void {
    const attached = this.#attached.get(node)
    if (!attached) return
    this.#attached.delete(node)
    void this.#topology?.onDisconnect?.(attached.peer)
  }

  /** A stream that died under a living connection stays dead for gossipsub: the connection is closed, to be made anew. */
  watch(): void {
    for (const [node, attached] of this.#attached) {
      const connections = this.#links.connections(node)
      const streams = connections.flatMap((connection) => connection.streams).filter(isGossip)
      const goesOut = streams.some((stream) => stream.direction === 'outbound')
      const comesIn = streams.some((stream) => stream.direction === 'inbound')
      if (!attached.isMutual || (goesOut && comesIn)) attached.looks = 0
      else if (++attached.looks >= LOOKS_MAX)
        this.#links.hangUp(node, 'its gossip stream is dead while the connection is open')
    }
    this.#look()
  }

  /** Gossip waits for nobody; a peer that takes nothing is let go before it fills the memory. */
  #count(bytes: number): void {
    this.#passedOn += bytes
    if (this.#passedOn >= LOOK_BYTES) this.#look()
  }

  #look(): void {
    this.#passedOn = 0
    for (const node of this.#attached.keys()) {
      const unsent = this.#links
        .connections(node)
        .flatMap((connection) => connection.streams)
        .filter(isGossip)
        .reduce((sum, stream) => sum + stream.writeBufferLength, 0)
      if (unsent > GOSSIP_UNSENT_BYTES_MAX)
        this.#links.hangUp(node, `${unsent} bytes of gossip are unsent: it takes nothing`)
    }
  }

  #take(
    stream: Stream,
    connection: Connection,
    take: (stream: Stream, connection: Connection) => void,
  ): void {
    void this.#links.admitted(connection).then(
      (isMember) => {
        if (isMember && stream.status === 'open') {
          const attached = this.#attached.get(connection.remotePeer.toString())
          if (attached) attached.isMutual = true
          take(stream, sound(connection))
        } else stream.abort(new Error('gossip is for members'))
      },
      (error: Error) => stream.abort(error),
    )
  }

  async #deliver(topic: string, bytes: Uint8Array, from: NodeId): Promise<boolean> {
    const attached = this.#attached.get(from)
    if (bytes.length > GOSSIP_BYTES_MAX || !attached) return false
    attached.heardAt = performance.now()
    this.#count(bytes.length)
    const answers = [...(this.#listeners.get(topic) ?? [])].map((listener) => listener(bytes, from))
    for (const answer of answers) if (answer !== undefined && !(await answer)) return false
    return true
  }
}

/**
 * The connection as gossipsub gets it: a stream that closed while it was negotiated is no stream. gossipsub would keep it for the peer's, and never open another one.
 */
function sound(connection: Connection): Connection {
  return Object.create(connection, {
    newStream: {
      value: async (...args: Parameters<Connection['newStream']>) => {
        const stream = await connection.newStream(...args)
        if (stream.status !== 'open') throw new Error(`the stream is ${stream.status}`)
        return stream
      },
    },
  }) as Connection
}

function isGossip(stream: Stream): boolean {
  return stream.protocol.startsWith(PREFIX) && stream.status === 'open'
}
