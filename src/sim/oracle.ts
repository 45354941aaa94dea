/**
 * Sees all nodes at once and says what must never be (invariants I1-I25 of the design, as far as they apply). Checks what an event touched right after it, and whole boards at
 * checkpoints.
 */
import { holder } from '../core/claim.ts'
import type { Effect, StartRequest } from '../core/effect.ts'
import type { Fact } from '../core/fact.ts'
import { readSlotKey } from '../core/fact.ts'
import type { Millis, NodeId } from '../core/id.ts'
import { violations } from '../core/invariant.ts'
import { dependencyClass } from '../core/status.ts'
import type { TaskState } from '../core/task-state.ts'
import { type Frame, isSameBytes, readFrame } from '../store/frame.ts'
import type { DiskChange } from '../store/frame-disk.ts'
import { readFacts } from '../store/guard.ts'
import type { Agent } from './agent.ts'
import { type Life, SLOTS } from './life.ts'
import type { Machine } from './machine.ts'
import type { Timeline } from './timeline.ts'
import { difference, viewOf } from './view.ts'

export interface Breach {
  /** Of the design: `I8`, `L2`. */
  readonly rule: string
  readonly at: Millis
  readonly node: NodeId
  readonly task?: string
  readonly message: string
}

/** One seed that goes wrong may do so thousands of times. */
const BREACHES_MAX = 50

/** Hold of a board that misses nothing: what an accept rests on may come after it, by another author's chain. */
const OF_WHOLE_BOARDS: ReadonlySet<string> = new Set(['I6', 'I11', 'I12', 'I14', 'I24'])

/** What one life believed of a task before. */
interface Memory {
  readonly rounds: Map<TaskState, number>
  readonly accepted: Map<TaskState, string>
}

export interface OracleOptions {
  readonly timeline: Timeline
  readonly machines: ReadonlyMap<NodeId, Machine>
  /** Members that lie: what they sign is not held against anybody else. */
  readonly liars: ReadonlySet<NodeId>
  /** Members that left or were removed. */
  readonly departed: ReadonlySet<NodeId>
}

export class Oracle {
  readonly breaches: Breach[] = []
  readonly #options: OracleOptions
  readonly #frames = new Map<string, Uint8Array>()
  /** Own frames that no crash can take back. */
  readonly #synced = new Set<string>()
  readonly #durableStarts = new Set<string>()
  readonly #accepts = new Map<string, string>()
  readonly #memories = new WeakMap<Life, Memory>()

  constructor(options: OracleOptions) {
    this.#options = options
  }

  breach(rule: string, node: NodeId, message: string, task?: string): void {
    if (this.breaches.length >= BREACHES_MAX) return
    this.breaches.push({
      rule,
      at: this.#options.timeline.now,
      node,
      message,
      ...(task === undefined ? {} : { task }),
    })
  }

  stepped(life: Life, facts: readonly Fact[], effects: readonly Effect[]): void {
    const { state } = life
    if (state.touched.size > 0) {
      const chain = termsOf(life)
      const memory = this.#memoryOf(life)
      for (const task of state.touched) this.#touched(life, task, memory, chain)
    }
    for (const fact of facts) if (fact.collection === 'acks') this.#acknowledged(life, fact)
    for (const effect of effects) if (effect.type === 'start') this.#decided(life, effect.request)
  }

  synced(changes: readonly DiskChange[]): void {
    for (const change of changes) {
      if (change.type !== 'frame') continue
      const { doc, node, incarnation } = change.chain
      this.#synced.add(`${doc} ${node} ${incarnation} ${change.n}`)
    }
  }

  /** I1: whoever has frame n of a chain has the same bytes. */
  believed(life: Life, frame: Frame): void {
    const { bytes } = frame
    const name = `${frame.doc} ${frame.node} ${frame.incarnation} ${frame.n}`
    const known = this.#frames.get(name)
    const isLiar = this.#options.liars.has(frame.node)
    if (!isLiar && !this.#synced.has(name))
      this.breach('I21', life.node, `hears of frame ${name} before it is on the disk of its author`)
    if (!known) this.#frames.set(name, bytes)
    else if (!isSameBytes(known, bytes) && !isLiar)
      this.breach('I1', life.node, `frame ${name} differs from what others have`)
  }

  /** I6 rests on what its author has on its disk. */
  written(life: Life, bytes: Uint8Array): void {
    const reading = readFrame(bytes)
    if (!reading.ok) return this.breach('I25', life.node, `writes a frame that ${reading.problem}`)
    const { frame } = reading
    this.believed(life, frame)
    for (const fact of readFacts(frame, { collection: 'starts' }))
      this.#durableStarts.add(`${frame.node} ${frame.doc} ${fact.key}`)
  }

  spawned(life: Life, agent: Agent): void {
    const { run, task, round, epoch } = agent.slot
    if (!this.#durableStarts.has(`${life.node} ${run} ${task}/${round}/${epoch}`))
      this.breach('I6', life.node, 'an agent runs without a start on the disk', task)
    let running = 0
    for (const other of life.machine.agents.values()) if (other.endedAt === undefined) running++
    if (running > SLOTS) this.breach('I17', life.node, `${running} agents run in ${SLOTS} slots`)
  }

  /** Nodes that know the same believe the same (I3); no board is at odds with itself. `isWhole`: nothing is on its way any more. */
  checkpoint(lives: readonly Life[], isWhole = false): void {
    const views = new Map<string, { readonly view: string; readonly node: NodeId }>()
    for (const life of lives) {
      const { board } = life.state
      for (const { invariant, subject, message } of violations(board)) {
        if (OF_WHOLE_BOARDS.has(invariant) && (!isWhole || this.#restsOnTheDeparted(life, subject))) continue
        this.breach(invariant, life.node, message, subject)
      }
      if (life.pending > 0) continue
      const digest = life.store.replica.digest()
      const view = viewOf(board)
      const known = views.get(digest)
      if (!known) views.set(digest, { view, node: life.node })
      else if (known.view !== view)
        this.breach(
          'I3',
          life.node,
          `knows what ${known.node} knows and believes ${difference(view, known.view)}`,
        )
    }
  }

  /** Its accepted result was written beyond the removal of its author: the accept stays (I10), what it names does not count any more. */
  #restsOnTheDeparted({ state }: Life, subject: string): boolean {
    const [run, task] = subject.split('/')
    const by = state.board.task(run!, task ?? '')?.accepted?.by
    return by !== undefined && this.#options.departed.has(by)
  }

  #memoryOf(life: Life): Memory {
    let memory = this.#memories.get(life)
    if (!memory) {
      memory = { rounds: new Map(), accepted: new Map() }
      this.#memories.set(life, memory)
    }
    return memory
  }

  #touched(life: Life, task: TaskState, memory: Memory, chain: string): void {
    const { rounds, accepted } = memory
    const { node } = life
    // I4: neither rounds nor the epochs within one go back.
    const reached = task.round * 1_000_000 + task.epoch
    const before = rounds.get(task)
    if (before !== undefined && reached < before && task.status !== 'unknown')
      this.breach('I4', node, `goes back to ${task.round}.${task.epoch}`, task.id)
    rounds.set(task, reached)
    // I5: the holder follows from the entries, in whatever order they are looked at.
    if (task.spec && task.entries.length > 1) {
      const slot = { run: task.run.id, task: task.id, round: task.round, epoch: task.epoch }
      if (holder(slot, [...task.entries].reverse(), life.state.board.slotsOf) !== task.holder)
        this.breach('I5', node, 'its holder depends on the order of its entries', task.id)
    }
    // I10, I13: what was accepted under one chain of integrators stays, and is the same everywhere.
    const accept = task.accepted
      ? `${task.accepted.round} ${task.accepted.epoch} ${task.accepted.by} ${task.accepted.position} ${task.accepted.commit}`
      : undefined
    const earlier = accepted.get(task)
    if (earlier?.startsWith(`${chain}|`) && earlier !== `${chain}|${accept}`)
      this.breach('I13', node, `was accepted as ${earlier} and is ${accept ?? task.status} now`, task.id)
    if (accept === undefined) return
    accepted.set(task, `${chain}|${accept}`)
    const name = `${chain}|${task.id}`
    const known = this.#accepts.get(name)
    if (known === undefined) this.#accepts.set(name, accept)
    else if (known !== accept)
      this.breach('I10', node, `is accepted as ${accept} here, as ${known} elsewhere`, task.id)
  }

  /** Who says that it has the objects of a result has them. */
  #acknowledged(life: Life, fact: Fact): void {
    const slot = readSlotKey(fact.doc, fact.key)
    const task = slot && life.state.board.task(slot.run, slot.task)
    const entry = task?.entries.find(
      (e) => e.round === slot!.round && e.epoch === slot!.epoch && e.node === slot!.rest,
    )
    const head = entry?.result?.head
    if (head === undefined || !life.machine.repository.has(head))
      this.breach('I24', life.node, 'acknowledges objects that it does not have', task?.id)
  }

  #decided(life: Life, { slot, base }: StartRequest): void {
    const { state, node } = life
    const task = state.board.task(slot.run, slot.task)
    if (!task) return this.breach('I7', node, 'is started and does not exist', slot.task)
    if (task.holder?.node !== node)
      this.breach('I7', node, `is started here and held by ${task.holder?.node ?? 'nobody'}`, task.id)
    const other = task.entries.find(
      (e) => e.round === slot.round && e.epoch === slot.epoch && e.node !== node && e.start && !e.result,
    )
    if (other) this.breach('I8', node, `is started here though ${other.node} is known to run it`, task.id)
    if (!task.spec?.if && !task.needs.every((need) => dependencyClass(need.status) === 'success'))
      this.breach('I14', node, 'is started before what it needs', task.id)
    if (task.provisional) this.breach('I14', node, 'is started though it has a success', task.id)
    const { integrator } = task.run
    for (const { by, head, task: need } of base?.deltas ?? []) {
      if (by === integrator) continue
      const isShared = [...this.#options.machines.values()].some(
        (m) => m.node !== by && m.repository.has(head),
      )
      if (!isShared) this.breach('I24', node, `${task.id} rests on work that only ${by} has`, need)
    }
  }
}

/** Integrators, each with what it may have accepted, and who was removed: under the same, nobody takes an accept back. */
function termsOf(life: Life): string {
  const { board, roster } = life.state
  const terms: string[] = []
  for (const run of board.runs.values())
    for (const { integrator, until } of run.terms)
      terms.push(`${integrator}<=${until}${roster?.isMember(integrator) ? '' : '!'}`)
  return terms.join()
}
