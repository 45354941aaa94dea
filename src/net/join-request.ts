/** Machines that wait for a person here to let them in. In memory only: who waits asks again after a restart of this node. */
import { OrchError } from '../core/error.ts'
import type { Role } from '../core/fact.ts'
import type { Millis, NodeId, WallMs } from '../core/id.ts'
import { JOIN_REQUEST_MS_MAX, JOIN_REQUESTS_ADDRESS_MAX, JOIN_REQUESTS_MAX } from '../core/limit.ts'
import type { JoinOutcome } from './join-message.ts'
import type { Timing } from './timing.ts'

/** As a person is shown it. */
export interface JoinRequest {
  readonly node: NodeId
  readonly name: string
  readonly version: string
  /** The same six are on the other screen. */
  readonly words: string
  readonly askedAt: WallMs
  /** Role of the invitation that it holds; absent: the person says. */
  readonly role?: Role
}

interface Waiting {
  readonly request: JoinRequest
  readonly invite?: string
  readonly commit: string
  readonly nonce: string
  readonly host: string
  readonly until: Millis
  decision?: JoinOutcome
  /** The poll that stands now. */
  wake?: () => void
}

export class JoinRequests {
  readonly #timing: Timing
  readonly #waiting = new Map<NodeId, Waiting>()

  constructor(timing: Timing) {
    this.#timing = timing
  }

  /** Undecided, oldest first. */
  list(): readonly JoinRequest[] {
    this.#prune()
    return [...this.#waiting.values()].filter(({ decision }) => !decision).map(({ request }) => request)
  }

  /** What waits of a node, if it is still the same that asks. */
  find(node: NodeId, commit?: string): Waiting | undefined {
    this.#prune()
    const waiting = this.#waiting.get(node)
    return commit === undefined || waiting?.commit === commit ? waiting : undefined
  }

  /**
   * A node that asks anew takes the place of what it asked before.
   *
   * @throws ORCH_BACKPRESSURE too many wait already
   */
  add(waiting: Omit<Waiting, 'until'>): Waiting {
    this.#prune()
    const { node } = waiting.request
    this.drop(node)
    const sameHost = [...this.#waiting.values()].filter(({ host }) => host !== '' && host === waiting.host)
    if (this.#waiting.size >= JOIN_REQUESTS_MAX || sameHost.length >= JOIN_REQUESTS_ADDRESS_MAX)
      throw new OrchError('ORCH_BACKPRESSURE', 'too many machines wait to be let in by that node', {
        hint: 'let a person there look at `orch-node members`, then try again',
      })
    const added = { ...waiting, until: this.#timing.now() + JOIN_REQUEST_MS_MAX }
    this.#waiting.set(node, added)
    return added
  }

  decide(node: NodeId, decision: JoinOutcome): void {
    const waiting = this.find(node)
    if (!waiting) return
    waiting.decision = decision
    waiting.wake?.()
  }

  drop(node: NodeId): void {
    this.#waiting.get(node)?.wake?.()
    this.#waiting.delete(node)
  }

  #prune(): void {
    for (const [node, { until }] of this.#waiting) if (until <= this.#timing.now()) this.drop(node)
  }
}
