/**
 * Facts: the only thing that is shared and the only thing that is kept. A key has one writer, named at its end with the incarnation of its
 * process, and is written once; all state is derived from the set of facts by `board.ts`.
 *
 * Key grammar (the store appends `/<node>/<incarnation>` to each):
 *
 *     specs    task                      orders   subject/n        subject = task, or `*` for the run
 *     seals    scope                     runs     run/n            n = 0 header
 *     claims   task/round/epoch          accepts  task/round/term
 *     starts   task/round/epoch          rejects  task/round/epoch/node   node = author of the result
 *     results  task/round/epoch          acks     task/round/epoch/node   node = author of the result
 *     voids    task/round/epoch          members  subject/n         subject = node, or an invitation
 *                                        kv, nodes, messages: id/n
 */
import type { Outcome, Result } from './attempt.ts'
import type { ErrorCode } from './error.ts'
import type { Author, DocId, Incarnation, NodeId, Oid, RunId, Slot, TaskId, WallMs } from './id.ts'
import type { Json, MergePolicy, Priority, RepositorySpec, TaskSpec } from './task.ts'

/** First fact of a run, written by its creator. */
export interface RunHeader {
  readonly name: string
  readonly creator: NodeId
  /** Also the date of every commit of the run, so that ids can be computed anywhere. */
  readonly createdAt: WallMs
  readonly integrator: NodeId
  readonly repository?: RepositorySpec
  readonly merge: MergePolicy
  /** Commit that tasks start from, in our own repository. */
  readonly base?: Oid
}

/** In the cluster's document, key `<run>/n`: the run is over for good. What of it comes late is refused, so that it never lives again (`archive.ts`). */
export interface RunMark {
  readonly verb: 'archived'
  readonly creator: NodeId
  readonly createdAt: WallMs
}

export interface Seal {
  readonly count: number
  /** SHA-256 of the sorted task ids joined by newlines, hex. */
  readonly digest: string
}

export type VoidReason = 'lost' | 'released' | 'restarted' | 'superseded'

export interface Accept {
  readonly epoch: number
  /** Author of the accepted result. */
  readonly by: NodeId
  /** Place in the run's history, from 1. */
  readonly position: number
  /** The commit made of it; absent for results without files. */
  readonly commit?: Oid
}

/** `base`: it was built on a result that was itself rejected; costs no try. */
export type RejectReason = 'conflict' | 'check' | 'verify' | 'scope' | 'empty' | 'hostile' | 'base'

export interface Reject {
  readonly why: RejectReason
  /** One line. */
  readonly reason: string
  /** Output of the gate, or the conflict: the hint of the next round. */
  readonly output?: string
  readonly paths?: readonly string[]
  /** The other tasks of a conflict. */
  readonly with?: readonly TaskId[]
  /** Commit onto which it did not fit. */
  readonly onto?: Oid
  /** No further round: a person decides (`onConflict: manual`). */
  readonly hold?: boolean
  /** No further round at all: the task fails (`onConflict: take-first`). Its work stays under a ref. */
  readonly drop?: boolean
}

export type Order =
  | { readonly verb: 'cancel'; readonly reason?: string }
  /** Opens `round`, with fresh budgets. */
  | { readonly verb: 'retry'; readonly round: number; readonly reason?: string; readonly hint?: string }
  | { readonly verb: 'pause'; readonly reason?: string }
  | { readonly verb: 'resume' }
  | {
      readonly verb: 'block'
      readonly reason: string
      readonly blockers?: readonly TaskId[]
      readonly round: number
    }
  | { readonly verb: 'unblock' }
  | { readonly verb: 'prioritize'; readonly priority: Priority }
  /**
   * The integrator finished the run as it stood at `commit`: verified, published, landed as its policy says. A later retry reopens it and is followed by
   * another close. `problem` says what could not be done at the end.
   */
  | {
      readonly verb: 'close'
      readonly outcome: 'complete' | 'partial' | 'failed' | 'cancelled'
      readonly commit?: Oid
      readonly problem?: { readonly code: ErrorCode; readonly message: string }
    }
  /**
   * The author is the run's integrator from now on, for `term` (one more than the highest seen). Accepts of earlier terms count up to position `cutoff`; later ones are offered
   * again. Explicit and alarmed: the only way to lose an accept. `of`: integrator of the term before, as the author knew it: two nodes may have adopted one term, and the
   * next one goes on from one of them.
   */
  | {
      readonly verb: 'adopt'
      readonly term: number
      readonly cutoff: number
      readonly of?: NodeId
      readonly reason?: string
    }
  /** Where the integrated branch was landed, for people. */
  | { readonly verb: 'landed'; readonly branch: string; readonly commit: Oid }
  /** Outcome of the run's `verify` on the finished branch when it could not gate each step (SPEC FN1). */
  | { readonly verb: 'verified'; readonly commit: Oid; readonly ok: boolean; readonly output?: string }

export interface NodeRecord {
  readonly name: string
  readonly slots: number
  readonly version: string
  readonly capabilities?: readonly string[]
  /** Kinds of tasks that its workers take; absent = any. */
  readonly kinds?: readonly string[]
  /** Those of them that run inside its process and end with it. */
  readonly inProcess?: readonly string[]
  /** Where it can be reached, best first: multiaddrs that name it. */
  readonly addresses?: readonly string[]
  /** It finishes what it runs and takes nothing new. */
  readonly draining?: boolean
}

/** What a member may do; each can do all of the one before, except that an observer runs nothing. `none` = removed. */
export const ROLES = ['observer', 'worker', 'planner', 'integrator', 'admin'] as const
export type Role = (typeof ROLES)[number]

/**
 * How far the writings of one node count: for each document and incarnation the last commit number. What is not named does not count at all.
 */
export type Cutoff = Readonly<Record<DocId, Readonly<Record<Incarnation, number>>>>

/**
 * Who belongs to the cluster (DESIGN 10). Versions of these facts count over all of them together (1 + highest seen), so that a later one is known to have seen the earlier;
 * `roster.ts` reads them in that order. Subject = node id, or `invite:<id>`.
 */
export type MemberFact =
  /** By the node that founds the cluster, about itself. The id of the cluster is the hash of the node and the nonce. */
  | { readonly verb: 'found'; readonly name: string; readonly nonce: string }
  /** Admits whoever proves to hold the one-time key (public half, hex), `uses` times. `expiresAt` by the inviter's clock, judged by the inviter. */
  | {
      readonly verb: 'invite'
      readonly key: string
      readonly role: Role
      readonly expiresAt: WallMs
      readonly uses: number
      readonly approve?: true
    }
  | { readonly verb: 'revoke' }
  | { readonly verb: 'admit'; readonly role: Role; readonly name: string; readonly invite?: string }
  /** What the subject wrote up to `since` counts by its role of before. */
  | { readonly verb: 'role'; readonly role: Role; readonly since: Cutoff }
  /** By an admin, or by the subject itself (it leaves). */
  | { readonly verb: 'remove'; readonly since: Cutoff; readonly reason?: string }

export interface Bodies {
  runs: RunHeader | RunMark
  specs: TaskSpec
  seals: Seal
  claims: Record<string, never>
  starts: { readonly cont?: true; readonly outside?: true }
  results: Result
  voids: { readonly why: VoidReason }
  accepts: Accept
  rejects: Reject
  orders: Order
  messages: Json
  kv: Json
  nodes: NodeRecord
  members: MemberFact
  /** The author holds the objects of that result: its work outlives the node that made it. */
  acks: Record<string, never>
}

export type Collection = keyof Bodies

/** What its author writes. */
export type Fact = {
  readonly [C in Collection]: {
    readonly doc: DocId
    readonly collection: C
    readonly key: string
    readonly body: Bodies[C]
  }
}[Collection]

/** What one author wrote in one commit, in order. `n` counts the commits of an incarnation from 1, without gaps. */
export interface Batch {
  readonly author: Author
  readonly n: number
  /** The author's wall clock, for display. */
  readonly at: WallMs
  readonly facts: readonly Fact[]
}

export function slotKey(slot: { task: TaskId; round: number; epoch: number }): string {
  return `${slot.task}/${slot.round}/${slot.epoch}`
}

const COUNT = /^[1-9]\d{0,8}$/

/** Reads `task/round/epoch` with an optional fourth part; `undefined` when malformed. Task ids hold no slash. */
export function readSlotKey(run: RunId, key: string): (Slot & { rest?: string }) | undefined {
  const a = key.indexOf('/')
  const b = key.indexOf('/', a + 1)
  if (a <= 0 || b < 0) return undefined
  let c = key.indexOf('/', b + 1)
  if (c < 0) c = key.length
  const round = key.slice(a + 1, b)
  const epoch = key.slice(b + 1, c)
  if (!COUNT.test(round) || !COUNT.test(epoch)) return undefined
  const slot = { run, task: key.slice(0, a), round: Number(round), epoch: Number(epoch) }
  return c < key.length ? { ...slot, rest: key.slice(c + 1) } : slot
}

/** Reads `subject/n`. */
export function readVersionKey(key: string): { subject: string; n: number } | undefined {
  const at = key.lastIndexOf('/')
  const n = key.slice(at + 1)
  if (at <= 0 || !(n === '0' || COUNT.test(n))) return undefined
  return { subject: key.slice(0, at), n: Number(n) }
}

/** True for outcomes that count against the tries of a task. */
export function isFailure(outcome: Outcome): boolean {
  return outcome === 'failed' || outcome === 'timed-out'
}
