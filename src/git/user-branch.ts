/** Moves a branch of a person's repository by compare-and-set, with the work tree that has it checked out, or not at all. */
import { access, lstat } from 'node:fs/promises'
import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { PATHS_SHOWN_MAX } from '../core/limit.ts'
import { type RawName, showPath } from './object.ts'
import type { UserRepository } from './user-repository.ts'

/** `refs/heads/<branch>`. @throws ORCH_GIT_BASE when it cannot be a branch */
export async function branchRef(user: UserRepository, branch: string): Promise<string> {
  const ref = `refs/heads/${branch}`
  const answer = branch.startsWith('-')
    ? { exit: 1 }
    : await user.run(['check-ref-format', ref], { exits: [0, 1] })
  if (answer.exit !== 0) {
    throw new OrchError('ORCH_GIT_BASE', `${JSON.stringify(branch)} is not a branch name`, {
      context: { branch },
    })
  }
  return ref
}

/** Work trees, linked ones too, that have the branch checked out. */
async function holders(user: UserRepository, ref: string): Promise<string[]> {
  const answer = await user.run(['worktree', 'list', '--porcelain', '-z'])
  const found: string[] = []
  let path = ''
  for (const line of answer.stdout.toString('utf8').split('\0')) {
    if (line.startsWith('worktree ')) path = line.slice('worktree '.length)
    else if (line === `branch ${ref}`) found.push(path)
  }
  const isThere = await Promise.all(
    found.map((dir) =>
      access(dir).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.filter((_, index) => isThere[index])
}

/** @throws ORCH_TARGET_DIRTY when a work tree that has the branch checked out holds uncommitted changes */
export async function refuseDirty(user: UserRepository, ref: string): Promise<string[]> {
  const dirs = await holders(user, ref)
  for (const cwd of dirs) {
    const args = [
      'status',
      '--porcelain=v1',
      '-z',
      '--no-renames',
      '--ignore-submodules=all',
      '--untracked-files=no',
    ]
    const answer = await user.run(args, { cwd })
    const lines = answer.stdout.toString('utf8').split('\0')
    const files = lines.filter((line) => line.length > 3).map((line) => line.slice(3))
    if (files.length > 0) throw dirty(cwd, ref, files)
  }
  return dirs
}

function dirty(dir: string, ref: string, files: readonly string[]): OrchError {
  const shown = files.slice(0, 5).join(', ')
  const rest = files.length > 5 ? `, and ${files.length - 5} more` : ''
  const branch = ref.replace('refs/heads/', '')
  return new OrchError(
    'ORCH_TARGET_DIRTY',
    `${dir} has ${branch} checked out with uncommitted changes: ${shown}${rest}`,
    {
      context: { dir, branch, files: files.slice(0, PATHS_SHOWN_MAX), count: files.length },
    },
  )
}

/**
 * Moves the branch from `from` (undefined: it must not exist) to `to`, whose objects are there. Files first, ref last: a crash in between leaves
 * staged changes that say what happened, never a branch that its work tree would revert.
 *
 * @returns false when the branch holds something else by now
 * @throws ORCH_TARGET_DIRTY, also for an untracked file in the way
 */
export async function moveBranch(
  user: UserRepository,
  ref: string,
  to: Oid,
  from: Oid | undefined,
): Promise<boolean> {
  const dirs = from === undefined ? [] : await refuseDirty(user, ref)
  const moved: string[] = []
  try {
    for (const cwd of dirs) {
      await moveFiles(user, cwd, ref, from!, to)
      moved.push(cwd)
    }
    const zero = '0'.repeat(to.length)
    const args = ['update-ref', '--no-deref', '-m', 'orch-node: land', ref, to, from ?? zero]
    const answer = await user.run(args, { exits: [0, 1, 128] })
    if (answer.exit === 0) {
      moved.length = 0
      return true
    }
    if (/exists; cannot create/.test(answer.stderr)) {
      throw new OrchError('ORCH_GIT_FAILED', `cannot make ${ref}: a branch stands in its way`, {
        context: { ref, stderr: answer.stderr },
        hint: 'rename the branch that is named like the first part of it (`git branch -m orch …`)',
      })
    }
    if (!/cannot lock ref/.test(answer.stderr) || answer.stderr.includes('Unable to create')) {
      throw new OrchError('ORCH_GIT_FAILED', `update-ref failed: ${answer.stderr.trim()}`, {
        context: { ref },
      })
    }
    return false
  } finally {
    // The ref did not move: the files go back to what it says.
    for (const cwd of moved) await moveFiles(user, cwd, ref, to, from!)
  }
}

/**
 * Files that no commit has and that the move would overwrite. Git spares untracked files by itself, but takes ignored ones for expendable; to the
 * person who has a local configuration file there they are not.
 */
async function inTheWay(user: UserRepository, cwd: string, from: Oid, to: Oid): Promise<string[]> {
  const listed = await user.run(
    ['diff-tree', '-r', '-z', '--no-renames', '--name-only', '--diff-filter=A', from, to],
    { cwd },
  )
  const added = listed.stdout.toString('latin1').split('\0').filter(Boolean)
  const found: string[] = []
  for (const path of added) {
    const [at, kind] = await standing(cwd, path)
    if (kind === 'nothing') continue
    const spec = `:(literal)${showPath(at)}`
    // A directory is in the way when something in it is not tracked, a file when it is not tracked itself.
    const others = kind === 'directory' ? ['--others'] : []
    const answer = await user.run(['ls-files', '-z', ...others, '--', spec], { cwd })
    if (answer.stdout.length > 0 === (kind === 'directory')) found.push(showPath(at))
    if (found.length >= PATHS_SHOWN_MAX) break
  }
  return [...new Set(found)]
}

/** What stands at a path, or at the nearest of its parents that is no directory. */
async function standing(
  cwd: string,
  path: RawName,
): Promise<[at: RawName, kind: 'nothing' | 'directory' | 'file']> {
  let at = path
  for (;;) {
    try {
      const found = await lstat(Buffer.concat([Buffer.from(`${cwd}/`), Buffer.from(at, 'latin1')]))
      if (found.isDirectory()) return [at, at === path ? 'directory' : 'nothing']
      return [at, 'file']
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const slash = at.lastIndexOf('/')
      if (code === 'ENOENT' || slash < 0) return [at, 'nothing']
      if (code !== 'ENOTDIR') throw error
      at = at.slice(0, slash)
    }
  }
}

async function moveFiles(user: UserRepository, cwd: string, ref: string, from: Oid, to: Oid): Promise<void> {
  const blocking = await inTheWay(user, cwd, from, to)
  if (blocking.length > 0) throw dirty(cwd, ref, blocking)
  await user.run(['update-index', '-q', '--refresh'], { cwd, exits: [0, 1] })
  const answer = await user.run(['read-tree', '-m', '-u', from, to], { cwd, exits: [0, 128] })
  if (answer.exit === 0) return
  const named = [...answer.stderr.matchAll(/(?:Entry '|file '|in '|^\t)([^'\n]+)'?/gm)].map(
    (match) => match[1]!,
  )
  if (named.length > 0 && !answer.stderr.includes('index.lock')) throw dirty(cwd, ref, named)
  throw new OrchError('ORCH_GIT_FAILED', `cannot update the files of ${cwd}: ${answer.stderr.trim()}`, {
    context: { dir: cwd },
  })
}
