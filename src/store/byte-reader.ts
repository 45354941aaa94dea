/** Reads the one spelling of each value and refuses all others, so that what was read encodes to the same bytes again. */
import { isUtf8 } from 'node:buffer'

/** Thrown inside a decoder, caught at its border: never leaves the store. */
export class Malformed extends Error {}

export class ByteReader {
  readonly bytes: Buffer
  at: number
  readonly end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = at
    this.end = end
  }

  byte(what: string): number {
    if (this.at >= this.end) throw new Malformed(`ends within ${what}`)
    return this.bytes[this.at++]!
  }

  /** LEB128 as Yjs writes it, 0..`max`; a longer spelling of the same number is refused. */
  varuint(what: string, max = Number.MAX_SAFE_INTEGER): number {
    // Most numbers have one byte.
    const short = this.at < this.end ? this.bytes[this.at]! : 128
    if (short < 128 && short <= max) {
      this.at++
      return short
    }
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte(what)
      value += (byte & 127) * scale
      if (value > max) throw new Malformed(`${what} is above ${max}`)
      if (byte < 128) {
        if (byte === 0 && scale > 1) throw new Malformed(`${what} is spelled too long`)
        return value
      }
      // Seven groups of seven bits fill 49; an eighth may still fit, a ninth never does.
      if (scale > 2 ** 48) throw new Malformed(`${what} is spelled too long`)
    }
  }

  /** Skips `count` bytes and returns where they began. */
  skip(count: number, what: string): number {
    const start = this.at
    if (count > this.end - start) throw new Malformed(`ends within ${what}`)
    this.at = start + count
    return start
  }

  /** A view, not a copy. */
  take(count: number, what: string): Uint8Array {
    const start = this.skip(count, what)
    // No Buffer: Yjs refuses it as content.
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + start, count)
  }

  /** A length, then so many bytes of UTF-8. */
  text(what: string, bytesMax: number): string {
    const short = this.at < this.end ? this.bytes[this.at]! : 128
    // The words of a refusal are made when there is one.
    const isShort = short < 128 && short <= bytesMax
    const length = isShort ? short : this.varuint(`length of ${what}`, bytesMax)
    if (isShort) this.at++
    const start = this.skip(length, what)
    return textOf(this.bytes, start, this.at, what)
  }

  finish(what: string): void {
    if (this.at !== this.end) throw new Malformed(`${this.end - this.at} bytes after the end of ${what}`)
  }
}

/** Text of `bytes[start, end)`. */
export function textOf(bytes: Buffer, start: number, end: number, what: string): string {
  if (end - start <= SHORT_TEXT_BYTES && isAscii(bytes, start, end))
    return bytes.toString('latin1', start, end)
  if (!isUtf8(bytes.subarray(start, end))) throw new Malformed(`${what} is no UTF-8`)
  return bytes.toString('utf8', start, end)
}

/** Looking at so many bytes one by one is faster than asking for it. */
const SHORT_TEXT_BYTES = 64

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i]! > 0x7f) return false
  return true
}
