/** Kind `scripted`: recordings, and what a stream may do wrong. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { AttemptEvent } from '../../src/core/attempt.ts'
import { LINE_BYTES_MAX } from '../../src/core/limit.ts'
import { readEvent } from '../../src/executor/event.ts'
import { createScriptedExecutor, EventDecoder } from '../../src/executor/scripted.ts'
import { cleanUp, collect, makeAttempt } from './attempt.ts'

afterAll(() => expect(cleanUp()).toEqual([]))

const samples: AttemptEvent[] = [
  { type: 'session', id: 's1', model: 'm' },
  { type: 'step', n: 1, status: 'reading' },
  { type: 'text', role: 'agent', text: 'hello' },
  { type: 'tool-call', id: '1', name: 'Edit', args: { path: 'a' }, kind: 'write' },
  { type: 'tool-result', id: '1', ok: true, bytes: 3, summary: 'fine' },
  { type: 'file-changed', path: 'a', op: 'add' },
  { type: 'usage', usage: { inputTokens: 1, usd: 0.5 } },
  { type: 'rate-limit', untilMs: 5 },
  { type: 'wait', forMs: 5, why: 'build' },
  { type: 'permission', tool: 'Bash', decision: 'deny' },
  { type: 'progress', handoff: { current_focus: 'x', progress: [], next_steps: [], updated_at: 'now' } },
  { type: 'output', bytes: 3 },
  { type: 'error', code: 'x', message: 'y', retryable: true },
  { type: 'finished', ok: true, reason: 'done' },
]

describe('recordings', () => {
  it('[EX23] plays events, files, raw lines and the exit of a file in the workspace', async () => {
    const spec = makeAttempt({ kind: 'scripted', payload: { script: 'demo.jsonl' } })
    const lines = [
      ...samples.map((event) => ({ event })),
      { raw: '{"type":"unknown"}' },
      { raw: 'Segmentation fault' },
      { write: { path: 'src/new.ts', content: 'export {}\n' }, afterMs: 5 },
      { sleepMs: 5 },
      { exit: 4 },
      { raw: 'never' },
    ]
    writeFileSync(join(spec.workspace, 'demo.jsonl'), lines.map((line) => JSON.stringify(line)).join('\n'))
    const seen = collect()
    const end = await (await createScriptedExecutor().start(spec, seen.listener)).ended
    expect(end).toMatchObject({
      exit: 4,
      finished: { ok: true, reason: 'done' },
      usage: { inputTokens: 1, usd: 0.5 },
    })
    expect(readFileSync(join(spec.workspace, 'src/new.ts'), 'utf8')).toBe('export {}\n')
    expect(seen.events.slice(0, samples.length)).toEqual(samples)
    expect(seen.events.slice(samples.length, -1)).toEqual([
      { type: 'error', code: 'bad-line', message: 'not an event: {"type":"unknown"}', retryable: false },
      { type: 'error', code: 'bad-line', message: 'not an event: Segmentation fault', retryable: false },
      { type: 'file-changed', path: 'src/new.ts', op: 'add' },
    ])
  })

  it('[EX23] a recording that is missing or torn ends the attempt with 2 and says so', async () => {
    const missing = await (
      await createScriptedExecutor().start(makeAttempt({ payload: { script: 'none' } }), () => {})
    ).ended
    expect(missing).toMatchObject({ exit: 2 })
    expect(missing.excerpt).toContain('script not found')
    const spec = makeAttempt({ payload: { script: 'torn' } })
    writeFileSync(join(spec.workspace, 'torn'), '{"sleepMs":1}\n{')
    const torn = await (await createScriptedExecutor().start(spec, () => {})).ended
    expect(torn.exit).toBe(2)
    expect(torn.excerpt).toContain('torn:2: not JSON')
  })
})

describe('the stream of a worker', () => {
  it('[EX24] events are read with exactly their own fields', () => {
    for (const event of samples) {
      expect(readEvent(JSON.parse(JSON.stringify(event)))).toEqual(event)
      expect(readEvent({ ...event, more: 1 })).toEqual(event)
    }
    for (const wrong of [
      null,
      3,
      'x',
      [],
      {},
      { type: 'step' },
      { type: 'step', n: -1 },
      { type: 'toString' },
      { type: 'text', role: 'root', text: '' },
    ]) {
      expect(readEvent(wrong)).toBeUndefined()
    }
  })

  it('[EX24] whatever bytes come in whatever pieces, nothing throws and good lines after bad ones are read', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 40 }),
        (noise, size) => {
          const seen = collect()
          const decoder = new EventDecoder(seen.listener)
          const good = Buffer.from('\n{"type":"step","n":5}\n')
          const bytes = Buffer.concat([...noise.flatMap((part) => [Buffer.from(part), good])])
          for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.subarray(at, at + size))
          decoder.end(bytes.length)
          expect(seen.of('step').length).toBeGreaterThanOrEqual(noise.length)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('[EX24] a line over the limit is cut and told, the next one is read', () => {
    const seen = collect()
    const decoder = new EventDecoder(seen.listener)
    const chunk = Buffer.alloc(64 * 1024, 0x61)
    for (let bytes = 0; bytes <= LINE_BYTES_MAX; bytes += chunk.length) decoder.push(chunk)
    decoder.push(Buffer.from('\n{"type":"step","n":5}\n'))
    expect(seen.of('error')).toHaveLength(1)
    expect(seen.of('error')[0]?.message).toMatch(/^a line of \d+ bytes was cut$/)
    expect(seen.of('step')).toEqual([{ type: 'step', n: 5 }])
  })

  it('[EX24] after missing bytes the torn line is dropped, not read', () => {
    const seen = collect()
    const decoder = new EventDecoder(seen.listener)
    decoder.push(Buffer.from('{"type":"step",'))
    decoder.gap(15, 100)
    decoder.push(Buffer.from('"n":9}\n{"type":"step","n":10}\n'))
    expect(seen.events).toEqual([
      { type: 'error', code: 'output-gap', message: '85 bytes of the stream are missing', retryable: false },
      { type: 'step', n: 10 },
    ])
  })
})
