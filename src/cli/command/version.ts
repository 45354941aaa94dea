/** `version` */
import type { Command } from 'commander'
import { VERSION } from '../../version.ts'
import type { Cli } from '../invocation.ts'

export function addVersion(parent: Command, cli: Cli): void {
  cli.command(parent, 'version', 'print the version', ['orch-node version']).action(
    cli.act(async ({ out }) => {
      await out.answer({
        data: { version: VERSION, node: process.version, platform: `${process.platform}-${process.arch}` },
        text: () =>
          `orch-node ${VERSION} (node ${process.version.slice(1)}, ${process.platform}-${process.arch})`,
        ids: () => [VERSION],
      })
    }),
  )
}
