/** `integrate RUN` */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { conflictLine } from '../run-report.ts'

export function addIntegrate(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'integrate',
      'fold the results of a run into its branch; exit code 9 when some conflict',
      ['orch-node integrate add-tests --dry-run'],
    )
    .argument('[run]', 'default: the latest')
    .option('--dry-run', 'only say what would become of each result')
    .action(cli.act(integrate))
}

const WORDS = { accepted: 'accepted', 'would-accept': 'would be accepted', conflict: 'conflicts' } as const

async function integrate(
  it: Invocation,
  run: string | undefined,
  { dryRun }: { readonly dryRun?: boolean },
): Promise<number> {
  const { out } = it
  const answer = await it.use('passive', (face) => face.integrate(given({ run, dryRun })))
  await out.answer({
    data: answer,
    ids: () => [answer.commit],
    text: () => {
      const lines = answer.tasks.map(
        ({ task, commit, state }) => `  ${task}  ${WORDS[state]}${commit ? `  ${commit.slice(0, 7)}` : ''}`,
      )
      for (const conflict of answer.conflicts) lines.push(conflictLine(conflict, out.style))
      lines.push(
        `${answer.base.slice(0, 7)} → ${answer.commit.slice(0, 7)}${answer.dryRun ? ' (nothing was changed)' : ''}`,
      )
      return lines.join('\n')
    },
  })
  return answer.conflicts.length > 0 ? 9 : 0
}
