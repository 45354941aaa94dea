/**
 * An invitation as text: all that a machine needs to find a cluster, to be sure that it is the right one, and to be let in once. The text is a secret as long as it is valid: whoever
 * holds it may join. Only its issuer decides; what is checked here spares the way and tells a person what is wrong with his copy. Bytes: `PROTOCOL.md`.
 */
import { createHash } from 'node:crypto'
import { OrchError } from '../core/error.ts'
import { ROLES, type Role } from '../core/fact.ts'
import type { NodeId, WallMs } from '../core/id.ts'
import { CLOCK_TOLERANCE_MS, INVITE_ADDRESSES_MAX, INVITE_MS_MAX, NAME_CHARS_MAX } from '../core/limit.ts'
import { type Identity, identityFromSeed, nodeIdOf, readNodeId, verifySignature } from './identity.ts'
import type { Address } from './net.ts'

const VERSION = 1
const DOMAIN = 'orch/invite/1\0'
/** Crockford's base32, lower case: no i, l, o, u. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
const LENGTH_BYTES = 2
const CLUSTER_BYTES = 16
const KEY_BYTES = 32
const ID_BYTES = 8
const TIME_BYTES = 6
const SIGNATURE_BYTES = 64
const CHECKSUM_BYTES = 4
const SEED_AT = LENGTH_BYTES + CLUSTER_BYTES
const TEXT_BYTES_MAX = 255
const TOKEN_CHARS_MAX = 4_096

/** What an invitation says; no secret. */
export interface Invite {
  /** 32 hex digits. */
  readonly cluster: string
  readonly clusterName: string
  readonly issuer: NodeId
  /** 16 hex digits; subject of its facts is `invite:<id>`. */
  readonly id: string
  /** Public half of the one-time key, 64 hex digits. */
  readonly key: string
  readonly role: Role
  /** By the issuer's clock. */
  readonly issuedAt: WallMs
  readonly expiresAt: WallMs
  /** Best first, each with `/p2p/<issuer>`. */
  readonly addresses: readonly Address[]
}

export interface CreatedInvite {
  readonly invite: Invite
  /** To be shown once and kept nowhere. */
  readonly token: string
}

export type ReadInvite =
  | {
      readonly ok: true
      readonly invite: Invite /** Signs with the one-time key. */
      readonly prove: Identity['sign']
    }
  | {
      readonly ok: false
      readonly code: 'ORCH_INVITE_INVALID' | 'ORCH_INVITE_EXPIRED'
      readonly problem: string
    }

/**
 * @param seed 32 random bytes; `id` 16 hex digits; addresses with or without `/p2p/…`, the first INVITE_ADDRESSES_MAX are taken
 * @throws ORCH_USAGE no address, a span that is longer than INVITE_MS_MAX or none, a name that is none
 */
export function createInvite(
  identity: Identity,
  wish: Pick<Invite, 'cluster' | 'clusterName' | 'id' | 'role' | 'issuedAt' | 'expiresAt' | 'addresses'>,
  seed: Uint8Array,
): CreatedInvite {
  const tail = `/p2p/${identity.node}`
  const bare = wish.addresses.map((address) => address.replace(/\/p2p\/[^/]+$/, ''))
  const addresses = [...new Set(bare)].slice(0, INVITE_ADDRESSES_MAX)
  if (addresses.length === 0)
    throw new OrchError('ORCH_USAGE', 'this node listens on no address, so nobody can be invited to it', {
      hint: 'start it with `orch-node start --listen ADDR`',
    })
  const ms = wish.expiresAt - wish.issuedAt
  if (!(ms > 0 && ms <= INVITE_MS_MAX))
    throw new OrchError('ORCH_USAGE', `an invitation lives up to ${INVITE_MS_MAX / 86_400_000} days`)
  if (!isName(wish.clusterName))
    throw new OrchError('ORCH_USAGE', `a cluster's name has 1 to ${NAME_CHARS_MAX} printable characters`)
  const name = Buffer.from(wish.clusterName)
  const head = Buffer.alloc(LENGTH_BYTES)
  const rest = Buffer.concat([
    identity.publicKey,
    Buffer.from(wish.id, 'hex'),
    Uint8Array.of(ROLES.indexOf(wish.role)),
    timeBytes(wish.issuedAt),
    timeBytes(wish.expiresAt),
    Uint8Array.of(name.length),
    name,
    Uint8Array.of(addresses.length),
    ...addresses.map(addressBytes),
  ])
  head.writeUInt16BE(SEED_AT + KEY_BYTES + rest.length + SIGNATURE_BYTES + CHECKSUM_BYTES)
  const body = Buffer.concat([head, Buffer.from(wish.cluster, 'hex'), seed, rest])
  const signed = Buffer.concat([body, identity.sign(signable(body, identityFromSeed(seed).publicKey))])
  return {
    token: `orch${VERSION}-${encodeBase32(Buffer.concat([signed, checksum(signed)]))}`,
    invite: {
      ...wish,
      issuer: identity.node,
      key: Buffer.from(identityFromSeed(seed).publicKey).toString('hex'),
      addresses: addresses.map((address) => address + tail),
    },
  }
}

/** Reads a token as people paste it: white space, hyphens and capitals do not matter. The words of a problem never hold a part of it. */
export function readInvite(text: string, now: WallMs): ReadInvite {
  const bare = text
    .slice(0, TOKEN_CHARS_MAX + 1)
    .replace(/[\s\u200b]+/g, '')
    .toLowerCase()
  const [, version, digits] = /^orch(\d+)-(.*)$/.exec(bare) ?? []
  if (version === undefined || digits === undefined || bare.length > TOKEN_CHARS_MAX)
    return invalid('this is no invitation: one begins with `orch1-`')
  if (Number(version) !== VERSION)
    return invalid(
      `the invitation is of another version (${Number(version)}; this orch-node reads ${VERSION}): use the same version on both machines`,
    )
  const read = decodeBase32(digits.replaceAll('-', ''))
  return typeof read === 'string' ? invalid(read) : readBytes(read.bytes, read.isWhole, now)
}

/** True when all addresses are of the machine itself: nobody else can come in by them. */
export function isLoopbackOnly(addresses: readonly Address[]): boolean {
  return addresses.every((address) =>
    /^\/(ip4\/127\.|ip6\/(0:){7}0*1\/|ip6\/::1\/|dns[46]?\/localhost\/)/.test(address),
  )
}

/** Names of nodes and clusters as others tell them: 1 to NAME_CHARS_MAX characters, nothing that moves a terminal or turns a text around. */
export function isName(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    name.trim() !== '' &&
    name.length <= NAME_CHARS_MAX &&
    Buffer.byteLength(name) <= TEXT_BYTES_MAX &&
    !/[\p{C}\p{Zl}\p{Zp}]/u.test(name)
  )
}

const ALTERED = 'the invitation was altered: copy it again, whole'

function readBytes(bytes: Buffer, isWhole: boolean, now: WallMs): ReadInvite {
  const told = bytes.length < LENGTH_BYTES ? Number.POSITIVE_INFINITY : bytes.readUInt16BE(0)
  if (bytes.length < told)
    return invalid(
      `the invitation is cut: ${bytes.length} of ${told === Number.POSITIVE_INFINITY ? 'many' : told} bytes are there`,
    )
  if (bytes.length > told)
    return invalid('the invitation has more at its end than belongs to it: copy it again')
  if (!isWhole) return invalid(ALTERED)
  const signedTo = bytes.length - CHECKSUM_BYTES
  const bodyTo = signedTo - SIGNATURE_BYTES
  if (bodyTo < SEED_AT + KEY_BYTES || !checksum(bytes.subarray(0, signedTo)).equals(bytes.subarray(signedTo)))
    return invalid(ALTERED)
  const body = bytes.subarray(0, bodyTo)
  const seed = body.subarray(SEED_AT, SEED_AT + KEY_BYTES)
  const oneTime = identityFromSeed(seed)
  const read = readBody(body)
  if (!read) return invalid(ALTERED)
  const invite = { ...read, key: Buffer.from(oneTime.publicKey).toString('hex') }
  if (!verifySignature(invite.issuer, signable(body, oneTime.publicKey), bytes.subarray(bodyTo, signedTo)))
    return invalid('the invitation was not signed by the node that it names: ask for a new one')
  return outOfTime(invite, now) ?? { ok: true, invite, prove: (message) => oneTime.sign(message) }
}

/** The issuer decides by its own clock; here only what is far from it, so that a person learns which of the two to mend. */
function outOfTime(invite: Invite, now: WallMs): ReadInvite | undefined {
  const here = `the clock of this machine says ${new Date(now).toISOString()}`
  if (now < invite.issuedAt - CLOCK_TOLERANCE_MS)
    return invalid(
      `the invitation is not valid yet: it was made at ${new Date(invite.issuedAt).toISOString()}, and ${here}: one of the two clocks is wrong`,
    )
  if (now <= invite.expiresAt + CLOCK_TOLERANCE_MS) return undefined
  const isFar = now - invite.expiresAt > INVITE_MS_MAX
  const problem = `the invitation expired at ${new Date(invite.expiresAt).toISOString()}; ${here}`
  return {
    ok: false,
    code: 'ORCH_INVITE_EXPIRED',
    problem: isFar ? `${problem}, which is so much later that it may be wrong` : problem,
  }
}

function readBody(body: Buffer): Omit<Invite, 'key'> | undefined {
  let at = SEED_AT + KEY_BYTES
  const take = (count: number): Buffer | undefined => {
    const end = at + count
    if (end > body.length) return undefined
    const part = body.subarray(at, end)
    at = end
    return part
  }
  const takeText = (): string | undefined => {
    const length = take(1)
    const part = length && take(length[0]!)
    const text = part?.toString()
    return part && text !== undefined && Buffer.from(text).equals(part) ? text : undefined
  }
  const takeAddress = (): string | undefined => {
    const kind = take(1)?.[0]
    if (kind === 0) return takeText()
    const part = kind === 4 ? take(6) : undefined
    return part && `/ip4/${part.subarray(0, 4).join('.')}/tcp/${part.readUInt16BE(4)}`
  }
  const issuer = take(KEY_BYTES)
  const id = take(ID_BYTES)
  const role = ROLES[take(1)?.[0] ?? -1]
  const issuedAt = take(TIME_BYTES)?.readUIntBE(0, TIME_BYTES)
  const expiresAt = take(TIME_BYTES)?.readUIntBE(0, TIME_BYTES)
  const clusterName = takeText()
  const count = take(1)?.[0] ?? 0
  if (!issuer || !id || !role || issuedAt === undefined || expiresAt === undefined) return undefined
  if (!isName(clusterName) || count < 1 || count > INVITE_ADDRESSES_MAX) return undefined
  const node = nodeIdOf(issuer)
  const addresses: Address[] = []
  for (let i = 0; i < count; i++) {
    const address = takeAddress()
    if (!address || !/^\/[\x21-\x7e]+$/.test(address)) return undefined
    addresses.push(`${address}/p2p/${node}`)
  }
  if (at !== body.length || !readNodeId(node)) return undefined
  const cluster = body.toString('hex', LENGTH_BYTES, SEED_AT)
  return { cluster, clusterName, issuer: node, id: id.toString('hex'), role, issuedAt, expiresAt, addresses }
}

function invalid(problem: string): ReadInvite {
  return { ok: false, code: 'ORCH_INVITE_INVALID', problem }
}

/** All but the secret: its public half stands in its place. */
function signable(body: Buffer, key: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(DOMAIN),
    body.subarray(0, SEED_AT),
    key,
    body.subarray(SEED_AT + KEY_BYTES),
  ])
}

function checksum(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest().subarray(0, CHECKSUM_BYTES)
}

function timeBytes(time: WallMs): Buffer {
  const bytes = Buffer.alloc(TIME_BYTES)
  bytes.writeUIntBE(Math.floor(time), 0, TIME_BYTES)
  return bytes
}

/** The common kind of address takes 7 bytes, any other its text. */
function addressBytes(address: Address): Buffer {
  const [, ip, port] = /^\/ip4\/((?:\d{1,3}\.){3}\d{1,3})\/tcp\/(\d{1,5})$/.exec(address) ?? []
  const parts = ip?.split('.').map(Number) ?? []
  if (ip && parts.every((part) => part < 256) && Number(port) < 65_536)
    return Buffer.from([4, ...parts, Number(port) >> 8, Number(port) & 255])
  const text = Buffer.from(address)
  if (text.length > TEXT_BYTES_MAX)
    throw new OrchError('ORCH_USAGE', `an address has up to ${TEXT_BYTES_MAX} bytes, not ${text.length}`)
  return Buffer.concat([Uint8Array.of(0, text.length), text])
}

function encodeBase32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let count = 0
  for (const byte of bytes) {
    bits = ((bits & 31) << 8) | byte
    for (count += 8; count >= 5; count -= 5) text += DIGITS[(bits >> (count - 5)) & 31]
  }
  return count > 0 ? text + DIGITS[(bits << (5 - count)) & 31] : text
}

/**
 * The bytes, or the problem in words. Look-alikes are read as what they look like. Bits left over are zero in what we wrote, so that no character can change unseen: else it is not
 * whole.
 */
function decodeBase32(text: string): { bytes: Buffer; isWhole: boolean } | string {
  const bytes: number[] = []
  let bits = 0
  let count = 0
  for (const char of text.replace(/[il]/g, '1').replaceAll('o', '0')) {
    const digit = DIGITS.indexOf(char)
    if (digit < 0) return 'the invitation holds a character that never occurs in one: copy it again'
    bits = ((bits & 255) << 5) | digit
    count += 5
    if (count < 8) continue
    count -= 8
    bytes.push((bits >> count) & 255)
  }
  return { bytes: Buffer.from(bytes), isWhole: count < 5 && (bits & ((1 << count) - 1)) === 0 }
}
