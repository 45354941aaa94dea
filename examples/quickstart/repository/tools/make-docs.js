/** node tools/make-docs.js MODULE — writes docs/MODULE.md from the comments of src/MODULE.js. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'

const [module] = process.argv.slice(2)
const source = readFileSync(`src/${module}.js`, 'utf8')
const functions = [...source.matchAll(/\/\*\*\n([\s\S]*?)\n \*\/\nexport function (\w+)\(([^)]*)\)/g)]
if (functions.length === 0) throw new Error(`src/${module}.js has no exported function with a comment`)

const sections = functions.map(([, comment, name, parameters]) => {
  const lines = comment.split('\n').map((line) => line.replace(/^ \* ?/, ''))
  const text = lines
    .filter((line) => !line.startsWith('@'))
    .join('\n')
    .trim()
  const tags = lines.filter((line) => line.startsWith('@')).map((line) => `- ${describe(line)}`)
  return [`## ${name}(${parameters})`, text, tags.join('\n')].filter((part) => part !== '').join('\n\n')
})

mkdirSync('docs', { recursive: true })
writeFileSync(`docs/${module}.md`, `# ${module}\n\n${sections.join('\n\n')}\n`)
console.log(`docs/${module}.md: ${functions.map(([, , name]) => name).join(', ')}`)

/** `@param {string} text one or more` → `**text** (string): one or more` */
function describe(line) {
  const [, tag, type, rest] = /^@(\w+) \{([^}]*)\} ?(.*)$/.exec(line)
  const [name, ...words] = rest.split(' ')
  if (tag !== 'param') return `${tag} ${type}${rest ? `: ${rest}` : ''}`
  return `**${name}** (${type})${words.length > 0 ? `: ${words.join(' ')}` : ''}`
}
