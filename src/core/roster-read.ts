/**
 * What a set of membership facts means: who belongs, by which role, from where on. A pure function of the set (SPEC MB1).
 *
 * Facts are read by version; those of one version were written without knowing of each other: removals come first, then changes of roles (the least role last, so
 * that it stays), admissions (the least role first, a second one says nothing), invitations. Within that the senior author comes first.
 *
 * A removal also says how far the writings of the removed count. What he wrote beyond is put aside and everything is read again, so that facts with an old
 * version, written after the removal, move nothing. Where two admins did this to each other, the senior one's fact stays.
 */
import type { Cutoff, Role } from './fact.ts'
import { sha256Hex } from './hash.ts'
import { CLUSTER_DOC, type NodeId, type WallMs } from './id.ts'
import { MEMBER_VERSION_JUMP_MAX, MEMBERS_MAX } from './limit.ts'
import { INVITE_SUBJECT, type MemberRecord, roleRank, upTo } from './roster-fact.ts'

/** From `since` on (exclusive) the writings of a node count by `role`, until a later span says otherwise. */
export interface RoleSpan {
  readonly role: Role | 'none'
  /** Absent = from the beginning. */
  readonly since?: Cutoff
}

/** One node as the facts have it. */
export interface Standing {
  readonly node: NodeId
  name: string
  role: Role | 'none'
  founder: boolean
  admittedBy: NodeId
  readonly spans: RoleSpan[]
  removed: { readonly by: NodeId; readonly reason?: string } | undefined
  /** Version of the fact that let it in, and of the one that made it admin: it can act by them only in later ones. */
  memberAt: number
  adminAt: number
  /** What took from it the power of an admin. */
  lostBy: MemberRecord | undefined
}

export interface Invite {
  readonly id: string
  /** Public half of the one-time key, hex. */
  readonly key: string
  readonly role: Role
  readonly expiresAt: WallMs
  readonly uses: number
  /** Admissions that name it. */
  readonly used: number
  readonly issuer: NodeId
  /** A person at the issuer says yes to each who comes. */
  readonly approve: boolean
  /** Taken back, or its issuer is no admin any more. */
  readonly revoked: boolean
}

export interface Reading {
  readonly members: ReadonlyMap<NodeId, Standing>
  readonly invites: ReadonlyMap<string, Invite>
  /** The facts that count, in order. */
  readonly counted: readonly MemberRecord[]
  /** Largest version that counts. */
  readonly version: number
}

/** First 32 hex digits of SHA-256: names the founder too, so nobody else can found the same cluster. */
export function clusterId(node: NodeId, nonce: string): string {
  return sha256Hex(`orch/cluster/1\n${node}\n${nonce}`).slice(0, 32)
}

export function readRoster(cluster: string, records: Iterable<MemberRecord>): Reading {
  const all = [...records]
  const found = all.filter((r) => isFounding(cluster, r)).sort((a, b) => a.n - b.n || byName(a, b))[0]
  if (!found) return { members: new Map(), invites: new Map(), counted: [], version: 0 }
  const seniority = rankAdmins(found, all)
  const sorted = all.filter((r) => r.fact.verb !== 'found').sort(readingOrder(seniority))
  const aside = new Set<MemberRecord>()
  for (;;) {
    const pass = new Pass(found)
    for (const record of sorted) if (!aside.has(record) && !pass.take(record)) break
    const overruled = findOverruled(pass, seniority)
    if (overruled.length === 0) return pass.end()
    for (const record of overruled) aside.add(record)
  }
}

function isFounding(cluster: string, { fact, subject, author }: MemberRecord): boolean {
  return fact.verb === 'found' && subject === author.node && clusterId(author.node, fact.nonce) === cluster
}

/** Negative = more senior. */
type Seniority = (a: NodeId, b: NodeId) => number

/**
 * Seniority of admins: the fewer steps from the founder its power was passed on, then the earlier. Removals are not looked at: nobody can raise himself, as whoever passes
 * power on ranks before those who get it.
 */
function rankAdmins(found: MemberRecord, all: readonly MemberRecord[]): Seniority {
  const grants = new Map<NodeId, MemberRecord[]>()
  for (const record of all) {
    const { fact, author, subject } = record
    if ((fact.verb !== 'admit' && fact.verb !== 'role') || fact.role !== 'admin' || subject === author.node)
      continue
    const given = grants.get(author.node)
    if (given) given.push(record)
    else grants.set(author.node, [record])
  }
  const rank = new Map<NodeId, { depth: number; n: number }>([[found.author.node, { depth: 0, n: 0 }]])
  let level: readonly NodeId[] = [found.author.node]
  for (let depth = 1; level.length > 0; depth++) {
    const next = new Map<NodeId, number>()
    for (const node of level) {
      for (const { subject, n } of grants.get(node) ?? []) {
        if (!rank.has(subject)) next.set(subject, Math.min(n, next.get(subject) ?? n))
      }
    }
    for (const [node, n] of next) rank.set(node, { depth, n })
    level = [...next.keys()]
  }
  const none = { depth: Number.MAX_SAFE_INTEGER, n: 0 }
  return (a, b) => {
    const x = rank.get(a) ?? none
    const y = rank.get(b) ?? none
    return x.depth - y.depth || x.n - y.n || compare(a, b)
  }
}

const PHASE = { found: 0, remove: 0, role: 1, admit: 2, invite: 3, revoke: 4 } as const

function readingOrder(seniority: Seniority): (a: MemberRecord, b: MemberRecord) => number {
  return (a, b) =>
    a.n - b.n ||
    PHASE[a.fact.verb] - PHASE[b.fact.verb] ||
    roleOrder(a) - roleOrder(b) ||
    seniority(a.author.node, b.author.node) ||
    byName(a, b)
}

function roleOrder({ fact }: MemberRecord): number {
  if (fact.verb === 'role') return -roleRank(fact.role)
  return fact.verb === 'admit' ? roleRank(fact.role) : 0
}

function byName(a: MemberRecord, b: MemberRecord): number {
  return (
    compare(a.author.node, b.author.node) ||
    compare(a.author.incarnation, b.author.incarnation) ||
    compare(a.subject, b.subject)
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** One reading from the founding on. */
class Pass {
  readonly members = new Map<NodeId, Standing>()
  readonly invites = new Map<string, Invite>()
  readonly counted: MemberRecord[]
  /** Removals and changes of roles that only count if what took their author's power does not. */
  readonly held: { readonly record: MemberRecord; readonly by: MemberRecord }[] = []
  #version: number
  #size = 1

  constructor(found: MemberRecord) {
    const { fact, author, n } = found
    this.counted = [found]
    this.#version = n
    const name = fact.verb === 'found' ? fact.name : ''
    this.members.set(author.node, {
      node: author.node,
      name,
      role: 'admin',
      founder: true,
      admittedBy: author.node,
      spans: [{ role: 'admin' }],
      removed: undefined,
      memberAt: n,
      adminAt: n,
      lostBy: undefined,
    })
  }

  /** False = this version is too far from what can have been seen, and so are all after it. */
  take(record: MemberRecord): boolean {
    if (record.n > this.#version + MEMBER_VERSION_JUMP_MAX) return false
    if (!this.#isAllowed(record) || !this.#apply(record)) return true
    this.counted.push(record)
    this.#version = Math.max(this.#version, record.n)
    return true
  }

  end(): Reading {
    for (const [id, invite] of this.invites) {
      if (this.members.get(invite.issuer)?.role !== 'admin')
        this.invites.set(id, { ...invite, revoked: true })
    }
    return {
      members: this.members,
      invites: this.invites,
      counted: this.counted,
      version: this.#version,
    }
  }

  #isAllowed(record: MemberRecord): boolean {
    const author = this.members.get(record.author.node)
    if (!author) return false
    if (isLeave(record)) return author.role !== 'none' && author.memberAt < record.n
    if (author.role === 'admin') return author.adminAt < record.n
    if (author.lostBy && author.adminAt < record.n && deniesFrom(record))
      this.held.push({ record, by: author.lostBy })
    return false
  }

  /** False when it says nothing: about nobody, or what is so already. */
  #apply(record: MemberRecord): boolean {
    const { fact, subject, author, n } = record
    const member = this.members.get(subject)
    switch (fact.verb) {
      case 'remove': {
        if (!member || member.role === 'none' || (member.founder && !isLeave(record))) return false
        if (member.role === 'admin') member.lostBy = record
        member.role = 'none'
        member.founder = false
        member.spans.push({ role: 'none', since: fact.since })
        member.removed = {
          by: author.node,
          ...(fact.reason === undefined ? {} : { reason: fact.reason }),
        }
        this.#size--
        return true
      }
      case 'role': {
        if (!member || member.role === 'none' || member.founder || member.role === fact.role) return false
        if (member.role === 'admin') member.lostBy = record
        if (fact.role === 'admin') member.adminAt = n
        member.role = fact.role
        member.spans.push({ role: fact.role, since: fact.since })
        return true
      }
      case 'admit':
        return this.#admit(record, member)
      case 'invite': {
        const id = subject.slice(INVITE_SUBJECT.length)
        if (this.invites.has(id)) return false
        const { key, role, expiresAt, uses } = fact
        const common = { id, key, role, expiresAt, uses, used: 0, issuer: author.node, revoked: false }
        this.invites.set(id, { ...common, approve: fact.approve === true })
        return true
      }
      case 'revoke': {
        const id = subject.slice(INVITE_SUBJECT.length)
        const invite = this.invites.get(id)
        if (!invite || invite.revoked) return false
        this.invites.set(id, { ...invite, revoked: true })
        return true
      }
      case 'found':
        return false
    }
  }

  #admit({ fact, subject, author, n }: MemberRecord, known: Standing | undefined): boolean {
    if (fact.verb !== 'admit' || (known && known.role !== 'none') || this.#size >= MEMBERS_MAX) return false
    this.#size++
    const invite = fact.invite === undefined ? undefined : this.invites.get(fact.invite)
    if (invite) this.invites.set(invite.id, { ...invite, used: invite.used + 1 })
    // Let in again: what it writes after the removal counts, by the new role; what was cut off before an earlier one stays so.
    const since = known?.spans.at(-1)?.since
    const spans = known ? [...known.spans.slice(0, -1)] : []
    spans.push({ role: fact.role, ...(since ? { since } : {}) })
    this.members.set(subject, {
      node: subject,
      name: fact.name,
      role: fact.role,
      founder: false,
      admittedBy: author.node,
      spans,
      removed: undefined,
      memberAt: n,
      adminAt: n,
      lostBy: undefined,
    })
    return true
  }
}

function isLeave({ fact, subject, author }: MemberRecord): boolean {
  return fact.verb === 'remove' && subject === author.node
}

/** From where on it takes the power to administer from its subject; `undefined` when it does not. */
function deniesFrom({ fact }: MemberRecord): Cutoff | undefined {
  return fact.verb === 'remove' || (fact.verb === 'role' && fact.role !== 'admin') ? fact.since : undefined
}

function isBeyond(record: MemberRecord, since: Cutoff): boolean {
  return record.commit > upTo(since, CLUSTER_DOC, record.author.incarnation)
}

/**
 * Facts that counted in this pass though they must not: their author was cut off before them, by a fact that counts, or by one of a senior that does not count only
 * because of them. Those against whom the most senior author speaks; empty = the pass holds.
 */
function findOverruled(pass: Pass, seniority: Seniority): readonly MemberRecord[] {
  let by: MemberRecord | undefined
  let overruled: readonly MemberRecord[] = []
  const propose = (ruling: MemberRecord, against: readonly MemberRecord[]): void => {
    if (against.length === 0) return
    if (by && seniority(by.author.node, ruling.author.node) <= 0) return
    by = ruling
    overruled = against
  }
  const written = new Map<NodeId, MemberRecord[]>()
  for (const record of pass.counted) {
    const since = deniesFrom(record)
    const before = written.get(record.subject)
    if (since && before)
      propose(
        record,
        before.filter((r) => !isLeave(r) && r.fact.verb !== 'found' && isBeyond(r, since)),
      )
    const own = written.get(record.author.node)
    if (own) own.push(record)
    else written.set(record.author.node, [record])
  }
  for (const { record, by: rival } of pass.held) {
    const since = deniesFrom(record)
    if (!since || record.subject !== rival.author.node || isLeave(rival) || !isBeyond(rival, since)) continue
    if (seniority(record.author.node, rival.author.node) < 0) propose(record, [rival])
  }
  return overruled
}
