/**
 * node tools/replace.js FILE OLD NEW — replaces a text that must stand in the file exactly once, so that a change which no longer fits fails
 * instead of doing something else.
 */
import { readFileSync, writeFileSync } from 'node:fs'

const [file, before, after] = process.argv.slice(2)
if (after === undefined) fail('usage: node tools/replace.js FILE OLD NEW')
const text = readFileSync(file, 'utf8')
const count = text.split(before).length - 1
if (count !== 1) fail(`${file}: found ${count} times, expected once: ${before}`)
writeFileSync(
  file,
  text.replace(before, () => after),
)
console.log(`${file}: ${before} → ${after}`)

function fail(message) {
  console.error(message)
  process.exit(1)
}
