/** "Did you mean": the nearest of the names that exist. */

/** Looked at per question; a plan with more names gets suggestions from the first ones only. */
const NAMES_MAX = 20_000

/** Nearest by edits (insert, delete, replace, swap neighbours), at most one third of the length; `undefined` when none is near. */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  if (name.length > 128) return undefined
  const bound = Math.max(1, Math.floor(name.length / 3))
  const folded = name.toLowerCase()
  let best: string | undefined
  let bestEdits = bound + 1
  let looked = 0
  for (const candidate of names) {
    if (++looked > NAMES_MAX) break
    if (candidate === name || Math.abs(candidate.length - name.length) >= bestEdits) continue
    const edits = editsBetween(folded, candidate.toLowerCase(), bestEdits)
    if (edits < bestEdits) {
      best = candidate
      bestEdits = edits
    }
  }
  return best
}

/** Optimal string alignment distance, given up at `bound`: only the band of the table that can stay below it is filled. */
function editsBetween(a: string, b: string, bound: number): number {
  const width = b.length + 1
  let before = new Uint16Array(width).fill(bound)
  let row = new Uint16Array(width).fill(bound)
  let next = new Uint16Array(width)
  for (let j = 0; j <= Math.min(b.length, bound); j++) row[j] = j
  for (let i = 1; i <= a.length; i++) {
    next.fill(bound)
    if (i < bound) next[0] = i
    let least = next[0]!
    const c = a.charCodeAt(i - 1)
    for (let j = Math.max(1, i - bound); j <= Math.min(b.length, i + bound); j++) {
      const d = b.charCodeAt(j - 1)
      let edits = Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (c === d ? 0 : 1), bound)
      if (i > 1 && j > 1 && c === b.charCodeAt(j - 2) && a.charCodeAt(i - 2) === d)
        edits = Math.min(edits, before[j - 2]! + 1)
      next[j] = edits
      if (edits < least) least = edits
    }
    if (least >= bound) return bound
    const spare = before
    before = row
    row = next
    next = spare
  }
  return row[b.length]!
}
