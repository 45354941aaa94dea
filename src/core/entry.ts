/** Facts of a node about its own part in an epoch, gathered in one entry (`claim.ts`). Flags only rise, so any order of arrival gives the same. */
import type { Result } from './attempt.ts'
import { betterResult, createEntry, type Entry } from './claim.ts'
import { type Bodies, isFailure } from './fact.ts'
import type { Author, Slot, WallMs } from './id.ts'
import type { TaskState } from './task-state.ts'

export function entryOf(task: TaskState, slot: Slot, author: Author): Entry {
  let entry = task.entries.find(
    (e) => e.round === slot.round && e.epoch === slot.epoch && e.node === author.node,
  )
  if (!entry) {
    entry = createEntry(slot, author)
    // A new list, as what holds the old one must not see it change. Most tasks have one entry.
    task.entries = task.entries.length === 0 ? [entry] : [...task.entries, entry]
  } else if (!entry.start && author.incarnation < entry.incarnation) entry.incarnation = author.incarnation
  return entry
}

export function takeClaim(entry: Entry): void {
  entry.claim = true
}

export function takeStart(entry: Entry, body: Bodies['starts'], author: Author, at: WallMs): void {
  // The life that started it is the one that can be asked about its process.
  if (!entry.start || author.incarnation < entry.incarnation) {
    entry.incarnation = author.incarnation
    entry.startedAt = at
  }
  entry.start = true
  entry.cont ||= body.cont === true
  entry.outside ||= body.outside === true
}

export function takeResult(entry: Entry, result: Result, author: Author, at: WallMs): void {
  const next = { result, incarnation: author.incarnation }
  const kept = entry.result
    ? betterResult({ result: entry.result, incarnation: entry.resultIncarnation! }, next)
    : next
  if (kept === next) entry.endedAt = at
  entry.failed ||= isFailure(result.outcome)
  entry.result = kept.result
  entry.resultIncarnation = kept.incarnation
}
