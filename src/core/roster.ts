/** Who belongs to the cluster: the set of membership facts and what it means (SPEC MB). Read anew when a fact came and somebody asks. */
import type { Cutoff, Role } from './fact.ts'
import { type Author, authorKey, type DocId, type NodeId } from './id.ts'
import { type MemberRecord, readMemberFact, roleRank, upTo } from './roster-fact.ts'
import { type Invite, type Reading, type RoleSpan, readRoster } from './roster-read.ts'

export interface Member {
  readonly node: NodeId
  readonly name: string
  /** `none` = it was removed, or left. */
  readonly role: Role | 'none'
  /** Admin for ever, unless it leaves. */
  readonly founder?: true
  readonly admittedBy: NodeId
  /** From where on its present role counts; absent = from its first word. */
  readonly since?: Cutoff
  readonly removed?: { readonly by: NodeId; readonly reason?: string }
}

const NO_SPANS: readonly RoleSpan[] = Object.freeze([])

export class Roster {
  /** Id of the cluster: facts of any other founder mean nothing. */
  readonly cluster: string
  readonly #records = new Map<string, MemberRecord>()
  #reading: Reading
  #dirty = false
  #version = 0

  constructor(cluster: string) {
    this.cluster = cluster
    this.#reading = readRoster(cluster, [])
  }

  /**
   * Takes one fact, in any order and any number of times. `commit` = its frame in the author's chain of the cluster's document. False when it is malformed.
   */
  apply(key: string, body: unknown, author: Author, commit: number): boolean {
    const record = readMemberFact(key, body, author, commit)
    if (!record) return false
    // A key is written once; of two frames with it the earlier holds, on every node.
    const name = `${authorKey(author)} ${key}`
    const known = this.#records.get(name)
    if (known && known.commit <= commit) return true
    this.#records.set(name, record)
    this.#dirty = true
    return true
  }

  /** Another number whenever the roster is another one. */
  get version(): number {
    this.#read()
    return this.#version
  }

  /** Everybody who is a member or was one, in the order of admission. */
  members(): Member[] {
    return [...this.#read().members.keys()].map((node) => this.member(node)!)
  }

  member(node: NodeId): Member | undefined {
    const standing = this.#read().members.get(node)
    if (!standing) return undefined
    const { name, role, founder, admittedBy, removed, spans } = standing
    const since = spans.at(-1)?.since
    return {
      node,
      name,
      role,
      admittedBy,
      ...(founder ? { founder } : {}),
      ...(since ? { since } : {}),
      ...(removed ? { removed } : {}),
    }
  }

  isMember(node: NodeId): boolean {
    return this.role(node) !== 'none'
  }

  role(node: NodeId): Role | 'none' {
    return this.#read().members.get(node)?.role ?? 'none'
  }

  /** At least this role. */
  can(node: NodeId, role: Role): boolean {
    return roleRank(this.role(node)) >= roleRank(role)
  }

  invites(): Invite[] {
    return [...this.#read().invites.values()]
  }

  invite(id: string): Invite | undefined {
    return this.#read().invites.get(id)
  }

  /** By which role commit `n` of that process life in that document counts. */
  roleOf(author: Author, doc: DocId, n: number): Role | 'none' {
    return roleAt(this.spans(author.node), author, doc, n)
  }

  /** The roles of a node one after the other; empty when it never was a member. */
  spans(node: NodeId): readonly RoleSpan[] {
    return this.#read().members.get(node)?.spans ?? NO_SPANS
  }

  /** For the next fact: one more than any that counts. */
  nextVersion(): number {
    return this.#read().version + 1
  }

  #read(): Reading {
    if (!this.#dirty) return this.#reading
    this.#dirty = false
    const before = this.#reading.counted
    this.#reading = readRoster(this.cluster, this.#records.values())
    const after = this.#reading.counted
    // What counts, in its order, is all that the rest is made of.
    if (before.length !== after.length || after.some((record, i) => record !== before[i])) this.#version++
    return this.#reading
  }
}

export function roleAt(spans: readonly RoleSpan[], author: Author, doc: DocId, n: number): Role | 'none' {
  for (let i = spans.length - 1; i >= 0; i--) {
    const { role, since } = spans[i]!
    if (!since || n > upTo(since, doc, author.incarnation)) return role
  }
  return 'none'
}
