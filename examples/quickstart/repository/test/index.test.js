import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import test from 'node:test'
import * as all from '../src/index.js'

// Tables are an inside matter; the functions over them are not.
const HIDDEN = new Set(['factorOf', 'unitsOf'])

test('exports every function of every module', async () => {
  const missing = []
  for (const file of await readdir(new URL('../src/', import.meta.url))) {
    if (file === 'index.js') continue
    for (const name of Object.keys(await import(`../src/${file}`))) {
      if (!HIDDEN.has(name) && !Object.hasOwn(all, name)) missing.push(`${name} (src/${file})`)
    }
  }
  assert.equal(missing.join(', '), '', `src/index.js does not export: ${missing.join(', ')}`)
})
