/** The wires between the nodes of a memory network, and what is wrong with them. One direction at a time; chance comes from a seed. */
import type { DurationMs, NodeId } from '../core/id.ts'
import { createPrng } from '../core/prng.ts'

export interface Faults {
  /** Chance that a message of gossip is lost on one hop; bytes of a stream are sent again after RETRANSMIT_MS. 0..1. */
  readonly loss?: number
  /** Time on the way, uniform between the two, ms. */
  readonly delayMs?: readonly [DurationMs, DurationMs]
  /** Chance that a message of gossip arrives twice. 0..1. */
  readonly duplicate?: number
  /** Chance that a message of gossip takes up to REORDER_MS longer and is overtaken. 0..1. */
  readonly reorder?: number
}

/** As of a busy wireless network. */
const RETRANSMIT_MS = 200
const REORDER_MS = 50
const NO_FAULTS: Required<Faults> = { loss: 0, delayMs: [0, 0], duplicate: 0, reorder: 0 }

export class Links {
  readonly #chance: () => number
  readonly #between = new Map<string, Faults>()
  readonly #cut = new Set<string>()
  #everywhere: Faults = {}
  #groups: readonly (readonly NodeId[])[] = []

  constructor(seed: number) {
    const prng = createPrng(seed)
    this.#chance = () => prng.next()
  }

  setFaults(faults: Faults): void {
    this.#everywhere = faults
  }

  setFaultsBetween(from: NodeId, to: NodeId, faults: Faults | undefined): void {
    if (faults) this.#between.set(way(from, to), faults)
    else this.#between.delete(way(from, to))
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(way(from, to))
  }

  partition(groups: readonly (readonly NodeId[])[]): void {
    this.#groups = groups
  }

  heal(): void {
    this.#groups = []
    this.#cut.clear()
  }

  /** Does anything get through in this direction? */
  isOpen(from: NodeId, to: NodeId): boolean {
    if (this.#cut.has(way(from, to))) return false
    return (
      this.#groups.length === 0 || this.#groups.some((group) => group.includes(from) && group.includes(to))
    )
  }

  /** When the copies of one message arrive, ms from now; none = lost. */
  copies(from: NodeId, to: NodeId): readonly DurationMs[] {
    const faults = this.#faults(from, to)
    if (!this.isOpen(from, to) || this.#happens(faults.loss)) return []
    const late = (): DurationMs =>
      this.#delay(faults) + (this.#happens(faults.reorder) ? this.#chance() * REORDER_MS : 0)
    return this.#happens(faults.duplicate) ? [late(), late()] : [late()]
  }

  /** How long a piece of a stream takes that is sent until it arrives. */
  delay(from: NodeId, to: NodeId): DurationMs {
    const faults = this.#faults(from, to)
    let delay = this.#delay(faults)
    for (let tries = 0; tries < 10 && this.#happens(faults.loss); tries++) delay += RETRANSMIT_MS
    return delay
  }

  #faults(from: NodeId, to: NodeId): Required<Faults> {
    return { ...NO_FAULTS, ...(this.#between.get(way(from, to)) ?? this.#everywhere) }
  }

  #delay({ delayMs: [min, max] }: Required<Faults>): DurationMs {
    return max > 0 ? min + this.#chance() * (max - min) : 0
  }

  /** Draws only when it can happen, so that a network without faults costs nothing. */
  #happens(chance: number): boolean {
    return chance > 0 && this.#chance() < chance
  }
}

function way(from: NodeId, to: NodeId): string {
  return `${from}>${to}`
}
