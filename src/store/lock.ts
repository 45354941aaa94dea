/**
 * One process writes a data directory. `node.lock` names it; a lock whose process is gone is taken over by exactly one of its contenders:
 *
 *     absent ──link──▶ node.lock (X)
 *     X is dead ──link node.lock.<token of X>──▶ heir of X ──rename──▶ node.lock
 *
 * A link is made once and whole, so X has one heir, whoever races. An heir that dies in between has an heir itself. Whoever won looks at
 * `node.lock` once more: if that is no longer X, its heir was quicker, and the win is void.
 */
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, realpathSync, renameSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import type { WallMs } from '../core/id.ts'
import { LOCK_TRIES_MAX } from '../core/limit.ts'
import {
  dataDirFault,
  errno,
  linkOnce,
  makeDataDir,
  removeIfThere,
  syncDirectory,
  writeSyncedFile,
} from './durable-file.ts'
import { bootId, hostId, isSameProcess, readStartTicks } from './process-identity.ts'

const LOCK_FILE = 'node.lock'

/** Content of the lock file. */
export interface LockHolder {
  readonly v: 1
  readonly pid: number
  readonly startTicks: string
  /** Digest of the machine; `hostname` is for people. */
  readonly host: string
  readonly hostname: string
  readonly boot: string
  readonly command: string
  readonly at: WallMs
  readonly token: string
}

export interface DataDirLock {
  readonly path: string
  readonly holder: LockHolder
  /** Gives the directory free. Idempotent. Never throws. */
  release(): void
}

export interface LockOptions {
  readonly now?: () => WallMs
  /** What people see when another process finds the lock. Default: the command line of this process. */
  readonly command?: string
}

const UNREADABLE = 'unreadable'

/** Directories that this process holds: the lock file cannot tell two opens of one process apart. */
const held = new Set<string>()

/**
 * Takes the data directory for this process. Does not wait.
 *
 * @throws ORCH_LOCKED naming the holder's pid and command, ORCH_DATA_DIR
 */
export function acquireLock(dataDir: string, options: LockOptions = {}): DataDirLock {
  makeDataDir(dataDir)
  const dir = realpathSync(dataDir)
  if (held.has(dir)) {
    throw new OrchError('ORCH_LOCKED', `this process (pid ${process.pid}) has ${dir} open already`, {
      context: { dir, pid: process.pid },
    })
  }
  const holder: LockHolder = {
    v: 1,
    pid: process.pid,
    startTicks: readStartTicks(process.pid) ?? '',
    host: hostId(),
    hostname: hostname(),
    boot: bootId(),
    command: options.command ?? process.argv.slice(0, 3).join(' '),
    at: (options.now ?? Date.now)(),
    token: randomBytes(8).toString('hex'),
  }
  const path = join(dir, LOCK_FILE)
  const own = `${path}.${holder.token}.new`
  try {
    writeSyncedFile(own, `${JSON.stringify(holder)}\n`)
    try {
      take(dir, path, own, holder)
    } finally {
      removeIfThere(own)
    }
    sweep(dir)
    syncDirectory(dir)
  } catch (error) {
    throw dataDirFault(path, error)
  }
  held.add(dir)
  return { path, holder, release: () => release(dir, path, holder) }
}

/** Who holds a data directory, and whether that process lives; `undefined` when nobody does. For people: takes nothing. */
export function readLock(
  dataDir: string,
): { readonly holder: LockHolder; readonly isAlive: boolean } | undefined {
  const holder = readHolder(join(dataDir, LOCK_FILE))
  return holder && { holder, isAlive: holder.host === hostId() && isAlive(holder) }
}

function take(dir: string, path: string, own: string, holder: LockHolder): void {
  for (let tries = 0; tries < LOCK_TRIES_MAX; tries++) {
    if (linkOnce(own, path)) return
    const first = readHolder(path)
    if (!first) continue
    const last = lastHeir(path, first)
    refuseIfAlive(dir, last)
    const claim = heirPath(path, last)
    if (!linkOnce(own, claim)) continue
    if (readHolder(path)?.token !== first.token) {
      removeIfThere(claim)
      continue
    }
    renameSync(own, path)
    removeIfThere(claim)
    if (readHolder(path)?.token === holder.token) return
  }
  throw new OrchError(
    'ORCH_LOCKED',
    `${path} changes hands all the time: giving up after ${LOCK_TRIES_MAX} tries`,
    { context: { dir } },
  )
}

/** Follows the dead from the lock to the one who inherited last. */
function lastHeir(path: string, first: LockHolder): LockHolder {
  let last = first
  for (let depth = 0; depth < LOCK_TRIES_MAX && last.host === hostId() && !isAlive(last); depth++) {
    const heir = readHolder(heirPath(path, last))
    if (!heir) break
    last = heir
  }
  return last
}

function heirPath(path: string, holder: LockHolder): string {
  return `${path}.${holder.token}`
}

function refuseIfAlive(dir: string, holder: LockHolder): void {
  const context = { dir, pid: holder.pid, command: holder.command, hostname: holder.hostname }
  if (holder.host !== hostId()) {
    const hint = `stop it there; if it is gone for good (or this directory is a copy), remove ${join(dir, LOCK_FILE)}`
    throw new OrchError(
      'ORCH_LOCKED',
      `${dir} is locked by pid ${holder.pid} on another machine, ${holder.hostname}: ${holder.command}`,
      { context, hint },
    )
  }
  if (isAlive(holder)) {
    throw new OrchError('ORCH_LOCKED', `${dir} is used by pid ${holder.pid}: ${holder.command}`, { context })
  }
}

function isAlive(holder: LockHolder): boolean {
  return holder.boot === bootId() && isSameProcess(holder.pid, holder.startTicks)
}

/** `undefined` when there is no such file. A file that nobody can have written whole is of a dead holder. */
function readHolder(path: string): LockHolder | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const holder: LockHolder = JSON.parse(text)
    if (
      Number.isSafeInteger(holder.pid) &&
      typeof holder.host === 'string' &&
      /^[0-9a-f]{16}$/.test(holder.token)
    )
      return holder
  } catch {
    // Emptied by a power loss, or written by hand: judged below.
  }
  return {
    v: 1,
    pid: 0,
    startTicks: '-',
    host: hostId(),
    hostname: hostname(),
    boot: '-',
    command: '',
    at: 0,
    token: UNREADABLE,
  }
}

/** Removes what dead contenders left behind. Names of the living are their own business. */
function sweep(dir: string): void {
  for (const name of readdirSync(dir)) {
    if (!name.startsWith(`${LOCK_FILE}.`)) continue
    const holder = readHolder(join(dir, name))
    // Not one that cannot be read: its writer may be about to.
    if (holder && holder.token !== UNREADABLE && holder.host === hostId() && !isAlive(holder))
      removeIfThere(join(dir, name))
  }
}

function release(dir: string, path: string, holder: LockHolder): void {
  if (!held.delete(dir)) return
  try {
    if (readHolder(path)?.token === holder.token) removeIfThere(path)
  } catch {
    // The directory may be gone or read-only by now. A lock that stays is stale as soon as this process ends.
  }
}
