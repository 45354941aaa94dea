/**
 * Keeps the connections of a cluster: to every member while there are few, else to some at random and to those that are needed. Never gives up. What libp2p has for this ends for
 * good after half a minute.
 */
import { isOrchError } from '../core/error.ts'
import type { DurationMs, Millis, NodeId } from '../core/id.ts'
import {
  ADDRESSES_MAX,
  CONNECT_ALL_MAX,
  CONNECT_SOME,
  DIALS_MAX,
  PROVE_MS,
  REDIAL_MS_MAX,
  REDIAL_MS_MIN,
} from '../core/limit.ts'
import type { Address, Net } from './net.ts'
import { jittered, SYSTEM_TIMING, type Timing } from './timing.ts'

export interface RedialOptions {
  readonly net: Net
  /** Everybody who belongs to the cluster; this node may be among them. */
  readonly members: () => readonly NodeId[]
  readonly timing?: Timing
  /** The machine answers, and nobody listens where this node was reached before in this life: its process is gone. */
  readonly onRefused?: (node: NodeId) => void
  /** A dial failed; for `status` and the log. */
  readonly onFault?: (node: NodeId, error: unknown) => void
}

export interface Redial {
  /** Addresses of a member, from the board; best first. They replace those learnt before. */
  learn(node: NodeId, addresses: readonly Address[]): void
  /** The member list has changed. */
  review(): void
  /** The network changed, or the machine woke up: everything is tried again at once. */
  wake(): void
  /** This member is to be connected until the undo, however many there are. */
  need(node: NodeId): () => void
  close(): void
}

interface Member {
  addresses: readonly Address[]
  /** Where it answered in this life of ours, the last one first. */
  answered: readonly Address[]
  failures: number
  /** No dial before this. */
  at: Millis
  isDialling: boolean
  /** It came in by itself; whether it answers at its own addresses is being found out. */
  isProving: boolean
  needs: number
}

/** Starts at once. */
export function createRedial(options: RedialOptions): Redial {
  return new Loop(options)
}

class Loop implements Redial {
  readonly #options: RedialOptions
  readonly #net: Net
  readonly #timing: Timing
  readonly #known = new Map<NodeId, Member>()
  readonly #unlisten: () => void
  readonly #proofs = new Set<() => void>()
  #dials = 0
  #stopTimer: () => void = () => undefined
  #isClosed = false

  constructor(options: RedialOptions) {
    this.#options = options
    this.#net = options.net
    this.#timing = options.timing ?? SYSTEM_TIMING
    this.#unlisten = this.#net.onPeer((node, state) => {
      const member = this.#member(node)
      member.failures = 0
      // At once: a process that died is refused now, which tells others quickly.
      if (state === 'down') member.at = this.#timing.now()
      else this.#proveSoon(node, member)
      this.#look()
    })
    this.#look()
  }

  learn(node: NodeId, addresses: readonly Address[]): void {
    const member = this.#member(node)
    const kept = addresses.slice(0, ADDRESSES_MAX)
    if (kept.length === member.addresses.length && kept.every((each, i) => each === member.addresses[i]))
      return
    member.addresses = kept
    member.failures = 0
    member.at = this.#timing.now()
    this.#net.learn(node, kept)
    this.#proveSoon(node, member)
    this.#look()
  }

  review(): void {
    const members = new Set(this.#options.members())
    for (const [node, member] of this.#known)
      if (!members.has(node) && member.needs === 0 && !member.isDialling) this.#known.delete(node)
    this.#look()
  }

  wake(): void {
    for (const member of this.#known.values()) {
      member.failures = 0
      member.at = this.#timing.now()
    }
    this.#look()
  }

  need(node: NodeId): () => void {
    const member = this.#member(node)
    member.needs++
    this.#look()
    return () => {
      member.needs = Math.max(0, member.needs - 1)
    }
  }

  close(): void {
    this.#isClosed = true
    this.#stopTimer()
    for (const undo of this.#proofs) undo()
    this.#unlisten()
  }

  /** Dials who is due, and sets the timer to when the next one is. */
  #look(): void {
    if (this.#isClosed) return
    this.#stopTimer()
    const now = this.#timing.now()
    let next = Number.POSITIVE_INFINITY
    for (const node of this.#wanted()) {
      const member = this.#member(node)
      if (member.isDialling || this.#routes(member).length === 0) continue
      if (member.at > now) next = Math.min(next, member.at)
      else if (this.#dials < DIALS_MAX) void this.#dial(node, member)
    }
    if (next < Number.POSITIVE_INFINITY) this.#stopTimer = this.#timing.after(next - now, () => this.#look())
  }

  /** Members to connect to that are not connected. */
  #wanted(): NodeId[] {
    const connected = new Set(this.#net.peers())
    const others = this.#options.members().filter((node) => node !== this.#net.node)
    const away = others.filter((node) => !connected.has(node))
    if (others.length <= CONNECT_ALL_MAX) return away
    const needed = away.filter((node) => (this.#known.get(node)?.needs ?? 0) > 0)
    const missing = CONNECT_SOME - (others.length - away.length)
    if (missing <= 0) return needed
    // Those under way and those that rest stay chosen, so that this is not a draw at every look.
    const rest = away.filter((node) => !needed.includes(node) && this.#routes(this.#member(node)).length > 0)
    const busy = rest.filter((node) => this.#member(node).isDialling)
    const free = rest.filter((node) => !busy.includes(node) && this.#member(node).at <= this.#timing.now())
    const drawn: NodeId[] = []
    while (busy.length + drawn.length < missing && free.length > 0)
      drawn.push(...free.splice(Math.floor(this.#timing.random() * free.length), 1))
    const resting = drawn.length + busy.length < missing ? rest.filter((node) => !drawn.includes(node)) : []
    return [...new Set([...needed, ...busy, ...drawn, ...resting])]
  }

  async #dial(node: NodeId, member: Member): Promise<void> {
    member.isDialling = true
    this.#dials++
    try {
      await this.#tryAll(node, member)
    } finally {
      this.#dials--
      member.isDialling = false
    }
    this.#look()
  }

  async #tryAll(node: NodeId, member: Member): Promise<void> {
    let fault: unknown
    let wasRefused = false
    for (const address of this.#routes(member)) {
      try {
        await this.#net.dial(address, { expected: node })
        member.answered = [address, ...member.answered.filter((each) => each !== address)].slice(
          0,
          ADDRESSES_MAX,
        )
        member.failures = 0
        return
      } catch (error) {
        fault = error
        if (isRefused(error) && member.answered.includes(address)) wasRefused = true
      }
      if (this.#isClosed || this.#net.peers().includes(node)) return
    }
    member.at = this.#timing.now() + this.#rest(member.failures, fault)
    member.failures++
    if (wasRefused) this.#options.onRefused?.(node)
    this.#options.onFault?.(node, fault)
  }

  /** A refusal says something only of an address that answered before: who was never dialled is dialled once beside its own connection. */
  #proveSoon(node: NodeId, member: Member): void {
    if (this.#isClosed || !this.#options.onRefused || member.isProving || member.answered.length > 0) return
    if (member.addresses.length === 0 || !this.#net.peers().includes(node)) return
    member.isProving = true
    const undo = this.#timing.after(jittered(PROVE_MS, this.#timing), () => {
      this.#proofs.delete(undo)
      void this.#prove(node, member)
    })
    this.#proofs.add(undo)
  }

  async #prove(node: NodeId, member: Member): Promise<void> {
    for (const address of member.addresses) {
      if (this.#isClosed || member.answered.length > 0 || !this.#net.peers().includes(node)) break
      try {
        await this.#net.dial(address, { expected: node, anew: true })
        member.answered = [address]
      } catch {
        // Not reachable from here, which is no fault: it is connected.
      }
    }
    member.isProving = false
  }

  /** Doubles from REDIAL_MS_MIN; who does not let this node in is not asked often. */
  #rest(failures: number, fault: unknown): DurationMs {
    const isUnreachable = isOrchError(fault) && fault.code === 'ORCH_PEER_UNREACHABLE'
    const span = isUnreachable ? REDIAL_MS_MIN * 2 ** Math.min(failures, 16) : REDIAL_MS_MAX
    return jittered(Math.min(span, REDIAL_MS_MAX), this.#timing)
  }

  #routes(member: Member): readonly Address[] {
    return [...new Set([...member.answered, ...member.addresses])]
  }

  #member(node: NodeId): Member {
    const known = this.#known.get(node)
    if (known) return known
    const fresh: Member = {
      addresses: [],
      answered: [],
      failures: 0,
      at: 0,
      isDialling: false,
      isProving: false,
      needs: 0,
    }
    this.#known.set(node, fresh)
    return fresh
  }
}

function isRefused(error: unknown): boolean {
  return isOrchError(error) && error.context.refused === true
}
