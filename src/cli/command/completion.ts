/** `completion bash|zsh|fish` */
import { Argument, type Command } from 'commander'
import { completionFor, SHELLS, type Shell } from '../completion.ts'
import type { Cli } from '../invocation.ts'

export function addCompletion(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'completion', 'print a completion script for a shell', [
      'orch-node completion bash > ~/.local/share/bash-completion/completions/orch-node',
      'orch-node completion fish | source',
    ])
    .addArgument(new Argument('<shell>', 'which shell').choices(SHELLS))
    .action(
      cli.act(async ({ out, program }, shell: Shell) => {
        const script = completionFor(program, shell)
        await out.answer({ data: { shell, script }, text: () => script, ids: () => [script] })
      }),
    )
}
