/** Files of the data directory that must be whole after a crash: written beside, synced, renamed; readable by their owner only. */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { OrchError } from '../core/error.ts'

export const FILE_MODE = 0o600
export const DIRECTORY_MODE = 0o700

/** Makes the directory and its parents. Rejected as `ORCH_DATA_DIR`. */
export function makeDataDir(dir: string): void {
  try {
    makeTree(dir)
  } catch (cause) {
    throw dataDirFault(dir, cause)
  }
}

/** Not `recursive` of Node: where a file system says ENOENT to a new name in a directory that is there (/proc, a removed one), it never returns. */
function makeTree(dir: string): void {
  try {
    mkdirSync(dir, { mode: DIRECTORY_MODE })
  } catch (error) {
    if (errno(error) === 'EEXIST' && statSync(dir).isDirectory()) return
    const parent = dirname(dir)
    if (errno(error) !== 'ENOENT' || parent === dir || existsSync(parent)) throw error
    makeTree(parent)
    makeTree(dir)
  }
}

/** Makes names in a directory durable. Some file systems cannot, and need not. */
export function syncDirectory(dir: string): void {
  try {
    const fd = openSync(dir, 'r')
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    const code = errno(error)
    if (code !== 'EINVAL' && code !== 'EISDIR' && code !== 'EPERM' && code !== 'ENOTSUP') throw error
  }
}

/** Writes a whole file under a new name and syncs it. */
export function writeSyncedFile(path: string, content: string | Uint8Array): void {
  const fd = openSync(path, 'wx', FILE_MODE)
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Replaces `path` by `from`, durably. */
export function renameDurably(from: string, path: string): void {
  renameSync(from, path)
  syncDirectory(dirname(path))
}

/** Gives `from` the name `path` unless that exists: true for exactly one of several racing callers. `from` keeps its name. */
export function linkOnce(from: string, path: string): boolean {
  try {
    linkSync(from, path)
    return true
  } catch (error) {
    if (errno(error) === 'EEXIST') return false
    throw error
  }
}

export function removeIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw error
  }
}

export function errno(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? ''
}

/** What the system said, as an error that says what to do. What is not of the system is passed on as it is. */
export function dataDirFault(path: string, cause: unknown): unknown {
  if (cause instanceof OrchError || (cause as NodeJS.ErrnoException).syscall === undefined) return cause
  const code = errno(cause)
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFault(path, cause)
  const why: Record<string, string> = {
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the file system is read-only',
    ENOTDIR: 'a part of the path is no directory',
    ENOENT: 'nothing can be made there',
    EEXIST: 'there is a file of that name',
  }
  return new OrchError('ORCH_DATA_DIR', `${path}: ${why[code] ?? (cause as Error).message}`, {
    context: { path },
    cause,
  })
}

export function diskFault(path: string, cause: unknown): OrchError {
  const code = errno(cause)
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  const message = isFull ? `no space left for ${path}` : `writing ${path} failed: ${(cause as Error).message}`
  return new OrchError(isFull ? 'ORCH_DISK_FULL' : 'ORCH_DISK_FAILED', message, {
    context: { path, errno: code },
    cause,
  })
}
