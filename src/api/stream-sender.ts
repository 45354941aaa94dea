/** Sends what a face tells, as fast as its reader takes it: at most a window of bytes is on its way, then the face waits. */
import { STREAM_BATCH_BYTES, STREAM_WINDOW_BYTES } from '../core/limit.ts'

export interface OutgoingStream {
  /** The reader consumed so many bytes. */
  acknowledge(bytes: number): void
  /** The reader is gone or wants no more. `onEnd` is not called. */
  cancel(): void
}

export interface StreamSource {
  readonly items: (signal: AbortSignal) => AsyncIterable<unknown>
  /** Takes the JSON of one or more items, joined by commas; answers what its reader will acknowledge. */
  readonly write: (json: string) => number
  readonly onEnd: (error?: unknown) => void
}

export function sendStream({ items, write, onEnd }: StreamSource): OutgoingStream {
  const abort = new AbortController()
  let outstanding = 0
  let wake: (() => void) | undefined
  let batch: string[] = []
  let batchBytes = 0
  let flushing: NodeJS.Immediate | undefined

  const flush = () => {
    if (flushing) clearImmediate(flushing)
    flushing = undefined
    if (batch.length === 0 || abort.signal.aborted) return
    outstanding += write(batch.join(','))
    batch = []
    batchBytes = 0
  }
  const send = async () => {
    for await (const item of items(abort.signal)) {
      if (abort.signal.aborted) return
      const json = JSON.stringify(item)
      batch.push(json)
      batchBytes += json.length
      if (batchBytes >= STREAM_BATCH_BYTES) flush()
      // Items that come one after the other go together; one that comes alone goes in this turn of the loop.
      else flushing ??= setImmediate(flush)
      while (outstanding >= STREAM_WINDOW_BYTES && !abort.signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  }
  send().then(
    () => {
      flush()
      if (!abort.signal.aborted) onEnd()
    },
    (error: unknown) => {
      flush()
      if (!abort.signal.aborted) onEnd(error)
    },
  )
  return {
    acknowledge(bytes) {
      if (Number.isFinite(bytes) && bytes > 0) outstanding = Math.max(0, outstanding - bytes)
      wake?.()
      wake = undefined
    },
    cancel() {
      abort.abort()
      wake?.()
      wake = undefined
    },
  }
}
