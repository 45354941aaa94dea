/** `join`: into the cluster of another machine, by an invitation or by an address. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { JOIN_FILE_BYTES_MAX } from '../../core/limit.ts'
import { usage } from '../failure.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { readWay, readWayFile } from '../join-way.ts'
import { connectOrStart, followJoin, orEnd } from '../node-start.ts'
import { line } from '../text.ts'
import { collect } from './option.ts'

export function addJoin(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'join',
      'join the cluster of another machine; starts a node in the background if none runs',
      ['orch-node join --token-file -', 'orch-node join box-lab:7946'],
    )
    .argument(
      '[token|addr]',
      'what `orch-node invite` printed there (other users of this machine can read arguments: see --token-file), or the address of a member, where a person then approves',
    )
    .option('--token-file <file>', 'file with the token; - = standard input')
    .option('--profile <name|file>', 'settings of a node that is started here (ORCH_PROFILE)')
    .option('--name <name>', 'name of a node that is started here (ORCH_NAME)')
    .option('--slots <n>', 'attempts at once, of a node that is started here (ORCH_SLOTS; default 5)')
    .option(
      '--listen <addr>',
      'where others reach a node that is started here (ORCH_LISTEN; default 0.0.0.0:7946)',
      collect,
    )
    .option('--http <port>', 'HTTP port of a node that is started here')
    .action(cli.act(join))
}

async function join(
  it: Invocation,
  given: string | undefined,
  options: { readonly tokenFile?: string },
): Promise<void> {
  const { out } = it
  const to = await wayOf(it, given, options.tokenFile)
  const { connection, started } = await connectOrStart(it)
  const { face } = connection
  try {
    const enter = async () => {
      const status = await face.status()
      return { status, joined: await followJoin(it, face, status, to) }
    }
    const { status, joined } = await (started ? orEnd(it, face, enter) : enter())
    const { cluster, name, role } = joined
    await out.answer({
      data: { cluster, name, role, node: status.node, ...(started && { started }) },
      text: () =>
        `node ${line(status.name)} joined the cluster ${line(name)} as ${role}\nsee who is there with: orch-node members`,
      ids: () => [cluster],
    })
  } finally {
    await connection.close()
  }
}

async function wayOf(
  { world, out }: Invocation,
  given: string | undefined,
  file: string | undefined,
): Promise<string> {
  if ((given === undefined) === (file === undefined))
    throw usage(
      given === undefined ? 'join what?' : 'a token is given as an argument or by --token-file, not both',
      'give the token that `orch-node invite` printed on the other machine, or HOST:PORT of a member',
    )
  if (given !== undefined) return readWay(given, 'the argument of join')
  if (file !== '-') return readWayFile(resolve(world.cwd, file!), '--token-file')
  if (world.stdin.isTerminal) out.note('paste the token, then Enter:')
  const text = await world.stdin.read(JOIN_FILE_BYTES_MAX)
  return readWay(text, 'standard input')
}
