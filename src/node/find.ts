/** Finds what a person means by a name: whole, or any prefix that is unique (CLI.md). */
import type { Board } from '../core/board.ts'
import { OrchError } from '../core/error.ts'
import type { RunState } from '../core/run-state.ts'
import type { TaskState } from '../core/task-state.ts'

export function findRun(board: Board, name: string | undefined): RunState {
  const runs = [...board.runs.values()].filter((r) => r.header)
  if (name === undefined || name === '') {
    const latest = latestRun(runs)
    if (!latest)
      throw new OrchError('ORCH_NOT_FOUND', 'there is no run yet', {
        hint: 'start one with `orch-node run PLAN`',
      })
    return latest
  }
  const exact = board.runs.get(name)
  if (exact?.header) return exact
  return one(
    runs.filter((r) => r.id.startsWith(name)),
    (r) => r.id,
    `run "${name}"`,
  )
}

function latestRun(runs: readonly RunState[]): RunState | undefined {
  let latest: RunState | undefined
  for (const run of runs) {
    if (
      !latest ||
      run.header!.createdAt > latest.header!.createdAt ||
      (run.header!.createdAt === latest.header!.createdAt && run.id > latest.id)
    )
      latest = run
  }
  return latest
}

export function findTask(board: Board, name: string): TaskState {
  const slash = name.indexOf('/')
  if (slash >= 0) return taskIn(findRun(board, name.slice(0, slash)), name.slice(slash + 1), name)
  return taskIn(findRun(board, undefined), name, name)
}

function taskIn(run: RunState, name: string, asked: string): TaskState {
  const exact = run.tasks.get(name)
  if (exact?.spec) return exact
  const tasks = [...run.tasks.values()].filter((t) => t.spec && t.id.startsWith(name))
  return one(name === '' ? [] : tasks, (t) => t.name, `task "${asked}" in run ${run.id}`)
}

function one<T>(found: readonly T[], nameOf: (item: T) => string, what: string): T {
  if (found.length === 1) return found[0]!
  if (found.length === 0) throw new OrchError('ORCH_NOT_FOUND', `there is no ${what}`)
  const names = found.slice(0, 5).map(nameOf).join(', ')
  throw new OrchError(
    'ORCH_AMBIGUOUS',
    `${what} may be ${names}${found.length > 5 ? ` or ${found.length - 5} more` : ''}`,
  )
}
