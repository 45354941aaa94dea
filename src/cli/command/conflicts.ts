/** `conflicts RUN` */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { conflictLine } from '../run-report.ts'
import { line } from '../text.ts'

export function addConflicts(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'conflicts',
      'list results of a run that do not merge; exit code 9 when there are some',
      ['orch-node conflicts add-tests'],
    )
    .argument('[run]', 'default: the latest')
    .action(cli.act(conflicts))
}

async function conflicts(it: Invocation, run: string | undefined): Promise<number> {
  const { out } = it
  const found = await it.use('passive', (face) => face.conflicts(given({ run })))
  await out.answer({
    data: found,
    ids: () => found.map(({ task }) => task),
    text: () =>
      found.length === 0
        ? 'no conflicts'
        : found
            .flatMap((conflict) => [
              conflictLine(conflict, out.style),
              `  ${conflict.task} is ${conflict.status}: ${line(conflict.reason)}`,
              `  again on what is integrated: orch-node task retry ${conflict.task}    without it: orch-node task cancel ${conflict.task}`,
            ])
            .join('\n'),
  })
  return found.length > 0 ? 9 : 0
}
