/** The git edge of one machine, without git: which commits it has, where its refs stand, and the answers to what the core asks. */
import type { EffectOf } from '../core/effect.ts'
import type { Oid, RunId } from '../core/id.ts'
import type { Input, RecoveredCommit } from '../core/input.ts'
import type { Conflict, Delta, MergedCommit, MergeOutcome } from '../core/integrate.ts'
import { BASE, CommitGraph } from './commit.ts'

/** Shares of deltas that do not merge at the first try, and of commits that fail their check. */
const CONFLICT_RATE = 0.02
const CHECK_FAILURE_RATE = 0.05

export class Repository {
  readonly graph: CommitGraph
  readonly #has = new Set<Oid>([BASE])
  readonly #refs = new Map<RunId, Oid>()

  constructor(graph: CommitGraph) {
    this.graph = graph
  }

  has(oid: Oid): boolean {
    return this.#has.has(oid)
  }

  /** Takes a commit in, with all that it rests on. */
  take(oid: Oid): void {
    for (
      let at: Oid | undefined = oid;
      at !== undefined && !this.#has.has(at);
      at = this.graph.get(at).parent
    )
      this.#has.add(at)
  }

  /** Where the ref of a term stands; `undefined` when nothing was integrated here in that term. */
  tip(run: RunId, term: number): Oid | undefined {
    return this.#refs.get(`${run}/${term}`)
  }

  /** `undefined` when some of the objects are not here. */
  fold(tip: Oid, deltas: readonly Delta[]): MergeOutcome | undefined {
    if (!this.has(tip) || deltas.some((delta) => !this.has(delta.head))) return undefined
    const chain: MergedCommit[] = []
    let at = tip
    for (const delta of deltas) {
      const conflict = this.#conflict(delta, at)
      if (conflict) return { chain, conflict }
      at = this.graph.fold(at, delta)
      this.take(at)
      chain.push({ task: delta.task, commit: at, empty: false })
    }
    return { chain }
  }

  gate({ run, job, commit, command }: EffectOf<'gate'>): Input {
    const ok = CommitGraph.lot('gate', command, commit) >= CHECK_FAILURE_RATE
    return { type: 'gated', run, job, ok, exit: ok ? 0 : 1, output: ok ? '' : `fails on ${commit}` }
  }

  /** Moves the ref of a term by compare-and-set; it begins where the term does. Where that fails, what is on it is told first. */
  advance({ run, job, old, next, term }: EffectOf<'advance'>): Input[] {
    const ok = (this.tip(run, term) ?? old) === old
    if (ok) this.#refs.set(`${run}/${term}`, next)
    const advanced: Input = { type: 'advanced', run, job, ok }
    return ok ? [advanced] : [...this.recover(run, term), advanced]
  }

  recover(run: RunId, term: number): Input[] {
    const commits = this.trailers(run, term)
    return commits.length === 0 ? [] : [{ type: 'recovered', run, commits, term }]
  }

  /** The commits of a run's ref, oldest first. */
  trailers(run: RunId, term: number): RecoveredCommit[] {
    const found: RecoveredCommit[] = []
    for (let at = this.tip(run, term) ?? BASE; at !== BASE; at = this.graph.get(at).parent!) {
      const { task, round, epoch, by } = this.graph.get(at).delta!
      found.push({ task, round, epoch, by, position: 0, commit: at })
    }
    return found.reverse().map((commit, i) => ({ ...commit, position: i + 1 }))
  }

  #conflict(delta: Delta, tip: Oid): Conflict | undefined {
    if (delta.round > 1 || CommitGraph.lot('conflict', delta.task) >= CONFLICT_RATE) return undefined
    const others = this.graph.holds(tip)
    if (others.length < 3) return undefined
    return {
      task: delta.task,
      paths: [`${delta.task}.txt`],
      with: others.slice(-1),
      output: 'CONFLICT (content)',
    }
  }
}
