/** Lets so many jobs run at once; the others wait in order. */
import { OrchError } from '../core/error.ts'

export class Gate {
  readonly #max: number
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(max: number) {
    this.#max = max
  }

  /** @throws ORCH_CANCELLED when the signal aborts before its turn; what the job throws */
  async run<T>(job: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#running >= this.#max) await this.#turn(signal)
    else this.#running += 1
    try {
      return await job()
    } finally {
      // The place is handed on, so that nobody slips in between.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running -= 1
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1)
        reject(new OrchError('ORCH_CANCELLED', 'the transfer of git objects was cancelled'))
      }
      this.#waiting.push(begin)
      signal.addEventListener('abort', leave, { once: true })
    })
  }
}
