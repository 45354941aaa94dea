/**
 * Who a node is: an Ed25519 key in `identity.key`, made at the first start and kept for ever. Its public half, written as a libp2p peer id, is
 * the node's id, so that everyone who knows the id can check a signature. Needs no libp2p: the one-machine backend has an identity too.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto'
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { OrchError } from '../core/error.ts'
import type { Incarnation, NodeId, WallMs } from '../core/id.ts'
import { PUBLIC_KEYS_KEPT_MAX } from '../core/limit.ts'
import { decodeBase58, encodeBase58 } from './base58.ts'

export const IDENTITY_FILE = 'identity.key'

/** Identity multihash (0x00, 36 bytes) of the protobuf {type: Ed25519 (1), data: 32 bytes}. libp2p peer-ids specification. */
const PEER_ID_HEAD = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
/** DER of a SubjectPublicKeyInfo and of a PKCS #8 key with the 32 bytes cut off. RFC 8410. */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')
const KEY_BYTES = 32
const FILE_BYTES_MAX = 4_096

export interface Identity {
  readonly node: NodeId
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** Ed25519 signature, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array
}

/**
 * Reads the key file of a data directory, or makes it. Of two starters that race both get the one key that reached the disk first.
 *
 * @throws ORCH_IDENTITY when others may read the file or it holds no Ed25519 key; ORCH_DATA_DIR when it cannot be read or made
 */
export function openIdentity(dataDir: string): Identity {
  const path = join(dataDir, IDENTITY_FILE)
  return readIdentity(path) ?? makeIdentity(path)
}

/** Identity of a 32-byte seed; tests and simulations. */
export function identityFromSeed(seed: Uint8Array): Identity {
  if (seed.length !== KEY_BYTES)
    throw new OrchError('ORCH_IDENTITY', `a seed has ${KEY_BYTES} bytes, not ${seed.length}`)
  return identityOf(
    createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' }),
  )
}

/** True when `signature` is of `bytes` by this node. False for anything malformed. */
export function verifySignature(node: NodeId, bytes: Uint8Array, signature: Uint8Array): boolean {
  const key = signature.length === 64 ? keyOf(node) : undefined
  return key !== undefined && verifyBytes(null, bytes, key, signature)
}

/** Public keys ready to verify with: making one takes as long as a verification. The oldest goes first. */
const keys = new Map<NodeId, KeyObject>()

function keyOf(node: NodeId): KeyObject | undefined {
  const known = keys.get(node)
  if (known) return known
  const publicKey = readNodeId(node)
  if (!publicKey) return undefined
  const key = publicKeyObject(publicKey)
  if (keys.size >= PUBLIC_KEYS_KEPT_MAX) keys.delete(keys.keys().next().value!)
  keys.set(node, key)
  return key
}

/** Public key of a node id, 32 bytes; `undefined` when it is not the id of an Ed25519 key. */
export function readNodeId(node: NodeId): Uint8Array | undefined {
  if (node.length !== 52) return undefined
  const bytes = decodeBase58(node)
  if (bytes?.length !== PEER_ID_HEAD.length + KEY_BYTES) return undefined
  return PEER_ID_HEAD.every((byte, i) => bytes[i] === byte) ? bytes.slice(PEER_ID_HEAD.length) : undefined
}

export function nodeIdOf(publicKey: Uint8Array): NodeId {
  return encodeBase58(Buffer.concat([PEER_ID_HEAD, publicKey]))
}

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const TIME_DIGITS = 10
const RANDOM_BYTES = 10

/** Name of a process life: 48 bits of milliseconds, then 80 random bits, in Crockford base32 (as in the ULID specification). */
export function createIncarnation(now: WallMs, random80: (count: number) => Uint8Array): Incarnation {
  let time = ''
  for (
    let i = 0, rest = Math.floor(Math.max(0, Math.min(now, 2 ** 48 - 1)));
    i < TIME_DIGITS;
    i++, rest = Math.floor(rest / 32)
  ) {
    time = CROCKFORD[rest % 32]! + time
  }
  let random = ''
  let bits = 0n
  for (const byte of random80(RANDOM_BYTES).subarray(0, RANDOM_BYTES)) bits = (bits << 8n) | BigInt(byte)
  for (let i = 0; i < 16; i++, bits >>= 5n) random = CROCKFORD[Number(bits & 31n)]! + random
  return time + random
}

/** Kept apart from the identity itself, so that no log or copy of one can hold a seed. */
const KEYS = new WeakMap<Identity, KeyObject>()

/** When a process life was named, as its name says; 0 for what is no such name. */
export function incarnationTime(incarnation: Incarnation): WallMs {
  if (incarnation.length !== TIME_DIGITS + 16) return 0
  let time = 0
  for (const digit of incarnation.slice(0, TIME_DIGITS)) time = time * 32 + CROCKFORD.indexOf(digit)
  return Number.isSafeInteger(time) && time > 0 ? time : 0
}

function identityOf(key: KeyObject): Identity {
  const publicKey = new Uint8Array(
    createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_HEAD.length),
  )
  const identity: Identity = {
    node: nodeIdOf(publicKey),
    publicKey,
    sign: (bytes) => new Uint8Array(signBytes(null, bytes, key)),
  }
  KEYS.set(identity, key)
  return identity
}

/** The whole key, seed and public half (64 bytes), for the transport's handshake alone. */
export function transportKey(identity: Identity): Uint8Array {
  const key = KEYS.get(identity)
  if (!key) throw new OrchError('ORCH_BUG', 'this identity was not made by openIdentity or identityFromSeed')
  const der = key.export({ format: 'der', type: 'pkcs8' })
  return new Uint8Array(Buffer.concat([der.subarray(der.length - KEY_BYTES), identity.publicKey]))
}

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_HEAD, publicKey]), format: 'der', type: 'spki' })
}

function readIdentity(path: string): Identity | undefined {
  let fd: number
  try {
    fd = openSync(path, 'r')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileFault(path, cause)
  }
  try {
    const { mode, size } = fstatSync(fd)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0')
      throw new OrchError(
        'ORCH_IDENTITY',
        `${path} has mode ${octal}: others may read the key of this node`,
        {
          context: { path, mode: octal },
          hint: `run \`chmod 600 ${path}\`; if others may have read it, remove it and let this node join anew`,
        },
      )
    }
    if (size > FILE_BYTES_MAX) throw malformed(path)
    return identityOf(readKey(path, readFileSync(fd, 'utf8')))
  } catch (cause) {
    throw fileFault(path, cause)
  } finally {
    closeSync(fd)
  }
}

function readKey(path: string, pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey({ key: pem, format: 'pem' })
  } catch (cause) {
    throw malformed(path, cause)
  }
  if (key.asymmetricKeyType !== 'ed25519') throw malformed(path)
  return key
}

function malformed(path: string, cause?: unknown): OrchError {
  // The cause of a key parser never holds the key.
  return new OrchError('ORCH_IDENTITY', `${path} holds no Ed25519 key in PEM (PKCS #8)`, {
    context: { path },
    cause,
  })
}

function makeIdentity(path: string): Identity {
  const { privateKey } = generateKeyPairSync('ed25519')
  // A name of its own, so that a file left by a crash never stands in the way.
  const fresh = `${path}.${randomBytes(6).toString('hex')}.new`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const fd = openSync(fresh, 'wx', 0o600)
    try {
      writeFileSync(fd, privateKey.export({ format: 'pem', type: 'pkcs8' }))
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    try {
      linkSync(fresh, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      unlinkSync(fresh)
    }
    syncDirectory(dirname(path))
  } catch (cause) {
    throw fileFault(path, cause)
  }
  const identity = readIdentity(path)
  if (!identity) throw fileFault(path, new Error('removed while it was made'))
  return identity
}

/** A key that a power loss takes back would be another node after the restart. */
function syncDirectory(dir: string): void {
  const fd = openSync(dir, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function fileFault(path: string, cause: unknown): unknown {
  if (cause instanceof OrchError) return cause
  return new OrchError('ORCH_DATA_DIR', `${path}: ${(cause as Error).message}`, { context: { path }, cause })
}
