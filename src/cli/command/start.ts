/** `start`: a node, here or in the background. */
import type { Command } from 'commander'
import type { Cli, Invocation } from '../invocation.ts'
import { showClock } from '../quantity.ts'
import { line, safe } from '../text.ts'

interface StartOptions {
  readonly detach?: boolean
}

export function addStart(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'start', 'start a node: here, until Ctrl-C, or in the background', [
      'orch-node start',
      'orch-node start --detach --slots 8',
    ])
    .option('--profile <name|file>', 'settings of the node: a YAML file, or solo (ORCH_PROFILE)')
    .option('--slots <n>', 'attempts at once (ORCH_SLOTS; default 5)')
    .option('--name <name>', 'name of the node, for people (ORCH_NAME; default: the name of the machine)')
    .option(
      '--http <port>',
      'HTTP port, this one or none (ORCH_HTTP_PORT; default 7947 or the next free one)',
    )
    .option('--backend <kind>', 'file = everything is kept (default); memory = nothing is, for trials')
    .option('--detach', 'start in the background and return when it answers')
    .action(cli.act(start))
}

async function start(it: Invocation, options: StartOptions): Promise<number> {
  const { out, settings, world } = it
  if (options.detach) {
    const { startInBackground } = await import('../background.ts')
    const started = await startInBackground(settings)
    await out.answer({
      data: started,
      text: () =>
        `node started: pid ${started.pid}, ${started.url}\nlog: ${started.log}\nstop it with: orch-node stop`,
      ids: () => [String(started.pid)],
    })
    return 0
  }
  const { openHostPatiently } = await import('../hosting.ts')
  const say = (text: string) => void world.stderr.write(`${showClock(world.now())} ${text}\n`)
  const node = await openHostPatiently({
    settings,
    embed: 'host',
    log: (level, message) => say(`${level === 'info' ? '' : `${level}: `}${safe(message)}`),
  })
  const { host } = node
  const status = await node.face.status()
  for (const found of status.recovery) say(`found: ${line(found)}`)
  if (out.json) await out.item({ data: { schemaVersion: 1, data: status }, text: () => '' })
  say(
    `node ${status.name} (${status.node.slice(-8)}) listens on ${host.url}, ${status.slots} slots, ${status.runs.open} open runs, data in ${status.dataDir}`,
  )
  let asked = 0
  const unlisten = world.onInterrupt(() => {
    asked++
    if (asked === 1) {
      say('stopping: running work is saved and given back (again: at once)')
      node.close().catch((error: unknown) => say(`error: ${safe(String(error))}`))
    } else void host.stopNow()
  })
  await host.closed
  unlisten()
  say('stopped')
  return 0
}
