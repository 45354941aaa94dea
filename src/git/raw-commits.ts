/** Finds the commit that a worker left checked out in its clone, by reading files only: git is never started inside it. */
import { lstat, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Oid } from '../core/id.ts'
import type { BareRepository } from './bare.ts'
import { alternatesText, isRealDirectory } from './clone-dir.ts'
import { isOid } from './object.ts'

export interface WorkerCommit {
  readonly oid: Oid
  readonly objectDir: string
}

/** `undefined` when the clone is not as we made it: no `.git` of its own, other alternates, a HEAD that cannot be read. */
export async function workerCommit(bare: BareRepository, dir: string): Promise<WorkerCommit | undefined> {
  const git = join(dir, '.git')
  const objectDir = join(git, 'objects')
  if (!(await isRealDirectory(git)) || !(await isRealDirectory(objectDir))) return undefined
  if ((await readSmall(join(objectDir, 'info', 'alternates'))) !== alternatesText(bare)) return undefined
  const head = (await readSmall(join(git, 'HEAD')))?.trim() ?? ''
  if (isOid(head)) return { oid: head, objectDir }
  const ref = /^ref: (refs\/heads\/[A-Za-z0-9][A-Za-z0-9._/-]{0,200})$/.exec(head)?.[1]
  if (ref === undefined || ref.includes('..')) return undefined
  const loose = (await readSmall(join(git, ref)))?.trim()
  if (loose !== undefined) return isOid(loose) ? { oid: loose, objectDir } : undefined
  const packed = await readSmall(join(git, 'packed-refs'), 1024 * 1024)
  const line = packed?.split('\n').find((text) => text.endsWith(` ${ref}`))
  const oid = line?.slice(0, line.indexOf(' ')) ?? ''
  return isOid(oid) ? { oid, objectDir } : undefined
}

/** A small plain file; `undefined` for links, pipes, devices and what is too long. */
async function readSmall(path: string, bytesMax = 4_096): Promise<string | undefined> {
  const found = await lstat(path).catch(() => undefined)
  if (!found?.isFile() || found.size > bytesMax) return undefined
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return undefined
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(found.size), 0, found.size, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}
