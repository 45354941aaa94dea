/** Members of a cluster, those who ask to be let in, and invitations, as people read them. */
import type { WallMs } from '../core/id.ts'
import type { InviteItem, JoinRequestItem, MemberItem, MembersAnswer } from '../node/face.ts'
import { showAddress } from './address.ts'
import { isPlainWord } from './join-way.ts'
import { count, showAge } from './quantity.ts'
import type { Style } from './style.ts'
import { formatTable } from './table.ts'
import { line } from './text.ts'

/** @param columns width of the terminal; absent = unbounded */
export function formatMembers(
  { members, requests }: MembersAnswer,
  now: WallMs,
  style: Style,
  columns: number | undefined,
): string {
  const paint = (cell: string, row: number) => paintState(style, members[row]!)(cell)
  const table = formatTable(
    [
      { title: 'name', flexible: true },
      { title: 'node' },
      { title: 'state', flexible: true, paint },
      { title: 'role' },
      { title: 'slots', side: 'right' },
      { title: 'rtt', side: 'right' },
      { title: 'version', flexible: true },
      { title: 'address', flexible: true },
    ],
    members.map((member) => [
      line(member.name),
      shortNode(member.node),
      stateOf(member),
      member.role,
      member.slots === undefined ? '' : `${member.running}/${member.slots}`,
      member.roundTripMs === undefined ? '' : `${showTrip(member.roundTripMs)} ms`,
      line(member.version ?? ''),
      member.addresses[0] === undefined ? '' : showAddress(line(member.addresses[0])),
    ]),
    columns,
  )
  return [table, ...formatRequests(requests, members, now)].join('\n')
}

/** Two machines of one name are told apart by their ids; so is one whose name a shell would not read as a word. */
function formatRequests(
  requests: readonly JoinRequestItem[],
  members: readonly MemberItem[],
  now: WallMs,
): readonly string[] {
  if (requests.length === 0) return []
  const names = [...requests, ...members].map(({ name }) => name)
  const isOne = (name: string) => names.indexOf(name) === names.lastIndexOf(name)
  return [
    '',
    requests.length === 1
      ? '1 machine asks to be let in; the same six words must stand on its screen:'
      : `${count(requests.length, 'machine')} ask to be let in; the same six words must stand on the screen of each:`,
    ...requests.flatMap(({ name, node, words, askedAt }) => [
      `  ${line(name)} (${shortNode(node)}), ${showAge(now - askedAt)} ago: ${line(words)}`,
      `    orch-node members approve ${isPlainWord(name) && isOne(name) ? name : line(node)}`,
    ]),
  ]
}

export function formatInvites(
  invites: readonly InviteItem[],
  members: readonly MemberItem[],
  now: WallMs,
  columns: number | undefined,
): string {
  const names = new Map(members.map(({ node, name }) => [node, line(name)]))
  return formatTable(
    [
      { title: 'id' },
      { title: 'role' },
      { title: 'used', side: 'right' },
      { title: 'state' },
      { title: 'by', flexible: true },
    ],
    invites.map((invite) => [
      line(invite.id),
      invite.role,
      `${invite.used}/${invite.uses}`,
      inviteState(invite, now),
      names.get(invite.issuer) ?? shortNode(invite.issuer),
    ]),
    columns,
  )
}

function inviteState({ revoked, used, uses, expiresAt }: InviteItem, now: WallMs): string {
  if (revoked) return 'taken back'
  if (used >= uses) return 'used up'
  return expiresAt > now ? `${showAge(expiresAt - now)} left` : 'expired'
}

function stateOf({ state, draining }: MemberItem): string {
  return draining && (state === 'live' || state === 'self') ? `${state}, draining` : state
}

function paintState(style: Style, { state, draining }: MemberItem): (text: string) => string {
  if (draining) return style.yellow
  if (state === 'self' || state === 'live') return style.green
  if (state === 'silent') return style.yellow
  return state === 'dead' ? style.red : style.dim
}

function showTrip(ms: number): string {
  return ms < 9.5 ? ms.toFixed(1) : String(Math.round(ms))
}

/** The end of a node id: its beginning is the same for all. */
function shortNode(node: string): string {
  return line(node).slice(-8)
}
