/**
 * What lies between the machines: which links are cut, how long bytes travel, what is lost, doubled or overtaken. Connections come up by themselves where a link is open and both ends
 * live, and break some time after it was cut, as TCP does.
 */
import type { DurationMs, Millis, NodeId } from '../core/id.ts'
import type { Dice } from './dice.ts'
import type { Timeline } from './timeline.ts'
import { Ways } from './way.ts'

/** One-way delay between two machines far apart: p50 85 ms, p99 524 ms. */
const DELAY_MS_MEDIAN = 85
const DELAY_SIGMA = 0.782
const SLOW_MS_MAX = 5_000
/** A cut link is noticed after so long. */
const BREAK_MS = 10_000
const REVIEW_MS = 500

export interface Host {
  readonly node: NodeId
  /** Its process is gone. */
  readonly isOver: boolean
  lets(node: NodeId): boolean
  connected(node: NodeId): void
  disconnected(node: NodeId): void
}

interface Link {
  readonly a: Host
  readonly b: Host
  isUp: boolean
  /** When it was seen cut first, while it is up. */
  cutAt: Millis | undefined
}

export class Network {
  lossRate = 0
  duplicationRate = 0
  slowRate = 0
  reorders = false
  /** Grows when anybody is connected or not any more. */
  version = 0
  readonly #timeline: Timeline
  readonly #dice: Dice
  readonly #hosts = new Map<NodeId, Host>()
  #links: Link[] = []
  readonly #linkOf = new Ways<Link>()
  readonly #cuts = new Ways<number>()
  /** Last arrival on each way, so that nothing is overtaken unless it is meant to be. */
  readonly #lastAt = new Ways<Millis>()

  constructor(timeline: Timeline, dice: Dice) {
    this.#timeline = timeline
    this.#dice = dice
    this.#review()
  }

  /** A process begins to listen. */
  add(host: Host): void {
    for (const other of this.#hosts.values()) {
      const link: Link = { a: other, b: host, isUp: false, cutAt: undefined }
      this.#links.push(link)
      this.#linkOf.set(other.node, host.node, link)
      this.#linkOf.set(host.node, other.node, link)
    }
    this.#hosts.set(host.node, host)
    this.version++
  }

  /** A process is gone: its machine says so to whoever can hear it; the others notice later. */
  remove(host: Host): void {
    this.version++
    if (this.#hosts.get(host.node) === host) this.#hosts.delete(host.node)
    for (const link of [...this.#links]) {
      if (link.a !== host && link.b !== host) continue
      const other = link.a === host ? link.b : link.a
      if (!link.isUp) this.#drop(link)
      else if (this.isOpen(host.node, other.node)) this.#break(link)
      else link.cutAt ??= this.#timeline.now
    }
  }

  /** Cuts ways, each from the first to the second. Returns the undo. */
  cut(ways: readonly (readonly [NodeId, NodeId])[]): () => void {
    for (const [from, to] of ways) this.#cuts.set(from, to, (this.#cuts.get(from, to) ?? 0) + 1)
    return () => {
      for (const [from, to] of ways) {
        const left = this.#cuts.get(from, to)! - 1
        if (left > 0) this.#cuts.set(from, to, left)
        else this.#cuts.delete(from, to)
      }
    }
  }

  isOpen(from: NodeId, to: NodeId): boolean {
    return this.#cuts.size === 0 || this.#cuts.get(from, to) === undefined
  }

  isConnected(a: NodeId, b: NodeId): boolean {
    return this.#linkOf.get(a, b)?.isUp ?? false
  }

  /** Breaks the connection of two hosts at once. */
  hangUp(a: NodeId, b: NodeId): void {
    const link = this.#linkOf.get(a, b)
    if (link?.isUp) this.#break(link)
  }

  /** A message that may be lost, doubled and overtaken. */
  toss(from: NodeId, to: NodeId, arrive: () => void, isQuiet: boolean): void {
    if (!this.isOpen(from, to) || (this.lossRate > 0 && this.#dice.chance(this.lossRate))) return
    this.#timeline.at(this.#arrival(from, to, this.reorders), arrive, isQuiet)
    if (this.duplicationRate > 0 && this.#dice.chance(this.duplicationRate))
      this.#timeline.at(this.#arrival(from, to, true), arrive, isQuiet)
  }

  /** Bytes of a connection: in order and whole, later where the network is bad, never over a cut link. */
  carry(from: NodeId, to: NodeId, after: Millis, arrive: () => void): Millis {
    let ms = this.delay()
    // Lost segments are sent again.
    while (this.lossRate > 0 && this.#dice.chance(this.lossRate)) ms += 200 + this.delay()
    const at = Math.max(after, this.#timeline.now + ms)
    const deliver = (): void => {
      if (this.isOpen(from, to)) arrive()
      // Sent again until the link is open, or its connection breaks.
      else if (this.isConnected(from, to)) this.#timeline.after(RESEND_MS, deliver)
    }
    this.#timeline.at(at, deliver)
    return at
  }

  delay(): DurationMs {
    const ms = this.#dice.lognormal(DELAY_MS_MEDIAN, DELAY_SIGMA)
    const slow = this.slowRate > 0 && this.#dice.chance(this.slowRate)
    return slow ? ms + this.#dice.between(0, SLOW_MS_MAX) : ms
  }

  #arrival(from: NodeId, to: NodeId, mayOvertake: boolean): Millis {
    const at = this.#timeline.now + this.delay()
    if (mayOvertake) return at
    const last = Math.max(at, this.#lastAt.get(from, to) ?? 0)
    this.#lastAt.set(from, to, last)
    return last
  }

  #review(): void {
    const { now } = this.#timeline
    for (const link of [...this.#links]) {
      const { a, b } = link
      const isWhole = this.isOpen(a.node, b.node) && this.isOpen(b.node, a.node) && !a.isOver && !b.isOver
      if (link.isUp) {
        if (isWhole) link.cutAt = undefined
        else if (link.cutAt === undefined) link.cutAt = now
        else if (now - link.cutAt > BREAK_MS) this.#break(link)
      } else if (isWhole && a.lets(b.node) && b.lets(a.node)) {
        // What was left of an earlier life's connection ends with the new one.
        for (const old of [...this.#links]) if (old.isUp && isSamePair(old, link)) this.#break(old)
        link.isUp = true
        link.cutAt = undefined
        this.version++
        a.connected(b.node)
        b.connected(a.node)
      }
    }
    this.#timeline.after(REVIEW_MS, () => this.#review())
  }

  #break(link: Link): void {
    this.version++
    link.isUp = false
    link.cutAt = undefined
    if (link.a.isOver || link.b.isOver) this.#drop(link)
    link.a.disconnected(link.b.node)
    link.b.disconnected(link.a.node)
  }

  #drop(link: Link): void {
    this.#links = this.#links.filter((other) => other !== link)
    const [a, b] = [link.a.node, link.b.node]
    if (this.#linkOf.get(a, b) !== link) return
    this.#linkOf.delete(a, b)
    this.#linkOf.delete(b, a)
  }
}

const RESEND_MS = 500

function isSamePair(one: Link, two: Link): boolean {
  const [a, b, c, d] = [one.a.node, one.b.node, two.a.node, two.b.node]
  return (a === c && b === d) || (a === d && b === c)
}
