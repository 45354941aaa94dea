/** The files of an attempt: its workspace before it starts, its work when it has ended, and the proof before anything is removed. */
import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { AttemptEnd } from '../core/attempt.ts'
import type { BaseRequest } from '../core/effect.ts'
import { OrchError } from '../core/error.ts'
import { matchesAny } from '../core/glob.ts'
import { type AttemptId, type DurationMs, type Oid, type RunId, readAttemptId } from '../core/id.ts'
import { DISK_FREE_BYTES_MIN } from '../core/limit.ts'
import type { CollectedWork } from '../core/outcome.ts'
import type { TaskSpec } from '../core/task.ts'
import { isRealDirectory } from '../git/clone-dir.ts'
import type { Git } from '../git/git.ts'
import { workRef } from '../git/ref.ts'
import { removeTree } from '../git/workspace.ts'
import { type AttemptRecord, attemptDir, readRecord, workspaceDir } from './attempt-record.ts'
import type { Objects } from './objects.ts'
import { needBase } from './run-objects.ts'

export interface MadeWorkspace {
  readonly workspace: string
  readonly repository?: string
  readonly base?: Oid
  readonly workspaceMs?: DurationMs
}

/** Two results that the task needs do not merge: which, and where. */
export interface BaseConflict {
  readonly conflict: string
}

export class AttemptWork {
  readonly #dataDir: string
  readonly #git: Git
  readonly #objects: Objects | undefined

  constructor(dataDir: string, git: Git, objects?: Objects) {
    this.#dataDir = dataDir
    this.#git = git
    this.#objects = objects
  }

  async makeWorkspace(
    id: AttemptId,
    run: RunId,
    kind: string,
    base: BaseRequest | undefined,
  ): Promise<MadeWorkspace | BaseConflict> {
    const workspace = workspaceDir(this.#dataDir, id)
    if (!base) {
      await mkdir(workspace, { recursive: true, mode: 0o700 })
      return { workspace }
    }
    const repository = base.repository.id
    if (this.#objects) await needBase(this.#objects, run, base)
    let commit = base.tip
    if (base.deltas.length > 0) {
      const { deltas, date, tip } = base
      const made = await this.#git.fold(repository, { run, tip, deltas, date, term: 1 })
      if (made.conflict) {
        const { task, paths } = made.conflict
        return {
          conflict: `the result of "${task}" does not fit the others it needs: ${paths.slice(0, 3).join(', ')}`,
        }
      }
      commit = made.chain.at(-1)?.commit ?? tip
      await this.#git.pin(repository, commit)
    }
    await mkdir(join(workspace, '..'), { recursive: true, mode: 0o700 })
    const { createdMs } = await this.#git.createWorkspace(repository, {
      dir: workspace,
      base: commit,
      authorName: kind,
    })
    return { workspace, repository, base: commit, workspaceMs: Math.round(createdMs * 10) / 10 }
  }

  /** The work goes under a ref before anything else is said of it, whatever the outcome: partial work is kept too. */
  async collect(
    id: AttemptId,
    task: TaskSpec,
    record: AttemptRecord | undefined,
    end: AttemptEnd,
  ): Promise<CollectedWork | undefined> {
    if (!record?.repository || !record.base) return undefined
    // With the process the files are gone too, as in a data directory restored from yesterday.
    if (end.lost && !(await isRealDirectory(record.workspace))) return undefined
    const work = await this.#git.collectWork(record.repository, {
      dir: record.workspace,
      attempt: id,
      base: record.base,
      title: task.title ?? readAttemptId(id)!.task,
      authorName: task.kind,
      at: end.endedAt,
      ...(task.scope ? { mayWrite: matchesAny(task.scope.write) } : {}),
      ...(task.onOutside ? { onOutside: task.onOutside } : {}),
    })
    const hostile = work.problems
      .slice(0, 3)
      .map((p) => `${p.path} ${p.why}`.trim())
      .join('; ')
    return {
      base: record.base,
      head: work.head,
      files: work.files,
      paths: work.paths,
      outside: work.outside,
      ...(hostile ? { hostile } : {}),
    }
  }

  /** @throws ORCH_WRONG_STATE when the workspace holds work that no ref has */
  async remove(id: AttemptId, record: AttemptRecord): Promise<void> {
    if (record.repository) await this.#git.removeWorkspace(record.repository, record.workspace, workRef(id))
    else await removeTree(record.workspace)
  }

  /** What was half made for an attempt that never began. */
  async discard(id: AttemptId): Promise<void> {
    const dir = workspaceDir(this.#dataDir, id)
    await Promise.all([dir, `${dir}.new`].map(removeTree))
  }

  /** Removes the workspace of an attempt that is over; work that no ref has is put under one first. */
  async clean(id: AttemptId): Promise<void> {
    const record = await readRecord(attemptDir(this.#dataDir, id))
    if (!record) return
    const { repository, base, workspace } = record
    if (repository && base && (await this.#git.readRef(repository, workRef(id))) === undefined) {
      await this.#git.collectWork(repository, {
        dir: workspace,
        attempt: id,
        base,
        title: readAttemptId(id)!.task,
        authorName: 'orch-node',
        at: Date.now(),
      })
    }
    await this.remove(id, record)
  }

  async hasRoom(): Promise<boolean> {
    return (await this.#freeBytes()) >= DISK_FREE_BYTES_MIN
  }

  /** @throws ORCH_DISK_FULL */
  async needRoom(): Promise<void> {
    const free = await this.#freeBytes()
    if (free < DISK_FREE_BYTES_MIN) {
      throw new OrchError('ORCH_DISK_FULL', `only ${Math.round(free / 2 ** 20)} MiB are free`)
    }
  }

  async #freeBytes(): Promise<number> {
    const disk = await statfs(this.#dataDir)
    return disk.bavail * disk.bsize
  }
}
