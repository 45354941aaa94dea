/**
 * The net edge (contract): who is connected, one-to-many messages that may be lost, and one-to-one byte streams that may break. It decides nothing about tasks.
 * Implementations: `libp2p.ts` (TCP, noise, yamux, gossipsub) and `memory.ts` (several nodes in one process, with injected faults). Both pass
 * `test/net/contract.ts`. Wire formats: `PROTOCOL.md`.
 */
import type { DurationMs, NodeId } from '../core/id.ts'

/** Multiaddr as text, with `/p2p/<node id>` at its end wherever one of ours is told. */
export type Address = string

/** A protocol of one-to-one streams, say `/orch/sync/1`. */
export type ProtocolId = string

/** What a peer that is no member yet may do. */
export type Standing =
  /** Everything. */
  | 'member'
  /** Nothing but the protocols registered with `strangers: true`. */
  | 'stranger'
  /** Is not let in. */
  | 'denied'

/**
 * A byte stream in both directions. Both ends can be finished apart from each other. Whoever stops early aborts, so that the other end hears it.
 */
export interface Channel {
  readonly peer: NodeId
  /** Where the connection comes from or goes to; for limits per address. */
  readonly address?: Address
  /** Bytes as they come, in pieces of any size; the end of the iteration is the other side's `end`. Throws when the stream broke. Reading slowly slows the sender down. */
  read(): AsyncIterable<Uint8Array>
  /** Resolves when more may be written: back-pressure. Rejects with ORCH_PEER_GONE when the stream broke. */
  write(bytes: Uint8Array): Promise<void>
  /** This side has said all. */
  end(): Promise<void>
  /** Both directions are over at once; never throws. */
  abort(reason: string): void
}

export type ChannelHandler = (channel: Channel) => Promise<void>

export interface HandleOptions {
  /** Also for peers that are no members: the join protocol. */
  readonly strangers?: boolean
  /** Streams of one peer at once; default 32. */
  readonly streamsMax?: number
}

export interface OpenOptions {
  /** For the connection and the stream, ms; default DIAL_MS_MAX. */
  readonly timeoutMs?: DurationMs
  readonly signal?: AbortSignal
}

/** What became of a dial, in words that a person can act on. */
export interface Dialled {
  readonly node: NodeId
  /** The address that answered. */
  readonly address: Address
  /** What this node is to the other. */
  readonly standing: 'member' | 'stranger'
}

/** `from` handed it on. A promise of `false` keeps the message from being handed on to others; before it is settled nobody gets it from this node. */
// biome-ignore lint/suspicious/noConfusingVoidType: most listeners return nothing
export type GossipListener = (bytes: Uint8Array, from: NodeId) => void | Promise<boolean>

export interface DialOptions extends OpenOptions {
  readonly expected?: NodeId
  readonly anew?: boolean
}

export interface Net {
  readonly node: NodeId
  /** Where others reach this node, best first; empty when it does not listen. */
  addresses(): readonly Address[]
  /** Peers with an open connection, members and strangers. */
  peers(): readonly NodeId[]
  /** Those of them that are members. */
  members(): readonly NodeId[]
  /** Last measured round trip of a peer, ms. */
  roundTripMs(node: NodeId): DurationMs | undefined
  /** Tells of each connection that opens, of each connected stranger that became a member (`up` again), and of each peer whose last connection closed. Returns the undo. */
  onPeer(listener: (node: NodeId, state: 'up' | 'down') => void): () => void
  /**
   * Connects to one address; `expected` when the address does not name the node. Resolves when the other side has let this node in: a hello went both ways. Who is connected
   * already is not dialled, unless `anew`: then this very address has answered.
   *
   * @throws ORCH_PEER_UNREACHABLE refused or no answer (`context.refused` true when the machine answered and nobody listens there), ORCH_PEER_DENIED let go at once by the other
   *   side, ORCH_OTHER_CLUSTER, ORCH_PROTOCOL no common version, ORCH_USAGE not an address or its own
   */
  dial(address: Address, options?: DialOptions): Promise<Dialled>
  /** Closes all connections to a peer. */
  hangUp(node: NodeId): Promise<void>
  /** Says what each peer is, at every connection and whenever `reviewStandings` is called. Before the first call everybody is `denied`. */
  admit(standingOf: (node: NodeId) => Standing): void
  /** The member list has changed: connections that are not allowed any more are closed. */
  reviewStandings(): void
  /** It broke the rules: its connections are closed, and none is let in or made for so long, whatever `admit` says. */
  refuse(node: NodeId, forMs: DurationMs): void
  /** To every connected member; best effort. Returns how many peers it was handed to; 0 = nobody has it. Longer than GOSSIP_BYTES_MAX is refused with ORCH_BUG. */
  publish(topic: string, bytes: Uint8Array): Promise<number>
  /** Each message once, from members only; its author is inside the message. Returns the undo. */
  subscribe(topic: string, listener: GossipListener): () => void
  /**
   * Opens a stream to a connected peer, or connects first with what is known of its addresses.
   *
   * @throws ORCH_PEER_UNREACHABLE, ORCH_PEER_DENIED, ORCH_PROTOCOL the peer does not speak it
   */
  open(node: NodeId, protocol: ProtocolId, options?: OpenOptions): Promise<Channel>
  /** A handler that throws aborts its stream. Returns the undo. */
  handle(protocol: ProtocolId, handler: ChannelHandler, options?: HandleOptions): () => void
  /** Addresses learnt elsewhere (from the board): used by `open`. */
  learn(node: NodeId, addresses: readonly Address[]): void
  /** Ends every stream and connection. Idempotent. */
  close(): Promise<void>
}
