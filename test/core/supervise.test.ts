/** Supervision as tables (each rule, each event) and as properties over arbitrary streams. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AttemptEvent } from '../../src/core/attempt.ts'
import { OUTPUT_EXCERPT_BYTES, WAIT_MS_MAX } from '../../src/core/limit.ts'
import {
  createWatch,
  escalate,
  evaluate,
  forgive,
  type Intervention,
  nextDeadline,
  observe,
  observeExit,
  postMortem,
  RULES,
  type Rule,
  rateLimitedFor,
  type Verdict,
  type Watch,
  type WatchOptions,
} from '../../src/core/supervise.ts'

const START = 1_000
const options: WatchOptions = { timeoutMs: 100_000, stallMs: 10_000 }

const step = (n: number, status?: string): AttemptEvent => ({
  type: 'step',
  n,
  ...(status ? { status } : {}),
})
const call = (
  name: string,
  kind: 'read' | 'write' | 'run' = 'read',
  args: string | null = null,
): AttemptEvent => ({ type: 'tool-call', id: '1', name, kind, args })
const result = (ok: boolean): AttemptEvent => ({
  type: 'tool-result',
  id: '1',
  ok,
  summary: ok ? 'ok' : 'boom',
})
const error: AttemptEvent = { type: 'error', code: 'api', message: 'overloaded', retryable: true }
const text: AttemptEvent = { type: 'text', role: 'agent', text: 'hm' }
const changed: AttemptEvent = { type: 'file-changed', path: 'a', op: 'modify' }

/** Events one second apart, the first one second after the start. */
function play(
  events: readonly AttemptEvent[],
  over: Partial<WatchOptions> = {},
): { watch: Watch; now: number } {
  let watch = createWatch({ ...options, ...over }, START)
  let now = START
  for (const event of events) {
    now += 1_000
    watch = observe(watch, event, now)
  }
  return { watch, now }
}

const rule = (watch: Watch, now: number): Rule | undefined => evaluate(watch, now)?.rule

describe('clocks', () => {
  it('[SV1] is armed from the start of the process', () => {
    const watch = createWatch(options, START)
    expect(nextDeadline(watch)).toBe(START + 10_000)
    expect(rule(watch, START + 9_999)).toBeUndefined()
    expect(rule(watch, START + 10_000)).toBe('stall')
  })

  it('[SV2] the timeout counts from the start, whatever happens', () => {
    let watch = createWatch({ ...options, stallMs: 0 }, START)
    for (let now = START; now < START + 99_000; now += 1_000) watch = observe(watch, step(now), now)
    expect(nextDeadline(watch)).toBe(START + 100_000)
    expect(rule(watch, START + 99_999)).toBeUndefined()
    expect(evaluate(watch, START + 100_000)).toMatchObject({
      rule: 'timeout',
      action: 'stop',
      free: false,
      reason: 'ran longer than 100 s',
    })
  })

  it('[SV2] 0 switches a clock off', () => {
    const watch = createWatch({ timeoutMs: 0, stallMs: 0 }, START)
    expect(nextDeadline(watch)).toBeUndefined()
    expect(evaluate(watch, Number.MAX_SAFE_INTEGER)).toBeUndefined()
  })

  const activity: Record<AttemptEvent['type'], { event: AttemptEvent; any: boolean; step: boolean }> = {
    session: { event: { type: 'session', id: 's' }, any: true, step: false },
    step: { event: step(1), any: true, step: true },
    text: { event: text, any: true, step: false },
    'tool-call': { event: call('Read'), any: true, step: true },
    'tool-result': { event: result(true), any: true, step: true },
    'file-changed': { event: changed, any: true, step: true },
    usage: { event: { type: 'usage', usage: {} }, any: false, step: false },
    'rate-limit': { event: { type: 'rate-limit', untilMs: 0 }, any: false, step: false },
    wait: { event: { type: 'wait', forMs: 0, why: '' }, any: false, step: false },
    permission: { event: { type: 'permission', tool: 't', decision: 'deny' }, any: true, step: false },
    progress: {
      event: {
        type: 'progress',
        handoff: { current_focus: '', progress: [], next_steps: [], updated_at: '' },
      },
      any: true,
      step: true,
    },
    output: { event: { type: 'output', bytes: 1 }, any: true, step: false },
    error: { event: error, any: true, step: false },
    finished: { event: { type: 'finished', ok: true }, any: true, step: false },
  }
  it.each(Object.entries(activity))('[SV3] what breaks a silence: %s', (_type, expected) => {
    for (const mode of ['any', 'step'] as const) {
      const watch = observe(createWatch({ ...options, activity: mode }, START), expected.event, START + 5_000)
      expect(watch.activeAt).toBe(expected[mode] ? START + 5_000 : START)
    }
  })

  it('[SV3] the same step told again is silence (R55)', () => {
    const { watch } = play([step(3, 'x'), step(3, 'x'), step(3, 'x')])
    expect(nextDeadline(watch)).toBe(START + 1_000 + 10_000)
    expect(evaluate(watch, START + 11_000)?.reason).toBe('no sign of progress for 10 s, at step 3 x')
    expect(nextDeadline(play([step(3, 'x'), step(3, 'y')]).watch)).toBe(START + 2_000 + 10_000)
  })
})

describe('waits and rate limits', () => {
  it('[SV4] a declared wait suspends the stall clock until its own end', () => {
    const { watch, now } = play([step(1), { type: 'wait', forMs: 50_000, why: 'npm install' }])
    expect(nextDeadline(watch)).toBe(now + 60_000)
    expect(rule(watch, now + 59_999)).toBeUndefined()
    expect(evaluate(watch, now + 60_000)).toMatchObject({ rule: 'wait', action: 'stop', free: false })
    expect(evaluate(watch, now + 60_000)?.reason).toContain('npm install')
  })

  it('[SV4] work ends a wait, talk does not', () => {
    const wait: AttemptEvent = { type: 'wait', forMs: 50_000, why: 'x' }
    expect(nextDeadline(play([wait, text]).watch)).toBe(START + 1_000 + 60_000)
    expect(nextDeadline(play([wait, step(1)]).watch)).toBe(START + 2_000 + 10_000)
  })

  it('[SV4] a wait is bounded, and a shorter one does not cut a longer one', () => {
    const endless = play([{ type: 'wait', forMs: 1e15, why: 'for ever' }], { timeoutMs: 0 })
    expect(nextDeadline(endless.watch)).toBe(endless.now + WAIT_MS_MAX + 10_000)
    const two = play([
      { type: 'rate-limit', untilMs: 50_000 },
      { type: 'wait', forMs: 1_000, why: '' },
    ])
    expect(two.watch.quiet).toBe('rate-limit')
    expect(nextDeadline(two.watch)).toBe(START + 1_000 + 60_000)
  })

  it('[SV5] a rate limit suspends the stall clock; what ends in it costs no try', () => {
    const { watch, now } = play([step(1), { type: 'rate-limit', untilMs: 200_000 }])
    expect(rateLimitedFor(watch, now)).toBe(200_000)
    expect(rule(watch, START + 99_999)).toBeUndefined()
    expect(evaluate(watch, START + 100_000)).toMatchObject({
      rule: 'timeout',
      free: true,
      retryAfterMs: now + 200_000 - (START + 100_000),
      reason: 'ran longer than 100 s, rate limited',
    })
    expect(rateLimitedFor(watch, now + 200_000)).toBe(0)
    expect(rateLimitedFor(observe(watch, step(2), now + 1), now + 1)).toBe(0)
  })

  it('[SV5] silence after a rate limit is a stall', () => {
    const { watch, now } = play([{ type: 'rate-limit', untilMs: 5_000 }])
    expect(evaluate(watch, now + 15_000)).toMatchObject({ rule: 'stall', free: false })
  })
})

describe('behaviour', () => {
  const streaks: [string, AttemptEvent[], boolean][] = [
    ['two errors', [error, error], false],
    ['three errors', [error, error, error], true],
    [
      'three failed tools with calls and talk between',
      [call('a'), result(false), text, call('b'), result(false), call('c'), result(false)],
      true,
    ],
    ['mixed', [result(false), error, result(false)], true],
    ['a success between', [error, error, result(true), error, error], false],
    ['a changed file between', [error, error, changed, error], false],
    ['usage between', [error, { type: 'usage', usage: {} }, error, error], true],
  ]
  it.each(streaks)('[SV6] error streak (R56): %s', (_name, events, fires) => {
    const { watch, now } = play(events)
    expect(rule(watch, now)).toBe(fires ? 'error-streak' : undefined)
    if (fires) expect(nextDeadline(watch)).toBeLessThanOrEqual(now)
    expect(rule(play(events, { errorStreak: 0 }).watch, now)).toBeUndefined()
  })

  const loops: [string, AttemptEvent[], boolean][] = [
    ['twice', [call('ls'), call('ls')], false],
    ['three times', [call('ls'), result(true), call('ls'), result(true), call('ls')], true],
    ['other arguments', [call('ls'), call('ls'), call('ls', 'read', '-l')], false],
    ['another call between', [call('ls'), call('ls'), call('cat'), call('ls')], false],
    ['a changed file between', [call('ls'), call('ls'), changed, call('ls')], false],
  ]
  it.each(loops)('[SV7] loop (R58), off by default: %s', (_name, events, fires) => {
    const { watch, now } = play(events, { loop: 3 })
    expect(rule(watch, now)).toBe(fires ? 'loop' : undefined)
    expect(rule(play(events).watch, now)).toBeUndefined()
  })

  const steps = (n: number): AttemptEvent[] => Array.from({ length: n }, (_, i) => step(i + 1))
  const idles: [string, AttemptEvent[], boolean][] = [
    ['ten steps', steps(10), false],
    ['eleven', steps(11), true],
    ['a changed file', [...steps(9), changed, step(10), step(11)], false],
    ['a run', [...steps(9), call('Bash', 'run'), step(10), step(11)], false],
    ['only reads', [...steps(9), call('Read'), step(10), step(11)], true],
    ['a status is no step', [...steps(10), step(10, 'a'), step(10, 'b')], false],
  ]
  it.each(idles)('[SV8] steps without effect (R57), off by default: %s', (_name, events, fires) => {
    const { watch, now } = play(events, { idleSteps: 10 })
    expect(rule(watch, now)).toBe(fires ? 'idle-steps' : undefined)
    expect(rule(play(events).watch, now)).toBeUndefined()
  })

  it('[SV9] after a hint the worker is judged by what it does next; clocks go on', () => {
    const { watch, now } = play([call('ls'), call('ls'), call('ls')], { loop: 3 })
    const fresh = forgive(watch)
    expect(rule(fresh, now)).toBeUndefined()
    expect(nextDeadline(fresh)).toBe(now + 10_000)
    expect(
      rule(
        [1, 2].reduce((w) => observe(w, call('ls'), now), fresh),
        now,
      ),
    ).toBeUndefined()
    expect(
      rule(
        [1, 2, 3].reduce((w) => observe(w, call('ls'), now), fresh),
        now,
      ),
    ).toBe('loop')
  })
})

describe('the end', () => {
  const ends: [string, boolean, boolean, number | null, boolean][] = [
    ['0 without finished', true, false, 0, true],
    ['0 after finished', true, true, 0, false],
    ['an error code', true, false, 1, false],
    ['a signal', true, false, null, false],
    ['a kind that tells no end', false, false, 0, false],
  ]
  it.each(ends)('[SV10] silent exit: %s', (_name, expectsFinished, finished, exit, fires) => {
    const { watch, now } = play(finished ? [{ type: 'finished', ok: true }] : [text], { expectsFinished })
    const over = observeExit(watch, exit)
    expect(evaluate(over, now)).toEqual(
      fires ? expect.objectContaining({ rule: 'silent-exit', action: 'fail' }) : undefined,
    )
    // no clock runs for what has ended
    expect(rule(over, now + 1e9)).toBe(fires ? 'silent-exit' : undefined)
    if (!fires) expect(nextDeadline(over)).toBeUndefined()
  })
})

describe('escalation', () => {
  const verdict = (over: Partial<Verdict> = {}): Verdict => ({
    rule: 'loop',
    reason: 'r',
    action: 'hint',
    hint: 'h',
    free: false,
    ...over,
  })
  const past = (action: Intervention['action'], over: Partial<Intervention> = {}): Intervention => ({
    attempt: 1,
    rule: 'loop',
    reason: 'r',
    action,
    ...over,
  })
  const table: [string, Intervention[], Verdict, boolean, string][] = [
    ['first', [], verdict(), true, 'hint'],
    ['first, nobody listens', [], verdict(), false, 'cancel-and-retry'],
    ['first, it hangs', [], verdict({ rule: 'stall', action: 'stop' }), true, 'cancel-and-retry'],
    ['after a hint', [past('hint')], verdict(), true, 'cancel-and-retry'],
    ['after a retry', [past('hint'), past('cancel-and-retry')], verdict(), true, 'fail'],
    ['after a retry without hint', [past('cancel-and-retry')], verdict(), true, 'fail'],
    [
      'a rate limit never fails a task',
      [past('cancel-and-retry')],
      verdict({ free: true }),
      true,
      'cancel-and-retry',
    ],
    [
      'a rate limit before does not count',
      [past('cancel-and-retry', { free: true })],
      verdict(),
      true,
      'hint',
    ],
  ]
  it.each(table)('[SV11] hint, retry with the hint, fail: %s', (_name, history, now, takesHints, action) => {
    expect(escalate(history, now, takesHints)).toBe(action)
  })

  it('[SV11] every task is given up after at most three interventions', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom<Verdict['action'][]>('hint', 'stop', 'fail'), fc.boolean()), {
          minLength: 3,
          maxLength: 10,
        }),
        (verdicts) => {
          const history: Intervention[] = []
          for (const [action, takesHints] of verdicts)
            history.push(past(escalate(history, verdict({ action }), takesHints)))
          expect(history.slice(0, 3).map((one) => one.action)).toContain('fail')
        },
      ),
    )
  })

  it('[SV12] the post-mortem names attempts, rules, actions and the last output', () => {
    const history = [
      past('hint'),
      past('cancel-and-retry', { excerpt: 'old' }),
      past('fail', { attempt: 2, rule: 'stall', reason: 'silent\nfor 60 s', excerpt: 'Traceback' }),
    ]
    expect(postMortem(history)).toBe(
      [
        'given up after 2 attempts, 3 interventions:',
        '  attempt 1 · loop · r → hint',
        '  attempt 1 · loop · r → cancel-and-retry',
        '  attempt 2 · stall · silent for 60 s → fail',
        'last output:',
        'Traceback',
      ].join('\n'),
    )
  })

  it('[SV12] it is bounded in bytes, whatever is in it, and keeps the end of the output', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            reason: fc.string({ unit: 'binary', maxLength: 300 }),
            excerpt: fc.string({ unit: 'binary', maxLength: 6000 }),
          }),
          { maxLength: 20 },
        ),
        (many) => {
          const text = postMortem(many.map((one, i) => past('hint', { ...one, attempt: i + 1 })))
          expect(Buffer.byteLength(text)).toBeLessThanOrEqual(OUTPUT_EXCERPT_BYTES)
        },
      ),
    )
    const long = postMortem([past('fail', { excerpt: `${'x'.repeat(10_000)}THE END` })])
    expect(long.endsWith('THE END')).toBe(true)
    expect(Buffer.byteLength(long)).toBe(OUTPUT_EXCERPT_BYTES)
  })
})

describe('properties', () => {
  const event = fc.oneof<fc.Arbitrary<AttemptEvent>[]>(
    fc.nat(5).map((n) => step(n)),
    fc.constantFrom('a', 'b').map((name) => call(name)),
    fc.boolean().map(result),
    fc.constantFrom(error, text, changed),
    fc.nat(30_000).map((untilMs) => ({ type: 'rate-limit' as const, untilMs })),
    fc.nat(30_000).map((forMs) => ({ type: 'wait' as const, forMs, why: 'w' })),
  )
  const calm = fc.constantFrom<AttemptEvent[]>(step(1), step(2), text, changed, result(true), call('a'))
  const stream = <T>(of: fc.Arbitrary<T>) => fc.array(fc.tuple(fc.nat(8_000), of), { maxLength: 40 })
  const chosen = fc.record({
    timeoutMs: fc.constantFrom(0, 100_000),
    stallMs: fc.constantFrom(0, 10_000),
    activity: fc.constantFrom<('any' | 'step')[]>('any', 'step'),
    loop: fc.constantFrom(0, 3),
    idleSteps: fc.constantFrom(0, 3),
  })

  it('[SV13] nothing fires before nextDeadline, something fires at it', () => {
    fc.assert(
      fc.property(chosen, stream(event), fc.nat(50_000), (opts, events, later) => {
        let watch = createWatch(opts, START)
        let now = START
        for (const [gap, one] of events) {
          now += gap
          watch = observe(watch, one, now)
        }
        const at = nextDeadline(watch)
        if (at === undefined) expect(evaluate(watch, now + later)).toBeUndefined()
        else {
          expect(evaluate(watch, at === START ? now : at)).toBeDefined()
          if (at - 1 > now) expect(evaluate(watch, at - 1)).toBeUndefined()
          if (now + later < at) expect(evaluate(watch, now + later)).toBeUndefined()
        }
      }),
      { numRuns: 500 },
    )
  })

  it('[SV13] evaluate and observe change nothing: the same watch answers the same', () => {
    fc.assert(
      fc.property(chosen, stream(event), fc.nat(200_000), (opts, events, later) => {
        let watch = createWatch(opts, START)
        let now = START
        for (const [gap, one] of events) {
          now += gap
          const before = structuredClone(watch)
          const next = observe(watch, one, now)
          evaluate(watch, now)
          expect(watch).toEqual(before)
          watch = next
        }
        expect(evaluate(watch, now + later)).toEqual(evaluate(structuredClone(watch), now + later))
        const fired = evaluate(watch, now + later)
        if (fired) expect(RULES).toContain(fired.rule)
      }),
    )
  })

  it('[SV13] without waits the deadline never goes back', () => {
    fc.assert(
      fc.property(stream(calm), (events) => {
        let watch = createWatch(options, START)
        let now = START
        let last = nextDeadline(watch)!
        for (const [gap, one] of events) {
          now += gap
          watch = observe(watch, one, now)
          const at = nextDeadline(watch)!
          expect(at).toBeGreaterThanOrEqual(last)
          expect(at).toBeLessThanOrEqual(START + 100_000)
          last = at
        }
      }),
    )
  })
})
