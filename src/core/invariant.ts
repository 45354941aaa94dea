/**
 * Always-true rules over a board (I1-I27 of the design, as far as one board shows them). Oracles of the tests and of `doctor`: each returns what is wrong, in
 * words, and never mends.
 */
import { holds } from './ack.ts'
import type { Board } from './board.ts'
import type { RunState } from './run-state.ts'
import { BARRIER_KIND } from './task.ts'
import type { AcceptRecord, TaskState } from './task-state.ts'
import { isStanding } from './term.ts'

export interface Violation {
  readonly invariant: string
  readonly subject: string
  readonly message: string
}

export function violations(board: Board): Violation[] {
  const found: Violation[] = []
  for (const run of board.runs.values()) {
    for (const task of run.tasks.values()) found.push(...taskViolations(task))
    found.push(...historyViolations(run))
  }
  return found
}

function taskViolations(task: TaskState): Violation[] {
  const found: Violation[] = []
  const say = (invariant: string, message: string): void =>
    void found.push({ invariant, subject: task.name, message })
  const rounds = new Map<number, AcceptRecord>()
  for (const accept of task.accepts) {
    if (!isStanding(task.run, accept)) continue
    const other = rounds.get(accept.round)
    // Two process lives may have written the same: after a crash it is read back from the ref.
    if (other && (other.position !== accept.position || other.commit !== accept.commit)) {
      say('I9', `two accepts in round ${accept.round}`)
    }
    rounds.set(accept.round, accept)
    const entry = task.entries.find(
      (e) => e.round === accept.round && e.epoch === accept.epoch && e.node === accept.by,
    )
    if (entry?.result?.head !== undefined && accept.commit && !holds(task, entry, accept.author.node))
      say('I24', `the accept of round ${accept.round} names objects that its author never acknowledged`)
    if (entry?.result?.outcome !== 'done')
      say('I12', `the accept of round ${accept.round} names a result that is not a success`)
  }
  if (rounds.size > 1) say('I13', 'accepted in two rounds')
  if (task.accepted && !task.spec?.if && !task.needs.every(isClosed))
    say('I14', 'accepted before what it needs')
  for (const entry of task.entries) {
    if (entry.result?.outcome === 'done' && !entry.start)
      say('I6', `a result without a start in epoch ${entry.round}.${entry.epoch}`)
  }
  return found
}

/** A need with a condition may have been skipped then, and opened again by a person since. */
function isClosed(need: TaskState): boolean {
  if (need.status === 'accepted' || need.spec?.if !== undefined) return true
  return need.spec?.kind === BARRIER_KIND && need.needs.every(isClosed)
}

function historyViolations(run: RunState): Violation[] {
  const found: Violation[] = []
  const taken = new Map<number, TaskState>()
  for (const task of run.tasks.values()) {
    const position = task.accepted?.position
    if (position === undefined) continue
    const other = taken.get(position)
    if (other)
      found.push({
        invariant: 'I10',
        subject: run.id,
        message: `"${task.id}" and "${other.id}" share position ${position}`,
      })
    taken.set(position, task)
  }
  for (let p = 1; p <= run.lastPosition; p++) {
    if (!taken.has(p))
      found.push({ invariant: 'I11', subject: run.id, message: `position ${p} of the history is missing` })
  }
  return found
}
