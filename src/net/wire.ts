/**
 * Encoding of our own binary messages: unsigned LEB128 integers, length-prefixed text and bytes, hashes of 32 bytes. What a peer sends is read within bounds; anything
 * malformed makes the whole message `undefined`. Grammar: `PROTOCOL.md`.
 */
const HASH_BYTES = 32
const DECODER = new TextDecoder('utf-8', { fatal: true })

export class WireWriter {
  #bytes = Buffer.allocUnsafe(256)
  #length = 0

  get length(): number {
    return this.#length
  }

  byte(value: number): this {
    this.#room(1)
    this.#bytes[this.#length++] = value
    return this
  }

  integer(value: number): this {
    this.#room(8)
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest % 128) + 128
    this.#bytes[this.#length++] = rest
    return this
  }

  text(text: string): this {
    return this.bytes(Buffer.from(text, 'utf8'))
  }

  bytes(bytes: Uint8Array): this {
    return this.integer(bytes.length).raw(bytes)
  }

  hash(hex: string): this {
    return this.raw(Buffer.from(hex, 'hex'))
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  finish(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#length)
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes))
    larger.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = larger
  }
}

class Malformed extends Error {}

export class WireReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  byte(): number {
    const value = this.#bytes[this.#at++]
    if (value === undefined) throw new Malformed()
    return value
  }

  /** At most 2^53 - 1, in its shortest form. */
  integer(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (value > Number.MAX_SAFE_INTEGER) throw new Malformed()
      if (byte < 128) {
        if (byte === 0 && scale > 1) throw new Malformed()
        return value
      }
      scale *= 128
    }
  }

  text(bytesMax: number): string {
    const bytes = this.bytes(bytesMax)
    try {
      return DECODER.decode(bytes)
    } catch {
      throw new Malformed()
    }
  }

  /** A copy: the message that it came in can go. */
  bytes(bytesMax: number): Uint8Array {
    const length = this.integer()
    if (length > bytesMax) throw new Malformed()
    return this.raw(length)
  }

  hash(): string {
    return Buffer.from(this.raw(HASH_BYTES)).toString('hex')
  }

  raw(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new Malformed()
    const copy = this.#bytes.slice(this.#at, end)
    this.#at = end
    return copy
  }

  /** `count` items of `read`; the count is on the wire. */
  list<T>(countMax: number, read: () => T): T[] {
    const count = this.integer()
    if (count > countMax) throw new Malformed()
    const items: T[] = []
    for (let i = 0; i < count; i++) items.push(read())
    return items
  }

  /** Refuses the message. */
  refuse(): never {
    throw new Malformed()
  }
}

/** Runs a reader over a whole message; `undefined` when it is malformed or longer than what was read. */
export function readWire<T>(bytes: Uint8Array, read: (reader: WireReader) => T): T | undefined {
  const reader = new WireReader(bytes)
  try {
    const value = read(reader)
    return reader.isAtEnd ? value : undefined
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}
