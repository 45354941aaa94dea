/** `status`: what the node is and does; where each setting comes from. */
import type { Command } from 'commander'
import { isOrchError } from '../../core/error.ts'
import type { NodeStatus } from '../../node/face.ts'
import type { Cli, Invocation } from '../invocation.ts'
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
      `${node.running} of ${node.slots} in use, ${node.ready} ready${node.draining ? ', stopping' : ''}`,
    ],
    ['runs', `${node.runs.open} open, ${node.runs.finished} finished`],
    ['workers', node.kinds.map(line).join(', ') || 'none'],
    ...(node.capabilities.length > 0 ? [['offers', node.capabilities.map(line).join(', ')]] : []),
    ...(node.git ? [['git', line(node.git)]] : []),
    ...node.recovery.map((found) => ['found', line(found)]),
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
  const list = Object.entries(settings) as [keyof Settings, Setting<string | number | undefined>][]
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
          line(String(value ?? '(not set)')),
          source ? `${origin} ${source}` : origin,
        ]),
        out.columns,
      )
      const note = running
        ? `a node runs with ${running.slots} slots on ${running.url ?? 'no port'}: slots, name, http and backend are as it was started`
        : 'no node runs: these settings are for the next one'
      return `${table}\n${note}`
    },
  })
}
