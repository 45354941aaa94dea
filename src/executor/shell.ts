/** Kind `shell`: the command line of a task, by `/bin/sh -c`. Its output becomes text, cheap however much it is. */
import type { AttemptEvent } from '../core/attempt.ts'
import { assert } from '../core/error.ts'
import { OUTPUT_EVENT_BYTES } from '../core/limit.ts'
import type { Executor } from './executor.ts'
import { LineSplitter, printable } from './line.ts'
import { createProcessExecutor, type Decoder, type ProcessExecutorOptions } from './process-executor.ts'

export function createShellExecutor(options: ProcessExecutorOptions = {}): Executor {
  return createProcessExecutor(
    {
      kind: 'shell',
      command: (spec) => {
        assert(spec.task.run !== undefined, 'a shell task has a command')
        return { command: '/bin/sh', args: ['-c', spec.task.run] }
      },
      decoder: (listener) => new TextDecoderOfLines(listener),
      rate: OUTPUT_EVENT_BYTES,
    },
    options,
  )
}

/** A mark of the number of bytes is told at most once per so many bytes, and wherever bytes were left out. */
const MARK_BYTES = 64 * 1024

/** Whole lines as `text` events: all lines that came at once are one event. An `output` event marks how far the lines told reach. */
class TextDecoderOfLines implements Decoder {
  readonly #listener: (event: AttemptEvent) => void
  readonly #lines: LineSplitter
  #batch: Buffer[] = []
  /** Offset of the next byte. */
  #at = 0
  #marked = 0

  constructor(listener: (event: AttemptEvent) => void) {
    this.#listener = listener
    this.#lines = new LineSplitter((line) => this.#batch.push(line), OUTPUT_EVENT_BYTES)
  }

  resume(): void {
    this.#lines.skip()
  }

  push(chunk: Buffer, offset: number): void {
    this.#lines.push(chunk)
    this.#at = offset + chunk.length
    this.#tell()
    if (this.#told - this.#marked >= MARK_BYTES) this.#mark(this.#told)
  }

  gap(_from: number, to: number): void {
    this.#lines.skip()
    this.#at = to
    this.#mark(to)
  }

  end(total: number): Record<string, never> {
    this.#lines.end()
    this.#tell()
    if (total > this.#marked) this.#mark(total)
    return {}
  }

  get #told(): number {
    return this.#at - this.#lines.pending
  }

  #mark(bytes: number): void {
    this.#marked = bytes
    this.#listener({ type: 'output', bytes })
  }

  #tell(): void {
    if (this.#batch.length === 0) return
    const text = this.#batch.map(printable).join('\n')
    this.#batch = []
    this.#listener({ type: 'text', role: 'output', text })
  }
}
