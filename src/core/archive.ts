/**
 * Runs that are over for good: forgotten, and never believed again, whatever of them comes late. Only deleting the whole of a run frees memory in a replicated board; the
 * mark in the cluster's document is what keeps it from coming back.
 */
import type { RunHeader, RunMark } from './fact.ts'
import type { RunId } from './id.ts'
import type { RunState } from './run-state.ts'

export interface Archived {
  readonly ids: readonly RunId[]
  /** What was known of them; nothing, where the mark came first. */
  readonly runs: readonly RunState[]
}

export class Archive {
  readonly #ids = new Set<RunId>()
  #fresh: Archived = { ids: [], runs: [] }

  has(id: RunId): boolean {
    return this.#ids.has(id)
  }

  add(id: RunId, run: RunState | undefined): void {
    this.#ids.add(id)
    this.#fresh = { ids: [...this.#fresh.ids, id], runs: run ? [...this.#fresh.runs, run] : this.#fresh.runs }
  }

  /** What was added since the last call. */
  take(): Archived {
    const fresh = this.#fresh
    if (fresh.ids.length > 0) this.#fresh = { ids: [], runs: [] }
    return fresh
  }
}

export function isMark(body: RunHeader | RunMark): body is RunMark {
  return 'verb' in body && body.verb === 'archived'
}
