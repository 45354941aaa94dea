/** Who is meant by what a person types. */
import type { NodeId } from '../core/id.ts'

interface Named {
  readonly node: NodeId
  readonly names: readonly string[]
}

/** Ids end in any letter: a shorter end would be taken for a name. */
const END_CHARS_MIN = 4

/** Those of a whole name or id; only when there is none, those whose id ends so. */
export function whoIsMeant<T extends Named>(all: readonly T[], who: string): readonly T[] {
  const whole = all.filter(({ node, names }) => node === who || names.includes(who))
  if (whole.length > 0 || who.length < END_CHARS_MIN) return whole
  return all.filter(({ node }) => node.endsWith(who))
}
