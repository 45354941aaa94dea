/** `leave`: out of the cluster, for good. */
import type { Command } from 'commander'
import { OrchError } from '../../core/error.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { untilGone } from '../node-end.ts'
import { line } from '../text.ts'

export function addLeave(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'leave',
      'leave the cluster: what runs here is given back, the board of this machine is set aside, the node ends',
      ['orch-node leave'],
    )
    .action(cli.act(leave))
}

async function leave(it: Invocation): Promise<void> {
  const { out } = it
  await it.use('never', async (face) => {
    const { pid, name, dataDir, cluster } = await face.status()
    if (!cluster) throw new OrchError('ORCH_NOT_MEMBER', `node ${name} belongs to no cluster`)
    out.note('leaving: running work is saved and given back')
    await face.leave()
    await untilGone(face, pid)
    await out.answer({
      data: { cluster: cluster.id, name: cluster.name, pid },
      text: () =>
        `node ${line(name)} (pid ${pid}) has left the cluster ${line(cluster.name)} and stopped; what it knew of it is set aside in ${line(dataDir)}`,
      ids: () => [cluster.id],
    })
  })
}
