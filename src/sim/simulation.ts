/** One seed from beginning to end: faults for a while, then a clear sky until all is quiet, then the judgement. */
import type { DurationMs } from '../core/id.ts'
import { FOUNDING_MS, SimCluster } from './cluster.ts'
import { isOver, judgeEnd } from './ending.ts'
import { type Fault, type FaultPlan, faultsOf } from './fault.ts'
import type { Tally } from './figures.ts'
import type { Breach } from './oracle.ts'
import { Trace, type TraceListener } from './trace.ts'
import { Weather } from './weather.ts'

export interface SimulationOptions {
  readonly seed: number
  readonly nodes: number
  readonly tasks: number
  readonly faults: FaultPlan
  /** The weather lasts so long at most; it ends with the work. */
  readonly faultsMs?: DurationMs
  readonly onTrace?: TraceListener
}

export interface SeedReport {
  readonly seed: number
  readonly faults: readonly Fault[]
  readonly breaches: readonly Breach[]
  readonly tally: Tally
  /** Hash of all that happened. */
  readonly trace: string
  readonly events: number
  readonly virtualMs: DurationMs
}

const FAULTS_MS = 15 * 60_000
const HEAL_MS_MAX = 40 * 60_000
const CHECK_MS = 60_000
const LOOK_MS = 1_000
/** A loop that never ends is a bug; a storm of 12 nodes takes some 300,000. */
const EVENTS_MAX = 20_000_000

export async function simulateSeed(options: SimulationOptions): Promise<SeedReport> {
  const { seed, nodes, tasks, faults: plan, faultsMs = FAULTS_MS } = options
  const trace = new Trace(options.onTrace)
  const driftMax = plan.faults.includes('drift') ? plan.climate.driftMax : 0
  const cluster = new SimCluster({ seed, nodes, tasks, driftMax, trace })
  const { timeline, meter, oracle } = cluster
  const faults = faultsOf(plan, cluster.dice.fork())
  const weather = new Weather(cluster, faults, plan.climate)
  cluster.found()
  timeline.at(2 * FOUNDING_MS, () => weather.begin())

  let clearAt = 2 * FOUNDING_MS + faultsMs
  let endAt = clearAt + HEAL_MS_MAX
  let isClear = false
  let isDone = false
  let checkedAt = 0
  const look = (): void => {
    const over = timeline.now > 2 * FOUNDING_MS && isOver(cluster)
    if (!isClear && (timeline.now >= clearAt || over)) {
      isClear = true
      clearAt = timeline.now
      endAt = clearAt + HEAL_MS_MAX
      weather.clear()
    } else if (isClear && over) isDone = true
    if (timeline.now - checkedAt >= CHECK_MS) {
      checkedAt = timeline.now
      oracle.checkpoint(cluster.ready())
    }
    timeline.after(LOOK_MS, look)
  }
  timeline.after(LOOK_MS, look)

  try {
    await settled()
    while (!isDone && timeline.happened < EVENTS_MAX && timeline.next(endAt)) {
      // A beat that changes nothing wakes no promise.
      if (timeline.isQuiet && !cluster.isStirred) continue
      cluster.isStirred = false
      await settled()
    }
    if (timeline.happened >= EVENTS_MAX) oracle.breach('L2', 'cluster', `${EVENTS_MAX} events and no end`)
    meter.tally.makespansMs.push(timeline.now)
    await judgeEnd(cluster)
  } catch (error) {
    // A part that throws where it must not says as much as a broken rule.
    oracle.breach('crash', 'cluster', error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  return {
    seed,
    faults: [...faults],
    breaches: oracle.breaches,
    tally: meter.tally,
    trace: trace.digest(),
    events: timeline.happened,
    virtualMs: timeline.now,
  }
}

/** So many turns without the loop of Node: whoever runs this process may want to say something. */
const TURNS_MAX = 2_000
/** An event wakes promises, those write, and the write of a node begins with a tick of its own. */
const DEPTH = 3

let turns = 0

/** Every promise job that the event brought about is done: nothing in here waits for anything but virtual time. */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    if (++turns % TURNS_MAX === 0) return void setImmediate(resolve)
    let depth = DEPTH
    // A tick that was asked for by a promise job comes when no promise job is left: far cheaper than a turn of the loop.
    const job = (): void => process.nextTick(tick)
    const tick = (): void => {
      if (--depth === 0) resolve()
      else queueMicrotask(job)
    }
    queueMicrotask(job)
  })
}
