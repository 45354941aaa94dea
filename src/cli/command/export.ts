/** `export` */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'

export function addExport(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'export',
      'print the facts of a run as JSON, a line for each commit; also of a run that is archived',
      ['orch-node export add-tests-7f2a > add-tests.jsonl'],
    )
    .argument('[run]', 'default: the latest; an archived one by its whole id')
    .action(cli.act(exportRun))
}

async function exportRun(it: Invocation, run: string | undefined): Promise<number> {
  const { out, world } = it
  const abort = new AbortController()
  const unlisten = world.onInterrupt(() => abort.abort())
  try {
    await it.use('passive', async (face) => {
      for await (const item of face.exportRun(given({ run }), abort.signal))
        await out.item({
          data: item,
          text: () => JSON.stringify(item),
          ids: () => item.facts.map(({ key }) => key),
        })
    })
  } finally {
    unlisten()
  }
  return abort.signal.aborted ? 130 : 0
}
