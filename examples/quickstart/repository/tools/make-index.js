/**
 * node tools/make-index.js — writes src/index.js, the front door: one function of each module, the one that is named first. Where that is not
 * enough, test/index.test.js says what is missing; on the next attempt those names are exported too.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { earlierAttempts } from './earlier.js'

const asked = earlierAttempts()
const lines = []
for (const file of readdirSync('src').sort()) {
  if (file === 'index.js' || file === 'units.js') continue
  const exported = [...readFileSync(`src/${file}`, 'utf8').matchAll(/^export function (\w+)/gm)].map(
    ([, name]) => name,
  )
  const names = exported.filter((name, index) => index === 0 || asked.includes(`${name} (src/${file})`))
  lines.push(`export { ${names.sort().join(', ')} } from './${file}'`)
}
writeFileSync('src/index.js', `// Written by tools/make-index.js.\n${lines.join('\n')}\n`)
console.log(`src/index.js: ${lines.length} modules`)

// Not done before its test says so. Its output is what the next attempt learns from.
const { status } = spawnSync(process.execPath, ['--test', 'test/index.test.js'], { stdio: 'inherit' })
process.exitCode = status ?? 1
