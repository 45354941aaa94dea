/** What a joiner and the node that it asks say to each other, as JSON, and what they sign. All of it comes from strangers: whatever is malformed is `undefined`. Grammar: `PROTOCOL.md`. */
import { createHash } from 'node:crypto'
import { ERRORS, type ErrorCode, OrchError } from '../core/error.ts'
import { ROLES, type Role } from '../core/fact.ts'
import type { DurationMs, NodeId, WallMs } from '../core/id.ts'
import { JOIN_BYTES_MAX, NAME_CHARS_MAX } from '../core/limit.ts'
import { readNodeId } from './identity.ts'
import { isName } from './invite.ts'
import type { Address, ProtocolId } from './net.ts'
import { sixWords } from './words.ts'

export const JOIN_PROTOCOL: ProtocolId = '/orch/join/1'

export interface JoinHello {
  readonly node: NodeId
  readonly name: string
  /** Of orch-node, for people. */
  readonly version: string
  /** SHA-256 of the joiner's nonce, which is told only after the other one: nobody in between can choose nonces that make the words agree. */
  readonly commit: string
  /** Id of the invitation; absent: a person there is to decide. */
  readonly invite?: string
}

export interface JoinChallenge {
  readonly node: NodeId
  readonly cluster: string
  readonly clusterName: string
  readonly nonce: string
  /** The clock there. */
  readonly now: WallMs
}

export interface JoinProof {
  readonly nonce: string
  /** Signature by the joiner's own key. */
  readonly own: string
  /** Signature by the one-time key of the invitation. */
  readonly proof?: string
}

export interface ClusterCard {
  /** 32 hex digits: the hash of founder and nonce. */
  readonly cluster: string
  readonly clusterName: string
  readonly founder: NodeId
  readonly nonce: string
  /** Where to go from here, best first; as many as fit are told. */
  readonly members: readonly { readonly node: NodeId; readonly addresses: readonly Address[] }[]
}

export type JoinOutcome =
  | { readonly type: 'admitted'; readonly role: Role; readonly card: ClusterCard }
  /** A person decides; another outcome follows. */
  | { readonly type: 'pending' }
  /** Nobody decided yet: ask once more. */
  | { readonly type: 'again' }
  | {
      readonly type: 'refused'
      readonly error: OrchError /** It may be tried again after so long. */
      readonly againMs?: DurationMs
    }

/** What both signatures are over, and the words are of. */
export interface JoinTranscript {
  readonly cluster: string
  readonly issuer: NodeId
  readonly node: NodeId
  readonly issuerNonce: string
  readonly nodeNonce: string
}

export function joinBytes(transcript: JoinTranscript): Uint8Array {
  return transcriptBytes('orch/join/1', transcript)
}

export function joinWords(transcript: JoinTranscript): string {
  return sixWords(createHash('sha256').update(transcriptBytes('orch/words/1', transcript)).digest())
}

export function commitment(nonce: string): string {
  return createHash('sha256').update(`orch/commit/1\0${nonce}`).digest('hex')
}

export function encodeJoin(message: JoinHello | JoinChallenge | JoinProof): Uint8Array {
  return Buffer.from(JSON.stringify(message))
}

/** Said instead of waiting on. */
export const WITHDRAWAL: Uint8Array = Buffer.from('{"type":"withdrawn"}')

export function isWithdrawal(bytes: Uint8Array): boolean {
  return read(bytes)?.type === 'withdrawn'
}

/** Of the members of a card as many as fit. */
export function encodeOutcome(outcome: JoinOutcome): Uint8Array {
  if (outcome.type === 'admitted') {
    const { members } = outcome.card
    for (let count = members.length; ; count--) {
      const card = { ...outcome.card, members: members.slice(0, count) }
      const bytes = Buffer.from(JSON.stringify({ ...outcome, card }))
      if (bytes.length <= JOIN_BYTES_MAX || count === 0) return bytes
    }
  }
  if (outcome.type !== 'refused') return Buffer.from(JSON.stringify(outcome))
  const { error, ...rest } = outcome
  const { code, message, hint } = error
  return Buffer.from(
    JSON.stringify({ ...rest, code, message: message.slice(0, 500), hint: hint.slice(0, 500) }),
  )
}

export function readJoinHello(bytes: Uint8Array): JoinHello | undefined {
  const { node, name, version, commit, invite } = read(bytes) ?? {}
  if (!isNode(node) || !isName(name) || !isName(version) || !isHex(commit, 64)) return undefined
  if (invite !== undefined && !isHex(invite, 16)) return undefined
  return { node, name, version, commit, ...(invite === undefined ? {} : { invite }) }
}

export function readChallenge(bytes: Uint8Array): JoinChallenge | undefined {
  const { node, cluster, clusterName, nonce, now } = read(bytes) ?? {}
  if (!isNode(node) || !isHex(cluster, 32) || !isName(clusterName) || !isHex(nonce, 64)) return undefined
  return Number.isSafeInteger(now) ? { node, cluster, clusterName, nonce, now: now as number } : undefined
}

export function readProof(bytes: Uint8Array): JoinProof | undefined {
  const { nonce, own, proof } = read(bytes) ?? {}
  if (!isHex(nonce, 64) || !isHex(own, 128)) return undefined
  if (proof !== undefined && !isHex(proof, 128)) return undefined
  return { nonce, own, ...(proof === undefined ? {} : { proof }) }
}

export function readOutcome(bytes: Uint8Array): JoinOutcome | undefined {
  const value = read(bytes)
  switch (value?.type) {
    case 'pending':
    case 'again':
      return { type: value.type }
    case 'admitted': {
      const card = readCard(value.card)
      const { role } = value
      return card && ROLES.includes(role as Role) ? { type: 'admitted', role: role as Role, card } : undefined
    }
    case 'refused': {
      const { code, message, hint, againMs } = value
      if (typeof message !== 'string') return undefined
      const isKnown = typeof code === 'string' && Object.hasOwn(ERRORS, code) && code !== 'ORCH_BUG'
      const error = new OrchError(isKnown ? (code as ErrorCode) : 'ORCH_PEER_DENIED', printable(message), {
        ...(typeof hint === 'string' && { hint: printable(hint) }),
      })
      const isSpan = Number.isSafeInteger(againMs) && (againMs as number) >= 0
      return { type: 'refused', error, ...(isSpan ? { againMs: againMs as number } : {}) }
    }
    default:
      return undefined
  }
}

function readCard(value: unknown): ClusterCard | undefined {
  if (!isObject(value)) return undefined
  const { cluster, clusterName, founder, nonce, members } = value
  if (!isHex(cluster, 32) || !isName(clusterName) || !isNode(founder)) return undefined
  if (typeof nonce !== 'string' || nonce.length > NAME_CHARS_MAX || !Array.isArray(members)) return undefined
  const read: { node: NodeId; addresses: Address[] }[] = []
  for (const member of members as unknown[]) {
    if (!isObject(member) || !isNode(member.node) || !Array.isArray(member.addresses)) return undefined
    const addresses = (member.addresses as unknown[]).filter(
      (address): address is string => typeof address === 'string' && /^\/[\x21-\x7e]+$/.test(address),
    )
    read.push({ node: member.node, addresses })
  }
  return { cluster, clusterName, founder, nonce, members: read }
}

function transcriptBytes(domain: string, said: JoinTranscript): Uint8Array {
  const { cluster, issuer, node, issuerNonce, nodeNonce } = said
  return Buffer.from([`${domain}\0${cluster}`, issuer, node, issuerNonce, nodeNonce].join('\n'))
}

function read(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNode(value: unknown): value is NodeId {
  return typeof value === 'string' && readNodeId(value) !== undefined
}

function isHex(value: unknown, digits: number): value is string {
  return typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value)
}

function printable(text: string): string {
  return text.slice(0, JOIN_BYTES_MAX).replace(/\p{C}/gu, '\ufffd')
}
