/**
 * Integration as a pure function of facts: deltas are rebased one after the other onto a tip by three-way merge, one single-parent commit each, with
 * fixed people and dates, so that every node that has the same facts gets the same commit ids (DESIGN 5). Only `advance` changes anything that others see.
 */
import { OrchError } from '../core/error.ts'
import type { Oid, RunId, TaskId } from '../core/id.ts'
import type { Conflict, Delta, MergedCommit, MergeOutcome, MergeRequest } from '../core/integrate.ts'
import { GIT_IMPORT_MS_MAX, PATHS_SHOWN_MAX, RUN_TASKS_MAX } from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { type Commit, parseCommit, showPath } from './object.ts'
import { assertOid } from './ref.ts'
import { authorLine, committerLine } from './signature.ts'
import { formatMessage, type IntegratedCommit, type ResultTrailer, readTrailer } from './trailer.ts'
import { entryAt } from './tree-diff.ts'
import { mergeTrees, type TreeConflict } from './tree-merge.ts'

/** One rebased change and the commit that it becomes. */
export interface Change {
  readonly task: TaskId
  readonly base: Oid
  readonly head: Oid
  readonly commitOf: (tree: Oid, parent: Oid) => Commit
}

export type Rebased =
  | { readonly ok: true; readonly chain: readonly MergedCommit[]; readonly tip: Oid }
  | {
      readonly ok: false
      readonly chain: readonly MergedCommit[]
      readonly tip: Oid
      readonly failed: Change
      readonly conflict: TreeConflict
    }

/** Rebases changes in order; stops at the first that does not fit. Writes objects, no refs. */
export async function rebase(bare: BareRepository, onto: Oid, changes: readonly Change[]): Promise<Rebased> {
  const { objects } = bare
  const chain: MergedCommit[] = []
  let tip = onto
  let tree = (await objects.commit(onto)).tree
  for (const change of changes) {
    const [base, head] = await Promise.all([objects.commit(change.base), objects.commit(change.head)])
    const trees = { base: base.tree, ours: tree, theirs: head.tree }
    const labels = { ours: 'integrated', theirs: change.task }
    // A change of nothing changes nothing, wherever it is put.
    const merge =
      base.tree === head.tree
        ? ({ ok: true, tree } as const)
        : await mergeTrees(objects, bare.dir, trees, labels)
    if (!merge.ok) {
      await objects.flush()
      return { ok: false, chain, tip, failed: change, conflict: merge.conflict }
    }
    const empty = merge.tree === tree
    if (!empty) {
      tip = objects.writeCommit(change.commitOf(merge.tree, tip))
      tree = merge.tree
    }
    chain.push({ task: change.task, commit: tip, empty })
  }
  await objects.flush()
  return { ok: true, chain, tip }
}

function changeOf(request: MergeRequest, delta: Delta): Change {
  const { run, term, date } = request
  const { task, round, epoch, by } = delta
  const message = formatMessage(delta.title, { run, task, round, epoch, node: by, term })
  return {
    task,
    base: delta.base,
    head: delta.head,
    commitOf: (tree, parent) => ({
      tree,
      parents: [parent],
      author: authorLine(delta.authorName, date),
      committer: committerLine(date),
      message,
    }),
  }
}

/** The commits that these deltas become on this tip. Also the provisional base of a task: the same function over what is not integrated yet. */
export async function fold(bare: BareRepository, request: MergeRequest): Promise<MergeOutcome> {
  const changes = request.deltas.map((delta) => changeOf(request, delta))
  const rebased = await rebase(bare, request.tip, changes)
  if (rebased.ok) return { chain: rebased.chain }
  const delta = request.deltas[rebased.chain.length]!
  return {
    chain: rebased.chain,
    conflict: await nameConflict(bare, request.run, rebased.tip, delta, rebased.conflict),
  }
}

/** Whether one delta fits onto a tip: for early notice of conflicts. */
export async function tryMerge(
  bare: BareRepository,
  request: Omit<MergeRequest, 'deltas'>,
  delta: Delta,
): Promise<Conflict | undefined> {
  return (await fold(bare, { ...request, deltas: [delta] })).conflict
}

/** Names the tasks on the other side: those in the tip's history, unknown to the delta's base, that changed a conflicting path. */
async function nameConflict(
  bare: BareRepository,
  run: RunId,
  tip: Oid,
  delta: Delta,
  conflict: TreeConflict,
): Promise<Conflict> {
  const { objects } = bare
  const known = new Set<string>()
  for await (const { commit } of ownHistory(bare, run, delta.base)) known.add(resultKey(commit))
  const others = new Set<TaskId>()
  for await (const { trailer, commit } of ownHistory(bare, run, tip)) {
    if (known.has(resultKey(commit)) || others.has(trailer.task)) continue
    const parent = await objects.commit(commit.parents[0]!)
    for (const path of conflict.paths) {
      const [before, after] = await Promise.all([
        entryAt(objects, parent.tree, path),
        entryAt(objects, commit.tree, path),
      ])
      if (before?.oid === after?.oid && before?.mode === after?.mode) continue
      others.add(trailer.task)
      break
    }
  }
  return {
    task: delta.task,
    paths: conflict.paths.slice(0, PATHS_SHOWN_MAX).map(showPath),
    with: [...others].sort(),
    output: conflict.output,
  }
}

function resultKey(commit: Commit): string {
  return commit.message.slice(commit.message.indexOf('\n\nOrch-Run: '))
}

/** The run's own commits from a commit back, newest first, until the first that is not one. */
async function* ownHistory(
  bare: BareRepository,
  run: RunId,
  from: Oid,
): AsyncIterable<{ oid: Oid; trailer: ResultTrailer; commit: Commit }> {
  let oid: Oid | undefined = from
  for (let n = 0; oid !== undefined && n < RUN_TASKS_MAX; n += 1) {
    const commit: Commit = await bare.objects.commit(oid)
    const trailer = readTrailer(commit.message)
    if (trailer?.run !== run || commit.parents.length !== 1) return
    yield { oid, trailer, commit }
    oid = commit.parents[0]
  }
}

/**
 * What the history between `base` and `tip` says about itself, oldest first: the facts that a crash between ref and fact lost.
 *
 * @throws ORCH_GIT_FAILED when a commit in between is not ours
 */
export async function trailersSince(bare: BareRepository, tip: Oid, base: Oid): Promise<IntegratedCommit[]> {
  assertOid(tip)
  assertOid(base)
  await bare.objects.flush()
  const answer = await bare.run(['rev-list', '--first-parent', '--reverse', '--header', '--stdin'], {
    input: `${tip}\n^${base}\n`,
    timeoutMs: GIT_IMPORT_MS_MAX,
  })
  const found: IntegratedCommit[] = []
  let at = 0
  const bytes = answer.stdout
  for (let end = bytes.indexOf(0, at); end >= 0; end = bytes.indexOf(0, at)) {
    const line = bytes.indexOf(0x0a, at)
    const commit = bytes.toString('latin1', at, line)
    // `--header` indents the message by four spaces.
    const message = parseCommit(bytes.subarray(line + 1, end)).message.replace(/^ {4}/gm, '')
    const trailer = readTrailer(`${message.trimEnd()}\n`)
    if (!trailer) {
      throw new OrchError(
        'ORCH_GIT_FAILED',
        `commit ${commit} between ${base} and ${tip} is not one of a run`,
        { context: { commit } },
      )
    }
    found.push({ ...trailer, position: found.length + 1, commit })
    at = end + 1
  }
  return found
}

/** Moves a ref of ours by compare-and-set; `from` undefined = it must not exist. Durable when it returns true. */
export function advance(bare: BareRepository, ref: string, to: Oid, from: Oid | undefined): Promise<boolean> {
  return bare.moveRefs([{ ref, to, from: from ?? '' }])
}

/** What a chain of single-parent commits becomes elsewhere: the same people, dates and messages. */
export async function changesOf(bare: BareRepository, base: Oid, tip: Oid): Promise<Change[]> {
  const changes: Change[] = []
  for (let oid = tip; oid !== base; ) {
    const commit = await bare.objects.commit(oid)
    const parent = commit.parents[0]
    if (parent === undefined || commit.parents.length > 1 || changes.length > RUN_TASKS_MAX) {
      throw new OrchError('ORCH_GIT_FAILED', `${tip} is not a straight line of commits from ${base}`, {
        context: { tip, base },
      })
    }
    const task = readTrailer(commit.message)?.task ?? oid.slice(0, 12)
    changes.push({
      task,
      base: parent,
      head: oid,
      commitOf: (tree, onto) => ({ ...commit, tree, parents: [onto] }),
    })
    oid = parent
  }
  return changes.reverse()
}
