/**
 * Reads the files of a workspace into a tree, with our git directory and our index. The clone's own `.git` takes no part: not its configuration,
 * hooks, filters, index, HEAD or ignore list, so it may be gone, broken or hostile (threat model X6).
 */
import { randomBytes } from 'node:crypto'
import { lstat, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import type { BareRepository } from './bare.ts'
import { copyIndex, isRealDirectory, privateIndex } from './clone-dir.ts'
import { MODE_GITLINK, MODE_TREE, type RawName, showPath } from './object.ts'
import { diffTrees } from './tree-diff.ts'
import { editTree } from './tree-edit.ts'

export interface Snapshot {
  readonly tree: Oid
  /** Repositories found inside, taken as plain files without their `.git`. */
  readonly nested: readonly string[]
  /** What could not be read, in git's words. */
  readonly unreadable: readonly string[]
}

/** Repositories inside repositories inside …: more is not read. */
const NESTED_MAX = 64

/** @throws ORCH_GIT_FAILED when the directory is gone or is not one */
export async function takeSnapshot(bare: BareRepository, dir: string, base: Oid): Promise<Snapshot> {
  if (!(await isRealDirectory(dir))) {
    throw new OrchError('ORCH_GIT_FAILED', `the workspace ${dir} is gone`, { context: { dir } })
  }
  const known = privateIndex(bare, dir)
  const index = scratchIndex(bare)
  try {
    // Without an index of ours, files that are tracked and ignored at once would look deleted.
    if (!(await copyIndex(known, index))) await bare.run(['read-tree', base], { indexFile: index })
    const nested: string[] = []
    const unreadable: string[] = []
    const tree = await readFiles(bare, { dir, index, base, prefix: '', nested, unreadable })
    // An index with foreign repositories in it is not kept: git would ask them for their state, with their configuration.
    if (nested.length === 0) await rename(index, known).catch(() => {})
    return { tree, nested, unreadable: unreadable.slice(0, 20) }
  } finally {
    await rm(index, { force: true })
    await rm(`${index}.lock`, { force: true })
  }
}

function scratchIndex(bare: BareRepository): string {
  return join(bare.dir, 'orch', 'index', `scratch-${randomBytes(8).toString('hex')}`)
}

interface Reading {
  readonly dir: string
  readonly index: string
  readonly base: Oid
  readonly prefix: RawName
  readonly nested: string[]
  readonly unreadable: string[]
  readonly ignoreFile?: string
}

async function readFiles(bare: BareRepository, reading: Reading): Promise<Oid> {
  const { dir, index, base, prefix, nested, unreadable } = reading
  const config = [
    'core.bare=false',
    ...(reading.ignoreFile === undefined ? [] : [`core.excludesFile=${reading.ignoreFile}`]),
  ]
  const call = { cwd: dir, workTree: dir, indexFile: index, config }
  const added = await bare.run(['add', '-A', '--ignore-errors', '--no-warn-embedded-repo', '--', '.'], {
    ...call,
    exits: [0, 1, 128],
  })
  const unborn = new Set<RawName>()
  if (added.exit !== 0) {
    for (const line of added.stderr.split('\n')) {
      const found = /^error: '(.*)\/' does not have a commit checked out$/.exec(line)
      if (found) unborn.add(Buffer.from(found[1]!).toString('latin1'))
      else if (
        /^(error|fatal): /.test(line) &&
        !/unable to index file|adding files failed|updating files failed/.test(line)
      ) {
        unreadable.push(line.slice(0, 300))
      }
    }
    if (unborn.size === 0 && unreadable.length === 0) {
      throw new OrchError('ORCH_GIT_FAILED', `git add failed: ${added.stderr.trim()}`, { context: { dir } })
    }
  }
  const written = await bare.run(['write-tree', '--missing-ok'], call)
  const tree = written.stdout.toString('latin1').trim()
  const changes = await diffTrees(bare.objects, base, tree)
  const inner = new Set(unborn)
  for (const change of changes) if (change.after?.mode === MODE_GITLINK) inner.add(change.path)
  if (inner.size === 0) return tree
  const edits = new Map<RawName, { mode: string; oid: Oid } | undefined>()
  for (const path of inner) {
    if (nested.length >= NESTED_MAX)
      throw new OrchError('ORCH_GIT_HOSTILE', `more than ${NESTED_MAX} repositories inside ${dir}`)
    nested.push(showPath(prefix + path))
    edits.set(path, await readNested(bare, reading, path))
  }
  return editTree(bare.objects, tree, edits)
}

/** The files of a repository inside the workspace, as files of the workspace. */
async function readNested(
  bare: BareRepository,
  outer: Reading,
  path: RawName,
): Promise<{ mode: string; oid: Oid } | undefined> {
  const dir = join(outer.dir, showPath(path))
  if (!(await isRealDirectory(dir))) {
    outer.unreadable.push(`repository ${showPath(outer.prefix + path)}: its directory cannot be opened`)
    return undefined
  }
  const index = scratchIndex(bare)
  const ignore = join(outer.dir, '.gitignore')
  const hasIgnore = await lstat(ignore).then(
    (found) => found.isFile(),
    () => false,
  )
  const ignoreFile = hasIgnore ? ignore : outer.ignoreFile
  try {
    const prefix = `${outer.prefix}${path}/`
    const reading = {
      ...outer,
      dir,
      index,
      base: '',
      prefix,
      ...(ignoreFile !== undefined && { ignoreFile }),
    }
    const oid = await readFiles(bare, reading)
    return (await bare.objects.tree(oid)).size > 0 ? { mode: MODE_TREE, oid } : undefined
  } finally {
    await rm(index, { force: true })
  }
}
