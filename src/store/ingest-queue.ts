/** One piece of work at a time, in the order of the calls: what is checked must not overtake what it follows. Bounded by the bytes that wait. */
import { INGEST_QUEUE_BYTES_MAX } from '../core/limit.ts'

export class IngestQueue {
  #tail: Promise<unknown> = Promise.resolve()
  #bytes = 0

  get isFull(): boolean {
    return this.#bytes > INGEST_QUEUE_BYTES_MAX
  }

  async add<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    this.#bytes += bytes
    try {
      const result = this.#tail.then(work)
      this.#tail = result.catch(() => {})
      return await result
    } finally {
      this.#bytes -= bytes
    }
  }
}
