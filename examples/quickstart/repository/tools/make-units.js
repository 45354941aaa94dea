/** node tools/make-units.js — writes src/units.js from data/units.csv. */
import { readFileSync, writeFileSync } from 'node:fs'

const rows = readFileSync('data/units.csv', 'utf8').trim().split('\n').slice(1)
const kinds = new Map()
for (const [index, row] of rows.entries()) {
  const [kind, name, factor] = row.split(',')
  if (!name || !(Number(factor) > 0))
    throw new Error(`data/units.csv:${index + 2}: expected kind,name,factor,text: ${row}`)
  kinds.set(kind, [...(kinds.get(kind) ?? []), [name, Number(factor)]])
}

const tables = [...kinds].map(([kind, units]) => {
  const lines = units.map(([name, factor]) => `    ['${name}', ${factor}],`)
  return `  ${kind}: new Map([\n${lines.join('\n')}\n  ]),`
})

writeFileSync(
  'src/units.js',
  `// Written by tools/make-units.js from data/units.csv.

const UNITS = {
${tables.join('\n')}
}

/**
 * @param {'${[...kinds.keys()].join("' | '")}'} kind
 * @param {string} unit
 * @returns {number | undefined} how many of the basic unit it is
 */
export function factorOf(kind, unit) {
  return UNITS[kind].get(unit)
}

/**
 * @param {'${[...kinds.keys()].join("' | '")}'} kind
 * @returns {string[]} names, the smallest unit first
 */
export function unitsOf(kind) {
  return [...UNITS[kind]].sort(([, a], [, b]) => a - b).map(([name]) => name)
}
`,
)
console.log(`src/units.js: ${rows.length} units of ${kinds.size} kinds`)
