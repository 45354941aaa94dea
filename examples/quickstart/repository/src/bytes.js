import { factorOf } from './units.js'

const UNITS = ['TB', 'GB', 'MB', 'kB']

/**
 * A number of bytes as people write it, with at most one decimal.
 *
 * @param {number} bytes from 0
 * @returns {string} for example `1.5 MB`
 */
export function formatBytes(bytes) {
  for (const unit of UNITS) {
    const amount = bytes / factorOf('bytes', unit)
    if (amount > 1) return `${Math.round(amount * 10) / 10} ${unit}`
  }
  return `${bytes} B`
}

/**
 * Reads what `formatBytes` writes, and binary units too.
 *
 * @param {string} text for example `1.5 MB` or `2GiB`
 * @returns {number} bytes
 * @throws {RangeError} when the text is no size
 */
export function parseBytes(text) {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(text.trim()) ?? []
  const factor = unit === undefined ? undefined : factorOf('bytes', unit)
  if (factor === undefined) throw new RangeError(`not a size: ${text}`)
  return Math.round(Number(amount) * factor)
}
