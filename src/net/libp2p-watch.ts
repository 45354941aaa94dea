/**
 * Watches a connection: a cut cable closes nothing. Where gossip came a moment ago nobody is asked. libp2p's own watch asks always, with a stream for each ping: a third of what
 * an idle cluster does.
 */
import type { Connection } from '@libp2p/interface'
import type { Millis } from '../core/id.ts'
import { PING_MS, PING_MS_MAX, ROUND_TRIP_MS } from '../core/limit.ts'
import { StreamChannel } from './libp2p-channel.ts'

/** The ping of libp2p: whoever is asked sends the same 32 bytes back. */
const PROTOCOL = '/ipfs/ping/1.0.0'
const QUESTION = new Uint8Array(32)

export class ConnectionWatch {
  readonly #connection: Connection
  readonly #heardAt: () => Millis
  #askedAt = Number.NEGATIVE_INFINITY
  #isAsking = false

  /** @param heardAt when gossip of this peer came last, by `performance.now` */
  constructor(connection: Connection, heardAt: () => Millis) {
    this.#connection = connection
    this.#heardAt = heardAt
  }

  /** To be called every PING_MS. Closes a connection over which nothing comes back. */
  look(): void {
    const now = performance.now()
    const isAlive = now - this.#heardAt() < PING_MS && now - this.#askedAt < ROUND_TRIP_MS
    if (isAlive || this.#isAsking || this.#connection.status !== 'open') return
    this.#askedAt = now
    this.#isAsking = true
    this.#ask().then(
      () => {
        this.#isAsking = false
      },
      (error: Error) => {
        if (this.#connection.status === 'open') this.#connection.abort(error)
      },
    )
  }

  async #ask(): Promise<void> {
    const connection = this.#connection
    // In a turn of its own: what opens a stream on a connection that the same turn closes makes yamux throw where nobody can catch it.
    await new Promise((resume) => setImmediate(resume))
    if (connection.status !== 'open') return
    const over = new AbortController()
    const timer = setTimeout(() => over.abort(new Error('no answer to a ping')), PING_MS_MAX).unref()
    try {
      const stream = await connection.newStream(PROTOCOL, { signal: over.signal })
      const channel = new StreamChannel(
        stream,
        connection.remotePeer.toString(),
        connection.remoteAddr.toString(),
      )
      over.signal.addEventListener('abort', () => channel.abort('no answer to a ping'))
      const sentAt = performance.now()
      await channel.write(QUESTION)
      let length = 0
      for await (const bytes of channel.read()) {
        length += bytes.length
        if (length >= QUESTION.length) break
      }
      connection.rtt = performance.now() - sentAt
      await stream.close({ signal: over.signal })
    } catch (error) {
      // Another program, without pings: it lives.
      if ((error as Error).name !== 'UnsupportedProtocolError') throw error
    } finally {
      clearTimeout(timer)
    }
  }
}
