/** Reading of membership facts as they come from others: anything may be in them. */
import { type Cutoff, type MemberFact, ROLES, type Role, readVersionKey } from './fact.ts'
import type { Author, DocId, Incarnation } from './id.ts'

/** A fact of the collection `members` with its place: who wrote it, in which commit of its chain. */
export interface MemberRecord {
  readonly fact: MemberFact
  /** A node, or `invite:<id>`. */
  readonly subject: string
  readonly n: number
  readonly author: Author
  /** Frame number in the author's chain of the cluster's document. Infinite for facts of this process that have none yet. */
  readonly commit: number
}

export const INVITE_SUBJECT = 'invite:'

/** `undefined` when malformed. */
export function readMemberFact(
  key: string,
  body: unknown,
  author: Author,
  commit: number,
): MemberRecord | undefined {
  const version = readVersionKey(key)
  if (!version || version.n < 1 || typeof body !== 'object' || body === null) return undefined
  const fact = body as MemberFact
  const isInvite = version.subject.startsWith(INVITE_SUBJECT)
  if (isInvite !== (fact.verb === 'invite' || fact.verb === 'revoke') || !isWellFormed(fact)) return undefined
  return { fact, subject: version.subject, n: version.n, author, commit }
}

function isWellFormed(fact: MemberFact): boolean {
  switch (fact.verb) {
    case 'found':
      return typeof fact.name === 'string' && typeof fact.nonce === 'string'
    case 'invite':
      return (
        typeof fact.key === 'string' && isRole(fact.role) && isCount(fact.expiresAt) && isCount(fact.uses)
      )
    case 'revoke':
      return true
    case 'admit':
      return (
        isRole(fact.role) &&
        typeof fact.name === 'string' &&
        (fact.invite === undefined || typeof fact.invite === 'string')
      )
    case 'role':
      return isRole(fact.role) && isCutoff(fact.since)
    case 'remove':
      return isCutoff(fact.since) && (fact.reason === undefined || typeof fact.reason === 'string')
    default:
      // A verb of a newer version.
      return false
  }
}

export function isRole(role: unknown): role is Role {
  return (ROLES as readonly unknown[]).includes(role)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCutoff(value: unknown): value is Cutoff {
  if (!isMap(value)) return false
  return Object.values(value).every((chains) => isMap(chains) && Object.values(chains).every(isCount))
}

/** Last commit of a chain that the cutoff lets count; 0 = none. */
export function upTo(since: Cutoff | undefined, doc: DocId, incarnation: Incarnation): number {
  // Names come from others: `constructor` is none of ours.
  if (!since || !Object.hasOwn(since, doc)) return 0
  const chains = since[doc]!
  return Object.hasOwn(chains, incarnation) ? chains[incarnation]! : 0
}

/** 0 = observer … 4 = admin; -1 = no member. */
export function roleRank(role: Role | 'none'): number {
  return role === 'none' ? -1 : ROLES.indexOf(role)
}

/** The farther of two cutoffs, chain by chain. */
export function farther(a: Cutoff, b: Cutoff): Cutoff {
  const out: Record<DocId, Record<Incarnation, number>> = {}
  for (const doc of new Set([...Object.keys(a), ...Object.keys(b)])) {
    out[doc] = {}
    for (const incarnation of [...Object.keys(a[doc] ?? {}), ...Object.keys(b[doc] ?? {})])
      out[doc][incarnation] = Math.max(upTo(a, doc, incarnation), upTo(b, doc, incarnation))
  }
  return out
}
