/** Counts what peers can be blamed for, and has the net refuse those that go too far. */
import type { Millis, NodeId } from '../core/id.ts'
import { PEER_FAULTS_MAX, PEER_REFUSED_MS } from '../core/limit.ts'
import type { Net } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

export interface ConductOptions {
  readonly net: Net
  readonly timing?: Timing
  /** News for the log. */
  readonly onFault?: (node: NodeId, reason: string, isRefused: boolean) => void
}

export class Conduct {
  readonly #options: ConductOptions
  readonly #timing: Timing
  readonly #faults = new Map<NodeId, { since: Millis; count: number }>()

  constructor(options: ConductOptions) {
    this.#options = options
    this.#timing = options.timing ?? SYSTEM_TIMING
  }

  /** Only for what nobody else can have caused. */
  blame(node: NodeId, reason: string, count = 1): void {
    const now = this.#timing.now()
    const known = this.#faults.get(node)
    const faults = known && now - known.since < PEER_REFUSED_MS ? known : { since: now, count: 0 }
    faults.count += count
    this.#faults.set(node, faults)
    const isRefused = faults.count >= PEER_FAULTS_MAX
    this.#options.onFault?.(node, reason, isRefused)
    if (!isRefused) return
    this.#faults.delete(node)
    this.#options.net.refuse(node, PEER_REFUSED_MS)
  }
}
