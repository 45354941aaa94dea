/** Commits without git: a commit is named by the hash of what it says, so that whoever makes the same one gives it the same name. */
import { createHash } from 'node:crypto'
import type { AttemptId, Oid, TaskId } from '../core/id.ts'
import type { Delta } from '../core/integrate.ts'

export interface Commit {
  readonly parent: Oid | undefined
  /** Result that was folded in. */
  readonly delta?: Delta
  /** Attempt that made it. */
  readonly work?: AttemptId
}

export const BASE: Oid = 'b'.repeat(40)

/** Every commit that anybody ever made. Which machine has it is another matter. */
export class CommitGraph {
  readonly #commits = new Map<Oid, Commit>([[BASE, { parent: undefined }]])

  get(oid: Oid): Commit {
    return this.#commits.get(oid)!
  }

  /** What an attempt leaves. */
  work(base: Oid, attempt: AttemptId): Oid {
    return this.#add(['work', base, attempt], { parent: base, work: attempt })
  }

  fold(tip: Oid, delta: Delta): Oid {
    const { task, round, epoch, by, head } = delta
    return this.#add(['fold', tip, task, round, epoch, by, head], { parent: tip, delta })
  }

  /** Results that a commit holds, oldest first. */
  deltas(oid: Oid): Delta[] {
    const found: Delta[] = []
    for (let at: Oid | undefined = oid; at !== undefined; at = this.get(at).parent) {
      const { delta } = this.get(at)
      if (delta) found.push(delta)
    }
    return found.reverse()
  }

  holds(oid: Oid): TaskId[] {
    return this.deltas(oid).map((delta) => delta.task)
  }

  /** 0..1, the same for the same words. */
  static lot(...words: readonly (string | number)[]): number {
    return createHash('sha256').update(words.join('\n')).digest().readUInt32BE(0) / 2 ** 32
  }

  #add(words: readonly (string | number)[], commit: Commit): Oid {
    const oid = createHash('sha1').update(words.join('\n')).digest('hex')
    this.#commits.set(oid, commit)
    return oid
  }
}
