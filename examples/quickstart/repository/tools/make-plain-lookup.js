/** node tools/make-plain-lookup.js — writes src/lookup.js the simple way, for the day when tools/make-lookup.js finds nothing. */
import { writeFileSync } from 'node:fs'

writeFileSync(
  'src/lookup.js',
  `// Written by tools/make-plain-lookup.js.
import { unitsOf } from './units.js'

/**
 * @param {string} unit
 * @returns {'bytes' | 'duration' | 'length' | undefined} what it measures
 */
export function kindOf(unit) {
  return ['bytes', 'duration', 'length'].find((kind) => unitsOf(kind).includes(unit))
}
`,
)
console.log('src/lookup.js: linear search')
