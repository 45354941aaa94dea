/** How well the cluster worked: what was started twice, thrown away, taken from the living, and how long ready work waited. */
import type { AttemptId, DurationMs, Millis, TaskId } from '../core/id.ts'

export interface Figures {
  readonly tasks: number
  readonly accepted: number
  /** Decisions to start, of any node; also those that were taken back before an agent ran. */
  readonly startsPerTask: number
  /** Of these: after the integrator refused a result (a conflict, a failed check), and those that found nobody who had their base. */
  readonly reworksPerTask: number
  readonly baselessPerTask: number
  /** Per 1,000 tasks: starts while another agent was at work on the task. */
  readonly doubleStarts: number
  /** Share of all working time that is in no accepted result and in none that the integrator refused. */
  readonly waste: number
  /** Share of what the integrator refused: no fault makes it, the workload does. */
  readonly refused: number
  /** Epochs that were taken from a node that ran and could be reached by who took it, and from one that ran behind a cut link. */
  readonly falseVoids: number
  readonly cutVoids: number
  /** Attempts that were stopped because another node turned out to hold the task. */
  readonly flips: number
  readonly claimsPerTask: number
  /** How long a task was ready while each ready task could have had an idle slot of its own. */
  readonly waitMs: { readonly p50: DurationMs; readonly p99: DurationMs }
  /** Share of all slots within reach that stood idle while work was ready for them. */
  readonly idle: number
  /** Virtual time until everything was over. */
  readonly makespanMs: DurationMs
}

/** Sums that several seeds can be added up in. */
export class Tally {
  tasks = 0
  accepted = 0
  starts = 0
  reworks = 0
  baseless = 0
  doubles = 0
  falseVoids = 0
  cutVoids = 0
  flips = 0
  claims = 0
  workMs = 0
  usefulMs = 0
  refusedMs = 0
  slotMs = 0
  idleMs = 0
  readonly waitsMs: DurationMs[] = []
  readonly makespansMs: DurationMs[] = []

  add(other: Tally): void {
    this.tasks += other.tasks
    this.accepted += other.accepted
    this.starts += other.starts
    this.reworks += other.reworks
    this.baseless += other.baseless
    this.doubles += other.doubles
    this.falseVoids += other.falseVoids
    this.cutVoids += other.cutVoids
    this.flips += other.flips
    this.claims += other.claims
    this.workMs += other.workMs
    this.usefulMs += other.usefulMs
    this.refusedMs += other.refusedMs
    this.slotMs += other.slotMs
    this.idleMs += other.idleMs
    for (const ms of other.waitsMs) this.waitsMs.push(ms)
    for (const ms of other.makespansMs) this.makespansMs.push(ms)
  }

  figures(): Figures {
    const per = (count: number): number => ratio(count, this.tasks)
    const waits = this.waitsMs.toSorted((a, b) => a - b)
    return {
      tasks: this.tasks,
      accepted: this.accepted,
      startsPerTask: per(this.starts),
      reworksPerTask: per(this.reworks),
      baselessPerTask: per(this.baseless),
      doubleStarts: 1_000 * per(this.doubles),
      waste: ratio(this.workMs - this.usefulMs - this.refusedMs, this.workMs),
      refused: ratio(this.refusedMs, this.workMs),
      falseVoids: this.falseVoids,
      cutVoids: this.cutVoids,
      flips: this.flips,
      claimsPerTask: per(this.claims),
      waitMs: { p50: quantile(waits, 0.5), p99: quantile(waits, 0.99) },
      idle: ratio(this.idleMs, this.slotMs),
      makespanMs: quantile(
        this.makespansMs.toSorted((a, b) => a - b),
        0.5,
      ),
    }
  }
}

/** What a run is measured by while it goes on. */
export class Meter {
  readonly tally = new Tally()
  /** Ready somewhere and never started: what `#roomyMs` was then. */
  readonly #ready = new Map<TaskId, DurationMs>()
  readonly #started = new Set<TaskId>()
  readonly #refused = new Set<AttemptId>()
  #lookedAt: Millis = 0
  #slots = 0
  #free = 0
  /** Time so far in which there was an idle slot for each ready task. */
  #roomyMs: DurationMs = 0
  readonly #running = new Map<TaskId, number>()
  readonly #workMs = new Map<AttemptId, DurationMs>()
  readonly #claimed = new Set<string>()

  /** What was so until now; to be called before anything of it changes. */
  pass(now: Millis): void {
    const ms = now - this.#lookedAt
    this.#lookedAt = now
    if (ms === 0) return
    if (this.#isRoomy) this.#roomyMs += ms
    this.tally.slotMs += ms * this.#slots
    this.tally.idleMs += ms * Math.min(this.#free, this.#ready.size)
  }

  /** Slots of the nodes that run within reach of the run's integrator, and those of them in which nothing runs. */
  room(slots: number, free: number): void {
    this.#slots = slots
    this.#free = free
  }

  ready(task: TaskId): void {
    if (!this.#started.has(task) && !this.#ready.has(task)) this.#ready.set(task, this.#roomyMs)
  }

  /** It is over, and was perhaps never started. */
  over(task: TaskId): void {
    this.#ready.delete(task)
  }

  claimed(name: string): void {
    if (this.#claimed.has(name)) return
    this.#claimed.add(name)
    this.tally.claims++
  }

  /** @param isRework the integrator refused what was done before */
  startDecided(task: TaskId, isRework: boolean): void {
    this.tally.starts++
    if (isRework) this.tally.reworks++
    this.#started.add(task)
    const since = this.#ready.get(task)
    this.#ready.delete(task)
    if (since === undefined) return
    const ms = this.#roomyMs - since
    // Where no slot was idle at any time, the wait says something of the load and nothing of the cluster.
    if (ms > 0) this.tally.waitsMs.push(ms)
  }

  spawned(task: TaskId): void {
    const running = this.#running.get(task) ?? 0
    if (running > 0) this.tally.doubles++
    this.#running.set(task, running + 1)
  }

  ended(task: TaskId, attempt: AttemptId, ms: DurationMs): void {
    this.#running.set(task, (this.#running.get(task) ?? 1) - 1)
    this.#workMs.set(attempt, ms)
    this.tally.workMs += ms
  }

  /** At the end: an attempt whose result the integrator refused. */
  refused(attempt: AttemptId | undefined): void {
    if (attempt === undefined || this.#refused.has(attempt)) return
    this.#refused.add(attempt)
    this.tally.refusedMs += this.#workMs.get(attempt) ?? 0
  }

  get #isRoomy(): boolean {
    return this.#ready.size > 0 && this.#free >= this.#ready.size
  }

  /** At the end, for each accepted task: the attempt that made what was accepted. */
  accepted(attempt: AttemptId | undefined): void {
    this.tally.accepted++
    this.tally.usefulMs += this.#workMs.get(attempt ?? '') ?? 0
  }
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0
}
