/** Notices that a copy of this node runs: another process with its key, from a copied data directory or machine. */
import type { Batch } from '../core/fact.ts'
import type { Author, WallMs } from '../core/id.ts'

export const CLONED =
  'another process signs as this node: a copy of this machine or of its data directory runs somewhere; stop one of the two, and let it join anew with a data directory of its own'

/** A wall clock that was set back a little between two lives is no proof. */
const CLONE_MS_MIN = 2_000

/**
 * Something that this node wrote comes from another one. Of an earlier life it was lost here; of a later one, or written after this one began, it is of another process.
 *
 * @param own of the life that began at `beganAt`
 */
export function isOfTwin({ author, at }: Batch, own: Author, beganAt: WallMs): boolean {
  if (author.node !== own.node) return false
  return author.incarnation > own.incarnation || at - beganAt > CLONE_MS_MIN
}
