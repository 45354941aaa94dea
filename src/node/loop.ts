/**
 * The loop of a node: inputs in, `step`, facts to the store, effects out. Effects of a step are carried out when its facts, and those of all steps before, are
 * durable (SPEC ND1). Completions that arrive in one turn of the event loop become one commit.
 */
import type { Effect } from '../core/effect.ts'
import { isOrchError, OrchError } from '../core/error.ts'
import type { Batch, Fact } from '../core/fact.ts'
import type { Millis } from '../core/id.ts'
import type { Input, Reply } from '../core/input.ts'
import type { NodeState } from '../core/node-state.ts'
import { stepAll } from '../core/step.ts'
import type { CoordStore, PutReceipt } from '../store/store.ts'

export interface LoopOptions {
  readonly state: NodeState
  readonly store: CoordStore
  /** The node's own clock, ms. */
  readonly now: () => Millis
  /** Carries an effect out; must not throw. */
  readonly perform: (effect: Effect) => void
  /** Own facts as they are written, and those of others once the board has them, for events. */
  readonly onBatch?: (batch: Batch) => void
  /** After each turn that may have changed something that followers see. */
  readonly onTurn?: () => void
  /** The store refused a write, or an invariant broke: nothing more is believed or done. */
  readonly onFault: (error: unknown) => void
}

export class Loop {
  readonly #options: LoopOptions
  #inbox: Input[] = []
  #facts: Fact[] = []
  #effects: Effect[] = []
  #flushing = false
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #durable: Promise<void> = Promise.resolve()
  /** Commits that are not durable yet, and effects that wait for one: later effects line up behind them. */
  #pending = 0
  #stopped = false

  constructor(options: LoopOptions) {
    this.#options = options
  }

  /** Hands an input over and returns the core's answer at once; `durable` resolves when what it wrote survives a crash. */
  post(input: Input): { readonly reply: Reply; readonly durable: Promise<void> } {
    if (this.#stopped) throw new OrchError('ORCH_NO_NODE', 'the node has stopped')
    this.#drain()
    const reply = this.#step([input])
    this.#commit()
    return { reply, durable: this.#durable }
  }

  /** For inputs that need no answer: taken in this turn, together with others that arrive in it. */
  offer(input: Input): void {
    if (this.#stopped) return
    this.#inbox.push(input)
    if (this.#flushing) return
    this.#flushing = true
    // After the promise jobs of this turn: what they bring joins this commit.
    process.nextTick(this.#turn)
  }

  readonly #turn = (): void => {
    this.#flushing = false
    if (this.#stopped) return
    try {
      this.#drain()
      this.#commit()
    } catch {
      // Told by `onFault`; nobody waits for an offer.
    }
  }

  /**
   * Resolves when everything written so far is durable and its effects were handed out. Rejected after the stop: what was offered since then was not
   * taken.
   */
  async flushed(): Promise<void> {
    if (this.#stopped) throw new OrchError('ORCH_NO_NODE', 'the node has stopped')
    this.#drain()
    this.#commit()
    await this.#durable
  }

  /** Nothing is stepped after this. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#inbox = []
    this.#effects = []
  }

  #drain(): void {
    while (this.#inbox.length > 0) {
      const inbox = this.#inbox
      this.#inbox = []
      // Ends of many small attempts are followed up together; whatever else comes, one after the other.
      if (inbox.every((input) => input.type === 'attempt-ended')) this.#step(inbox)
      else
        for (const input of inbox) {
          this.#step([input])
          if (input.type === 'facts') this.#options.onBatch?.(input.batch)
        }
    }
  }

  #step(inputs: readonly Input[]): Reply {
    const { state } = this.#options
    try {
      const out = stepAll(state, inputs, this.#options.now(), Date.now())
      for (const fact of out.facts) this.#facts.push(fact)
      for (const effect of out.effects) this.#effects.push(effect)
      return out.reply
    } catch (error) {
      this.#fault(error)
      throw error
    }
  }

  /** One commit, so that a crash keeps all of it or nothing; what is more than one can hold is cut in two. */
  #write(facts: readonly Fact[]): void {
    const { store, state, onBatch } = this.#options
    const { at } = state
    let receipt: PutReceipt
    try {
      receipt = store.put(facts, at)
    } catch (error) {
      if (!isOrchError(error) || error.code !== 'ORCH_USAGE' || facts.length === 1) throw error
      const half = facts.length >> 1
      this.#write(facts.slice(0, half))
      this.#write(facts.slice(half))
      return
    }
    this.#durable = receipt.durable
    this.#pending++
    receipt.durable.then(
      () => void this.#pending--,
      (error: unknown) => this.#fault(error),
    )
    if (onBatch && receipt.n > 0) onBatch({ author: store.author, n: receipt.n, at, facts: receipt.written })
  }

  #commit(): void {
    const facts = this.#facts
    const effects = this.#effects
    if (facts.length > 0) {
      this.#facts = []
      try {
        this.#write(facts)
      } catch (error) {
        this.#fault(error)
        throw error
      }
    }
    if (effects.length > 0) {
      this.#effects = []
      if (facts.length === 0 && this.#pending === 0) this.#perform(effects)
      else {
        this.#pending++
        this.#durable.then(
          () => {
            this.#pending--
            this.#perform(effects)
          },
          () => void this.#pending--,
        )
      }
    }
    this.#arm()
    this.#options.onTurn?.()
  }

  #perform(effects: readonly Effect[]): void {
    if (this.#stopped) return
    for (const effect of effects) this.#options.perform(effect)
  }

  #arm(): void {
    const wakeAt = this.#options.state.wakeAt()
    if (wakeAt === undefined || this.#stopped || wakeAt >= this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = wakeAt
    const waitMs = Math.max(0, Math.ceil(wakeAt - this.#options.now()))
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Number.POSITIVE_INFINITY
        this.offer({ type: 'tick' })
      },
      Math.min(waitMs, TIMER_MS_MAX),
    )
  }

  #fault(error: unknown): void {
    if (this.#stopped) return
    this.stop()
    this.#options.onFault(error)
  }
}

/** setTimeout takes no longer span. */
const TIMER_MS_MAX = 2 ** 31 - 1
