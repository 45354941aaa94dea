/** One follower's queue: bounded, so that a slow reader costs a bounded amount of memory, then its own connection (SPEC ND6). */
import { OrchError } from '../core/error.ts'

export class Channel<T> implements AsyncIterable<T> {
  readonly #items: T[] = []
  readonly #max: number
  readonly #onClose: () => void
  #wake: (() => void) | undefined
  #closed = false
  #fault: OrchError | undefined

  constructor(max: number, onClose: () => void) {
    this.#max = max
    this.#onClose = onClose
  }

  push(item: T): void {
    if (this.#closed) return
    if (this.#items.length >= this.#max) {
      this.#fault = new OrchError(
        'ORCH_BACKPRESSURE',
        `the reader is ${this.#max} items behind and was dropped: follow again`,
      )
      this.close()
      return
    }
    this.#items.push(item)
    this.#wake?.()
  }

  /** What is queued is still read; then the iteration ends. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onClose()
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    try {
      for (;;) {
        const item = this.#items.shift()
        if (item !== undefined) {
          yield item
          continue
        }
        if (this.#fault) throw this.#fault
        if (this.#closed) return
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    } finally {
      this.close()
    }
  }
}

/** Ends a channel when the caller gives up. */
export function bindSignal(channel: Channel<unknown>, signal: AbortSignal | undefined): void {
  if (!signal) return
  if (signal.aborted) channel.close()
  else signal.addEventListener('abort', () => channel.close(), { once: true })
}
