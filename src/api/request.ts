/** The shape of each request, checked where it enters the process: what comes from another one is never believed. */
import { z } from 'zod'
import { OrchError } from '../core/error.ts'
import { ROLES } from '../core/fact.ts'
import { isRunId, isTaskId, readAttemptId } from '../core/id.ts'
import {
  HANDOFF_BYTES_MAX,
  INVITE_MS_MAX,
  JOIN_WAY_CHARS_MAX,
  MEMBERS_MAX,
  NEEDS_MAX,
  RESULT_BYTES_MAX,
  RUN_TASKS_MAX,
  SCOPE_GLOBS_MAX,
  TITLE_CHARS_MAX,
} from '../core/limit.ts'
import { DURATION_MS_MAX } from '../core/quantity.ts'
import { type Json, PRIORITIES } from '../core/task.ts'
import type { MethodName } from './method.ts'

const count = z.number().int().nonnegative()
const line = z.string().max(TITLE_CHARS_MAX)
/** Names are looked up, and may be prefixes: bounded here, judged by the face. */
const name = z.string().max(512)
const taskId = z.string().refine(isTaskId, 'expected a task id')
const runId = z.string().refine(isRunId, 'expected a run id')
const attempt = z.string().refine((id) => readAttemptId(id) !== undefined, 'expected an attempt id')
/** Reasons and hints: prose of people and agents. */
const prose = z.string().max(HANDOFF_BYTES_MAX)
/** It was parsed from JSON, so it is some; it must go back to text as well, which very deep nesting does not. */
const json = z.custom<Json>((parsed) => textLength(parsed) !== undefined, 'nested too deeply')
const value = json.refine(
  (parsed) => (textLength(parsed) ?? 0) <= RESULT_BYTES_MAX,
  `at most ${RESULT_BYTES_MAX} bytes`,
)
const taskIds = z.array(taskId).max(NEEDS_MAX)
const globs = z.array(z.string()).max(SCOPE_GLOBS_MAX)
const amounts = z.record(z.string(), z.number().nonnegative())

function textLength(parsed: unknown): number | undefined {
  try {
    return JSON.stringify(parsed)?.length
  } catch {
    return undefined
  }
}

const taskSpec = z.strictObject({
  title: line.optional(),
  kind: z.string().min(1),
  run: z.string().optional(),
  prompt: z.string().optional(),
  payload: json.optional(),
  needs: taskIds.optional(),
  after: taskIds.optional(),
  if: z.string().optional(),
  scope: z.strictObject({ write: globs, read: globs }).optional(),
  priority: z.enum(PRIORITIES).optional(),
  due: z.number().optional(),
  capabilities: z.array(z.string()).optional(),
  resources: z
    .strictObject({
      cpu: z.number().nonnegative().optional(),
      memoryBytes: count.optional(),
      gpu: count.optional(),
      quota: amounts.optional(),
    })
    .optional(),
  exclusive: z.string().optional(),
  retry: z
    .strictObject({
      strategy: z.enum(['none', 'fixed', 'exponential', 'reassign']),
      attempts: z.number().int().positive(),
      delayMs: z.number().nonnegative(),
    })
    .optional(),
  timeoutMs: z.number().positive().optional(),
  stallMs: z.number().nonnegative().optional(),
  check: z.string().optional(),
  group: z.strictObject({ name: z.string(), concurrency: z.number().int().positive().optional() }).optional(),
  env: z.record(z.string(), z.string()).optional(),
  onEmpty: z.enum(['accept', 'reject']).optional(),
  onOutside: z.enum(['refuse', 'trim']).optional(),
  compensation: z.string().optional(),
  order: count.optional(),
})

const tasks = z.array(z.tuple([taskId, taskSpec])).max(RUN_TASKS_MAX)

const merge = z.strictObject({
  mode: z.enum(['combined', 'per-task']),
  verify: z.string().optional(),
  onConflict: z.enum(['resolve', 'retry', 'manual', 'take-first']),
  onPartial: z.enum(['land', 'hold']),
  land: z.string().optional(),
})

const lines = z.array(z.string())
const handoff = z.strictObject({
  current_focus: z.string(),
  progress: lines,
  next_steps: lines,
  blockers: lines.optional(),
  open_questions: lines.optional(),
  files_touched: lines.optional(),
  updated_at: z.string(),
})

const nothing = z.strictObject({})
const aboutRun = { run: name.optional() }
const aboutTask = { task: name }
const aboutEither = { task: name.optional(), run: name.optional() }
const aboutMember = { who: name.min(1) }
const role = z.enum(ROLES)
const aboutAttempt = { attempt: attempt.optional(), task: name.optional() }

const REQUESTS = {
  status: nothing,
  submit: z.strictObject({
    name: z.string().min(1).max(TITLE_CHARS_MAX),
    tasks,
    merge: merge.optional(),
    repository: z.string().min(1).optional(),
    base: z.string().min(1).optional(),
    seal: z.boolean().optional(),
  }),
  addTasks: z.strictObject({ run: runId, tasks, seal: z.boolean().optional() }),
  runs: nothing,
  run: z.strictObject(aboutRun),
  tasks: z.strictObject({ ...aboutRun, limit: count.optional() }),
  task: z.strictObject(aboutTask),
  followRun: z.strictObject(aboutRun),
  logs: z.strictObject({
    ...aboutTask,
    attempt: attempt.optional(),
    offset: count.optional(),
    follow: z.boolean().optional(),
  }),
  diff: z.strictObject({ ...aboutTask, attempt: attempt.optional(), stat: z.boolean().optional() }),
  attemptEvents: z.strictObject({
    ...aboutTask,
    attempt: attempt.optional(),
    since: count.optional(),
    follow: z.boolean().optional(),
  }),
  cancel: z.strictObject({ ...aboutEither, reason: prose.optional() }),
  retry: z.strictObject({ ...aboutTask, reason: prose.optional(), hint: prose.optional() }),
  pause: z.strictObject({ ...aboutEither, reason: prose.optional() }),
  resume: z.strictObject(aboutEither),
  prioritize: z.strictObject({ ...aboutTask, priority: z.enum(PRIORITIES) }),
  ready: z.strictObject({ ...aboutRun, explain: z.boolean().optional(), limit: count.optional() }),
  claim: z.strictObject({
    ...aboutEither,
    capabilities: z.array(z.string()).max(SCOPE_GLOBS_MAX).optional(),
  }),
  progress: z.strictObject({
    ...aboutAttempt,
    step: count.optional(),
    status: prose.optional(),
    handoff: handoff.optional(),
  }),
  complete: z.strictObject({ ...aboutAttempt, summary: prose.optional(), value: value.optional() }),
  fail: z.strictObject({ ...aboutAttempt, reason: prose.min(1) }),
  block: z.strictObject({ ...aboutAttempt, reason: prose.min(1), blockers: taskIds.optional() }),
  unblock: z.strictObject(aboutTask),
  release: z.strictObject({ ...aboutAttempt, reason: prose.optional() }),
  integrate: z.strictObject({ ...aboutRun, dryRun: z.boolean().optional() }),
  land: z.strictObject({ ...aboutRun, into: z.string().min(1).max(512).optional() }),
  conflicts: z.strictObject(aboutRun),
  events: z.strictObject({
    ...aboutEither,
    since: count.optional(),
    follow: z.boolean().optional(),
    problems: z.boolean().optional(),
  }),
  exportRun: z.strictObject(aboutRun),
  workspaces: nothing,
  cleanWorkspaces: z.strictObject({ dryRun: z.boolean().optional() }),
  invite: z.strictObject({
    role: role.optional(),
    ttlMs: z.number().int().positive().max(INVITE_MS_MAX).optional(),
    uses: z.number().int().positive().max(MEMBERS_MAX).optional(),
    approve: z.boolean().optional(),
  }),
  join: z.strictObject({ to: z.string().min(1).max(JOIN_WAY_CHARS_MAX) }),
  leave: nothing,
  members: nothing,
  approve: z.strictObject({ ...aboutMember, role: role.optional() }),
  removeMember: z.strictObject({ ...aboutMember, reason: prose.optional() }),
  setRole: z.strictObject({ ...aboutMember, role }),
  revokeInvite: z.strictObject({ id: name.min(1) }),
  adopt: z.strictObject({ ...aboutRun, reason: prose.optional() }),
  drain: z.strictObject({
    node: name.min(1).optional(),
    deadlineMs: z.number().int().nonnegative().max(DURATION_MS_MAX).optional(),
  }),
  undrain: z.strictObject({ node: name.min(1).optional() }),
  stop: z.strictObject({ now: z.boolean().optional() }),
} as const satisfies Record<MethodName, z.ZodType>

/** Places named in one refusal. */
const PLACES_NAMED_MAX = 3

/** @throws ORCH_USAGE naming the places that are wrong */
export function readRequest(method: MethodName, params: unknown): unknown {
  const reading = REQUESTS[method].safeParse(params ?? {})
  if (reading.success) return reading.data
  const { issues } = reading.error
  const named = issues
    .slice(0, PLACES_NAMED_MAX)
    .map(({ path, message }) => `${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`)
  const more = issues.length > PLACES_NAMED_MAX ? ` and ${issues.length - PLACES_NAMED_MAX} more` : ''
  throw new OrchError('ORCH_USAGE', `${method}: ${named.join('; ')}${more}`, {
    hint: 'send the fields that this method takes, and no others',
  })
}
