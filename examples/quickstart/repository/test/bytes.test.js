import assert from 'node:assert/strict'
import test from 'node:test'
import { formatBytes, parseBytes } from '../src/bytes.js'

test('chooses the largest unit that fits', () => {
  assert.equal(formatBytes(999), '999 B')
  assert.equal(formatBytes(1_500_000), '1.5 MB')
})

test('one of a unit is one of it', () => {
  assert.equal(formatBytes(1_000), '1 kB')
  assert.equal(formatBytes(1_000_000_000), '1 GB')
})

test('reads what it writes, and binary units', () => {
  assert.equal(parseBytes('1.5 MB'), 1_500_000)
  assert.equal(parseBytes('2GiB'), 2_147_483_648)
  assert.throws(() => parseBytes('much'), RangeError)
})
