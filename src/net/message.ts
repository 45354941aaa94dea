/**
 * Whole messages over a byte stream: each is its length (unsigned LEB128, shortest form) and so many bytes. Every wait has a deadline, after which the stream is aborted, and a
 * length is refused before anything of it is gathered.
 */
import { OrchError } from '../core/error.ts'
import type { DurationMs, NodeId } from '../core/id.ts'
import { PEER_ANSWER_MS_MAX, PEER_MESSAGE_BYTES_MAX } from '../core/limit.ts'
import type { Channel } from './net.ts'
import { SYSTEM_TIMING, type Timing } from './timing.ts'

export interface MessagesOptions {
  /** One message, either way; default PEER_MESSAGE_BYTES_MAX. */
  readonly bytesMax?: number
  /** For each message, either way; default PEER_ANSWER_MS_MAX. */
  readonly timeoutMs?: DurationMs
  readonly timing?: Timing
}

export interface Messages {
  readonly peer: NodeId
  /**
   * Resolves when more may be sent.
   *
   * @throws ORCH_PEER_GONE the stream broke or the other side takes nothing; ORCH_BUG longer than allowed
   */
  send(message: Uint8Array, timeoutMs?: DurationMs): Promise<void>
  /**
   * The next message; `undefined` when the other side has ended. One call at a time.
   *
   * @throws ORCH_PEER_GONE the stream broke or nothing came in time; ORCH_PROTOCOL longer than allowed, or cut off. The stream is aborted.
   */
  receive(timeoutMs?: DurationMs): Promise<Uint8Array | undefined>
  /** Every byte after the last message received, as it comes: for a stream that begins with a header. No `receive` after it. */
  rest(): AsyncIterable<Uint8Array>
  /** This side has said all. */
  end(): Promise<void>
  abort(reason: string): void
}

const LENGTH_BYTES_MAX = 5

export function messagesOver(channel: Channel, options: MessagesOptions = {}): Messages {
  const bytesMax = options.bytesMax ?? PEER_MESSAGE_BYTES_MAX
  const usualMs = options.timeoutMs ?? PEER_ANSWER_MS_MAX
  const timing = options.timing ?? SYSTEM_TIMING
  const source = channel.read()[Symbol.asyncIterator]()
  /** Bytes that came and were not asked for yet. */
  let left: Uint8Array = new Uint8Array(0)
  let isOver = false

  const more = async (): Promise<boolean> => {
    if (isOver) return false
    const next = await source.next()
    if (next.done) {
      isOver = true
      return false
    }
    left = left.length === 0 ? next.value : Buffer.concat([left, next.value])
    return true
  }

  const cut = (): OrchError =>
    new OrchError('ORCH_PROTOCOL', 'the other side ended its stream in the middle of a message', {
      context: { node: channel.peer },
    })

  const take = async (): Promise<Uint8Array | undefined> => {
    let head = readLength(left)
    while (head === undefined) {
      if (!(await more())) {
        if (left.length === 0) return undefined
        throw cut()
      }
      head = readLength(left)
    }
    if (head.length > bytesMax)
      throw new OrchError(
        'ORCH_PROTOCOL',
        `a message of ${head.length} bytes came, ${bytesMax} are allowed`,
        {
          context: { node: channel.peer },
        },
      )
    const message = new Uint8Array(head.length)
    let filled = 0
    left = left.subarray(head.at)
    for (;;) {
      const part = left.subarray(0, head.length - filled)
      message.set(part, filled)
      filled += part.length
      left = left.subarray(part.length)
      if (filled === head.length) return message
      if (!(await more())) throw cut()
    }
  }

  const within = <T>(work: Promise<T>, timeoutMs: DurationMs, what: string): Promise<T> =>
    new Promise((resolve, reject) => {
      const undo = timing.after(timeoutMs, () => {
        channel.abort(`${what} within ${timeoutMs} ms`)
        reject(
          new OrchError('ORCH_PEER_GONE', `${channel.peer} ${what} within ${timeoutMs} ms`, {
            context: { node: channel.peer, timeoutMs },
          }),
        )
      })
      work.then(
        (value) => {
          undo()
          resolve(value)
        },
        (error: unknown) => {
          undo()
          channel.abort('broken')
          reject(error)
        },
      )
    })

  return {
    peer: channel.peer,
    async send(message, timeoutMs = usualMs) {
      if (message.length > bytesMax)
        throw new OrchError('ORCH_BUG', `a message of ${message.length} bytes, ${bytesMax} are allowed`)
      await within(channel.write(withLength(message)), timeoutMs, 'took nothing')
    },
    receive: (timeoutMs = usualMs) => within(take(), timeoutMs, 'said nothing'),
    async *rest() {
      if (left.length > 0) yield left
      left = new Uint8Array(0)
      while (await more()) {
        yield left
        left = new Uint8Array(0)
      }
    },
    end: () => channel.end(),
    abort: (reason) => channel.abort(reason),
  }
}

function withLength(message: Uint8Array): Uint8Array {
  const head: number[] = []
  let rest = message.length
  for (; rest >= 128; rest = Math.floor(rest / 128)) head.push((rest % 128) + 128)
  head.push(rest)
  const bytes = new Uint8Array(head.length + message.length)
  bytes.set(head)
  bytes.set(message, head.length)
  return bytes
}

/** `undefined` while too few bytes are there; a length that no message can have counts as infinite. */
function readLength(bytes: Uint8Array): { readonly length: number; readonly at: number } | undefined {
  let length = 0
  for (let at = 0; at < LENGTH_BYTES_MAX; at++) {
    const byte = bytes[at]
    if (byte === undefined) return undefined
    length += (byte & 127) * 128 ** at
    if (byte < 128) return { length, at: at + 1 }
  }
  return { length: Number.POSITIVE_INFINITY, at: LENGTH_BYTES_MAX }
}
