/** `claim [ID]`: an outside worker takes a task. */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { line, safe } from '../text.ts'
import { collect } from './option.ts'

interface ClaimOptions {
  readonly run?: string
  readonly cap?: readonly string[]
}

export function addClaim(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'claim', 'take a task to work on it by hand or by a program of your own', [
      'orch-node claim',
      'orch-node claim add-tests/math --json',
    ])
    .argument('[id]', 'task; default: the most urgent one that is ready')
    .option('--run <run>', 'only of this run')
    .option('--cap <name>', 'capability that you have; may be given more than once', collect)
    .action(cli.act(claim))
}

async function claim(it: Invocation, task: string | undefined, { run, cap }: ClaimOptions): Promise<void> {
  const { out } = it
  // A claim lives in a node, which watches over its time: without one it would be gone with this command.
  const claimed = await it.use('passive', (face) => face.claim(given({ task, run, capabilities: cap })))
  await out.answer({
    data: claimed,
    ids: () => [claimed.task],
    text: () => {
      const { spec } = claimed
      const lines = [`task       ${claimed.task}${spec.title ? `: ${line(spec.title)}` : ''}`]
      if (claimed.workspace) lines.push(`workspace  ${line(claimed.workspace)}`)
      lines.push(`dir        ${line(claimed.dir)}`)
      if (spec.scope) lines.push(`may write  ${spec.scope.write.map(line).join(', ')}`)
      for (const hint of claimed.hints) lines.push(`hint       ${line(hint)}`)
      if (claimed.handoff) lines.push(`so far     ${line(claimed.handoff.current_focus)}`)
      const work = spec.prompt ?? spec.run
      if (work) lines.push('', safe(work).trimEnd())
      lines.push(
        '',
        `when it is done: orch-node complete ${claimed.task}    if not: orch-node fail ${claimed.task} --reason "…"`,
      )
      return lines.join('\n')
    },
  })
}
