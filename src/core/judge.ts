/**
 * Which facts count, by the role of their author (DESIGN 10, X3). Facts without effect are kept by the store and passed on like all others: only what they mean depends on the
 * roster, so that every node with the same facts sees the same board, however they reached it.
 */
import type { Batch, Cutoff, Fact, Role } from './fact.ts'
import { type Author, CLUSTER_DOC, type DocId, type Incarnation, type NodeId } from './id.ts'
import { STRANGER_BATCHES_MAX } from './limit.ts'
import { type Roster, roleAt } from './roster.ts'
import { roleRank, upTo } from './roster-fact.ts'
import type { RoleSpan } from './roster-read.ts'

/**
 * The least role by which a fact may count. Whose fact it is is the board's to check: a record of a node is its own, accepts, rejects and the like are the run's
 * integrator's, whom its creator names (a planner is his own by default).
 */
export function neededRole(fact: Fact): Role {
  switch (fact.collection) {
    case 'nodes':
    case 'messages':
      return 'observer'
    case 'claims':
    case 'starts':
    case 'results':
    case 'acks':
    case 'voids':
    case 'kv':
      return 'worker'
    case 'runs':
    case 'specs':
    case 'seals':
    case 'accepts':
    case 'rejects':
      return 'planner'
    case 'orders':
      return neededForOrder(fact.body.verb)
    case 'members':
      return 'admin'
    default:
      // Of a newer version: means nothing here.
      return 'admin'
  }
}

export function neededForOrder(verb: Extract<Fact, { collection: 'orders' }>['body']['verb']): Role {
  switch (verb) {
    case 'block':
    case 'unblock':
      // What a worker finds out about its task.
      return 'worker'
    case 'cancel':
    case 'retry':
    case 'pause':
    case 'resume':
    case 'prioritize':
    case 'close':
    case 'landed':
    case 'verified':
      return 'planner'
    case 'adopt':
      return 'integrator'
    default:
      return 'admin'
  }
}

/** What came of one chain: how far it is known, and for each rank of roles the last commit with a fact that needs it, by what became of it. */
interface Chain {
  readonly doc: DocId
  readonly incarnation: Incarnation
  head: number
  readonly taken: number[]
  readonly refused: number[]
}

interface Chains {
  spans: readonly RoleSpan[]
  readonly byName: Map<string, Chain>
}

/** Facts of this process have no commit number yet: they come after all that have one. */
const LIVE = Number.POSITIVE_INFINITY

export interface Review {
  /** They were put aside and may count now: to be taken again. */
  readonly batches: readonly Batch[]
  /** Facts were judged otherwise before: the board must be made anew from all facts. */
  readonly rebuild: string | undefined
}

export class Judge {
  readonly roster: Roster
  /** Facts without effect, by their author's role. */
  inert = 0
  readonly #chains = new Map<NodeId, Chains>()
  #strangers: Batch[] = []
  #version = 0

  constructor(roster: Roster) {
    this.roster = roster
  }

  /** The facts of a batch that count; membership facts go to the roster. */
  take(batch: Batch): readonly Fact[] {
    const { author, n } = batch
    const chains = this.#chainsOf(author)
    const counted: Fact[] = []
    let aside: Fact[] | undefined
    for (const fact of batch.facts) {
      const chain = chainOf(chains, author, fact.doc)
      chain.head = Math.max(chain.head, n)
      if (fact.collection === 'members') this.#member(fact, author, n)
      else if (chains.spans.length === 0 && this.#strangers.length < STRANGER_BATCHES_MAX) {
        aside ??= []
        aside.push(fact)
      } else if (this.#judge(chains, chain, fact, author, n)) counted.push(fact)
    }
    if (aside) this.#strangers.push({ ...batch, facts: aside })
    return counted
  }

  /** A fact of this process's own step. */
  takeOwn(fact: Fact, author: Author): boolean {
    const chains = this.#chainsOf(author)
    const chain = chainOf(chains, author, fact.doc)
    if (fact.collection !== 'members') return this.#judge(chains, chain, fact, author, LIVE)
    chain.taken[roleRank('admin')] = LIVE
    this.#member(fact, author, LIVE)
    return false
  }

  /** Whether a fact of this node, written now, would count. */
  mayWrite(fact: Fact, node: NodeId): boolean {
    return this.roster.can(node, neededRole(fact))
  }

  /** After the roster may have moved; `undefined` when it has not. */
  review(): Review | undefined {
    const { version } = this.roster
    if (version === this.#version) return undefined
    this.#version = version
    let rebuild: string | undefined
    for (const [node, chains] of this.#chains) {
      const before = chains.spans
      const after = this.roster.spans(node)
      chains.spans = after
      if (isSame(before, after)) continue
      for (const chain of chains.byName.values()) {
        if (rebuild || !isMisjudged(chain, node, before, after)) continue
        rebuild = `facts of ${node} in ${chain.doc} count otherwise by what is known of its membership now`
      }
    }
    const batches = this.#strangers.filter((b) => this.roster.spans(b.author.node).length > 0)
    if (batches.length > 0)
      this.#strangers = this.#strangers.filter((b) => this.roster.spans(b.author.node).length === 0)
    return { batches, rebuild }
  }

  /** How far the writings of a node are known here: what a removal lets count. */
  heads(node: NodeId): Cutoff {
    const heads: Record<DocId, Record<Incarnation, number>> = {}
    for (const { doc, incarnation, head } of this.#chains.get(node)?.byName.values() ?? []) {
      if (head === 0) continue
      heads[doc] ??= {}
      heads[doc][incarnation] = head
    }
    return heads
  }

  #chainsOf({ node }: Author): Chains {
    let chains = this.#chains.get(node)
    if (!chains) {
      chains = { spans: this.roster.spans(node), byName: new Map() }
      this.#chains.set(node, chains)
    }
    return chains
  }

  #member(fact: Extract<Fact, { collection: 'members' }>, author: Author, n: number): void {
    if (fact.doc !== CLUSTER_DOC || !this.roster.apply(fact.key, fact.body, author, n)) this.inert++
  }

  #judge(chains: Chains, chain: Chain, fact: Fact, author: Author, n: number): boolean {
    const needed = roleRank(neededRole(fact))
    const counts = roleRank(roleAt(chains.spans, author, fact.doc, n)) >= needed
    const list = counts ? chain.taken : chain.refused
    list[needed] = Math.max(list[needed]!, n)
    if (!counts) this.inert++
    return counts
  }
}

function chainOf(chains: Chains, { incarnation }: Author, doc: DocId): Chain {
  const name = `${doc}/${incarnation}`
  let chain = chains.byName.get(name)
  if (!chain) {
    chain = { doc, incarnation, head: 0, taken: [0, 0, 0, 0, 0], refused: [0, 0, 0, 0, 0] }
    chains.byName.set(name, chain)
  }
  return chain
}

function isSame(a: readonly RoleSpan[], b: readonly RoleSpan[]): boolean {
  return a.length === b.length && a.every((span, i) => span.role === b[i]!.role && span.since === b[i]!.since)
}

/** Whether a fact that was judged by the roles before may have another verdict by those after. */
function isMisjudged(
  chain: Chain,
  node: NodeId,
  before: readonly RoleSpan[],
  after: readonly RoleSpan[],
): boolean {
  const { doc, incarnation } = chain
  const author = { node, incarnation }
  const steps = new Set([0])
  for (const { since } of [...before, ...after]) steps.add(upTo(since, doc, incarnation))
  for (const from of steps) {
    // Between two steps the role is one: that of the first commit after the lower.
    const was = roleRank(roleAt(before, author, doc, from + 1))
    const is = roleRank(roleAt(after, author, doc, from + 1))
    const list = is < was ? chain.taken : chain.refused
    for (let needed = Math.min(was, is) + 1; needed <= Math.max(was, is); needed++)
      if (list[needed]! > from) return true
  }
  return false
}
