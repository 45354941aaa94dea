/** Makes things go wrong, at random times and places, until the sky clears. */
import type { DurationMs, NodeId } from '../core/id.ts'
import type { SimCluster } from './cluster.ts'
import type { Dice } from './dice.ts'
import type { Climate, Fault } from './fault.ts'
import { Impostor } from './impostor.ts'
import type { Life } from './life.ts'
import type { Machine } from './machine.ts'
import { RUN } from './workload.ts'

const HOUR_MS = 3_600_000
const YEARS_10_MS = 10 * 365.25 * 24 * HOUR_MS
/** Machines that may be lost for good in one run: work that is on two machines must survive, not work on three that all burn. */
const LOSSES_MAX = 1
const JOINS_MAX = 3
/** A person notices that the integrator does not come back. */
const ADOPT_MS = 45_000

/** What strikes one node; its rate is of each. */
const OF_NODES: ReadonlySet<Fault> = new Set<Fault>([
  'crash',
  'lost-tail',
  'pause',
  'suspend',
  'stall',
  'wall-jump',
  'slow-disk',
  'full-disk',
  'agent-crash',
])

export class Weather {
  readonly #cluster: SimCluster
  readonly #faults: ReadonlySet<Fault>
  readonly #climate: Climate
  readonly #dice: Dice
  readonly #impostor: Impostor
  /** What still has to be mended. */
  readonly #undo = new Set<() => void>()
  #losses = 0
  #joins = 0
  #isOver = false

  constructor(cluster: SimCluster, faults: ReadonlySet<Fault>, climate: Climate) {
    this.#cluster = cluster
    this.#faults = faults
    this.#climate = climate
    this.#dice = cluster.dice.fork()
    this.#impostor = new Impostor(cluster, this.#dice.fork())
  }

  begin(): void {
    const { network, temper } = this.#cluster
    const dice = this.#dice
    const has = (fault: Fault): boolean => this.#faults.has(fault)
    const { lossMax, agentFailure } = this.#climate
    if (has('loss')) network.lossRate = dice.fraction() * lossMax
    if (has('delay')) network.slowRate = dice.fraction() * 0.05
    if (has('duplication')) network.duplicationRate = dice.fraction() * 0.2
    network.reorders = has('reorder')
    if (has('agent-failure')) temper.failureRate = agentFailure
    if (has('ignore-stop')) temper.deafRate = 0.2
    for (const fault of this.#faults) this.#next(fault)
  }

  /** All links are whole, all machines work, nobody lies any more. What is lost stays lost. */
  clear(): void {
    const { network, temper } = this.#cluster
    this.#isOver = true
    for (const undo of this.#undo) undo()
    this.#undo.clear()
    network.lossRate = 0
    network.slowRate = 0
    network.duplicationRate = 0
    network.reorders = false
    temper.failureRate = 0
    temper.deafRate = 0
  }

  #next(fault: Fault): void {
    const rate = this.#climate.perHour[fault]
    if (rate === undefined) return
    const places = OF_NODES.has(fault) ? this.#cluster.options.nodes : 1
    this.#cluster.timeline.after(this.#dice.exponential(HOUR_MS / (rate * places)), () => {
      if (this.#isOver) return
      this.#strike(fault)
      this.#next(fault)
    })
  }

  #strike(fault: Fault): void {
    const cluster = this.#cluster
    const dice = this.#dice
    const machine = this.#anyone()
    switch (fault) {
      case 'partition':
        return this.#cut(fault, this.#split(dice.chance(0.7) ? 2 : 2 + dice.int(3)), this.#partitionMs())
      case 'one-way':
        return this.#cut(fault, this.#oneWay(), this.#partitionMs())
      case 'bridge':
        return this.#cut(fault, this.#bridge(), this.#partitionMs())
      case 'flapping':
        return this.#flap(this.#split(2), 2 + dice.int(6))
      case 'crash':
        return this.#crash(machine, dice.chance(0.6) ? 'kill' : 'power')
      case 'lost-tail':
        return this.#crash(machine, 'power')
      case 'crash-for-good':
        return this.#lose(fault, this.#expendable())
      case 'pause':
        return this.#stop(machine, fault, dice.between(1_000, 60_000))
      case 'stall':
        return this.#stop(machine, fault, dice.between(200, 10_000))
      case 'suspend':
        return this.#suspend(machine, dice.between(5_000, 120_000))
      case 'wall-jump':
        machine?.clock.jump(dice.between(-YEARS_10_MS, YEARS_10_MS))
        return
      case 'slow-disk':
        return this.#while(machine, fault, dice.between(2_000, 30_000), (m) => {
          m.disk.slowMs = 5_000 * dice.fraction()
          return () => {
            m.disk.slowMs = 0
          }
        })
      case 'full-disk':
        return this.#while(machine, fault, dice.between(2_000, 60_000), (m) => {
          m.disk.isFull = true
          return () => {
            m.disk.isFull = false
          }
        })
      case 'agent-crash': {
        const agents = [...(machine?.agents.values() ?? [])].filter((agent) => agent.endedAt === undefined)
        if (agents.length === 0) return
        const agent = dice.pick(agents)
        cluster.timeline.cancel(agent.end)
        agent.outcome = 'lost'
        return machine?.agentEnded(agent)
      }
      case 'join':
        return this.#join()
      case 'leave':
        return this.#depart(fault, this.#expendable(), true)
      case 'remove':
        return this.#depart(fault, this.#expendable(), false)
      case 'integrator-lost':
        return this.#loseIntegrator()
      case 'bit-flip':
        return this.#impostor.flip()
      case 'replay':
        return this.#impostor.replay()
      case 'forged-author':
        return this.#impostor.forge()
      case 'overreach':
        return this.#impostor.overreach()
      case 'flood':
        return this.#impostor.flood()
      case 'equivocation':
        return this.#impostor.equivocate()
      default:
        // The others are states of the network and of agents, set at the beginning.
        return
    }
  }

  #anyone(): Machine | undefined {
    const up = this.#cluster.ready().filter((life) => !life.machine.isStopped)
    return up.length === 0 ? undefined : this.#dice.pick(up).machine
  }

  #nodes(): NodeId[] {
    return [...this.#cluster.machines.values()].filter((m) => !m.isLost).map((m) => m.node)
  }

  #partitionMs(): DurationMs {
    return Math.min(this.#dice.exponential(this.#climate.partitionMs), 5 * 60_000)
  }

  /** Ways between parts. */
  #split(parts: number): [NodeId, NodeId][] {
    const partOf = new Map(this.#nodes().map((node) => [node, this.#dice.int(parts)]))
    return this.#ways((a, b) => partOf.get(a) !== partOf.get(b))
  }

  #oneWay(): [NodeId, NodeId][] {
    const deaf = new Set(this.#nodes().filter(() => this.#dice.chance(0.4)))
    return this.#ways((from, to) => deaf.has(to) && !deaf.has(from))
  }

  /** Two sides that only one node sees both of. */
  #bridge(): [NodeId, NodeId][] {
    const nodes = this.#nodes()
    const between = this.#dice.pick(nodes)
    const left = new Set(nodes.filter((node) => node !== between && this.#dice.chance(0.5)))
    return this.#ways((a, b) => a !== between && b !== between && left.has(a) !== left.has(b))
  }

  #ways(isCut: (from: NodeId, to: NodeId) => boolean): [NodeId, NodeId][] {
    const nodes = this.#nodes()
    return nodes.flatMap((a) =>
      nodes.filter((b) => a !== b && isCut(a, b)).map((b): [NodeId, NodeId] => [a, b]),
    )
  }

  #cut(fault: Fault, ways: readonly (readonly [NodeId, NodeId])[], ms: DurationMs): void {
    this.#cluster.note('network', `${fault} ${ways.length}`)
    this.#until(ms, this.#cluster.network.cut(ways))
  }

  #flap(ways: readonly (readonly [NodeId, NodeId])[], times: number): void {
    if (times === 0 || this.#isOver) return
    const ms = this.#dice.between(1_000, 10_000)
    this.#cut('flapping', ways, ms)
    this.#cluster.timeline.after(2 * ms, () => this.#flap(ways, times - 1))
  }

  #crash(machine: Machine | undefined, how: 'kill' | 'power'): void {
    if (!machine) return
    this.#cluster.crash(machine.node, how)
    this.#until(this.#dice.exponential(this.#climate.downMs) + 500, () => this.#cluster.begin(machine))
  }

  #stop(machine: Machine | undefined, fault: Fault, ms: DurationMs): void {
    this.#while(machine, fault, ms, (m) => m.stop())
  }

  /** Its links are dead meanwhile: nobody answers on them. */
  #suspend(machine: Machine | undefined, ms: DurationMs): void {
    this.#while(machine, 'suspend', ms, (m) => {
      const others = this.#nodes().filter((node) => node !== m.node)
      const link = this.#cluster.network.cut(
        others.flatMap((node): [NodeId, NodeId][] => [
          [node, m.node],
          [m.node, node],
        ]),
      )
      const wake = m.sleep()
      return () => {
        wake()
        link()
      }
    })
  }

  /** Something is wrong with one machine for a while. */
  #while(
    machine: Machine | undefined,
    fault: Fault,
    ms: DurationMs,
    begin: (machine: Machine) => () => void,
  ): void {
    if (!machine) return
    this.#cluster.note(machine.node, fault)
    this.#until(ms, begin(machine))
  }

  #until(ms: DurationMs, mend: () => void): void {
    this.#undo.add(mend)
    this.#cluster.timeline.after(ms, () => {
      if (this.#undo.delete(mend)) mend()
    })
  }

  // ---- members

  /** Neither the founder, nor who integrates the run, nor who could take it over. */
  #expendable(): Machine | undefined {
    const up = this.#cluster.ready().map((life) => life.machine)
    const others = up.filter(({ node }) => !this.#cluster.isVital(node))
    return others.length === 0 || this.#losses >= LOSSES_MAX ? undefined : this.#dice.pick(others)
  }

  #lose(fault: Fault, machine: Machine | undefined): void {
    if (!machine) return
    this.#losses++
    this.#cluster.note(machine.node, fault)
    machine.isLost = true
    this.#cluster.crash(machine.node, 'power')
  }

  #join(): void {
    const sponsor = this.#admin()
    if (!sponsor || this.#joins >= JOINS_MAX) return
    this.#joins++
    const machine = this.#cluster.addMachine()
    this.#cluster.note(machine.node, 'join')
    this.#cluster.admit(sponsor, machine, 'worker')
    this.#cluster.beginWhenKnown(machine)
  }

  /** Leaves of itself, or is removed by an admin who may be far away from it. It works on until it hears. */
  #depart(fault: Fault, machine: Machine | undefined, isOwnWill: boolean): void {
    const admin = isOwnWill ? machine && this.#cluster.lives.get(machine.node) : this.#admin()
    if (!machine || !admin) return
    this.#losses++
    this.#cluster.note(machine.node, fault)
    this.#cluster.departed.add(machine.node)
    admin.post({ type: 'member', subject: machine.node, fact: { verb: 'remove', since: {} } })
  }

  #admin() {
    return this.#cluster.ready().find(({ state }) => state.may('admin'))
  }

  /** The integrator's machine burns. After a while a person has another node take the run over. */
  #loseIntegrator(): void {
    const run = this.#cluster.ready()[0]?.state.board.runs.get(RUN)
    const integrator = run?.integrator === undefined ? undefined : this.#cluster.lives.get(run.integrator)
    if (!integrator || this.#losses >= LOSSES_MAX || !run?.sealed) return
    this.#lose('integrator-lost', integrator.machine)
    this.#cluster.timeline.after(ADOPT_MS, () => this.#adopt())
  }

  /** Again until somebody has it: an order that burned with its author was never given. */
  #adopt(): void {
    const cluster = this.#cluster
    const knowing = cluster.ready().filter(({ state }) => state.board.runs.get(RUN)?.header !== undefined)
    const isHeld = knowing.some(
      ({ state }) => !cluster.machines.get(state.board.runs.get(RUN)!.integrator!)?.isLost,
    )
    if (isHeld) return
    cluster.timeline.after(ADOPT_MS, () => this.#adopt())
    const heir = knowing.find(({ state, machine }) => !machine.isStopped && state.may('integrator'))
    if (!heir) return
    this.#cluster.note(heir.node, 'adopts the run')
    heir.post({
      type: 'order',
      run: RUN,
      subject: '*',
      order: { verb: 'adopt', term: 0, cutoff: this.#heritage(heir), reason: 'its integrator is lost' },
    })
  }

  /** What was integrated and is on the heir's own disk: he cannot go on from a commit that burned. */
  #heritage({ machine, state }: Life): number {
    const { positions } = state.board.runs.get(RUN)!
    let last = 0
    for (let n = 1; positions.has(n); n++) {
      const { commit } = positions.get(n)!.accepted!
      if (commit === undefined || machine.repository.has(commit)) last = n
    }
    return last
  }
}
