/**
 * A stream of bytes to a peer, as the git edge needs it, and reading from it within bounds. The net edge's `Channel` has this shape.
 */
import { OrchError } from '../core/error.ts'
import type { DurationMs } from '../core/id.ts'

export interface Duplex {
  /** The end of the iteration is the other side's `end`; throws when the stream broke. Iterated once. */
  read(): AsyncIterable<Uint8Array>
  /** Resolves when more may be written. */
  write(bytes: Uint8Array): Promise<void>
  end(): Promise<void>
  /** Both directions are over at once; never throws. */
  abort(reason: string): void
}

export interface StreamBounds {
  /** Longest wait for one piece, may be infinite. Time that we take ourselves does not count. */
  readonly silenceMs: DurationMs
  readonly bytesMax: number
  readonly signal: AbortSignal
}

/**
 * What the peer says, until its end.
 *
 * @throws ORCH_PEER_GONE broken or silent, ORCH_GIT_HOSTILE more than `bytesMax`, the reason of `signal` when it aborts. The stream is aborted then.
 */
export async function* readWithin(duplex: Duplex, bounds: StreamBounds): AsyncGenerator<Uint8Array, void> {
  const pieces = duplex.read()[Symbol.asyncIterator]()
  let bytes = 0
  try {
    for (;;) {
      const next = await within(pieces.next(), bounds)
      if (next.done) return
      bytes += next.value.length
      if (bytes > bounds.bytesMax) {
        throw new OrchError('ORCH_GIT_HOSTILE', `the peer sent more than ${bounds.bytesMax} bytes`)
      }
      yield next.value
    }
  } catch (error) {
    duplex.abort(error instanceof Error ? error.message : 'given up')
    throw error instanceof OrchError ? error : gone(error)
  }
}

/** Waits for one step of a stream, no longer than its bounds allow. */
export async function within<T>(
  step: Promise<T>,
  bounds: Pick<StreamBounds, 'silenceMs' | 'signal'>,
): Promise<T> {
  const { silenceMs, signal } = bounds
  let timer: NodeJS.Timeout | undefined
  let onAbort: (() => void) | undefined
  // Told to whoever awaits it now, or to nobody.
  step.catch(() => {})
  try {
    return await Promise.race([
      step,
      new Promise<never>((_, reject) => {
        if (silenceMs !== Number.POSITIVE_INFINITY)
          timer = setTimeout(
            () => reject(new OrchError('ORCH_PEER_GONE', `the peer was silent for ${silenceMs} ms`)),
            silenceMs,
          )
        onAbort = () => reject(endedBy(signal))
        if (signal.aborted) onAbort()
        else signal.addEventListener('abort', onAbort, { once: true })
      }),
    ])
  } finally {
    clearTimeout(timer)
    if (onAbort) signal.removeEventListener('abort', onAbort)
  }
}

export interface Deadline {
  readonly signal: AbortSignal
  /** Whether the time was up, and not the caller's patience. */
  isOver(): boolean
  /** Ends it now. */
  end(reason: OrchError): void
  clear(): void
}

/** Aborts with the caller's signal, or after `ms`. Not `AbortSignal.any`: what it makes may be collected before it fires on Node 20. */
export function deadline(ms: DurationMs, outer: AbortSignal | undefined): Deadline {
  const abort = new AbortController()
  let isOver = false
  const onAbort = (): void => abort.abort(outer?.reason)
  const timer = setTimeout(() => {
    isOver = true
    abort.abort(new OrchError('ORCH_PEER_GONE', `the transfer was not done within ${ms} ms`))
  }, ms)
  if (outer?.aborted) onAbort()
  else outer?.addEventListener('abort', onAbort, { once: true })
  return {
    signal: abort.signal,
    isOver: () => isOver,
    end: (reason) => abort.abort(reason),
    clear: () => {
      clearTimeout(timer)
      outer?.removeEventListener('abort', onAbort)
    },
  }
}

/** Why a signal aborted, as an error. */
export function endedBy({ reason }: AbortSignal): OrchError {
  return reason instanceof OrchError ? reason : new OrchError('ORCH_CANCELLED', 'the transfer was cancelled')
}

function gone(cause: unknown): OrchError {
  const words = cause instanceof Error ? cause.message : String(cause)
  return new OrchError('ORCH_PEER_GONE', `the stream to the peer broke: ${words}`, { cause })
}
