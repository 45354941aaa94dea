/**
 * Proof of double talk: two frames that one author signed for one chain, and that cannot both be of it. Either both are frame n and differ, or the second follows the first
 * and names another hash. From frame n on nothing of the chain is believed by anybody who has seen the pair.
 */
import { type Frame, hashFrame, isSameBytes, isSigned, readFrame, type Verify } from './frame.ts'
import type { ProofPair } from './frame-disk.ts'

/** The pair in its one order when it proves something, signatures aside. */
export function proofOf(
  one: Frame,
  two: Frame,
): { readonly pair: ProofPair; readonly cut: number } | undefined {
  const [a, b] =
    one.n < two.n || (one.n === two.n && Buffer.compare(one.bytes, two.bytes) < 0) ? [one, two] : [two, one]
  if (a.cluster !== b.cluster || a.doc !== b.doc || a.node !== b.node || a.incarnation !== b.incarnation)
    return undefined
  const isDouble = a.n === b.n && !isSameBytes(a.bytes, b.bytes)
  const isBroken = b.n === a.n + 1 && b.prev !== hashFrame(a.bytes)
  return isDouble || isBroken ? { pair: [a.bytes, b.bytes], cut: a.n - 1 } : undefined
}

/** How far a chain is believed after a pair that was checked before. */
export function cutOf(pair: ProofPair): number | undefined {
  const [a, b] = [readFrame(pair[0]), readFrame(pair[1])]
  return a.ok && b.ok ? proofOf(a.frame, b.frame)?.cut : undefined
}

/** Reads a pair of anybody; `undefined` when it proves nothing. */
export function readProof(
  pair: ProofPair,
  verify: Verify,
): { readonly frame: Frame; readonly pair: ProofPair; readonly cut: number } | undefined {
  const [a, b] = [readFrame(pair[0]), readFrame(pair[1])]
  if (!a.ok || !b.ok) return undefined
  const proof = proofOf(a.frame, b.frame)
  if (!proof || !isSigned(a.frame, verify) || !isSigned(b.frame, verify)) return undefined
  return { frame: a.frame, ...proof }
}
