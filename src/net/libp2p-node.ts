/** A libp2p node, not started. Every setting says why it is not the default; several defaults break a small cluster silently. */
import './promise-with-resolvers.ts'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { OrchError } from '../core/error.ts'
import type { NodeId } from '../core/id.ts'
import {
  DIAL_MS_MAX,
  MEMBERS_MAX,
  PEER_STREAMS_MAX,
  STRANGERS_MAX,
  STREAM_BUFFER_BYTES_MAX,
  STREAM_WINDOW_BYTES_MAX,
} from '../core/limit.ts'
import { type Identity, transportKey } from './identity.ts'
import type { MemberGossip } from './libp2p-gossip.ts'
import type { Address } from './net.ts'

export interface NodeOptions {
  readonly identity: Identity
  readonly listen: readonly Address[]
  readonly announce: readonly Address[]
  readonly version: string
  readonly gossip: MemberGossip
  /** Asked after the handshake, when it is proven who is there. */
  readonly mayEnter: (node: NodeId) => boolean
  readonly mayDial: (node: NodeId) => boolean
}

/** Open streams of one connection, over all protocols; each protocol has a bound of its own. */
export const OPEN_STREAMS_MAX = 1_024

export function createNode(options: NodeOptions): Promise<Libp2p> {
  return createLibp2p({
    privateKey: privateKeyFromRaw(transportKey(options.identity)),
    nodeInfo: { name: 'orch-node', version: options.version },
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        // Measures the round trip, without which the window of a stream never grows.
        enableKeepAlive: true,
        maxInboundStreams: OPEN_STREAMS_MAX,
        maxOutboundStreams: OPEN_STREAMS_MAX,
        streamOptions: {
          // The window grows to 16 MiB by default, beyond what a paused stream may hold (4 MiB): it would be reset. 4 MiB carry 80 MB/s over 50 ms.
          maxStreamWindowSize: STREAM_WINDOW_BYTES_MAX,
          maxReadBufferLength: STREAM_BUFFER_BYTES_MAX,
        },
      }),
    ],
    connectionManager: {
      // Above this libp2p closes connections by its own taste.
      maxConnections: MEMBERS_MAX + STRANGERS_MAX,
      // Default 5 a second and address: of 30 nodes that start on one host or behind one router 25 would be refused.
      inboundConnectionThreshold: 1_000,
      // Default 10: the same at the handshakes.
      maxIncomingPendingConnections: 100,
      // Default 10 s, twice what a person waits; each dial below has its own deadline too.
      dialTimeout: DIAL_MS_MAX,
      addressDialTimeout: DIAL_MS_MAX,
      inboundUpgradeTimeout: DIAL_MS_MAX,
      // libp2p's own reconnecting gives up for good after half a minute: `redial.ts` never does. No peer is tagged, so this never acts.
      reconnectRetries: 0,
    },
    // `libp2p-watch.ts` does it.
    connectionMonitor: { enabled: false },
    connectionGater: {
      // After the handshake, when it is proven who is there.
      denyInboundEncryptedConnection: (peer) => !options.mayEnter(peer.toString()),
      denyOutboundEncryptedConnection: (peer) => !options.mayDial(peer.toString()),
      // Default refuses private addresses in some builds; ours are mostly private.
      denyDialMultiaddr: () => false,
    },
    services: {
      // Answered, for tools that look; not asked, because the hello says what is needed.
      identify: identify({ runOnConnectionOpen: false }),
      ping: ping({ maxInboundStreams: PEER_STREAMS_MAX, maxOutboundStreams: PEER_STREAMS_MAX }),
      gossip: options.gossip.service(),
    },
    start: false,
  })
}

/** @returns ORCH_PORT_TAKEN, ORCH_USAGE, or the cause as it is */
export function listenFault(listen: readonly Address[], cause: unknown): unknown {
  if (cause instanceof OrchError) return cause
  const { message } = cause as Error
  if (message.includes('EADDRINUSE'))
    return new OrchError('ORCH_PORT_TAKEN', `another process listens on ${listen.join(', ')}`, {
      context: { listen },
      hint: 'choose another port with `--listen HOST:PORT`, or stop the other process',
      cause,
    })
  if (/EADDRNOTAVAIL|EACCES/.test(message))
    return new OrchError('ORCH_USAGE', `cannot listen on ${listen.join(', ')}: ${message}`, {
      context: { listen },
      hint: 'listen on an address of this machine, with a port above 1023',
      cause,
    })
  return cause
}
