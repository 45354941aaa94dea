/** `members [list|approve|remove|role|invites|revoke]`: who belongs to the cluster, and who is let in. */
import { Argument, type Command } from 'commander'
import { ROLES, type Role } from '../../core/fact.ts'
import type { MembersAnswer, NodeFace } from '../../node/face.ts'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import { formatInvites, formatMembers } from '../member-table.ts'
import { count } from '../quantity.ts'
import { line } from '../text.ts'
import { roleOption } from './option.ts'

const WHO = 'name of the member, its id, or a unique beginning of it'

export function addMembers(parent: Command, cli: Cli): void {
  const members = cli.command(parent, 'members', 'who belongs to the cluster; let machines in and out', [
    'orch-node members',
    'orch-node members approve mac-anna',
  ])
  const on = (name: string, summary: string, examples: readonly string[], isDefault = false) =>
    cli.command(members, name, summary, examples, { isDefault })

  on('list', 'list the members, and the machines that ask to be let in', ['orch-node members list'], true)
    .option('--removed', 'those that were removed or have left, too')
    .action(cli.act(list))
  on('approve', 'let a machine in that asks for it: compare the six words on both screens first', [
    'orch-node members approve mac-anna --role planner',
  ])
    .argument('<who>', 'name of the machine, its id, or any unique part of its six words')
    .addOption(roleOption('what it may do (default: what its invitation says, else worker)'))
    .action(
      cli.act((it, who: string, { role }: { readonly role?: Role }) =>
        order(it, who, `is let in${role === undefined ? '' : ` as ${role}`}`, (face) =>
          face.approve(given({ who, role })),
        ),
      ),
    )
  on('remove', 'remove a member: what it wrote until now counts, nothing after', [
    'orch-node members remove mac-anna --reason "laptop was stolen"',
  ])
    .argument('<who>', WHO)
    .option('--reason <text>', 'why, for the record')
    .action(
      cli.act((it, who: string, { reason }: { readonly reason?: string }) =>
        order(it, who, 'is removed', (face) => face.removeMember(given({ who, reason }))),
      ),
    )
  on('role', 'change what a member may do', ['orch-node members role mac-anna integrator'])
    .argument('<who>', WHO)
    .addArgument(new Argument('<role>', 'from now on').choices(ROLES))
    .action(
      cli.act((it, who: string, role: Role) =>
        order(it, who, `is ${role} from now on`, (face) => face.setRole({ who, role })),
      ),
    )
  on('invites', 'list invitations, and whether they can still be used', ['orch-node members invites'])
    .option('--open', 'only those that can be used')
    .action(cli.act(invites))
  on('revoke', 'take an invitation back: nobody can use it any more', [
    'orch-node members revoke 9f2c41d07ab3e815',
  ])
    .argument('<id>', 'as `members invites` shows it')
    .action(cli.act(revoke))
}

async function list(it: Invocation, { removed }: { readonly removed?: boolean }): Promise<void> {
  const { out, world } = it
  const answer = await it.use('never', (face) => face.members())
  const members = removed ? answer.members : answer.members.filter(({ state }) => state !== 'removed')
  const shown: MembersAnswer = { ...answer, members }
  await out.answer({
    data: shown,
    ids: () => members.map(({ node }) => node),
    text: () => formatMembers(shown, world.now(), out.style, out.columns),
  })
}

async function order(
  it: Invocation,
  who: string,
  done: string,
  give: (face: NodeFace) => Promise<{ readonly node: string }>,
): Promise<void> {
  const { node } = await it.use('never', give)
  await it.out.answer({ data: { node }, text: () => `${line(who)} (${node}) ${done}`, ids: () => [node] })
}

async function invites(it: Invocation, { open }: { readonly open?: boolean }): Promise<void> {
  const { out, world } = it
  const answer = await it.use('never', (face) => face.members())
  const now = world.now()
  const shown = answer.invites.filter(
    ({ revoked, used, uses, expiresAt }) => !open || (!revoked && used < uses && expiresAt > now),
  )
  await out.answer({
    data: shown,
    ids: () => shown.map(({ id }) => id),
    text: () =>
      shown.length === 0
        ? `${open ? 'no invitation is open' : 'nobody was invited yet'}: make one with \`orch-node invite\``
        : `${formatInvites(shown, answer.members, now, out.columns)}\n${count(shown.length, 'invitation')}`,
  })
}

async function revoke(it: Invocation, id: string): Promise<void> {
  await it.use('never', (face) => face.revokeInvite({ id }))
  await it.out.answer({
    data: { id },
    text: () => `invitation ${line(id)} is taken back: nobody can use it any more`,
    ids: () => [id],
  })
}
