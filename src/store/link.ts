/** Whether frames are the next ones of a chain. Pure, but for the keys, which it takes. */
import { type Chain, lastCommit } from './chain.ts'
import type { SealedFrame } from './chain-writer.ts'
import type { ChainKeys } from './fact-key.ts'
import { type Frame, factsOf, hashFrame } from './frame.ts'
import { guard } from './guard.ts'

export interface Linked {
  /** Those that are, in order. */
  readonly taken: readonly SealedFrame[]
  /** Why the one after them is not. */
  readonly reason?: string
}

export function linkFrames(chain: Chain, keys: ChainKeys, frames: readonly Frame[]): Linked {
  const taken: SealedFrame[] = []
  let { clock, commit, head } = chain
  for (const frame of frames) {
    const first = frame.commits[0]!.n
    if (frame.prev !== head) return { taken, reason: 'names another frame before it' }
    if (first < commit) return { taken, reason: `holds commit ${first} after ${commit}` }
    const verdict = guard(frame, clock, keys)
    if (!verdict.ok) return { taken, reason: verdict.reason }
    clock += factsOf(frame)
    commit = lastCommit(frame)
    head = hashFrame(frame.bytes)
    taken.push({ frame, head })
  }
  return { taken }
}
