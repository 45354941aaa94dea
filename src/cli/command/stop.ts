/** `stop`: ends the running node. */

import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { METHODS } from '../../api/method.ts'
import { isOrchError, OrchError } from '../../core/error.ts'
import { LOCKED_LOOK_MS } from '../../core/limit.ts'
import type { Cli, Invocation } from '../invocation.ts'

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
    // It is gone when it answers no more: its connection ends with it.
    const deadline = performance.now() + METHODS.stop.deadlineMs
    for (;;) {
      try {
        await face.status()
      } catch (error) {
        if (isOrchError(error) && error.code === 'ORCH_NO_NODE') break
        throw error
      }
      if (performance.now() > deadline)
        throw new OrchError('ORCH_NODE_TIMEOUT', `the node (pid ${pid}) is still stopping`, {
          hint: '`orch-node stop --now` ends it at once',
        })
      await pause(LOCKED_LOOK_MS)
    }
    await out.answer({
      data: { pid, name },
      text: () => `node ${name} (pid ${pid}) stopped`,
      ids: () => [String(pid)],
    })
  })
}
