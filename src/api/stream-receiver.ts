/** Items that arrive, until somebody takes them. How many wait is bounded by the sender's window. */
import type { OrchError } from '../core/error.ts'

export interface IncomingStream {
  push(items: readonly unknown[], bytes: number): void
  end(error?: OrchError): void
}

export interface StreamControl {
  /** So many bytes were taken. */
  consume(bytes: number): void
  /** The reader stopped before the end. */
  cancel(): void
}

interface Batch {
  readonly items: readonly unknown[]
  readonly bytes: number
  next: number
}

/** Starts when it is first read; ends quietly when the signal aborts; can be read once. */
export function createIncoming(
  signal: AbortSignal | undefined,
  source: { start(stream: IncomingStream): StreamControl },
): AsyncIterable<unknown> {
  const batches: Batch[] = []
  let ended = false
  let failure: OrchError | undefined
  let wake: (() => void) | undefined
  const notify = () => {
    wake?.()
    wake = undefined
  }
  const stream: IncomingStream = {
    push(items, bytes) {
      batches.push({ items, bytes, next: 0 })
      notify()
    },
    end(error) {
      ended = true
      failure ??= error
      notify()
    },
  }
  return {
    async *[Symbol.asyncIterator]() {
      if (signal?.aborted) return
      const control = source.start(stream)
      signal?.addEventListener('abort', notify, { once: true })
      try {
        for (;;) {
          const batch = batches[0]
          if (signal?.aborted) return
          if (batch) {
            if (batch.next < batch.items.length) yield batch.items[batch.next++]
            else {
              batches.shift()
              control.consume(batch.bytes)
            }
            continue
          }
          if (failure) throw failure
          if (ended) return
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      } finally {
        signal?.removeEventListener('abort', notify)
        control.cancel()
      }
    },
  }
}
