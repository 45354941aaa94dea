/** What a command says: data to stdout, talk to stderr; people or machines, quiet or not. */
import type { WireError } from '../api/wire-error.ts'
import { createStyle, type Style } from './style.ts'
import { line, safe } from './text.ts'
import type { World } from './world.ts'

export interface OutputOptions {
  readonly json: boolean
  readonly quiet: boolean
}

/** One answer in its three shapes. */
export interface Answer {
  readonly data: unknown
  /** For people. Must be safe already: built of `line` and `safe`. */
  readonly text: () => string
  /** For `--quiet`; absent = nothing. */
  readonly ids?: () => readonly string[]
}

export class Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly style: Style
  readonly talkStyle: Style
  readonly #world: World

  constructor(world: World, options: OutputOptions) {
    this.#world = world
    this.json = options.json
    this.quiet = options.quiet
    this.style = createStyle(world.stdout, world.env)
    this.talkStyle = createStyle(world.stderr, world.env)
  }

  /** Width to fit tables in; unbounded when nobody looks. */
  get columns(): number | undefined {
    return this.#world.stdout.isTerminal ? this.#world.stdout.columns : undefined
  }

  /** The one document of a command. */
  async answer({ data, text, ids }: Answer): Promise<void> {
    if (this.json) return this.#out(`${toJson({ schemaVersion: 1, data })}\n`)
    return this.#lines(this.quiet ? (ids?.() ?? []).map(line).join('\n') : text())
  }

  /** One item of a stream: a line of JSON, of text, or an id. */
  async item({ data, text, ids }: Answer): Promise<void> {
    if (this.json) return this.#out(`${toJson(data)}\n`)
    return this.#lines(this.quiet ? (ids?.() ?? []).map(line).join('\n') : text())
  }

  /** Bytes of a worker: as they are, unless a person looks. */
  async raw(bytes: Uint8Array, toText: (bytes: Uint8Array) => string): Promise<void> {
    await this.#out(this.#world.stdout.isTerminal ? toText(bytes) : bytes)
  }

  /** Talk: on stderr, none with --quiet. */
  note(text: string): void {
    if (!this.quiet) void this.#world.stderr.write(`${text}\n`)
  }

  warn(text: string): void {
    void this.#world.stderr.write(`${this.talkStyle.yellow('warning:')} ${safe(text)}\n`)
  }

  /** What failed, why, what to do, and the code. */
  async error(error: WireError, details: { readonly why?: string; readonly stack?: string }): Promise<void> {
    const { code, message, hint, context } = error
    if (this.json) {
      const holder = context?.holder
      await this.#out(
        `${toJson({ schemaVersion: 1, error: { code, message, hint, ...(typeof holder === 'string' && { holder }) } })}\n`,
      )
    } else {
      const { red, bold, dim } = this.talkStyle
      const lines = [`${red(bold('error:'))} ${safe(message)}`]
      if (details.why) lines.push(`why: ${safe(details.why)}`)
      lines.push(`next: ${safe(hint)}`, dim(code))
      void this.#world.stderr.write(`${lines.join('\n')}\n`)
    }
    if (details.stack) void this.#world.stderr.write(`${safe(details.stack)}\n`)
  }

  async #lines(text: string): Promise<void> {
    if (text !== '') await this.#out(text.endsWith('\n') ? text : `${text}\n`)
  }

  async #out(text: string | Uint8Array): Promise<void> {
    await this.#world.stdout.write(text)
  }
}

/** JSON escapes C0 itself; a terminal obeys DEL and C1 too. */
export function toJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
