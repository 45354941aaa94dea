/**
 * Carries out the core's integration effects with git: fold, gate, advance, publish. Computes and answers; decides nothing. One job of a run at a time, because
 * the core asks for one at a time.
 */
import { setMaxListeners } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { EffectOf } from '../core/effect.ts'
import { isOrchError } from '../core/error.ts'
import type { NodeId, Oid, RunId } from '../core/id.ts'
import type { Input, Problem, RecoveredCommit } from '../core/input.ts'
import { KILL_MS_MAX, LEFTOVER_GRACE_MS } from '../core/limit.ts'
import { buildEnvironment } from '../executor/environment.ts'
import { sweep } from '../executor/session.ts'
import type { GateResult } from '../git/gate.ts'
import type { Git } from '../git/git.ts'
import { headRef } from '../git/ref.ts'
import { removeTree } from '../git/workspace.ts'
import type { Objects } from './objects.ts'
import { needTip } from './run-objects.ts'

export interface IntegratorOptions {
  readonly dataDir: string
  readonly git: Git
  readonly offer: (input: Input) => void
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  readonly keepEnv?: readonly string[]
  /** Brings commits of other members here; absent on one machine. */
  readonly objects?: Objects
}

export type MergeEffect = EffectOf<'fold'> | EffectOf<'gate'> | EffectOf<'advance'> | EffectOf<'publish'>

export class Integrator {
  readonly #options: IntegratorOptions
  readonly #abort = new AbortController()
  /** What each run's job is doing, for people. */
  readonly busy = new Map<RunId, string>()
  readonly #jobs = new Set<Promise<void>>()

  constructor(options: IntegratorOptions) {
    this.#options = options
    // The jobs of all runs listen to it.
    setMaxListeners(0, this.#abort.signal)
  }

  perform(effect: MergeEffect): void {
    const { run, job } = effect
    this.busy.set(run, describe(effect))
    const done = this.#answer(effect).then(
      (inputs) => {
        this.busy.delete(run)
        if (!this.#abort.signal.aborted) for (const input of inputs) this.#options.offer(input)
      },
      (error: unknown) => {
        this.busy.delete(run)
        if (!this.#abort.signal.aborted)
          this.#options.offer({ type: 'job-failed', run, job, problem: problemOf(error) })
      },
    )
    this.#jobs.add(done)
    void done.finally(() => this.#jobs.delete(done))
  }

  /** Ends a running gate; its job is made again by the next process. */
  close(): void {
    this.#abort.abort()
  }

  /** Resolves when no job is under way. */
  async settled(): Promise<void> {
    while (this.#jobs.size > 0) await Promise.all(this.#jobs)
  }

  /**
   * Ends gates that an earlier process of this node left behind: they would use the checkout of the next ones.
   *
   * @returns how many processes were found
   */
  async endLeftovers(): Promise<number> {
    const root = join(this.#options.dataDir, 'gates')
    const runs: string[] = await readdir(root).catch(() => [])
    let ended = 0
    for (const run of runs) {
      const quarry = { id: join(root, run), variable: 'ORCH_GATE' } as const
      ended += (await sweep(quarry, LEFTOVER_GRACE_MS, KILL_MS_MAX)).found
    }
    return ended
  }

  async #answer(effect: MergeEffect): Promise<readonly Input[]> {
    const { git } = this.#options
    const { run, job, repository } = effect
    switch (effect.type) {
      case 'fold':
        if (this.#options.objects) {
          const options = { signal: this.#abort.signal }
          const { tip } = effect.request
          await needTip(this.#options.objects, run, repository, tip, effect.sources ?? [], options)
        }
        return [{ type: 'folded', run, job, outcome: await git.fold(repository.id, effect.request) }]
      case 'gate': {
        const verdict = await this.gate(run, repository.id, effect.commit, effect.command, effect.task)
        return [{ type: 'gated', run, job, ok: verdict.ok, exit: verdict.exit, output: verdict.output }]
      }
      case 'advance': {
        const ref = headRef(run, effect.term)
        // The first move of a term makes its ref.
        const from = (await git.readRef(repository.id, ref)) === undefined ? undefined : effect.old
        const ok = await git.advance(repository.id, ref, effect.next, from)
        if (ok) return [{ type: 'advanced', run, job, ok }]
        return [
          ...(await this.recover(run, repository.id, repository.base, effect.term)),
          { type: 'advanced', run, job, ok },
        ]
      }
      case 'publish':
        return [await this.#publish(effect)]
    }
  }

  /** Runs a gate on a commit, in the run's own checkout. */
  async gate(
    run: RunId,
    repository: string,
    commit: Oid,
    command: string,
    task?: string,
  ): Promise<GateResult> {
    const dir = join(this.#options.dataDir, 'gates', run)
    await mkdir(join(dir, '..'), { recursive: true, mode: 0o700 })
    const env = buildEnvironment(
      process.env,
      undefined,
      { ORCH_RUN: run, ...(task ? { ORCH_TASK: task } : {}), ORCH_GATE: dir },
      { keep: this.#options.keepEnv ?? [] },
    )
    return this.#options.git.runGate(repository, {
      dir,
      commit,
      command,
      env,
      signal: this.#abort.signal,
      // It has nothing to save.
      graceMs: LEFTOVER_GRACE_MS,
    })
  }

  /** Commits on the run's ref, in order, as facts that may be missing on the board after a crash between ref and accept. */
  async recover(run: RunId, repository: string, base: Oid, term: number): Promise<readonly Input[]> {
    const { git } = this.#options
    const tip = await git.readRef(repository, headRef(run, term))
    if (tip === undefined || tip === base) return []
    const commits: RecoveredCommit[] = []
    for (const c of await git.trailersSince(repository, tip, base)) {
      commits.push({
        task: c.task,
        round: c.round,
        epoch: c.epoch,
        by: c.node as NodeId,
        position: c.position,
        commit: c.commit,
      })
    }
    return [{ type: 'recovered', run, commits, term }]
  }

  /** The checkout of the gates: only a cache, made anew when the run goes on. */
  async #removeGateDir(run: RunId): Promise<void> {
    await removeTree(join(this.#options.dataDir, 'gates', run)).catch((error: unknown) =>
      this.#options.say('warn', `gates of ${run}: ${String(error)}`),
    )
  }

  async #publish(effect: EffectOf<'publish'>): Promise<Input> {
    const { git } = this.#options
    const { run, job, repository, commit, land } = effect
    try {
      await git.publishBranch(repository.id, repository.path, run, commit)
      if (!land) await this.#removeGateDir(run)
      if (!land) return { type: 'published', run, job }
      const verify = land.verify
      const landed = await git.land(repository.id, repository.path, {
        branch: land.branch,
        base: land.base,
        tip: commit,
        ...(verify ? { verify: (candidate: Oid) => this.gate(run, repository.id, candidate, verify) } : {}),
      })
      await this.#removeGateDir(run)
      return { type: 'published', run, job, landed: { branch: landed.branch, commit: landed.commit } }
    } catch (error) {
      // What cannot be published now (a dirty tree, a moved repository) is for a person to see; the integrated history is safe in our own repository.
      return { type: 'published', run, job, problem: problemOf(error) }
    }
  }
}

function describe(effect: MergeEffect): string {
  switch (effect.type) {
    case 'fold':
      return `merging ${effect.request.deltas.length}`
    case 'gate':
      return effect.what === 'check' ? `check ${effect.task ?? ''}`.trim() : 'verify'
    case 'advance':
      return 'moving the ref'
    case 'publish':
      return effect.land ? `landing on ${effect.land.branch}` : 'publishing'
  }
}

function problemOf(error: unknown): Problem {
  if (isOrchError(error)) return { code: error.code, message: error.message }
  return { code: 'ORCH_FAILED', message: error instanceof Error ? error.message : String(error) }
}
