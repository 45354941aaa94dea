/** What the log says of connections. Those that come and go within a moment, as they do while a node joins or two dial each other, are not worth a line. */
import { isOrchError } from '../core/error.ts'
import type { Millis, NodeId } from '../core/id.ts'
import type { Net } from '../net/net.ts'

export interface PeerNewsOptions {
  readonly net: Net
  readonly nameOf: (node: NodeId) => string
  readonly say: (level: 'info' | 'warn', message: string) => void
}

/** A change that is over sooner is not told. */
const SETTLE_MS = 1_000

export class PeerNews {
  readonly #options: PeerNewsOptions
  readonly #told = new Set<NodeId>()
  /** The last failed sync with a node, until one succeeds. */
  readonly #failed = new Map<NodeId, Millis>()
  readonly #denials = new Map<NodeId, string>()
  readonly #unlisten: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(options: PeerNewsOptions) {
    this.#options = options
    this.#unlisten = options.net.onPeer(() => {
      this.#timer ??= setTimeout(() => this.#look(), SETTLE_MS).unref()
    })
  }

  /** A session that broke off is made again by itself: told when the next one fails too. `syncedAt`: when the last one succeeded, by the same clock. */
  syncFailed(node: NodeId, error: unknown, syncedAt: Millis | undefined): void {
    const before = this.#failed.get(node)
    this.#failed.set(node, performance.now())
    const isFirst = before === undefined || (syncedAt !== undefined && syncedAt > before)
    if (isFirst || !this.#options.net.members().includes(node)) return
    const words = isOrchError(error) ? error.message : String(error)
    this.#options.say('info', `sync with ${this.#options.nameOf(node)}: ${words}`)
  }

  /** A dial of a member failed. One that is not let in was removed, and may never have heard of it. */
  dialFailed(node: NodeId, error: unknown): void {
    if (!isOrchError(error) || error.code !== 'ORCH_PEER_DENIED' || this.#denials.has(node)) return
    const words = `${this.#options.nameOf(node)} does not let this node in: it looks as if this node was removed from the cluster`
    this.#denials.set(node, words)
    this.#options.say('warn', words)
  }

  /** Members that do not let this node in, in words. */
  denials(): readonly string[] {
    return [...this.#denials.values()]
  }

  close(): void {
    this.#unlisten()
    clearTimeout(this.#timer)
  }

  #look(): void {
    this.#timer = undefined
    const { net, nameOf, say } = this.#options
    const members = net.members()
    for (const node of this.#told) {
      if (members.includes(node)) continue
      this.#told.delete(node)
      this.#failed.delete(node)
      say('info', `connection to ${nameOf(node)} closed`)
    }
    for (const node of members) {
      if (this.#told.has(node)) continue
      this.#told.add(node)
      this.#denials.delete(node)
      say('info', `connected to ${nameOf(node)}`)
    }
  }
}
