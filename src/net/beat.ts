/**
 * How a node shows that it lives: a small signed message each period, gossiped to all members and never stored. What arrives is given on only when it is new and its author, a member,
 * signed it; what it means is `core/presence.ts`. Bytes: `PROTOCOL.md`.
 */
import { createHash } from 'node:crypto'
import type { DurationMs, Incarnation, NodeId } from '../core/id.ts'
import {
  BEAT_BYTES_MAX,
  BEAT_MS,
  BEAT_SUSPECTS_MAX,
  BEATS_PER_SECOND_MAX,
  MEMBERS_MAX,
  SLOTS_MAX,
} from '../core/limit.ts'
import type { Beat } from '../core/presence.ts'
import { type Identity, nodeIdOf, readNodeId, verifySignature } from './identity.ts'
import type { Net } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'
import { readWire, WireWriter } from './wire.ts'

export const BEAT_TOPIC = 'beat'

const VERSION = 1
const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const INCARNATION = /^[0-9A-HJKMNP-TV-Z]{26}$/
const INCARNATION_CHARS = 26
const DRAINING = 1
const STOPPING = 2
const UPGRADING = 4
const DIGEST = 8
const REACH = 16
const REFUSED = 32
const REACH_BYTES = 8
/** Every so many beats of a node one is passed on by all, who hears it directly or not: a way that works in one direction only is found by nobody else in time. */
const PASSED_ON_EVERY = 4

/** A beat as it is sent. */
export interface SentBeat extends Beat {
  /** Of the members that it is connected to, itself included: who is connected to the same ones need not pass it on. 16 hex digits. */
  readonly reach?: string
}

/** What a node says besides who it is and which beat this is. */
export type BeatState = Omit<Beat, 'node' | 'incarnation' | 'counter' | 'leaving'>

export interface BeatsOptions {
  readonly net: Pick<Net, 'publish' | 'subscribe' | 'members'>
  readonly identity: Identity
  readonly incarnation: Incarnation
  readonly cluster: string
  readonly isMember: (node: NodeId) => boolean
  /** Members of the cluster; the period grows with them. */
  readonly members: () => number
  /** Asked for each beat. */
  readonly state: () => BeatState
  /** Verified, and newer than all before it of that node. Never an own one. */
  readonly onBeat: (beat: Beat) => void
  readonly timing?: Timing
}

/** Counts since the start, for metrics. */
export interface BeatCounts {
  readonly sent: number
  readonly taken: number
  /** Malformed, or of a version that is not known here. */
  readonly unreadable: number
  /** Of no member. */
  readonly foreign: number
  /** Heard before, or older than what was. */
  readonly old: number
  readonly forged: number
}

export interface Beats {
  /** Beats at once, out of turn: before a first claim, after a wake. Resolves to how many peers it was handed to. */
  beat(): Promise<number>
  /** Everybody whom this node is connected to is connected to that one, by its last beat. */
  isHeardByAll(node: NodeId): boolean
  /** The last beat, which says that this node goes and why. Nothing is sent after it. */
  leave(why: 'stop' | 'upgrade'): Promise<number>
  /** Sends and hears nothing more. */
  stop(): void
  counts(): BeatCounts
}

/** Begins to beat at once, and to listen. */
export function startBeats(options: BeatsOptions): Beats {
  const { net, identity, incarnation, cluster, members, state, timing = SYSTEM_TIMING } = options
  const counts = { sent: 0, taken: 0, unreadable: 0, foreign: 0, old: 0, forged: 0 }
  const heard = new HeardBeats()
  let counter = 0
  let isOver = false
  let undoTimer = () => {}

  const send = async (leaving?: Beat['leaving']): Promise<number> => {
    const said = state()
    const beat = {
      ...said,
      node: identity.node,
      incarnation,
      counter: ++counter,
      ...(leaving && { leaving }),
      reach: reachOf(identity.node, net.members()),
    }
    // A beat that could not be sent is a beat that was lost: the next one follows.
    const peers = await net.publish(BEAT_TOPIC, encodeBeat(beat, identity, cluster)).catch(() => 0)
    counts.sent++
    return peers
  }
  const isHeardByAll = (node: NodeId) => heard.reach(node) === reachOf(identity.node, net.members())
  const turn = () => {
    undoTimer = timing.after(beatPeriodMs(members()), turn)
    void send()
  }
  const undoHear = net.subscribe(BEAT_TOPIC, (bytes) => {
    const outcome = hear(bytes, options, heard)
    if (typeof outcome === 'string') counts[outcome]++
    else if (outcome) {
      counts.taken++
      options.onBeat(outcome)
    }
    // A later version's beat is handed on; what nobody vouches for is not.
    if (typeof outcome === 'string') return Promise.resolve(outcome !== 'foreign' && outcome !== 'forged')
    const mustGoOn = !outcome || !isHeardByAll(outcome.node) || outcome.counter % PASSED_ON_EVERY === 0
    return Promise.resolve(mustGoOn)
  })
  const stop = () => {
    isOver = true
    undoTimer()
    undoHear()
  }
  turn()
  return {
    isHeardByAll,
    beat: () => (isOver ? Promise.resolve(0) : send()),
    leave(why) {
      if (isOver) return Promise.resolve(0)
      stop()
      return send(why)
    },
    stop,
    counts: () => ({ ...counts }),
  }
}

/** Between two beats of one node, so that all of them together stay within BEATS_PER_SECOND_MAX. */
export function beatPeriodMs(members: number): DurationMs {
  return Math.max(BEAT_MS, (members / BEATS_PER_SECOND_MAX) * 1_000)
}

/** Cheap questions first; the signature, which costs most, last. Nothing is kept of what is not verified. */
function hear(
  bytes: Uint8Array,
  { identity, cluster, isMember }: BeatsOptions,
  heard: HeardBeats,
): SentBeat | 'unreadable' | 'foreign' | 'old' | 'forged' | undefined {
  const beat = readBeat(bytes)
  if (!beat) return 'unreadable'
  if (beat.node === identity.node) return undefined
  if (!isMember(beat.node)) return 'foreign'
  if (!heard.isNew(beat)) return 'old'
  const signed = bytes.length - SIGNATURE_BYTES
  if (!verifySignature(beat.node, signable(bytes.subarray(0, signed), cluster), bytes.subarray(signed)))
    return 'forged'
  heard.add(beat, isMember)
  return beat
}

/** The newest beat of each member: lives sort by their names, beats by their counter. */
class HeardBeats {
  readonly #newest = new Map<NodeId, Pick<SentBeat, 'incarnation' | 'counter' | 'reach'>>()

  isNew({ node, incarnation, counter }: Beat): boolean {
    const newest = this.#newest.get(node)
    if (!newest || incarnation > newest.incarnation) return true
    return incarnation === newest.incarnation && counter > newest.counter
  }

  reach(node: NodeId): string | undefined {
    return this.#newest.get(node)?.reach
  }

  add({ node, incarnation, counter, reach }: SentBeat, isMember: (node: NodeId) => boolean): void {
    this.#newest.set(node, { incarnation, counter, ...(reach === undefined ? {} : { reach }) })
    if (this.#newest.size <= MEMBERS_MAX) return
    for (const known of this.#newest.keys()) if (!isMember(known)) this.#newest.delete(known)
  }
}

/** Names a set of nodes. */
export function reachOf(me: NodeId, connected: readonly NodeId[]): string {
  const all = [me, ...connected].sort().join('\n')
  return createHash('sha256')
    .update(all)
    .digest('hex')
    .slice(0, 2 * REACH_BYTES)
}

export function encodeBeat(beat: SentBeat, identity: Identity, cluster: string): Uint8Array {
  const refused = (beat.refused ?? []).slice(0, BEAT_SUSPECTS_MAX)
  const flags =
    (beat.draining ? DRAINING : 0) |
    (beat.leaving === 'stop' ? STOPPING : 0) |
    (beat.leaving === 'upgrade' ? UPGRADING : 0) |
    (beat.digest === undefined ? 0 : DIGEST) |
    (beat.reach === undefined ? 0 : REACH) |
    (refused.length === 0 ? 0 : REFUSED)
  const suspects = beat.suspects.slice(0, BEAT_SUSPECTS_MAX)
  const wire = new WireWriter()
    .byte(VERSION)
    .raw(identity.publicKey)
    .raw(Buffer.from(beat.incarnation, 'latin1'))
    .integer(beat.counter)
    .byte(flags)
    .integer(beat.slots)
    .integer(beat.free)
    .integer(beat.protocol[0])
    .integer(beat.protocol[1])
    .integer(suspects.length)
  for (const node of suspects) wire.raw(readNodeId(node)!)
  if (beat.digest !== undefined) wire.hash(beat.digest)
  if (beat.reach !== undefined) wire.raw(Buffer.from(beat.reach, 'hex'))
  if (refused.length > 0) {
    wire.integer(refused.length)
    for (const node of refused) wire.raw(readNodeId(node)!)
  }
  const body = wire.finish()
  return Buffer.concat([body, identity.sign(signable(body, cluster))])
}

/** Not verified; `undefined` when malformed. */
export function readBeat(bytes: Uint8Array): SentBeat | undefined {
  if (bytes.length > BEAT_BYTES_MAX || bytes.length <= SIGNATURE_BYTES) return undefined
  return readWire(bytes.subarray(0, bytes.length - SIGNATURE_BYTES), (reader) => {
    if (reader.byte() !== VERSION) reader.refuse()
    const node = nodeIdOf(reader.raw(KEY_BYTES))
    const incarnation = Buffer.from(reader.raw(INCARNATION_CHARS)).toString('latin1')
    const counter = reader.integer()
    const flags = reader.byte()
    const slots = reader.integer()
    const free = reader.integer()
    const protocol = [reader.integer(), reader.integer()] as const
    const suspects = reader.list(BEAT_SUSPECTS_MAX, () => nodeIdOf(reader.raw(KEY_BYTES)))
    const digest = flags & DIGEST ? reader.hash() : undefined
    const reach = flags & REACH ? Buffer.from(reader.raw(REACH_BYTES)).toString('hex') : undefined
    const refused =
      flags & REFUSED ? reader.list(BEAT_SUSPECTS_MAX, () => nodeIdOf(reader.raw(KEY_BYTES))) : undefined
    const isSound =
      INCARNATION.test(incarnation) && slots <= SLOTS_MAX && free <= slots && protocol[0] <= protocol[1]
    if (!isSound || flags > 63 || (flags & STOPPING && flags & UPGRADING)) reader.refuse()
    return {
      node,
      incarnation,
      counter,
      suspects,
      slots,
      free,
      protocol,
      ...(flags & DRAINING ? { draining: true as const } : {}),
      ...(flags & STOPPING ? { leaving: 'stop' as const } : {}),
      ...(flags & UPGRADING ? { leaving: 'upgrade' as const } : {}),
      ...(digest === undefined ? {} : { digest }),
      ...(reach === undefined ? {} : { reach }),
      ...(refused === undefined ? {} : { refused }),
    }
  })
}

/** The cluster is part of what is signed, so that a beat says nothing in another one. */
function signable(body: Uint8Array, cluster: string): Uint8Array {
  return Buffer.concat([Buffer.from(`orch/beat/1\0${cluster}\0`), body])
}
