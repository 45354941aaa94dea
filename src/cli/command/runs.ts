/** `runs [list|show|follow|cancel|pause|resume|adopt]` */
import type { Command } from 'commander'
import { ERRORS, OrchError } from '../../core/error.ts'
import type { RunSummary } from '../../node/face.ts'
import { usage } from '../failure.ts'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { countLine } from '../live-view.ts'
import { showAge } from '../quantity.ts'
import { RunModel } from '../run-model.ts'
import { exitOfRun, formatReport, readEnd } from '../run-report.ts'
import { paintRun } from '../style.ts'
import { formatTable } from '../table.ts'
import { line } from '../text.ts'
import { durationOf } from './option.ts'

export function addRuns(parent: Command, cli: Cli): void {
  const runs = cli.command(parent, 'runs', 'list runs, follow them, cancel, pause and resume them', [
    'orch-node runs',
    'orch-node runs follow add-tests-7f2a',
  ])
  cli
    .command(runs, 'list', 'list runs, the latest first', ['orch-node runs list', 'orch-node runs --json'], {
      isDefault: true,
    })
    .option('--open', 'only those that are not finished')
    .action(cli.act(list))
  cli
    .command(runs, 'show', 'show one run with its tasks', ['orch-node runs show add-tests'])
    .argument('[run]', 'default: the latest')
    .action(cli.act(show))
  cli
    .command(runs, 'follow', 'follow a run to its end; the exit code tells how it ended', [
      'orch-node runs follow',
      'orch-node runs follow add-tests --json',
    ])
    .argument('[run]', 'default: the latest')
    .option('--timeout <duration>', 'stop following after this time, with exit code 124; the run goes on')
    .action(cli.act(follow))
  cli
    .command(runs, 'cancel', 'cancel a run: what runs is stopped and its work kept under refs', [
      'orch-node runs cancel add-tests --reason "wrong base"',
    ])
    .argument('<run>')
    .option('--reason <text>', 'why, for the record')
    .action(
      cli.act((it, run: string, { reason }: { readonly reason?: string }) =>
        order(it, run, 'cancelled', (face, id) => face.cancel(given({ run: id, reason }))),
      ),
    )
  cli
    .command(runs, 'pause', 'start nothing more of a run; what runs goes on', [
      'orch-node runs pause add-tests',
    ])
    .argument('<run>')
    .option('--reason <text>', 'why, for the record')
    .action(
      cli.act((it, run: string, { reason }: { readonly reason?: string }) =>
        order(it, run, 'paused', (face, id) => face.pause(given({ run: id, reason }))),
      ),
    )
  cli
    .command(runs, 'resume', 'let a paused run go on', ['orch-node runs resume add-tests'])
    .argument('<run>')
    .action(cli.act((it, run: string) => order(it, run, 'resumed', (face, id) => face.resume({ run: id }))))
  cli
    .command(
      runs,
      'adopt',
      'make this node the integrator of a run whose former one is gone for good; what that one accepted and nobody heard of is offered again',
      ['orch-node runs adopt add-tests --reason "its machine burnt"'],
    )
    .argument('<run>')
    .option('--reason <text>', 'why, for the record')
    .action(cli.act(adopt))
}

async function list(it: Invocation, { open }: { readonly open?: boolean }): Promise<void> {
  const { out, world } = it
  const all = await it.use('passive', (face) => face.runs())
  const runs = open ? all.filter((run) => !isFinished(run)) : all
  await out.answer({
    data: runs,
    ids: () => runs.map(({ id }) => id),
    text: () => {
      if (runs.length === 0)
        return open ? 'no run is open' : 'there is no run yet: start one with `orch-node run PLAN`'
      const paint = (cell: string, row: number) => paintRun(out.style, runs[row]!.status)(cell)
      return formatTable(
        [
          { title: 'run' },
          { title: 'status', paint },
          { title: 'done', side: 'right' },
          { title: 'age', side: 'right' },
          { title: 'branch', flexible: true },
        ],
        runs.map((run) => [
          run.id,
          run.status,
          `${doneOf(run)}/${run.tasks}`,
          showAge(world.now() - run.createdAt),
          run.landed ? `landed on ${line(run.landed.branch)}` : (run.branch ?? ''),
        ]),
        out.columns,
      )
    },
  })
}

function isFinished({ status }: RunSummary): boolean {
  return status === 'complete' || status === 'partial' || status === 'failed' || status === 'cancelled'
}

function doneOf({ counts }: RunSummary): number {
  return (counts.accepted ?? 0) + (counts.passed ?? 0) + (counts.skipped ?? 0)
}

async function show(it: Invocation, run: string | undefined): Promise<void> {
  const { out, world } = it
  await it.use('passive', async (face) => {
    const summary = await face.run(given({ run }))
    const model = new RunModel(summary.id)
    for (const task of await face.tasks({ run: summary.id })) model.apply({ type: 'task', task })
    model.apply({ type: 'run', run: summary })
    const end = await readEnd(face, model, summary)
    await out.answer({
      data: { run: summary, tasks: model.ordered(), conflicts: end.conflicts },
      ids: () => [summary.id],
      text: () => {
        const status = paintRun(out.style, summary.status)(summary.status)
        const head = `run ${out.style.bold(summary.id)} · ${status} · ${showAge(world.now() - summary.createdAt)} ago${summary.repository ? ` · ${line(summary.repository)}` : ''}`
        return [
          head,
          formatReport(model, end, out.style, out.columns),
          ...(isFinished(summary) ? [] : [countLine(model)]),
        ].join('\n')
      },
    })
  })
}

async function follow(
  it: Invocation,
  name: string | undefined,
  { timeout }: { readonly timeout?: string },
): Promise<number> {
  const { out, world } = it
  const timeoutMs = timeout === undefined ? undefined : durationOf(timeout, '--timeout')
  const connection = await it.connect('passive')
  const run = await connection.face.run(given({ run: name }))
  if (connection.passive && !isFinished(run) && run.status !== 'stuck') {
    await connection.close()
    throw new OrchError('ORCH_NO_NODE', `run ${run.id} is ${run.status}, but no node runs: nothing happens`, {
      hint: 'start one with `orch-node start`',
    })
  }
  if (out.json) {
    try {
      return await streamUpdates(it, connection.face, run.id)
    } finally {
      await connection.close()
    }
  }
  const { followRun } = await import('../follow.ts')
  const model = new RunModel(run.id)
  const interrupt = new AbortController()
  const unlisten = world.onInterrupt(() => interrupt.abort())
  const followed = await followRun({
    world,
    out,
    connection,
    reconnect: () => it.connect('never'),
    model,
    interrupt: interrupt.signal,
    ...(timeoutMs !== undefined && { timeoutMs }),
  }).finally(unlisten)
  const { why } = followed
  try {
    const again = `follow it again with: orch-node runs follow ${run.id}`
    if (why === 'stopped')
      throw new OrchError('ORCH_NO_NODE', `the node was stopped; run ${run.id} is kept`, { hint: again })
    if (why === 'interrupted' || why === 'timeout') {
      out.note(`run ${run.id} goes on; ${again}`)
      return why === 'timeout' ? ERRORS.ORCH_TIMEOUT.exit : ERRORS.ORCH_CANCELLED.exit
    }
    const end = await readEnd(followed.connection.face, model, followed.run ?? run)
    await out.answer({
      data: undefined,
      text: () => formatReport(model, end, out.style, out.columns),
      ids: () => [run.id],
    })
    return exitOfRun(end)
  } finally {
    await followed.connection.close()
  }
}

async function streamUpdates(
  { out, world }: Invocation,
  face: Parameters<typeof readEnd>[0],
  run: string,
): Promise<number> {
  const abort = new AbortController()
  const unlisten = world.onInterrupt(() => abort.abort())
  let last: RunSummary | undefined
  try {
    for await (const update of face.followRun({ run }, abort.signal)) {
      await out.item({ data: update, text: () => '' })
      if (update.type === 'run' || update.type === 'end') last = update.run
      if (last?.status === 'stuck') break
    }
  } finally {
    unlisten()
  }
  if (abort.signal.aborted || !last) return 130
  return exitOfRun({ run: last, conflicts: last.status === 'stuck' ? await face.conflicts({ run }) : [] })
}

async function adopt(it: Invocation, name: string, { reason }: { readonly reason?: string }): Promise<void> {
  refuseTask(name)
  const adopted = await it.use('never', async (face) => {
    const { id } = await face.run({ run: name })
    return face.adopt(given({ run: id, reason }))
  })
  const { run, term, cutoff } = adopted
  await it.out.answer({
    data: adopted,
    text: () =>
      [
        `run ${run} is integrated by this node from now on (term ${term})`,
        `what was accepted before counts up to position ${cutoff}; anything later that the former integrator accepted is offered again`,
      ].join('\n'),
    ids: () => [run],
  })
}

function refuseTask(name: string): void {
  if (name.includes('/'))
    throw usage(`${JSON.stringify(name)} names a task, not a run`, 'use `orch-node task` for tasks')
}

async function order(
  it: Invocation,
  name: string,
  done: string,
  give: (face: Parameters<typeof readEnd>[0], run: string) => Promise<void>,
): Promise<void> {
  refuseTask(name)
  await it.use('passive', async (face) => {
    // The name is looked up once, so that the answer says what it was taken for.
    const { id } = await face.run({ run: name })
    await give(face, id)
    await it.out.answer({ data: { run: id }, text: () => `run ${id} ${done}`, ids: () => [id] })
  })
}
