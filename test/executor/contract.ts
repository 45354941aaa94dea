/**
 * The contract of executors, run against each of them. The harness supplies a task for each behaviour; a third party proves an executor
 * with one call.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { TaskSpec } from '../../src/core/task.ts'
import type { Executor } from '../../src/executor/executor.ts'
import { reportDir } from '../../src/executor/process-executor.ts'
import { cleanUp, collect, eventually, makeAttempt } from './attempt.ts'

export interface Harness {
  create(): Executor
  /** Ends well at once. */
  readonly succeed: Partial<TaskSpec>
  readonly fail: Partial<TaskSpec>
  /** Tells steps 1, 2, 3, then ends well. `$ORCH_DIR/seen-N` appears when step N was told. */
  readonly steps: Partial<TaskSpec>
  /** Tells step 1, then runs until it is stopped, at once when asked. */
  readonly endless: Partial<TaskSpec>
  /** Like `endless`, but heeds no request to stop. */
  readonly stubborn: Partial<TaskSpec>
}

export function describeExecutor(name: string, harness: Harness): void {
  describe(`${name}: executor contract`, () => {
    afterAll(() => expect(cleanUp()).toEqual([]))

    it('[EX1] starts, ends once, and tells when', async () => {
      const before = Date.now()
      const spec = makeAttempt(harness.succeed)
      const running = await harness.create().start(spec, () => {})
      expect(running.id).toBe(spec.id)
      const end = await running.ended
      expect(end).toMatchObject({ exit: 0 })
      expect(end.stopped).toBeUndefined()
      expect(end.lost).toBeUndefined()
      expect(end.startedAt).toBeGreaterThanOrEqual(before - 1)
      expect(end.endedAt).toBeGreaterThanOrEqual(end.startedAt)
      expect(await running.ended).toBe(end)
    })

    it('[EX2] a failure is an end, not a rejection', async () => {
      const end = await (await harness.create().start(makeAttempt(harness.fail), () => {})).ended
      expect(end.exit === 0 && end.finished?.ok !== false).toBe(false)
      expect(end.stopped).toBeUndefined()
    })

    it('[EX3] tells events in order, and none after the end', async () => {
      const seen = collect()
      const spec = makeAttempt(harness.steps)
      const running = await harness.create().start(spec, (event) => {
        seen.listener(event)
        if (event.type === 'step') writeFileSync(join(reportDir(spec), `seen-${event.n}`), '')
      })
      await running.ended
      expect(seen.of('step').map((event) => event.n)).toEqual([1, 2, 3])
      const count = seen.events.length
      await new Promise((resolve) => setImmediate(resolve))
      expect(seen.events.length).toBe(count)
    })

    it('[EX4] stops when asked; the first reason wins', async () => {
      const seen = collect()
      const running = await harness.create().start(makeAttempt(harness.endless), seen.listener)
      await eventually('step 1', () => seen.of('step').length > 0)
      running.stop('stalled', 5_000)
      running.stop('cancelled', 5_000)
      const end = await running.ended
      expect(end.stopped).toBe('stalled')
      running.stop('cancelled', 0)
    })

    it('[EX4] ends what does not heed, after the grace; a shorter grace hurries', async () => {
      const seen = collect()
      const running = await harness.create().start(makeAttempt(harness.stubborn), seen.listener)
      await eventually('step 1', () => seen.of('step').length > 0)
      const asked = performance.now()
      running.stop('cancelled', 60_000)
      running.stop('cancelled', 300)
      const end = await running.ended
      expect(end.stopped).toBe('cancelled')
      expect(performance.now() - asked).toBeGreaterThan(290)
      expect(performance.now() - asked).toBeLessThan(20_000)
    })

    it('[EX5] refuses to start an attempt twice', async () => {
      const executor = harness.create()
      const seen = collect()
      const spec = makeAttempt(harness.endless)
      const running = await executor.start(spec, seen.listener)
      await expect(executor.start(spec, () => {})).rejects.toMatchObject({ code: 'ORCH_WRONG_STATE' })
      running.stop('cancelled', 1_000)
      await running.ended
    })

    it('[EX6] adopts what runs, and what has ended; the end is the same', async () => {
      const executor = harness.create()
      if (!executor.survives) {
        const lost = await executor.adopt(makeAttempt(harness.succeed), () => {})
        expect(await lost?.ended).toMatchObject({ lost: true, exit: null })
        return
      }
      const spec = makeAttempt(harness.endless)
      const first = await executor.start(spec, () => {})
      const seen = collect()
      const second = await harness.create().adopt(spec, seen.listener)
      await eventually('step 1, told again', () => seen.of('step').length > 0)
      second!.stop('cancelled', 5_000)
      const end = await second!.ended
      expect(await first.ended).toEqual(end)
      const third = await harness.create().adopt(spec, () => {})
      expect(await third!.ended).toEqual(end)
    })

    it('[EX7] what never started is not adopted, and never starts later', async () => {
      const executor = harness.create()
      if (!executor.survives) return
      expect(await executor.adopt(makeAttempt(harness.succeed), () => {})).toBeUndefined()
    })
  })
}
