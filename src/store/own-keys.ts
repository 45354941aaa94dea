import type { Fact } from '../core/fact.ts'
import type { DocId } from '../core/id.ts'

/** Keys that this incarnation wrote: put-if-absent. Holds the callers' strings, about 40 bytes for each. */
export class OwnKeys {
  readonly #docs = new Map<string, Map<string, Set<string>>>()
  /** Where the fact before went: facts of one commit come in runs of one collection. */
  #doc = ''
  #collection = ''
  #last = new Set<string>()

  /** Takes the facts whose key was free, in order; of two with one key the first. */
  take(facts: readonly Fact[]): Fact[] {
    return facts.filter((fact) => {
      const keys = this.#keys(fact)
      if (keys.has(fact.key)) return false
      keys.add(fact.key)
      return true
    })
  }

  /** Frees keys that were taken for a commit that was refused. */
  giveBack(facts: readonly Fact[]): void {
    for (const fact of facts) this.#keys(fact).delete(fact.key)
  }

  /** A document that is written to no more. */
  forget(doc: DocId): void {
    this.#docs.delete(doc)
    if (this.#doc === doc) this.#doc = ''
    // The shortcut to the last set must not keep it.
    this.#collection = ''
    this.#last = new Set()
  }

  #keys(fact: Fact): Set<string> {
    if (fact.doc === this.#doc && fact.collection === this.#collection) return this.#last
    let collections = this.#docs.get(fact.doc)
    if (!collections) {
      collections = new Map()
      this.#docs.set(fact.doc, collections)
    }
    let keys = collections.get(fact.collection)
    if (!keys) {
      keys = new Set()
      collections.set(fact.collection, keys)
    }
    this.#doc = fact.doc
    this.#collection = fact.collection
    this.#last = keys
    return keys
  }
}
