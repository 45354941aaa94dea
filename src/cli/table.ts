/** Columns for people: aligned, and cut so that a line is never wider than the terminal. */
import { pad, truncate, width } from './text.ts'

export interface Column {
  readonly title: string
  readonly side?: 'left' | 'right'
  /** Cut when the table is too wide; the others keep their width. */
  readonly flexible?: boolean
  /** Applied after the width is known: colours. */
  readonly paint?: (cell: string, row: number) => string
}

const GAP = '  '
const FLEXIBLE_MIN = 8

/** @param columns width of the terminal; absent = unbounded */
export function formatTable(
  head: readonly Column[],
  rows: readonly (readonly string[])[],
  columns?: number,
): string {
  const widths = head.map(({ title }, k) =>
    rows.reduce((most, row) => Math.max(most, width(row[k] ?? '')), width(title)),
  )
  if (columns !== undefined) shrink(head, widths, columns)
  const format = (cells: readonly string[], row: number) =>
    head
      .map(({ side, paint }, k) => {
        const cell = truncate(cells[k] ?? '', widths[k]!)
        const padded =
          side === 'right'
            ? pad(cell, widths[k]!, 'left')
            : k === head.length - 1
              ? cell
              : pad(cell, widths[k]!)
        return paint && row >= 0 ? paint(padded, row) : padded
      })
      .join(GAP)
      .trimEnd()
  const lines = rows.map(format)
  return head.some(({ title }) => title !== '')
    ? [
        format(
          head.map(({ title }) => title),
          -1,
        ),
        ...lines,
      ].join('\n')
    : lines.join('\n')
}

function shrink(head: readonly Column[], widths: number[], columns: number): void {
  let excess = widths.reduce((sum, w) => sum + w, 0) + GAP.length * (widths.length - 1) - columns
  for (let k = head.length - 1; k >= 0 && excess > 0; k--) {
    if (!head[k]!.flexible) continue
    const cut = Math.min(excess, Math.max(0, widths[k]! - FLEXIBLE_MIN))
    widths[k]! -= cut
    excess -= cut
  }
}
