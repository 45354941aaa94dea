/** Which keys a collection has (grammar of core/fact.ts), and the keys that a chain has used. */
import { type Collection, readSlotKey, readVersionKey } from '../core/fact.ts'
import { isTaskId } from '../core/id.ts'

const isSlot = (rest: boolean) => (key: string) => {
  const slot = readSlotKey('', key)
  return slot !== undefined && isTaskId(slot.task) && (slot.rest !== undefined) === rest && slot.rest !== ''
}
const isScope = (key: string) => key === '*' || isTaskId(key)
const isVersion = (key: string) => readVersionKey(key) !== undefined
const isOrder = (key: string) => {
  const version = readVersionKey(key)
  return version !== undefined && isScope(version.subject)
}
/** Free text of people and agents. */
const isAny = () => true

const GRAMMAR: Readonly<Record<Collection, (key: string) => boolean>> = {
  specs: isTaskId,
  seals: isScope,
  claims: isSlot(false),
  starts: isSlot(false),
  results: isSlot(false),
  voids: isSlot(false),
  accepts: isSlot(false),
  rejects: isSlot(true),
  acks: isSlot(true),
  orders: isOrder,
  runs: isVersion,
  nodes: isVersion,
  members: isVersion,
  messages: isAny,
  kv: isAny,
}

/** A name that a later version may give a collection: its facts are kept and passed on, and shown to nobody here. */
const COLLECTION = /^[a-z][a-z0-9-]{0,31}$/

export function isKnownCollection(name: string): name is Collection {
  return Object.hasOwn(GRAMMAR, name)
}

/** True when such a fact may be on the board, also one of a collection that only a newer version knows. */
export function isFactKey(collection: string, key: string): boolean {
  if (key === '') return false
  return isKnownCollection(collection) ? GRAMMAR[collection](key) : COLLECTION.test(collection)
}

/** Keys of one chain: each is written once. */
export class ChainKeys {
  readonly #collections = new Map<string, Set<string>>()

  /** False when it was there. */
  add(collection: string, key: string): boolean {
    let keys = this.#collections.get(collection)
    if (!keys) {
      keys = new Set()
      this.#collections.set(collection, keys)
    }
    const before = keys.size
    return keys.add(key).size > before
  }

  remove(collection: string, key: string): void {
    this.#collections.get(collection)?.delete(key)
  }
}
