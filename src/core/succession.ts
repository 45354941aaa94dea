/** A run went over to another integrator (DESIGN 5): who had it stops, who has it begins, and both are told. */
import { abandon, offer } from './accept.ts'
import { fetchAgain } from './fetch.ts'
import { shortNode } from './id.ts'
import type { NodeState } from './node-state.ts'
import type { RunState } from './run-state.ts'

export function watchTerm(state: NodeState, run: RunState): void {
  const { integrator, term } = run
  if (integrator === undefined) return
  const name = `${integrator} ${term}`
  const before = state.integrators.get(run.id)
  if (before === name) return
  state.integrators.set(run.id, name)
  if (before === undefined) return
  const was = before.startsWith(`${state.me} `)
  const job = state.jobs.get(run.id)
  if (job) abandon(job)
  fetchAgain(state)
  if (state.isIntegrator(run))
    for (const task of run.tasks.values()) if (task.status === 'provisional') offer(state, task)
  if (was || state.isIntegrator(run)) {
    const until = run.terms.at(-2)?.until ?? 0
    state.effect({
      type: 'alarm',
      code: 'ORCH_SUPERSEDED',
      message: `run ${run.id} is integrated by ${shortNode(integrator)} from now on (term ${term}): what was accepted after position ${until} is offered again`,
    })
  }
}
