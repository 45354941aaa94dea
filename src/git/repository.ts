/** Looks at a person's repository before a run starts: every reason not to start is told here, by code. */
import { createHash } from 'node:crypto'
import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { GIT_IMPORT_MS_MAX, PATHS_SHOWN_MAX } from '../core/limit.ts'
import type { GitAnswer, GitCall } from './command.ts'
import type { ObjectFormat } from './object.ts'
import { UserRepository } from './user-repository.ts'

export interface RepositoryFacts {
  /** Digest of the root commits: 32 hex digits, equal for every clone. */
  readonly id: string
  /** Top level directory. */
  readonly path: string
  readonly isBare: boolean
  readonly format: ObjectFormat
  /** Commit that is checked out. Absent when HEAD has none, which is fine when a base is named. */
  readonly head?: Oid
  /** Commit that tasks start from. */
  readonly base: Oid
  readonly branch?: string
  /** Uncommitted changes, which agents do not see: the first PATHS_SHOWN_MAX paths. */
  readonly dirty: readonly string[]
  readonly dirtyCount: number
}

/**
 * Reads only: takes no lock and refreshes no index (rule GT3). `base` is whatever git reads as a commit; default what is checked out.
 *
 * @throws ORCH_GIT_NOT_REPO, ORCH_GIT_EMPTY, ORCH_GIT_DETACHED, ORCH_GIT_BASE, ORCH_GIT_SHALLOW, ORCH_GIT_SUBMODULES, ORCH_GIT_LFS
 */
export async function inspectRepository(where: string, base?: string): Promise<RepositoryFacts> {
  const user = await UserRepository.open(where)
  const context = { path: user.path }
  const [branch, head] = await Promise.all([user.branch(), user.resolve('HEAD')])
  const named = base !== undefined && base !== 'HEAD'
  const start = named ? await user.resolve(base) : head
  if (start === undefined) {
    if (!(await hasCommits(user)))
      throw new OrchError('ORCH_GIT_EMPTY', `${user.path} has no commit yet`, { context })
    const what = named ? base : 'HEAD'
    throw new OrchError('ORCH_GIT_BASE', `${JSON.stringify(what)} names no commit of ${user.path}`, {
      context: { ...context, base: what },
    })
  }
  if (!named && branch === undefined)
    throw new OrchError('ORCH_GIT_DETACHED', `HEAD of ${user.path} is detached`, { context })
  if (user.isShallow) throw new OrchError('ORCH_GIT_SHALLOW', `${user.path} is a shallow clone`, { context })
  await refusePartial(user)
  await refuseTree(user, start)
  const [id, dirty] = await Promise.all([identity(user, start), dirtyPaths(user)])
  return {
    id,
    path: user.path,
    isBare: user.isBare,
    format: user.format,
    base: start,
    dirty: dirty.slice(0, PATHS_SHOWN_MAX),
    dirtyCount: dirty.length,
    ...(head !== undefined && { head }),
    ...(branch !== undefined && { branch }),
  }
}

async function hasCommits(user: UserRepository): Promise<boolean> {
  const answer = await user.run(['rev-list', '--all', '--max-count=1'])
  return answer.stdout.length > 0
}

/** A clone without all blobs would fetch them on demand, which we never let git do. */
async function refusePartial(user: UserRepository): Promise<void> {
  const args = ['config', '--local', '--get-regexp', '^(extensions\\.partialclone|remote\\..*\\.promisor)$']
  const answer = await user.run(args, { exits: [0, 1] })
  if (answer.exit !== 0) return
  throw new OrchError('ORCH_GIT_SHALLOW', `${user.path} is a partial clone`, {
    context: { path: user.path },
    hint: 'clone it again without `--filter`',
  })
}

/** What a base may not hold, wherever it comes from. `where.path` is told in the error. */
export async function refuseTree(
  where: { readonly path: string; run(args: readonly string[], extra?: GitCall): Promise<GitAnswer> },
  base: Oid,
): Promise<void> {
  const listing = await where.run(['ls-tree', '-r', '-z', '--end-of-options', base])
  const text = listing.stdout.toString('latin1')
  const context = { path: where.path, base }
  const gitlink = /(?:^|\0)160000 commit [0-9a-f]+\t([^\0]*)/.exec(text)
  if (gitlink || /(?:^|\0)\d+ blob [0-9a-f]+\t\.gitmodules\0/.test(text)) {
    const what = gitlink?.[1] ?? '.gitmodules'
    throw new OrchError(
      'ORCH_GIT_SUBMODULES',
      `the base has a submodule: ${Buffer.from(what, 'latin1').toString()}`,
      { context },
    )
  }
  const oids = new Set<Oid>()
  for (const match of text.matchAll(/(?:^|\0)100\d+ blob ([0-9a-f]+)\t(?:[^\0]*\/)?\.gitattributes(?=\0)/g))
    oids.add(match[1]!)
  if (oids.size === 0) return
  const bodies = await where.run(['cat-file', '--batch'], { input: `${[...oids].join('\n')}\n` })
  if (/^[^#\n]*\sfilter=lfs(?:\s|$)/m.test(bodies.stdout.toString('utf8'))) {
    throw new OrchError('ORCH_GIT_LFS', 'the base keeps files in LFS (`filter=lfs` in .gitattributes)', {
      context,
    })
  }
}

async function identity(user: UserRepository, base: Oid): Promise<string> {
  const answer = await user.run(['rev-list', '--max-parents=0', '--end-of-options', base], {
    timeoutMs: GIT_IMPORT_MS_MAX,
  })
  return identityOf(answer.stdout.toString('latin1').trim().split('\n'))
}

/** Identity of the repository with these root commits. */
export function identityOf(roots: readonly Oid[]): string {
  return createHash('sha256')
    .update([...roots].sort().join('\n'))
    .digest('hex')
    .slice(0, 32)
}

/** Changed and untracked paths; an untracked directory is one path. */
async function dirtyPaths(user: UserRepository): Promise<string[]> {
  if (user.isBare) return []
  const args = [
    '--no-optional-locks',
    'status',
    '--porcelain=v1',
    '-z',
    '--no-renames',
    '--ignore-submodules=all',
    '--untracked-files=normal',
  ]
  const answer = await user.run(args)
  return answer.stdout
    .toString('utf8')
    .split('\0')
    .filter((line) => line.length > 3)
    .map((line) => line.slice(3))
}
