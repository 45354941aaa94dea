/** The edges of one simulated node: carries the core's effects out in virtual time. Agents are spans of time, git is `repository.ts`, objects travel over the network. */
import type { Effect, EffectOf, StartRequest } from '../core/effect.ts'
import type { AttemptId, DurationMs, NodeId, Oid } from '../core/id.ts'
import type { AdoptedAttempt, Input } from '../core/input.ts'
import type { Agent } from './agent.ts'
import { resultOf } from './agent.ts'
import type { Dice } from './dice.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import type { Timeline } from './timeline.ts'

/** How agents behave; set by the weather. */
export interface Temper {
  failureRate: number
  deafRate: number
}

export interface WorkbenchOptions {
  readonly machine: Machine
  readonly network: Network
  readonly timeline: Timeline
  readonly dice: Dice
  readonly temper: Temper
  readonly span: (dice: Dice) => DurationMs
  readonly offer: (input: Input) => void
  /** Calls back when all that was offered is durable. */
  readonly whenDurable: (then: () => void) => void
  /** The machine of a member whose process lives. */
  readonly find: (node: NodeId) => Machine | undefined
  readonly onSpawn: (request: StartRequest, agent: Agent) => void
}

/** Workspace, base, process. */
const SPAWN_MS = 200
const GATE_MS_MEDIAN = 2_000
const FETCH_MS_MAX = 20_000

export class Workbench {
  readonly #options: WorkbenchOptions
  readonly #starting = new Set<AttemptId>()
  #isOver = false

  constructor(options: WorkbenchOptions) {
    this.#options = options
  }

  /** The process is gone; agents work on. */
  close(): void {
    this.#isOver = true
  }

  perform(effect: Effect): void {
    const { machine, offer } = this.#options
    const { repository } = machine
    switch (effect.type) {
      case 'start':
        return this.#start(effect.request)
      case 'stop':
        return this.#stop(effect)
      case 'fetch':
        return this.#bring(effect.head, effect.sources, (ok) =>
          offer({ type: 'fetched', slot: effect.slot, by: effect.by, answer: ok ? 'ok' : 'failed' }),
        )
      case 'fold': {
        const { request, run, job } = effect
        return this.#bring(request.tip, effect.sources ?? [], () =>
          this.#later(50, () => {
            const outcome = repository.fold(request.tip, request.deltas)
            if (outcome) return offer({ type: 'folded', run, job, outcome })
            const problem = { code: 'ORCH_GIT_FAILED', message: 'objects are missing' } as const
            return offer({ type: 'job-failed', run, job, problem })
          }),
        )
      }
      case 'gate':
        return this.#later(this.#options.dice.lognormal(GATE_MS_MEDIAN, 0.6), () =>
          offer(repository.gate(effect)),
        )
      case 'advance':
        return this.#later(20, () => {
          // The ref moves, and then a crash may come before anybody hears of it.
          const answers = repository.advance(effect)
          this.#later(this.#options.dice.between(0, 200), () => answers.forEach(offer))
        })
      case 'publish':
        return this.#later(50, () => offer({ type: 'published', run: effect.run, job: effect.job }))
      case 'hint':
      case 'archive':
      case 'alarm':
        return
    }
  }

  /** What earlier lives of this node left running, or ended meanwhile. */
  adopt(): readonly AdoptedAttempt[] {
    const { machine, timeline } = this.#options
    return [...machine.agents.values()].map(({ attempt, startedAt }) => ({
      attempt,
      ageMs: timeline.now - startedAt,
    }))
  }

  /** Follows them from here on; an agent that nobody waits for is ended. */
  follow(known: (attempt: AttemptId) => boolean): void {
    for (const agent of [...this.#options.machine.agents.values()]) {
      if (agent.endedAt !== undefined) this.#report(agent)
      else if (!known(agent.attempt)) this.#kill(agent, 'cancelled')
    }
  }

  /** Called by the machine when an agent of it ends. */
  ended(agent: Agent): void {
    if (!this.#isOver) this.#report(agent)
  }

  #start(request: StartRequest): void {
    const { base, id } = request
    this.#starting.add(id)
    const wanted = base ? [{ oid: base.tip, sources: base.sources ?? [] }] : []
    for (const { head, sources } of base?.deltas ?? []) wanted.push({ oid: head, sources: sources ?? [] })
    this.#bringAll(wanted, (ok) => this.#later(SPAWN_MS, () => this.#spawn(request, ok)))
  }

  #spawn(request: StartRequest, hasBase: boolean): void {
    const { machine, offer, dice, temper, timeline, onSpawn } = this.#options
    const { id, slot, base } = request
    if (!this.#starting.delete(id)) {
      offer({
        type: 'attempt-ended',
        attempt: id,
        result: { outcome: 'cancelled', reason: 'before it began' },
      })
      return
    }
    if (!hasBase)
      return offer({ type: 'base-missing', attempt: id, reason: 'nobody who has its base is there' })
    const made = base && machine.repository.fold(base.tip, base.deltas)
    if (made?.conflict) return offer({ type: 'base-conflict', attempt: id, reason: made.conflict.output })
    const failed = temper.failureRate > 0 && dice.chance(temper.failureRate)
    const agent: Agent = {
      attempt: id,
      slot,
      startedAt: timeline.now,
      base: base && (made?.chain.at(-1)?.commit ?? base.tip),
      isDeaf: temper.deafRate > 0 && dice.chance(temper.deafRate),
      outcome: failed ? 'failed' : 'done',
      end: timeline.after(this.#options.span(dice), () => machine.agentEnded(agent)),
      endedAt: undefined,
    }
    machine.agents.set(id, agent)
    onSpawn(request, agent)
  }

  #stop({ attempt, graceMs }: EffectOf<'stop'>): void {
    // It is still being made: its start will find that it is not wanted any more.
    if (this.#starting.delete(attempt)) return
    const { machine, offer } = this.#options
    const agent = machine.agents.get(attempt)
    if (!agent)
      return this.#later(1, () =>
        offer({ type: 'attempt-ended', attempt, result: { outcome: 'cancelled', reason: 'it never began' } }),
      )
    if (agent.endedAt === undefined)
      this.#later(agent.isDeaf ? graceMs : 100, () => this.#kill(agent, 'cancelled'))
  }

  #kill(agent: Agent, outcome: Agent['outcome']): void {
    const { machine, timeline } = this.#options
    if (agent.endedAt !== undefined || machine.agents.get(agent.attempt) !== agent) return
    timeline.cancel(agent.end)
    agent.outcome = outcome
    machine.agentEnded(agent)
  }

  /** Its record is read once; after a crash before the result was durable, again. */
  #report(agent: Agent): void {
    const { machine, offer, whenDurable } = this.#options
    const { repository } = machine
    const head =
      agent.outcome === 'done' && agent.base !== undefined
        ? repository.graph.work(agent.base, agent.attempt)
        : undefined
    if (head !== undefined) repository.take(head)
    offer({
      type: 'attempt-ended',
      attempt: agent.attempt,
      result: resultOf(agent, head, agent.endedAt! - agent.startedAt),
    })
    whenDurable(() => machine.agents.delete(agent.attempt))
  }

  #bringAll(wanted: readonly { oid: Oid; sources: readonly NodeId[] }[], done: (ok: boolean) => void): void {
    const [first, ...rest] = wanted
    if (!first) return done(true)
    this.#bring(first.oid, first.sources, (ok) => (ok ? this.#bringAll(rest, done) : done(false)))
  }

  /** Copies a commit from the first of the sources that answers and has it. */
  #bring(oid: Oid, sources: readonly NodeId[], done: (ok: boolean) => void): void {
    const { machine, network, find } = this.#options
    if (machine.repository.has(oid)) return done(true)
    const [source, ...others] = sources
    if (source === undefined) return done(false)
    let isOver = false
    const answer = (has: boolean): void => {
      if (isOver || this.#isOver) return
      isOver = true
      if (has) machine.repository.take(oid)
      if (has) done(true)
      else this.#bring(oid, others, done)
    }
    this.#later(network.isConnected(machine.node, source) ? FETCH_MS_MAX : 100, () => answer(false))
    if (!network.isConnected(machine.node, source)) return
    network.carry(machine.node, source, 0, () => {
      const other = find(source)
      other?.run(() => {
        const has = other.repository.has(oid)
        network.carry(source, machine.node, 0, () => machine.run(() => answer(has)))
      })
    })
  }

  #later(ms: DurationMs, work: () => void): void {
    this.#options.machine.after(ms, () => {
      if (!this.#isOver) work()
    })
  }
}
