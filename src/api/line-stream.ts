/** A stream as lines of JSON: `{data}` …, then `{end: true}` or `{error}`. An empty line says that it lives. */
import { toWireError } from './wire-error.ts'

/** Pulled by the reader, so that a slow one holds the face back and nothing piles up here. */
export function streamLines(
  items: (signal: AbortSignal) => AsyncIterable<unknown>,
  heartbeatMs: number,
): ReadableStream<Uint8Array> {
  const abort = new AbortController()
  const encoder = new TextEncoder()
  const line = (value: unknown) => encoder.encode(`${JSON.stringify(value)}\n`)
  let iterator: AsyncIterator<unknown> | undefined
  let next: Promise<IteratorResult<unknown>> | undefined
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        iterator ??= items(abort.signal)[Symbol.asyncIterator]()
        next ??= iterator.next()
        const result = await orSilence(next, heartbeatMs)
        if (result === 'silence') return controller.enqueue(encoder.encode('\n'))
        next = undefined
        controller.enqueue(line(result.done ? { end: true } : { data: result.value }))
        if (result.done) controller.close()
      } catch (error) {
        controller.enqueue(line({ error: toWireError(error) }))
        controller.close()
      }
    },
    async cancel() {
      abort.abort()
      // A face that waits for news ends by the signal; its last word is of no interest.
      void next?.catch(() => {})
      await iterator?.return?.()
    },
  })
}

function orSilence<T>(promise: Promise<T>, ms: number): Promise<T | 'silence'> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve('silence'), ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
