/** `ready` */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { markOf, paintStatus } from '../style.ts'
import { formatTable } from '../table.ts'
import { line } from '../text.ts'
import { countOf } from './option.ts'

interface ReadyOptions {
  readonly explain?: boolean
  readonly run?: string
  readonly limit?: string
}

export function addReady(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'ready', 'list tasks that can start now; exit code 3 when there is none', [
      'orch-node ready',
      'orch-node ready --explain',
    ])
    .option('--explain', 'all tasks that do not run, and why')
    .option('--run <run>', 'only of this run')
    .option('--limit <n>', 'at most so many')
    .action(cli.act(ready))
}

async function ready(it: Invocation, options: ReadyOptions): Promise<number> {
  const { out } = it
  const limit = options.limit === undefined ? undefined : countOf(options.limit, '--limit')
  const { explain, run } = options
  const found = await it.use('passive', async (face, { passive }) => {
    const list = await face.ready(given({ explain, run, limit }))
    // A node of this command alone starts nothing, and would say that of itself.
    return passive
      ? list.map((item) =>
          item.status === 'ready' && item.why !== undefined
            ? { ...item, why: 'no node runs: start one with `orch-node start`' }
            : item,
        )
      : list
  })
  await out.answer({
    data: found,
    ids: () => found.map(({ task }) => task),
    text: () => {
      if (found.length === 0)
        return explain
          ? 'every task runs or is over'
          : 'nothing is ready: see why with `orch-node ready --explain`'
      const paint = (cell: string, row: number) => paintStatus(out.style, found[row]!.status)(cell)
      return formatTable(
        [
          { title: '', paint },
          { title: 'task' },
          { title: 'kind' },
          { title: 'priority' },
          { title: explain ? 'why it does not run' : 'title', flexible: true },
        ],
        found.map((item) => [
          markOf(item.status),
          item.task,
          line(item.kind),
          item.priority,
          line((explain ? item.why : item.title) ?? ''),
        ]),
        out.columns,
      )
    },
  })
  return found.length === 0 && !explain ? 3 : 0
}
