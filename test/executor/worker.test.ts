/** In-process workers: what a function may return, throw or ignore. */
import { afterAll, describe, expect, it } from 'vitest'
import { RESULT_BYTES_MAX } from '../../src/core/limit.ts'
import { createWorkerExecutor, type WorkerOptions } from '../../src/executor/worker.ts'
import { cleanUp, collect, makeAttempt } from './attempt.ts'

afterAll(() => expect(cleanUp()).toEqual([]))

function create(run: WorkerOptions['run'], over: Partial<WorkerOptions> = {}) {
  return createWorkerExecutor({ kind: 'mine', concurrency: 2, run, ...over })
}

async function outcome(run: WorkerOptions['run']) {
  return (await create(run).start(makeAttempt({ kind: 'mine' }), () => {})).ended
}

describe('values', () => {
  it.each([[null], [0], [false], [''], ['text'], [{ a: [1, { b: null }] }]])(
    '[EX25] %j is returned, now or later',
    async (value) => {
      expect(await outcome(() => value)).toMatchObject({ exit: 0, finished: { ok: true }, value })
      expect(await outcome(async () => value)).toMatchObject({ exit: 0, finished: { ok: true }, value })
    },
  )

  it('[EX25] nothing is fine', async () => {
    expect('value' in (await outcome(() => undefined))).toBe(false)
  })

  const circular: Record<string, unknown> = {}
  circular.self = circular
  it.each([
    ['a function', () => {}],
    ['a big integer', 1n],
    ['a circle', circular],
    ['no number', Number.NaN],
    ['too much', 'x'.repeat(RESULT_BYTES_MAX)],
  ])('[EX25] %s is refused with a reason', async (_name, value) => {
    const end = await outcome(() => value)
    expect(end).toMatchObject({ exit: null, finished: { ok: false } })
    expect(end.finished?.reason).toMatch(/^the returned value/)
  })

  it.each([
    ['an error', new TypeError('broken'), 'broken'],
    ['an error without words', new RangeError(), 'RangeError'],
    ['a string', 'just so', 'just so'],
    ['nothing', undefined, 'undefined'],
  ])('[EX26] what is thrown is the reason: %s', async (_name, thrown, reason) => {
    const now = await outcome(() => {
      throw thrown
    })
    const later = await outcome(() => Promise.reject(thrown))
    for (const end of [now, later]) expect(end).toMatchObject({ exit: null, finished: { ok: false, reason } })
  })
})

describe('the task', () => {
  it('[EX26] carries what the function needs, and takes progress', async () => {
    const seen = collect()
    const handoff = { current_focus: 'x', progress: ['a'], next_steps: [], updated_at: 'now' }
    const spec = makeAttempt(
      { kind: 'mine', title: 'T', payload: { n: 1 } },
      { hints: ['mind the gap'], handoff },
    )
    let got: unknown
    const executor = create((task) => {
      got = [
        task.id,
        task.run,
        task.attempt,
        task.title,
        task.payload,
        task.hints,
        task.handoff,
        task.workspace,
        task.signal.aborted,
      ]
      task.step(1, 'begun')
      return [task.progress(handoff), task.progress({} as never)]
    })
    const end = await (await executor.start(spec, seen.listener)).ended
    expect(got).toEqual([
      spec.slot.task,
      'run-1',
      spec.id,
      'T',
      { n: 1 },
      ['mind the gap'],
      handoff,
      spec.workspace,
      false,
    ])
    expect(end.value).toEqual([true, false])
    expect(seen.events).toEqual([
      { type: 'step', n: 1, status: 'begun' },
      { type: 'progress', handoff },
    ])
  })

  it('[EX27] stop aborts the signal with the reason; a late result is told and does not count', async () => {
    const late: unknown[] = []
    let release!: (value: string) => void
    let reason: unknown
    const seen = collect()
    let step!: () => void
    const executor = create(
      (task) => {
        task.signal.addEventListener('abort', () => {
          reason = task.signal.reason
        })
        step = () => task.step(9)
        return new Promise<string>((resolve) => {
          release = resolve
        })
      },
      { late: (attempt) => late.push(attempt) },
    )
    const spec = makeAttempt({ kind: 'mine' })
    const running = await executor.start(spec, seen.listener)
    running.stop('shutdown', 5)
    expect(await running.ended).toMatchObject({ stopped: 'shutdown', exit: null })
    expect(reason).toBe('shutdown')
    expect(executor.running).toBe(0)
    step()
    release('too late')
    await new Promise((resolve) => setImmediate(resolve))
    expect(late).toEqual([spec.id])
    expect(seen.events).toEqual([])
  })

  it('[EX27] a function that obeys keeps its result: work finished in time counts', async () => {
    const executor = create(
      (task) => new Promise((resolve) => task.signal.addEventListener('abort', () => resolve('half'))),
    )
    const running = await executor.start(makeAttempt({ kind: 'mine' }), () => {})
    running.stop('cancelled', 10_000)
    expect(await running.ended).toMatchObject({ stopped: 'cancelled', value: 'half' })
  })

  it('[EX28] more than its concurrency is refused; concurrency is checked', async () => {
    const executor = create(() => new Promise(() => {}))
    const attempts = [makeAttempt({}), makeAttempt({}), makeAttempt({})].map((spec) =>
      executor.start(spec, () => {}),
    )
    await expect(attempts[2]).rejects.toMatchObject({ code: 'ORCH_BACKPRESSURE' })
    expect(executor.running).toBe(2)
    for (const attempt of attempts.slice(0, 2)) (await attempt).stop('shutdown', 0)
    for (const n of [0, 1.5, 1e9, Number.NaN]) {
      expect(() => create(() => {}, { concurrency: n })).toThrowError(
        expect.objectContaining({ code: 'ORCH_USAGE' }),
      )
    }
  })

  it('[EX28] a start takes no timer and opens nothing', async () => {
    const before = process.getActiveResourcesInfo().length
    const executor = create(() => new Promise(() => {}), { concurrency: 100 })
    const runnings = await Promise.all(
      Array.from({ length: 100 }, () => executor.start(makeAttempt({}), () => {})),
    )
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before)
    for (const running of runnings) running.stop('shutdown', 0)
    await Promise.all(runnings.map((running) => running.ended))
  })
})
