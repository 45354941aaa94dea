/** Heartbeats of one simulated node: the real detector over beats that travel as gossip. */
import { isOrchError } from '../core/error.ts'
import type { Author, Incarnation, NodeId } from '../core/id.ts'
import type { Input } from '../core/input.ts'
import { PROTOCOL_MAX, PROTOCOL_MIN } from '../core/limit.ts'
import { type Beat, Presence, type PresenceChange } from '../core/presence.ts'
import type { Machine } from './machine.ts'
import { QUIET_TOPIC, type SimNet } from './sim-net.ts'

export interface PulseOptions {
  readonly node: NodeId
  readonly author: Author
  readonly net: SimNet
  readonly machine: Machine
  readonly free: () => number
  readonly digest: () => string
  readonly onDigest: (node: NodeId, digest: string) => void
  readonly offer: (input: Input) => void
}

/** What is said in the bytes of a beat: they are read by nobody. Their real form is tested where it is made. */
const BEATS = new WeakMap<Uint8Array, Beat>()

export class Pulse {
  readonly #options: PulseOptions
  readonly #presence: Presence
  readonly #undo: (() => void)[] = []
  /** Life of each member whose beats were heard last. */
  readonly #lives = new Map<NodeId, Incarnation>()
  #isOver = false
  #dueAt = Number.POSITIVE_INFINITY
  #counter = 0
  #undoTick: () => void = () => {}
  #undoBeat: () => void = () => {}

  constructor(options: PulseOptions) {
    this.#options = options
    this.#presence = new Presence({ me: options.node })
    this.#undo.push(
      options.net.subscribe(QUIET_TOPIC, (bytes) => this.#heard(bytes)),
      options.net.onPeer((node, state) => {
        if (state === 'down') this.#knock(node)
      }),
    )
    this.#beat()
  }

  watch(members: readonly NodeId[]): void {
    this.#presence.watch(members, this.#now())
    this.#tick()
  }

  frame(author: Author): void {
    this.#presence.frame(author.node, author.incarnation, this.#now())
  }

  close(): void {
    this.#isOver = true
    for (const undo of this.#undo) undo()
    this.#undoTick()
    this.#undoBeat()
  }

  #now(): number {
    return this.#options.machine.clock.clock.now()
  }

  #heard(bytes: Uint8Array): void {
    const beat = BEATS.get(bytes)
    if (!beat || !this.#presence.beat(beat, this.#now())) return
    this.#lives.set(beat.node, beat.incarnation)
    this.#options.onDigest(beat.node, beat.digest!)
    if (this.#presence.wakeAt <= this.#now()) this.#tick()
  }

  /** A connection closed: does anybody listen there? */
  #knock(node: NodeId): void {
    const incarnation = this.#lives.get(node)
    if (incarnation === undefined) return
    this.#options.net.dial(`/memory/p2p/${node}`).catch((error: unknown) => {
      if (this.#isOver || !isOrchError(error) || error.context.refused !== true) return
      if (this.#presence.refused(node, incarnation, this.#now())) this.#say()
      this.#tick()
    })
  }

  #say(): void {
    const { author, net, free, digest } = this.#options
    const beat: Beat = {
      ...author,
      counter: ++this.#counter,
      suspects: this.#presence.suspects,
      refused: this.#presence.refusers,
      slots: 2,
      free: free(),
      protocol: [PROTOCOL_MIN, PROTOCOL_MAX],
      digest: digest(),
    }
    const bytes = new Uint8Array(1)
    BEATS.set(bytes, beat)
    void net.publish(QUIET_TOPIC, bytes)
  }

  #beat(): void {
    const { machine } = this.#options
    const due = this.#now()
    const slept = machine.clock.clock.wake()
    this.#say()
    const late = Math.max(slept, due - this.#dueAt)
    if (late > 0) this.#presence.tickLate(late, this.#now())
    this.#tick()
    this.#dueAt = this.#now() + this.#presence.periodMs
    this.#undoBeat = machine.after(this.#presence.periodMs, () => this.#beat())
  }

  #tick(): void {
    const { machine } = this.#options
    this.#undoTick()
    this.#apply(this.#presence.tick(this.#now()))
    const { wakeAt } = this.#presence
    this.#undoTick = Number.isFinite(wakeAt)
      ? machine.after(wakeAt - this.#now(), () => this.#tick())
      : () => {}
  }

  #apply({ live, deaths }: PresenceChange): void {
    const { offer } = this.#options
    for (const death of deaths) offer({ type: 'dead', ...death })
    if (live) offer({ type: 'members', live })
  }
}
