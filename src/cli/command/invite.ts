/** `invite`: a token for another machine, alone on stdout; what to do with it on stderr. */
import type { Command } from 'commander'
import type { Role } from '../../core/fact.ts'
import { MEMBERS_MAX } from '../../core/limit.ts'
import type { ClusterStatus } from '../../node/face.ts'
import { isLoopback, showAddress } from '../address.ts'
import { usage } from '../failure.ts'
import { given } from '../given.ts'
import type { Cli, Invocation } from '../invocation.ts'
import type { Output } from '../output.ts'
import { count, showAge } from '../quantity.ts'
import { line } from '../text.ts'
import { countOf, durationOf, roleOption } from './option.ts'

interface InviteOptions {
  readonly role?: Role
  readonly ttl?: string
  readonly uses?: string
  readonly approve?: boolean
}

export function addInvite(parent: Command, cli: Cli): void {
  cli
    .command(
      parent,
      'invite',
      'print a token with which another machine joins the cluster of this node; the first one founds it',
      ['orch-node invite', 'orch-node invite --role planner --ttl 1h --uses 3 --approve'],
    )
    .addOption(roleOption('what the other machine may do (default: worker)'))
    .option('--ttl <duration>', 'how long it may be used; default 24h, at most 24d')
    .option('--uses <n>', 'how many machines may use it; default 1')
    .option('--approve', 'a person here approves each of them with `members approve`')
    .action(cli.act(invite))
}

async function invite(it: Invocation, options: InviteOptions): Promise<void> {
  const { out, world } = it
  const { role, approve } = options
  const ttlMs = options.ttl === undefined ? undefined : durationOf(options.ttl, '--ttl')
  if (ttlMs === 0) throw usage('--ttl is a time from now on, such as 1h')
  const uses = options.uses === undefined ? undefined : countOf(options.uses, '--uses')
  if (uses !== undefined && (uses < 1 || uses > MEMBERS_MAX))
    throw usage(`--uses is a whole number of 1 to ${MEMBERS_MAX}, not ${uses}`)
  const { made, status } = await it.use('never', async (face) => ({
    made: await face.invite(given({ role, ttlMs, uses, approve })),
    status: await face.status(),
  }))
  const { token, id, expiresAt } = made
  await out.answer({ data: made, text: () => token, ids: () => [token] })
  const machines = uses === undefined || uses === 1 ? 'one machine' : count(uses, 'machine')
  out.note(
    [
      `lets ${machines} into ${line(status.cluster?.name ?? status.name)} as ${made.role}, expires in ${showAge(expiresAt - world.now())}`,
      'on the other machine: orch-node join --token-file -     then paste it (as an argument, other users there could read it)',
      ...(approve ? ['here, when it asks:   orch-node members'] : []),
      `to take it back:      orch-node members revoke ${line(id)}`,
    ].join('\n'),
  )
  warnUnreachable(out, status.cluster)
}

function warnUnreachable(out: Output, cluster: ClusterStatus | undefined): void {
  const addresses = cluster?.addresses ?? []
  if (!addresses.every(isLoopback)) return
  const where =
    addresses.length === 0
      ? 'on no address'
      : `on ${addresses.map(showAddress).join(', ')} only, which is this machine itself`
  out.warn(
    `this node listens ${where}: no other machine can reach it; start it with --listen 0.0.0.0:7946, or without --listen`,
  )
}
