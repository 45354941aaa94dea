/** Something about each way from one node to another. Two levels instead of one joined name: it is looked up for every message. */
import type { NodeId } from '../core/id.ts'

export class Ways<V> {
  readonly #from = new Map<NodeId, Map<NodeId, V>>()
  size = 0

  get(from: NodeId, to: NodeId): V | undefined {
    return this.#from.get(from)?.get(to)
  }

  set(from: NodeId, to: NodeId, value: V): void {
    let ways = this.#from.get(from)
    if (!ways) {
      ways = new Map()
      this.#from.set(from, ways)
    }
    if (!ways.has(to)) this.size++
    ways.set(to, value)
  }

  delete(from: NodeId, to: NodeId): void {
    if (this.#from.get(from)?.delete(to)) this.size--
  }
}
