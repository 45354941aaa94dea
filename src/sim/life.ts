/**
 * One process life of a simulated node: the real core over the real replicated store, synced and watched over as on a machine; only clock, network, disk, git and agents are the
 * simulation's. Does what `node/loop.ts` does, in virtual time.
 */
import type { Effect } from '../core/effect.ts'
import { isOrchError } from '../core/error.ts'
import type { Batch, Fact } from '../core/fact.ts'
import type { Author, NodeId } from '../core/id.ts'
import type { Input, Reply } from '../core/input.ts'
import { PENDING_TASKS_MAX, SETTLE_MS_DEFAULT, STAGGER_MS_DEFAULT } from '../core/limit.ts'
import { NodeState } from '../core/node-state.ts'
import { stepAll } from '../core/step.ts'
import { type CrdtStore, openCrdtStore } from '../store/crdt.ts'
import type { Frame } from '../store/frame.ts'
import type { FrameDisk } from '../store/frame-disk.ts'
import type { Agent } from './agent.ts'
import type { Dice } from './dice.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import { Pulse } from './pulse.ts'
import { signerOf, verifySignature } from './signature.ts'
import type { SimNet } from './sim-net.ts'
import { Spread } from './spread.ts'
import type { Timeline } from './timeline.ts'
import type { Temper } from './workbench.ts'
import { Workbench } from './workbench.ts'

export const SLOTS = 2

/** Hears of everything that a node decides and does. */
export interface Witness {
  opened(life: Life, batches: readonly Batch[]): void
  stepped(life: Life, inputs: readonly Input[], facts: readonly Fact[], effects: readonly Effect[]): void
  spawned(life: Life, agent: Agent): void
  /** An own frame is on the disk. */
  written(life: Life, bytes: Uint8Array): void
  /** A foreign one is believed. */
  believed(life: Life, frame: Frame): void
}

export interface LifeOptions {
  readonly machine: Machine
  readonly net: SimNet
  readonly network: Network
  readonly timeline: Timeline
  readonly dice: Dice
  readonly temper: Temper
  readonly cluster: string
  /** Member that brought this node in: it is let in before the roster says so. */
  readonly sponsor: NodeId
  readonly span: (dice: Dice) => number
  readonly find: (node: NodeId) => Life | undefined
  readonly witness: Witness
  /** It can do no more: its disk failed, or what it believed does not count. */
  readonly onOver: (life: Life, reason: string) => void
}

export class Life {
  readonly options: LifeOptions
  readonly machine: Machine
  readonly node: NodeId
  readonly author: Author
  readonly state: NodeState
  readonly net: SimNet
  readonly bench: Workbench
  store!: CrdtStore
  isAlive = true
  /** Its board is read and it takes part. */
  isReady = false
  /** Commits that are not durable. */
  pending = 0
  #durable: Promise<void> = Promise.resolve()
  readonly #disk: FrameDisk
  #spread: Spread | undefined
  #pulse: Pulse | undefined
  #undoTimer: () => void = () => {}
  #timerAt = Number.POSITIVE_INFINITY
  #rosterVersion = -1

  constructor(options: LifeOptions) {
    const { machine, network, dice } = options
    this.options = options
    this.machine = machine
    this.node = machine.node
    machine.lives++
    this.author = { node: machine.node, incarnation: `01J${String(machine.lives).padStart(23, '0')}` }
    this.state = new NodeState({
      author: this.author,
      slots: SLOTS,
      capacity: { cpu: 4, memoryBytes: 1_000_000, gpu: 0, quota: {} },
      capabilities: [],
      seed: dice.int(2 ** 31),
      staggerMs: STAGGER_MS_DEFAULT,
      settleMs: SETTLE_MS_DEFAULT,
      pendingTasksMax: PENDING_TASKS_MAX,
      stallMs: 0,
      cluster: options.cluster,
    })
    this.state.watched = true
    this.net = options.net
    this.bench = new Workbench({
      machine,
      network,
      timeline: options.timeline,
      dice: dice.fork(),
      temper: options.temper,
      span: options.span,
      offer: (input) => this.post(input),
      whenDurable: (then) => this.#afterDurable(then),
      find: (node) => options.find(node)?.machine,
      onSpawn: (_request, agent) => options.witness.spawned(this, agent),
    })
    this.#disk = machine.disk.open((ms, then) =>
      machine.after(ms, () => {
        if (this.isAlive) then()
      }),
    )
  }

  /** Reads the board and takes part from then on. */
  async begin(): Promise<void> {
    const { options, node, machine } = this
    const store = await openCrdtStore({
      disk: this.#disk,
      author: this.author,
      signer: signerOf(node),
      verify: verifySignature,
      cluster: options.cluster,
      onReport: () => {},
    })
    const batches: Batch[] = []
    for await (const batch of store.facts()) batches.push(batch)
    if (!this.isAlive) return
    this.store = store
    options.witness.opened(this, batches)
    // Who counts is known before what they said.
    const members = batches.flatMap((batch) => {
      const facts = batch.facts.filter(({ collection }) => collection === 'members')
      return facts.length > 0 ? [{ ...batch, facts }] : []
    })
    this.#step([...members, ...batches].map((batch) => ({ type: 'facts', batch })))
    store.watch((batch) => {
      this.#pulse?.frame(batch.author)
      this.post({ type: 'facts', batch })
    })
    const { replica } = store
    replica.onFrame((frame) => options.witness.believed(this, frame))
    replica.onOwnFrame((bytes) => options.witness.written(this, bytes))
    replica.onCut(({ node: author }) => this.end(`frames of ${author} do not count any more`))
    this.net.admit((peer) => (this.#isMember(peer) ? 'member' : 'denied'))
    const spread = new Spread({
      net: this.net,
      machine,
      replica,
      dice: options.dice.fork(),
      onDiskFault: (code) => this.end(code),
    })
    this.#spread = spread
    this.#pulse = new Pulse({
      node,
      author: this.author,
      net: this.net,
      machine: this.machine,
      free: () => SLOTS - this.machine.agents.size,
      digest: () => replica.digest(),
      onDigest: (peer, digest) => spread.heard(peer, digest),
      offer: (input) => this.post(input),
    })
    this.#follow()
    // Who founds a cluster has nobody to ask.
    if (node !== options.sponsor || machine.lives > 1) await this.#spread.first()
    if (this.isAlive) this.#enter()
  }

  /** Hands an input to the core, and what comes of it to the disk and the edges. */
  post(input: Input): Reply {
    if (!this.isAlive) return { ok: false, code: 'ORCH_NO_NODE', message: 'the node has stopped' }
    return this.#step([input])
  }

  /** Stops in good order: another life follows. */
  end(reason: string): void {
    if (!this.isAlive) return
    this.#cutOff()
    this.#disk.close().catch(() => {})
    this.options.onOver(this, reason)
  }

  /** Everything in memory is gone. `kill`: of the process only; what it handed to the system is kept. */
  crash(how: 'kill' | 'power'): void {
    this.#cutOff()
    if (how === 'power') this.machine.disk.crash()
    else this.#disk.close().catch(() => {})
  }

  /** Nothing is under way: no work, no bid, nothing that waits for the disk. */
  get isQuiet(): boolean {
    return this.isReady && this.pending === 0 && this.state.attempts.size === 0 && this.state.bids.size === 0
  }

  #cutOff(): void {
    this.isAlive = false
    this.isReady = false
    this.machine.follower = undefined
    this.#undoTimer()
    this.bench.close()
    this.#pulse?.close()
    this.#spread?.close()
    this.net.cutOff()
  }

  #isMember(peer: NodeId): boolean {
    const { roster } = this.state
    if (!roster) return false
    const known = roster.member(peer)
    return known ? known.role !== 'none' : peer === this.options.sponsor || roster.members().length === 0
  }

  /** What earlier lives left is taken up; from here on it works. */
  #enter(): void {
    const { state, bench, machine } = this
    this.isReady = true
    this.post({ type: 'kind', kind: 'shell', inProcess: false, concurrency: 0 })
    for (const run of state.board.runs.values()) {
      if (!state.isIntegrator(run)) continue
      for (const input of machine.repository.recover(run.id, run.term)) this.post(input)
    }
    const adopted = bench.adopt()
    this.post({
      type: 'started',
      adopted,
      record: { name: this.node, slots: SLOTS, version: '0', inProcess: [] },
    })
    machine.follower = (agent) => bench.ended(agent)
    this.#afterDurable(() => bench.follow((attempt) => state.attempts.has(attempt)))
  }

  #step(inputs: readonly Input[]): Reply {
    const { state, machine, options } = this
    const out = stepAll(state, inputs, machine.clock.clock.now(), machine.clock.wall())
    options.witness.stepped(this, inputs, out.facts, out.effects)
    state.touched.clear()
    state.touchedRuns.clear()
    if (out.facts.length > 0) this.#write(out.facts)
    if (out.effects.length > 0) this.#afterDurable(() => this.#perform(out.effects))
    this.#arm()
    this.#follow()
    return out.reply
  }

  #write(facts: readonly Fact[]): void {
    const { durable } = this.store.put(facts, this.state.at)
    this.#durable = durable
    this.pending++
    durable.then(
      () => void this.pending--,
      (error: unknown) => this.end(isOrchError(error) ? error.code : String(error)),
    )
  }

  #afterDurable(then: () => void): void {
    if (this.pending === 0) {
      then()
      return
    }
    this.pending++
    this.#durable.then(
      () => {
        this.pending--
        if (this.isAlive) then()
      },
      () => {},
    )
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (!this.isAlive) return
      if (effect.type === 'rebuild') this.end(effect.reason)
      else this.bench.perform(effect)
    }
  }

  /** Members may have changed: who is watched, and who is let in. */
  #follow(): void {
    const { roster } = this.state
    if (!roster || !this.#pulse || roster.version === this.#rosterVersion) return
    this.#rosterVersion = roster.version
    const members = roster.members().filter(({ role }) => role !== 'none')
    this.#pulse.watch(members.map(({ node }) => node))
    this.net.reviewStandings()
  }

  #arm(): void {
    const at = this.state.wakeAt()
    if (at === undefined || at >= this.#timerAt) return
    this.#undoTimer()
    this.#timerAt = at
    this.#undoTimer = this.machine.after(at - this.machine.clock.clock.now(), () => {
      this.#timerAt = Number.POSITIVE_INFINITY
      this.post({ type: 'tick' })
    })
  }
}
