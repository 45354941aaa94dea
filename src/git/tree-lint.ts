/**
 * What git's own fsck lets pass and we do not (threat model X11): names that another file system reads as something else, links that lead out
 * of the tree, foreign repositories. Only what a delta adds or changes is judged: an honest base may hold any of it.
 */
import type { Oid } from '../core/id.ts'
import { PATH_BYTES_MAX, PATHS_SHOWN_MAX, TREE_DEPTH_MAX } from '../core/limit.ts'
import {
  MODE_EXECUTABLE,
  MODE_FILE,
  MODE_GITLINK,
  MODE_SYMLINK,
  MODE_TREE,
  showPath,
  type TreeEntry,
} from './object.ts'
import type { ObjectStore } from './object-store.ts'

export interface LintProblem {
  readonly path: string
  readonly why: string
}

const MODES = new Set([MODE_FILE, MODE_EXECUTABLE, MODE_TREE, MODE_SYMLINK])
/** Characters that HFS+ leaves out of names. */
const IGNORABLE = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g
const DEVICE =
  /^(?:con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$) *(?:\.|$)/i
/** Short names that NTFS gives to `.git` and `.gitmodules`. */
const NTFS_GIT = /^git~\d+$/
const NTFS_MODULES = /^(?:gitmod|gi7eba)~\d+$/

/** Checks what differs between `base` (`''`: nothing) and `head`. Stops at PATHS_SHOWN_MAX problems. */
export async function lintTree(objects: ObjectStore, base: Oid, head: Oid): Promise<LintProblem[]> {
  const problems: LintProblem[] = []
  const queue = [{ base, head, prefix: '', depth: 1 }]
  for (let next = queue.pop(); next && problems.length < PATHS_SHOWN_MAX; next = queue.pop()) {
    const { prefix, depth } = next
    const before = await objects.tree(next.base)
    const entries = await objects.rawTree(next.head)
    const say = (entry: TreeEntry, why: string): void => {
      problems.push({ path: showPath(prefix + entry.name), why })
    }
    lintSiblings(entries, before, say)
    for (const entry of entries) {
      const old = before.get(entry.name)
      if (old && old.mode === entry.mode && old.oid === entry.oid) continue
      const bad = (old ? undefined : nameProblem(entry.name)) ?? modeProblem(entry)
      if (bad) say(entry, bad)
      const bytes = prefix.length + entry.name.length
      if (bytes > PATH_BYTES_MAX) say(entry, `path of ${bytes} bytes, at most ${PATH_BYTES_MAX}`)
      else if (entry.mode === MODE_SYMLINK) {
        const why = await linkProblem(objects, entry, depth)
        if (why) say(entry, why)
      } else if (entry.mode === MODE_TREE) {
        if (depth >= TREE_DEPTH_MAX) say(entry, `deeper than ${TREE_DEPTH_MAX} directories`)
        else {
          const oldTree = old?.mode === MODE_TREE ? old.oid : ''
          queue.push({ base: oldTree, head: entry.oid, prefix: `${prefix}${entry.name}/`, depth: depth + 1 })
        }
      }
    }
  }
  return problems.slice(0, PATHS_SHOWN_MAX)
}

/** Two names that one file system cannot tell apart, when at least one of them is new. */
function lintSiblings(
  entries: readonly TreeEntry[],
  before: ReadonlyMap<string, TreeEntry>,
  say: (entry: TreeEntry, why: string) => void,
): void {
  const seen = new Map<string, TreeEntry>()
  for (const entry of entries) {
    const key = foldName(entry.name)
    const other = seen.get(key)
    if (other && !(before.has(entry.name) && before.has(other.name) && other.name !== entry.name)) {
      say(
        before.has(entry.name) ? other : entry,
        `collides with ${showPath(before.has(entry.name) ? entry.name : other.name)}`,
      )
    }
    seen.set(key, entry)
  }
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Equal for names that a case-insensitive or normalising file system holds equal. Names that are not UTF-8 equal only themselves. */
export function foldName(raw: string): string {
  let name: string
  try {
    name = UTF8.decode(Buffer.from(raw, 'latin1'))
  } catch {
    return `\0${raw}`
  }
  return name.normalize('NFC').replace(IGNORABLE, '').toUpperCase().toLowerCase().normalize('NFC')
}

/** Why a name is refused; `undefined` when it is fine. */
export function nameProblem(raw: string): string | undefined {
  const name = showPath(raw)
  if (name === '' || name === '.' || name === '..' || name.includes('/')) return 'not a file name'
  if (/\p{Cc}/u.test(name)) return 'control character in the name'
  const plain = name
    .replace(IGNORABLE, '')
    .toLowerCase()
    .split(':')[0]!
    .replace(/[. ]+$/, '')
  if (plain === '.git' || NTFS_GIT.test(plain)) return 'reads as .git'
  if (plain === '.gitmodules' || NTFS_MODULES.test(plain)) return 'reads as .gitmodules'
  if (name.includes('\\')) return 'backslash in the name'
  if (name.includes(':')) return 'colon in the name'
  if (/[. ]$/.test(name)) return 'name ends in a dot or a space'
  if (name.startsWith('-')) return 'name starts with a dash'
  if (DEVICE.test(name)) return 'name of a device on Windows'
  return undefined
}

function modeProblem(entry: TreeEntry): string | undefined {
  if (entry.mode === MODE_GITLINK) return 'is a repository of its own (gitlink)'
  return MODES.has(entry.mode) ? undefined : `mode ${entry.mode}`
}

/** `depth` counts the directories above the link, the root included. */
async function linkProblem(
  objects: ObjectStore,
  entry: TreeEntry,
  depth: number,
): Promise<string | undefined> {
  const size = (await objects.info(entry.oid))?.size
  if (size === undefined) return 'link without a target'
  if (size > PATH_BYTES_MAX) return `link target of ${size} bytes, at most ${PATH_BYTES_MAX}`
  const target = (await objects.read(entry.oid))?.body.toString('latin1') ?? ''
  return targetProblem(target, depth)
}

/**
 * A target may go up only at its start: `a/../b` through a linked directory `a` ends somewhere else than it reads. With that every link resolves
 * inside the tree, through other links too.
 */
export function targetProblem(target: string, depth: number): string | undefined {
  if (target === '' || /[\0\\]/.test(target)) return 'link target is not a path'
  if (target.startsWith('/') || /^[A-Za-z]:/.test(target)) return 'link to an absolute path'
  let up = 0
  let isDown = false
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      if (isDown) return 'link target goes down and up again'
      up += 1
      if (up >= depth) return 'link leads out of the tree'
      continue
    }
    isDown = true
    if (/^reads as \.git$/.test(nameProblem(part) ?? '')) return 'link into .git'
  }
  return undefined
}
