/** Follows one run to its end, from node to node if need be. */
import { setTimeout as pause } from 'node:timers/promises'
import { isOrchError, OrchError } from '../core/error.ts'
import type { DurationMs, TaskId } from '../core/id.ts'
import { ENDPOINT_CLOSE_MS_MAX, FOLLOW_TRIES_MAX, LOCKED_LOOK_MS, STUCK_SETTLE_MS } from '../core/limit.ts'
import type { NodeFace, RunSummary, TaskSummary } from '../node/face.ts'
import type { Connection } from './connection.ts'
import { createLiveView } from './live-view.ts'
import type { Output } from './output.ts'
import { showClock } from './quantity.ts'
import { isRetried, type LineOptions, runLines, taskLines } from './run-line.ts'
import type { RunModel, TaskChange } from './run-model.ts'
import { headLine } from './run-report.ts'
import { line, safe } from './text.ts'
import type { World } from './world.ts'

export interface FollowOptions {
  readonly world: World
  readonly out: Output
  readonly connection: Connection
  /** Another connection, when the node went away. */
  readonly reconnect: () => Promise<Connection>
  readonly model: RunModel
  /** The person has seen enough. */
  readonly interrupt: AbortSignal
  readonly slots?: number
  readonly attemptsMax?: (task: TaskId) => number | undefined
  readonly timeoutMs?: DurationMs
}

export interface Followed {
  /** `stuck`: only a person can go on from here. `interrupted`: by Ctrl-C. `stopped`: somebody ordered its node to stop. */
  readonly why: 'end' | 'stuck' | 'interrupted' | 'timeout' | 'stopped'
  readonly run: RunSummary | undefined
  /** The one that was left at the end. */
  readonly connection: Connection
}

/** Shows what happens until the run ends, is stuck, or the person has seen enough. */
export async function followRun(options: FollowOptions): Promise<Followed> {
  const { interrupt, model, timeoutMs } = options
  let { connection } = options
  const abort = new AbortController()
  let why: Followed['why'] = 'end'
  const stopFor = (reason: Followed['why']) => {
    why = reason
    abort.abort()
  }
  const onInterrupt = () => stopFor('interrupted')
  if (interrupt.aborted) onInterrupt()
  interrupt.addEventListener('abort', onInterrupt)
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => stopFor('timeout'), timeoutMs)
  const view = createView(options)
  try {
    for (let tries = 1; ; tries++) {
      try {
        await readUpdates(connection.face, model, view, abort.signal, () => stopFor('stuck'))
        return { why, run: model.run, connection }
      } catch (error) {
        if (!isOrchError(error) || !LOST.has(error.code) || tries >= FOLLOW_TRIES_MAX) throw error
        if (abort.signal.aborted) return { why, run: model.run, connection }
        if (error.code === 'ORCH_NO_NODE') {
          if (await wasStopped(connection)) return { why: 'stopped', run: model.run, connection }
          view.print('the node went away: looking for it')
          await connection.close()
          await pause(LOCKED_LOOK_MS)
          connection = await options.reconnect()
        }
      }
    }
  } finally {
    view.end()
    clearTimeout(timer)
    interrupt.removeEventListener('abort', onInterrupt)
  }
}

/** Somebody ordered it: nobody takes over. A node of our own does not go away but by order. */
async function wasStopped({ host, ended }: Connection): Promise<boolean> {
  if (host) return true
  const last = await Promise.race([ended, pause(ENDPOINT_CLOSE_MS_MAX)])
  return last?.context.stopped === true
}

/** What a follower can come back from: its node is gone, or it read too slowly. */
const LOST: ReadonlySet<string> = new Set(['ORCH_NO_NODE', 'ORCH_BACKPRESSURE'])

/** Calls `onStuck` when the run has been stuck for a moment. */
async function readUpdates(
  face: NodeFace,
  model: RunModel,
  view: View,
  signal: AbortSignal,
  onStuck: () => void,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  try {
    for await (const update of face.followRun({ run: model.id }, signal)) {
      if (update.type === 'alarm') {
        view.print(`! ${safe(update.message)}`)
        continue
      }
      const before = model.run
      const change = model.apply(update)
      if (change) await view.task(change, face)
      else if (model.run) view.run(before, model.run)
      if (update.type === 'end') return
      if (model.run?.status !== 'stuck') {
        clearTimeout(timer)
        timer = undefined
      } else timer ??= setTimeout(onStuck, STUCK_SETTLE_MS)
    }
    if (!signal.aborted)
      throw new OrchError('ORCH_NO_NODE', 'the node ended the stream before the run was over')
  } finally {
    clearTimeout(timer)
  }
}

interface View {
  task(change: TaskChange, face: NodeFace): void | Promise<void>
  run(before: RunSummary | undefined, after: RunSummary): void
  print(text: string): void
  end(): void
}

function createView({ world, out, model, slots, attemptsMax }: FollowOptions): View {
  const lineOptions = () => ({ now: world.now(), attemptsMax: attemptsMax ?? (() => undefined) })
  if (out.quiet) return { task() {}, run() {}, print() {}, end() {} }
  if (world.stderr.isTerminal && world.env.TERM !== 'dumb') {
    const head = () => (model.run ? headLine(model.run, model.tasks.size, out.talkStyle, slots) : '')
    const live = createLiveView(world, model, head)
    return {
      task: () => live.touch(),
      run: () => live.touch(),
      print: (text) => live.print(line(text)),
      end: () => live.end(),
    }
  }
  const print = (text: string) => out.note(`${showClock(world.now())} ${text}`)
  return {
    async task(change, face) {
      const failure = isRetried(change) ? await readFailure(face, change.after) : undefined
      taskLines(change, { ...lineOptions(), ...(failure && { failure }) }).forEach(print)
    },
    run: (before, after) => runLines(before, after).forEach(print),
    print,
    end() {},
  }
}

/** A task that will be tried again says no more why it failed; its attempts do. */
async function readFailure(face: NodeFace, { run, id }: TaskSummary): Promise<LineOptions['failure']> {
  const { attemptList, explain } = await face.task({ task: `${run}/${id}` })
  const reason = attemptList.findLast(
    ({ outcome }) => outcome === 'failed' || outcome === 'timed-out',
  )?.reason
  const rest = /another (\d+) s/.exec(explain)?.[1]
  return { ...(reason !== undefined && { reason }), ...(rest !== undefined && { restS: Number(rest) }) }
}
