/** `start`: a node, here or in the background. */
import type { Command } from 'commander'
import { ERRORS } from '../../core/error.ts'
import type { NodeStatus } from '../../node/face.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { joinLines } from '../join-way.ts'
import { startNode } from '../node-start.ts'
import { count, showClock } from '../quantity.ts'
import { line, safe } from '../text.ts'
import { collect } from './option.ts'

interface StartOptions {
  readonly detach?: boolean
}

export function addStart(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'start', 'start a node: here, until Ctrl-C, or in the background', [
      'orch-node start',
      'orch-node start --detach --slots 8',
      'orch-node start --join box-lab:7946',
    ])
    .option(
      '--profile <name|file>',
      'settings of the node: a YAML file, or solo, peer, worker, observer, trio/a (ORCH_PROFILE)',
    )
    .option('--slots <n>', 'attempts at once (ORCH_SLOTS; default 5)')
    .option('--name <name>', 'name of the node, for people (ORCH_NAME; default: the name of the machine)')
    .option(
      '--cap <name>',
      'something that this node can do, for tasks that ask for it; may be given more than once',
      collect,
    )
    .option(
      '--http <port>',
      'HTTP port, this one or none (ORCH_HTTP_PORT; default 7947 or the next free one)',
    )
    .option(
      '--listen <addr>',
      'where other machines reach it: HOST:PORT or a multiaddr, this one or none; may be given more than once (ORCH_LISTEN; default 0.0.0.0:7946 or the next free port)',
      collect,
    )
    .option(
      '--join <addr|token>',
      'join the cluster of that member; may be given more than once (ORCH_JOIN; other users of this machine can read arguments: see --join-file)',
      collect,
    )
    .option('--join-file <file>', 'the same, from a file')
    .option('--no-join', 'join nothing, whatever the profile and ORCH_JOIN say')
    .option(
      '--backend <kind>',
      'file = one machine; crdt = found a cluster; memory = nothing is kept, for trials (default: file, until the node belongs to a cluster)',
    )
    .option('--detach', 'start in the background and return when it answers')
    .action(cli.act(start))
}

async function start(it: Invocation, options: StartOptions): Promise<number> {
  const { out, settings, world } = it
  if (options.detach) {
    const started = await startNode(it)
    await out.answer({
      data: started,
      text: () =>
        `node started: pid ${started.pid}, ${started.url}\nlog: ${started.log}\nstop it with: orch-node stop`,
      ids: () => [String(started.pid)],
    })
    return 0
  }
  const say = (text: string) => void world.stderr.write(`${showClock(world.now())} ${text}\n`)
  let interrupted = () => {}
  const cut = new Promise<undefined>((resolve) => {
    interrupted = () => resolve(undefined)
  })
  const unlisten = world.onInterrupt(() => interrupted())
  try {
    const opening = world.hostNode({
      settings,
      embed: 'host',
      log: (level, message) => say(`${level === 'info' ? '' : `${level}: `}${safe(message)}`),
      onJoin: (update, name) => {
        for (const told of joinLines(update, name)) say(told)
      },
    })
    // It may wait long for a person on another machine.
    const node = await Promise.race([opening, cut])
    if (!node) {
      say('stopped before it had begun')
      opening.then(
        (late) => late.close(),
        () => undefined,
      )
      return ERRORS.ORCH_CANCELLED.exit
    }
    const { host } = node
    const status = await node.face.status()
    for (const found of status.recovery) say(`found: ${line(found)}`)
    if (out.json) await out.item({ data: { schemaVersion: 1, data: status }, text: () => '' })
    for (const told of startLines(status, host.url)) say(told)
    interrupted = () => {
      say('stopping: running work is saved and given back (again: at once)')
      interrupted = () => void host.stopNow()
      node.close().catch((error: unknown) => say(`error: ${safe(String(error))}`))
    }
    await host.closed
  } finally {
    unlisten()
  }
  say('stopped')
  return 0
}

function startLines(status: NodeStatus, url: string): readonly string[] {
  const { name, node, slots, runs, dataDir, cluster } = status
  const first = `node ${line(name)} (${node.slice(-8)}) listens on ${url}, ${slots} slots, ${runs.open} open runs, data in ${dataDir}`
  if (!cluster) return [first]
  const { role, members, addresses, alarms } = cluster
  return [
    first,
    `cluster ${line(cluster.name)}: this node is ${role}, ${count(members, 'member')}`,
    ...addresses.map((address) => `others join it with: orch-node start --join ${line(address)}`),
    ...alarms.map((alarm) => `alarm: ${line(alarm)}`),
  ]
}
