/** `stop`: ends the running node. */
import type { Command } from 'commander'
import type { Cli, Invocation } from '../invocation.ts'
import { untilGone } from '../node-end.ts'

export function addStop(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'stop', 'stop the running node: its work is saved and given back', [
      'orch-node stop',
      'orch-node stop --now',
    ])
    .option('--now', 'at once: what runs is killed without grace; its work is saved all the same')
    .action(cli.act(stop))
}

async function stop(it: Invocation, { now }: { readonly now?: boolean }): Promise<void> {
  const { out } = it
  await it.use('never', async (face) => {
    const { pid, name } = await face.status()
    if (!now) out.note('stopping: running work is saved and given back')
    await face.stop({ now: now ?? false })
    await untilGone(face, pid)
    await out.answer({
      data: { pid, name },
      text: () => `node ${name} (pid ${pid}) stopped`,
      ids: () => [String(pid)],
    })
  })
}
