/**
 * A git edge without git: a commit is a name, what it holds is the set of tasks folded into it. Refs move by compare-and-set. What conflicts and which gate fails
 * is given by the test; everything else answers as the real edge does.
 */
import type { Effect, EffectOf } from '../../src/core/effect.ts'
import { sha256Hex } from '../../src/core/hash.ts'
import type { Oid } from '../../src/core/id.ts'
import type { Input, RecoveredCommit } from '../../src/core/input.ts'
import type { Delta, MergedCommit } from '../../src/core/integrate.ts'

interface Commit {
  readonly parent: Oid | undefined
  readonly delta?: Delta
}

export interface GitRules {
  /** Tasks on the tip with which a delta does not merge. */
  conflicts?: (delta: Delta, on: readonly string[]) => readonly string[]
  /** True when a gate fails on a commit that holds these tasks. */
  fails?: (command: string, on: readonly string[]) => boolean
  isEmpty?: (delta: Delta) => boolean
  land?: () => {
    landed?: { branch: string; commit: Oid }
    problem?: { code: 'ORCH_TARGET_MOVED'; message: string }
  }
}

export const BASE: Oid = 'b'.repeat(40)

export class FakeGit {
  readonly rules: GitRules
  readonly commits: Map<Oid, Commit>
  /** Ref of each run and term. */
  readonly refs = new Map<string, Oid>()
  readonly gates: { readonly command: string; readonly on: readonly string[]; readonly what: string }[] = []
  published: { readonly commit: Oid; readonly land: boolean }[] = []

  /** @param commits what commits hold: the same for all nodes, as a commit is named by what it holds */
  constructor(rules: GitRules = {}, commits = new Map<Oid, Commit>([[BASE, { parent: undefined }]])) {
    this.rules = rules
    this.commits = commits
  }

  /** Tasks whose work a commit holds, oldest first. */
  holds(commit: Oid): string[] {
    const tasks: string[] = []
    for (let at: Oid | undefined = commit; at; at = this.commits.get(at)!.parent) {
      const delta = this.commits.get(at)?.delta
      if (delta) tasks.push(delta.task)
    }
    return tasks.reverse()
  }

  tip(run: string, term = 1): Oid {
    return this.refs.get(`${run} ${term}`) ?? BASE
  }

  answer(effect: Effect): Input | undefined {
    switch (effect.type) {
      case 'fold':
        return this.#fold(effect)
      case 'gate': {
        const on = this.holds(effect.commit)
        this.gates.push({ command: effect.command, on, what: effect.what })
        const ok = !this.rules.fails?.(effect.command, on)
        return {
          type: 'gated',
          run: effect.run,
          job: effect.job,
          ok,
          exit: ok ? 0 : 1,
          output: ok ? '' : `failed on ${on.join()}`,
        }
      }
      case 'advance': {
        const ref = `${effect.run} ${effect.term}`
        const ok = (this.refs.get(ref) ?? effect.old) === effect.old
        if (ok) this.refs.set(ref, effect.next)
        return { type: 'advanced', run: effect.run, job: effect.job, ok }
      }
      case 'publish': {
        this.published.push({ commit: effect.commit, land: effect.land !== undefined })
        return {
          type: 'published',
          run: effect.run,
          job: effect.job,
          ...(effect.land ? this.rules.land?.() : {}),
        }
      }
      default:
        return undefined
    }
  }

  #fold({ run, job, request }: EffectOf<'fold'>): Input {
    const chain: MergedCommit[] = []
    let tip = request.tip
    for (const delta of request.deltas) {
      const { task } = delta
      const clash = this.rules.conflicts?.(delta, this.holds(tip)) ?? []
      if (clash.length > 0) {
        const conflict = { task, paths: [`${task}.txt`], with: clash, output: 'CONFLICT (content)' }
        return { type: 'folded', run, job, outcome: { chain, conflict } }
      }
      const empty = this.rules.isEmpty?.(delta) ?? false
      if (!empty) {
        const commit = sha256Hex([tip, task, delta.round, delta.epoch, delta.by, delta.head].join()).slice(
          0,
          40,
        )
        this.commits.set(commit, { parent: tip, delta })
        tip = commit
      }
      chain.push({ task, commit: tip, empty })
    }
    return { type: 'folded', run, job, outcome: { chain } }
  }

  /** What a start finds on the run's ref: the trailers of its commits, oldest first. */
  trailers(run: string, term = 1): RecoveredCommit[] {
    const found: RecoveredCommit[] = []
    for (let at = this.tip(run, term); at !== BASE; at = this.commits.get(at)!.parent!) {
      const { task, round, epoch, by } = this.commits.get(at)!.delta!
      found.push({ task, round, epoch, by, position: 0, commit: at })
    }
    return found.reverse().map((commit, i) => ({ ...commit, position: i + 1 }))
  }
}
