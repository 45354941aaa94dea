/**
 * A clone made by hand: own `.git` with own configuration, index and refs, objects borrowed from our bare repository. Half the time of
 * `git clone --shared`, and no step of it reads what a worker may have left there.
 */
import { createHash } from 'node:crypto'
import { copyFile, lstat, mkdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Oid } from '../core/id.ts'
import type { BareRepository } from './bare.ts'
import { assertOid } from './ref.ts'

export interface CloneIdentity {
  readonly name: string
  readonly email: string
}

/** Branch that a worker finds checked out. */
const CLONE_BRANCH = 'orch'

/** Our own index of a clone's files, where the worker does not reach by accident. */
export function privateIndex(bare: BareRepository, dir: string): string {
  return join(bare.dir, 'orch', 'index', createHash('sha256').update(dir).digest('hex').slice(0, 24))
}

/** What `objects/info/alternates` of a clone says, to the byte. */
export function alternatesText(bare: BareRepository): string {
  return `${join(bare.dir, 'objects')}\n`
}

function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replace(/\p{Cc}/gu, ' ')}"`
}

/** Writes `.git` anew, whatever stood there. `detached`: HEAD names the commit itself. */
export async function writeGitDir(
  bare: BareRepository,
  dir: string,
  commit: Oid,
  options: { readonly identity: CloneIdentity; readonly detached?: boolean },
): Promise<void> {
  const git = join(dir, '.git')
  await rm(git, { recursive: true, force: true })
  await Promise.all([
    mkdir(join(git, 'objects', 'info'), { recursive: true }),
    mkdir(join(git, 'objects', 'pack'), { recursive: true }),
    mkdir(join(git, 'refs', 'heads'), { recursive: true }),
    mkdir(join(git, 'refs', 'tags'), { recursive: true }),
    mkdir(join(git, 'info'), { recursive: true }),
  ])
  const isNew = bare.format === 'sha256'
  const config = `[core]
\trepositoryformatversion = ${isNew ? 1 : 0}
\tfilemode = true
\tbare = false
\tlogallrefupdates = true
\tautocrlf = false
${isNew ? '[extensions]\n\tobjectFormat = sha256\n' : ''}[user]
\tname = ${quote(options.identity.name)}
\temail = ${quote(options.identity.email)}
[gc]
\tauto = 0
[maintenance]
\tauto = false
[commit]
\tgpgSign = false
`
  await Promise.all([
    writeFile(join(git, 'HEAD'), options.detached ? `${commit}\n` : `ref: refs/heads/${CLONE_BRANCH}\n`),
    options.detached ? undefined : writeFile(join(git, 'refs', 'heads', CLONE_BRANCH), `${commit}\n`),
    writeFile(join(git, 'objects', 'info', 'alternates'), alternatesText(bare)),
    writeFile(join(git, 'info', 'exclude'), ''),
    writeFile(join(git, 'config'), config),
  ])
}

/** Makes the files of `dir` those of `commit`, and `index` say so. Untracked files stay. */
export async function checkOut(bare: BareRepository, dir: string, commit: Oid, index: string): Promise<void> {
  await bare.objects.flush()
  await rm(`${index}.lock`, { force: true })
  assertOid(commit)
  await bare.run(['read-tree', '--reset', '-u', commit], {
    cwd: dir,
    workTree: dir,
    indexFile: index,
    config: ['core.bare=false'],
  })
}

/** Copies an index with its time: git takes files as new as the index for changed, so the time must not grow. */
export async function copyIndex(from: string, to: string): Promise<boolean> {
  const found = await stat(from).catch(() => undefined)
  if (!found) return false
  await copyFile(from, to)
  await utimes(to, found.atime, new Date(Math.floor(found.mtimeMs)))
  return true
}

export async function isRealDirectory(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined)
  return found?.isDirectory() ?? false
}
