/**
 * The merge queue of one candidate: which gate to run next, and in the end which prefix of the chain is good and who broke it. Pure: the git edge computes, the
 * node runs gates, this decides (SPEC MQ1-MQ6).
 *
 * Checks are a task's own and run on its own commit. `verify` gates the whole: first on the longest prefix, then by bisection, so that n results cost
 * 1 + log2(n) runs when one is bad and 1 when none is.
 */

import type { Oid } from './id.ts'
import type { Delta, GateFailure, MergedCommit } from './integrate.ts'

export interface Candidate {
  readonly tip: Oid
  readonly deltas: readonly Delta[]
  readonly chain: readonly MergedCommit[]
  readonly verify?: string
  /** The tip is known to pass `verify`: then a bad first commit is its own fault. */
  readonly tipGreen: boolean
  /** Verdicts so far: checks by index, verify by prefix length (0 = the tip). */
  readonly checks: ReadonlyMap<number, GateVerdict>
  readonly verifies: ReadonlyMap<number, GateVerdict>
}

export interface GateVerdict {
  readonly ok: boolean
  readonly exit: number | null
  readonly output: string
}

export type MergeStep =
  | { readonly next: 'check'; readonly index: number; readonly commit: Oid; readonly command: string }
  | { readonly next: 'verify'; readonly prefix: number; readonly commit: Oid; readonly command: string }
  /** Everything is known. `red` = the tip itself fails `verify`, so it cannot gate this step. */
  | {
      readonly next: 'done'
      readonly prefix: number
      readonly culprit?: GateFailure
      readonly verified: boolean
      readonly red: boolean
    }

export function mergeStep(candidate: Candidate): MergeStep {
  const { chain, deltas, checks } = candidate
  let usable = chain.length
  let culprit: GateFailure | undefined
  for (let i = 0; i < chain.length; i++) {
    const command = deltas[i]!.check
    if (!command) continue
    const verdict = checks.get(i)
    if (!verdict) return { next: 'check', index: i, commit: chain[i]!.commit, command }
    if (!verdict.ok) {
      usable = i
      culprit = { task: deltas[i]!.task, why: 'check', command, exit: verdict.exit, output: verdict.output }
      break
    }
  }
  return verifyStep(candidate, usable, culprit)
}

function verifyStep(candidate: Candidate, usable: number, culprit: GateFailure | undefined): MergeStep {
  const { verify, chain, verifies, tip } = candidate
  const done = (
    prefix: number,
    failure: GateFailure | undefined,
    verified: boolean,
    red = false,
  ): MergeStep => ({
    next: 'done',
    prefix,
    ...(failure ? { culprit: failure } : {}),
    verified,
    red,
  })
  if (!verify || usable === 0) return done(usable, culprit, false)
  const commitAt = (prefix: number): Oid => (prefix === 0 ? tip : chain[prefix - 1]!.commit)
  // Prefixes that add nothing need no run of their own: an empty delta is as good as the one before it.
  const verdictAt = (prefix: number): GateVerdict | undefined => {
    for (const [known, verdict] of verifies) if (commitAt(known) === commitAt(prefix)) return verdict
    return candidate.tipGreen && commitAt(prefix) === tip ? { ok: true, exit: 0, output: '' } : undefined
  }
  const ask = (prefix: number): MergeStep => ({
    next: 'verify',
    prefix,
    commit: commitAt(prefix),
    command: verify,
  })
  const whole = verdictAt(usable)
  if (!whole) return ask(usable)
  if (whole.ok) return done(usable, culprit, true)
  const base = verdictAt(0)
  if (!base) return ask(0)
  // A red tip cannot tell who broke what: the checks decide, and verify is asked again at the end of the run.
  if (!base.ok) return done(usable, culprit, false, true)
  let good = 0
  let bad = usable
  let last = whole
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    const verdict = verdictAt(middle)
    if (!verdict) return ask(middle)
    if (verdict.ok) good = middle
    else {
      bad = middle
      last = verdict
    }
  }
  const task = candidate.deltas[bad - 1]!.task
  return done(good, { task, why: 'verify', command: verify, exit: last.exit, output: last.output }, good > 0)
}
