/** What became of a frame. The same words as in net/replica.ts, which says what each means for whoever handed it in. */
import type { ChainId } from './frame.ts'

export type FrameVerdict =
  | { readonly type: 'taken' }
  | { readonly type: 'known' }
  | { readonly type: 'gap'; readonly chain: ChainId; readonly from: number; readonly to: number }
  | { readonly type: 'unwanted'; readonly reason: string }
  | { readonly type: 'rejected'; readonly reason: string; readonly blame: 'author' | 'sender' }

export const TAKEN: FrameVerdict = { type: 'taken' }
export const KNOWN: FrameVerdict = { type: 'known' }
export const ENDED: FrameVerdict = {
  type: 'unwanted',
  reason: 'its author signed two stories: this chain ends before it',
}

export function unwanted(reason: string): FrameVerdict {
  return { type: 'unwanted', reason }
}

export function rejected(blame: 'author' | 'sender', reason: string): FrameVerdict {
  return { type: 'rejected', reason, blame }
}
