/**
 * Git objects as bytes: trees and commits read and written without a process. Names inside are kept as latin1 strings, one character per byte,
 * so that file names in any encoding survive; `showPath` is for people and for globs.
 */
import { createHash } from 'node:crypto'
import type { Oid } from '../core/id.ts'

export type ObjectFormat = 'sha1' | 'sha256'
export type ObjectType = 'blob' | 'tree' | 'commit' | 'tag'

export const MODE_TREE = '40000'
export const MODE_FILE = '100644'
export const MODE_EXECUTABLE = '100755'
export const MODE_SYMLINK = '120000'
export const MODE_GITLINK = '160000'

const OID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/

export function isOid(text: string): text is Oid {
  return OID.test(text)
}

/** File name bytes as latin1. */
export type RawName = string

export interface TreeEntry {
  /** Octal, exactly as written in the object. */
  readonly mode: string
  readonly name: RawName
  readonly oid: Oid
}

export interface Commit {
  readonly tree: Oid
  readonly parents: readonly Oid[]
  /** `Name <mail> seconds zone`, bytes as they are. */
  readonly author: string
  readonly committer: string
  readonly message: string
}

export function objectId(format: ObjectFormat, type: ObjectType, body: Buffer): Oid {
  return createHash(format).update(`${type} ${body.length}\0`).update(body).digest('hex')
}

/** @throws RangeError on a truncated tree */
export function parseTree(body: Buffer, format: ObjectFormat): TreeEntry[] {
  const size = format === 'sha1' ? 20 : 32
  const entries: TreeEntry[] = []
  let at = 0
  while (at < body.length) {
    const space = body.indexOf(0x20, at)
    const nul = space < 0 ? -1 : body.indexOf(0, space + 1)
    if (nul < 0 || nul + 1 + size > body.length) throw new RangeError('truncated tree object')
    entries.push({
      mode: body.toString('latin1', at, space),
      name: body.toString('latin1', space + 1, nul),
      oid: body.toString('hex', nul + 1, nul + 1 + size),
    })
    at = nul + 1 + size
  }
  return entries
}

/** Git's order: by bytes, directories as if their names ended in a slash. */
function sortKey(entry: TreeEntry): string {
  return entry.mode === MODE_TREE ? `${entry.name}/` : entry.name
}

export function formatTree(entries: readonly TreeEntry[]): Buffer {
  const keyed = entries.map((entry) => ({ entry, key: sortKey(entry) }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  const parts: Buffer[] = []
  for (const { entry } of keyed) {
    parts.push(Buffer.from(`${entry.mode} ${entry.name}\0`, 'latin1'), Buffer.from(entry.oid, 'hex'))
  }
  return Buffer.concat(parts)
}

/** Reads the headers that we use. Unknown ones (signatures, encodings) are passed over. */
export function parseCommit(body: Buffer): Commit {
  const text = body.toString('utf8')
  const end = text.indexOf('\n\n')
  const head = end < 0 ? text : text.slice(0, end)
  const parents: Oid[] = []
  let tree = ''
  let author = ''
  let committer = ''
  for (const line of head.split('\n')) {
    if (line.startsWith('tree ')) tree ||= line.slice(5)
    else if (line.startsWith('parent ')) parents.push(line.slice(7))
    else if (line.startsWith('author ')) author ||= line.slice(7)
    else if (line.startsWith('committer ')) committer ||= line.slice(10)
  }
  return { tree, parents, author, committer, message: end < 0 ? '' : text.slice(end + 2) }
}

export function formatCommit(commit: Commit): Buffer {
  const lines = [`tree ${commit.tree}`, ...commit.parents.map((oid) => `parent ${oid}`)]
  lines.push(`author ${commit.author}`, `committer ${commit.committer}`, '', commit.message)
  return Buffer.from(lines.join('\n'), 'utf8')
}

/** A path for people and for globs: UTF-8, what is not becomes U+FFFD. */
export function showPath(raw: RawName): string {
  return Buffer.from(raw, 'latin1').toString('utf8')
}
