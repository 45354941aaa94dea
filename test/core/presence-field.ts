/**
 * Many detectors in virtual time, from a seed: beats that are lost, late and come in bursts, laptops that sleep, processes that die. Says which deaths were false: of a
 * member that was up and awake for the last three seconds.
 */
import { Heap } from '../../src/core/heap.ts'
import { type Beat, Presence, type PresenceOptions } from '../../src/core/presence.ts'
import { createPrng } from '../../src/core/prng.ts'

export interface FieldOptions {
  readonly seed: number
  readonly nodes?: number
  readonly minutes: number
  /** Part of the beats that do not arrive, each receiver by itself. */
  readonly loss: number
  /** How many are laptops that sleep for 5 to 120 s now and then. */
  readonly sleepers?: number
  /** Somebody is killed about once a minute, and back after 40 s. */
  readonly kills?: boolean
  readonly detector?: Omit<PresenceOptions, 'me'>
  /** A planted bug: who wakes up does not notice that he slept. */
  readonly unaware?: boolean
}

export interface FieldReport {
  readonly falseDeaths: number
  /** From each kill to the first observer that notices, ms, sorted. */
  readonly detections: readonly number[]
  readonly kills: number
}

interface Machine {
  readonly id: string
  presence: Presence
  life: number
  counter: number
  isUp: boolean
  isAsleep: boolean
  /** Up and awake since. */
  since: number
  lastTick: number
  inbox: Beat[]
  /** Nothing it sends arrives until then. */
  mutedUntil: number
  killedAt: number
}

const AWAKE_MS = 3_000

export function simulateField(options: FieldOptions): FieldReport {
  const prng = createPrng(options.seed)
  const between = (low: number, high: number): number => low + prng.next() * (high - low)
  const events = new Heap<{ at: number; seq: number; run: () => void }>(
    (a, b) => a.at < b.at || (a.at === b.at && a.seq < b.seq),
  )
  let now = 0
  let seq = 0
  const later = (ms: number, run: () => void): void => events.push({ at: now + ms, seq: seq++, run })
  const end = options.minutes * 60_000
  const names = Array.from({ length: options.nodes ?? 20 }, (_, i) => `node-${i}`)
  const field: Machine[] = names.map((id) => ({
    id,
    presence: new Presence({ me: id, ...options.detector }),
    life: 1,
    counter: 0,
    isUp: true,
    isAsleep: false,
    since: 0,
    lastTick: 0,
    inbox: [],
    mutedUntil: 0,
    killedAt: -1,
  }))
  let falseDeaths = 0
  let kills = 0
  const detections: number[] = []

  const judge = (machine: Machine): void => {
    for (const death of machine.presence.tick(now).deaths) {
      if (death.what !== 'all') continue
      const target = field[names.indexOf(death.node)]!
      if (target.isUp && !target.isAsleep && now - target.since >= AWAKE_MS) falseDeaths++
      if (!target.isUp && target.killedAt >= 0) {
        detections.push(now - target.killedAt)
        target.killedAt = -1
      }
    }
  }
  const beat = (machine: Machine, life: number): void => {
    if (machine.life !== life || !machine.isUp || now >= end) return
    later(machine.presence.periodMs, () => beat(machine, life))
    if (machine.isAsleep) return
    machine.lastTick = now
    judge(machine)
    const content: Beat = {
      node: machine.id,
      incarnation: `life-${machine.life}`,
      counter: ++machine.counter,
      suspects: machine.presence.suspects,
      slots: 1,
      free: 1,
      protocol: [1, 1],
    }
    if (now < machine.mutedUntil) return
    for (const other of field) {
      if (other === machine || prng.next() < options.loss) continue
      later(between(5, 150), () => hear(other, content))
    }
  }
  const hear = (machine: Machine, content: Beat): void => {
    if (!machine.isUp) return
    // The system keeps a little for a sleeper.
    if (machine.isAsleep) {
      if (machine.inbox.length < 50) machine.inbox.push(content)
      return
    }
    machine.presence.beat(content, now)
    if (machine.presence.wakeAt <= now) judge(machine)
  }
  const wake = (machine: Machine): void => {
    machine.isAsleep = false
    machine.since = now
    if (!options.unaware) machine.presence.tickLate(now - machine.lastTick, now)
    for (const content of machine.inbox.splice(0)) machine.presence.beat(content, now)
    judge(machine)
    later(between(120_000, 600_000), () => sleep(machine))
  }
  const sleep = (machine: Machine): void => {
    machine.isAsleep = true
    later(between(5_000, 120_000), () => wake(machine))
  }
  const mute = (machine: Machine): void => {
    machine.mutedUntil = now + between(500, 3_000)
    later(between(60_000, 540_000), () => mute(machine))
  }
  const kill = (): void => {
    later(between(50_000, 70_000), kill)
    const target = field[Math.floor(prng.next() * field.length)]!
    if (!target.isUp) return
    kills++
    target.isUp = false
    target.killedAt = now
    later(between(35_000, 45_000), () => {
      Object.assign(target, { isUp: true, killedAt: -1, since: now, counter: 0, life: target.life + 1 })
      target.presence = new Presence({ me: target.id, ...options.detector })
      target.presence.watch(names, now)
      beat(target, target.life)
    })
  }

  for (const machine of field) {
    machine.presence.watch(names, 0)
    later(between(0, 1_000), () => beat(machine, 1))
    later(between(0, 300_000), () => mute(machine))
  }
  for (const machine of field.slice(0, options.sleepers ?? 0))
    later(between(30_000, 300_000), () => sleep(machine))
  if (options.kills) later(between(50_000, 70_000), kill)
  for (let event = events.pop(); event && event.at < end; event = events.pop()) {
    now = event.at
    event.run()
  }
  return { falseDeaths, kills, detections: detections.sort((a, b) => a - b) }
}
