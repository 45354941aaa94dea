/**
 * Body of a frame: one Yjs update, version 1, with items of one client only. Each fact is an item in a root `Y.Map` named like its collection, under the key
 * `<fact key>/<node>/<incarnation>`, with its value as binary content. Write-once keys have no origins, so these bytes are what a `Y.Doc` would have made (a test compares),
 * and mean the same in every document: none is needed to write or to read facts.
 */
import { hash } from 'node:crypto'
import type { Fact } from '../core/fact.ts'
import { type Author, authorKey } from '../core/id.ts'
import { FACT_KEY_BYTES_MAX, FRAME_BYTES_MAX, FRAME_FACTS_MAX } from '../core/limit.ts'
import { Malformed } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import { isFactKey } from './fact-key.ts'
import { FRAME_HEAD_BYTES_MAX } from './frame.ts'
import { valueText } from './value.ts'

/** Item with a parentSub, no origins, and content 3 (binary). */
export const ITEM_INFO = 0x23
/** Its parent is a root type, by name. */
export const PARENT_IS_ROOT = 1

/** Yjs client of an incarnation: the first 53 bits of SHA-256, so that nobody can choose another's. */
export function clientOf(author: Author): number {
  const key = authorKey(author)
  let client = CLIENTS.get(key)
  if (client === undefined) {
    client = Number(BigInt(`0x${hash('sha256', key, 'hex').slice(0, 14)}`) >> 3n)
    if (CLIENTS.size >= CLIENTS_MAX) CLIENTS.clear()
    CLIENTS.set(key, client)
  }
  return client
}

/** Every frame is read with the client of its author, and most are of a few authors: the hash would be a good part of reading one. */
const CLIENTS = new Map<string, number>()
const CLIENTS_MAX = 1_000

/** Items of an update, without its head: items of several commits are joined to one update. */
export interface Items {
  readonly bytes: Uint8Array
  readonly facts: number
}

/** Items of one frame. */
const ITEMS_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEAD_BYTES_MAX

/**
 * These facts in order; one piece, unless they are more than a frame holds.
 *
 * @throws Malformed naming the fact that cannot be on a board
 */
export function createItems(facts: readonly Fact[], author: Author): Items[] {
  const suffix = `/${authorKey(author)}`
  const pieces: Items[] = []
  let items = new ByteWriter()
  let count = 0
  const end = (): void => {
    pieces.push({ bytes: items.bytes(), facts: count })
    items = new ByteWriter()
    count = 0
  }
  for (const { collection, key, body } of facts) {
    const text = factText(collection, key, body, suffix)
    const most = FACT_KEY_BYTES_MAX + text.length * 3 + 64
    if (count === FRAME_FACTS_MAX || (count > 0 && items.length + most > ITEMS_BYTES_MAX)) end()
    items.byte(ITEM_INFO)
    items.varuint(PARENT_IS_ROOT)
    items.text(collection)
    items.text(key + suffix)
    items.text(text)
    count++
  }
  if (count > 0) end()
  return pieces
}

/**
 * One update of several pieces.
 *
 * @param clock facts that this author has written to the document before
 */
export function createUpdate(pieces: readonly Items[], author: Author, clock: number): Uint8Array {
  const out = new ByteWriter()
  out.varuint(1)
  out.varuint(pieces.reduce((sum, { facts }) => sum + facts, 0))
  out.varuint(clientOf(author))
  out.varuint(clock)
  for (const { bytes } of pieces) out.raw(bytes)
  // An empty delete set.
  out.varuint(0)
  return out.bytes()
}

function factText(collection: string, key: string, body: unknown, suffix: string): string {
  const named = `${collection} ${JSON.stringify(key.slice(0, 200))}`
  if (!isFactKey(collection, key)) throw new Malformed(`${named} is no key of a fact`)
  if (!isWellFormed(key)) throw new Malformed(`the key of ${named} is no text: half a surrogate pair`)
  if (Buffer.byteLength(key) + suffix.length > FACT_KEY_BYTES_MAX)
    throw new Malformed(`the key of ${named} has more than ${FACT_KEY_BYTES_MAX} bytes with its author`)
  try {
    return valueText(body)
  } catch (error) {
    if (error instanceof Malformed) throw new Malformed(`${named}: ${error.message}`)
    throw error
  }
}

const LONE = /\p{Surrogate}/u

/** `String.prototype.isWellFormed` of ES2024. */
export function isWellFormed(text: string): boolean {
  return !LONE.test(text)
}
