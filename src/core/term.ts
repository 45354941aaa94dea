/**
 * Who integrates a run, term by term (DESIGN 5). Term 1 is the header's integrator; each later one was taken by an `adopt` that names the integrator before it. Of all
 * chains the longest counts, then the one whose last integrator has the smaller id: a function of the set of orders, so that two nodes that adopt at once, each in its
 * part of a partition, agree as soon as they hear of each other.
 */
import type { RunHeader } from './fact.ts'
import type { Author, NodeId } from './id.ts'

export interface AdoptRecord {
  readonly n: number
  readonly author: Author
  readonly term: number
  readonly cutoff: number
  readonly of: NodeId | undefined
}

export interface Term {
  readonly integrator: NodeId
  /** Last position of its accepts that counts: later terms cut it. */
  readonly until: number
}

interface Link {
  readonly integrator: NodeId
  /** Of this adoption: what comes after it in earlier terms does not count. */
  readonly cutoff: number
  readonly parent: Link | undefined
}

export function reckonTerms(
  header: RunHeader | undefined,
  adopts: readonly AdoptRecord[],
): { readonly chain: readonly Term[]; readonly all: ReadonlySet<NodeId> } {
  const all = new Set<NodeId>()
  if (!header) return { chain: [], all }
  let level = new Map<NodeId, Link>([
    [header.integrator, { integrator: header.integrator, cutoff: 0, parent: undefined }],
  ])
  all.add(header.integrator)
  const inOrder = adopts.length > 1 ? adopts.toSorted(earlier) : adopts
  // Each term rests on the one before it, so that nobody can jump ahead of all others for ever.
  for (let term = 2; ; term++) {
    const next = new Map<NodeId, Link>()
    for (const adopt of inOrder) {
      const parent = adopt.term === term ? level.get(adopt.of ?? smallest(level).integrator) : undefined
      const { node } = adopt.author
      if (parent && !next.has(node)) next.set(node, { integrator: node, cutoff: adopt.cutoff, parent })
    }
    if (next.size === 0) break
    for (const node of next.keys()) all.add(node)
    level = next
  }
  const chain: Term[] = []
  let until = Number.POSITIVE_INFINITY
  for (let link: Link | undefined = smallest(level); link; link = link.parent) {
    chain.unshift({ integrator: link.integrator, until })
    until = Math.min(until, link.cutoff)
  }
  return { chain, all }
}

function smallest(level: ReadonlyMap<NodeId, Link>): Link {
  return [...level.values()].reduce((a, b) => (b.integrator < a.integrator ? b : a))
}

/** Of two adoptions of one term by one node the earlier counts. */
function earlier(a: AdoptRecord, b: AdoptRecord): number {
  return a.n - b.n || (a.author.incarnation < b.author.incarnation ? -1 : 1)
}

/** An accept counts when the integrator of its term wrote it, at a position that no later term cut off. */
export function isStanding(
  run: { readonly terms: readonly Term[] },
  accept: { readonly term: number; readonly position: number; readonly author: Author },
): boolean {
  const term = run.terms[accept.term - 1]
  return term !== undefined && term.integrator === accept.author.node && accept.position <= term.until
}
