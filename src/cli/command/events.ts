/** `events` */
import type { Command } from 'commander'
import { eventLine } from '../event-line.ts'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { momentOf } from './option.ts'

interface EventsOptions {
  readonly follow?: boolean
  readonly since?: string
  readonly problems?: boolean
  readonly run?: string
  readonly task?: string
}

export function addEvents(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'events', 'print what happened to tasks', [
      'orch-node events --since 10m --problems',
      'orch-node events --follow --json',
    ])
    .option('-f, --follow', 'go on with what happens from now')
    .option('--since <time>', 'from a time ago (10m) or a date (2026-01-31T12:00:00Z) on')
    .option('--problems', 'only failures, blocks and reassignments')
    .option('--run <run>', 'only of this run')
    .option('--task <task>', 'only of this task')
    .action(cli.act(events))
}

async function events(
  it: Invocation,
  { follow, since, problems, run, task }: EventsOptions,
): Promise<number> {
  const { out, world } = it
  const from = since === undefined ? undefined : momentOf(since, world.now(), '--since')
  const abort = new AbortController()
  const unlisten = world.onInterrupt(() => abort.abort())
  try {
    // Nothing happens without a node: there is nothing to follow.
    await it.use(follow ? 'never' : 'passive', async (face) => {
      for await (const item of face.events(
        given({ follow, since: from, problems, run, task }),
        abort.signal,
      )) {
        await out.item({
          data: item,
          text: () => eventLine(item.event),
          ids: () => [`${item.event.run}/${item.event.task}`],
        })
      }
    })
  } finally {
    unlisten()
  }
  return abort.signal.aborted ? 130 : 0
}
