/** Both ends of a stream in one process: pieces travel with the delay of the link, in order, and at most a window of them is under way or unread. */
import { OrchError } from '../core/error.ts'
import type { NodeId } from '../core/id.ts'
import type { Address, Channel } from './net.ts'

const WINDOW_BYTES = 256 * 1024

/** Carries `deliver` to the other side, after what went before it. */
export type Carry = (from: NodeId, to: NodeId, deliver: () => void) => void

export class MemoryChannel implements Channel {
  readonly peer: NodeId
  readonly address: Address
  readonly #node: NodeId
  readonly #carry: Carry
  readonly #pieces: Uint8Array[] = []
  #other!: MemoryChannel
  #wakeReader: (() => void) | undefined
  #wakeWriters: (() => void)[] = []
  /** Bytes that were written and are not read by the other side yet. */
  #underWay = 0
  #hasEnded = false
  #isOver = false
  #fault: OrchError | undefined

  private constructor(node: NodeId, peer: NodeId, carry: Carry) {
    this.#node = node
    this.peer = peer
    this.address = `/memory/${peer}/p2p/${peer}`
    this.#carry = carry
  }

  static pair(a: NodeId, b: NodeId, carry: Carry): [MemoryChannel, MemoryChannel] {
    const one = new MemoryChannel(a, b, carry)
    const two = new MemoryChannel(b, a, carry)
    one.#other = two
    two.#other = one
    return [one, two]
  }

  /** Nothing can go either way any more. */
  get isFinished(): boolean {
    return this.#fault !== undefined || (this.#hasEnded && this.#isOver && this.#pieces.length === 0)
  }

  async *read(): AsyncIterable<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift()
      if (piece) {
        this.#send(() => this.#other.#onRead(piece.length))
        yield piece
        continue
      }
      if (this.#fault) throw this.#fault
      if (this.#isOver) return
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#fault) throw this.#fault
    if (this.#hasEnded) throw this.#broken('it was ended')
    if (bytes.length === 0) return
    // Encoded on the way: no test passes because two nodes share memory.
    const piece = bytes.slice()
    this.#underWay += piece.length
    this.#send(() => this.#other.#onPiece(piece))
    while (this.#underWay > WINDOW_BYTES && !this.#fault)
      await new Promise<void>((resolve) => {
        this.#wakeWriters.push(resolve)
      })
    if (this.#fault) throw this.#fault
  }

  async end(): Promise<void> {
    if (this.#fault) throw this.#fault
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#send(() => this.#other.#onEnd())
  }

  abort(reason: string): void {
    if (this.#fault || this.isFinished) return
    this.break(reason)
    this.#send(() => this.#other.break(reason))
  }

  /** The connection is gone, or the other side aborted. */
  break(reason: string): void {
    if (this.#isOver && this.#hasEnded) return
    this.#fault ??= this.#broken(reason)
    this.#pieces.length = 0
    this.#wake()
  }

  #send(deliver: () => void): void {
    this.#carry(this.#node, this.peer, deliver)
  }

  #onPiece(piece: Uint8Array): void {
    if (this.#fault) return
    this.#pieces.push(piece)
    this.#wake()
  }

  #onRead(bytes: number): void {
    this.#underWay -= bytes
    this.#wake()
  }

  #onEnd(): void {
    this.#isOver = true
    this.#wake()
  }

  #wake(): void {
    const writers = this.#wakeWriters
    this.#wakeWriters = []
    this.#wakeReader?.()
    this.#wakeReader = undefined
    for (const writer of writers) writer()
  }

  #broken(reason: string): OrchError {
    return new OrchError('ORCH_PEER_GONE', `the stream with ${this.peer} broke: ${reason}`, {
      context: { node: this.peer },
    })
  }
}
