/** What each peer is to this node: by the member list, unless it broke the rules a short while ago. */
import type { DurationMs, Millis, NodeId } from '../core/id.ts'
import { MEMBERS_MAX } from '../core/limit.ts'
import type { Standing } from './net.ts'

export class Standings {
  readonly #now: () => Millis
  readonly #refusedUntil = new Map<NodeId, Millis>()
  #standingOf: (node: NodeId) => Standing = () => 'denied'

  constructor(now: () => Millis) {
    this.#now = now
  }

  admit(standingOf: (node: NodeId) => Standing): void {
    this.#standingOf = standingOf
  }

  refuse(node: NodeId, forMs: DurationMs): void {
    this.#refusedUntil.delete(node)
    this.#refusedUntil.set(node, this.#now() + forMs)
    // Only connected peers are ever refused; the oldest goes first should a cluster be that large.
    if (this.#refusedUntil.size > MEMBERS_MAX)
      this.#refusedUntil.delete(this.#refusedUntil.keys().next().value!)
  }

  of(node: NodeId): Standing {
    const until = this.#refusedUntil.get(node)
    if (until !== undefined) {
      if (this.#now() < until) return 'denied'
      this.#refusedUntil.delete(node)
    }
    return this.#standingOf(node)
  }
}
