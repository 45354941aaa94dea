/** Membership facts as their authors write them, and rosters made of them. */
import type { Cutoff, MemberFact, Role } from '../../src/core/fact.ts'
import { CLUSTER_DOC } from '../../src/core/id.ts'
import { Roster } from '../../src/core/roster.ts'
import { clusterId } from '../../src/core/roster-read.ts'

export const FOUNDER = 'f'
export const NONCE = 'nonce'
export const CLUSTER = clusterId(FOUNDER, NONCE)

/** `author` or `author/incarnation`, what about whom, version, commit. */
export interface Said {
  readonly by: string
  readonly subject: string
  readonly n: number
  readonly commit: number
  readonly fact: MemberFact
}

export function tell(roster: Roster, said: Said): boolean {
  const [node, incarnation = '1'] = said.by.split('/')
  const author = { node: node!, incarnation }
  return roster.apply(`${said.subject}/${said.n}`, said.fact, author, said.commit)
}

export const found: Said = {
  by: FOUNDER,
  subject: FOUNDER,
  n: 1,
  commit: 1,
  fact: { verb: 'found', name: 'founder', nonce: NONCE },
}

export function rosterOf(...said: readonly Said[]): Roster {
  const roster = new Roster(CLUSTER)
  for (const s of said) tell(roster, s)
  return roster
}

/** Commits of the cluster's document, by `incarnation`. */
export const seen = (commits: Readonly<Record<string, number>> = {}): Cutoff => ({ [CLUSTER_DOC]: commits })

export const admit = (
  by: string,
  subject: string,
  n: number,
  commit: number,
  role: Role = 'worker',
): Said => ({
  by,
  subject,
  n,
  commit,
  fact: { verb: 'admit', role, name: `name of ${subject}` },
})

export const role = (
  by: string,
  subject: string,
  n: number,
  commit: number,
  to: Role,
  since = seen(),
): Said => ({
  by,
  subject,
  n,
  commit,
  fact: { verb: 'role', role: to, since },
})

export const remove = (by: string, subject: string, n: number, commit: number, since = seen()): Said => ({
  by,
  subject,
  n,
  commit,
  fact: { verb: 'remove', since },
})

/** Roles by node, the removed too. */
export function roles(roster: Roster): Record<string, string> {
  return Object.fromEntries(roster.members().map((m) => [m.node, m.role]))
}

export function dumpRoster(roster: Roster): unknown {
  const nodes = roster.members()
  return {
    nodes: [...nodes].sort((a, b) => (a.node < b.node ? -1 : 1)),
    spans: nodes.map((m) => [m.node, roster.spans(m.node)]).sort((a, b) => (a[0]! < b[0]! ? -1 : 1)),
    invites: roster.invites().sort((a, b) => (a.id < b.id ? -1 : 1)),
    next: roster.nextVersion(),
  }
}
