/**
 * The board: every run this node knows, as derived from facts. `apply` takes facts in any order; the state after it is a pure function of the set of facts applied
 * (SPEC BD1-BD4). Work per fact is proportional to what the fact touches: no scan of all tasks.
 */

import { Archive, isMark } from './archive.ts'
import type { Entry, SlotsOf } from './claim.ts'
import { derive } from './derive.ts'
import { entryOf, takeClaim, takeResult, takeStart } from './entry.ts'
import {
  type Batch,
  type Fact,
  type NodeRecord,
  type Order,
  type RunHeader,
  type RunMark,
  readSlotKey,
  readVersionKey,
  type Seal,
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
  type Slot,
  type TaskId,
  type WallMs,
} from './id.ts'
import { inheritPriority } from './inherit.ts'
import type { Judge } from './judge.ts'
import { reckonEnd, takeRunOrder, takeTaskOrder } from './order-register.ts'
import { RunState } from './run-state.ts'
import { chartRun, isSealed } from './seal.ts'
import { addTo, chooseSpec, type SpecHooks } from './spec-choice.ts'
import { dependencyClass, isFinal, type TaskStatus } from './status.ts'
import type { TaskSpec } from './task.ts'
import { type Register, supersedes, TaskState } from './task-state.ts'
import { takeAccept, takeAck, takeReject, takeVoid } from './verdict.ts'

export class Board {
  readonly runs = new Map<RunId, RunState>()
  readonly nodes = new Map<NodeId, Register<NodeRecord>>()
  /** Tasks of all runs that still want work (R24). */
  unfinished = 0
  /** Facts that the grammar or its reader refused: counted, never a reason to stop. */
  refused = 0
  #queue: TaskState[] = []
  #changed: TaskState[] = []
  readonly #changedRuns = new Set<RunState>()
  /** Who may say what; absent where all facts are this node's own. */
  readonly judge: Judge | undefined
  #rosterMoved = false
  #stale: string | undefined
  /** Over for good, and forgotten: none of their facts is taken any more. */
  readonly archive = new Archive()
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

  constructor(judge?: Judge) {
    this.judge = judge
  }

  apply(batch: Batch): void {
    const facts = this.judge ? this.judge.take(batch) : batch.facts
    for (const fact of facts) this.#fact(fact, batch.author, batch.at)
    this.#review()
    this.#settle()
  }

  /** Facts of this process's own step, before they have a batch. Same meaning as `apply`. */
  applyOwn(fact: Fact, author: Author, at: WallMs): void {
    if (!this.judge || this.judge.takeOwn(fact, author)) this.#fact(fact, author, at)
    this.#review()
    this.#settle()
  }

  /** Facts that waited for the admission of their author are taken; what was taken and should not have been makes the board stale. */
  #review(): void {
    if (!this.judge) return
    for (let review = this.judge.review(); review; review = this.judge.review()) {
      this.#rosterMoved = true
      this.#stale ??= review.rebuild
      for (const batch of review.batches)
        for (const fact of this.judge.take(batch)) this.#fact(fact, batch.author, batch.at)
    }
  }

  /** Whether the roster moved since the last call. */
  takeRosterMoved(): boolean {
    const moved = this.#rosterMoved
    this.#rosterMoved = false
    return moved
  }

  /** Why this board is not what its facts mean any more, once. It cannot be mended: facts are never taken back from it. */
  takeStale(): string | undefined {
    const stale = this.#stale
    this.#stale = undefined
    return stale
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

  isArchived(run: RunId): boolean {
    return this.archive.has(run)
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
      else if (fact.collection === 'runs') this.#mark(fact.key, fact.body)
      return
    }
    // What comes late of a run that is over for good must not bring it back.
    if (!isRunId(fact.doc) || this.archive.has(fact.doc)) return this.#refuse()
    const run = this.#run(fact.doc)
    switch (fact.collection) {
      case 'runs':
        return this.#header(run, fact.key, fact.body, author)
      case 'specs':
        return this.#spec(run, fact.key, fact.body, author)
      case 'seals':
        return this.#seal(run, fact.key, fact.body, author)
      case 'claims':
        return this.#bid(run, fact.key, author, takeClaim)
      case 'starts':
        return this.#bid(run, fact.key, author, (entry) => takeStart(entry, fact.body, author, at))
      case 'results':
        return this.#bid(run, fact.key, author, (entry) => takeResult(entry, fact.body, author, at))
      case 'voids':
        return this.#verdict(run, fact.key, false, (task, slot) => takeVoid(task, slot, fact.body.why))
      case 'accepts':
        return this.#verdict(run, fact.key, false, (t, slot) => takeAccept(t, slot, fact.body, author))
      case 'rejects':
        return this.#verdict(run, fact.key, true, (t, slot, by) => takeReject(t, slot, by, fact.body, author))
      case 'acks':
        return this.#verdict(run, fact.key, true, (t, slot, by) => takeAck(t, slot, by, author.node))
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

  #mark(key: string, mark: RunHeader | RunMark): void {
    const version = readVersionKey(key)
    if (!version || !isRunId(version.subject) || !isMark(mark)) return this.#refuse()
    const id = version.subject
    if (this.archive.has(id)) return
    const run = this.runs.get(id)
    this.archive.add(id, run)
    if (!run) return
    this.runs.delete(id)
    this.#changedRuns.delete(run)
    this.#queue = this.#queue.filter((task) => task.run !== run)
    this.#changed = this.#changed.filter((task) => task.run !== run)
    for (const task of run.tasks.values()) {
      this.unfinished -= wantsWork(task.status)
      // Whoever still has it in a queue or a timer finds a task that nothing is known of.
      task.status = 'unknown'
      task.holder = undefined
    }
  }

  #header(run: RunState, key: string, header: RunHeader | RunMark, author: Author): void {
    if (isMark(header) || header.creator !== author.node || key !== `${run.id}/0`) return this.#refuse()
    // The first process life of the creator wins; two creators of one id differ by node id, smaller first: any order of arrival agrees.
    const held = run.headerAuthor
    if (
      held &&
      (held.node < author.node || (held.node === author.node && held.incarnation <= author.incarnation))
    )
      return
    run.header = header
    run.headerAuthor = author
    run.reckon()
    reckonEnd(run)
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

  /** What a node says of its own part in an epoch. */
  #bid(run: RunState, key: string, author: Author, take: (entry: Entry) => void): void {
    const slot = readSlotKey(run.id, key)
    const task = slot && slot.rest === undefined ? this.#task(run, slot.task) : undefined
    if (!slot || !task) return this.#refuse()
    take(entryOf(task, slot, author))
    this.#dirty(task)
  }

  /** A fact about a task's results: `take` keeps it. `named`: its key ends with the author of the result. */
  #verdict(
    run: RunState,
    key: string,
    named: boolean,
    take: (task: TaskState, slot: Slot, node: NodeId) => boolean,
  ): void {
    const slot = readSlotKey(run.id, key)
    const task = slot && (slot.rest !== undefined) === named ? this.#task(run, slot.task) : undefined
    if (!slot || !task) return this.#refuse()
    if (take(task, slot, slot.rest ?? '')) this.#dirty(task)
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
    const { prioritized } = task
    if (!takeTaskOrder(task, order, n, author)) return this.#refuse()
    if (task.prioritized !== prioritized) inheritPriority(task, this.#note)
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
