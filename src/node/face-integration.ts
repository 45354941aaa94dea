/** Integration and landing as people ask for them (R68). */
import { OrchError } from '../core/error.ts'
import type { Oid, TaskId } from '../core/id.ts'
import { deltaOf, isSettledSuccess } from '../core/merge-base.ts'
import type { RunState } from '../core/run-state.ts'
import { tipSources } from '../core/start-request.ts'
import { BARRIER_KIND } from '../core/task.ts'
import type { TaskState } from '../core/task-state.ts'
import type { ConflictItem, IntegrateAnswer, NodeFace } from './face.ts'
import { FacePart } from './face-part.ts'
import { needTip, needWork } from './run-objects.ts'
import { shownTasks } from './view.ts'

export class FaceIntegration extends FacePart {
  async integrate(request: { readonly run?: string; readonly dryRun?: boolean }): Promise<IntegrateAnswer> {
    const engine = this.engine
    const run = this.runOf(request.run)
    const { repository, base } = run.header!
    if (!repository || !base)
      throw new OrchError(
        'ORCH_NOT_INTEGRATED',
        `run ${run.id} has no repository: there is nothing to integrate`,
      )
    const tasks: { task: TaskId; commit?: string; state: 'accepted' | 'would-accept' | 'conflict' }[] = []
    for (let p = 1; p <= run.lastPosition; p++) {
      const task = run.positions.get(p)
      if (task)
        tasks.push({
          task: task.id,
          state: 'accepted',
          ...(task.accepted?.commit ? { commit: task.accepted.commit } : {}),
        })
    }
    const tip = run.tip() ?? base
    if (!request.dryRun) {
      engine.loop.post({ type: 'tick' })
      return { run: run.id, dryRun: false, base, commit: tip, tasks, conflicts: conflictsOf(run) }
    }
    // What would follow now, in topological order, without the gates.
    const pending = [...run.tasks.values()].filter(
      (t) => t.status === 'provisional' && t.provisional?.result?.head,
    )
    const ordered: TaskState[] = []
    for (let grew = true; grew; ) {
      grew = false
      for (const t of pending.sort((a, b) => (a.id < b.id ? -1 : 1))) {
        if (
          ordered.includes(t) ||
          !t.needs.every((n) => ordered.includes(n) || isSettledSuccess(n) || n.spec?.kind === BARRIER_KIND)
        )
          continue
        ordered.push(t)
        grew = true
      }
    }
    let commit = tip
    const conflicts: ConflictItem[] = [...conflictsOf(run)]
    await this.#needTip(run, tip)
    for (const t of ordered) {
      const { objects } = engine.options
      if (objects) await needWork(objects, t, t.provisional!, engine.state.me)
      const made = await engine.options.git.fold(repository.id, {
        run: run.id,
        tip: commit,
        deltas: [deltaOf(t)],
        date: run.header!.createdAt,
        term: run.term,
      })
      if (made.conflict) {
        tasks.push({ task: t.id, state: 'conflict' })
        conflicts.push({
          task: t.name,
          with: made.conflict.with,
          paths: made.conflict.paths,
          status: t.status,
          reason: 'would conflict',
          output: made.conflict.output,
        })
        continue
      }
      commit = made.chain.at(-1)?.commit ?? commit
      tasks.push({ task: t.id, state: 'would-accept', commit })
    }
    return { run: run.id, dryRun: true, base, commit, tasks, conflicts }
  }

  async land(request: { readonly run?: string; readonly into?: string }): ReturnType<NodeFace['land']> {
    const engine = this.engine
    const run = this.runOf(request.run)
    const { repository, base } = run.header!
    const tip = run.tip()
    if (!repository || !base || !tip || tip === base) {
      throw new OrchError(
        'ORCH_NOT_INTEGRATED',
        `run ${run.id} has nothing integrated yet: it is ${run.status}`,
      )
    }
    const branch = request.into ?? run.merge.land ?? repository.branch
    if (!branch) throw new OrchError('ORCH_USAGE', 'name the branch to land on with `--into BRANCH`')
    const verified = run.verified?.value
    if (run.merge.verify && verified?.commit === tip && !verified.ok) {
      throw new OrchError('ORCH_GATE', `verify failed on the integrated branch: ${run.merge.verify}`, {
        context: { output: verified.output },
      })
    }
    const { verify } = run.merge
    await this.#needTip(run, tip)
    const landed = await engine.options.git.land(repository.id, repository.path, {
      branch,
      base,
      tip,
      ...(verify
        ? { verify: (commit: string) => engine.integrator.gate(run.id, repository.id, commit, verify) }
        : {}),
    })
    // Where the run was taken over by another node, it is landed here all the same: here is the repository.
    if (engine.state.isIntegrator(run))
      await this.giveOrder({ run: run.id }, { verb: 'landed', branch: landed.branch, commit: landed.commit })
    return { run: run.id, ...landed }
  }

  /** Of a run that another member integrates. */
  async #needTip(run: RunState, tip: Oid): Promise<void> {
    const { objects } = this.engine.options
    const { sources } = tipSources(this.engine.state, run)
    if (objects && sources) await needTip(objects, run.id, run.header!.repository!, tip, sources)
  }
}

/** Conflicts of a run that are not settled: held for a person, or about to be tried again. */
export function conflictsOf(run: RunState): ConflictItem[] {
  const items: ConflictItem[] = []
  for (const task of shownTasks(run)) {
    if (task.status === 'accepted') continue
    const latest = task.rejects.filter((r) => r.why === 'conflict').toSorted((a, b) => b.round - a.round)[0]
    if (!latest) continue
    items.push({
      task: task.name,
      with: latest.with ?? [],
      paths: latest.paths ?? [],
      status: task.status,
      reason: latest.reason,
      ...(latest.output ? { output: latest.output } : {}),
    })
  }
  return items
}
