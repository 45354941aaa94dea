/** A build of the sources as they are now, apart from `dist`: kept while no source is newer, so that test files and repeated runs share it. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cache = join(root, 'node_modules', '.cache', 'orch-node-e2e')

let known: string | undefined

/** Directory that holds `cli/main.js`, `node/node.js` and all the rest: the same for the life of this process, whatever is edited meanwhile. */
export function builtSources(): string {
  known ??= build()
  return known
}

function build(): string {
  const dir = join(cache, digestOfSources())
  const built = join(dir, 'dist')
  if (existsSync(dir)) return built
  const draft = `${dir}.${process.pid}`
  mkdirSync(draft, { recursive: true })
  for (const file of ['package.json', 'plan.schema.json']) cpSync(join(root, file), join(draft, file))
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  const made = spawnSync(tsc, ['-p', join(root, 'src'), '--outDir', join(draft, 'dist')], {
    encoding: 'utf8',
  })
  // Sources that do not type-check still make a build; that they do is another check's matter.
  if (!existsSync(join(draft, 'dist', 'node', 'node.js')))
    throw new Error(`no build: ${made.stdout}${made.stderr}`)
  try {
    renameSync(draft, dir)
  } catch {
    rmSync(draft, { recursive: true, force: true }) // another process was quicker
  }
  return built
}

function digestOfSources(): string {
  const hash = createHash('sha256')
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((f) =>
    f.endsWith('.ts'),
  )
  for (const file of files.sort()) hash.update(`${file}\0`).update(readFileSync(join(root, 'src', file)))
  return hash.digest('hex').slice(0, 16)
}
