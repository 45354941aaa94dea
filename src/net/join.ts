/**
 * Lets machines into the cluster. The node that made an invitation is the only one that takes it, one joiner after the other, so it cannot be used more often than it says, also in a
 * partition. Without an invitation a machine waits here for a person, who sees the same six words as the one at that machine. The other end is `join-ask.ts`.
 */
import { randomBytes } from 'node:crypto'
import { isOrchError, OrchError } from '../core/error.ts'
import type { Role } from '../core/fact.ts'
import { type NodeId, shortNode, type WallMs } from '../core/id.ts'
import {
  CLOCK_TOLERANCE_MS,
  JOIN_BYTES_MAX,
  JOIN_POLL_MS,
  JOIN_STREAMS_ADDRESS_MAX,
  JOIN_STREAMS_MAX,
  JOIN_STREAMS_PEER_MAX,
  PEER_ANSWER_MS_MAX,
} from '../core/limit.ts'
import type { Invite } from '../core/roster-read.ts'
import { nodeIdOf, verifySignature } from './identity.ts'
import {
  type ClusterCard,
  commitment,
  encodeJoin,
  encodeOutcome,
  isWithdrawal,
  JOIN_PROTOCOL,
  type JoinHello,
  type JoinOutcome,
  type JoinProof,
  type JoinTranscript,
  joinBytes,
  joinWords,
  readJoinHello,
  readProof,
} from './join-message.ts'
import { type JoinRequest, JoinRequests } from './join-request.ts'
import { JoinTries } from './join-tries.ts'
import { type Messages, messagesOver } from './message.ts'
import type { Channel, Net } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

const NONCE_BYTES = 32

/** What the board says about who may come in. */
export interface Admission {
  /** What somebody who was let in is told. */
  card(): ClusterCard
  role(node: NodeId): Role | 'none'
  invite(id: string): Invite | undefined
  /**
   * Lets a node in: when it resolves this is on the disk, and `role` and `invite` know it.
   *
   * @throws OrchError, which the joiner is told
   */
  admit(node: NodeId, name: string, role: Role, invite?: string): Promise<void>
}

export interface JoinsOptions {
  readonly net: Net
  readonly admission: Admission
  /** The wall clock: invitations expire by it. */
  readonly now: () => WallMs
  readonly timing?: Timing
  /** The list of those who wait has changed. */
  readonly onRequests?: () => void
}

export interface Joins {
  /** Who waits for a person, oldest first. */
  requests(): readonly JoinRequest[]
  /**
   * Lets a waiting machine in, by the role of its invitation if it has one. Again for one that is in already changes nothing.
   *
   * @throws ORCH_NOT_FOUND it does not wait here; what `Admission.admit` throws
   */
  approve(node: NodeId, role: Role): Promise<void>
  /** Says no to a waiting machine. False when it does not wait here. */
  refuse(node: NodeId, reason?: string): boolean
  close(): void
}

export function serveJoins(options: JoinsOptions): Joins {
  const desk = new JoinDesk(options)
  const undo = options.net.handle(JOIN_PROTOCOL, (channel) => desk.serve(channel), {
    strangers: true,
    streamsMax: JOIN_STREAMS_PEER_MAX,
  })
  return {
    requests: () => desk.requests.list(),
    approve: (node, role) => desk.approve(node, role),
    refuse: (node, reason) => desk.refuse(node, reason),
    close: undo,
  }
}

class JoinDesk {
  readonly requests: JoinRequests
  readonly #net: Net
  readonly #admission: Admission
  readonly #now: () => WallMs
  readonly #timing: Timing
  readonly #onRequests: () => void
  readonly #tries: JoinTries
  /** Streams of each address, and of all under the empty one. */
  readonly #streams = new Map<string, number>()
  #admitting: Promise<unknown> = Promise.resolve()

  constructor({ net, admission, now, timing = SYSTEM_TIMING, onRequests = () => {} }: JoinsOptions) {
    this.#net = net
    this.#admission = admission
    this.#now = now
    this.#timing = timing
    this.#onRequests = onRequests
    this.#tries = new JoinTries(timing)
    this.requests = new JoinRequests(timing)
  }

  async serve(channel: Channel): Promise<void> {
    const talk = messagesOver(channel, { bytesMax: JOIN_BYTES_MAX, timing: this.#timing })
    const undoLimit = this.#timing.after(PEER_ANSWER_MS_MAX, () => talk.abort('joining took too long'))
    const host = hostOf(channel)
    const places = host === '' ? [''] : ['', host]
    for (const place of places) this.#streams.set(place, (this.#streams.get(place) ?? 0) + 1)
    try {
      await this.#converse(talk, host, undoLimit)
      await talk.end()
      // The joiner ends when it has read the answer.
      await talk.receive()
    } catch {
      // It left, or never spoke the protocol: it was told so where it could be.
      talk.abort('joining failed')
    } finally {
      undoLimit()
      for (const place of places) {
        const left = this.#streams.get(place)! - 1
        if (left > 0) this.#streams.set(place, left)
        else this.#streams.delete(place)
      }
    }
  }

  async approve(node: NodeId, role: Role): Promise<void> {
    const waiting = this.requests.find(node)
    if (!waiting || waiting.decision)
      throw new OrchError('ORCH_NOT_FOUND', `${shortNode(node)} does not wait here to be let in`, {
        hint: 'see who waits with `orch-node members`; the person at that machine can ask again',
      })
    const { request, invite } = waiting
    const outcome = await this.#admit(node, request.name, request.role ?? role, invite)
    if (outcome.type === 'refused') throw outcome.error
    this.requests.decide(node, outcome)
    this.#onRequests()
  }

  refuse(node: NodeId, reason?: string): boolean {
    const waiting = this.requests.find(node)
    if (!waiting || waiting.decision) return false
    const why = reason === undefined ? '' : `: ${reason}`
    this.requests.decide(node, refused(new OrchError('ORCH_PEER_DENIED', `a person there said no${why}`)))
    this.#onRequests()
    return true
  }

  async #converse(talk: Messages, host: string, undoLimit: () => void): Promise<void> {
    const say = (outcome: JoinOutcome) => talk.send(encodeOutcome(outcome))
    const { peer } = talk
    const waitMs = Math.max(this.#tries.waitMs(peer), host === '' ? 0 : this.#tries.waitMs(host))
    const isFull =
      this.#streams.get('')! > JOIN_STREAMS_MAX ||
      (host !== '' && this.#streams.get(host)! > JOIN_STREAMS_ADDRESS_MAX)
    if (waitMs > 0 || isFull) {
      const error = new OrchError('ORCH_BACKPRESSURE', 'too many tried to join there a moment ago')
      await say({ ...refused(error), againMs: waitMs || 1_000 })
      return
    }
    let isKnown = false
    try {
      const hello = await this.#hear(talk, readJoinHello)
      if (hello.node !== peer) throw garbled('a joiner that names itself as another node')
      const { card, role } = this.#self()
      if (role === 'none')
        throw new OrchError(
          'ORCH_NOT_MEMBER',
          `${shortNode(this.#net.node)} does not belong to the cluster any more`,
          {
            hint: 'ask at another member, with an invitation made there',
          },
        )
      const before = this.requests.find(peer, hello.commit)
      const issuerNonce = before?.nonce ?? randomBytes(NONCE_BYTES).toString('hex')
      const { cluster, clusterName } = card
      await talk.send(
        encodeJoin({ node: this.#net.node, cluster, clusterName, nonce: issuerNonce, now: this.#now() }),
      )
      const proof = await this.#hear(talk, readProof)
      const said = { cluster, issuer: this.#net.node, node: peer, issuerNonce, nodeNonce: proof.nonce }
      if (commitment(proof.nonce) !== hello.commit) throw garbled('a nonce that it had not committed to')
      if (!verifySignature(peer, joinBytes(said), Buffer.from(proof.own, 'hex')))
        throw garbled('a signature that is not its own')
      // One that is in already, and did not hear of it.
      const own = this.#admission.role(peer)
      const outcome: JoinOutcome =
        own === 'none' ? await this.#decide(hello, proof, said, host) : { type: 'admitted', role: own, card }
      // From here on it is somebody that was let in, or holds an invitation, or waits already.
      isKnown = hello.invite !== undefined || own !== 'none' || before !== undefined
      if (outcome.type === 'admitted') return await say(outcome)
      this.#tries.add(peer)
      if (host !== '' && !isKnown) this.#tries.add(host)
      isKnown = true
      await say(outcome)
      if (outcome.type === 'pending') {
        undoLimit()
        await this.#wait(talk)
      }
    } catch (error) {
      if (!isKnown) {
        this.#tries.add(peer)
        if (host !== '') this.#tries.add(host)
      }
      if (!isOrchError(error)) throw error
      await say(refused(error))
    }
  }

  async #hear<T>(talk: Messages, read: (bytes: Uint8Array) => T | undefined): Promise<T> {
    const bytes = await talk.receive()
    const message = bytes && read(bytes)
    if (!message) throw garbled('what the join protocol does not know')
    return message
  }

  #self(): { card: ClusterCard; role: Role | 'none' } {
    return { card: this.#admission.card(), role: this.#admission.role(this.#net.node) }
  }

  async #decide(
    hello: JoinHello,
    { proof }: JoinProof,
    said: JoinTranscript,
    host: string,
  ): Promise<JoinOutcome> {
    const { node, name, version, commit } = hello
    const invite = hello.invite === undefined ? undefined : this.#admission.invite(hello.invite)
    if (hello.invite !== undefined) {
      const isHolder =
        invite &&
        proof !== undefined &&
        verifySignature(nodeIdOf(Buffer.from(invite.key, 'hex')), joinBytes(said), Buffer.from(proof, 'hex'))
      // One answer for both, so that nobody learns which invitations there are.
      if (!isHolder)
        throw new OrchError('ORCH_INVITE_INVALID', `${shortNode(this.#net.node)} knows no such invitation`)
      if (!invite.approve) return this.#admit(node, name, invite.role, invite.id)
      const fault = this.#faultOf(invite)
      if (fault) return refused(fault)
    }
    const before = this.requests.find(node, commit)
    if (before?.decision) {
      if (before.decision.type === 'refused') this.requests.drop(node)
      return before.decision
    }
    if (!before) {
      const request = { node, name, version, words: joinWords(said), askedAt: this.#now() }
      this.requests.add({
        request: invite ? { ...request, role: invite.role } : request,
        ...(invite && { invite: invite.id }),
        commit,
        nonce: said.issuerNonce,
        host,
      })
      this.#onRequests()
    }
    return { type: 'pending' }
  }

  /** One after the other: of two that come at once with the last use of an invitation the second sees the first. */
  #admit(node: NodeId, name: string, role: Role, id?: string): Promise<JoinOutcome> {
    const turn = this.#admitting.then(async (): Promise<JoinOutcome> => {
      const own = this.#admission.role(node)
      if (own !== 'none') return { type: 'admitted', role: own, card: this.#admission.card() }
      if (id !== undefined) {
        const fault = this.#faultOf(this.#admission.invite(id))
        if (fault) return refused(fault)
      }
      try {
        await this.#admission.admit(node, name, role, id)
      } catch (error) {
        if (isOrchError(error)) return refused(error)
        throw error
      }
      return { type: 'admitted', role, card: this.#admission.card() }
    })
    this.#admitting = turn.catch(() => {})
    return turn
  }

  #faultOf(invite: Invite | undefined): OrchError | undefined {
    if (!invite || invite.issuer !== this.#net.node)
      return new OrchError('ORCH_INVITE_INVALID', 'only the node that made an invitation can take it')
    if (invite.revoked)
      return new OrchError(
        'ORCH_INVITE_EXPIRED',
        'the invitation was taken back, or who made it is no admin any more',
      )
    if (invite.used >= invite.uses) {
      const times = invite.uses === 1 ? 'once' : `${invite.uses} times`
      return new OrchError('ORCH_INVITE_USED', `the invitation could be used ${times}, and was`)
    }
    const now = this.#now()
    if (now <= invite.expiresAt + CLOCK_TOLERANCE_MS) return undefined
    return new OrchError(
      'ORCH_INVITE_EXPIRED',
      `the invitation expired at ${new Date(invite.expiresAt).toISOString()}; the clock there says ${new Date(now).toISOString()}`,
    )
  }

  /** Until there is a decision, the joiner leaves, or it is time that it asks again. */
  async #wait(talk: Messages): Promise<void> {
    const waiting = this.requests.find(talk.peer)
    if (!waiting) return
    const pollMs = Math.max(0, Math.min(JOIN_POLL_MS, waiting.until - this.#timing.now()))
    let undo = () => {}
    const heard = talk.receive(pollMs + PEER_ANSWER_MS_MAX)
    let wake = () => {}
    const woken = new Promise<'decided'>((resolve) => {
      wake = () => resolve('decided')
      undo = this.#timing.after(pollMs, wake)
    })
    waiting.wake = wake
    try {
      const event = await Promise.race([woken, heard.catch(() => undefined)])
      if (event !== 'decided') {
        if (event && isWithdrawal(event)) {
          this.requests.drop(talk.peer)
          this.#onRequests()
        }
        return
      }
      const { decision } = waiting
      const isOver = waiting.until <= this.#timing.now()
      if (decision?.type === 'refused') this.requests.drop(talk.peer)
      if (decision || !isOver) await talk.send(encodeOutcome(decision ?? { type: 'again' }))
      else
        await talk.send(
          encodeOutcome(
            refused(new OrchError('ORCH_NODE_TIMEOUT', 'nobody there let this machine in in time')),
          ),
        )
      await talk.end()
      await heard
    } finally {
      undo()
      // A later stream of the same joiner may wait by now.
      if (waiting.wake === wake) delete waiting.wake
    }
  }
}

/** The machine that a connection comes from; empty where there is none. */
function hostOf({ address }: Channel): string {
  return /^\/[^/]+\/[^/]+/.exec(address ?? '')?.[0] ?? ''
}

function refused(error: OrchError): Extract<JoinOutcome, { type: 'refused' }> {
  return { type: 'refused', error }
}

function garbled(what: string): OrchError {
  return new OrchError('ORCH_PROTOCOL', `the other node sent ${what}`)
}
