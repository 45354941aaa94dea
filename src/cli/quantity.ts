/** Spans, sizes and times as people read them. */

/** `0.4 s`, `0:41`, `12:05`, `1:02:03`. */
export function showDuration(ms: number): string {
  if (ms < 9_950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = (n: number) => String(n).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** `4 s`, `3 min`, `2 h`, `5 d`. */
export function showAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** `0 B`, `12.3 kB`, `4.0 MB`. */
export function showBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  let amount = bytes
  for (const unit of ['kB', 'MB', 'GB']) {
    amount /= 1000
    if (amount < 999.95) return `${amount.toFixed(1)} ${unit}`
  }
  return `${(amount / 1000).toFixed(1)} TB`
}

/** `12:03:01`, in the zone of this machine. */
export function showClock(at: number): string {
  const date = new Date(at)
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((n) => String(n).padStart(2, '0'))
    .join(':')
}

/** `1 file`, `2 files`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
