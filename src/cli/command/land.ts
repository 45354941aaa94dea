/** `land RUN` */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { line } from '../text.ts'

export function addLand(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'land', 'move a branch of the repository to the result of a run', [
      'orch-node land add-tests',
      'orch-node land add-tests --into main',
    ])
    .argument('[run]', 'default: the latest')
    .option(
      '--into <branch>',
      'default: the branch that the plan names, or that was checked out when the run began',
    )
    .action(cli.act(land))
}

async function land(
  it: Invocation,
  run: string | undefined,
  { into }: { readonly into?: string },
): Promise<void> {
  const landed = await it.use('passive', (face) => face.land(given({ run, into })))
  await it.out.answer({
    data: landed,
    ids: () => [landed.commit],
    text: () =>
      `landed ${landed.run} on ${line(landed.branch)}: ${landed.from.slice(0, 7)} → ${landed.commit.slice(0, 7)}${landed.tries > 1 ? ` (the branch moved; try ${landed.tries})` : ''}`,
  })
}
