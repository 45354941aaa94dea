/**
 * Kind `scripted`: plays a recorded stream of events, in a real process under the shim. For demonstrations, tests and replays: no agent
 * program, no key, no network.
 *
 * The payload names the recording: `{ "script": "path/in/the/workspace.jsonl" }`, or holds it: `{ "lines": [ … ] }`. A line is an event or an
 * action, see `scripted-player.ts`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AttemptEnd, AttemptEvent, AttemptSpec, Usage } from '../core/attempt.ts'
import type { Json } from '../core/task.ts'
import { readEvent } from './event.ts'
import type { Executor } from './executor.ts'
import { LineSplitter, printable } from './line.ts'
import { createProcessExecutor, type Decoder, type ProcessExecutorOptions } from './process-executor.ts'
import { programArguments } from './program.ts'

export function createScriptedExecutor(options: ProcessExecutorOptions = {}): Executor {
  return createProcessExecutor(
    {
      kind: 'scripted',
      command: (spec) => ({
        command: process.execPath,
        args: [...programArguments('scripted-player'), scriptPath(spec)],
      }),
      decoder: (listener) => new EventDecoder(listener),
    },
    options,
  )
}

function scriptPath(spec: AttemptSpec): string {
  const payload = spec.task.payload
  const field = (name: string): Json | undefined =>
    typeof payload === 'object' && payload !== null && !Array.isArray(payload)
      ? (payload as Record<string, Json>)[name]
      : undefined
  const script = field('script')
  if (typeof script === 'string') return join(spec.workspace, script)
  const lines = field('lines')
  const path = join(spec.dir, 'script.jsonl')
  mkdirSync(spec.dir, { recursive: true })
  writeFileSync(path, Array.isArray(lines) ? lines.map((line) => `${JSON.stringify(line)}\n`).join('') : '')
  return path
}

const SHOWN_CHARS = 200

/** One event for each line of JSON. A line that is none becomes an `error` event, and the next line is read as usual. */
export class EventDecoder implements Decoder {
  readonly #listener: (event: AttemptEvent) => void
  readonly #lines: LineSplitter
  #finished: AttemptEnd['finished']
  #usage: Usage | undefined

  constructor(listener: (event: AttemptEvent) => void) {
    this.#listener = listener
    this.#lines = new LineSplitter((line, bytes) => this.#take(line, bytes))
  }

  resume(): void {
    this.#lines.skip()
  }

  push(chunk: Buffer): void {
    this.#lines.push(chunk)
  }

  gap(from: number, to: number): void {
    this.#lines.skip()
    this.#listener({
      type: 'error',
      code: 'output-gap',
      message: `${to - from} bytes of the stream are missing`,
      retryable: false,
    })
  }

  end(total: number): { finished?: AttemptEnd['finished']; usage?: Usage } {
    this.#lines.end()
    this.#listener({ type: 'output', bytes: total })
    return {
      ...(this.#finished ? { finished: this.#finished } : {}),
      ...(this.#usage ? { usage: this.#usage } : {}),
    }
  }

  #take(line: Buffer, bytes: number): void {
    if (line.length === 0) return
    const event = bytes > line.length ? undefined : parse(line)
    if (event === undefined) {
      const message =
        bytes > line.length
          ? `a line of ${bytes} bytes was cut`
          : `not an event: ${printable(line).slice(0, SHOWN_CHARS)}`
      this.#listener({ type: 'error', code: 'bad-line', message, retryable: false })
      return
    }
    if (event.type === 'finished')
      this.#finished = event.reason === undefined ? { ok: event.ok } : { ok: event.ok, reason: event.reason }
    if (event.type === 'usage') this.#usage = { ...this.#usage, ...event.usage }
    this.#listener(event)
  }
}

function parse(line: Buffer): AttemptEvent | undefined {
  try {
    return readEvent(JSON.parse(line.toString('utf8')))
  } catch {
    return undefined
  }
}
