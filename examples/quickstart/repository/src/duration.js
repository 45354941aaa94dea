import { factorOf } from './units.js'

/**
 * Reads a span of time.
 *
 * @param {string} text one or more amounts with units, for example `1h 30m`
 * @returns {number} seconds
 * @throws {RangeError} when the text is no duration
 */
export function parseDuration(text) {
  let seconds
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?) ?([a-z]+)/g)) {
    const factor = factorOf('duration', unit)
    if (factor === undefined) throw new RangeError(`not a duration: ${text}`)
    seconds = Number(amount) * factor
  }
  if (seconds === undefined) throw new RangeError(`not a duration: ${text}`)
  return seconds
}

/**
 * A span of time in its two largest units.
 *
 * @param {number} seconds from 0
 * @returns {string} for example `1h 30m`
 */
export function formatDuration(seconds) {
  const parts = []
  let rest = Math.round(seconds)
  for (const unit of ['d', 'h', 'm', 's']) {
    const count = Math.floor(rest / factorOf('duration', unit))
    rest -= count * factorOf('duration', unit)
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.slice(0, 2).join(' ') || '0s'
}
