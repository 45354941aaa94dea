/**
 * Ready tasks in the order in which this node would start them (R22): effective priority with aging, then due date, then the longest chain of tasks behind it,
 * then age of the run and place in its plan. Inadmissible ones are parked under what they wait for and come back when that is released.
 */
import { Heap } from './heap.ts'
import { AGING_MS } from './limit.ts'
import type { TaskState } from './task-state.ts'

interface ReadyEntry {
  readonly task: TaskState
  readonly stamp: number
  /** Level minus the ten-minute span in which it became ready: a task gains a level on newcomers for each span that it waited. */
  readonly urgency: number
  readonly due: number
  readonly path: number
}

function before(a: ReadyEntry, b: ReadyEntry): boolean {
  if (a.urgency !== b.urgency) return a.urgency > b.urgency
  if (a.due !== b.due) return a.due < b.due
  if (a.path !== b.path) return a.path > b.path
  if (a.task.run !== b.task.run) {
    const x = a.task.run.header?.createdAt ?? 0
    const y = b.task.run.header?.createdAt ?? 0
    return x !== y ? x < y : a.task.run.id < b.task.run.id
  }
  return (a.task.spec?.order ?? a.task.index) < (b.task.spec?.order ?? b.task.index)
}

/** How many parked tasks that wait for different things are brought back at a time. */
const WAKE_BATCH = 32

/** How many of the tasks parked under one key may be tried: none, the first, several; `later`: its pool has no free slot now. */
export type Room = 'none' | 'one' | 'some' | 'later'

export class ReadyQueue {
  /** By pool: tasks of a kind that no worker offers here must not stand in the way of others. */
  readonly #heaps = new Map<string, Heap<ReadyEntry>>()
  /** By pool: what another node is to take, to be taken here when nothing of the own is left. */
  readonly #aside = new Map<string, Heap<ReadyEntry>>()
  readonly #parked = new Map<string, Heap<ReadyEntry>>()
  /** Parked again in this pass: not woken twice, or the pass would never end. */
  readonly #tried = new Map<string, ReadyEntry[]>()
  readonly #open = new Set<string>()
  /** Keys `a/b` by their `a`, for releases of the whole. */
  readonly #families = new Map<string, Set<string>>()

  push(task: TaskState, pool: string): void {
    task.stamp++
    let heap = this.#heaps.get(pool)
    if (!heap) {
      heap = new Heap(before)
      this.#heaps.set(pool, heap)
    }
    heap.push({
      task,
      stamp: task.stamp,
      urgency: task.level - Math.floor(task.readySince / AGING_MS),
      due: task.spec?.due ?? Number.MAX_SAFE_INTEGER,
      path: task.criticalPath,
    })
  }

  /** The best task of a pool, removed; `undefined` when none is ready. */
  pop(pool: string): ReadyEntry | undefined {
    return this.popBest([pool])
  }

  /** The best task of several pools. */
  popBest(pools: readonly string[]): ReadyEntry | undefined {
    let best: Heap<ReadyEntry> | undefined
    for (const pool of pools)
      for (const heap of [this.#heaps.get(pool), this.#aside.get(pool)])
        if (heap && top(heap) && (!best || before(heap.peek()!, best.peek()!))) best = heap
    return best?.pop()
  }

  /**
   * The best task of a pool, but among tasks of one urgency first those that are this node's to take. `isMine` is asked once for each task that becomes ready: nodes that share a long
   * queue then go through different parts of it. `onlyMine`: nothing else.
   */
  popMine(pool: string, isMine: (task: TaskState) => boolean, onlyMine: boolean): ReadyEntry | undefined {
    const heap = this.#heaps.get(pool)
    const aside = this.#aside.get(pool) ?? new Heap(before)
    for (;;) {
      const entry = heap && top(heap)
      const other = top(aside)
      if (!entry || (other && other.urgency > entry.urgency))
        return other && !onlyMine ? aside.pop() : undefined
      heap.pop()
      if (isMine(entry.task)) return entry
      aside.push(entry)
      this.#aside.set(pool, aside)
    }
  }

  /** Somebody is gone: what was his to take is asked about again. */
  shareAnew(): void {
    for (const [pool, aside] of this.#aside) {
      const heap = this.#heaps.get(pool)
      for (const entry of aside.values()) if (isFresh(entry)) heap?.push(entry)
    }
    this.#aside.clear()
  }

  park(entry: ReadyEntry, key: string): void {
    const list = this.#tried.get(key)
    if (list) list.push(entry)
    else this.#tried.set(key, [entry])
  }

  /** What was parked under `key`, or under `key/…`, may be tried again. */
  release(key: string): void {
    if (this.#parked.has(key)) this.#open.add(key)
    for (const member of this.#families.get(key) ?? []) this.#open.add(member)
  }

  /**
   * Moves parked tasks whose key was released back to their pools, as many of each key as there is room for. Returns false when there is nothing left to
   * bring back: the end of the pass. Costs what it moves, however many are parked.
   */
  wake(poolOf: (task: TaskState) => string, roomFor: (key: string, task: TaskState) => Room): boolean {
    let woken = 0
    for (const key of this.#open) {
      const heap = this.#parked.get(key)
      const first = heap && top(heap)
      const room = first ? roomFor(key, first.task) : 'none'
      if (room === 'none') this.#open.delete(key)
      if (room === 'none' || room === 'later') continue
      for (let left = room === 'one' ? 1 : WAKE_BATCH; left > 0; left--) {
        const entry = heap && top(heap)
        if (!entry) break
        heap.pop()
        this.push(entry.task, poolOf(entry.task))
        woken++
      }
    }
    return woken > 0
  }

  /** Ends a pass: what it parked waits for the next release. */
  settle(): void {
    if (this.#tried.size === 0) return
    for (const [key, entries] of this.#tried) {
      let heap = this.#parked.get(key)
      if (!heap) {
        heap = new Heap(before)
        this.#parked.set(key, heap)
        const family = key.slice(0, Math.max(key.lastIndexOf('/'), 0))
        this.#families.set(family, (this.#families.get(family) ?? new Set()).add(key))
      }
      for (const entry of entries) if (isFresh(entry)) heap.push(entry)
    }
    this.#tried.clear()
  }

  /** Moves everything of one pool to another, when a kind changed its pool. */
  move(from: string, to: (task: TaskState) => string): void {
    const heaps = [this.#heaps.get(from), this.#aside.get(from)]
    this.#heaps.delete(from)
    this.#aside.delete(from)
    for (const heap of heaps)
      for (const entry of heap?.values() ?? []) if (isFresh(entry)) this.push(entry.task, to(entry.task))
  }

  pools(): readonly string[] {
    return [...this.#heaps.keys()]
  }
}

/** The first that is not stale; the stale ones before it are dropped. */
function top(heap: Heap<ReadyEntry>): ReadyEntry | undefined {
  for (;;) {
    const entry = heap.peek()
    if (!entry || isFresh(entry)) return entry
    heap.pop()
  }
}

function isFresh(entry: ReadyEntry): boolean {
  return entry.stamp === entry.task.stamp && entry.task.status === 'ready'
}
