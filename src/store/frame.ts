/**
 * A frame: what one incarnation wrote to one document with one write of its disk, signed, and chained to the frame before it by a hash. Bytes: LAYOUT.md.
 *
 * There is exactly one spelling of a frame: whatever decodes encodes to the same bytes, so its hash names it (SPEC FR1).
 */
import { hash as hashBytes } from 'node:crypto'
import type { Author, DocId, Incarnation, NodeId, WallMs } from '../core/id.ts'
import { DOC_BYTES_MAX, FRAME_BYTES_MAX, FRAME_FACTS_MAX } from '../core/limit.ts'
import { ByteReader, Malformed } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'

const FRAME_VERSION = 1
/** Keeps a signature of a frame from being one of anything else. */
const DOMAIN = Buffer.from('orch/frame/1\n')
const SIGNATURE_BYTES = 64
const HASH_BYTES = 32
const CLUSTER_BYTES = 16
/** Eight hex digits in the keys of the disk. */
const FRAME_NUMBER_MAX = 0xffff_ffff
/** `prev` of a first frame. */
export const NO_HASH = '0'.repeat(64)
/** More than any header with its signature. */
export const FRAME_HEAD_BYTES_MAX = DOC_BYTES_MAX + 512

const NODE = /^[A-Za-z0-9-]{1,64}$/
const INCARNATION = /^[0-9A-Z]{26}$/
const CLUSTER = /^[0-9a-f]{32}$/

/** A chain: frames 1, 2, 3 … of one incarnation in one document. */
export interface ChainId {
  readonly doc: DocId
  readonly node: NodeId
  readonly incarnation: Incarnation
}

export interface FrameHeader extends ChainId {
  /** 32 hex digits. */
  readonly cluster: string
  /** Place in its chain, from 1. */
  readonly n: number
  /** SHA-256 of frame n - 1, 64 hex digits; zeros for the first. */
  readonly prev: string
  /** Whose facts the body holds, in its order; at least one, with rising numbers. */
  readonly commits: readonly CommitPart[]
}

/** What a frame has of one commit: all of it that is in this document, unless that is more than a frame holds. */
export interface CommitPart {
  /** Number of the commit in its incarnation, over all documents, from 1: what a `Batch` is numbered by, and a cutoff names. */
  readonly n: number
  /** The author's wall clock, for display. */
  readonly at: WallMs
  /** At least 1. */
  readonly facts: number
}

export interface Frame extends FrameHeader {
  /** One Yjs update. A view into `bytes`. */
  readonly body: Uint8Array
  /** The whole frame. */
  readonly bytes: Uint8Array
}

export interface Signer {
  readonly node: NodeId
  /** Ed25519 signature, 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array
}

export type Verify = (node: NodeId, bytes: Uint8Array, signature: Uint8Array) => boolean

export type FrameReading =
  | { readonly ok: true; readonly frame: Frame }
  /** `newer`: of a protocol that this version does not know, nobody's fault. */
  | { readonly ok: false; readonly problem: string; readonly newer?: true }

/** Signs and encodes. The header must be sound: it is our own. */
export function createFrame(header: FrameHeader, body: Uint8Array, signer: Signer): Frame {
  const out = new ByteWriter()
  out.raw(DOMAIN)
  out.varuint(FRAME_VERSION)
  out.raw(Buffer.from(header.cluster, 'hex'))
  out.text(header.doc)
  out.text(header.node)
  out.raw(Buffer.from(header.incarnation, 'latin1'))
  out.varuint(header.n)
  out.raw(Buffer.from(header.prev, 'hex'))
  out.varuint(header.commits.length)
  for (const { n, at, facts } of header.commits) {
    out.varuint(n)
    out.varuint(at)
    out.varuint(facts)
  }
  out.varuint(body.length)
  const bodyAt = out.length - DOMAIN.length
  out.raw(body)
  out.raw(signer.sign(out.bytes()))
  const bytes = out.bytes().subarray(DOMAIN.length)
  return { ...header, bytes, body: bytes.subarray(bodyAt, bodyAt + body.length) }
}

/** Reads a frame; its signature and its place are checked elsewhere. Never throws. */
export function readFrame(bytes: Uint8Array): FrameReading {
  try {
    return read(bytes)
  } catch (error) {
    if (error instanceof Malformed) return { ok: false, problem: error.message }
    throw error
  }
}

function read(bytes: Uint8Array): FrameReading {
  if (bytes.length > FRAME_BYTES_MAX) throw new Malformed(`${bytes.length} bytes are too long for a frame`)
  const input = new ByteReader(bytes, 0, Math.max(0, bytes.length - SIGNATURE_BYTES))
  const version = input.varuint('version')
  if (version > FRAME_VERSION)
    return {
      ok: false,
      newer: true,
      problem: `is of protocol ${version}, this node speaks ${FRAME_VERSION}`,
    }
  if (version < FRAME_VERSION) throw new Malformed('version 0')
  const cluster = hex(input, CLUSTER_BYTES, 'cluster')
  const doc = input.text('document', DOC_BYTES_MAX)
  if (doc === '') throw new Malformed('document without a name')
  const node = input.text('node', 64)
  const start = input.skip(26, 'incarnation')
  const incarnation = input.bytes.toString('latin1', start, input.at)
  if (!NODE.test(node) || !INCARNATION.test(incarnation)) throw new Malformed('author is malformed')
  const n = input.varuint('number', FRAME_NUMBER_MAX)
  if (n === 0) throw new Malformed('frames count from 1')
  const prev = hex(input, HASH_BYTES, 'previous hash')
  if ((n === 1) !== (prev === NO_HASH)) throw new Malformed('previous hash does not fit the number')
  const commits = readCommits(input)
  const body = input.take(input.varuint('length of the body', FRAME_BYTES_MAX), 'body')
  input.finish('the body')
  return {
    ok: true,
    frame: { cluster, doc, node, incarnation, n, prev, commits, body, bytes },
  }
}

function readCommits(input: ByteReader): CommitPart[] {
  const count = input.varuint('number of commits', FRAME_FACTS_MAX)
  if (count === 0) throw new Malformed('holds no commit')
  const commits: CommitPart[] = []
  let [last, all] = [0, 0]
  for (let i = 0; i < count; i++) {
    const n = input.varuint('commit')
    if (n <= last) throw new Malformed('numbers of commits do not rise from 1')
    const at = input.varuint('time')
    const facts = input.varuint('fact count', FRAME_FACTS_MAX)
    if (facts === 0) throw new Malformed('holds a commit without a fact')
    last = n
    all += facts
    commits.push({ n, at, facts })
  }
  if (all > FRAME_FACTS_MAX) throw new Malformed(`holds more than ${FRAME_FACTS_MAX} facts`)
  return commits
}

export function factsOf(frame: Pick<FrameHeader, 'commits'>): number {
  return frame.commits.reduce((sum, { facts }) => sum + facts, 0)
}

function hex(input: ByteReader, count: number, what: string): string {
  const start = input.skip(count, what)
  return input.bytes.toString('hex', start, input.at)
}

/** Names a frame: SHA-256 of all its bytes, 64 hex digits. */
export function hashFrame(bytes: Uint8Array): string {
  return hashBytes('sha256', bytes, 'hex')
}

/** True when its author signed it. */
export function isSigned(frame: Frame, verify: Verify): boolean {
  const { bytes } = frame
  const end = bytes.length - SIGNATURE_BYTES
  const signed = new Uint8Array(DOMAIN.length + end)
  signed.set(DOMAIN)
  signed.set(bytes.subarray(0, end), DOMAIN.length)
  return verify(frame.node, signed, bytes.subarray(end))
}

export function isClusterId(text: string): boolean {
  return CLUSTER.test(text)
}

/** True when frames can name this author. */
export function isFrameAuthor(author: Author): boolean {
  return NODE.test(author.node) && INCARNATION.test(author.incarnation)
}

export function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
