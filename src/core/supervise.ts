/**
 * Supervision of an attempt over its normalised stream, for no tokens (R54-R60): pure functions of events and the node's clock.
 *
 *     createWatch → observe* → evaluate        at each event, and when `nextDeadline` is reached
 *
 * A watch is armed from the start of the process, so that a worker that never says a word is noticed. Nothing polls.
 */
import type { AttemptEvent } from './attempt.ts'
import { line } from './escalate.ts'
import type { DurationMs, Millis } from './id.ts'
import { WAIT_MS_MAX } from './limit.ts'

export { escalate, type Intervention, postMortem } from './escalate.ts'

/** 0 switches a rule off. */
export interface WatchOptions {
  /** From the start of the process; waits and rate limits count. */
  readonly timeoutMs: DurationMs
  /** Longest silence (R55). */
  readonly stallMs: DurationMs
  /**
   * What breaks a silence. `any` (default): every event that says something new, lines of output too. `step`: only work, as R55 has it: a new step or
   * status, tool calls and results, file changes, progress.
   */
  readonly activity?: 'any' | 'step'
  /** Consecutive errors (R56). Default 3. */
  readonly errorStreak?: number
  /** The same call in a row (R58). Default 0 = off; 3 suits agents. */
  readonly loop?: number
  /** Steps without a changed file, writing or running tool (R57). Default 0 = off; 10 suits agents that write code. */
  readonly idleSteps?: number
  /** The kind tells its end by `finished`: an exit with 0 without it is a failure. Default false. */
  readonly expectsFinished?: boolean
}

export const RULES = [
  'timeout',
  'stall',
  'wait',
  'error-streak',
  'loop',
  'idle-steps',
  'silent-exit',
] as const
export type Rule = (typeof RULES)[number]

export interface Verdict {
  readonly rule: Rule
  /** One line for people. */
  readonly reason: string
  /** What the rule asks for by itself; `escalate` weighs it with what was tried before. */
  readonly action: 'hint' | 'stop' | 'fail'
  /** For the worker: in its session, or in the prompt of the next attempt. */
  readonly hint: string
  /** Not the worker's doing (rate limit): costs none of the task's tries. */
  readonly free: boolean
  /** With `free`: until the limit is over. */
  readonly retryAfterMs?: DurationMs
}

export interface Watch {
  readonly options: Required<WatchOptions>
  readonly startedAt: Millis
  /** Last activity. */
  readonly activeAt: Millis
  /** A declared wait or a rate limit lasts until then; `startedAt` when there is none. */
  readonly quietUntil: Millis
  readonly quiet: 'wait' | 'rate-limit' | undefined
  readonly why: string
  readonly step: string
  readonly errors: number
  readonly lastError: string
  readonly call: string
  readonly calls: number
  /** Steps since the last effect. */
  readonly idle: number
  readonly finished: boolean
  readonly exit: { readonly exit: number | null } | undefined
}

const DEFAULTS = { activity: 'any', errorStreak: 3, loop: 0, idleSteps: 0, expectsFinished: false } as const

export function createWatch(options: WatchOptions, startedAt: Millis): Watch {
  return {
    options: { ...DEFAULTS, ...options },
    startedAt,
    activeAt: startedAt,
    quietUntil: startedAt,
    quiet: undefined,
    why: '',
    step: '',
    errors: 0,
    lastError: '',
    call: '',
    calls: 0,
    idle: 0,
    finished: false,
    exit: undefined,
  }
}

/** The process has ended by itself, with this code. */
export function observeExit(watch: Watch, exit: number | null): Watch {
  return { ...watch, exit: { exit } }
}

export function observe(watch: Watch, event: AttemptEvent, now: Millis): Watch {
  switch (event.type) {
    case 'step': {
      const step = `${event.n} ${event.status ?? ''}`
      if (step === watch.step) return watch
      const isNext = step.slice(0, step.indexOf(' ')) !== watch.step.slice(0, watch.step.indexOf(' '))
      return { ...work(watch, now), step, idle: watch.idle + (isNext ? 1 : 0) }
    }
    case 'tool-call': {
      const call = `${event.name} ${JSON.stringify(event.args ?? null)}`
      const calls = call === watch.call ? watch.calls + 1 : 1
      return {
        ...work(watch, now),
        call,
        calls,
        idle: event.kind === 'write' || event.kind === 'run' ? 0 : watch.idle,
      }
    }
    case 'tool-result':
      return event.ok
        ? { ...work(watch, now), errors: 0 }
        : { ...work(watch, now), ...failed(watch, event.summary ?? 'a tool failed') }
    case 'file-changed':
      return { ...work(watch, now), errors: 0, idle: 0, calls: 0, call: '' }
    case 'progress':
      return { ...work(watch, now), errors: 0 }
    case 'finished':
      return { ...talk(watch, now), finished: true }
    case 'error':
      return { ...talk(watch, now), ...failed(watch, `${event.code}: ${event.message}`) }
    case 'rate-limit':
      return suspend(watch, 'rate-limit', event.untilMs, 'rate limit', now)
    case 'wait':
      return suspend(watch, 'wait', event.forMs, event.why, now)
    case 'session':
    case 'text':
    case 'permission':
    case 'output':
      return talk(watch, now)
    case 'usage':
      return watch
  }
}

/** Work breaks the silence, and shows that a wait is over. */
function work(watch: Watch, now: Millis): Watch {
  return {
    ...watch,
    activeAt: Math.max(watch.activeAt, now),
    quiet: undefined,
    quietUntil: watch.startedAt,
    why: '',
  }
}

function talk(watch: Watch, now: Millis): Watch {
  return watch.options.activity === 'any' ? { ...watch, activeAt: Math.max(watch.activeAt, now) } : watch
}

function failed(watch: Watch, message: string): Pick<Watch, 'errors' | 'lastError'> {
  return { errors: watch.errors + 1, lastError: line(message) }
}

function suspend(
  watch: Watch,
  quiet: 'wait' | 'rate-limit',
  forMs: DurationMs,
  why: string,
  now: Millis,
): Watch {
  const until = now + Math.min(Math.max(forMs, 0), WAIT_MS_MAX)
  if (watch.quiet !== undefined && until <= watch.quietUntil) return watch
  return { ...watch, quiet, quietUntil: until, why: line(why) }
}

/** After a hint: what the worker did before it is forgiven, so that it is judged by what it does next. Clocks go on. */
export function forgive(watch: Watch): Watch {
  return { ...watch, errors: 0, lastError: '', call: '', calls: 0, idle: 0 }
}

/** When the worker counts as stalled, should it stay silent. */
function stallAt(watch: Watch): Millis {
  const { stallMs } = watch.options
  return stallMs === 0 ? Number.POSITIVE_INFINITY : Math.max(watch.activeAt, watch.quietUntil) + stallMs
}

function timeoutAt(watch: Watch): Millis {
  const { timeoutMs } = watch.options
  return timeoutMs === 0 ? Number.POSITIVE_INFINITY : watch.startedAt + timeoutMs
}

/**
 * When `evaluate` can next answer otherwise than now, without a further event: the time to wake up. In the past when a verdict is due already;
 * `undefined` when only an event can change anything.
 */
export function nextDeadline(watch: Watch): Millis | undefined {
  if (watch.exit !== undefined) return silentExit(watch) ? watch.startedAt : undefined
  if (behaviour(watch)) return watch.startedAt
  const at = Math.min(timeoutAt(watch), stallAt(watch))
  return at === Number.POSITIVE_INFINITY ? undefined : at
}

/** The rule that is broken now, the gravest first; `undefined` when all is well. */
export function evaluate(watch: Watch, now: Millis): Verdict | undefined {
  if (watch.exit !== undefined) return silentExit(watch)
  if (now >= timeoutAt(watch)) {
    const ms = watch.options.timeoutMs
    return {
      rule: 'timeout',
      reason: `ran longer than ${span(ms)}${watch.quiet === 'rate-limit' && now < watch.quietUntil ? ', rate limited' : ''}`,
      action: 'stop',
      hint: `The attempt before was ended after ${span(ms)}. Do the most important part first and save partial work early.`,
      ...limited(watch, now),
    }
  }
  return behaviour(watch) ?? (now >= stallAt(watch) ? stalled(watch, now) : undefined)
}

function silentExit(watch: Watch): Verdict | undefined {
  if (!watch.options.expectsFinished || watch.finished || watch.exit?.exit !== 0) return undefined
  return {
    rule: 'silent-exit',
    reason: 'exited with 0 without telling that it finished',
    action: 'fail',
    hint: 'The attempt before ended without a result. Work until the task is done, and say so at the end.',
    free: false,
  }
}

/** Rules that no clock is needed for. */
function behaviour(watch: Watch): Verdict | undefined {
  const { errorStreak, loop, idleSteps } = watch.options
  if (errorStreak > 0 && watch.errors >= errorStreak) {
    return {
      rule: 'error-streak',
      reason: `${watch.errors} errors in a row, the last: ${watch.lastError}`,
      action: 'stop',
      hint: `The attempt before failed ${watch.errors} times in a row (${watch.lastError}). Find the cause first, then go another way.`,
      free: false,
    }
  }
  if (loop > 0 && watch.calls >= loop) {
    return {
      rule: 'loop',
      reason: `the same call ${watch.calls} times in a row: ${line(watch.call)}`,
      action: 'hint',
      hint: `You made the same call ${watch.calls} times in a row (${line(watch.call)}). Its result will not change: do something else.`,
      free: false,
    }
  }
  if (idleSteps > 0 && watch.idle > idleSteps) {
    return {
      rule: 'idle-steps',
      reason: `${watch.idle} steps without any effect`,
      action: 'hint',
      hint: `${watch.idle} steps have changed no file. Stop exploring: write the first change now.`,
      free: false,
    }
  }
  return undefined
}

function stalled(watch: Watch, now: Millis): Verdict {
  const silent = span(now - Math.max(watch.activeAt, watch.quietUntil))
  if (watch.quiet === 'wait') {
    return {
      rule: 'wait',
      reason: `declared a wait (${watch.why}) and has been silent for ${silent} after its end`,
      action: 'stop',
      hint: `The attempt before waited for "${watch.why}" and never came back. Do not wait for it: check, and go on without it.`,
      free: false,
    }
  }
  return {
    rule: 'stall',
    reason: `no sign of progress for ${silent}${watch.step === '' ? '' : `, at step ${watch.step.trim()}`}`,
    action: 'stop',
    hint: 'The attempt before stopped making progress. Take smaller steps, and start nothing that waits for input or never ends.',
    free: false,
  }
}

function limited(watch: Watch, now: Millis): Pick<Verdict, 'free' | 'retryAfterMs'> {
  return watch.quiet === 'rate-limit' && now < watch.quietUntil
    ? { free: true, retryAfterMs: watch.quietUntil - now }
    : { free: false }
}

/**
 * Rest of a rate limit, 0 when there is none: an attempt that ends in it costs none of its task's tries (R59, AGENT-CLIS 0.8).
 */
export function rateLimitedFor(watch: Watch, now: Millis): DurationMs {
  return limited(watch, now).retryAfterMs ?? 0
}

function span(ms: DurationMs): string {
  const s = Math.round(ms / 1000)
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (s < 120) return `${s} s`
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`
}
