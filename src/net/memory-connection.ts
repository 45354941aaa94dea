/** A connection between two nodes of a memory network: carries streams in order, stands still while a link is cut, and ends when that takes too long. */
import type { DurationMs, Millis, NodeId } from '../core/id.ts'
import { MemoryChannel } from './memory-channel.ts'
import type { Links } from './memory-link.ts'
import type { Timing } from './timing.ts'

export class MemoryConnection {
  readonly dialler: NodeId
  readonly listener: NodeId
  readonly #links: Links
  readonly #timing: Pick<Timing, 'now' | 'after'>
  readonly #channels = new Set<MemoryChannel>()
  /** What waits for a link, per direction, and when the last piece arrives. */
  readonly #held = new Map<NodeId, (() => void)[]>()
  readonly #arrives = new Map<NodeId, Millis>()
  isOpen = true

  constructor(dialler: NodeId, listener: NodeId, links: Links, timing: Pick<Timing, 'now' | 'after'>) {
    this.dialler = dialler
    this.listener = listener
    this.#links = links
    this.#timing = timing
  }

  /** The end for `from` and the end for the other side. */
  openChannel(from: NodeId): [MemoryChannel, MemoryChannel] {
    for (const channel of this.#channels) if (channel.isFinished) this.#channels.delete(channel)
    const to = from === this.dialler ? this.listener : this.dialler
    const pair = MemoryChannel.pair(from, to, (a, b, deliver) => this.carry(a, b, deliver))
    for (const channel of pair) this.#channels.add(channel)
    return pair
  }

  /** Streams of one peer that are not over. */
  openChannels(node: NodeId): number {
    return [...this.#channels].filter((channel) => channel.peer === node && !channel.isFinished).length
  }

  carry(from: NodeId, to: NodeId, deliver: () => void): void {
    if (!this.isOpen) return
    const held = this.#held.get(from)
    if (held && held.length > 0) held.push(deliver)
    else if (this.#links.isOpen(from, to)) this.#schedule(from, to, deliver)
    else this.#held.set(from, [deliver])
  }

  /** The links may have changed. */
  flow(): void {
    for (const [from, to] of [
      [this.dialler, this.listener],
      [this.listener, this.dialler],
    ] as const) {
      if (!this.#links.isOpen(from, to)) continue
      for (const deliver of this.#held.get(from)?.splice(0) ?? []) this.#schedule(from, to, deliver)
    }
  }

  isCut(): boolean {
    return (
      !this.#links.isOpen(this.dialler, this.listener) || !this.#links.isOpen(this.listener, this.dialler)
    )
  }

  close(reason: string): void {
    this.isOpen = false
    for (const channel of this.#channels) channel.break(reason)
    this.#channels.clear()
    this.#held.clear()
  }

  roundTripMs(): DurationMs {
    return this.#links.delay(this.dialler, this.listener) + this.#links.delay(this.listener, this.dialler)
  }

  #schedule(from: NodeId, to: NodeId, deliver: () => void): void {
    const now = this.#timing.now()
    const at = Math.max(this.#arrives.get(from) ?? 0, now + this.#links.delay(from, to))
    this.#arrives.set(from, at)
    this.#timing.after(at - now, () => {
      if (this.isOpen) deliver()
    })
  }
}
