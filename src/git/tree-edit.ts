import type { Oid } from '../core/id.ts'
import { MODE_TREE, type RawName, type TreeEntry } from './object.ts'
import type { ObjectStore } from './object-store.ts'

/** What becomes of paths: an entry (its name is taken from the path), or nothing. */
export type TreeEdits = ReadonlyMap<RawName, Pick<TreeEntry, 'mode' | 'oid'> | undefined>

/** A tree with some paths replaced. Directories that become empty vanish, as in git's index. */
export async function editTree(objects: ObjectStore, tree: Oid, edits: TreeEdits): Promise<Oid> {
  const entries = new Map(await objects.tree(tree))
  const inner = new Map<RawName, Map<RawName, Pick<TreeEntry, 'mode' | 'oid'> | undefined>>()
  for (const [path, entry] of edits) {
    const slash = path.indexOf('/')
    if (slash < 0) {
      if (entry) entries.set(path, { ...entry, name: path })
      // A directory of that name is not what is taken away: a file became a directory, and only the file is undone.
      else if (entries.get(path)?.mode !== MODE_TREE) entries.delete(path)
      continue
    }
    const name = path.slice(0, slash)
    const below = inner.get(name) ?? new Map()
    below.set(path.slice(slash + 1), entry)
    inner.set(name, below)
  }
  for (const [name, below] of inner) {
    const now = entries.get(name)
    // A file stands where the edits want a directory: something must be put back for it to give way.
    const isNeeded = [...below.values()].some((entry) => entry !== undefined)
    if (now && now.mode !== MODE_TREE && !isNeeded) continue
    const edited = await editTree(objects, now?.mode === MODE_TREE ? now.oid : '', below)
    if ((await objects.tree(edited)).size === 0) entries.delete(name)
    else entries.set(name, { mode: MODE_TREE, name, oid: edited })
  }
  return objects.writeTree([...entries.values()])
}
