/** A whole cluster: machines, the lives on them, what they are given to do. Everything that happens is an event of one timeline. */
import type { Effect } from '../core/effect.ts'
import type { Batch, Fact, Role } from '../core/fact.ts'
import type { DurationMs, NodeId } from '../core/id.ts'
import type { Input } from '../core/input.ts'
import { clusterId } from '../core/roster-read.ts'
import { isFinal } from '../core/status.ts'
import type { Frame } from '../store/frame.ts'
import type { Agent } from './agent.ts'
import { MachineClock } from './clock.ts'
import { CommitGraph } from './commit.ts'
import { Dice } from './dice.ts'
import { Disk } from './disk.ts'
import { Meter } from './figures.ts'
import { Life, SLOTS, type Witness } from './life.ts'
import { Machine } from './machine.ts'
import { Network } from './network.ts'
import { Oracle } from './oracle.ts'
import { Repository } from './repository.ts'
import { SimNet } from './sim-net.ts'
import { Timeline } from './timeline.ts'
import type { Trace } from './trace.ts'
import type { Temper } from './workbench.ts'
import { createWorkload, RUN, type Workload } from './workload.ts'

export interface ClusterOptions {
  readonly seed: number
  readonly nodes: number
  readonly tasks: number
  /** Clocks differ by up to this. */
  readonly driftMax: number
  readonly trace: Trace
}

const NONCE = 'simulated'
/** Roles of the first members: the founder is admin; one more may take a run over, and let others in. */
const ROLES: readonly Role[] = ['admin', 'admin', 'integrator', 'integrator']
/** A life that ended of itself is followed by the next one. */
const AGAIN_MS = 500
/** So much is submitted in one commit. */
const SUBMIT_TASKS_MAX = 2_000

export class SimCluster implements Witness {
  readonly options: ClusterOptions
  readonly timeline = new Timeline()
  readonly dice: Dice
  readonly network: Network
  readonly machines = new Map<NodeId, Machine>()
  readonly lives = new Map<NodeId, Life>()
  /** Members that only lie. */
  readonly liars = new Set<NodeId>()
  /** Members that left or were removed. */
  readonly departed = new Set<NodeId>()
  readonly temper: Temper = { failureRate: 0, deafRate: 0 }
  readonly workload: Workload
  readonly oracle: Oracle
  readonly meter = new Meter()
  readonly cluster: string
  readonly founder: NodeId
  readonly graph = new CommitGraph()
  readonly #nets = new Map<NodeId, SimNet>()
  /** Promise jobs wait to be done before the next event. */
  isStirred = false

  constructor(options: ClusterOptions) {
    this.options = options
    this.dice = new Dice(options.seed)
    this.network = new Network(this.timeline, this.dice.fork())
    this.founder = nodeName(0)
    this.cluster = clusterId(this.founder, NONCE)
    this.workload = createWorkload(options.tasks, this.founder, this.dice.fork())
    this.oracle = new Oracle({
      timeline: this.timeline,
      machines: this.machines,
      liars: this.liars,
      departed: this.departed,
    })
    this.meter.tally.tasks = options.tasks
    for (let i = 0; i < options.nodes; i++) this.addMachine()
  }

  addMachine(): Machine {
    const node = nodeName(this.machines.size)
    const { driftMax } = this.options
    const machine = new Machine({
      node,
      timeline: this.timeline,
      clock: new MachineClock(this.timeline, 1 + (driftMax > 0 ? this.dice.between(-driftMax, driftMax) : 0)),
      disk: new Disk(this.dice.fork(), (changes) => this.oracle.synced(changes)),
      repository: new Repository(this.graph),
    })
    machine.onEnd = (agent) => this.#ended(node, agent)
    this.machines.set(node, machine)
    return machine
  }

  /** The founder first; the others as it lets them in; then the run. */
  found(): void {
    this.begin(this.machines.get(this.founder)!)
    this.timeline.after(100, () => {
      const founder = this.lives.get(this.founder)!
      founder.post({
        type: 'member',
        subject: this.founder,
        fact: { verb: 'found', name: 'simulated', nonce: NONCE },
      })
      let at = 0
      for (const machine of this.machines.values()) {
        if (machine.node === this.founder) continue
        this.admit(founder, machine, ROLES[++at] ?? 'worker')
        this.timeline.after(this.dice.between(100, 2_000), () => this.begin(machine))
      }
    })
    this.timeline.after(FOUNDING_MS, () => this.#submit())
  }

  /** Whom the run cannot do without: who founded the cluster, who can let others in, who integrates or could. */
  isVital(node: NodeId): boolean {
    return ROLES.length > [...this.machines.keys()].indexOf(node)
  }

  admit(by: Life, machine: Machine, role: Role): void {
    by.post({ type: 'member', subject: machine.node, fact: { verb: 'admit', role, name: machine.node } })
  }

  /** Starts a new member once two others know of it: an admission that burned with its admin never was. */
  beginWhenKnown(machine: Machine): void {
    machine.isLost = true
    const look = (): void => {
      const knowing = this.ready().filter(({ state }) => state.roster?.isMember(machine.node))
      if (knowing.length < 2) return void this.timeline.after(500, look)
      machine.isLost = false
      this.begin(machine)
    }
    look()
  }

  /** The net of a new process on a machine. */
  connect(machine: Machine): SimNet {
    const net = new SimNet(machine, this.network, (node) => this.#nets.get(node))
    this.#nets.set(machine.node, net)
    this.network.add(net)
    return net
  }

  /** Starts a node's process. */
  begin(machine: Machine): void {
    if (machine.isLost || this.lives.has(machine.node)) return
    this.note(machine.node, 'begin')
    const life = new Life({
      machine,
      net: this.connect(machine),
      network: this.network,
      timeline: this.timeline,
      dice: this.dice.fork(),
      temper: this.temper,
      cluster: this.cluster,
      sponsor: this.founder,
      span: (dice) => this.workload.span(dice),
      find: (node) => this.lives.get(node),
      witness: this,
      onOver: (over, reason) => {
        this.note(over.node, `over: ${reason}`)
        this.#forget(over)
        this.#again(machine)
      },
    })
    this.lives.set(machine.node, life)
    this.isStirred = true
    life.begin().catch((error: unknown) => {
      if (life.isAlive) this.oracle.breach('crash', machine.node, `does not start: ${String(error)}`)
    })
  }

  /** Ends a process without a word. `power`: with all that runs on the machine and all that its disk had not synced. */
  crash(node: NodeId, how: 'kill' | 'power'): void {
    const life = this.lives.get(node)
    const machine = this.machines.get(node)!
    this.note(node, `crash: ${how}`)
    if (life) {
      life.crash(how)
      this.#forget(life)
    }
    if (how === 'power') for (const agent of machine.killAgents()) this.#ended(machine.node, agent)
  }

  /** Lives that take part. */
  ready(): Life[] {
    return [...this.lives.values()].filter((life) => life.isReady)
  }

  note(node: NodeId, what: string): void {
    this.options.trace.note(this.timeline.now, node, what)
  }

  // ---- witness

  opened(life: Life, batches: readonly Batch[]): void {
    this.note(life.node, `opened ${batches.length}`)
  }

  stepped(life: Life, inputs: readonly Input[], facts: readonly Fact[], effects: readonly Effect[]): void {
    this.isStirred = true
    const { now } = this.timeline
    this.note(
      life.node,
      `${inputs.map(nameOf).join()} ${facts.map((f) => `${f.collection}:${f.key}`).join()} ${effects.map((e) => e.type).join()}`,
    )
    const { meter } = this
    meter.pass(now)
    for (const task of life.state.touched)
      if (task.status === 'ready') meter.ready(task.id)
      else if (isFinal(task.status)) meter.over(task.id)
    for (const { collection, key, body } of facts)
      if (collection === 'claims' || collection === 'starts') meter.claimed(`${life.node} ${key}`)
      else if (collection === 'voids') this.#voided(life, key)
      else if (collection === 'results' && body.noBase) meter.tally.baseless++
    for (const effect of effects) {
      if (effect.type === 'start') {
        const { task, round, epoch } = effect.request.slot
        // Nobody orders a retry here: a round begins because the integrator refused what the one before had made.
        meter.startDecided(task, round > 1 && epoch === 1)
      }
      if (effect.type === 'stop') {
        const task = life.state.attempts.get(effect.attempt)?.task
        if (task?.holder && task.holder.node !== life.node) meter.tally.flips++
      }
    }
    this.#lookForRoom(life.state.board.runs.get(RUN)?.integrator)
    this.oracle.stepped(life, facts, effects)
  }

  spawned(life: Life, agent: Agent): void {
    this.note(life.node, `spawned ${agent.attempt}`)
    this.meter.spawned(agent.slot.task)
    this.oracle.spawned(life, agent)
  }

  written(life: Life, bytes: Uint8Array): void {
    this.oracle.written(life, bytes)
  }

  believed(life: Life, frame: Frame): void {
    this.oracle.believed(life, frame)
  }

  #ended(node: NodeId, agent: Agent): void {
    this.note(node, `ended ${agent.attempt} ${agent.outcome}`)
    this.meter.ended(agent.slot.task, agent.attempt, agent.endedAt! - agent.startedAt)
  }

  /** Who sleeps, or is cut off from the integrator, cannot be expected to start what is ready. */
  #lookForRoom(integrator: NodeId | undefined): void {
    let nodes = 0
    let free = 0
    for (const { node, isReady, machine, state } of this.lives.values()) {
      if (!isReady || machine.isStopped || integrator === undefined) continue
      if (!this.network.isOpen(integrator, node) || !this.network.isOpen(node, integrator)) continue
      nodes++
      free += SLOTS - state.attempts.size
    }
    this.meter.room(nodes * SLOTS, free)
  }

  #voided(life: Life, key: string): void {
    const [task, round, epoch] = key.split('/')
    for (const machine of this.machines.values()) {
      if (machine.node === life.node) continue
      for (const { slot, endedAt } of machine.agents.values()) {
        if (slot.task !== task || String(slot.round) !== round || String(slot.epoch) !== epoch || endedAt)
          continue
        const holder = this.lives.get(machine.node)
        if (!holder?.isReady || machine.isStopped) continue
        const isReached =
          this.network.isOpen(machine.node, life.node) && this.network.isOpen(life.node, machine.node)
        if (isReached) this.meter.tally.falseVoids++
        else this.meter.tally.cutVoids++
      }
    }
  }

  #forget(life: Life): void {
    if (this.lives.get(life.node) === life) this.lives.delete(life.node)
  }

  #again(machine: Machine, afterMs: DurationMs = AGAIN_MS): void {
    machine.after(afterMs, () => {
      if (machine.disk.isFull) this.#again(machine, 5_000)
      else this.begin(machine)
    })
  }

  #submit(): void {
    const { header, tasks } = this.workload
    const life = this.lives.get(this.founder)
    if (!life?.isReady) {
      this.timeline.after(1_000, () => this.#submit())
      return
    }
    for (let i = 0; i < tasks.length; i += SUBMIT_TASKS_MAX) {
      const seal = i + SUBMIT_TASKS_MAX >= tasks.length
      life.post({ type: 'submit', run: RUN, header, tasks: tasks.slice(i, i + SUBMIT_TASKS_MAX), seal })
    }
  }
}

export const FOUNDING_MS = 5_000

function nodeName(index: number): NodeId {
  return `node-${index}`
}

function nameOf(input: Input): string {
  switch (input.type) {
    case 'facts':
      return `facts ${input.batch.author.node}/${input.batch.author.incarnation.slice(-3)}#${input.batch.n}`
    case 'dead':
      return `dead ${input.node} ${input.what ?? 'all'}`
    case 'members':
      return `members ${input.live.join(' ')}`
    default:
      return input.type
  }
}
