/** `status`: what the node is and does; where each setting comes from. */
import type { Command } from 'commander'
import { isOrchError } from '../../core/error.ts'
import type { ClusterStatus, NodeStatus } from '../../node/face.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { showWay } from '../join-way.ts'
import { withProfile } from '../profile.ts'
import { showAge } from '../quantity.ts'
import type { Setting, Settings } from '../settings.ts'
import { formatTable } from '../table.ts'
import { line } from '../text.ts'

export function addStatus(parent: Command, cli: Cli): void {
  cli
    .command(parent, 'status', 'show the running node', ['orch-node status', 'orch-node status --config'])
    .option('--config', 'show the settings and where each comes from')
    .action(cli.act(status))
}

async function status(it: Invocation, { config }: { readonly config?: boolean }): Promise<void> {
  if (config) return showConfig(it)
  const { out, world } = it
  const node = await it.use('never', (face) => face.status())
  await out.answer({
    data: node,
    text: () =>
      formatTable([{ title: '' }, { title: '', flexible: true }], rows(node, world.now()), out.columns),
    ids: () => [node.node],
  })
}

function rows(node: NodeStatus, now: number): string[][] {
  return [
    ['node', `${line(node.name)} (${node.node})`],
    ['version', `${node.version}, pid ${node.pid}, up ${showAge(now - node.startedAt)}`],
    ['listens', node.url ?? 'not'],
    ['data', `${node.dataDir} (${node.backend})`],
    [
      'slots',
      `${node.running} of ${node.slots} in use, ${node.ready} ready${node.draining ? ', draining' : ''}`,
    ],
    ...(node.cluster ? clusterRows(node.cluster) : []),
    ['runs', `${node.runs.open} open, ${node.runs.finished} finished`],
    ['workers', node.kinds.map(line).join(', ') || 'none'],
    ...(node.capabilities.length > 0 ? [['offers', node.capabilities.map(line).join(', ')]] : []),
    ...(node.git ? [['git', line(node.git)]] : []),
    ...node.recovery.map((found) => ['found', line(found)]),
  ]
}

function clusterRows({ id, name, role, addresses, members, live, alarms }: ClusterStatus): string[][] {
  return [
    ['cluster', `${line(name)} (${id}), ${live} of ${members} members live, this node is ${role}`],
    ...addresses.map((address) => ['reached at', line(address)]),
    ...alarms.map((alarm) => ['alarm', line(alarm)]),
  ]
}

async function showConfig(it: Invocation): Promise<void> {
  const { out, world } = it
  const { settings } = await withProfile(it.settings, world.cwd)
  const running = await it
    .use('never', (face) => face.status())
    .catch((error: unknown) => {
      if (isOrchError(error) && (error.code === 'ORCH_NO_NODE' || error.code === 'ORCH_NODE_TIMEOUT'))
        return undefined
      throw error
    })
  const shown: Settings = { ...settings, join: { ...settings.join, value: settings.join.value.map(showWay) } }
  const list = Object.entries(shown) as [
    keyof Settings,
    Setting<string | number | readonly string[] | undefined>,
  ][]
  const data = list.map(([key, { value, origin, source }]) => ({
    key,
    value: value ?? null,
    origin,
    ...(source && { source }),
  }))
  await out.answer({
    data: {
      settings: data,
      running: running
        ? { slots: running.slots, name: running.name, url: running.url, dataDir: running.dataDir }
        : null,
    },
    text: () => {
      const table = formatTable(
        [{ title: 'setting' }, { title: 'value', flexible: true }, { title: 'from' }],
        data.map(({ key, value, origin, source }) => [
          key,
          line(Array.isArray(value) ? value.join(', ') : String(value ?? '')) || '(not set)',
          source ? `${origin} ${source}` : origin,
        ]),
        out.columns,
      )
      const note = running
        ? `a node runs with ${running.slots} slots on ${running.url ?? 'no port'}: slots, name, http, listen, join and backend are as it was started`
        : 'no node runs: these settings are for the next one'
      return `${table}\n${note}`
    },
  })
}
