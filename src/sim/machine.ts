/**
 * A machine: what outlives the process of a node. Its clocks, its disk, its commits, the agents that run on it; and whether it works at all just now.
 */
import type { AttemptId, DurationMs, NodeId } from '../core/id.ts'
import type { Agent } from './agent.ts'
import type { MachineClock } from './clock.ts'
import type { Disk } from './disk.ts'
import type { Repository } from './repository.ts'
import type { Appointment, Timeline } from './timeline.ts'

export interface MachineParts {
  readonly node: NodeId
  readonly timeline: Timeline
  readonly clock: MachineClock
  readonly disk: Disk
  readonly repository: Repository
}

export class Machine {
  readonly node: NodeId
  readonly clock: MachineClock
  readonly disk: Disk
  readonly repository: Repository
  readonly agents = new Map<AttemptId, Agent>()
  /** Process lives begun so far. */
  lives = 0
  /** It never comes back. */
  isLost = false
  /** The node that waits for its agents; absent while none runs. */
  follower: ((agent: Agent) => void) | undefined
  /** Hears of every agent's end. */
  onEnd: (agent: Agent) => void = () => {}
  readonly #timeline: Timeline
  #stops = 0
  #waiting: (() => void)[] = []

  constructor(parts: MachineParts) {
    this.node = parts.node
    this.clock = parts.clock
    this.disk = parts.disk
    this.repository = parts.repository
    this.#timeline = parts.timeline
  }

  /** No process of it runs just now: stopped, asleep, or busy with something else. */
  get isStopped(): boolean {
    return this.#stops > 0
  }

  /** Runs something as soon as processes run. */
  run(work: () => void): void {
    if (this.#stops > 0) this.#waiting.push(work)
    else work()
  }

  /** After so long by its own clock, which stands still while it sleeps; in whole milliseconds, as timers are. Returns the undo. */
  after(ms: DurationMs, work: () => void): () => void {
    const span = this.clock.span(Math.max(Math.ceil(ms), 1))
    const begun = this.#timeline.now
    const slept = this.clock.sleptMs
    let appointment: Appointment
    const due = (): void =>
      this.run(() => {
        const awake = this.#timeline.now - begun - (this.clock.sleptMs - slept)
        if (awake < span - 0.001) appointment = this.#timeline.after(span - awake, due)
        else work()
      })
    appointment = this.#timeline.after(span, due)
    return () => {
      this.#timeline.cancel(appointment)
      work = () => {}
    }
  }

  agentEnded(agent: Agent): void {
    this.run(() => {
      if (agent.endedAt !== undefined) return
      agent.endedAt = this.#timeline.now
      this.onEnd(agent)
      this.follower?.(agent)
    })
  }

  /** The machine goes down, its agents with it: those that were at work. */
  killAgents(): Agent[] {
    const killed = [...this.agents.values()].filter((agent) => agent.endedAt === undefined)
    for (const agent of killed) {
      this.#timeline.cancel(agent.end)
      agent.outcome = 'lost'
      agent.endedAt = this.#timeline.now
    }
    return killed
  }

  /** The lid is closed: nothing runs, agents neither, and its monotonic clock stands still. The undo opens it. */
  sleep(): () => void {
    const begin = this.#timeline.now
    const resting = [...this.agents.values()].filter((agent) => agent.endedAt === undefined)
    for (const agent of resting) this.#timeline.cancel(agent.end)
    const goOn = this.stop()
    this.clock.sleep()
    return () => {
      this.clock.wake()
      for (const agent of resting) {
        if (agent.endedAt !== undefined) continue
        const leftMs = Math.max(0, agent.end.at - begin)
        agent.end = this.#timeline.after(leftMs, () => this.agentEnded(agent))
      }
      goOn()
    }
  }

  /** Stops all of it; the undo lets it go on. */
  stop(): () => void {
    this.#stops++
    return () => {
      if (--this.#stops > 0) return
      // One after the other, as events of their own.
      const waiting = this.#waiting
      this.#waiting = []
      for (const work of waiting) this.#timeline.after(0, () => this.run(work))
    }
  }
}
