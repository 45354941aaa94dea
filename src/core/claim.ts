/**
 * The election over bids (DESIGN 4). Pure: the same entries give the same holder everywhere, whatever the order in which they arrived; no clock and no counter
 * takes part, and nobody can improve his own rank.
 */
import type { Result } from './attempt.ts'
import { hashFraction } from './hash.ts'
import type { Author, Incarnation, NodeId, Slot, WallMs } from './id.ts'

/** All that one node wrote about one epoch of a task. Flags only ever rise. */
export interface Entry {
  readonly round: number
  readonly epoch: number
  readonly node: NodeId
  /** Process life that wrote the start, or the claim when there is no start. */
  incarnation: Incarnation
  claim: boolean
  start: boolean
  cont: boolean
  /** Somebody outside does the work: no process of ours. */
  outside: boolean
  /** Wall clocks of the start and of the result, for display only. */
  startedAt: WallMs | undefined
  endedAt: WallMs | undefined
  result: Result | undefined
  /** Some result of it was a failure: counts as a try, even where another process life wrote a better one, so that epochs never go back. */
  failed: boolean
  /** Which process life wrote the result: an adopted attempt ends under a later one than it began. */
  resultIncarnation: Incarnation | undefined
}

/** Nothing is said yet. */
export function createEntry(slot: Pick<Slot, 'round' | 'epoch'>, author: Author): Entry {
  return {
    round: slot.round,
    epoch: slot.epoch,
    node: author.node,
    incarnation: author.incarnation,
    claim: false,
    start: false,
    cont: false,
    outside: false,
    startedAt: undefined,
    endedAt: undefined,
    result: undefined,
    failed: false,
    resultIncarnation: undefined,
  }
}

/** Best first: a success, a continued start, a start, a claim. `undefined` = no candidate any more (released, failed, cancelled, lost). */
export function entryClass(entry: Entry): 0 | 1 | 2 | 3 | undefined {
  if (entry.result) return entry.result.outcome === 'done' ? 0 : undefined
  if (entry.start) return entry.cont ? 1 : 2
  return entry.claim ? 3 : undefined
}

/**
 * Weighted rendezvous score: the smaller the better. A fresh uniform permutation of the nodes for every epoch; a node with twice the slots wins twice as
 * often.
 *
 * @see Thaler and Ravishankar 1998; weights by -ln(u)/w
 */
export function claimScore(
  slot: Pick<Slot, 'run' | 'task' | 'round' | 'epoch'>,
  node: NodeId,
  slots: number,
): number {
  const fraction = hashFraction(`claim/1\n${slot.run}\n${slot.task}\n${slot.round}\n${slot.epoch}\n${node}`)
  return -Math.log(fraction) / Math.max(slots, 1)
}

export type SlotsOf = (node: NodeId) => number

/** The one entry that may act on the epoch; `undefined` when nobody bids. */
export function holder(
  slot: Pick<Slot, 'run' | 'task' | 'round' | 'epoch'>,
  entries: readonly Entry[],
  slotsOf: SlotsOf,
): Entry | undefined {
  let best: Entry | undefined
  let bestClass = 9
  let bestScore: number | undefined
  for (const entry of entries) {
    if (entry.round !== slot.round || entry.epoch !== slot.epoch) continue
    const rank = entryClass(entry)
    if (rank === undefined || rank > bestClass) continue
    if (!best || rank < bestClass) {
      best = entry
      bestClass = rank
      bestScore = undefined
      continue
    }
    // Scores cost a hash: computed only when two candidates of one class meet.
    bestScore ??= claimScore(slot, best.node, slotsOf(best.node))
    const score = claimScore(slot, entry.node, slotsOf(entry.node))
    if (score < bestScore || (score === bestScore && entry.node < best.node)) {
      best = entry
      bestScore = score
    }
  }
  return best
}

/** Place of `me` among the nodes that could take the epoch now, 0 = first. `candidates` includes `me`. */
export function claimRank(
  slot: Pick<Slot, 'run' | 'task' | 'round' | 'epoch'>,
  me: NodeId,
  candidates: readonly NodeId[],
  slotsOf: SlotsOf,
): number {
  if (candidates.length <= 1) return 0
  const mine = claimScore(slot, me, slotsOf(me))
  let rank = 0
  for (const node of candidates) {
    if (node === me) continue
    const score = claimScore(slot, node, slotsOf(node))
    if (score < mine || (score === mine && node < me)) rank++
  }
  return rank
}

/** Is `me` the first of them? Asked for every ready task: it ends at the first who comes before, after some four hashes however many there are. */
export function comesFirst(
  slot: Pick<Slot, 'run' | 'task' | 'round' | 'epoch'>,
  me: NodeId,
  candidates: readonly NodeId[],
  slotsOf: SlotsOf,
): boolean {
  if (candidates.length <= 1) return true
  const mine = claimScore(slot, me, slotsOf(me))
  return candidates.every((node) => {
    if (node === me) return true
    const score = claimScore(slot, node, slotsOf(node))
    return score > mine || (score === mine && node > me)
  })
}

/** Of two results of one node for one epoch (written by two process lives), the one that counts: order-independent. */
export function betterResult(
  a: { result: Result; incarnation: Incarnation },
  b: { result: Result; incarnation: Incarnation },
): { result: Result; incarnation: Incarnation } {
  const rank = (r: Result): number =>
    r.outcome === 'done' ? 0 : r.outcome === 'failed' || r.outcome === 'timed-out' ? 1 : 2
  const order = rank(a.result) - rank(b.result)
  if (order !== 0) return order < 0 ? a : b
  return a.incarnation <= b.incarnation ? a : b
}
