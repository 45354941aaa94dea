/** The message of an integrated commit: what a lost fact can be derived from again. Grammar in `REFS.md`. */
import { isRunId, isTaskId, type NodeId, type Oid, type RunId, type TaskId } from '../core/id.ts'
import { subjectLine } from './signature.ts'

export interface ResultTrailer {
  readonly run: RunId
  readonly task: TaskId
  readonly round: number
  readonly epoch: number
  /** Author of the result. */
  readonly node: NodeId
  readonly term: number
}

/** An integrated commit as the run's ref tells it. `position` counts from 1 after the base. */
export interface IntegratedCommit extends ResultTrailer {
  readonly position: number
  readonly commit: Oid
}

export function formatMessage(title: string, trailer: ResultTrailer): string {
  const { run, task, round, epoch, node, term } = trailer
  return `${subjectLine(title)}

Orch-Run: ${run}
Orch-Task: ${task}
Orch-Result: ${round}.${epoch}/${node}
Orch-Term: ${term}
`
}

const TRAILERS =
  /\n\nOrch-Run: (\S+)\nOrch-Task: (\S+)\nOrch-Result: ([1-9]\d{0,8})\.([1-9]\d{0,8})\/(\S+)\nOrch-Term: ([1-9]\d{0,8})\n*$/

/** Reads the last paragraph; `undefined` when it is not ours. */
export function readTrailer(message: string): ResultTrailer | undefined {
  const match = TRAILERS.exec(message)
  if (!match) return undefined
  const [, run, task, round, epoch, node, term] = match
  if (!isRunId(run!) || !isTaskId(task!)) return undefined
  return {
    run: run!,
    task: task!,
    round: Number(round),
    epoch: Number(epoch),
    node: node!,
    term: Number(term),
  }
}
