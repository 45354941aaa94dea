/** What happened, as one number: two runs of a seed must have the same. FNV-1a in two lanes, as this runs once an event. */
import type { Millis } from '../core/id.ts'

export type TraceListener = (line: string) => void

export class Trace {
  #a = 0x811c9dc5
  #b = 0x01000193
  lines = 0
  readonly #listener: TraceListener | undefined

  constructor(listener?: TraceListener) {
    this.#listener = listener
  }

  note(at: Millis, who: string, what: string): void {
    this.lines++
    this.#number(at)
    this.#text(who)
    this.#text(what)
    this.#listener?.(`${(at / 1_000).toFixed(3).padStart(10)} ${who} ${what}`)
  }

  /** 16 hex digits. */
  digest(): string {
    return hex(this.#a) + hex(this.#b)
  }

  #number(value: number): void {
    const micros = Math.round(value * 1_000)
    this.#byte((micros % 2 ** 32) | 0)
    this.#byte(Math.floor(micros / 2 ** 32))
  }

  #text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#byte(text.charCodeAt(i))
    this.#byte(0xff00)
  }

  #byte(value: number): void {
    this.#a = Math.imul(this.#a ^ value, 0x01000193)
    this.#b = Math.imul(this.#b + value, 0x85ebca6b) ^ (this.#b >>> 13)
  }
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0')
}
