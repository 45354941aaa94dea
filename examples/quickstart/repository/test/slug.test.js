import assert from 'node:assert/strict'
import test from 'node:test'
import { slug } from '../src/slug.js'

test('keeps letters and digits', () => {
  assert.equal(slug('  Hello, World 2! '), 'hello-world-2')
})

test('takes accents off', () => {
  assert.equal(slug('Crème brûlée!'), 'creme-brulee')
})
