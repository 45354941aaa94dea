/** One task of a plan file as the board takes it: defaults filled in, words turned into numbers, and only what differs from the default. */

import type { PlanPath } from '../core/plan-refusal.ts'
import { quote } from '../core/plan-refusal.ts'
import { readDuration, readSize } from '../core/quantity.ts'
import { BARRIER_KIND, OUTSIDE_KIND, type Retry, TASK_DEFAULT, type TaskSpec } from '../core/task.ts'
import type { PlanDefaults, PlanTask } from './plan-schema.ts'

/** Kinds that every node can run. */
export const BUILT_IN_KINDS: readonly string[] = ['shell', 'scripted', OUTSIDE_KIND]

/** `retry: exponential` or `retry: { strategy: fixed }` without more. */
const RETRY_ATTEMPTS_DEFAULT = 3
const RETRY_DELAY_MS_DEFAULT = 10_000

/** Path inside of the task. */
export type TaskReport = (path: PlanPath, code: string, message: string, hint?: string) => void

export interface TaskContext {
  readonly defaults: PlanDefaults
  readonly defaultAgent: string | undefined
  readonly order: number
  /** True when parts of the task were unreadable: then nothing is missed. */
  readonly wrong: boolean
}

/** Needs and conditions are taken over as written. */
export function readTask(task: PlanTask, context: TaskContext, report: TaskReport): TaskSpec {
  const { defaults } = context
  const spec: { -readonly [K in keyof TaskSpec]: TaskSpec[K] } = { kind: readKind(task, context, report) }
  // Block text ends with a newline that nobody means.
  if (task.title !== undefined) spec.title = task.title.trimEnd()
  if (task.run !== undefined) spec.run = task.run
  if (task.prompt !== undefined) spec.prompt = task.prompt
  if (task.script !== undefined) spec.payload = { script: task.script }
  else if (task.payload !== undefined) spec.payload = task.payload
  if (task.needs !== undefined && task.needs.length > 0) spec.needs = task.needs
  if (task.after !== undefined && task.after.length > 0) spec.after = task.after
  if (task.if !== undefined) spec.if = task.if
  if (task.scope !== undefined) spec.scope = { write: task.scope.write ?? [], read: task.scope.read ?? [] }
  const priority = task.priority ?? defaults.priority
  if (priority !== undefined && priority !== TASK_DEFAULT.priority) spec.priority = priority
  if (task.due !== undefined) {
    const due = readDate(task.due)
    if (due === undefined)
      report(
        ['due'],
        'bad-value',
        `${quote(task.due)} is no date`,
        'write 2026-12-31, or 2026-12-31T18:00:00Z with a zone',
      )
    else spec.due = due
  }
  const capabilities = task.capabilities ?? defaults.capabilities
  if (capabilities !== undefined && capabilities.length > 0) spec.capabilities = capabilities
  const resources = readResources(task.resources ?? defaults.resources, report)
  if (resources !== undefined) spec.resources = resources
  if (task.exclusive !== undefined) spec.exclusive = task.exclusive
  // What starts at most once is never retried: a default that says otherwise is not meant for it.
  const retry = readRetry(task.retry ?? (task.exclusive === undefined ? defaults.retry : undefined), report)
  if (retry !== undefined) spec.retry = retry
  const timeout = span(['timeout'], task.timeout ?? defaults.timeout, report)
  if (timeout !== undefined && timeout !== TASK_DEFAULT.timeoutMs) spec.timeoutMs = timeout
  const stall = span(['stall'], task.stall ?? defaults.stall, report)
  if (stall !== undefined && stall !== TASK_DEFAULT.stallMs) spec.stallMs = stall
  if (task.check !== undefined) spec.check = task.check
  if (task.group !== undefined) {
    const { name, concurrency } =
      typeof task.group === 'string' ? { name: task.group, concurrency: undefined } : task.group
    spec.group = concurrency === undefined ? { name } : { name, concurrency }
  }
  const env = [...Object.entries(defaults.env ?? {}), ...Object.entries(task.env ?? {})]
  if (env.length > 0) spec.env = Object.fromEntries(env.map(([name, value]) => [name, String(value)]))
  const onEmpty = task.onEmpty ?? defaults.onEmpty
  if (onEmpty !== undefined && onEmpty !== TASK_DEFAULT.onEmpty) spec.onEmpty = onEmpty
  const onOutside = task.onOutside ?? defaults.onOutside
  if (onOutside !== undefined && onOutside !== TASK_DEFAULT.onOutside) spec.onOutside = onOutside
  if (task.compensation !== undefined) spec.compensation = task.compensation
  spec.order = context.order
  return spec
}

/** Who runs it, from the one way in which its work is given: run, prompt, script or payload. */
function readKind(
  task: PlanTask,
  { defaults, defaultAgent, wrong }: TaskContext,
  report: TaskReport,
): string {
  const given = (['run', 'script', 'payload', 'prompt'] as const).filter((key) => task[key] !== undefined)
  // What an agent would have been asked may stand beside the recording of its answer.
  const works = given.includes('script') ? given.filter((key) => key !== 'prompt') : given
  if (works.length > 1)
    report(
      [works[1]!],
      'two-works',
      `a task has one of run, prompt, script and payload; this one has ${works.join(' and ')}`,
    )
  if (task.run !== undefined || task.script !== undefined) {
    const kind = task.run === undefined ? 'scripted' : 'shell'
    if (task.agent !== undefined && task.agent !== kind) {
      report(
        ['agent'],
        'two-works',
        `a task with ${quote(given[0]!)} is run by ${kind}, not by ${quote(task.agent)}`,
        `leave "agent" or ${quote(given[0]!)} away`,
      )
    }
    return kind
  }
  const kind = task.agent ?? defaults.agent ?? defaultAgent
  if (kind === BARRIER_KIND) {
    report(['agent'], 'unknown-agent', 'barriers are made by needs: [group:NAME]')
    return kind
  }
  if (wrong) return kind ?? 'shell'
  if (works.length === 0) {
    const hint =
      kind === undefined || kind === 'shell'
        ? 'give it a command with run, or a prompt and an agent'
        : kind === 'scripted'
          ? 'name the recording with script'
          : 'give it a prompt'
    report([], 'no-work', 'the task has nothing to do', hint)
  } else if (kind === undefined || (kind === 'shell' && task.agent === undefined)) {
    report(
      [works[0]!],
      'missing-agent',
      `a task with ${quote(works[0]!)} needs an agent`,
      'name one with agent, with defaults.agent or with --agent',
    )
  } else if (kind === 'shell')
    report(['agent'], 'no-work', 'a shell task needs run; a prompt is for an agent')
  else if (kind === 'scripted')
    report([works[0]!], 'no-work', 'a scripted task needs the file of its recording', 'name it with script')
  return kind ?? 'shell'
}

function span(path: PlanPath, text: string | undefined, report: TaskReport): number | undefined {
  if (text === undefined) return undefined
  const ms = readDuration(text)
  if (ms === undefined) report(path, 'bad-value', `${quote(text)} is longer than a timer takes (24 days)`)
  return ms
}

function readRetry(retry: PlanTask['retry'], report: TaskReport): Retry | undefined {
  if (retry === undefined) return undefined
  const given =
    typeof retry === 'string' ? { strategy: retry } : typeof retry === 'number' ? { attempts: retry } : retry
  const strategy = given.strategy ?? 'exponential'
  const attempts = given.attempts ?? RETRY_ATTEMPTS_DEFAULT
  if (strategy === 'none' || attempts === 1) return undefined
  const fallback = strategy === 'reassign' ? 0 : RETRY_DELAY_MS_DEFAULT
  return {
    strategy,
    attempts,
    delayMs: span(['retry', 'delay'], 'delay' in given ? given.delay : undefined, report) ?? fallback,
  }
}

function readResources(given: PlanTask['resources'], report: TaskReport): TaskSpec['resources'] {
  if (given === undefined) return undefined
  const out: { cpu?: number; memoryBytes?: number; gpu?: number; quota?: Record<string, number> } = {}
  if (given.cpu !== undefined && given.cpu > 0) out.cpu = given.cpu
  if (given.memory !== undefined) {
    const bytes = typeof given.memory === 'number' ? given.memory : readSize(given.memory)
    if (bytes === undefined)
      report(['resources', 'memory'], 'bad-value', `${quote(String(given.memory))} is no size`)
    else if (bytes > 0) out.memoryBytes = bytes
  }
  if (given.gpu !== undefined && given.gpu > 0) out.gpu = given.gpu
  const quota = Object.entries(given.quota ?? {}).filter(([, units]) => units > 0)
  if (quota.length > 0) out.quota = Object.fromEntries(quota)
  return Object.keys(out).length > 0 ? out : undefined
}

const DATE = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2}))?$/

/** Wall milliseconds; a date alone is its beginning in UTC. Days that no month has are refused. */
function readDate(text: string): number | undefined {
  const match = DATE.exec(text)
  if (match === null) return undefined
  const day = Date.parse(`${match[1]}T00:00:00Z`)
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== match[1]) return undefined
  const at = match[2] === undefined ? day : Date.parse(`${match[1]}T${match[2]}${match[3]}`)
  return Number.isNaN(at) ? undefined : at
}
