/** One connection of libp2p from its opening to its end: the hellos go first, everything else waits for them. */
import type { Connection, Stream } from '@libp2p/interface'
import { OrchError } from '../core/error.ts'
import type { DurationMs, Millis, NodeId } from '../core/id.ts'
import { DIAL_MS_MAX, HELLO_BYTES_MAX } from '../core/limit.ts'
import {
  type Answer,
  denied,
  encodeAnswer,
  encodeHello,
  HELLO_PROTOCOL,
  type Hello,
  judge,
  readAnswer,
  readHello,
  refusal,
} from './hello.ts'
import { StreamChannel } from './libp2p-channel.ts'
import { ConnectionWatch } from './libp2p-watch.ts'
import { type Messages, messagesOver } from './message.ts'
import type { Standing } from './net.ts'
import { withResolvers } from './promise-with-resolvers.ts'

const CLOSE_MS_MAX = 2_000

export interface Greeted {
  readonly hello: Hello
  /** What this node is to the peer. */
  readonly standing: 'member' | 'stranger'
}

export class Session {
  readonly connection: Connection
  readonly node: NodeId
  readonly watch: ConnectionWatch
  /** What this node is to the peer, as of its hello. */
  standing: 'member' | 'stranger' = 'stranger'
  /** Its hello does not tell any more what the two are to each other. */
  isOutdated = false
  /** Settles when both hellos are through, or with the reason why not. */
  readonly greeted: Promise<Greeted>
  readonly #own: Hello
  readonly #standing: () => Standing
  readonly #settle = withResolvers<Greeted>()
  #roundTripMs: DurationMs | undefined
  #isSettled = false
  #hasBegun = false

  constructor(
    connection: Connection,
    own: Hello,
    standing: () => Standing,
    gossip: { heardAt(node: NodeId): Millis },
  ) {
    this.connection = connection
    this.watch = new ConnectionWatch(connection, () => gossip.heardAt(this.node))
    this.node = connection.remotePeer.toString()
    this.#own = own
    this.#standing = standing
    this.greeted = this.#settle.promise
    // Whoever waits hears of it; nobody may be waiting.
    this.greeted.catch(() => undefined)
    const timer = setTimeout(
      () => this.#fail(denied(this.node, this.node, new Error('no hello in time'))),
      DIAL_MS_MAX,
    ).unref()
    this.greeted.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    )
    connection.addEventListener('close', () => this.#fail(denied(this.node, this.node)))
    if (connection.direction === 'outbound') void this.#greet()
  }

  /** Of the last ping, or of the hello before there was one. */
  get roundTripMs(): DurationMs | undefined {
    return this.connection.rtt ?? this.#roundTripMs
  }

  get ageMs(): DurationMs {
    return Date.now() - this.connection.timeline.open
  }

  /** Nobody waits for anything on it. */
  get isIdle(): boolean {
    return this.connection.streams.every(({ protocol }) => isOfConnection(protocol))
  }

  /** A closed connection ends its streams as if all had been said, so those that somebody waits for are broken first. */
  breakStreams(reason: string): void {
    for (const stream of this.connection.streams)
      if (!isOfConnection(stream.protocol)) stream.abort(new Error(reason))
  }

  /** What was written before arrives. */
  async close(): Promise<void> {
    this.breakStreams('the connection closes')
    try {
      await this.connection.close({ signal: AbortSignal.timeout(CLOSE_MS_MAX) })
    } catch (cause) {
      this.connection.abort(cause as Error)
    }
  }

  /** The other side's hello. */
  answer(stream: Stream): void {
    if (this.#hasBegun || this.connection.direction === 'outbound') {
      stream.abort(new Error('one hello is enough'))
      return
    }
    void this.#guard(this.#messages(stream), async (messages) => {
      const bytes = await messages.receive()
      const hello = bytes && readHello(bytes)
      if (!hello) throw noHello(this.node)
      const answer = judge(this.#own, hello, this.#standing())
      await messages.send(encodeHello(this.#own))
      await messages.send(encodeAnswer(answer))
      await messages.end()
      // Whoever is refused may go without another word.
      const theirs = answer === 'member' || answer === 'stranger' ? await this.#hear(messages) : answer
      return { hello, mine: answer, theirs }
    })
  }

  #greet(): Promise<void> {
    const begun = performance.now()
    return this.connection.newStream(HELLO_PROTOCOL, { signal: AbortSignal.timeout(DIAL_MS_MAX) }).then(
      (stream) =>
        this.#guard(this.#messages(stream), async (messages) => {
          await messages.send(encodeHello(this.#own))
          const bytes = await messages.receive()
          this.#roundTripMs = performance.now() - begun
          const hello = bytes && readHello(bytes)
          if (!hello) throw noHello(this.node)
          const theirs = await this.#hear(messages)
          const mine = judge(this.#own, hello, this.#standing())
          await messages.send(encodeAnswer(mine))
          await messages.end()
          return { hello, mine, theirs }
        }),
      (cause: Error) =>
        this.#fail(
          cause.name === 'UnsupportedProtocolError'
            ? noHello(this.node)
            : denied(this.node, this.node, cause),
        ),
    )
  }

  async #hear(messages: Messages): Promise<Answer> {
    const bytes = await messages.receive()
    const answer = bytes && readAnswer(bytes)
    if (!answer) throw noHello(this.node)
    return answer
  }

  #messages(stream: Stream): Messages {
    this.#hasBegun = true
    const channel = new StreamChannel(stream, this.node, this.connection.remoteAddr.toString())
    return messagesOver(channel, { bytesMax: HELLO_BYTES_MAX, timeoutMs: DIAL_MS_MAX })
  }

  async #guard(
    messages: Messages,
    talk: (messages: Messages) => Promise<{ hello: Hello; mine: Answer; theirs: Answer }>,
  ): Promise<void> {
    try {
      const { hello, mine, theirs } = await talk(messages)
      const fault = refusal(this.#own, hello, theirs, this.node) ?? refusal(this.#own, hello, mine, this.node)
      if (fault || (theirs !== 'member' && theirs !== 'stranger')) {
        // The answer is on its way: the other side hears why, and closes.
        this.#fail(fault ?? noHello(this.node))
        return
      }
      this.#isSettled = true
      this.standing = theirs
      this.#settle.resolve({ hello, standing: theirs })
    } catch (cause) {
      messages.abort('the hello failed')
      const isOurs = cause instanceof OrchError && cause.code === 'ORCH_PROTOCOL'
      this.#fail(isOurs ? cause : denied(this.node, this.node, cause))
    }
  }

  #fail(error: OrchError): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#settle.reject(error)
  }
}

/** Streams that belong to every connection. */
function isOfConnection(protocol: string): boolean {
  return protocol === HELLO_PROTOCOL || protocol.startsWith('/meshsub/') || protocol.startsWith('/ipfs/')
}

function noHello(node: NodeId): OrchError {
  return new OrchError('ORCH_PROTOCOL', `${node} speaks libp2p, but not the protocol of orch-node`, {
    context: { node },
    hint: 'another program listens there: check the address',
  })
}
