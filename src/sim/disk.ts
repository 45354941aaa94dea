/** The disk of a machine: the store's memory disk, with the time that a real one takes, and its bad days. */
import type { DurationMs } from '../core/id.ts'
import type { DiskChange, FrameDisk } from '../store/frame-disk.ts'
import { createMemoryDisk } from '../store/memory-disk.ts'
import type { Dice } from './dice.ts'

const SYNC_MS_MEDIAN = 1

export class Disk {
  isFull = false
  /** What a sync takes more than it should. */
  slowMs: DurationMs = 0
  readonly #medium = createMemoryDisk()
  readonly #dice: Dice
  readonly #onSynced: (changes: readonly DiskChange[]) => void

  /** @param onSynced what a crash cannot take away any more */
  constructor(dice: Dice, onSynced: (changes: readonly DiskChange[]) => void) {
    this.#dice = dice
    this.#onSynced = onSynced
  }

  /** @param wait calls back after so long, unless the process is gone by then */
  open(wait: (ms: DurationMs, then: () => void) => void): FrameDisk {
    return this.#medium.open({
      beforeWrite: (changes, sync) => {
        if (this.isFull) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' })
        if (!sync) return undefined
        const ms = this.#dice.lognormal(SYNC_MS_MEDIAN, 0.5) + this.slowMs
        return new Promise((resolve) =>
          wait(ms, () => {
            this.#onSynced(changes)
            resolve()
          }),
        )
      },
    })
  }

  /** The machine stops: what was not synced is gone. */
  crash(): void {
    this.#medium.crash()
  }
}
