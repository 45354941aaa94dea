import assert from 'node:assert/strict'
import test from 'node:test'
import { factorOf, unitsOf } from '../src/units.js'

test('knows the factor of a unit', () => {
  assert.equal(factorOf('bytes', 'MiB'), 1048576)
  assert.equal(factorOf('duration', 'h'), 3600)
  assert.equal(factorOf('duration', 'kB'), undefined)
})

test('lists the units of a kind, the smallest first', () => {
  assert.deepEqual(unitsOf('duration'), ['ms', 's', 'sec', 'm', 'min', 'h', 'hr', 'd', 'w'])
})
