/* oxlint-disable no-control-regex -- control characters are what is taken out */
/** Lines out of chunks of bytes, and text fit to show out of lines. */
import { LINE_BYTES_MAX } from '../core/limit.ts'

const LF = 0x0a

/**
 * Cuts a stream at line feeds. A line longer than `LINE_BYTES_MAX` is told cut, once, with the number of its bytes; memory stays bounded.
 * After `skip` the rest of a torn line is dropped, so that a consumer never sees half a line as a whole one.
 */
export class LineSplitter {
  readonly #tell: (line: Buffer, lineBytes: number) => void
  readonly #max: number
  #parts: Buffer[] = []
  #kept = 0
  #bytes = 0
  #torn = false

  constructor(tell: (line: Buffer, lineBytes: number) => void, max = LINE_BYTES_MAX) {
    this.#tell = tell
    this.#max = max
  }

  /** Bytes of the unfinished line. */
  get pending(): number {
    return this.#bytes
  }

  push(chunk: Buffer): void {
    let from = 0
    for (;;) {
      const end = chunk.indexOf(LF, from)
      if (end < 0) break
      this.#take(chunk.subarray(from, end))
      this.#flush()
      from = end + 1
    }
    if (from < chunk.length) this.#take(chunk.subarray(from))
  }

  /** Bytes are missing here. */
  skip(): void {
    this.#reset()
    this.#torn = true
  }

  /** The stream has ended: a last line without line feed is a line. */
  end(): void {
    if (this.#bytes > 0) this.#flush()
  }

  #take(part: Buffer): void {
    this.#bytes += part.length
    const room = this.#max - this.#kept
    if (room <= 0 || part.length === 0) return
    // copied: the chunk may be a window of a large buffer
    this.#parts.push(Buffer.from(part.subarray(0, room)))
    this.#kept += Math.min(part.length, room)
  }

  #flush(): void {
    const line = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    const bytes = this.#bytes
    const torn = this.#torn
    this.#reset()
    this.#torn = false
    if (!torn) this.#tell(line, bytes)
  }

  #reset(): void {
    this.#parts = []
    this.#kept = 0
    this.#bytes = 0
  }
}

const ESCAPES =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|[ -/]*[0-~])/g
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** Text to show: invalid UTF-8 becomes U+FFFD; escape sequences, control characters and direction overrides vanish; of a line rewritten by CR, the last state. */
export function printable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('utf8')
    .replace(ESCAPES, '')
  return text
    .split('\n')
    .map((line) => {
      const trimmed = line.replace(/\r+$/, '')
      return trimmed.slice(trimmed.lastIndexOf('\r') + 1).replace(CONTROLS, '')
    })
    .join('\n')
}
