/**
 * Three-way merge of trees. Where each path was changed by at most one side, and no rename can take part, the answer is plain and is computed
 * here from tree objects alone; everything else goes to `git merge-tree`. Both give the same tree where both answer (a property test compares
 * them), so the short way is not a second kind of merge.
 */
import type { Oid } from '../core/id.ts'
import { OUTPUT_EXCERPT_BYTES, PATHS_SHOWN_MAX } from '../core/limit.ts'
import { runGit } from './command.ts'
import { type Commit, MODE_TREE, showPath, type TreeEntry } from './object.ts'
import type { ObjectStore } from './object-store.ts'
import { entryAt } from './tree-diff.ts'

export interface TreeConflict {
  /** Bytes as latin1, sorted. */
  readonly paths: readonly string[]
  /** Git's words and the first conflicting hunks, at most OUTPUT_EXCERPT_BYTES. */
  readonly output: string
}

export type TreeMerge =
  | { readonly ok: true; readonly tree: Oid }
  | { readonly ok: false; readonly conflict: TreeConflict }

export interface MergeLabels {
  readonly ours: string
  readonly theirs: string
}

/** Merges `theirs` into `ours`. All three are trees. Pure: the same trees give the same answer. */
export async function mergeTrees(
  objects: ObjectStore,
  gitDir: string,
  trees: { readonly base: Oid; readonly ours: Oid; readonly theirs: Oid },
  labels: MergeLabels,
): Promise<TreeMerge> {
  const { base, ours, theirs } = trees
  if (ours === base || ours === theirs) return { ok: true, tree: theirs }
  if (theirs === base) return { ok: true, tree: ours }
  const plain = await mergePlain(objects, base, ours, theirs)
  if (plain !== undefined) return { ok: true, tree: plain }
  return mergeByGit(objects, gitDir, trees, labels)
}

/**
 * The plain merge, `undefined` when it takes more than picking sides.
 *
 * Renames can only change the answer where their source was touched by both sides: such a path differs on both sides, or is deleted on both,
 * and neither case is answered here. A renamed directory likewise is gone on one side and changed on the other.
 */
export async function mergePlain(
  objects: ObjectStore,
  base: Oid,
  ours: Oid,
  theirs: Oid,
): Promise<Oid | undefined> {
  const [b, o, t] = await Promise.all([objects.tree(base), objects.tree(ours), objects.tree(theirs)])
  const merged = new Map(o)
  const names = new Set([...o.keys(), ...t.keys(), ...b.keys()])
  for (const name of names) {
    const was = b.get(name)
    const our = o.get(name)
    const their = t.get(name)
    if (isSame(our, their)) {
      if (isSame(was, our)) continue
      // Deleted on both sides, or one directory changed alike on both: a rename with two ends may hide in it.
      if (!our || (was && our.mode === MODE_TREE)) return undefined
      continue
    }
    if (isSame(was, their)) continue
    if (isSame(was, our)) {
      if (their) merged.set(name, their)
      else merged.delete(name)
      continue
    }
    const isTrees = our?.mode === MODE_TREE && their?.mode === MODE_TREE && (!was || was.mode === MODE_TREE)
    if (!isTrees) return undefined
    const inner = await mergePlain(objects, was?.oid ?? '', our.oid, their.oid)
    if (inner === undefined) return undefined
    if ((await objects.tree(inner)).size === 0) merged.delete(name)
    else merged.set(name, { mode: MODE_TREE, name, oid: inner })
  }
  return objects.writeTree([...merged.values()])
}

function isSame(a: TreeEntry | undefined, b: TreeEntry | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.oid === b.oid && a.mode === b.mode)
}

const NOBODY = 'orch-node <orch-node@localhost> 0 +0000'

/** Git before 2.40 finds the base by history only, so the three trees are given one. */
async function mergeByGit(
  objects: ObjectStore,
  gitDir: string,
  trees: { readonly base: Oid; readonly ours: Oid; readonly theirs: Oid },
  labels: MergeLabels,
): Promise<TreeMerge> {
  const side = (tree: Oid, parents: readonly Oid[], message: string): Oid => {
    const commit: Commit = { tree, parents, author: NOBODY, committer: NOBODY, message }
    return objects.writeCommit(commit)
  }
  const base = side(trees.base, [], 'base\n')
  const ours = side(trees.ours, [base], 'ours\n')
  const theirs = side(trees.theirs, [base], 'theirs\n')
  await objects.flush()
  const answer = await runGit(
    ['merge-tree', '--write-tree', '-z', '--name-only', '--messages', ours, theirs],
    {
      gitDir,
      // Pinned: they change answers, and everybody must get the same one.
      config: [
        'merge.renames=true',
        'merge.renameLimit=7000',
        'merge.directoryRenames=conflict',
        'merge.conflictStyle=merge',
        // Made durable in one go when a ref is about to need them: three fsyncs here cost more than the merge.
        'core.fsync=none',
      ],
      exits: [0, 1],
    },
  )
  const fields = answer.stdout.toString('latin1').split('\0')
  const tree = fields[0]?.trim() ?? ''
  if (answer.exit === 0) {
    const made: Oid[] = [tree]
    await newObjects(objects, trees.ours, tree, made)
    objects.note(made)
    return { ok: true, tree }
  }
  const end = fields.indexOf('', 1)
  const paths = [...new Set(fields.slice(1, end < 0 ? undefined : end))].sort()
  const words = messages(fields.slice(end + 1))
  const hunks = await conflictHunks(objects, tree, paths)
  const output = `${words}\n${hunks}`.replaceAll(ours, labels.ours).replaceAll(theirs, labels.theirs).trim()
  // Where a file meets a directory git moves the file aside as `name~<commit>`; people know it by its name.
  const plain = paths.map((path) => path.replace(`~${ours}`, '').replace(`~${theirs}`, ''))
  return { ok: false, conflict: { paths: [...new Set(plain)], output: cut(output) } }
}

/** Trees and blobs of `to` that `from` does not have at the same path. */
async function newObjects(objects: ObjectStore, from: Oid, to: Oid, made: Oid[]): Promise<void> {
  const [before, after] = await Promise.all([objects.tree(from), objects.tree(to)])
  for (const entry of after.values()) {
    const old = before.get(entry.name)
    if (old?.oid === entry.oid) continue
    made.push(entry.oid)
    if (entry.mode === MODE_TREE)
      await newObjects(objects, old?.mode === MODE_TREE ? old.oid : '', entry.oid, made)
  }
}

/** Informational part of `-z` output: count, paths…, kind, text; repeated. */
function messages(fields: readonly string[]): string {
  const texts: string[] = []
  let at = 0
  while (at < fields.length) {
    const count = Number(fields[at])
    if (fields[at] === '' || !Number.isInteger(count)) break
    const text = fields[at + count + 2] ?? ''
    if (!text.startsWith('Auto-merging')) texts.push(text.trim())
    at += count + 3
  }
  return Buffer.from(texts.join('\n'), 'latin1').toString('utf8')
}

/** Conflict regions of the first files, as git left them in the tree: what a person or an agent needs to see. */
async function conflictHunks(objects: ObjectStore, tree: Oid, paths: readonly string[]): Promise<string> {
  let text = ''
  for (const path of paths.slice(0, PATHS_SHOWN_MAX)) {
    if (text.length > OUTPUT_EXCERPT_BYTES) break
    const entry = await entryAt(objects, tree, path)
    const size = entry && entry.mode !== MODE_TREE ? (await objects.info(entry.oid))?.size : undefined
    if (!entry || size === undefined || size > 1024 * 1024) continue
    const body = (await objects.read(entry.oid))?.body.toString('utf8') ?? ''
    const regions = body.match(/^<{7} .*\n[\s\S]*?^>{7} .*$/gm)
    if (regions) text += `--- ${showPath(path)}\n${regions.join('\n')}\n`
  }
  return text
}

function cut(text: string): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= OUTPUT_EXCERPT_BYTES) return text
  return `${bytes
    .subarray(0, OUTPUT_EXCERPT_BYTES - 3)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')}…`
}
