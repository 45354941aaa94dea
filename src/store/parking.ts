/** Frames that wait for those before them. Bounded for each author: what does not fit is dropped, and pulled again when its turn comes. */
import type { NodeId } from '../core/id.ts'
import { PARKED_BYTES_MAX, PARKED_FRAMES_MAX } from '../core/limit.ts'
import type { Chain } from './chain.ts'
import type { Frame } from './frame.ts'

interface Lot {
  readonly chains: Map<Chain, Map<number, Frame>>
  frames: number
  bytes: number
}

export class Parking {
  readonly #lots = new Map<NodeId, Lot>()

  /** Keeps a frame whose signature was checked; the first of two with one number. False when there is no room. */
  park(chain: Chain, frame: Frame): boolean {
    const lot = this.#lots.get(chain.node) ?? { chains: new Map(), frames: 0, bytes: 0 }
    const frames = lot.chains.get(chain) ?? new Map<number, Frame>()
    if (frames.has(frame.n)) return true
    if (lot.frames >= PARKED_FRAMES_MAX || lot.bytes + frame.bytes.length > PARKED_BYTES_MAX) return false
    this.#lots.set(chain.node, lot)
    lot.chains.set(chain, frames)
    frames.set(frame.n, frame)
    lot.frames++
    lot.bytes += frame.bytes.length
    return true
  }

  /** Takes out the frame with that number, and drops what is older. */
  take(chain: Chain, n: number): Frame | undefined {
    const frames = this.#lots.get(chain.node)?.chains.get(chain)
    const frame = frames?.get(n)
    for (const older of frames?.keys() ?? []) if (older <= n) this.#remove(chain, older)
    return frame
  }

  forget(chain: Chain): void {
    for (const n of this.#lots.get(chain.node)?.chains.get(chain)?.keys() ?? []) this.#remove(chain, n)
  }

  #remove(chain: Chain, n: number): void {
    const lot = this.#lots.get(chain.node)
    const frames = lot?.chains.get(chain)
    const frame = frames?.get(n)
    if (!lot || !frames || !frame) return
    frames.delete(n)
    lot.frames--
    lot.bytes -= frame.bytes.length
    if (frames.size === 0) lot.chains.delete(chain)
    if (lot.frames === 0) this.#lots.delete(chain.node)
  }
}
