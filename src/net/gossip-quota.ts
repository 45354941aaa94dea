/** How much each peer may hand on by gossip: a bucket of messages and one of bytes, filled by time. */
import type { Millis, NodeId } from '../core/id.ts'
import {
  GOSSIP_PEER_BYTES,
  GOSSIP_PEER_BYTES_BURST,
  GOSSIP_PEER_DROPPED_MAX,
  GOSSIP_PEER_MESSAGES,
  GOSSIP_PEER_MESSAGES_BURST,
} from '../core/limit.ts'

interface Bucket {
  messages: number
  bytes: number
  at: Millis
  dropped: number
}

export type Passage = 'pass' | 'drop' | 'flood'

export class GossipQuota {
  readonly #buckets = new Map<NodeId, Bucket>()

  /** `flood`: it was told so often enough, by dropping, that it goes on in spite of it. */
  take(node: NodeId, bytes: number, now: Millis): Passage {
    const known = this.#buckets.get(node)
    const seconds = known ? (now - known.at) / 1_000 : 0
    const bucket: Bucket = {
      messages: Math.min(
        GOSSIP_PEER_MESSAGES_BURST,
        (known?.messages ?? GOSSIP_PEER_MESSAGES_BURST) + seconds * GOSSIP_PEER_MESSAGES,
      ),
      bytes: Math.min(
        GOSSIP_PEER_BYTES_BURST,
        (known?.bytes ?? GOSSIP_PEER_BYTES_BURST) + seconds * GOSSIP_PEER_BYTES,
      ),
      at: now,
      dropped: known?.dropped ?? 0,
    }
    this.#buckets.set(node, bucket)
    if (bucket.messages < 1 || bucket.bytes < bytes) {
      bucket.dropped++
      return bucket.dropped > GOSSIP_PEER_DROPPED_MAX ? 'flood' : 'drop'
    }
    bucket.messages--
    bucket.bytes -= bytes
    if (bucket.messages > GOSSIP_PEER_MESSAGES_BURST / 2 && bucket.bytes > GOSSIP_PEER_BYTES_BURST / 2)
      bucket.dropped = 0
    return 'pass'
  }

  forget(node: NodeId): void {
    this.#buckets.delete(node)
  }
}
