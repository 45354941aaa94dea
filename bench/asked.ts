/** A process of a bench that answers what it is asked, one message each. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

const ANSWER_MS_MAX = 120_000
const END_MS_MAX = 15_000

interface Answer {
  readonly id?: number
  readonly value?: unknown
  readonly error?: string
}

interface Waiter {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

export class Asked<Call extends { readonly do: string }> {
  readonly name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiter>()
  #calls = 0

  constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
    child.on('message', (message: Answer) => {
      if (message.id === undefined) return
      const waiter = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if (message.error === undefined) waiter?.resolve(message.value)
      else waiter?.reject(new Error(`${name}: ${message.error}`))
    })
    child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name} ended`))
      this.#waiting.clear()
    })
  }

  /** @throws when it ends or says nothing in time, and what it threw */
  ask<T>(call: Call, timeoutMs: number = ANSWER_MS_MAX): Promise<T> {
    const id = ++this.#calls
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new Error(`${this.name} does not answer "${call.do}"`))
      }, timeoutMs)
      this.#waiting.set(id, {
        resolve: (value) => {
          clearTimeout(timer)
          resolve(value as T)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      })
      this.#child.send({ id, call })
    })
  }

  async kill(): Promise<void> {
    const gone = this.#gone()
    this.#child.kill('SIGKILL')
    await gone
  }

  /** It stands still; its connections stay open and silent. */
  pause(): void {
    this.#child.kill('SIGSTOP')
  }

  resume(): void {
    this.#child.kill('SIGCONT')
  }

  /** Lets go of it; it is killed when it does not end by itself. */
  async end(): Promise<void> {
    const gone = this.#gone()
    this.resume()
    if (this.#child.connected) this.#child.disconnect()
    const isOver = await Promise.race([gone.then(() => true), sleep(END_MS_MAX).then(() => false)])
    if (!isOver) await this.kill()
  }

  async #gone(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit')
  }
}
