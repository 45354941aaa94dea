/**
 * Output of an attempt on disk: raw bytes in files named by the offset of their first byte. `output.head` holds the beginning,
 * `output.<offset>` the latest segments; what lies between was dropped and only counted. Names and sizes say everything, so that a reader
 * needs no record of the writer, even after it was killed.
 */
import { closeSync, openSync, readdirSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs'

const SEGMENTS = 4
const HEAD = 'output.head'
const SEGMENT = /^output\.(\d{15})$/

interface Piece {
  readonly start: number
  readonly path: string
  readonly fd: number
  size: number
}

export interface Slice {
  /** Offset of the first byte: later than asked for where bytes were dropped. */
  readonly offset: number
  readonly data: Buffer
}

/** The one writer: the shim. A write that fails (disk full) drops its bytes, never the worker's time. */
export class OutputWriter {
  readonly #dir: string
  readonly #headBytes: number
  readonly #segmentBytes: number
  #head: Piece | undefined
  readonly #tail: Piece[] = []
  #open: Piece | undefined
  total = 0

  constructor(dir: string, headBytes: number, tailBytes: number) {
    this.#dir = dir
    this.#headBytes = headBytes
    this.#segmentBytes = Math.max(1, Math.floor(tailBytes / SEGMENTS))
  }

  append(chunk: Uint8Array): void {
    let from = 0
    while (from < chunk.length) {
      const piece = this.#open ?? this.#create()
      const room = piece === undefined ? chunk.length - from : this.#capacity(piece) - piece.size
      const length = Math.min(room, chunk.length - from)
      const written = piece === undefined ? 0 : this.#write(piece, chunk, from, length)
      if (piece !== undefined) piece.size += written
      // a hole: the next bytes begin a file of their own, so that offsets stay true
      if (piece === undefined || written < length || piece.size >= this.#capacity(piece))
        this.#open = undefined
      this.total += length
      from += length
    }
  }

  /** At most `max` bytes at or after `offset`; `undefined` when there is nothing yet. */
  read(offset: number, max: number): Slice | undefined {
    return readPieces(this.#head ? [this.#head, ...this.#tail] : this.#tail, offset, max)
  }

  /** Frees the tail, to make room for the record of the end on a full disk. */
  dropTail(): void {
    while (this.#tail.length > 0) this.#discard(this.#tail.shift()!)
    this.#open = undefined
  }

  #capacity(piece: Piece): number {
    return piece === this.#head ? this.#headBytes : this.#segmentBytes
  }

  #write(piece: Piece, chunk: Uint8Array, from: number, length: number): number {
    let done = 0
    try {
      while (done < length) done += writeSync(piece.fd, chunk, from + done, length - done, piece.size + done)
    } catch {
      // disk full: counted by the caller
    }
    return done
  }

  #create(): Piece | undefined {
    const isHead = this.total === 0 && this.#headBytes > 0
    const path = `${this.#dir}/${isHead ? HEAD : `output.${String(this.total).padStart(15, '0')}`}`
    try {
      const piece = { start: this.total, path, fd: openSync(path, 'w+', 0o600), size: 0 }
      if (isHead) this.#head = piece
      else this.#tail.push(piece)
      if (this.#tail.length > SEGMENTS) this.#discard(this.#tail.shift()!)
      this.#open = piece
      return piece
    } catch {
      return undefined
    }
  }

  #discard(piece: Piece): void {
    closeSync(piece.fd)
    try {
      unlinkSync(piece.path)
    } catch {
      // removed by a person: nothing to free
    }
  }
}

function readPieces(pieces: readonly Piece[], offset: number, max: number): Slice | undefined {
  const piece = pieces.find((p) => p.start + p.size > offset)
  if (piece === undefined) return undefined
  const start = Math.max(offset, piece.start)
  const data = Buffer.allocUnsafe(Math.min(max, piece.start + piece.size - start))
  const length = readSync(piece.fd, data, 0, data.length, start - piece.start)
  return length === 0 ? undefined : { offset: start, data: data.subarray(0, length) }
}

/** Pieces on disk, oldest first: [offset of the first byte, bytes, path]. */
function listPieces(dir: string): { start: number; size: number; path: string }[] {
  const pieces: { start: number; size: number; path: string }[] = []
  for (const name of readdirSync(dir)) {
    const start = name === HEAD ? 0 : Number(SEGMENT.exec(name)?.[1] ?? Number.NaN)
    if (Number.isNaN(start)) continue
    try {
      pieces.push({ start, size: statSync(`${dir}/${name}`).size, path: `${dir}/${name}` })
    } catch {
      // rotated away between the list and the look
    }
  }
  return pieces.sort((a, b) => a.start - b.start)
}

/** Bytes known to have been written: a lower bound of the total while the writer lives or was killed. */
export function outputBytes(dir: string): number {
  const last = listPieces(dir).at(-1)
  return last === undefined ? 0 : last.start + last.size
}

/** What is kept at or after `offset`, in order, in slices of at most `max` bytes. */
export function* readOutput(dir: string, offset: number, max = 256 * 1024): Generator<Slice> {
  let at = offset
  for (const piece of listPieces(dir)) {
    if (piece.start + piece.size <= at) continue
    let fd: number
    try {
      fd = openSync(piece.path, 'r')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue // rotated away: a gap, which the offsets tell
      throw error
    }
    try {
      for (;;) {
        const slice = readPieces([{ ...piece, fd, size: piece.size }], at, max)
        if (slice === undefined) break
        at = slice.offset + slice.data.length
        yield slice
      }
    } finally {
      closeSync(fd)
    }
  }
}

/** The last `max` bytes that are kept. */
export function readTail(dir: string, max: number): Buffer {
  const slices = [...readOutput(dir, Math.max(0, outputBytes(dir) - max))]
  return Buffer.concat(slices.map((slice) => slice.data))
}
