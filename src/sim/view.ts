/** What a node believes, as text: equal for two nodes with the same facts. */
import type { Board } from '../core/board.ts'
import type { RunState } from '../core/run-state.ts'
import type { TaskState } from '../core/task-state.ts'

export function viewOf(board: Board): string {
  const lines: string[] = []
  for (const run of [...board.runs.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    lines.push(runLine(run))
    for (const task of [...run.tasks.values()].sort((a, b) => (a.id < b.id ? -1 : 1)))
      lines.push(taskLine(task))
  }
  return lines.join('\n')
}

/** The first line in which two views differ. */
export function difference(one: string, two: string): string {
  const [a, b] = [one.split('\n'), two.split('\n')]
  for (let i = 0; i < Math.max(a.length, b.length); i++)
    if (a[i] !== b[i]) return `"${a[i] ?? 'nothing'}" <> "${b[i] ?? 'nothing'}"`
  return 'nothing'
}

function runLine(run: RunState): string {
  const terms = run.terms.map((term) => `${term.integrator}<=${term.until}`)
  const history = [...run.positions].sort(([a], [b]) => a - b).map(([n, task]) => `${n}:${task.id}`)
  return `${run.id} ${run.status} sealed=${run.sealed} terms=${terms.join()} tip=${run.tip()} history=${history.join()}`
}

function taskLine(task: TaskState): string {
  const { id, status, round, epoch, failures, lost, holder, provisional, accepted } = task
  const entry = (e: typeof holder): string => (e ? `${e.node}@${e.round}.${e.epoch}` : '-')
  const accept = accepted
    ? `${accepted.by}@${accepted.round}.${accepted.epoch}#${accepted.position}/${accepted.term}=${accepted.commit ?? '-'}`
    : '-'
  return `${id} ${status} ${round}.${epoch} failures=${failures} lost=${lost} holder=${entry(holder)} provisional=${entry(provisional)} accepted=${accept}`
}
