/**
 * Anti-entropy: what guarantees that every member gets every frame. Each side pulls for itself: when a member connects, every few seconds from one at random, and at once where
 * gossip left a gap. Gossip may be lost altogether and all still converges.
 */
import { OrchError } from '../core/error.ts'
import type { DurationMs, Millis, NodeId } from '../core/id.ts'
import {
  DIAL_MS_MAX,
  PULLS_MAX,
  SYNC_MS,
  SYNC_REFUSED_KEPT_MAX,
  SYNC_REFUSED_MS,
  SYNC_WANTS_MAX,
} from '../core/limit.ts'
import type { Conduct } from './conduct.ts'
import { type Messages, messagesOver } from './message.ts'
import type { Channel, Net, ProtocolId } from './net.ts'
import type { ChainHead, ChainId, Replica } from './replica.ts'
import { chainKey, type Range } from './sync-message.ts'
import { Pull, type PullBoard, type Pulled } from './sync-pull.ts'
import { serveSync } from './sync-serve.ts'
import { jittered, SYSTEM_TIMING, type Timing } from './timing.ts'

export const SYNC_PROTOCOL: ProtocolId = '/orch/sync/1'

export interface SyncOptions {
  readonly net: Net
  readonly replica: Replica
  readonly conduct: Conduct
  readonly timing?: Timing
  /** Between two rounds with a random member; default SYNC_MS. */
  readonly intervalMs?: DurationMs
  /** A session failed; for the log. The next one is on its way. */
  readonly onFault?: (node: NodeId, error: unknown) => void
}

/** `alone`: no member is connected; `behind`: one is, but it did not get through in time. */
export type FirstSync =
  | { readonly type: 'synced'; readonly with: NodeId }
  | { readonly type: 'alone' | 'behind' }

export interface Sync {
  /** Pulls everything from a member soon. Many calls make one session. */
  pull(node: NodeId): void
  /** Pulls one range soon, from `node` if it has it, else from its author or another member. */
  pullRange(range: Range, node: NodeId): void
  /** Resolves when one member was pulled from completely, or the span is over. Ask before the first write after a start. */
  firstSync(timeoutMs: DurationMs): Promise<FirstSync>
  /** What a member said of all it knows, which spares asking it: `Replica.digest`. */
  heard(node: NodeId, digest: string): void
  /** When all that a member had was last taken, or it said that it has the same, by `Timing.now`; `undefined` when not since it connected. */
  syncedWith(node: NodeId): Millis | undefined
  close(): Promise<void>
}

/** Starts at once. */
export function createSync(options: SyncOptions): Sync {
  return new AntiEntropy(options)
}

const AGAIN_MS = 500

interface Wanted {
  full: boolean
  readonly ranges: Map<string, Range>
}

class AntiEntropy implements Sync, PullBoard {
  readonly replica: Replica
  readonly #options: SyncOptions
  readonly #net: Net
  readonly #timing: Timing
  /** In the order of the wishes. */
  readonly #wanted = new Map<NodeId, Wanted>()
  readonly #pulling = new Map<NodeId, Promise<void>>()
  readonly #serving = new Map<NodeId, Messages>()
  readonly #claims = new Set<string>()
  readonly #refused = new Map<string, { n: number; head: string; at: Millis }>()
  readonly #proofs = new Set<string>()
  readonly #synced = new Map<NodeId, Millis>()
  readonly #heard = new Map<NodeId, { readonly digest: string; readonly at: Millis }>()
  readonly #waiting = new Set<(node: NodeId) => void>()
  readonly #undo: (() => void)[]
  #stopRound: () => void = () => undefined
  #isClosed = false

  constructor(options: SyncOptions) {
    this.#options = options
    this.replica = options.replica
    this.#net = options.net
    this.#timing = options.timing ?? SYSTEM_TIMING
    this.#undo = [
      this.#net.handle(SYNC_PROTOCOL, (channel) => this.#serve(channel)),
      this.#net.onPeer((node, state) => {
        if (state === 'up') this.pull(node)
        else this.#forget(node)
      }),
    ]
    for (const node of this.#net.members()) this.pull(node)
    this.#nextRound()
  }

  pull(node: NodeId): void {
    this.#want(node, true)
  }

  pullRange(range: Range, node: NodeId): void {
    this.#want(node, false, range)
  }

  firstSync(timeoutMs: DurationMs): Promise<FirstSync> {
    const done = [...this.#synced.keys()][0]
    if (done !== undefined) return Promise.resolve({ type: 'synced', with: done })
    return new Promise((resolve) => {
      const finish = (result: FirstSync): void => {
        this.#waiting.delete(onSynced)
        undo()
        resolve(result)
      }
      const onSynced = (node: NodeId): void => finish({ type: 'synced', with: node })
      const undo = this.#timing.after(timeoutMs, () =>
        finish({ type: this.#net.members().length === 0 ? 'alone' : 'behind' }),
      )
      this.#waiting.add(onSynced)
    })
  }

  heard(node: NodeId, digest: string): void {
    if (this.#net.members().includes(node)) this.#heard.set(node, { digest, at: this.#timing.now() })
  }

  syncedWith(node: NodeId): Millis | undefined {
    return this.#synced.get(node)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#stopRound()
    for (const undo of this.#undo) undo()
    for (const messages of this.#serving.values()) messages.abort('the node stops')
    this.#wanted.clear()
    await Promise.all(this.#pulling.values())
  }

  claim(chain: ChainId): (() => void) | undefined {
    const key = chainKey(chain)
    if (this.#claims.has(key)) return undefined
    this.#claims.add(key)
    return () => this.#claims.delete(key)
  }

  isRefused(head: ChainHead): boolean {
    const refused = this.#refused.get(chainKey(head))
    if (!refused || refused.n !== head.n || refused.head !== head.head) return false
    return this.#timing.now() - refused.at < SYNC_REFUSED_MS
  }

  refuse(head: ChainHead): void {
    const key = chainKey(head)
    this.#refused.delete(key)
    this.#refused.set(key, { n: head.n, head: head.head, at: this.#timing.now() })
    if (this.#refused.size > SYNC_REFUSED_KEPT_MAX) this.#refused.delete(this.#refused.keys().next().value!)
  }

  knowsProof(id: string): boolean {
    return this.#proofs.has(id)
  }

  learnProof(id: string): void {
    this.#proofs.add(id)
    if (this.#proofs.size > SYNC_REFUSED_KEPT_MAX) this.#proofs.delete(this.#proofs.values().next().value!)
  }

  #nextRound(): void {
    this.#stopRound = this.#timing.after(jittered(this.#options.intervalMs ?? SYNC_MS, this.#timing), () => {
      const others = this.#net.members().filter((node) => !this.#isSame(node))
      const node = others[Math.floor(this.#timing.random() * others.length)]
      if (node !== undefined) this.pull(node)
      this.#nextRound()
    })
  }

  /** It was pulled from before, and has said a moment ago that it has what is here. */
  #isSame(node: NodeId): boolean {
    const heard = this.#heard.get(node)
    if (!heard || !this.#synced.has(node)) return false
    if (this.#timing.now() - heard.at > SYNC_MS || heard.digest !== this.replica.digest()) return false
    this.#synced.set(node, this.#timing.now())
    return true
  }

  #want(node: NodeId, full: boolean, range?: Range): void {
    if (this.#isClosed) return
    const wanted = this.#wanted.get(node) ?? { full: false, ranges: new Map<string, Range>() }
    this.#wanted.set(node, wanted)
    wanted.full ||= full
    if (range) {
      const key = chainKey(range.chain)
      const known = wanted.ranges.get(key)
      const from = Math.min(range.from, known?.from ?? range.from)
      wanted.ranges.set(key, { chain: range.chain, from, to: Math.max(range.to, known?.to ?? 0) })
      if (wanted.ranges.size > SYNC_WANTS_MAX) {
        wanted.full = true
        wanted.ranges.clear()
      }
    }
    this.#pump()
  }

  #pump(): void {
    for (const [node, wanted] of this.#wanted) {
      if (this.#pulling.size >= PULLS_MAX) return
      if (this.#pulling.has(node)) continue
      this.#wanted.delete(node)
      if (!this.#net.members().includes(node)) continue
      const session = this.#pullFrom(node, wanted).finally(() => {
        this.#pulling.delete(node)
        this.#pump()
      })
      this.#pulling.set(node, session)
    }
  }

  async #pullFrom(node: NodeId, { full, ranges }: Wanted): Promise<void> {
    let messages: Messages | undefined
    try {
      const channel = await this.#net.open(node, SYNC_PROTOCOL, { timeoutMs: DIAL_MS_MAX })
      messages = messagesOver(channel, { timing: this.#timing })
      this.#settle(node, full, await new Pull(messages, this).run([...ranges.values()], full))
    } catch (error) {
      messages?.abort('the sync failed')
      if (!this.#isClosed) this.#options.onFault?.(node, error)
    }
  }

  #settle(node: NodeId, full: boolean, { isComplete, short, fault }: Pulled): void {
    if (fault !== undefined) {
      this.#options.conduct.blame(node, fault)
      this.#options.onFault?.(
        node,
        new OrchError('ORCH_PROTOCOL', `${node}: ${fault}`, { context: { node } }),
      )
      return
    }
    const members = this.#net.members()
    for (const range of short) {
      // Its author has it for sure; else somebody else may. Once: the rounds find the rest.
      const { node: author } = range.chain
      if (author !== node && members.includes(author)) this.pullRange(range, author)
    }
    if (!full) return
    if (!isComplete) {
      // Another session is at a part of it: look again when it has got on.
      this.#timing.after(jittered(AGAIN_MS, this.#timing), () => this.pull(node))
      return
    }
    if (!members.includes(node)) return
    this.#synced.set(node, this.#timing.now())
    for (const tell of [...this.#waiting]) tell(node)
  }

  async #serve(channel: Channel): Promise<void> {
    const messages = messagesOver(channel, { timing: this.#timing })
    // One session at a time: a peer that opens a second one has lost the first.
    this.#serving.get(channel.peer)?.abort('another session began')
    this.#serving.set(channel.peer, messages)
    try {
      await serveSync(messages, this.replica)
    } finally {
      if (this.#serving.get(channel.peer) === messages) this.#serving.delete(channel.peer)
    }
  }

  #forget(node: NodeId): void {
    this.#wanted.delete(node)
    this.#synced.delete(node)
    this.#heard.delete(node)
  }
}
