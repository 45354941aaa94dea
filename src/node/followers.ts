/** Those who follow runs: what changed is gathered by the core while somebody watches, and sent in turns of at most twenty a second. */
import type { NodeState } from '../core/node-state.ts'
import type { RunState } from '../core/run-state.ts'
import { BARRIER_KIND } from '../core/task.ts'
import { Channel } from './channel.ts'
import type { RunUpdate } from './face.ts'
import { type LiveView, runSummary, shownTasks, taskSummary } from './view.ts'

interface Watched {
  readonly state: NodeState
  readonly live: LiveView
}

/** Updates that one follower may lag behind. A run of a million tasks is sent in one piece at first. */
const UPDATES_MAX = 2_000_000
const TURN_MS = 50

interface Follower {
  run: RunState
  readonly channel: Channel<RunUpdate>
}

export class Followers {
  readonly #followers = new Set<Follower>()
  readonly #now: () => Watched | undefined
  #timer: NodeJS.Timeout | undefined

  /** @param now what there is to watch; `undefined` while the node has no engine */
  constructor(now: () => Watched | undefined) {
    this.#now = now
  }

  follow(run: RunState): Channel<RunUpdate> {
    const channel = new Channel<RunUpdate>(UPDATES_MAX, () => {
      this.#followers.delete(follower)
      const now = this.#now()
      if (now) now.state.watched = this.#followers.size > 0
    })
    const follower: Follower = { run, channel }
    this.#followers.add(follower)
    this.#tellAll(follower)
    return channel
  }

  /** The node goes on with a board of its own: everybody is told what is on it, which may be less than what was told before the fault. */
  rebound(): void {
    const now = this.#now()
    if (!now) return
    for (const follower of [...this.#followers]) {
      const run = now.state.board.runs.get(follower.run.id)
      if (run?.header) {
        follower.run = run
        this.#tellAll(follower)
      } else follower.channel.close()
    }
  }

  #tellAll({ run, channel }: Follower): void {
    const now = this.#now()
    if (!now) return
    const { state, live } = now
    channel.push({ type: 'run', run: runSummary(run, live) })
    for (const task of shownTasks(run))
      channel.push({ type: 'task', task: taskSummary(task, live, state.me) })
    if (run.finished) {
      channel.push({ type: 'end', run: runSummary(run, live) })
      channel.close()
    } else state.watched = true
  }

  /** Called after each turn of the loop; cheap when nobody follows. */
  turned(): void {
    if (this.#followers.size === 0 || this.#timer) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#send()
    }, TURN_MS)
  }

  alarm(message: string): void {
    for (const { channel } of this.#followers) channel.push({ type: 'alarm', message })
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const { channel } of this.#followers) channel.close()
  }

  #send(): void {
    const now = this.#now()
    if (!now) return
    const { state, live } = now
    for (const task of state.touched) {
      state.touchedRuns.add(task.run)
      if (!task.spec || task.spec.kind === BARRIER_KIND) continue
      const summary = taskSummary(task, live, state.me)
      for (const { run, channel } of this.#followers)
        if (run === task.run) channel.push({ type: 'task', task: summary })
    }
    for (const { run, channel } of [...this.#followers]) {
      // What a worker says moves no fact: running tasks are told again with each turn.
      for (const task of state.byTask.keys()) {
        if (task.run === run && !state.touched.has(task))
          channel.push({ type: 'task', task: taskSummary(task, live, state.me) })
      }
      if (!state.touchedRuns.has(run)) continue
      const summary = runSummary(run, live)
      channel.push({ type: 'run', run: summary })
      if (run.finished) {
        channel.push({ type: 'end', run: summary })
        channel.close()
      }
    }
    state.touched.clear()
    state.touchedRuns.clear()
  }
}
