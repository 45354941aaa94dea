/**
 * Makes a run's history again from the facts alone (DESIGN 5): the same commit ids must come out. One live member besides the integrator does so as the history grows, which
 * also gives it a second home; whoever else has the repository does it when the run is over. It changes nothing but the ref of its own copy.
 */
import { holdersOf } from '../core/ack.ts'
import { attemptOf } from '../core/attempt-name.ts'
import { claimRank, type Entry } from '../core/claim.ts'
import { isOrchError } from '../core/error.ts'
import { knownHistory } from '../core/history.ts'
import type { NodeId, Oid, RunId } from '../core/id.ts'
import type { Delta } from '../core/integrate.ts'
import { deltaFrom } from '../core/merge-base.ts'
import type { NodeState } from '../core/node-state.ts'
import type { RunState } from '../core/run-state.ts'
import { tipSources } from '../core/start-request.ts'
import type { TaskState } from '../core/task-state.ts'
import type { Git } from '../git/git.ts'
import { headRef } from '../git/ref.ts'
import type { Objects } from './objects.ts'
import { needTip } from './run-objects.ts'

export interface WitnessOptions {
  readonly git: Git
  readonly objects: Objects
  readonly state: NodeState
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  /** Facts and commits do not fit together: a person must look. */
  readonly onMismatch: (message: string) => void
}

interface Step {
  readonly task: TaskState
  readonly entry: Entry
  readonly term: number
  readonly commit: Oid
}

/** Accepts that come close together are followed up together. */
const GATHER_MS = 300
/** Who has the objects was away: looked at again after this. */
const AGAIN_MS = 10_000

export class Witness {
  readonly #options: WitnessOptions
  readonly #due = new Map<RunId, NodeJS.Timeout>()
  readonly #busy = new Set<RunId>()
  readonly #wrong = new Set<RunId>()
  readonly #abort = new AbortController()
  #working: Promise<void> = Promise.resolve()

  constructor(options: WitnessOptions) {
    this.#options = options
  }

  /** Something about the run's history may be new. */
  look(run: RunId, inMs = GATHER_MS): void {
    if (this.#due.has(run) || this.#abort.signal.aborted) return
    const timer = setTimeout(() => {
      this.#due.delete(run)
      this.#working = this.#working.then(() => this.#follow(run))
    }, inMs).unref()
    this.#due.set(run, timer)
  }

  async close(): Promise<void> {
    this.#abort.abort()
    for (const timer of this.#due.values()) clearTimeout(timer)
    this.#due.clear()
    await this.#working
  }

  async #follow(id: RunId): Promise<void> {
    const { state, say } = this.#options
    const run = state.board.runs.get(id)
    if (this.#abort.signal.aborted || this.#busy.has(id) || this.#wrong.has(id) || !run?.header?.repository)
      return
    this.#busy.add(id)
    try {
      if (await this.#isMine(run)) await this.#remake(run)
      await this.#publish(run)
    } catch (error) {
      if (this.#abort.signal.aborted) return
      if (!isOrchError(error) || error.code !== 'ORCH_PEER_UNREACHABLE')
        say('warn', `history of ${id}: ${String(error)}`)
      this.look(id, AGAIN_MS)
    } finally {
      this.#busy.delete(id)
    }
  }

  async #isMine(run: RunState): Promise<boolean> {
    const { state, git } = this.#options
    if (state.isIntegrator(run) || !state.may('worker')) return false
    const others = state.live.filter((node) => node !== run.integrator)
    const slot = { run: run.id, task: '*', round: 1, epoch: run.term }
    if (claimRank(slot, state.me, others, () => 1) === 0) return true
    return run.finished && (await git.has(run.header!.repository!.id))
  }

  async #remake(run: RunState): Promise<void> {
    const { git } = this.#options
    const { repository, createdAt } = run.header!
    const { id, base } = repository!
    const steps = stepsOf(run)
    if (steps.length === 0) return
    const ref = headRef(run.id, run.term)
    const held = (await git.has(id)) ? await git.readRef(id, ref) : undefined
    // Where the own copy stands; a copy of a history that was cut off begins anew.
    const known = steps.findLastIndex((step) => step.commit === held)
    const open = steps.slice(known + 1)
    if (open.length === 0) return
    let tip = known < 0 ? base : steps[known]!.commit
    for (const { task, entry } of open) await this.#bring(run, task, entry, base, id)
    for (const group of byTerm(open)) {
      const deltas: Delta[] = group.map(({ task, entry }) => deltaFrom(task, entry))
      const made = await git.fold(id, { run: run.id, tip, deltas, date: createdAt, term: group[0]!.term })
      const wrong = group.findIndex((step, k) => made.chain[k]?.commit !== step.commit)
      if (wrong >= 0) return this.#mismatch(run, group[wrong]!, made.chain[wrong]?.commit)
      tip = group.at(-1)!.commit
    }
    if (this.#abort.signal.aborted) return
    await git.advance(id, ref, tip, held)
  }

  /** Another node ended the run; the person's repository is here. */
  async #publish(run: RunState): Promise<void> {
    const { git, state, objects } = this.#options
    const { creator, repository } = run.header!
    const tip = run.tip()
    if (!run.finished || state.isIntegrator(run) || creator !== state.me || !repository || !tip) return
    if (tip === repository.base) return
    const { sources = [] } = tipSources(state, run)
    await needTip(objects, run.id, repository, tip, sources, { signal: this.#abort.signal })
    await git.publishBranch(repository.id, repository.path, run.id, tip)
  }

  async #bring(run: RunState, task: TaskState, entry: Entry, base: Oid, repository: string): Promise<void> {
    const { objects, state } = this.#options
    const sources = [...new Set<NodeId>([run.integrator!, entry.node, ...holdersOf(task, entry)])]
    await objects.need(
      repository,
      [
        { kind: 'base', commit: base },
        { kind: 'work', commit: entry.result!.head!, attempt: attemptOf(task, entry) },
      ],
      sources.filter((node) => node !== state.me),
      { signal: this.#abort.signal },
    )
  }

  #mismatch(run: RunState, { task, commit }: Step, made: Oid | undefined): void {
    this.#wrong.add(run.id)
    this.#options.onMismatch(
      `run ${run.id}: the accept of "${task.id}" names commit ${commit.slice(0, 12)}, and the facts make ${made?.slice(0, 12) ?? 'a conflict'} of it`,
    )
  }
}

/** Accepted results with commits, in the order of the history, as far as it is known without a gap. */
function stepsOf(run: RunState): Step[] {
  const steps: Step[] = []
  for (let position = 1; position <= knownHistory(run); position++) {
    const task = run.positions.get(position)
    const accept = task?.recorded
    if (!task || !accept?.commit) continue
    const entry = task.entries.find(
      (e) => e.round === accept.round && e.epoch === accept.epoch && e.node === accept.by,
    )
    if (!entry?.result?.head || !entry.result.base) break
    steps.push({ task, entry, term: accept.term, commit: accept.commit })
  }
  return steps
}

function byTerm(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = []
  for (const step of steps) {
    const last = groups.at(-1)
    if (last && last[0]!.term === step.term) last.push(step)
    else groups.push([step])
  }
  return groups
}
