/** node tools/make-changelog.js — writes CHANGELOG.md from the commits since the first one. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
const subjects = execFileSync('git', ['log', '--reverse', '--format=%s'], { encoding: 'utf8' })
  .trim()
  .split('\n')
  .slice(1)
writeFileSync(
  'CHANGELOG.md',
  `# Changelog\n\n## After ${version}\n\n${subjects.map((subject) => `- ${subject}`).join('\n')}\n`,
)
console.log(`CHANGELOG.md: ${subjects.length} changes`)
