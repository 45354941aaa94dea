import type { Oid } from '../core/id.ts'
import { MODE_TREE, type RawName, type TreeEntry } from './object.ts'
import type { ObjectStore } from './object-store.ts'

/** One path that differs between two trees. Directories are not told, what is inside them is. */
export interface TreeChange {
  /** Whole path, bytes as latin1. */
  readonly path: RawName
  readonly before?: TreeEntry
  readonly after?: TreeEntry
}

/** Every file, link and gitlink that differs, sorted by bytes within a directory. Reads only directories that differ. No renames. */
export async function diffTrees(objects: ObjectStore, base: Oid, head: Oid): Promise<TreeChange[]> {
  const changes: TreeChange[] = []
  await descend(objects, base, head, '', changes)
  return changes
}

async function descend(
  objects: ObjectStore,
  base: Oid,
  head: Oid,
  prefix: string,
  changes: TreeChange[],
): Promise<void> {
  if (base === head) return
  const [before, after] = await Promise.all([objects.tree(base), objects.tree(head)])
  const names = [...before.keys()]
  for (const name of after.keys()) if (!before.has(name)) names.push(name)
  names.sort((a, b) => (a < b ? -1 : 1))
  for (const name of names) {
    const old = before.get(name)
    const now = after.get(name)
    if (old && now && old.oid === now.oid && old.mode === now.mode) continue
    const path = prefix + name
    const oldFile = old && old.mode !== MODE_TREE ? old : undefined
    const nowFile = now && now.mode !== MODE_TREE ? now : undefined
    if (oldFile || nowFile) {
      changes.push({ path, ...(oldFile && { before: oldFile }), ...(nowFile && { after: nowFile }) })
    }
    const oldTree = old && !oldFile ? old.oid : ''
    const nowTree = now && !nowFile ? now.oid : ''
    if (oldTree || nowTree) await descend(objects, oldTree, nowTree, `${path}/`, changes)
  }
}

/** The entry at a path, `undefined` when there is none. */
export async function entryAt(
  objects: ObjectStore,
  tree: Oid,
  path: RawName,
): Promise<TreeEntry | undefined> {
  const parts = path.split('/')
  let at = tree
  for (const [index, part] of parts.entries()) {
    const entry = (await objects.tree(at)).get(part)
    if (!entry || index === parts.length - 1) return entry
    if (entry.mode !== MODE_TREE) return undefined
    at = entry.oid
  }
  return undefined
}
