/** `drain` and `undrain`: a node takes nothing new, for as long as somebody wants. */
import type { Command } from 'commander'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { shellWord } from '../join-way.ts'
import { showAge } from '../quantity.ts'
import { line } from '../text.ts'
import { durationOf } from './option.ts'

const NODE = 'name or id of a member, or a unique beginning of its id; default: this node'

export function addDrain(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'drain', 'let a node take nothing new; what runs there may finish', [
      'orch-node drain',
      'orch-node drain mac-anna --deadline 10m',
    ])
    .argument('[node]', NODE)
    .option('--deadline <duration>', 'what still runs then is saved and given back; default: never')
    .action(cli.act(drain))
  cli
    .command(parent, 'undrain', 'let a drained node take work again', ['orch-node undrain mac-anna'])
    .argument('[node]', NODE)
    .action(cli.act(undrain))
}

async function drain(
  it: Invocation,
  node: string | undefined,
  { deadline }: { readonly deadline?: string },
): Promise<void> {
  const deadlineMs = deadline === undefined ? undefined : durationOf(deadline, '--deadline')
  await it.use('never', (face) => face.drain(given({ node, deadlineMs })))
  await it.out.answer({
    data: given({ node, deadlineMs }),
    text: () => {
      const until =
        deadlineMs === undefined
          ? 'may finish'
          : `may finish within ${showAge(deadlineMs)}, then it is given back`
      const back = `let it work again with: orch-node undrain${node === undefined ? '' : ` ${shellWord(node)}`}`
      return `${nameOf(node)} takes nothing new; what runs there ${until}\n${back}`
    },
    ids: () => (node === undefined ? [] : [node]),
  })
}

async function undrain(it: Invocation, node: string | undefined): Promise<void> {
  await it.use('never', (face) => face.undrain(given({ node })))
  await it.out.answer({
    data: given({ node }),
    text: () => `${nameOf(node)} takes work again`,
    ids: () => (node === undefined ? [] : [node]),
  })
}

function nameOf(node: string | undefined): string {
  return node === undefined ? 'this node' : `node ${line(node)}`
}
