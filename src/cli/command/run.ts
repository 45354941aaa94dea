/** `run PLAN`: embed a node if none runs, submit, follow, report. */
import type { Command } from 'commander'
import { isOrchError } from '../../core/error.ts'
import type { Connection } from '../connection.ts'
import { formatGraph, tasksOfPlan, viewGraph } from '../graph.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { startNode, tellStarted } from '../node-start.ts'
import { isOnlyAboutAgents, type PlanAnswer, readPlan, requirePlan } from '../plan-argument.ts'
import { count } from '../quantity.ts'
import { runToEnd } from '../run-to-end.ts'
import { submissionOf, submit } from '../submission.ts'
import { line } from '../text.ts'
import { collect, durationOf } from './option.ts'

interface RunOptions {
  readonly repo?: string
  readonly agent?: string
  readonly set?: readonly string[]
  readonly detach?: boolean
  readonly dryRun?: boolean
  readonly timeout?: string
  readonly wait?: boolean
}

export function addRun(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'run',
      'run a plan to its end and report; starts a node for as long as it takes if none runs',
      [
        'orch-node run plan.yaml',
        'orch-node run plan.yaml --repo ../app --set defaults.timeout=10m --detach',
      ],
    )
    .argument('<plan>', 'plan file, YAML or JSON')
    .option(
      '--repo <dir>',
      'git repository to work on (default: what the plan names, or where the command runs); none = a run without files',
    )
    .option('--agent <name>', 'agent of tasks that name none')
    .option('--set <key=value>', 'change a value of the plan; may be given more than once', collect)
    .option('--profile <name|file>', 'settings of a node that is started here (ORCH_PROFILE)')
    .option('--slots <n>', 'attempts at once, of a node that is started here (ORCH_SLOTS; default 5)')
    .option('--http <port>', 'HTTP port of a node that is started here')
    .option('--detach', 'return when the run is submitted; starts a node in the background if none runs')
    .option('--dry-run', 'only check the plan and show what would run')
    .option('--timeout <duration>', 'stop following after this time, with exit code 124')
    .option('--wait', 'when too much work is pending, wait instead of failing')
    .action(cli.act(run))
}

async function run(it: Invocation, path: string, options: RunOptions): Promise<number> {
  const { out, world } = it
  const timeoutMs = options.timeout === undefined ? undefined : durationOf(options.timeout, '--timeout')
  const read = (kinds?: readonly string[]) =>
    readPlan({
      path,
      cwd: world.cwd,
      ...(options.agent !== undefined && { agent: options.agent }),
      ...(options.set && { overrides: options.set }),
      ...(kinds && { kinds }),
    })
  let answer = await read()
  // An agent may be known to the node though it is not to us; everything else is judged before anything is started.
  if (options.dryRun || !isOnlyAboutAgents(answer)) requirePlan(answer, path)
  if (options.dryRun) return dryRun(it, path, answer)

  const connection = options.detach ? await connectDetached(it) : await it.connect('host')
  // From here on there may be a node to be ended in good order.
  const interrupt = new AbortController()
  const unlisten = world.onInterrupt(() => interrupt.abort())
  const { signal } = interrupt
  try {
    const status = await connection.face.status()
    if (!answer.plan) answer = await read(status.kinds)
    const plan = requirePlan(answer, path)
    if (answer.text !== '') out.note(answer.text)
    if (connection.host) for (const found of status.recovery) out.note(`found: ${line(found)}`)
    const request = submissionOf(world.cwd, path, plan, options.repo)
    const onWait = (message: string) => out.note(`${line(message)}: waiting`)
    const submitted = await submit(connection.face, request, { wait: options.wait ?? false, onWait, signal })
    for (const warning of submitted.warnings) out.warn(warning)
    if (options.detach) {
      await out.answer({
        data: submitted,
        ids: () => [submitted.run],
        text: () =>
          `run ${submitted.run} · ${count(request.tasks.length, 'task')}\nfollow it with: orch-node runs follow ${submitted.run}`,
      })
      return 0
    }
    const people = tasksOfPlan(plan)
    const slots = Math.min(status.slots, viewGraph(people).widest)
    if (!world.stderr.isTerminal)
      out.note(`run ${submitted.run} · ${count(people.length, 'task')} · up to ${slots} at once`)
    return await runToEnd(it, {
      run: submitted.run,
      plan,
      connection,
      slots,
      interrupt: signal,
      ...(timeoutMs !== undefined && { timeoutMs }),
    })
  } finally {
    unlisten()
    await connection.close()
  }
}

async function dryRun({ out }: Invocation, path: string, answer: PlanAnswer): Promise<number> {
  const plan = requirePlan(answer, path)
  if (answer.text !== '') out.note(answer.text)
  const view = viewGraph(tasksOfPlan(plan))
  await out.answer({
    data: {
      name: plan.name,
      tasks: plan.tasks,
      merge: plan.merge,
      layers: view.layers,
      criticalPath: view.criticalPath,
      widest: view.widest,
      warnings: answer.problems,
    },
    ids: () => view.tasks.map(({ id }) => id),
    text: () =>
      `${plan.name} · ${count(view.tasks.length, 'task')} in ${count(view.layers.length, 'layer')} · at most ${view.widest} at once\n${formatGraph(view, 'text', false)}\nlongest chain: ${view.criticalPath.join(' → ')}\nnothing was started`,
  })
  return 0
}

async function connectDetached(it: Invocation): Promise<Connection> {
  try {
    return await it.connect('never')
  } catch (error) {
    if (!isOrchError(error) || error.code !== 'ORCH_NO_NODE' || it.settings.node.value !== undefined)
      throw error
  }
  tellStarted(it, await startNode(it))
  return it.connect('never')
}
