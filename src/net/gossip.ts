/**
 * Spreads frames in about a millisecond: own ones are published when they are on the disk, those of others are checked before they are handed on. A hint only: what is lost here
 * comes by the sync.
 */

import type { NodeId } from '../core/id.ts'
import { GOSSIP_BYTES_MAX, GOSSIP_QUEUE_BYTES_MAX, PEER_FAULTS_MAX } from '../core/limit.ts'
import type { Conduct } from './conduct.ts'
import { encodeAnnounce, encodeFrame, readGossip } from './gossip-message.ts'
import { GossipQuota } from './gossip-quota.ts'
import type { Net } from './net.ts'
import type { ChainHead, Replica } from './replica.ts'
import type { Sync } from './sync.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

/** To be named among the topics of the net. */
export const BOARD_TOPIC = 'board'

/** Version and kind before the frame. */
const HEAD_BYTES = 2

export interface GossipOptions {
  readonly net: Net
  readonly replica: Replica
  readonly sync: Sync
  readonly conduct: Conduct
  /** Everybody whom this node could hand something of that author on to is connected to the author. Default: never. */
  readonly isHeardByAll?: (author: NodeId) => boolean
  readonly timing?: Timing
}

export interface Gossip {
  /** Messages that were left to the sync because too many came. */
  dropped(): number
  close(): void
}

/** Starts at once. */
export function createGossip(options: GossipOptions): Gossip {
  const { net, replica, sync, conduct, isHeardByAll = () => false } = options
  const timing = options.timing ?? SYSTEM_TIMING
  const quota = new GossipQuota()
  let queuedBytes = 0
  let dropped = 0
  let isClosed = false

  const publish = (frame: Uint8Array, head: ChainHead): void => {
    const isShort = frame.length + HEAD_BYTES <= GOSSIP_BYTES_MAX
    // A frame that nobody got is no fault: the members are away, and pull it when they are back.
    net.publish(BOARD_TOPIC, isShort ? encodeFrame(frame) : encodeAnnounce(head)).catch(() => undefined)
  }

  const ingest = async (frame: Uint8Array, from: NodeId): Promise<boolean> => {
    if (queuedBytes + frame.length > GOSSIP_QUEUE_BYTES_MAX) {
      dropped++
      return false
    }
    queuedBytes += frame.length
    try {
      const verdict = await replica.ingest(frame)
      switch (verdict.type) {
        case 'taken':
        case 'known':
          return mustGoOn(replica.authorOf(frame), from)
        case 'gap':
          sync.pullRange(verdict, from)
          // Signed and in its place: others may have what is missing before it.
          return true
        case 'unwanted':
          return false
        case 'rejected':
          if (verdict.blame === 'sender') conduct.blame(from, `gossip: a frame ${verdict.reason}`)
          return false
      }
    } catch {
      // The disk failed: the store says so where it is written to.
      return false
    } finally {
      queuedBytes -= frame.length
    }
  }

  /** Authors publish to all they are connected to. Without this each frame went around three times more, which is most of what a busy cluster of sixteen did. */
  const mustGoOn = (author: NodeId | undefined, from: NodeId): boolean =>
    author !== from || !isHeardByAll(author)

  const announced = (head: ChainHead, from: NodeId): boolean => {
    const known = replica
      .heads(head.doc)
      .find(({ node, incarnation }) => node === head.node && incarnation === head.incarnation)
    const n = known?.n ?? 0
    if (n >= head.n) return true
    const { doc, node, incarnation } = head
    // Whoever handed it on may be pulling it too; its author has it.
    const source = net.members().includes(node) ? node : from
    sync.pullRange({ chain: { doc, node, incarnation }, from: n + 1, to: head.n }, source)
    return true
  }

  const hear = async (bytes: Uint8Array, from: NodeId): Promise<boolean> => {
    const passage = quota.take(from, bytes.length, timing.now())
    if (passage !== 'pass') {
      dropped++
      if (passage === 'flood')
        conduct.blame(from, 'gossip: far more than anybody has to say', PEER_FAULTS_MAX)
      return false
    }
    const message = readGossip(bytes)
    switch (message?.type) {
      case 'frame':
        return ingest(message.frame, from)
      case 'announce':
        return announced(message.head, from) && mustGoOn(message.head.node, from)
      case 'unknown':
        return true
      case undefined:
        conduct.blame(from, 'gossip: a malformed message')
        return false
    }
  }

  const undo = [
    replica.onOwnFrame(publish),
    net.subscribe(BOARD_TOPIC, (bytes, from) => (isClosed ? Promise.resolve(false) : hear(bytes, from))),
    net.onPeer((node, state) => {
      if (state === 'down') quota.forget(node)
    }),
  ]

  return {
    dropped: () => dropped,
    close() {
      isClosed = true
      for (const each of undo) each()
    },
  }
}
