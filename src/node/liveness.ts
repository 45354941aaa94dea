/** Connects the detector of `core/presence.ts` with the beats of the network and with the core: who is there, who is gone. One for each life of the node. */
import type { Incarnation, NodeId } from '../core/id.ts'
import type { Input } from '../core/input.ts'
import { BEAT_MS, PROTOCOL_MAX, PROTOCOL_MIN } from '../core/limit.ts'
import type { NodeState } from '../core/node-state.ts'
import { type Beat, Presence } from '../core/presence.ts'
import { type Beats, startBeats } from '../net/beat.ts'
import type { Identity } from '../net/identity.ts'
import type { Net } from '../net/net.ts'
import type { Replica } from '../net/replica.ts'
import type { Sync } from '../net/sync.ts'
import type { Clock } from './clock.ts'

export interface LivenessOptions {
  readonly net: Net
  readonly identity: Identity
  readonly cluster: string
  readonly clock: Clock
  readonly state: NodeState
  /** Beats tell what is known here, and what others know. */
  readonly replica: Pick<Replica, 'digest'>
  readonly sync: Pick<Sync, 'heard'>
  readonly post: (input: Input) => void
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
}

export class Liveness {
  readonly #options: LivenessOptions
  readonly #presence: Presence
  readonly #beats: Beats
  readonly #lives = new Map<NodeId, Incarnation>()
  readonly #dead = new Set<NodeId>()
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #rosterVersion = -1
  #lookedAt: number
  #roundTripMs = 0
  #isOver = false

  constructor(options: LivenessOptions) {
    const { state, clock } = options
    this.#options = options
    this.#presence = new Presence({ me: state.me })
    this.#lookedAt = clock.now()
    this.#watch()
    this.#beats = startBeats({
      net: options.net,
      identity: options.identity,
      incarnation: state.options.author.incarnation,
      cluster: options.cluster,
      isMember: (node) => state.roster?.isMember(node) ?? false,
      members: () => state.roster?.members().length ?? 1,
      state: () => this.#said(),
      onBeat: (beat) => this.#heard(beat),
    })
    this.#turn()
  }

  stateOf(node: NodeId): 'live' | 'silent' | 'dead' | 'never' {
    if (this.#dead.has(node)) return 'dead'
    if (!this.#lives.has(node)) return 'never'
    return this.#presence.suspects.includes(node) || !this.#presence.live.includes(node) ? 'silent' : 'live'
  }

  isHeardByAll(node: NodeId): boolean {
    return this.#beats.isHeardByAll(node)
  }

  get live(): readonly NodeId[] {
    return this.#presence.live
  }

  /** A frame of it was new here. */
  frame(node: NodeId, incarnation: Incarnation): void {
    this.#presence.frame(node, incarnation, this.#options.clock.now())
  }

  /** It does not answer at an address where this node reached it before. */
  refused(node: NodeId): void {
    const incarnation = this.#lives.get(node)
    if (incarnation === undefined) return
    // Said at once: whom two were refused by is gone, and nobody waits for his beats any more.
    if (this.#presence.refused(node, incarnation, this.#options.clock.now())) void this.#beats.beat()
    this.#turn()
  }

  /** The members may be others. */
  reviewMembers(): void {
    if (this.#isOver || this.#options.state.roster?.version === this.#rosterVersion) return
    this.#watch()
    this.#turn()
  }

  /** Tells the others that this life ends, and how. */
  async leave(why: 'stop' | 'upgrade'): Promise<void> {
    await this.#beats.leave(why)
  }

  stop(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#beats.stop()
  }

  #watch(): void {
    const { roster } = this.#options.state
    this.#rosterVersion = roster?.version ?? -1
    const members = (roster?.members() ?? []).filter((m) => m.role !== 'none').map((m) => m.node)
    this.#presence.watch(members, this.#options.clock.now())
  }

  #said(): Omit<Beat, 'node' | 'incarnation' | 'counter' | 'leaving'> {
    const { state } = this.#options
    const { slots } = state.options
    const refused = this.#presence.refusers
    return {
      suspects: this.#presence.suspects,
      ...(refused.length > 0 ? { refused } : {}),
      slots,
      free: Math.max(0, slots - state.attempts.size),
      ...(state.draining ? { draining: true as const } : {}),
      protocol: [PROTOCOL_MIN, PROTOCOL_MAX],
      digest: this.#options.replica.digest(),
    }
  }

  #heard(beat: Beat): void {
    if (this.#isOver) return
    if (!this.#presence.beat(beat, this.#options.clock.now())) return
    this.#lives.set(beat.node, beat.incarnation)
    if (beat.digest !== undefined) this.#options.sync.heard(beat.node, beat.digest)
    if (this.#presence.wakeAt <= this.#options.clock.now()) this.#turn()
  }

  /** Looks at the clock and at everybody, tells the core what follows, and sleeps until the next look. */
  readonly #turn = (): void => {
    if (this.#isOver) return
    const { clock, post, say } = this.#options
    const slept = clock.wake()
    const now = clock.now()
    // Late by more than what was slept for: this process stood still.
    const late = this.#timerAt < now ? now - this.#timerAt : 0
    if (slept > 0) say('info', `this machine slept ${Math.round(slept / 1_000)} s`)
    if (late > 0) this.#presence.tickLate(late, now)
    this.#lookedAt = now
    const { live, deaths } = this.#presence.tick(now)
    // What died is given to those who live: deaths first.
    for (const { node, incarnation, what } of deaths) {
      if (what === 'all') this.#dead.add(node)
      post({ type: 'dead', node, what, ...(incarnation === undefined ? {} : { incarnation }) })
    }
    if (live) {
      for (const node of live) this.#dead.delete(node)
      post({ type: 'members', live })
    }
    this.#measure()
    this.#arm()
  }

  /** Told when it is another one by a third: it is never twice the same. */
  #measure(): void {
    const { net, post } = this.#options
    const delays = this.#presence.live.flatMap((node) => net.roundTripMs(node) ?? [])
    if (delays.length === 0) return
    const longest = Math.max(...delays)
    if (Math.abs(longest - this.#roundTripMs) <= this.#roundTripMs / 3) return
    this.#roundTripMs = longest
    post({ type: 'delay', roundTripMs: longest })
  }

  /** A look each period at least: a stall shows by a look that comes late. */
  #arm(): void {
    const { clock } = this.#options
    clearTimeout(this.#timer)
    const waitMs = Math.max(10, Math.min(this.#presence.wakeAt - clock.now(), BEAT_MS))
    this.#timerAt = this.#lookedAt + waitMs
    this.#timer = setTimeout(this.#turn, waitMs).unref()
  }
}
