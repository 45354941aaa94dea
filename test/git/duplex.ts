/** Two ends of a stream in one process, with bounded buffers, half-closing and faults on request. */
import type { Duplex } from '../../src/git/duplex.ts'

export interface Wire {
  /** Pieces of at most this many bytes; default as written. */
  readonly pieceMax?: number
  /** After so many bytes the direction breaks (`break`), or carries nothing more (`silence`). */
  readonly afterBytes?: number
  readonly fault?: 'break' | 'silence'
  /** Looks at each piece, and may change it. */
  readonly tap?: (piece: Uint8Array) => Uint8Array
}

const HELD_BYTES_MAX = 256 * 1024

export interface End extends Duplex {
  /** Reason of the first abort of either side. */
  readonly aborted: () => string | undefined
}

/** `[asker, server]`; `wire` is what comes from the server. */
export function duplexPair(wire: Wire = {}): [End, End] {
  let aborted: string | undefined
  const there = new Direction({})
  const back = new Direction(wire)
  const end = (from: Direction, into: Direction): End => ({
    read: () => from.read(),
    write: (bytes) => into.write(bytes),
    end: () => into.end(),
    abort: (reason) => {
      aborted ??= reason
      from.break(reason)
      into.break(reason)
    },
    aborted: () => aborted,
  })
  return [end(back, there), end(there, back)]
}

class Direction {
  readonly #wire: Wire
  #held: Uint8Array[] = []
  #bytes = 0
  #passed = 0
  #isEnded = false
  #broken: Error | undefined
  #wake: (() => void)[] = []

  constructor(wire: Wire) {
    this.#wire = wire
  }

  async *read(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      if (this.#broken) throw this.#broken
      const piece = this.#held.shift()
      if (piece) {
        this.#bytes -= piece.length
        this.#stir()
        yield piece
      } else if (this.#isEnded) return
      else await this.#change()
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    while (this.#bytes >= HELD_BYTES_MAX && !this.#broken) await this.#change()
    if (this.#broken) throw this.#broken
    const { pieceMax = Number.POSITIVE_INFINITY, tap, afterBytes = Number.POSITIVE_INFINITY } = this.#wire
    for (let at = 0; at < bytes.length; at += pieceMax) {
      const piece = bytes.slice(at, Math.min(bytes.length, at + pieceMax))
      const passing = piece.subarray(0, Math.max(0, afterBytes - this.#passed))
      this.#passed += piece.length
      if (passing.length > 0) this.#hold(tap ? tap(passing) : passing)
      if (passing.length === piece.length) continue
      // What came before it is read first.
      if (this.#wire.fault === 'break') this.#hold(undefined)
      return
    }
  }

  #hold(piece: Uint8Array | undefined): void {
    if (piece === undefined) this.break('the wire was cut')
    else {
      this.#held.push(piece)
      this.#bytes += piece.length
    }
    this.#stir()
  }

  end(): Promise<void> {
    if (this.#wire.fault !== 'silence' || this.#passed <= (this.#wire.afterBytes ?? 0)) this.#isEnded = true
    this.#stir()
    return Promise.resolve()
  }

  break(reason: string): void {
    this.#broken ??= new Error(reason)
    this.#stir()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve))
  }

  #stir(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
