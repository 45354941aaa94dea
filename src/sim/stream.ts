/** A byte stream between two simulated nodes: in order and whole, until it breaks. Each end lives in its own process. */
import { OrchError } from '../core/error.ts'
import type { Millis, NodeId } from '../core/id.ts'
import type { Channel } from '../net/net.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'

/** On their way before the writer waits. */
const WINDOW_BYTES = 256 * 1024

interface Waiting {
  resolve(piece: IteratorResult<Uint8Array>): void
  reject(error: OrchError): void
}

class End implements Channel {
  readonly peer: NodeId
  readonly machine: Machine
  readonly #network: Network
  other!: End
  isClosed = false
  #pieces: Uint8Array[] = []
  #ended = false
  /** Why it broke. */
  #broken: string | undefined
  readonly #onDone: () => void
  #reader: Waiting | undefined
  #writers: (() => void)[] = []
  /** Arrival of the last piece that was sent. */
  #lastAt: Millis = 0
  #onItsWay = 0
  #saidAll = false

  constructor(machine: Machine, peer: NodeId, network: Network, onDone: () => void) {
    this.machine = machine
    this.peer = peer
    this.#network = network
    this.#onDone = onDone
  }

  read(): AsyncIterable<Uint8Array> {
    return { [Symbol.asyncIterator]: () => ({ next: () => this.#next() }) }
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#broken !== undefined || this.#saidAll)
      return Promise.reject(gone(this.peer, this.#broken ?? 'it was ended'))
    const { other } = this
    this.#onItsWay += bytes.length
    this.#carry(() => {
      this.#onItsWay -= bytes.length
      for (const resolve of this.#writers.splice(0)) resolve()
      other.take(bytes.slice())
    })
    if (this.#onItsWay <= WINDOW_BYTES) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#writers.push(() =>
        this.#broken === undefined ? resolve() : reject(gone(this.peer, this.#broken)),
      )
    })
  }

  async end(): Promise<void> {
    if (this.#saidAll || this.#broken !== undefined) return
    this.#saidAll = true
    this.#carry(() => this.other.finish())
    this.#onDone()
  }

  abort(reason: string): void {
    if (this.#broken !== undefined) return
    this.break(reason)
    this.#carry(() => this.other.break(reason))
  }

  take(bytes: Uint8Array): void {
    if (this.#broken !== undefined || this.#ended) return
    const reader = this.#reader
    this.#reader = undefined
    if (reader) reader.resolve({ done: false, value: bytes })
    else this.#pieces.push(bytes)
  }

  finish(): void {
    this.#ended = true
    this.#reader?.resolve({ done: true, value: undefined })
    this.#reader = undefined
    this.#onDone()
  }

  /** The connection is gone. */
  break(reason: string): void {
    if (this.#broken !== undefined) return
    this.isClosed = true
    this.#broken = reason
    this.#pieces = []
    this.#reader?.reject(gone(this.peer, reason))
    this.#reader = undefined
    for (const resolve of this.#writers.splice(0)) resolve()
    this.#onDone()
  }

  /** Nothing can come of it any more, and all that came was read. */
  get isDone(): boolean {
    return this.#broken !== undefined || (this.#saidAll && this.#ended && this.#pieces.length === 0)
  }

  #carry(arrive: () => void): void {
    const { other } = this
    this.#lastAt = this.#network.carry(this.machine.node, other.machine.node, this.#lastAt, () =>
      other.machine.run(arrive),
    )
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    const piece = this.#pieces.shift()
    if (piece) return Promise.resolve({ done: false, value: piece })
    if (this.#broken !== undefined) return Promise.reject(gone(this.peer, this.#broken))
    if (this.#ended) {
      this.#onDone()
      return Promise.resolve({ done: true, value: undefined })
    }
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
  }
}

export interface Stream {
  readonly near: Channel
  readonly far: Channel
  /** Neither end can do anything any more. */
  break(reason: string): void
}

/** @param onDone both ends are done with it: nobody needs to keep it in mind */
export function openStream(network: Network, near: Machine, far: Machine, onDone: () => void): Stream {
  const look = (): void => {
    if (a.isDone && b.isDone) onDone()
  }
  const a: End = new End(near, far.node, network, look)
  const b: End = new End(far, near.node, network, look)
  a.other = b
  b.other = a
  return {
    near: a,
    far: b,
    break(reason) {
      a.break(reason)
      b.break(reason)
    },
  }
}

function gone(peer: NodeId, reason: string): OrchError {
  return new OrchError('ORCH_PEER_GONE', `the stream to ${peer} broke: ${reason}`, {
    context: { node: peer },
  })
}
