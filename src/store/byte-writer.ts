/** A buffer that grows: the counterpart of `ByteReader`. */
const FIRST_BYTES = 512

export class ByteWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES)
  #at = 0

  get length(): number {
    return this.#at
  }

  byte(value: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = value
  }

  /** LEB128, the shortest spelling; a safe integer from 0. */
  varuint(value: number): void {
    this.#room(8)
    let rest = value
    while (rest > 127) {
      this.#bytes[this.#at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#at++] = rest
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** The text must be well formed. */
  text(text: string): void {
    const bytes = Buffer.byteLength(text)
    this.varuint(bytes)
    this.#room(bytes)
    this.#at += this.#bytes.write(text, this.#at, 'utf8')
  }

  /** A copy of what was written: a plain Uint8Array, since Yjs refuses a Buffer. */
  bytes(): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(0, this.#at))
  }

  #room(bytes: number): void {
    const need = this.#at + bytes
    if (need <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(need, this.#bytes.length * 2))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}
