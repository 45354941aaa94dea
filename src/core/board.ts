/**
 * The board: every run this node knows, as derived from facts. `apply` takes facts in any order; the state after it is a pure function of the set of facts applied
 * (SPEC BD1-BD4). Work per fact is proportional to what the fact touches: no scan of all tasks.
 */

import type { Result } from './attempt.ts'
import type { Entry, SlotsOf } from './claim.ts'
import { betterResult, createEntry } from './claim.ts'
import { derive } from './derive.ts'
import {
  type Accept,
  type Batch,
  type Bodies,
  type Fact,
  isFailure,
  type NodeRecord,
  type Order,
  type Reject,
  type RunHeader,
  readSlotKey,
  readVersionKey,
  type Seal,
  type VoidReason,
} from './fact.ts'
import { recordAccept } from './history.ts'
import {
  type Author,
  CLUSTER_DOC,
  isRunId,
  isSameAuthor,
  isTaskId,
  type NodeId,
  type RunId,
  type TaskId,
  type WallMs,
} from './id.ts'
import { inheritPriority } from './inherit.ts'
import { takeRunOrder, takeTaskOrder } from './order-register.ts'
import { RunState } from './run-state.ts'
import { chartRun, isSealed } from './seal.ts'
import { addTo, chooseSpec, type SpecHooks } from './spec-choice.ts'
import { dependencyClass, isFinal, type TaskStatus } from './status.ts'
import type { TaskSpec } from './task.ts'
import { type Register, supersedes, TaskState } from './task-state.ts'

export class Board {
  readonly runs = new Map<RunId, RunState>()
  readonly nodes = new Map<NodeId, Register<NodeRecord>>()
  /** Tasks of all runs that still want work (R24). */
  unfinished = 0
  /** Facts that the grammar or its reader refused: counted, never a reason to stop. */
  refused = 0
  readonly #queue: TaskState[] = []
  #changed: TaskState[] = []
  readonly #changedRuns = new Set<RunState>()
  readonly slotsOf: SlotsOf = (node) => {
    const slots = this.nodes.get(node)?.value.slots
    return Number.isSafeInteger(slots) && slots! > 0 ? slots! : 1
  }
  readonly #note = (task: TaskState): void => {
    this.#changedRuns.add(task.run)
    if (task.changed) return
    task.changed = true
    this.#changed.push(task)
  }

  readonly #dirty = (task: TaskState): void => {
    if (task.dirty) return
    task.dirty = true
    this.#queue.push(task)
  }
  readonly #hooks: SpecHooks = {
    task: (run, id) => this.#task(run, id),
    note: this.#note,
    dirty: this.#dirty,
  }

  apply(batch: Batch): void {
    for (const fact of batch.facts) this.#fact(fact, batch.author, batch.at)
    this.#settle()
  }

  /** Facts of this process's own step, before they have a batch. Same meaning as `apply`. */
  applyOwn(fact: Fact, author: Author, at: WallMs): void {
    this.#fact(fact, author, at)
    this.#settle()
  }

  /** Tasks whose derived state changed since the last call. */
  takeChanged(): readonly TaskState[] {
    const changed = this.#changed
    if (changed.length === 0) return changed
    this.#changed = []
    for (const task of changed) task.changed = false
    return changed
  }

  /** Runs whose header, seal, orders or counts changed since the last call. */
  takeChangedRuns(): readonly RunState[] {
    if (this.#changedRuns.size === 0) return []
    const runs = [...this.#changedRuns]
    this.#changedRuns.clear()
    return runs
  }

  /** The run is looked at again, though no fact of it came. */
  touch(run: RunState): void {
    this.#changedRuns.add(run)
  }

  task(run: RunId, task: TaskId): TaskState | undefined {
    return this.runs.get(run)?.tasks.get(task)
  }

  #fact(fact: Fact, author: Author, at: WallMs): void {
    if (fact.doc === CLUSTER_DOC) {
      if (fact.collection === 'nodes') this.#node(fact.key, fact.body, author)
      return
    }
    if (!isRunId(fact.doc)) return this.#refuse()
    const run = this.#run(fact.doc)
    switch (fact.collection) {
      case 'runs':
        return this.#header(run, fact.key, fact.body, author)
      case 'specs':
        return this.#spec(run, fact.key, fact.body, author)
      case 'seals':
        return this.#seal(run, fact.key, fact.body, author)
      case 'claims':
        return this.#claim(run, fact.key, author)
      case 'starts':
        return this.#start(run, fact.key, fact.body, author, at)
      case 'results':
        return this.#result(run, fact.key, fact.body, author, at)
      case 'voids':
        return this.#void(run, fact.key, fact.body.why)
      case 'accepts':
        return this.#accept(run, fact.key, fact.body, author)
      case 'rejects':
        return this.#reject(run, fact.key, fact.body, author)
      case 'orders':
        return this.#order(run, fact.key, fact.body, author)
      default:
        // The others say nothing of tasks. Kinds of a newer version are kept by the store and skipped here.
        return
    }
  }

  #refuse(): void {
    this.refused++
  }

  #run(id: RunId): RunState {
    let run = this.runs.get(id)
    if (!run) {
      run = new RunState(id)
      this.runs.set(id, run)
    }
    this.#changedRuns.add(run)
    return run
  }

  #task(run: RunState, id: TaskId): TaskState | undefined {
    let task = run.tasks.get(id)
    if (!task) {
      if (!isTaskId(id)) {
        this.#refuse()
        return undefined
      }
      task = new TaskState(id, run, run.tasks.size)
      run.tasks.set(id, task)
      run.added()
      for (const waiting of run.blockedOn.get(id) ?? []) addTo(task, 'softDependants', waiting)
    }
    return task
  }

  #node(key: string, record: NodeRecord, author: Author): void {
    const version = readVersionKey(key)
    if (!version || version.subject !== author.node) return this.#refuse()
    if (!supersedes(this.nodes.get(author.node), version.n, author)) return
    const before = this.slotsOf(author.node)
    this.nodes.set(author.node, { n: version.n, author, value: record })
    if (this.slotsOf(author.node) === before) return
    // Slots weigh the election: where several nodes bid, it is held again, or two boards with the same facts could differ.
    for (const run of this.runs.values())
      for (const task of run.tasks.values()) if (task.entries.length > 1) this.#dirty(task)
  }

  #header(run: RunState, key: string, header: RunHeader, author: Author): void {
    if (header.creator !== author.node || key !== `${run.id}/0`) return this.#refuse()
    // The first process life of the creator wins; two creators of one id differ by node id, smaller first: any order of arrival agrees.
    const held = run.headerAuthor
    if (
      held &&
      (held.node < author.node || (held.node === author.node && held.incarnation <= author.incarnation))
    )
      return
    run.header = header
    run.headerAuthor = author
    for (const task of run.tasks.values()) {
      chooseSpec(task, this.#hooks)
      this.#dirty(task)
    }
    this.#checkSeal(run)
  }

  #spec(run: RunState, id: TaskId, spec: TaskSpec, author: Author): void {
    const task = this.#task(run, id)
    if (!task) return
    if (task.specs.some((s) => isSameAuthor(s.author, author))) return
    task.specs = append(task.specs, { author, spec })
    if (chooseSpec(task, this.#hooks) && run.seals.length > 0) this.#checkSeal(run)
  }

  #seal(run: RunState, key: string, seal: Seal, author: Author): void {
    // Other scopes are those of plan tasks, which a newer version may write.
    if (key !== '*' || run.seals.some((s) => isSameAuthor(s.author, author))) return
    run.seals.push({ author, seal })
    this.#checkSeal(run)
  }

  /** A pure function of header, seals and specs: a spec too many unseals the run again. */
  #checkSeal(run: RunState): void {
    const sealed = isSealed(run)
    if (!sealed && !run.sealed) return
    run.sealed = sealed
    chartRun(run, this.#note)
  }

  #claim(run: RunState, key: string, author: Author): void {
    const found = this.#find(run, key, author)
    if (!found) return
    found.entry.claim = true
    this.#dirty(found.task)
  }

  #start(run: RunState, key: string, body: Bodies['starts'], author: Author, at: WallMs): void {
    const found = this.#find(run, key, author)
    if (!found) return
    const { task, entry } = found
    // The life that started it is the one that can be asked about its process.
    if (!entry.start || author.incarnation < entry.incarnation) {
      entry.incarnation = author.incarnation
      entry.startedAt = at
    }
    entry.start = true
    entry.cont ||= body.cont === true
    entry.outside ||= body.outside === true
    this.#dirty(task)
  }

  #result(run: RunState, key: string, result: Result, author: Author, at: WallMs): void {
    const found = this.#find(run, key, author)
    if (!found) return
    const { task, entry } = found
    const next = { result, incarnation: author.incarnation }
    const kept = entry.result
      ? betterResult({ result: entry.result, incarnation: entry.resultIncarnation! }, next)
      : next
    if (kept === next) entry.endedAt = at
    entry.failed ||= isFailure(result.outcome)
    entry.result = kept.result
    entry.resultIncarnation = kept.incarnation
    this.#dirty(task)
  }

  #find(run: RunState, key: string, author: Author): { task: TaskState; entry: Entry } | undefined {
    const slot = readSlotKey(run.id, key)
    const task = slot && slot.rest === undefined ? this.#task(run, slot.task) : undefined
    if (!slot || !task) {
      this.#refuse()
      return undefined
    }
    let entry = task.entries.find(
      (e) => e.round === slot.round && e.epoch === slot.epoch && e.node === author.node,
    )
    if (!entry) {
      entry = createEntry(slot, author)
      task.entries = append(task.entries, entry)
    } else if (!entry.start && author.incarnation < entry.incarnation) entry.incarnation = author.incarnation
    return { task, entry }
  }

  #void(run: RunState, key: string, why: VoidReason): void {
    const slot = readSlotKey(run.id, key)
    const task = slot && slot.rest === undefined ? this.#task(run, slot.task) : undefined
    if (!slot || !task) return this.#refuse()
    if (task.voids.some((v) => v.round === slot.round && v.epoch === slot.epoch && v.why === why)) return
    task.voids = [...task.voids, { round: slot.round, epoch: slot.epoch, why }]
    this.#dirty(task)
  }

  #accept(run: RunState, key: string, accept: Accept, author: Author): void {
    const slot = readSlotKey(run.id, key)
    const task = slot && slot.rest === undefined ? this.#task(run, slot.task) : undefined
    if (!slot || !task) return this.#refuse()
    const term = slot.epoch
    if (task.accepts.some((a) => a.round === slot.round && a.term === term && isSameAuthor(a.author, author)))
      return
    const { epoch, by, position, commit } = accept
    const record = { round: slot.round, term, epoch, by, position, author }
    task.accepts = append(task.accepts, commit === undefined ? record : { ...record, commit })
    this.#dirty(task)
  }

  #reject(run: RunState, key: string, reject: Reject, author: Author): void {
    const slot = readSlotKey(run.id, key)
    const task = slot?.rest === undefined ? undefined : this.#task(run, slot.task)
    if (!slot?.rest || !task) return this.#refuse()
    const node = slot.rest
    if (
      task.rejects.some(
        (r) =>
          r.round === slot.round &&
          r.epoch === slot.epoch &&
          r.node === node &&
          isSameAuthor(r.author, author),
      )
    )
      return
    task.rejects = [...task.rejects, { ...reject, round: slot.round, epoch: slot.epoch, node, author }]
    this.#dirty(task)
  }

  #order(run: RunState, key: string, order: Order, author: Author): void {
    const version = readVersionKey(key)
    if (!version) return this.#refuse()
    const { subject, n } = version
    if (subject === '*') {
      const moved = takeRunOrder(run, order, n, author)
      if (moved === 'refused') this.#refuse()
      if (moved === 'tasks') for (const task of run.tasks.values()) this.#dirty(task)
      return
    }
    const task = this.#task(run, subject)
    if (!task) return
    if (!takeTaskOrder(task, order, n, author)) return this.#refuse()
    if (order.verb === 'prioritize') inheritPriority(task, this.#note)
    this.#dirty(task)
  }

  /** Derives what is dirty until nothing is. Ends because needs form a DAG; a hostile cycle only leaves its tasks waiting. */
  #settle(): void {
    const queue = this.#queue
    while (queue.length > 0) {
      const task = queue.pop()!
      task.dirty = false
      const before = task.status
      const after = derive(task, this.slotsOf)
      this.#note(task)
      recordAccept(task)
      if (before === after) continue
      task.status = after
      task.run.moved(before, after)
      this.unfinished += wantsWork(after) - wantsWork(before)
      if (isFinal(before) !== isFinal(after)) this.#passLevel(task)
      const was = dependencyClass(before)
      const is = dependencyClass(after)
      // Those that were dropped say by which status of which need.
      if (was === is && is !== 'failure') {
        // Who is blocked by it waits until its work is accepted.
        for (const next of task.softDependants) if (next.block) this.#dirty(next)
        continue
      }
      for (const next of task.dependants) {
        if (was === 'pending') next.pendingNeeds--
        else if (was === 'failure') next.failedNeeds--
        if (is === 'pending') next.pendingNeeds++
        else if (is === 'failure') next.failedNeeds++
        if (next.pendingNeeds === 0 || next.failedNeeds > 0 || next.spec?.if || was !== 'pending')
          this.#dirty(next)
      }
      for (const next of task.softDependants) this.#dirty(next)
    }
  }

  /** A task that is over passes its urgency on no more; one that was opened again does. Most needs are not concerned and cost nothing. */
  #passLevel(task: TaskState): void {
    const over = isFinal(task.status)
    for (const need of task.needs) {
      const concerned = over
        ? task.level === need.level && need.level > need.ownLevel
        : task.level > need.level
      if (concerned) inheritPriority(need, this.#note)
    }
  }
}

/** A new list, as what holds the old one must not see it change. Most lists of a task have one member. */
function append<T>(list: readonly T[], item: T): readonly T[] {
  return list.length === 0 ? [item] : [...list, item]
}

function wantsWork(status: TaskStatus): 0 | 1 {
  return status === 'unknown' || isFinal(status) ? 0 : 1
}
