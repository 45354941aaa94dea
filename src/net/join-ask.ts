/**
 * Asks to be let into a cluster: by an invitation, or at the address of any member, where a person then decides. Nothing is believed that was not proven: the connection shows that the
 * other side is the issuer of the invitation, and the id of the cluster is the hash of its founding.
 */
import { randomBytes } from 'node:crypto'
import { type ErrorCode, isOrchError, OrchError } from '../core/error.ts'
import type { Role } from '../core/fact.ts'
import { type DurationMs, type NodeId, shortNode, type WallMs } from '../core/id.ts'
import {
  CLOCK_TOLERANCE_MS,
  JOIN_AGAIN_MS_MAX,
  JOIN_AGAIN_MS_MIN,
  JOIN_BYTES_MAX,
  JOIN_POLL_MS,
  JOIN_REQUEST_MS_MAX,
  PEER_ANSWER_MS_MAX,
} from '../core/limit.ts'
import { clusterId } from '../core/roster-read.ts'
import type { Identity } from './identity.ts'
import { isLoopbackOnly, type ReadInvite, readInvite } from './invite.ts'
import {
  type ClusterCard,
  commitment,
  encodeJoin,
  JOIN_PROTOCOL,
  type JoinChallenge,
  type JoinOutcome,
  joinBytes,
  joinWords,
  readChallenge,
  readOutcome,
  WITHDRAWAL,
} from './join-message.ts'
import { type Messages, messagesOver } from './message.ts'
import type { Address, Net } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

const NONCE_BYTES = 32
const AGAIN_MS_MIN = 50
/** Who gives up does not wait long until that was heard. */
const WITHDRAW_MS_MAX = 1_000

export interface JoinWish {
  /** Lets the other side in as `stranger` at least. */
  readonly net: Net
  readonly identity: Identity
  /** An invitation, or the address of a member. */
  readonly to: string
  readonly name: string
  /** Of orch-node. */
  readonly version: string
  readonly now: () => WallMs
  readonly timing?: Timing
  /** A person there is to decide; he sees the same words. */
  readonly onWaiting?: (words: string, at: NodeId) => void
  /** For all of it, ms; default JOIN_REQUEST_MS_MAX. */
  readonly timeoutMs?: DurationMs
  readonly signal?: AbortSignal
}

export interface Joined extends ClusterCard {
  readonly role: Role
  /** Who let this node in. */
  readonly via: NodeId
  /** The clock there less the clock here, ms; without the way. */
  readonly clockAheadMs: DurationMs
}

type Token = Extract<ReadInvite, { ok: true }>

/** What may pass by itself. */
const PASSING: readonly ErrorCode[] = ['ORCH_PEER_GONE', 'ORCH_PEER_UNREACHABLE', 'ORCH_BACKPRESSURE']

/**
 * Resolves when this node was let in. While a person is to decide it asks again by itself, also over a broken connection.
 *
 * @throws ORCH_INVITE_INVALID, ORCH_INVITE_EXPIRED, ORCH_INVITE_USED; ORCH_USAGE the invitation is of this node; ORCH_PEER_UNREACHABLE no address answered; ORCH_PEER_DENIED the
 *   person said no; ORCH_NODE_TIMEOUT nobody decided; ORCH_BACKPRESSURE too many try; ORCH_PROTOCOL what was told is not true; ORCH_CANCELLED by the signal, which takes the request back; what `Net.dial` throws
 */
export async function joinCluster(wish: JoinWish): Promise<Joined> {
  const token = wish.to.startsWith('/') ? undefined : readToken(wish)
  const timing = wish.timing ?? SYSTEM_TIMING
  const until = timing.now() + (wish.timeoutMs ?? JOIN_REQUEST_MS_MAX)
  // The same in every try, so that it is the same request, with the same words.
  const nonce = randomBytes(NONCE_BYTES).toString('hex')
  let shown: string | undefined
  let asked: NodeId | undefined
  let pauseMs = JOIN_AGAIN_MS_MIN
  for (;;) {
    // However fast the other side sends it away.
    let againMs = AGAIN_MS_MIN
    let refusal: OrchError | undefined
    try {
      const at = await dial(wish, token, asked)
      const outcome = await ask(wish, token, at, nonce, timing, (words) => {
        asked = at
        pauseMs = JOIN_AGAIN_MS_MIN
        if (words !== shown) wish.onWaiting?.(words, at)
        shown = words
      })
      if (outcome.type === 'joined') return outcome.joined
      if (outcome.type === 'refused') {
        if (outcome.againMs === undefined) throw outcome.error
        againMs = Math.max(againMs, outcome.againMs)
        refusal = outcome.error
      }
    } catch (error) {
      if (wish.signal?.aborted) throw cancelled()
      const isPassing = shown !== undefined && isOrchError(error) && PASSING.includes(error.code)
      if (!isPassing) throw error
      againMs = pauseMs
      pauseMs = Math.min(pauseMs * 2, JOIN_AGAIN_MS_MAX)
    }
    if (timing.now() + againMs >= until)
      throw (
        refusal ??
        new OrchError('ORCH_NODE_TIMEOUT', 'nobody there let this machine in in time', {
          hint: 'ask a person there to look at `orch-node members`, then try again',
        })
      )
    await pause(againMs, timing, wish.signal)
  }
}

function readToken({ to, net, now }: JoinWish): Token {
  const token = readInvite(to, now())
  if (!token.ok) throw new OrchError(token.code, token.problem)
  if (token.invite.issuer === net.node)
    throw new OrchError('ORCH_USAGE', 'this node made the invitation itself: use it on another machine')
  return token
}

/** Whoever answered must be who was meant: the issuer, or who was asked before. */
async function dial(
  { net, to, signal }: JoinWish,
  token: Token | undefined,
  asked?: NodeId,
): Promise<NodeId> {
  const expected = token?.invite.issuer ?? asked
  const addresses: readonly Address[] = token?.invite.addresses ?? [to]
  const problems: string[] = []
  let fault: unknown
  for (const address of addresses) {
    if (signal?.aborted) throw cancelled()
    try {
      const { node } = await net.dial(address, { ...(expected && { expected }), ...(signal && { signal }) })
      if (expected === undefined || node === expected) return node
      await net.hangUp(node)
      throw new OrchError('ORCH_PEER_DENIED', `${address} is ${shortNode(node)}, not ${shortNode(expected)}`)
    } catch (error) {
      fault = error
      problems.push(error instanceof Error ? error.message : String(error))
    }
  }
  if (!token) throw fault
  // An address that means nothing here is not the mistake of who holds the invitation.
  const code = isOrchError(fault) && fault.code !== 'ORCH_USAGE' ? fault.code : 'ORCH_PEER_UNREACHABLE'
  throw new OrchError(code, `no address of the invitation leads to its issuer: ${problems.join('; ')}`, {
    cause: fault,
    ...(isLoopbackOnly(addresses) && {
      hint: 'the invitation names only addresses of the machine that made it: let that node listen on the network (`orch-node start --listen ADDR`) and make another one',
    }),
  })
}

type Asked =
  | { readonly type: 'joined'; readonly joined: Joined }
  | Extract<JoinOutcome, { type: 'again' | 'refused' }>

async function ask(
  { net, identity, name, version, now, signal }: JoinWish,
  token: Token | undefined,
  at: NodeId,
  nonce: string,
  timing: Timing,
  onWaiting: (words: string) => void,
): Promise<Asked> {
  const channel = await net.open(at, JOIN_PROTOCOL, signal && { signal })
  const talk = messagesOver(channel, { bytesMax: JOIN_BYTES_MAX, timing })
  let isAsked = false
  const stop = () => {
    // What was asked is taken back in good order; before that there is nothing to take back.
    if (isAsked) withdraw(talk, timing)
    else talk.abort('given up')
  }
  signal?.addEventListener('abort', stop, { once: true })
  try {
    if (signal?.aborted) throw cancelled()
    const invite = token && { invite: token.invite.id }
    await talk.send(encodeJoin({ node: net.node, name, version, commit: commitment(nonce), ...invite }))
    const challenge = await hear(talk, readChallenge)
    // A refusal can come in place of every message.
    if ('type' in challenge) return outcomeOf(challenge, undefined)
    const clockAheadMs = challenge.now - now()
    checkChallenge(challenge, at, token)
    const { cluster } = challenge
    const said = { cluster, issuer: at, node: net.node, issuerNonce: challenge.nonce, nodeNonce: nonce }
    const signed = joinBytes(said)
    const proof = token && { proof: hex(token.prove(signed)) }
    isAsked = true
    await talk.send(encodeJoin({ nonce, own: hex(identity.sign(signed)), ...proof }))
    let outcome = await hear(talk, readOutcome)
    if (outcome.type === 'pending') {
      onWaiting(joinWords(said))
      outcome = await hear(talk, readOutcome, JOIN_POLL_MS + PEER_ANSWER_MS_MAX)
    }
    return outcomeOf(outcome, { at, cluster, clockAheadMs })
  } finally {
    signal?.removeEventListener('abort', stop)
    if (!signal?.aborted) talk.end().catch(() => {})
  }
}

function withdraw(talk: Messages, timing: Timing): void {
  timing.after(WITHDRAW_MS_MAX, () => talk.abort('given up'))
  talk
    .send(WITHDRAWAL)
    .then(() => talk.end())
    .catch(() => {})
}

async function hear<T>(
  talk: Messages,
  read: (bytes: Uint8Array) => T | undefined,
  timeoutMs?: DurationMs,
): Promise<T | Extract<JoinOutcome, { type: 'refused' }>> {
  const bytes = await talk.receive(timeoutMs)
  if (!bytes) throw new OrchError('ORCH_PEER_GONE', `${shortNode(talk.peer)} ended without an answer`)
  const message = read(bytes)
  if (message) return message
  const outcome = readOutcome(bytes)
  if (outcome?.type === 'refused') return outcome
  throw untrue(talk.peer, 'sent what the join protocol does not know')
}

function checkChallenge(
  { node, cluster, clusterName }: JoinChallenge,
  at: NodeId,
  token: Token | undefined,
): void {
  if (node !== at) throw untrue(at, 'names itself as another node')
  if (token && token.invite.cluster !== cluster)
    throw new OrchError(
      'ORCH_INVITE_INVALID',
      `the invitation is to cluster ${token.invite.clusterName}; the node that made it belongs to ${clusterName} now`,
      { hint: 'ask for a new one with `orch-node invite`' },
    )
}

function outcomeOf(
  outcome: JoinOutcome,
  told: { at: NodeId; cluster: string; clockAheadMs: DurationMs } | undefined,
): Asked {
  if (outcome.type === 'refused')
    return told ? { ...outcome, error: withClocks(outcome.error, told.clockAheadMs) } : outcome
  if (outcome.type === 'again') return outcome
  if (outcome.type === 'pending' || !told)
    throw new OrchError('ORCH_PROTOCOL', 'the other node answered out of turn')
  const { card, role } = outcome
  if (card.cluster !== told.cluster || clusterId(card.founder, card.nonce) !== card.cluster)
    throw untrue(told.at, 'told of a cluster whose id does not fit its founding')
  return { type: 'joined', joined: { ...card, role, via: told.at, clockAheadMs: told.clockAheadMs } }
}

/** Where time decided, the clock that is wrong is the thing to mend. */
function withClocks(error: OrchError, aheadMs: DurationMs): OrchError {
  if (error.code !== 'ORCH_INVITE_EXPIRED' || Math.abs(aheadMs) <= CLOCK_TOLERANCE_MS) return error
  const days = Math.abs(aheadMs) / 86_400_000
  const span = days >= 1 ? `${days.toFixed(0)} days` : `${Math.round(days * 1_440)} minutes`
  return new OrchError(
    'ORCH_INVITE_EXPIRED',
    `${error.message}, ${span} ${aheadMs > 0 ? 'ahead of' : 'behind'} this one`,
    {
      hint: 'set the clock that is wrong, then try again',
    },
  )
}

function untrue(node: NodeId, what: string): OrchError {
  return new OrchError('ORCH_PROTOCOL', `${shortNode(node)} ${what}`, {
    context: { node },
    hint: 'do not trust that machine before a person has looked at it',
  })
}

function cancelled(): OrchError {
  return new OrchError('ORCH_CANCELLED', 'joining was given up')
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function pause(ms: DurationMs, timing: Timing, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      undo()
      reject(cancelled())
    }
    const undo = timing.after(ms, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}
