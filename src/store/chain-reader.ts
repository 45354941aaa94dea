/** Frames of the own disk, which were checked when they came and when the disk was opened. */
import { assert } from '../core/error.ts'
import { ChainKeys } from './fact-key.ts'
import { type ChainId, type Frame, factsOf, readFrame } from './frame.ts'
import type { FrameDisk } from './frame-disk.ts'
import { takeKeys } from './guard.ts'

export async function* readFrames(
  disk: FrameDisk,
  { doc, node, incarnation }: ChainId,
  from: number,
  to: number,
): AsyncGenerator<readonly Frame[]> {
  for await (const list of disk.read({ doc, node, incarnation }, from, to)) {
    yield list.map((bytes) => {
      const reading = readFrame(bytes)
      assert(reading.ok, 'a frame of the board can be read')
      return reading.frame
    })
  }
}

export async function readOne(disk: FrameDisk, chain: ChainId, n: number): Promise<Frame | undefined> {
  if (n < 1) return undefined
  for await (const [frame] of readFrames(disk, chain, n, n)) return frame
  return undefined
}

/** Keys of frames 1..n. */
export async function readKeys(disk: FrameDisk, chain: ChainId, n: number): Promise<ChainKeys> {
  const keys = new ChainKeys()
  for await (const frames of readFrames(disk, chain, 1, n)) for (const frame of frames) takeKeys(frame, keys)
  return keys
}

/** Facts of frames 1..n. */
export async function readClock(disk: FrameDisk, chain: ChainId, n: number): Promise<number> {
  let clock = 0
  for await (const frames of readFrames(disk, chain, 1, n))
    for (const frame of frames) clock += factsOf(frame)
  return clock
}
