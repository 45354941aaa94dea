/**
 * Names of things, and their grammar. Every identifier that reaches a file name, a git ref, a key of the
 * board or a command line is checked here first, so that no other place needs to quote or escape.
 */

/** libp2p peer id of an Ed25519 key, base58btc, 52 characters. */
export type NodeId = string
/** One process life of a node: 26 characters of Crockford base32, sortable by start time. New at every start. */
export type Incarnation = string
/** `<plan name>-<4 hex digits>`, for example `add-tests-7f2a`. */
export type RunId = string
/** A task's name inside its run, for example `docs-api`. `RUN/TASK` names it outside of the run. */
export type TaskId = string
/** Hex object id of git: 40 (SHA-1) or 64 (SHA-256) digits. */
export type Oid = string
/** Monotonic clock reading of the node, milliseconds. Never compared between nodes. */
export type Millis = number
/** A span, milliseconds. */
export type DurationMs = number
/** Wall clock, milliseconds since 1970. For display only: nothing decides by it. */
export type WallMs = number

/** Who wrote a fact: a node, in one life of its process. */
export interface Author {
  readonly node: NodeId
  readonly incarnation: Incarnation
}

/** Board documents: one for the cluster, one for each run (named by its run id). */
export type DocId = string
export const CLUSTER_DOC: DocId = '@cluster'

const RUN_ID = /^[a-z0-9][a-z0-9-]{0,62}$/
const TASK_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

/** True for names that are safe as file name, git ref component, key part and argument. */
export function isTaskId(name: string): boolean {
  return TASK_ID.test(name) && !name.includes('..') && !name.endsWith('.lock') && !name.endsWith('.')
}

export function isRunId(name: string): boolean {
  return RUN_ID.test(name)
}

export function authorKey(author: Author): string {
  return `${author.node}/${author.incarnation}`
}

export function isSameAuthor(a: Author, b: Author): boolean {
  return a.incarnation === b.incarnation && a.node === b.node
}

/** One epoch of one round of a task: what can be bid for, held, voided. Rounds and epochs count from 1. */
export interface Slot {
  readonly run: RunId
  readonly task: TaskId
  readonly round: number
  readonly epoch: number
}

/** `run/task/round.epoch/incarnation`: names one attempt in the whole cluster, for ever. */
export type AttemptId = string

export function attemptId(slot: Slot, incarnation: Incarnation): AttemptId {
  return `${slot.run}/${slot.task}/${slot.round}.${slot.epoch}/${incarnation}`
}

const ATTEMPT_ID = /^([^/]+)\/([^/]+)\/([1-9]\d*)\.([1-9]\d*)\/([0-9A-Z]{26})$/

/** Reads an attempt id; `undefined` when it is not one. */
export function readAttemptId(id: string): (Slot & { incarnation: Incarnation }) | undefined {
  const match = ATTEMPT_ID.exec(id)
  if (!match) return undefined
  const [, run, task, round, epoch, incarnation] = match
  if (!isRunId(run!) || !isTaskId(task!)) return undefined
  return { run: run!, task: task!, round: Number(round), epoch: Number(epoch), incarnation: incarnation! }
}

/** Short form for people: the last eight characters tell nodes apart, the first ones are the same for all keys. */
export function shortNode(node: NodeId): string {
  return node.slice(-8)
}

/** Lower-case words joined by `-`, for run ids made from plan names; empty when nothing is left. */
export function slug(text: string, max = 40): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, max)
    .replace(/-+$/, '')
}
