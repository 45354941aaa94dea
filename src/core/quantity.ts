/** Spans and sizes as people write them. `undefined` = not one. */
import type { DurationMs } from './id.ts'

/** For schemas: what `readDuration` takes. */
export const DURATION_PATTERN =
  /^(?:0|(?=\d)(?:\d+(?:\.\d+)?d)?(?:\d+(?:\.\d+)?h)?(?:\d+(?:\.\d+)?m(?!s))?(?:\d+(?:\.\d+)?s)?(?:\d+ms)?)$/
/** For schemas: what `readSize` takes. */
export const SIZE_PATTERN = /^\d+(?:\.\d+)? ?(?:B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$/

const SPANS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const SIZES: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['kB', 1e3],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
])

/** Longest span that a timer of the runtime takes. */
export const DURATION_MS_MAX = 2 ** 31 - 1

/** `500ms`, `90s`, `30m`, `1h30m`, `2d`, `0`: milliseconds, at most `DURATION_MS_MAX` (24.8 days). */
export function readDuration(text: string): DurationMs | undefined {
  if (text.length > 64 || !DURATION_PATTERN.test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhd])/g))
    ms += Number(amount) * SPANS[unit!]!
  return ms <= DURATION_MS_MAX ? Math.round(ms) : undefined
}

/** `2GiB`, `512MB`, `1.5 GiB`, `4096`: bytes. GB = 1000 MB, GiB = 1024 MiB. */
export function readSize(text: string): number | undefined {
  if (text.length > 64 || !SIZE_PATTERN.test(text)) return undefined
  const match = /^([\d.]+) ?([A-Za-z]*)$/.exec(text)
  const unit = match === null ? undefined : SIZES.get(match[2]!)
  const bytes = unit === undefined ? Number.NaN : Math.round(Number(match![1]) * unit)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** For messages: `2GiB`, `1.5GB`, `300B`. */
export function showSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB']) {
    const amount = bytes / SIZES.get(unit)!
    if (amount >= 1) return `${Math.round(amount * 100) / 100}${unit}`
  }
  return `${bytes}B`
}
