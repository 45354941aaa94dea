import assert from 'node:assert/strict'
import test from 'node:test'
import { kindOf } from '../src/lookup.js'
import { unitsOf } from '../src/units.js'

test('finds the kind of every unit', () => {
  for (const kind of ['bytes', 'duration', 'length']) {
    for (const unit of unitsOf(kind)) assert.equal(kindOf(unit), kind, unit)
  }
})

test('knows no other name', () => {
  for (const name of ['', 'x', 'apples', 'kb', 'constructor']) assert.equal(kindOf(name), undefined, name)
})
