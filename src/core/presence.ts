/**
 * Who is there (DESIGN 4): a detector over signed beats and frames, by this node's own suspend-aware clock alone. Pure: the node feeds what it heard and calls `tick` when
 * `wakeAt` says so, and after each input.
 *
 * Silence alone is a suspicion. It becomes a death when a second live member shares it, or after three times the span. A node that itself was stalled, or hears too few of
 * the others, doubts itself first.
 */
import type { DurationMs, Incarnation, Millis, NodeId } from './id.ts'
import { ADOPT_GRACE_MS, BEAT_MS, SUSPECT_ALONE_MS, SUSPECT_MS } from './limit.ts'

/** What a node says of itself each period; signed and gossiped, never stored. */
export interface Beat {
  readonly node: NodeId
  readonly incarnation: Incarnation
  /** Grows with each beat of this life: an old one says nothing. */
  readonly counter: number
  /** Members that it has not heard for too long. */
  readonly suspects: readonly NodeId[]
  /** Members whose connection closed and whose address refuses: their process is gone, as far as this node can see. */
  readonly refused?: readonly NodeId[]
  readonly slots: number
  readonly free: number
  /** It takes nothing new. */
  readonly draining?: true
  /** Its last beat: it stops, having given back what it held; or its next life takes over at once what runs in processes. */
  readonly leaving?: 'stop' | 'upgrade'
  /** Wire protocols that it understands, lowest and highest. */
  readonly protocol: readonly [number, number]
  /** Of all that it knows, to notice early that something is missing. */
  readonly digest?: string
}

export interface PresenceOptions {
  readonly me: NodeId
  readonly suspectMs?: DurationMs
  readonly aloneMs?: DurationMs
}

export interface Death {
  readonly node: NodeId
  /** The life that is over; absent when no beat of it was ever heard. */
  readonly incarnation?: Incarnation
  /** `in-process`: what runs in processes of its own may be adopted by the next life. */
  readonly what: 'all' | 'in-process'
}

export interface PresenceChange {
  /** Who is there after the deaths, this node included, sorted; absent when the same as before and nobody died. */
  readonly live?: readonly NodeId[]
  readonly deaths: readonly Death[]
}

interface Peer {
  readonly node: NodeId
  incarnation: Incarnation | undefined
  counter: number
  /** When something of it was heard last, or when it began to be watched. */
  heardAt: Millis
  /** A beat of it was heard: only then it counts as live. */
  isHeard: boolean
  isDead: boolean
  /** Its in-process work was told to be lost already. */
  isHalfDead: boolean
  suspects: ReadonlySet<NodeId>
  /** Those that it was refused by, as it says. */
  refusers: ReadonlySet<NodeId>
  refused: { readonly at: Millis; readonly counter: number } | undefined
  /** When the rest of it counts as lost. */
  graceEndsAt: Millis
}

/** Doubts about itself that a node can gather, and how fast one of them goes. */
const HEALTH_MAX = 8
const HEALTH_DECAY_MS = 10_000
/** A tick later than so many periods was a stall or a sleep. */
const LATE_PERIODS = 5
/** Whoever hears nothing of half of the others is cut off himself. */
const CUT_OFF_FACTOR = 5
/** Beats that may be missing before a refused connection is believed, where others could have heard it. */
const REFUSED_PERIODS = 2
const SUSPECTERS = 2
const NOBODY: ReadonlySet<NodeId> = new Set()

export class Presence {
  readonly #options: Required<PresenceOptions>
  readonly #peers = new Map<NodeId, Peer>()
  #deaths: Death[] = []
  #live: readonly NodeId[]
  #health = 0
  #healthAt: Millis = 0
  #suspects: readonly NodeId[] = []
  #wakeAt: Millis = 0

  constructor(options: PresenceOptions) {
    this.#options = { suspectMs: SUSPECT_MS, aloneMs: SUSPECT_ALONE_MS, ...options }
    this.#live = [options.me]
  }

  /** Who is to be watched: the members. A new one has a full span to be heard. */
  watch(nodes: readonly NodeId[], now: Millis): void {
    const wanted = new Set(nodes)
    for (const node of this.#peers.keys()) if (!wanted.has(node)) this.#peers.delete(node)
    for (const node of wanted) {
      if (node === this.#options.me || this.#peers.has(node)) continue
      this.#peers.set(node, {
        node,
        incarnation: undefined,
        counter: -1,
        heardAt: now,
        isHeard: false,
        isDead: false,
        isHalfDead: false,
        suspects: NOBODY,
        refusers: NOBODY,
        refused: undefined,
        graceEndsAt: Number.POSITIVE_INFINITY,
      })
    }
    this.#wakeAt = now
  }

  /** False when it is void: of no member, of an earlier life, or not newer than one heard before. */
  beat(beat: Beat, now: Millis): boolean {
    const peer = this.#peers.get(beat.node)
    if (!peer) return false
    const { incarnation } = peer
    if (incarnation !== undefined && beat.incarnation < incarnation) return false
    if (beat.incarnation === incarnation) {
      if (beat.counter <= peer.counter) return false
    } else {
      // The life before it is over. What ran in processes of their own it adopts, or gives up itself.
      if (incarnation !== undefined && !peer.isDead && !peer.isHalfDead)
        this.#deaths.push({ node: beat.node, incarnation, what: 'in-process' })
      peer.incarnation = beat.incarnation
      revive(peer)
    }
    peer.counter = beat.counter
    peer.heardAt = now
    peer.isHeard = true
    peer.suspects = beat.suspects.length === 0 ? NOBODY : new Set(beat.suspects)
    peer.refusers = beat.refused ? new Set(beat.refused) : NOBODY
    if (beat.leaving) this.#leave(peer, beat.leaving, now)
    else if (this.#isBack(peer)) revive(peer)
    if (
      isLive(peer) !== this.#live.includes(beat.node) ||
      this.#deaths.length > 0 ||
      beat.refused?.some((node) => this.#peers.get(node)?.refused)
    )
      this.#wakeAt = now
    return true
  }

  /**
   * A valid frame of it came, new to the store. Says no more than that this life was there: frames travel through others and may be old, so they neither begin a life
   * nor bring one back.
   */
  frame(node: NodeId, incarnation: Incarnation, now: Millis): void {
    const peer = this.#peers.get(node)
    if (!peer || peer.incarnation !== incarnation || peer.isDead || peer.isHalfDead || peer.refused) return
    peer.heardAt = now
  }

  /**
   * Its connection closed, and an address where this node reached that life before refuses: the process is gone, unless its beats still come by way of others. True when that is
   * new: the others are to hear it at once.
   */
  refused(node: NodeId, incarnation: Incarnation, now: Millis): boolean {
    const peer = this.#peers.get(node)
    if (!peer || peer.isDead || peer.incarnation !== incarnation || peer.refused) return false
    peer.refused = { at: now, counter: peer.counter }
    this.#wakeAt = now
    return true
  }

  /** This node stood still for so long, or slept: what it did not hear meanwhile says nothing about others. */
  tickLate(lateMs: DurationMs, now: Millis): void {
    if (lateMs <= LATE_PERIODS * this.periodMs) return
    for (const peer of this.#peers.values()) {
      if (peer.isDead) continue
      peer.heardAt = now
      peer.refused = undefined
      // Its next life may have spoken meanwhile.
      if (peer.isHalfDead) peer.graceEndsAt = now + ADOPT_GRACE_MS
    }
    this.#decay(now)
    this.#health = Math.min(this.#health + 1, HEALTH_MAX)
    this.#healthAt = now
    this.#wakeAt = now
  }

  /** What follows from all that was heard until now. */
  tick(now: Millis): PresenceChange {
    this.#decay(now)
    const suspectMs = this.#spanOf(this.#options.suspectMs, now)
    const aloneMs = this.#spanOf(this.#options.aloneMs, now)
    // The dead too, until all others must have noticed by themselves: they need a second who suspects.
    this.#suspects = [...this.#peers.values()]
      .filter((p) =>
        p.isDead ? now - p.heardAt < 2 * aloneMs : !p.isHalfDead && now - p.heardAt >= suspectMs,
      )
      .map((p) => p.node)
    const mine = new Set(this.#suspects)
    for (const peer of this.#peers.values()) {
      if (peer.isDead) continue
      const silent = now - peer.heardAt
      if (peer.isHalfDead) {
        if (now >= peer.graceEndsAt) this.#die(peer, 'all')
      } else if (silent >= aloneMs || (mine.has(peer.node) && this.#isShared(peer, mine)))
        this.#die(peer, 'all')
      else if (peer.refused && now >= this.#refusedAt(peer)) this.#loseProcess(peer, peer.refused.at)
    }
    const deaths = this.#deaths
    this.#deaths = []
    this.#wakeAt = this.#nextLook(now, suspectMs, aloneMs)
    const live = [this.#options.me, ...[...this.#peers.values()].filter(isLive).map((p) => p.node)].sort()
    const isSame = live.length === this.#live.length && live.every((node, i) => node === this.#live[i])
    // Who died may live again by now, in its next life: whoever hears of a death hears who is there, too.
    if (isSame && deaths.length === 0) return { deaths }
    this.#live = live
    return { live, deaths }
  }

  /** When `tick` is to be called, if nothing is heard before. */
  get wakeAt(): Millis {
    return this.#wakeAt
  }

  /** Into the own beat. */
  get suspects(): readonly NodeId[] {
    return this.#suspects
  }

  /** Into the own beat: by whom this node was refused, until their next life speaks. */
  get refusers(): readonly NodeId[] {
    return [...this.#peers.values()].filter((p) => p.refused && !p.isDead).map((p) => p.node)
  }

  get live(): readonly NodeId[] {
    return this.#live
  }

  /** Between two beats: longer where many send them. */
  get periodMs(): DurationMs {
    return Math.max(BEAT_MS, (this.#peers.size + 1) * (BEAT_MS / 100))
  }

  /** A beat of the same life after it was given up. One may have been on its way when the connection was refused. */
  #isBack(peer: Peer): boolean {
    if (peer.refused && !peer.isDead) return peer.counter > peer.refused.counter + 1
    return peer.isDead || peer.isHalfDead
  }

  /** Said more than once, as a message may be lost. */
  #leave(peer: Peer, how: 'stop' | 'upgrade', now: Millis): void {
    if (peer.isDead) return
    if (how === 'stop') this.#die(peer, 'all')
    else if (!peer.isHalfDead) this.#loseProcess(peer, now)
  }

  #die(peer: Peer, what: Death['what']): void {
    peer.isDead = true
    this.#deaths.push(deathOf(peer, what))
  }

  /** The process is gone; what it left running has some time to be adopted. */
  #loseProcess(peer: Peer, at: Millis): void {
    peer.isHalfDead = true
    peer.graceEndsAt = at + ADOPT_GRACE_MS
    this.#deaths.push(deathOf(peer, 'in-process'))
  }

  /** Some live member suspects it as well. Of two nodes there is none. */
  #isShared(peer: Peer, mine: ReadonlySet<NodeId>): boolean {
    let suspecters = 1
    for (const other of this.#peers.values()) {
      if (other !== peer && isLive(other) && !mine.has(other.node) && other.suspects.has(peer.node))
        suspecters++
      if (suspecters >= SUSPECTERS) return true
    }
    return false
  }

  /** When a refused connection is believed: at once where nobody else is there, or another one was refused too; else when others would have passed on a beat of it. */
  #refusedAt(peer: Peer): Millis {
    const others = [...this.#peers.values()].filter((other) => other !== peer && isLive(other))
    const isBelieved = others.length === 0 || others.some((other) => other.refusers.has(peer.node))
    return isBelieved ? peer.refused!.at : peer.heardAt + REFUSED_PERIODS * this.periodMs
  }

  #decay(now: Millis): void {
    while (this.#health > 0 && now - this.#healthAt >= HEALTH_DECAY_MS) {
      this.#health--
      this.#healthAt += HEALTH_DECAY_MS
    }
  }

  #spanOf(baseMs: DurationMs, now: Millis): DurationMs {
    const span = baseMs * (this.periodMs / BEAT_MS) * (1 + this.#health)
    let silent = 0
    let watched = 0
    for (const peer of this.#peers.values()) {
      if (peer.isDead || peer.isHalfDead) continue
      watched++
      if (now - peer.heardAt >= this.#options.suspectMs * (this.periodMs / BEAT_MS)) silent++
    }
    // One silent of two says nothing about oneself.
    return silent >= 2 && silent * 2 >= watched ? span * CUT_OFF_FACTOR : span
  }

  #nextLook(now: Millis, suspectMs: DurationMs, aloneMs: DurationMs): Millis {
    let next = Number.POSITIVE_INFINITY
    const look = (at: Millis): void => {
      if (at > now) next = Math.min(next, at)
    }
    for (const peer of this.#peers.values()) {
      if (peer.isDead) continue
      if (peer.isHalfDead) {
        look(peer.graceEndsAt)
        continue
      }
      look(peer.heardAt + suspectMs)
      look(peer.heardAt + aloneMs)
      if (peer.refused) look(this.#refusedAt(peer))
    }
    // Suspicions of others come with their beats; doubts about oneself go with time.
    if (this.#suspects.length > 0 || this.#health > 0) look(now + this.periodMs)
    return next
  }
}

function revive(peer: Peer): void {
  peer.isDead = false
  peer.isHalfDead = false
  peer.refused = undefined
  peer.graceEndsAt = Number.POSITIVE_INFINITY
}

function isLive(peer: Peer): boolean {
  return peer.isHeard && !peer.isDead && !peer.isHalfDead
}

function deathOf({ node, incarnation }: Peer, what: Death['what']): Death {
  return incarnation === undefined ? { node, what } : { node, what, incarnation }
}
