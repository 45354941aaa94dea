/** `simulate` */
import type { Command } from 'commander'
import type { Breach } from '../../sim/oracle.ts'
import type { SeedReport } from '../../sim/simulation.ts'
import { usage } from '../failure.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { count, showDuration } from '../quantity.ts'
import { safe } from '../text.ts'
import { countOf } from './option.ts'

interface SimulateOptions {
  readonly seed?: string
  readonly seeds: string
  readonly nodes: string
  readonly tasks: string
  readonly faults: string
  readonly trace?: boolean
}

const NODES_MAX = 100
const TASKS_MAX = 10_000
/** Breaches of one seed that are shown. */
const SHOWN_MAX = 10

export function addSimulate(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'simulate', 'play a whole cluster in this process, from a seed, with faults', [
      'orch-node simulate --nodes 12 --tasks 150 --faults storm',
      'orch-node simulate --seed 7 --faults partition,crash --trace',
      'orch-node simulate --nodes 5 --tasks 40 --seeds 100',
    ])
    .option('--seed <n>', 'number that everything follows from (default: another one each time)')
    .option('--seeds <count>', 'so many seeds, one after the other', '1')
    .option('--nodes <n>', `members of the cluster, 1 to ${NODES_MAX}`, '5')
    .option('--tasks <n>', `tasks of the run, 1 to ${TASKS_MAX}`, '40')
    .option('--faults <what>', 'calm, mild, storm, or faults joined by commas', 'storm')
    .option('--trace', 'print every event')
    .action(cli.act(simulate))
}

/** Exit code 1 when a rule was broken. Each seed is played twice, and must go the same way. */
async function simulate(it: Invocation, options: SimulateOptions): Promise<number> {
  const { out, world } = it
  const from =
    options.seed === undefined ? Math.floor(world.now()) % 2 ** 31 : countOf(options.seed, '--seed')
  const seeds = within(options.seeds, '--seeds', Number.MAX_SAFE_INTEGER)
  const nodes = within(options.nodes, '--nodes', NODES_MAX)
  const tasks = within(options.tasks, '--tasks', TASKS_MAX)
  // Loaded when it is asked for: nothing else needs a cluster in the process.
  const [{ playSeeds }, { readFaults }, { Tally }] = await Promise.all([
    import('../../sim/campaign.ts'),
    import('../../sim/fault.ts'),
    import('../../sim/figures.ts'),
  ])
  const faults = readFaults(options.faults)
  if (!faults.ok) throw usage(faults.problem)
  const command = (seed: number): string =>
    `orch-node simulate --seed ${seed} --nodes ${nodes} --tasks ${tasks} --faults ${faults.plan.text}`
  const total = new Tally()
  const broken: SeedReport[] = []
  const played = playSeeds({
    from,
    count: seeds,
    nodes,
    tasks,
    faults: faults.plan,
    ...(options.trace && { onTrace: (line: string) => out.note(safe(line)) }),
  })
  let last: SeedReport | undefined
  for await (const report of played) {
    last = report
    total.add(report.tally)
    if (report.breaches.length === 0) continue
    broken.push(report)
    out.note(
      safe(
        `seed ${report.seed}: ${breachLines(report.breaches).join('\n')}\nagain: ${command(report.seed)} --trace`,
      ),
    )
  }
  const figures = total.figures()
  await out.answer({
    data: {
      from,
      seeds,
      nodes,
      tasks,
      faults: faults.plan.text,
      figures,
      ...(seeds === 1 && last && { trace: last.trace, events: last.events, struck: last.faults }),
      violations: broken.map(({ seed, breaches }) => ({ seed, command: command(seed), breaches })),
    },
    text: () =>
      [
        `${count(seeds, 'seed')} from ${from}, ${count(nodes, 'node')}, ${count(tasks, 'task')}, ${faults.plan.text}: ${broken.length === 0 ? 'no rule was broken' : `rules were broken by ${count(broken.length, 'seed')}`}`,
        ...(seeds === 1 && last
          ? [`events ${last.events}, trace ${last.trace}, faults: ${last.faults.join(', ') || 'none'}`]
          : []),
        `accepted ${figures.accepted} of ${figures.tasks}, starts per task ${figures.startsPerTask.toFixed(3)} (${figures.reworksPerTask.toFixed(3)} of work that was refused, ${figures.baselessPerTask.toFixed(3)} without a base), claims per task ${figures.claimsPerTask.toFixed(2)}`,
        `double starts per 1000 ${figures.doubleStarts.toFixed(1)}, wasted work ${percent(figures.waste)}, refused ${percent(figures.refused)}, flips ${figures.flips}`,
        `voids of the living: ${figures.falseVoids} within reach, ${figures.cutVoids} behind a cut link`,
        `ready beside an idle slot p50 ${showDuration(figures.waitMs.p50)}, p99 ${showDuration(figures.waitMs.p99)}; slots idle beside ready work ${percent(figures.idle)}; all over after ${showDuration(figures.makespanMs)} of virtual time`,
      ].join('\n'),
    ids: () => broken.map(({ seed }) => String(seed)),
  })
  return broken.length === 0 ? 0 : 1
}

function breachLines(breaches: readonly Breach[]): string[] {
  const lines = breaches
    .slice(0, SHOWN_MAX)
    .map(
      ({ rule, at, node, task, message }) =>
        `  ${rule} at ${(at / 1_000).toFixed(3)} s on ${node}${task === undefined ? '' : `, ${task}`}: ${message}`,
    )
  const rest = breaches.length - SHOWN_MAX
  return ['', ...lines, ...(rest > 0 ? [`  and ${rest} more`] : [])]
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}

function within(text: string, name: string, max: number): number {
  const value = countOf(text, name)
  if (value < 1 || value > max) throw usage(`${name} is 1 to ${max}, not ${value}`)
  return value
}
