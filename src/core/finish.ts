/**
 * The end of a run: verified, published, landed as its policy says, closed. Again after a retry reopened it. One step at a time, each by an effect, so that a
 * crash anywhere only repeats the step.
 */

import { current } from './accept.ts'
import type { Order } from './fact.ts'
import type { InputOf, Problem } from './input.ts'
import type { MergeJob, NodeState } from './node-state.ts'
import type { RunState } from './run-state.ts'

/** Called when the run is settled and nothing of it is being integrated. */
export function finish(state: NodeState, run: RunState): void {
  if (!run.settled || run.finished || !state.isIntegrator(run)) return
  const tip = run.tip()
  const { repository, base } = run.header!
  if (!repository || !tip || !base || tip === base) return close(state, run, undefined)
  const job = state.job(run)
  if (job.phase !== 'idle') return
  const { verify } = run.merge
  const said = run.verified?.value
  job.job++
  job.phase = 'finishing'
  job.tip = tip
  if (verify && job.green !== tip && said?.commit !== tip) {
    job.asked = { final: tip }
    state.effect({
      type: 'gate',
      run: run.id,
      job: job.job,
      repository,
      commit: tip,
      command: verify,
      what: 'verify',
    })
    return
  }
  publish(state, job, said?.commit === tip && !said.ok)
}

/** The answer to the last `verify`. */
export function finallyGated(state: NodeState, job: MergeJob, input: InputOf<'gated'>): void {
  orderRun(state, job.run, {
    verb: 'verified',
    commit: job.tip!,
    ok: input.ok,
    ...(input.ok ? {} : { output: input.output }),
  })
  if (input.ok) job.green = job.tip
  publish(state, job, !input.ok)
}

function publish(state: NodeState, job: MergeJob, red: boolean): void {
  const { run } = job
  const header = run.header!
  const { land, onPartial, verify } = run.merge
  const whole = run.outcome === 'complete'
  const wanted = land !== undefined && !red && (whole || (run.outcome === 'partial' && onPartial === 'land'))
  job.red = red
  state.effect({
    type: 'publish',
    run: run.id,
    job: job.job,
    repository: header.repository!,
    commit: job.tip!,
    ...(wanted
      ? { land: { branch: land, base: header.base!, ...(verify ? { verify } : {}), date: header.createdAt } }
      : {}),
  })
}

export function published(state: NodeState, input: InputOf<'published'>): void {
  const job = current(state, input, 'finishing')
  if (!job) return
  job.phase = 'idle'
  const { run } = job
  if (input.landed)
    orderRun(state, run, { verb: 'landed', branch: input.landed.branch, commit: input.landed.commit })
  // Opened again meanwhile, by a person's retry: it is closed when that is over.
  if (!run.settled) return
  const gate: Problem | undefined = job.red
    ? { code: 'ORCH_GATE', message: `verify failed on the integrated branch: ${run.merge.verify}` }
    : undefined
  close(state, run, gate ?? input.problem)
}

function close(state: NodeState, run: RunState, problem: Problem | undefined): void {
  const tip = run.tip()
  orderRun(state, run, {
    verb: 'close',
    outcome: run.outcome,
    ...(tip ? { commit: tip } : {}),
    ...(problem ? { problem } : {}),
  })
}

export function orderRun(state: NodeState, run: RunState, order: Order): void {
  state.put({ doc: run.id, collection: 'orders', key: `*/${run.orderVersion + 1}`, body: order })
}
