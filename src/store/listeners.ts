/** Those who want to hear of something. Each call of `add` counts: a listener that is given twice is told twice, and each undo ends its own. */
export class Listeners<T> {
  readonly #all = new Set<(value: T) => void>()

  add(listener: (value: T) => void): () => void {
    const own = (value: T): void => listener(value)
    this.#all.add(own)
    return () => this.#all.delete(own)
  }

  /** One that begins to listen meanwhile is not told. */
  tell(value: T): void {
    for (const listener of [...this.#all]) listener(value)
  }
}
