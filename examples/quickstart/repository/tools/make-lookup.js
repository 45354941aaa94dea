/**
 * node tools/make-lookup.js — writes src/lookup.js: a hash table from the name of a unit to its kind, without collisions.
 *
 * First choice: a table with no empty place. A seed for that is one in n^n/n!, about 10^10 for 26 names: a search without end, but nobody knows before it is tried.
 * After a timeout the program is told so, and is content with a table of n² places, where every other seed will do.
 */
import { writeFileSync } from 'node:fs'
import { unitsOf } from '../src/units.js'
import { earlierAttempts } from './earlier.js'

const names = ['bytes', 'duration', 'length'].flatMap((kind) => unitsOf(kind).map((unit) => [unit, kind]))
const places = earlierAttempts().includes('timed out') ? names.length ** 2 : names.length
console.log(`looking for a seed: ${names.length} names, ${places} places`)

// FNV-1a; the same function goes into the module.
function hash(text, seed) {
  let h = seed
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619)
  return (h ^ (h >>> 15)) >>> 0
}

function findSeed() {
  for (let seed = 1; ; seed++) {
    const taken = new Set(names.map(([unit]) => hash(unit, seed) % places))
    if (taken.size === names.length) return seed
    if (seed % 2_000_000 === 0) console.log(`${seed} seeds tried`)
  }
}

const seed = findSeed()
const table = names.map(([unit, kind]) => `  [${hash(unit, seed) % places}, ['${unit}', '${kind}']],`)

writeFileSync(
  'src/lookup.js',
  `// Written by tools/make-lookup.js.

const TABLE = new Map([
${table.join('\n')}
])

${hash}

/**
 * @param {string} unit
 * @returns {'bytes' | 'duration' | 'length' | undefined} what it measures
 */
export function kindOf(unit) {
  const [name, kind] = TABLE.get(hash(unit, ${seed}) % ${places}) ?? []
  return name === unit ? kind : undefined
}
`,
)
console.log(`src/lookup.js: seed ${seed}`)
