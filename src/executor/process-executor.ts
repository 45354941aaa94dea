/**
 * Executor of a kind whose worker is a process under the shim: what differs between kinds is the command and how its output becomes events
 * (the decoder).
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { AttemptEnd, AttemptEvent, AttemptSpec, Usage } from '../core/attempt.ts'
import { OUTPUT_EXCERPT_BYTES } from '../core/limit.ts'
import type { Executor, RunningAttempt } from './executor.ts'
import { printable } from './line.ts'
import { readTail } from './output.ts'
import {
  adoptProcess,
  type OutputReader,
  type ProcessAttempt,
  type ProcessEnd,
  startProcess,
} from './process.ts'
import { ReportWatch } from './report.ts'

/** Turns output into events. */
export interface Decoder {
  /** The stream begins in the middle: what comes before the first line feed is not a line. */
  resume(): void
  push(chunk: Buffer, offset: number): void
  /** Bytes were dropped. */
  gap(from: number, to: number): void
  /** The output has ended; `total` bytes were written. Returns what the stream said about the end, if it did. */
  end(total: number): { finished?: AttemptEnd['finished']; usage?: Usage }
}

export interface ProcessKind {
  readonly kind: string
  /** Command and arguments of an attempt. May write files into `spec.dir`. */
  command(spec: AttemptSpec): { readonly command: string; readonly args: readonly string[] }
  decoder(listener: (event: AttemptEvent) => void): Decoder
  /** Bytes of output per `OUTPUT_EVENT_MS` that reach the decoder; absent = all. */
  readonly rate?: number
}

export interface ProcessExecutorOptions {
  /**
   * Where an adopted attempt's output continues: the `bytes` of its last `output` event in the log. Lines told after that mark are told again. Default: 0,
   * everything is told again.
   */
  readonly resumeFrom?: (spec: AttemptSpec) => number | undefined
}

export function createProcessExecutor(kind: ProcessKind, options: ProcessExecutorOptions = {}): Executor {
  return {
    kind: kind.kind,
    survives: true,
    async start(spec, listener) {
      const following = follow(kind, spec, 0, listener)
      const memory = spec.task.resources?.memoryBytes
      const running = await startProcess(
        {
          id: spec.id,
          dir: spec.dir,
          ...kind.command(spec),
          cwd: spec.workspace,
          env: spec.env,
          timeoutMs: spec.timeoutMs,
          ...(memory === undefined ? {} : { memoryBytes: memory }),
        },
        following.reader,
      )
      return following.run(running)
    },
    async adopt(spec, listener) {
      const following = follow(kind, spec, options.resumeFrom?.(spec) ?? 0, listener)
      const running = await adoptProcess(spec.dir, following.reader)
      return running && following.run(running)
    },
  }
}

/** Directory that the worker knows as `$ORCH_DIR`. */
export function reportDir(spec: AttemptSpec): string {
  return join(spec.dir, 'orch')
}

function follow(
  kind: ProcessKind,
  spec: AttemptSpec,
  from: number,
  listener: (event: AttemptEvent) => void,
): { reader: OutputReader; run(running: ProcessAttempt): RunningAttempt } {
  const decoder = kind.decoder(listener)
  if (from > 0) decoder.resume()
  const reader: OutputReader = {
    // one byte earlier: a line feed there says that a line begins at `from`
    from: Math.max(0, from - 1),
    ...(kind.rate === undefined ? {} : { rate: kind.rate }),
    output: (chunk, offset) => decoder.push(chunk, offset),
    gap: (a, b) => decoder.gap(a, b),
  }
  return {
    reader,
    run(running) {
      mkdirSync(reportDir(spec), { recursive: true })
      const watch = new ReportWatch(reportDir(spec), listener)
      watch.look()
      const ended = running.ended.then((end) => {
        watch.close()
        return attemptEnd(spec, end, decoder.end(end.outputBytes))
      })
      return {
        id: spec.id,
        ...(running.pid === undefined ? {} : { pid: running.pid }),
        stop: (reason, graceMs) => running.stop(reason, graceMs),
        ended,
      }
    },
  }
}

function attemptEnd(spec: AttemptSpec, end: ProcessEnd, stream: ReturnType<Decoder['end']>): AttemptEnd {
  return {
    exit: end.exit,
    ...(end.signal === undefined ? {} : { signal: end.signal }),
    ...(end.spawnError === undefined ? {} : { spawnError: end.spawnError }),
    ...(stream.finished === undefined ? {} : { finished: stream.finished }),
    ...(end.stopped === undefined ? {} : { stopped: end.stopped }),
    ...(end.lost === undefined ? {} : { lost: true }),
    startedAt: end.startedAt,
    endedAt: end.endedAt,
    outputBytes: end.outputBytes,
    excerpt: excerpt(spec.dir),
    usage: {
      ...stream.usage,
      wallMs: Math.max(0, end.endedAt - end.startedAt),
      ...(end.memoryBytesMax === undefined ? {} : { memoryBytesMax: end.memoryBytesMax }),
    },
  }
}

function excerpt(dir: string): string {
  let bytes: Buffer
  try {
    bytes = readTail(dir, OUTPUT_EXCERPT_BYTES)
  } catch {
    return ''
  }
  // never in the middle of a character; replacement characters may make it longer again
  let from = 0
  while (from < bytes.length && from < 4 && (bytes[from]! & 0xc0) === 0x80) from++
  const text = printable(bytes.subarray(from))
  const encoded = Buffer.from(text)
  return encoded.length <= OUTPUT_EXCERPT_BYTES
    ? text
    : printable(encoded.subarray(-OUTPUT_EXCERPT_BYTES)).replace(/^\uFFFD+/, '')
}
