/** A plan file on the command line: read, with everything that is wrong said at once. */
import { resolve } from 'node:path'
import type { Problem } from '../config/plan-file.ts'
import { OrchError } from '../core/error.ts'
import type { Plan } from '../core/task.ts'
import { safe } from './text.ts'

export interface PlanRequest {
  readonly path: string
  readonly cwd: string
  readonly overrides?: readonly string[]
  readonly agent?: string
  /** Kinds of task that can run; absent = those that every node has. */
  readonly kinds?: readonly string[]
}

export interface PlanAnswer {
  readonly plan?: Plan
  readonly problems: readonly Problem[]
  /** Lines for people; empty when there is nothing to say. */
  readonly text: string
}

export async function readPlan({
  path,
  cwd,
  overrides = [],
  agent,
  kinds,
}: PlanRequest): Promise<PlanAnswer> {
  const { formatProblems, readPlanFile } = await import('../config/plan-file.ts')
  const reading = await readPlanFile(resolve(cwd, path), {
    fileName: path,
    overrides: [...(agent === undefined ? [] : [`defaults.agent=${agent}`]), ...overrides],
    ...(kinds && { knownKinds: kinds }),
  })
  return { ...reading, text: safe(formatProblems(path, reading.problems)) }
}

/** @throws ORCH_PLAN_INVALID with every problem in its message; ORCH_PLAN_UNREADABLE */
export function requirePlan(answer: PlanAnswer, path: string): Plan {
  if (answer.plan) return answer.plan
  const unreadable = answer.problems.some(
    ({ code }) => code === 'not-found' || code === 'is-directory' || code === 'unreadable',
  )
  if (unreadable) throw new OrchError('ORCH_PLAN_UNREADABLE', `${path}: ${answer.problems[0]!.message}`)
  const errors = answer.problems.filter(({ severity }) => severity === 'error').length
  throw new OrchError(
    'ORCH_PLAN_INVALID',
    `${path} has ${errors} problem${errors === 1 ? '' : 's'}\n${answer.text}`,
    { context: { problems: answer.problems } },
  )
}

/** True when the only trouble is an agent that this process does not know; the node may. */
export function isOnlyAboutAgents(answer: PlanAnswer): boolean {
  const errors = answer.problems.filter(({ severity }) => severity === 'error')
  return errors.length > 0 && errors.every(({ code }) => code === 'unknown-agent')
}

/** A name that can only be of a file: commands that take a run or a plan ask this. */
export function looksLikeFile(name: string): boolean {
  return /[/\\]|\.(ya?ml|json)$/i.test(name)
}
