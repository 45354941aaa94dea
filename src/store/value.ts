/**
 * Value of a fact on the board: its JSON text in UTF-8, in the one spelling that `JSON.stringify` gives. Not msgpack: a string with half a surrogate pair and a key
 * `__proto__` must come back as they were (SPEC ST7), an array that declares a length must not allocate it, and there must be one spelling.
 */
import { FACT_BYTES_MAX, FACT_DEPTH_MAX } from '../core/limit.ts'
import type { Json } from '../core/task.ts'
import { Malformed, textOf } from './byte-reader.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** JSON of a body of our own. @throws Malformed too long, or too deep */
export function valueText(body: unknown): string {
  const text = JSON.stringify(body) ?? 'null'
  if (text.length > FACT_BYTES_MAX || Buffer.byteLength(text) > FACT_BYTES_MAX)
    throw new Malformed(`its value has more than ${FACT_BYTES_MAX} bytes`)
  checkDepth(text)
  return text
}

/** Value of bytes that were checked before. */
export function readValue(bytes: Buffer, start: number, end: number): Json {
  return JSON.parse(bytes.toString('utf8', start, end))
}

/** @throws Malformed bytes that are no value in its one spelling; anybody may have made them */
export function checkValue(bytes: Buffer, start: number, end: number): void {
  const text = textOf(bytes, start, end, 'a value')
  checkDepth(text)
  let value: Json
  try {
    value = JSON.parse(text)
  } catch {
    throw new Malformed('a value is no JSON')
  }
  // Refuses blanks, repeated keys, numbers beyond a double, escapes that are not needed.
  if (JSON.stringify(value) !== text) throw new Malformed('a value is not in its one spelling')
}

/** Before the parser: what is nested deeply costs it, and everyone who walks the value, a stack. */
function checkDepth(text: string): void {
  if (text.length <= FACT_DEPTH_MAX) return
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      i = endOfString(text, i)
    } else if (code === 0x7b || code === 0x5b) {
      depth++
      if (depth > FACT_DEPTH_MAX) throw new Malformed(`a value is nested deeper than ${FACT_DEPTH_MAX}`)
    } else if (code === 0x7d || code === 0x5d) depth--
  }
}

/** Place of the quote that ends the string which begins at `start`. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end > 0) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
  return text.length
}
