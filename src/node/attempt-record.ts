/** Directories of attempts, and what is kept in them for the process that comes after this one. */
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import { type AttemptId, type DurationMs, type Oid, readAttemptId, type WallMs } from '../core/id.ts'
import { bootId } from '../store/process-identity.ts'

/** `node.json` of an attempt, version 1. Written before the worker exists. */
export interface AttemptRecord {
  readonly v: 1
  readonly attempt: AttemptId
  readonly startedAt: WallMs
  /** The machine's own clock at that moment, and the boot it belongs to: an age that no change of the wall clock can falsify. Optional, since 0.1.0. */
  readonly upMs?: number
  readonly boot?: string
  /** What the worker proves itself with; valid for this attempt only. */
  readonly token: string
  readonly outside?: true
  /** Absent for runs without files. */
  readonly repository?: string
  readonly base?: Oid
  readonly workspace: string
  readonly workspaceMs?: DurationMs
  readonly hints: readonly string[]
}

const RECORD_FILE = 'node.json'

/** Goes on counting over the lives of processes, and begins anew with each boot. */
export function machineTime(): { readonly upMs: number; readonly boot: string } {
  return { upMs: Number(process.hrtime.bigint() / 1_000_000n), boot: bootId() }
}

/** Time since the attempt began. After a boot only the wall clock knows. */
export function ageOf(record: AttemptRecord): DurationMs {
  const { upMs, boot } = machineTime()
  if (record.upMs !== undefined && record.boot === boot && upMs >= record.upMs) return upMs - record.upMs
  return Math.max(0, Date.now() - record.startedAt)
}

/** `attempts/<run>/<task>/<round>.<epoch>-<last 8 of the incarnation>`. */
export function attemptDir(dataDir: string, id: AttemptId): string {
  return join(dataDir, 'attempts', attemptPath(id))
}

export function workspaceDir(dataDir: string, id: AttemptId): string {
  return join(dataDir, 'workspaces', attemptPath(id))
}

function attemptPath(id: AttemptId): string {
  const slot = readAttemptId(id)
  if (!slot) throw new OrchError('ORCH_BUG', `not an attempt id: ${id}`)
  return join(slot.run, slot.task, `${slot.round}.${slot.epoch}-${slot.incarnation.slice(-8)}`)
}

/** `undefined` when there is none, or none that this version reads. */
export async function readRecord(dir: string): Promise<AttemptRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(join(dir, RECORD_FILE), 'utf8')) as AttemptRecord
    return record.v === 1 ? record : undefined
  } catch {
    return undefined
  }
}

export function saveRecord(dir: string, record: AttemptRecord): Promise<void> {
  return writeWhole(join(dir, RECORD_FILE), JSON.stringify(record))
}

/** By rename: a reader finds the old file or the new one, never a part. */
export async function writeWhole(file: string, text: string): Promise<void> {
  const draft = `${file}.new`
  await writeFile(draft, text, { mode: 0o600 })
  await rename(draft, file)
}
