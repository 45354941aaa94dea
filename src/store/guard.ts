/**
 * What stands between a frame and the board: a pure check of its body. It reads the restricted form of `update.ts` and nothing else, so that no parser of Yjs ever sees
 * bytes that were not checked: a 14-byte update could silence a victim for ever, an 8-byte one allocate 200 MB. The verdict rests on the frame and its chain alone, so it
 * is the same on every node.
 */
import type { Batch, Fact } from '../core/fact.ts'
import { type Author, authorKey } from '../core/id.ts'
import { FACT_BYTES_MAX, FACT_KEY_BYTES_MAX, FRAME_FACTS_MAX } from '../core/limit.ts'
import { ByteReader, Malformed, textOf } from './byte-reader.ts'
import { type ChainKeys, isFactKey, isKnownCollection } from './fact-key.ts'
import { type Frame, factsOf } from './frame.ts'
import type { FactQuery } from './store.ts'
import { clientOf, ITEM_INFO, PARENT_IS_ROOT } from './update.ts'
import { checkValue, readValue } from './value.ts'

/** The smallest item: info, parent, root `a`, key, content. Declared counts are held against the bytes there are. */
const ITEM_BYTES_MIN = 8
const COLLECTION_BYTES_MAX = 32

/** What of a frame its facts are read from. */
export type Readable = Pick<Frame, 'doc' | 'node' | 'incarnation' | 'commits' | 'body'>

export type Verdict = { readonly ok: true } | { readonly ok: false; readonly reason: string }

/**
 * Checks a body against its header and its chain. Never throws; `keys` gains those of a body that is let in, and stays as it was for one that is not.
 *
 * @param clock facts of the chain's frames before this one
 */
export function guard(frame: Frame, clock: number, keys: ChainKeys): Verdict {
  const added: [string, string][] = []
  try {
    const count = visit(frame, frame, clock, (collection, key, bytes, start, end) => {
      if (!isFactKey(collection, key)) throw new Malformed(`${collection} has no key ${JSON.stringify(key)}`)
      if (!keys.add(collection, key))
        throw new Malformed(`${collection} ${JSON.stringify(key)} is written twice`)
      added.push([collection, key])
      checkValue(bytes, start, end)
    })
    const declared = factsOf(frame)
    if (count !== declared) throw new Malformed(`holds ${count} facts and says ${declared}`)
    return { ok: true }
  } catch (error) {
    for (const [collection, key] of added) keys.remove(collection, key)
    if (error instanceof Malformed) return { ok: false, reason: error.message }
    throw error
  }
}

/** Commits of a frame that the guard let in once, with the facts that match and that this version knows; without those that have none. */
export function readBatches(frame: Readable, query: FactQuery = {}): (Batch & { readonly facts: Fact[] })[] {
  const { doc, node, incarnation, commits } = frame
  const author: Author = { node, incarnation }
  const batches: (Batch & { readonly facts: Fact[] })[] = []
  if (query.doc !== undefined && query.doc !== doc) return batches
  let place = -1
  let left = 0
  let facts: Fact[] = []
  visit(frame, frame, undefined, (collection, key, bytes, start, end) => {
    while (left === 0) {
      place++
      left = commits[place]!.facts
      facts = []
    }
    left--
    if (!isKnownCollection(collection)) return
    if (query.collection !== undefined && collection !== query.collection) return
    if (query.prefix !== undefined && !key.startsWith(query.prefix)) return
    if (facts.length === 0) batches.push({ author, n: commits[place]!.n, at: commits[place]!.at, facts })
    facts.push({ doc, collection, key, body: readValue(bytes, start, end) } as Fact)
  })
  return batches
}

/** Facts of a frame that the guard let in once, those that match. */
export function readFacts(frame: Readable, query: FactQuery = {}): Fact[] {
  return readBatches(frame, query).flatMap((batch) => batch.facts)
}

/** Takes the keys of a frame that the guard let in once. */
export function takeKeys(frame: Readable, keys: ChainKeys): void {
  visit(frame, frame, undefined, (collection, key) => keys.add(collection, key))
}

type Visitor = (collection: string, key: string, bytes: Buffer, start: number, end: number) => void

/** Walks over the items of a body; returns how many there are. */
function visit({ body }: Readable, author: Author, clock: number | undefined, item: Visitor): number {
  const input = new ByteReader(body)
  const suffix = Buffer.from(`/${authorKey(author)}`, 'latin1')
  if (input.varuint('number of clients') !== 1) throw new Malformed('is not of one client')
  const count = input.varuint('number of items', FRAME_FACTS_MAX)
  if (count === 0) throw new Malformed('holds no item')
  if (count * ITEM_BYTES_MIN > body.length) throw new Malformed('declares more items than it has bytes for')
  if (input.varuint('client') !== clientOf(author)) throw new Malformed('is of a foreign client')
  const first = input.varuint('clock')
  if (clock !== undefined && first !== clock)
    throw new Malformed(`begins at clock ${first}, its chain is at ${clock}`)
  const { bytes } = input
  for (let i = 0; i < count; i++) {
    const info = input.byte('item')
    if (info !== ITEM_INFO) throw new Malformed(whatIs(info))
    if (input.varuint('parent') !== PARENT_IS_ROOT) throw new Malformed('an item is not in a root type')
    const collection = input.text('collection', COLLECTION_BYTES_MAX)
    const keyBytes = input.varuint('length of a key', FACT_KEY_BYTES_MAX)
    const keyAt = input.skip(keyBytes, 'key')
    const keyEnd = input.at - suffix.length
    if (keyEnd <= keyAt || bytes.compare(suffix, 0, suffix.length, keyEnd, input.at) !== 0)
      throw new Malformed('a key does not end with the author of the frame')
    const key = textOf(bytes, keyAt, keyEnd, 'a key')
    const valueBytes = input.varuint('length of a value', FACT_BYTES_MAX)
    const valueAt = input.skip(valueBytes, 'value')
    item(collection, key, bytes, valueAt, input.at)
  }
  if (input.varuint('delete set') !== 0) throw new Malformed('deletes something')
  input.finish('the update')
  return count
}

function whatIs(info: number): string {
  const content = info & 31
  if (info & 0x80) return 'an item has an origin'
  if (info & 0x40) return 'an item has a right origin'
  if (content === 0) return 'a gap that was collected (GC)'
  if (content === 10) return 'a gap that is skipped'
  if (content !== 3) return `an item has content ${content}, not binary`
  return 'an item has no key'
}
