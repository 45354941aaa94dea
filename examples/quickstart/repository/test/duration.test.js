import assert from 'node:assert/strict'
import test from 'node:test'
import { formatDuration, parseDuration } from '../src/duration.js'

test('adds up all parts', () => {
  assert.equal(parseDuration('90s'), 90)
  assert.equal(parseDuration('1h 30m'), 5_400)
  assert.equal(parseDuration('1w 2d 3h'), 788_400)
})

test('refuses what is no duration', () => {
  assert.throws(() => parseDuration('soon'), RangeError)
  assert.throws(() => parseDuration('1h 5 apples'), RangeError)
})

test('writes the two largest units', () => {
  assert.equal(formatDuration(5_400), '1h 30m')
  assert.equal(formatDuration(90_061), '1d 1h')
  assert.equal(formatDuration(0), '0s')
})
