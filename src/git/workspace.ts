/**
 * A workspace: an attempt's own clone of a base, borrowing objects from our bare repository. It is handed to a stranger, and read back as one
 * reads a stranger's files. It goes away only when what is in it is under a ref.
 */
import { chmod, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isOrchError, OrchError } from '../core/error.ts'
import type { AttemptId, DurationMs, Oid, WallMs } from '../core/id.ts'
import { PACK_BYTES_MAX, PACK_OBJECTS_MAX, PATHS_SHOWN_MAX } from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { checkOut, copyIndex, isRealDirectory, privateIndex, writeGitDir } from './clone-dir.ts'
import { showPath } from './object.ts'
import { admit } from './quarantine.ts'
import { workerCommit } from './raw-commits.ts'
import { rawRef, replacedRef, untrimmedRef, workRef } from './ref.ts'
import { agentPerson, authorLine, committerLine, subjectLine } from './signature.ts'
import { takeSnapshot } from './snapshot.ts'
import { diffTrees, type TreeChange } from './tree-diff.ts'
import { editTree } from './tree-edit.ts'
import { type LintProblem, lintTree } from './tree-lint.ts'

export interface WorkspaceRequest {
  /** Must not exist, or be empty. */
  readonly dir: string
  readonly base: Oid
  /** Who commits inside. */
  readonly authorName: string
}

export interface CollectRequest {
  readonly dir: string
  readonly attempt: AttemptId
  readonly base: Oid
  readonly title: string
  readonly authorName: string
  /** Date of the commit. */
  readonly at: WallMs
  /** Whether a path may be changed; absent = all may. */
  readonly mayWrite?: (path: string) => boolean
  /** Default `refuse`: the commit holds everything and `outside` says what the caller must refuse. */
  readonly onOutside?: 'refuse' | 'trim'
}

export interface CollectedWork {
  /** The work as one commit onto `base`; `base` itself when nothing differs. */
  readonly head: Oid
  /** Where it is kept. */
  readonly ref: string
  /** Number of changed files in `head`. */
  readonly files: number
  /** The first PATHS_SHOWN_MAX of them, sorted. A renamed file is two. */
  readonly paths: readonly string[]
  /** Changed files that `mayWrite` refuses: left out of `head` when trimmed, else in it. The first PATHS_SHOWN_MAX. */
  readonly outside: readonly string[]
  readonly outsideCount: number
  readonly empty: boolean
  /** Everything, when `head` is not: same as `refs/orch/untrimmed/…`. */
  readonly untrimmed?: Oid
  /** Why this work may not be given to others (ORCH_GIT_HOSTILE); it is kept all the same. */
  readonly problems: readonly LintProblem[]
  /** Repositories found inside, taken as plain files. */
  readonly nested: readonly string[]
  /** Files that could not be read, in git's words. */
  readonly unreadable: readonly string[]
  /** The worker's own last commit, kept under `refs/orch/raw/…`. */
  readonly raw?: Oid
}

/** Best effort, so not for long. */
const RAW_MS_MAX = 60_000

/** @returns how long it took */
export async function createWorkspace(
  bare: BareRepository,
  request: WorkspaceRequest,
): Promise<{ createdMs: DurationMs }> {
  const start = performance.now()
  const { dir, base } = request
  if ((await readdir(dir).catch(() => [])).length > 0) {
    throw new OrchError('ORCH_WRONG_STATE', `${dir} is not empty`, {
      context: { dir },
      hint: 'the workspace of an earlier attempt must be collected and removed first',
    })
  }
  const draft = `${dir}.new`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { recursive: true })
  const index = privateIndex(bare, dir)
  await rm(index, { force: true })
  await Promise.all([
    writeGitDir(bare, draft, base, { identity: agentPerson(request.authorName) }),
    checkOut(bare, draft, base, index),
  ])
  await copyIndex(index, join(draft, '.git', 'index'))
  // Renamed as a whole: after a crash there is a workspace or none.
  await rmdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  await rename(draft, dir)
  return { createdMs: performance.now() - start }
}

/**
 * Reads what an attempt left, commits it onto its base and puts it under a ref, whatever became of the attempt. Collecting again is allowed; what the
 * refs held before stays under `refs/orch/replaced/…`.
 */
export async function collectWork(bare: BareRepository, request: CollectRequest): Promise<CollectedWork> {
  const { dir, base, attempt } = request
  const { objects } = bare
  const baseTree = (await objects.commit(base)).tree
  const [snapshot, raw] = await Promise.all([takeSnapshot(bare, dir, baseTree), keepRaw(bare, request)])
  const all = await diffTrees(objects, baseTree, snapshot.tree)
  const outside = request.mayWrite ? all.filter((change) => !request.mayWrite?.(showPath(change.path))) : []
  const isTrimmed = request.onOutside === 'trim' && outside.length > 0
  let tree = snapshot.tree
  let changes = all
  if (isTrimmed) {
    tree = await editTree(
      objects,
      snapshot.tree,
      new Map(outside.map((change) => [change.path, change.before])),
    )
    changes = await diffTrees(objects, baseTree, tree)
  }
  const problems = [...(await lintTree(objects, baseTree, tree)), ...(await sizeProblems(bare, changes))]
  const commitOf = (of: Oid): Oid => {
    if (of === baseTree) return base
    const message = `${subjectLine(request.title)}\n\nOrch-Attempt: ${attempt}\n`
    const author = authorLine(request.authorName, request.at)
    return objects.writeCommit({
      tree: of,
      parents: [base],
      author,
      committer: committerLine(request.at),
      message,
    })
  }
  const head = commitOf(tree)
  const untrimmed = isTrimmed ? commitOf(snapshot.tree) : undefined
  const ref = workRef(attempt)
  const kept = [{ ref, to: head }]
  if (untrimmed !== undefined) kept.push({ ref: untrimmedRef(attempt), to: untrimmed })
  if (raw !== undefined) kept.push({ ref: rawRef(attempt), to: raw })
  await keep(bare, kept)
  return {
    head,
    ref,
    files: changes.length,
    paths: shown(changes),
    outside: shown(outside),
    outsideCount: outside.length,
    empty: tree === baseTree,
    problems,
    nested: snapshot.nested,
    unreadable: snapshot.unreadable,
    ...(untrimmed !== undefined && { untrimmed }),
    ...(raw !== undefined && { raw }),
  }
}

function shown(changes: readonly TreeChange[]): string[] {
  return changes.slice(0, PATHS_SHOWN_MAX).map((change) => showPath(change.path))
}

/** What others would refuse to fetch is refused here, where the reason can be told. */
async function sizeProblems(bare: BareRepository, changes: readonly TreeChange[]): Promise<LintProblem[]> {
  if (changes.length > PACK_OBJECTS_MAX)
    return [{ path: '', why: `${changes.length} changed files, at most ${PACK_OBJECTS_MAX}` }]
  const oids = changes.flatMap((change) => (change.after ? [change.after.oid] : []))
  const found = await Promise.all(oids.map((oid) => bare.objects.info(oid)))
  const bytes = found.reduce((sum, object) => sum + (object?.size ?? 0), 0)
  return bytes > PACK_BYTES_MAX
    ? [{ path: '', why: `${bytes} bytes in changed files, at most ${PACK_BYTES_MAX}` }]
    : []
}

/** Points refs at work; nothing that one of them held before loses its ref. */
async function keep(bare: BareRepository, wanted: readonly { ref: string; to: Oid }[]): Promise<void> {
  const moves: { ref: string; to: Oid }[] = []
  for (const move of wanted) {
    const held = await bare.readRef(move.ref)
    if (held === move.to) continue
    if (held !== undefined) moves.push({ ref: replacedRef(held), to: held })
    moves.push(move)
  }
  if (moves.length > 0) await bare.moveRefs(moves)
}

/** The worker's own commits, when it made some and they pass the quarantine. The work itself does not depend on them. */
async function keepRaw(bare: BareRepository, request: CollectRequest): Promise<Oid | undefined> {
  const made = await workerCommit(bare, request.dir)
  if (!made || made.oid === request.base) return undefined
  try {
    const admission = await admit(bare, made.objectDir, made.oid, request.base, RAW_MS_MAX)
    return admission.ok ? made.oid : undefined
  } catch (error) {
    if (isOrchError(error) && error.code === 'ORCH_GIT_FAILED') return undefined
    throw error
  }
}

/**
 * Removes a workspace when what is in it now is what `proofRef` keeps (or its untrimmed twin). Anything newer, or no such ref: it stays.
 *
 * @throws ORCH_WRONG_STATE with the reason
 */
export async function removeWorkspace(bare: BareRepository, dir: string, proofRef: string): Promise<void> {
  if (await isRealDirectory(dir)) {
    const proof = await bare.readRef(proofRef)
    if (proof === undefined) {
      throw new OrchError('ORCH_WRONG_STATE', `the work in ${dir} is under no ref`, {
        context: { dir, proofRef },
      })
    }
    const twin = await bare.readRef(proofRef.replace('refs/orch/runs/', 'refs/orch/untrimmed/'))
    const trees = await Promise.all(
      [proof, twin ?? proof].map(async (oid) => (await bare.objects.commit(oid)).tree),
    )
    const snapshot = await takeSnapshot(bare, dir, trees[0]!)
    if (!trees.includes(snapshot.tree)) {
      throw new OrchError('ORCH_WRONG_STATE', `${dir} holds work that ${proofRef} does not`, {
        context: { dir, proofRef },
      })
    }
  }
  const doomed = `${dir}.removed`
  await rename(dir, doomed).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
  })
  await removeTree(doomed)
  await rm(privateIndex(bare, dir), { force: true })
}

/** Workers leave directories without write permission (module caches). */
export async function removeTree(dir: string): Promise<void> {
  try {
    await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  } catch (error) {
    if (!['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    await makeWritable(dir)
    await rm(dir, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function makeWritable(dir: string): Promise<void> {
  await chmod(dir, 0o700)
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(dir, entry.name))
  }
}
