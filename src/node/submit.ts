/** From a checked plan to facts: the repository is inspected and its base imported before the run exists on the board. */
import { randomUUID } from 'node:crypto'
import { OrchError } from '../core/error.ts'
import type { RunHeader } from '../core/fact.ts'
import { type RunId, slug, type TaskId } from '../core/id.ts'
import type { Reply } from '../core/input.ts'
import { MERGE_DEFAULT, unfoldPlan } from '../core/plan.ts'
import type { RepositorySpec } from '../core/task.ts'
import { headRef } from '../git/ref.ts'
import type { Engine } from './engine.ts'
import type { SubmitAnswer, SubmitRequest } from './face.ts'

export async function submit(engine: Engine, request: SubmitRequest): Promise<SubmitAnswer> {
  const tasks = checkedTasks(request.tasks)
  const run = newRunId(request.name, (id) => engine.state.board.runs.has(id))
  const createdAt = engine.nextRunAt()
  const warnings: string[] = []
  const merge = request.merge ?? MERGE_DEFAULT
  const { git } = engine.options
  let repository: RepositorySpec | undefined
  if (request.repository !== undefined) {
    const facts = await git.inspect(request.repository, request.base)
    if (facts.dirty.length > 0) {
      const shown = facts.dirty.slice(0, 5).join(', ')
      const more = facts.dirtyCount > 5 ? ` and ${facts.dirtyCount - 5} more` : ''
      warnings.push(
        `uncommitted changes are not part of the base, workers will not see them: ${shown}${more}`,
      )
    }
    await git.importBase(facts)
    repository = {
      id: facts.id,
      path: facts.path,
      base: facts.base,
      ...(facts.branch ? { branch: facts.branch } : {}),
    }
    await git.advance(facts.id, headRef(run), facts.base, undefined)
  }
  const me = engine.state.me
  const header: RunHeader = {
    name: request.name,
    creator: me,
    createdAt,
    integrator: me,
    merge,
    ...(repository ? { repository, base: repository.base } : {}),
  }
  const { reply, durable } = engine.loop.post({
    type: 'submit',
    run,
    header,
    tasks,
    seal: request.seal ?? true,
  })
  accepted(reply)
  await durable
  return {
    run,
    tasks: tasks.length,
    ...(repository ? { base: repository.base } : {}),
    ...(repository?.branch ? { branch: repository.branch } : {}),
    warnings,
  }
}

/**
 * Whoever submits, a plan file, a program or a stranger over HTTP: the same check, group barriers made tasks.
 *
 * @throws ORCH_PLAN_INVALID with every problem
 */
export function checkedTasks(
  given: SubmitRequest['tasks'],
  known: (id: TaskId) => boolean = () => false,
): SubmitRequest['tasks'] {
  const { tasks, refusals } = unfoldPlan(given, { known })
  const problems = refusals.filter((p) => p.severity === 'error')
  if (problems.length === 0) return tasks
  const shown = problems.slice(0, 5).map((p) => `${p.path.join('.')}: ${p.message}`)
  const more = problems.length > 5 ? ` and ${problems.length - 5} more` : ''
  throw new OrchError('ORCH_PLAN_INVALID', `${shown.join('; ')}${more}`, { context: { problems } })
}

/** Throws a refusal of the core as what it is for the outside: an error with its code. */
export function accepted(reply: Reply): asserts reply is Extract<Reply, { ok: true }> {
  if (!reply.ok)
    throw new OrchError(reply.code, reply.message, reply.context ? { context: reply.context } : {})
}

/** `<name>-<4 hex digits>`; more digits when those are taken. */
function newRunId(name: string, isTaken: (id: RunId) => boolean): RunId {
  const stem = slug(name) || 'run'
  for (let digits = 4; ; digits += 4) {
    const id = `${stem}-${randomUUID().replaceAll('-', '').slice(0, digits)}`
    if (!isTaken(id)) return id
  }
}
