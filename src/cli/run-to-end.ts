/** Follows a run that was submitted here to its end, and reports; as the node of others too, if it is one. */
import { ERRORS, OrchError } from '../core/error.ts'
import type { DurationMs, RunId, TaskId } from '../core/id.ts'
import type { Plan } from '../core/task.ts'
import type { Connection, Host } from './connection.ts'
import { followRun } from './follow.ts'
import type { Invocation } from './invocation.ts'
import { RunModel } from './run-model.ts'
import { exitOfRun, formatReport, headLine, readEnd } from './run-report.ts'

export interface RunToEnd {
  readonly run: RunId
  readonly plan: Plan
  readonly connection: Connection
  /** Attempts at once, for people. */
  readonly slots: number
  readonly timeoutMs?: DurationMs
  readonly interrupt: AbortSignal
}

/** Answers with the exit code. The connection is closed at the end. */
export async function runToEnd(it: Invocation, request: RunToEnd): Promise<number> {
  const { out, world } = it
  const { run, plan, slots, timeoutMs, interrupt } = request
  const attempts = new Map<TaskId, number>(plan.tasks.map(([id, { retry }]) => [id, retry?.attempts ?? 1]))
  const model = new RunModel(run)
  const {
    connection,
    why,
    run: last,
  } = await followRun({
    world,
    out,
    connection: request.connection,
    // Its node may have been another command's: then this one goes on as the node.
    reconnect: () => it.connect('host'),
    model,
    slots,
    interrupt,
    attemptsMax: (task) => attempts.get(task),
    ...(timeoutMs !== undefined && { timeoutMs }),
  })
  const { host } = connection
  try {
    if (why !== 'end' && why !== 'stuck') return await leave(it, run, why, connection)
    const end = await readEnd(connection.face, model, last!)
    await out.answer({
      data: { run: end.run, tasks: model.ordered(), conflicts: end.conflicts },
      ids: () => [run],
      text: () =>
        `${headLine(end.run, model.tasks.size, out.style)}\n${formatReport(model, end, out.style, out.columns)}`,
    })
    if (host) await stayForOthers(it, connection, host, interrupt)
    return exitOfRun(end)
  } finally {
    await connection.close()
  }
}

/** The run goes on, with its node or with the next one. */
async function leave(
  it: Invocation,
  run: RunId,
  why: 'interrupted' | 'timeout' | 'stopped',
  connection: Connection,
): Promise<number> {
  const { out } = it
  const { host } = connection
  const hint =
    host || why === 'stopped'
      ? `go on with \`orch-node start\`, then \`orch-node runs follow ${run}\``
      : `follow it again with \`orch-node runs follow ${run}\``
  if (host && why !== 'stopped') await drain(it, connection, host)
  if (why === 'timeout') throw new OrchError('ORCH_TIMEOUT', `run ${run} was not over in time`, { hint })
  if (why === 'stopped')
    throw new OrchError('ORCH_NO_NODE', `the node was stopped; run ${run} is kept`, { hint })
  if (out.json) throw new OrchError('ORCH_CANCELLED', `interrupted; run ${run} is kept`, { hint })
  out.note(host ? `run ${run} is kept: ${hint}` : `run ${run} goes on: ${hint}`)
  return ERRORS.ORCH_CANCELLED.exit
}

/** First Ctrl-C: running work is saved and given back. Second: at once, without grace; its work is saved all the same. */
async function drain({ out, world }: Invocation, connection: Connection, host: Host): Promise<void> {
  out.note('stopping: running work is saved and given back (Ctrl-C again: at once)')
  const unlisten = world.onInterrupt(() => void host.stopNow())
  try {
    await connection.close()
  } finally {
    unlisten()
  }
}

/** Other commands submitted runs to the node of this one: it stays until they are over, or cannot go on. */
async function stayForOthers(
  it: Invocation,
  connection: Connection,
  host: Host,
  interrupt: AbortSignal,
): Promise<void> {
  const { face } = connection
  let told = false
  for (const run of host.foreign) {
    for await (const update of face.followRun({ run }, interrupt)) {
      if (update.type !== 'run' && update.type !== 'end') continue
      const { status } = update.run
      if (update.type === 'end' || status === 'stuck' || status === 'paused') break
      if (!told)
        it.out.note(
          `this command is the node of run ${run} too, which is not over: it stays until then (Ctrl-C gives the work back)`,
        )
      told = true
    }
    if (interrupt.aborted) return drain(it, connection, host)
  }
}
