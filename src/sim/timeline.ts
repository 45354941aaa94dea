/**
 * Virtual time. Nothing else moves it: events happen in the order of their moments, and those of one moment in the order in which they were asked for.
 */
import { Heap } from '../core/heap.ts'
import type { DurationMs, Millis } from '../core/id.ts'

export interface Appointment {
  readonly at: Millis
  readonly seq: number
  /** Absent once it was called off, or has happened. */
  run: (() => void) | undefined
  readonly isQuiet: boolean
}

export class Timeline {
  now: Millis = 0
  /** The event that happened last was one of those that wake no promise by themselves. */
  isQuiet = false
  /** Events that have happened. */
  happened = 0
  readonly #events = new Heap<Appointment>((a, b) => a.at < b.at || (a.at === b.at && a.seq < b.seq))
  #seq = 0

  at(moment: Millis, run: () => void, isQuiet = false): Appointment {
    const appointment = { at: Math.max(moment, this.now), seq: this.#seq++, run, isQuiet }
    this.#events.push(appointment)
    return appointment
  }

  after(ms: DurationMs, run: () => void): Appointment {
    return this.at(this.now + ms, run)
  }

  cancel(appointment: Appointment | undefined): void {
    if (appointment) appointment.run = undefined
  }

  /** Lets the next event happen. False when there is none before `until`. */
  next(until: Millis): boolean {
    for (let event = this.#events.peek(); event && event.at <= until; event = this.#events.peek()) {
      this.#events.pop()
      const { run } = event
      if (!run) continue
      event.run = undefined
      this.now = event.at
      this.happened++
      this.isQuiet = event.isQuiet
      run()
      return true
    }
    return false
  }
}
