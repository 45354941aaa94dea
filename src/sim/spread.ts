/** How frames reach the other members: the real gossip and the real anti-entropy, in the time of one machine. */
import { isOrchError } from '../core/error.ts'
import type { NodeId } from '../core/id.ts'
import { FIRST_SYNC_MS_MAX } from '../core/limit.ts'
import { Conduct } from '../net/conduct.ts'
import { createGossip, type Gossip } from '../net/gossip.ts'
import type { Replica } from '../net/replica.ts'
import { createSync, type Sync } from '../net/sync.ts'
import type { Timing } from '../net/timing.ts'
import type { Dice } from './dice.ts'
import type { Machine } from './machine.ts'
import type { SimNet } from './sim-net.ts'

export interface SpreadOptions {
  readonly net: SimNet
  readonly machine: Machine
  readonly replica: Replica
  readonly dice: Dice
  /** What comes in cannot be kept: the disk failed. */
  readonly onDiskFault: (code: string) => void
}

export class Spread {
  readonly #sync: Sync
  readonly #gossip: Gossip

  constructor({ net, machine, replica, dice, onDiskFault }: SpreadOptions) {
    const timing: Timing = {
      now: () => machine.clock.clock.now(),
      random: () => dice.fraction(),
      after: (ms, action) => machine.after(ms, action),
    }
    const conduct = new Conduct({ net, timing })
    this.#sync = createSync({
      net,
      replica,
      conduct,
      timing,
      onFault: (_node, error) => {
        if (isOrchError(error) && error.code.startsWith('ORCH_DISK')) onDiskFault(error.code)
      },
    })
    this.#gossip = createGossip({ net, replica, sync: this.#sync, conduct, timing })
  }

  /** Before the first write: what others know, as far as they can be reached. */
  async first(): Promise<void> {
    await this.#sync.firstSync(FIRST_SYNC_MS_MAX)
  }

  heard(node: NodeId, digest: string): void {
    this.#sync.heard(node, digest)
  }

  close(): void {
    this.#gossip.close()
    this.#sync.close().catch(() => {})
  }
}
