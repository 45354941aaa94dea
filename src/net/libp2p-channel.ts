/** A stream of libp2p as a Channel: its events made into reads that hold the sender back, and writes that wait. */
import type { Stream } from '@libp2p/interface'
import { OrchError } from '../core/error.ts'
import type { NodeId } from '../core/id.ts'
import { PEER_ANSWER_MS_MAX, STREAM_UNREAD_BYTES } from '../core/limit.ts'
import type { Address, Channel } from './net.ts'

export class StreamChannel implements Channel {
  readonly peer: NodeId
  readonly address: Address
  readonly #stream: Stream
  readonly #pieces: Uint8Array[] = []
  #unread = 0
  /** The other side has said all: its end was seen, not only that of the connection, which looks the same in the `end` event. */
  #sawEnd: boolean
  #fault: OrchError | undefined
  #isOver = false
  #wake: (() => void) | undefined

  constructor(stream: Stream, peer: NodeId, address: Address) {
    this.peer = peer
    this.address = address
    this.#stream = stream
    this.#sawEnd = stream.remoteWriteStatus === 'closed' && stream.status === 'open'
    stream.addEventListener('remoteCloseWrite', () => {
      this.#sawEnd = true
      this.#settle()
    })
    stream.addEventListener('end', () => this.#settle())
    stream.addEventListener('close', (event) => {
      if (event.error) this.#fail(event.error)
      else this.#settle()
    })
    stream.addEventListener('message', ({ data }) => {
      this.#pieces.push(data.subarray())
      this.#unread += data.byteLength
      // Without this every byte would be taken off the wire at once, however slow its reader is.
      if (this.#unread > STREAM_UNREAD_BYTES && stream.readStatus === 'readable') stream.pause()
      this.#wake?.()
    })
    this.#settle()
  }

  async *read(): AsyncIterable<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift()
      if (piece) {
        this.#unread -= piece.length
        if (this.#unread <= STREAM_UNREAD_BYTES / 2) this.#resume()
        yield piece
        continue
      }
      this.#resume()
      if (this.#pieces.length > 0) continue
      this.#settle()
      if (this.#fault) throw this.#fault
      if (this.#isOver) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    const stream = this.#stream
    if (this.#fault) throw this.#fault
    let isRoom: boolean
    try {
      isRoom = stream.send(bytes)
    } catch (cause) {
      throw this.#fault ?? gone(this.peer, cause)
    }
    if (isRoom) return
    // `onDrain()` of libp2p holds back only once, so the event is awaited instead; the queue is worked off in a microtask after it.
    do await this.#drained()
    while (stream.writeBufferLength > 0)
  }

  async end(): Promise<void> {
    try {
      await this.#stream.close({ signal: AbortSignal.timeout(PEER_ANSWER_MS_MAX) })
    } catch (cause) {
      // It rejects with a bare event when the stream breaks meanwhile.
      throw this.#fault ?? gone(this.peer, cause)
    }
  }

  abort(reason: string): void {
    this.#fail(new Error(reason))
    try {
      this.#stream.abort(new Error(reason))
    } catch {
      // It is over: that was all that was asked for.
    }
  }

  /** After the handler: what it did not read is thrown away, and a peer that never ends is let go. */
  async finish(): Promise<void> {
    try {
      await this.end()
      const undo = setTimeout(() => this.abort('the stream was not ended'), PEER_ANSWER_MS_MAX).unref()
      for await (const _ of this.read());
      clearTimeout(undo)
    } catch {
      this.abort('the stream broke')
    }
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream = this.#stream
      const finish = (error?: OrchError): void => {
        stream.removeEventListener('drain', onDrain)
        stream.removeEventListener('idle', onDrain)
        stream.removeEventListener('close', onClose)
        if (error) reject(error)
        else setImmediate(resolve)
      }
      const onDrain = (): void => finish()
      const onClose = (): void => finish(this.#fault ?? gone(this.peer))
      stream.addEventListener('drain', onDrain)
      stream.addEventListener('idle', onDrain)
      stream.addEventListener('close', onClose)
      if (stream.status !== 'open' && stream.status !== 'closing') onClose()
      else if (!stream.writableNeedsDrain && stream.writeBufferLength === 0) onDrain()
    })
  }

  #resume(): void {
    if (this.#stream.readStatus !== 'paused') return
    try {
      this.#stream.resume()
    } catch {
      // What was there is told before the window is opened, which a closed connection refuses.
    }
  }

  /** Nothing can come any more: was that the end, or a break? */
  #settle(): void {
    const stream = this.#stream
    const isClosed = stream.readableEnded || (stream.status !== 'open' && stream.status !== 'closing')
    if (this.#isOver || this.#fault || stream.readBufferLength > 0 || !(isClosed || this.#sawEnd)) return
    if (this.#sawEnd) this.#isOver = true
    else this.#fail(new Error('the connection closed'))
    this.#wake?.()
  }

  #fail(cause: Error): void {
    this.#fault ??= gone(this.peer, cause)
    this.#wake?.()
  }
}

export function gone(node: NodeId, cause?: unknown): OrchError {
  const why = cause instanceof Error && cause.message !== '' ? `: ${cause.message}` : ''
  return new OrchError('ORCH_PEER_GONE', `the stream with ${node} broke${why}`, { context: { node }, cause })
}
