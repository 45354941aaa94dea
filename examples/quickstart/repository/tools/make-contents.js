/** node tools/make-contents.js — writes docs/README.md: every function of every page, with a link to it. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

const pages = readdirSync('docs').filter((file) => file.endsWith('.md') && file !== 'README.md')
const lines = pages.sort().flatMap((page) => {
  const [title, ...functions] = [...readFileSync(`docs/${page}`, 'utf8').matchAll(/^#+ (\w+)/gm)].map(
    ([, name]) => name,
  )
  return [`- [${title}](${page})`, ...functions.map((name) => `  - \`${name}\``)]
})
writeFileSync('docs/README.md', `# Reference\n\n${lines.join('\n')}\n`)
console.log(`docs/README.md: ${pages.length} pages`)
