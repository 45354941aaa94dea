import assert from 'node:assert/strict'
import test from 'node:test'
import { joinWords, plural } from '../src/words.js'

test('joins words as a sentence does', () => {
  assert.equal(joinWords([]), '')
  assert.equal(joinWords(['a']), 'a')
  assert.equal(joinWords(['a', 'b']), 'a and b')
  assert.equal(joinWords(['a', 'b', 'c']), 'a, b and c')
})

test('nothing is plural', () => {
  assert.equal(plural(0, 'file'), '0 files')
  assert.equal(plural(1, 'file'), '1 file')
  assert.equal(plural(2, 'file'), '2 files')
})
