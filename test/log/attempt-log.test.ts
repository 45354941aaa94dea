/** Attempt events on disk: numbered, gathered, bounded; what a crash tears is passed over and what follows is not lost. */
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { AttemptEvent } from '../../src/core/attempt.ts'
import { attemptId } from '../../src/core/id.ts'
import {
  ATTEMPT_EVENTS_MAX,
  ATTEMPT_LOG_FLUSH_BYTES,
  ATTEMPT_LOG_QUEUE_BYTES_MAX,
} from '../../src/core/limit.ts'
import { EVENTS_DROPPED, type LoggedEvent, openAttemptLog } from '../../src/log/attempt-log.ts'

function useDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'orch-node-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return join(dir, 'events')
}

const step = (n: number): AttemptEvent => ({ type: 'step', n })
const attempt = (task: string, round = 1, epoch = 1, end = 'AAAAAA') =>
  attemptId({ run: 'run-1', task, round, epoch }, `01JD4ZQ3N8C5V0K7R2M9${end}`)

async function collect(events: AsyncIterable<LoggedEvent>): Promise<LoggedEvent[]> {
  const all: LoggedEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

const numbers = async (events: AsyncIterable<LoggedEvent>) => (await collect(events)).map((event) => event.n)

describe('attempt log', () => {
  it('[AL1] keeps one readable file for each author and attempt, with these bytes', async () => {
    const dir = useDir()
    const log = openAttemptLog({ dir, node: 'node-a' })
    log.append(attempt('math', 2, 3), { type: 'text', role: 'agent', text: 'héllo\n✓' }, 1_732_156_800_000)
    log.append(attempt('math', 2, 3), { type: 'finished', ok: true }, 1_732_156_800_001)
    await log.close()
    const path = join(dir, 'node-a', 'run-1', 'math', '2.3-AAAAAA.jsonl')
    expect(readFileSync(path, 'utf8')).toBe(
      '{"v":1,"attempt":"run-1/math/2.3/01JD4ZQ3N8C5V0K7R2M9AAAAAA"}\n' +
        '{"n":1,"at":1732156800000,"event":{"type":"text","role":"agent","text":"héllo\\n✓"}}\n' +
        '{"n":2,"at":1732156800001,"event":{"type":"finished","ok":true}}\n',
    )
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
  })

  it('[AL2] reads the events of an attempt above a number, also those not written yet', async () => {
    const log = openAttemptLog({ dir: useDir(), node: 'node-a' })
    for (let n = 1; n <= 5; n++) log.append(attempt('math'), step(n), n * 10)
    log.append(attempt('other'), step(1), 1)
    expect(await collect(log.read(attempt('math'), 3))).toEqual([
      { attempt: attempt('math'), node: 'node-a', n: 4, at: 40, event: step(4) },
      { attempt: attempt('math'), node: 'node-a', n: 5, at: 50, event: step(5) },
    ])
    expect(await numbers(log.read(attempt('math')))).toEqual([1, 2, 3, 4, 5])
    expect(await collect(log.read(attempt('never')))).toEqual([])
    await log.close()
  })

  it('[AL2] reads all attempts of a task by every author, oldest round and epoch first', async () => {
    const dir = useDir()
    const a = openAttemptLog({ dir, node: 'node-a' })
    const b = openAttemptLog({ dir, node: 'node-b' })
    a.append(attempt('math', 2, 1), step(1), 1)
    a.append(attempt('math', 1, 10), step(2), 1)
    b.append(attempt('math', 1, 2, 'BBBBBB'), step(3), 1)
    a.append(attempt('math-2', 1, 1), step(4), 1)
    await b.close()
    const events = await collect(a.read({ run: 'run-1', task: 'math' }))
    expect(events.map(({ attempt, node, event }) => [attempt, node, event])).toEqual([
      [attempt('math', 1, 2, 'BBBBBB'), 'node-b', step(3)],
      [attempt('math', 1, 10), 'node-a', step(2)],
      [attempt('math', 2, 1), 'node-a', step(1)],
    ])
    expect(await collect(a.read({ run: 'run-2', task: 'math' }))).toEqual([])
    await a.close()
  })

  it('[AL3] tells followers at once and in order, until they end', async () => {
    const log = openAttemptLog({ dir: useDir(), node: 'node-a' })
    const told: string[] = []
    const end = log.follow(({ attempt, n }) => told.push(`${attempt.split('/')[1]}${n}`))
    log.append(attempt('a'), step(1), 1)
    log.append(attempt('b'), step(1), 1)
    log.append(attempt('a'), step(2), 1)
    expect(told).toEqual(['a1', 'b1', 'a2'])
    end()
    log.append(attempt('a'), step(3), 1)
    expect(told).toHaveLength(3)
    await log.close()
  })

  it('[AL4] writes by itself soon, and at once when much is gathered', async () => {
    const dir = useDir()
    const log = openAttemptLog({ dir, node: 'node-a' })
    const path = (task: string) => join(dir, 'node-a', 'run-1', task, '1.1-AAAAAA.jsonl')
    const size = (task: string) => statSync(path(task), { throwIfNoEntry: false })?.size ?? 0
    log.append(attempt('small'), step(1), 1)
    await expect.poll(() => size('small'), { interval: 5 }).toBeGreaterThan(0)
    log.append(
      attempt('large'),
      { type: 'text', role: 'output', text: 'x'.repeat(ATTEMPT_LOG_FLUSH_BYTES) },
      1,
    )
    await expect.poll(() => size('large'), { interval: 5 }).toBeGreaterThan(ATTEMPT_LOG_FLUSH_BYTES)
    await log.close()
  })

  it('[AL4] thousands of attempts at once are all written', async () => {
    const log = openAttemptLog({ dir: useDir(), node: 'node-a' })
    for (let n = 1; n <= 3; n++) {
      for (let i = 0; i < 1_000; i++) log.append(attempt(`t${i}`), step(n), n)
      if (n === 1) await log.flush()
    }
    await log.flush()
    for (let i = 0; i < 1_000; i += 97) expect(await numbers(log.read(attempt(`t${i}`)))).toEqual([1, 2, 3])
    await log.close()
  })

  it('[AL5] goes on counting where an earlier process stopped', async () => {
    const dir = useDir()
    for (let life = 0; life < 3; life++) {
      const log = openAttemptLog({ dir, node: 'node-a' })
      log.append(attempt('math'), step(life), 1)
      log.append(attempt('math'), { type: 'text', role: 'agent', text: 'x'.repeat(300_000) }, 1)
      await log.close()
    }
    const log = openAttemptLog({ dir, node: 'node-a' })
    expect(await numbers(log.read(attempt('math')))).toEqual([1, 2, 3, 4, 5, 6])
    await log.finish(attempt('math'))
    log.append(attempt('math'), step(9), 1)
    expect(await numbers(log.read(attempt('math'), 6))).toEqual([7])
    await log.close()
  })

  it('[AL5] passes a torn last line over, and what is appended after it is read', async () => {
    const dir = useDir()
    const path = join(dir, 'node-a', 'run-1', 'math', '1.1-AAAAAA.jsonl')
    const first = openAttemptLog({ dir, node: 'node-a' })
    for (let n = 1; n <= 3; n++) first.append(attempt('math'), step(n), n)
    await first.close()
    const whole = statSync(path).size
    const bytes = readFileSync(path)
    for (const lost of [2, 20, 1]) {
      writeFileSync(path, bytes)
      truncateSync(path, whole - lost)
      const log = openAttemptLog({ dir, node: 'node-a' })
      // Without its newline only, the last event is whole.
      const left = lost === 1 ? [1, 2, 3] : [1, 2]
      expect(await numbers(log.read(attempt('math')))).toEqual(left)
      log.append(attempt('math'), step(9), 9)
      const n = left.length + 1
      expect((await collect(log.read(attempt('math'), n - 1))).map(({ n, event }) => [n, event])).toEqual([
        [n, step(9)],
      ])
      await log.close()
    }
    // Even the header may be torn.
    writeFileSync(path, '{"v":1,"att')
    const log = openAttemptLog({ dir, node: 'node-a' })
    log.append(attempt('math'), step(1), 1)
    expect(await collect(log.read({ run: 'run-1', task: 'math' }))).toMatchObject([{ n: 1, event: step(1) }])
    await log.close()
  })

  it('[AL5] damage in the middle costs the damaged lines only', async () => {
    const dir = useDir()
    const log = openAttemptLog({ dir, node: 'node-a' })
    log.append(attempt('math'), step(1), 1)
    await log.flush()
    const path = join(dir, 'node-a', 'run-1', 'math', '1.1-AAAAAA.jsonl')
    appendFileSync(path, `{"n":"x"}\n[]\nnull\n5\n\n\0\0\0${'y'.repeat(9 * 1024 * 1024)}\n`)
    log.append(attempt('math'), step(2), 1)
    expect(await numbers(log.read(attempt('math')))).toEqual([1, 2])
    await log.close()
    const next = openAttemptLog({ dir, node: 'node-a' })
    next.append(attempt('math'), step(3), 1)
    expect(await numbers(next.read(attempt('math')))).toEqual([1, 2, 3])
    await next.close()
  })

  it('[AL5] a file of a newer format is refused', async () => {
    const dir = useDir()
    mkdirSync(join(dir, 'node-a', 'run-1', 'math'), { recursive: true })
    writeFileSync(join(dir, 'node-a', 'run-1', 'math', '1.1-AAAAAA.jsonl'), '{"v":2,"attempt":"x"}\n')
    const log = openAttemptLog({ dir, node: 'node-a' })
    await expect(collect(log.read(attempt('math')))).rejects.toMatchObject({ code: 'ORCH_JOURNAL_NEWER' })
    await log.close()
  })

  it('[AL6] keeps a bounded number of events, says so once, and still takes the end', async () => {
    const log = openAttemptLog({ dir: useDir(), node: 'node-a' })
    for (let n = 1; n <= ATTEMPT_EVENTS_MAX; n++) expect(log.append(attempt('math'), step(n), n)).toBe(true)
    for (let n = 1; n <= 40; n++) expect(log.append(attempt('math'), step(n), n)).toBe(false)
    expect(log.append(attempt('math'), { type: 'finished', ok: true }, 5)).toBe(true)
    expect(log.append(attempt('math'), { type: 'finished', ok: false }, 5)).toBe(false)
    expect(log.dropped(attempt('math'))).toBe(41)
    const last = await collect(log.read(attempt('math'), ATTEMPT_EVENTS_MAX - 1))
    expect(last.map(({ n, event }) => [n - ATTEMPT_EVENTS_MAX, event.type])).toEqual([
      [0, 'step'],
      [1, 'error'],
      [2, 'finished'],
    ])
    expect(last[1]?.event).toMatchObject({ code: EVENTS_DROPPED, retryable: false })
    await log.finish(attempt('math'))
    // The bound holds over restarts.
    expect(log.append(attempt('math'), step(1), 1)).toBe(false)
    expect(await numbers(log.read(attempt('math'), ATTEMPT_EVENTS_MAX))).toHaveLength(2)
    await log.close()
  })

  it('[AL6] holds a bounded amount in memory when the disk does not keep up', async () => {
    const log = openAttemptLog({ dir: useDir(), node: 'node-a' })
    const event: AttemptEvent = { type: 'text', role: 'output', text: 'x'.repeat(1024 * 1024) }
    let taken = 0
    // One turn of the event loop: no write can end in it.
    for (let i = 0; i < 200; i++) if (log.append(attempt('math'), event, 1)) taken++
    expect(taken).toBe(ATTEMPT_LOG_QUEUE_BYTES_MAX / (1024 * 1024))
    expect(log.dropped(attempt('math'))).toBe(200 - taken)
    await log.flush()
    expect(log.append(attempt('math'), step(1), 1)).toBe(true)
    await log.close()
  })

  it('[AL7] a write that fails is told once, costs its events only, and the log goes on', async () => {
    const dir = useDir()
    const faults: string[] = []
    const log = openAttemptLog({ dir, node: 'node-a', onFault: (fault) => faults.push(fault.code) })
    writeFileSync(join(dir, 'node-a'), 'in the way')
    expect(() => log.append(attempt('math'), step(1), 1)).not.toThrow()
    await log.flush()
    log.append(attempt('math'), step(2), 1)
    await log.flush()
    expect(faults).toEqual(['ORCH_DISK_FAILED'])
    expect(log.dropped(attempt('math'))).toBe(2)
    rmSync(join(dir, 'node-a'))
    log.append(attempt('math'), step(3), 1)
    expect(await numbers(log.read(attempt('math')))).toEqual([3])
    await log.close()
  })

  it('[AL7] close writes what is left, may be called again, and takes nothing more', async () => {
    const dir = useDir()
    const log = openAttemptLog({ dir, node: 'node-a' })
    log.append(attempt('math'), step(1), 1)
    await Promise.all([log.close(), log.close()])
    expect(log.append(attempt('math'), step(2), 1)).toBe(false)
    expect(readdirSync(join(dir, 'node-a', 'run-1'))).toEqual(['math'])
    const next = openAttemptLog({ dir, node: 'node-a' })
    expect(await numbers(next.read(attempt('math')))).toEqual([1])
    await next.close()
  })

  it('a place that is no directory is refused by name', () => {
    const dir = useDir()
    mkdirSync(dir)
    writeFileSync(join(dir, 'file'), '')
    expect(() => openAttemptLog({ dir: join(dir, 'file'), node: 'node-a' })).toThrow(
      expect.objectContaining({ code: 'ORCH_DATA_DIR' }),
    )
    chmodSync(dir, 0o700)
  })
})
