/** `workspace list|clean` */
import type { Command } from 'commander'
import type { WorkspaceItem } from '../../node/face.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { count, showBytes } from '../quantity.ts'
import { formatTable } from '../table.ts'
import { line } from '../text.ts'

export function addWorkspace(parent: Command, cli: Cli): void {
  const workspace = cli.command(parent, 'workspace', 'the directories in which attempts work', [
    'orch-node workspace list',
  ])
  cli
    .command(
      workspace,
      'list',
      'list workspaces, and whether their work is saved',
      ['orch-node workspace list'],
      { isDefault: true },
    )
    .action(cli.act(list))
  cli
    .command(
      workspace,
      'clean',
      'remove workspaces that are not in use; work that nothing else has is saved first',
      ['orch-node workspace clean --dry-run'],
    )
    .option('--dry-run', 'only say what would be removed')
    .action(cli.act(clean))
}

async function list(it: Invocation): Promise<void> {
  const { out } = it
  const found = await it.use('passive', (face) => face.workspaces())
  await out.answer({
    data: found,
    ids: () => found.map(({ path }) => path),
    text: () => (found.length === 0 ? 'there are no workspaces' : table(found, out.columns)),
  })
}

function table(items: readonly WorkspaceItem[], columns: number | undefined): string {
  const head = [
    { title: 'state' },
    { title: 'size', side: 'right' as const },
    { title: 'attempt' },
    { title: 'path', flexible: true },
  ]
  return formatTable(
    head,
    items.map((item) => [
      item.state,
      showBytes(item.bytes),
      item.attempt.split('/').slice(0, 3).join('/'),
      line(item.path),
    ]),
    columns,
  )
}

async function clean(it: Invocation, { dryRun = false }: { readonly dryRun?: boolean }): Promise<void> {
  const { out } = it
  const answer = await it.use('passive', (face) => face.cleanWorkspaces({ dryRun }))
  await out.answer({
    data: answer,
    ids: () => answer.removed.map(({ path }) => path),
    text: () => {
      const bytes = answer.removed.reduce((sum, item) => sum + item.bytes, 0)
      const lines = [
        `${dryRun ? 'would remove' : 'removed'} ${count(answer.removed.length, 'workspace')}, ${showBytes(bytes)}`,
      ]
      for (const item of answer.kept) lines.push(`kept (${item.state}): ${line(item.path)}`)
      return lines.join('\n')
    },
  })
}
