/**
 * The quick start: `npm start`, or after a build `node examples/quickstart/run.mjs [DIR]`. Makes a small library whose tests fail, and runs plan.yaml on it
 * with the real command line. Everything stays in one temporary directory, or in DIR.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeRepository } from './make-repository.mjs'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const plan = fileURLToPath(new URL('plan.yaml', import.meta.url))

if (!existsSync(main)) {
  console.error('The program is not built yet: npm run build')
  process.exit(1)
}

const given = process.argv[2]
if (given !== undefined) await mkdir(given, { recursive: true })
const dir = given === undefined ? await mkdtemp(join(tmpdir(), 'orch-quickstart-')) : resolve(given)
const repository = join(dir, 'measure')
const dataDir = join(dir, 'data')
await makeRepository(repository)
console.log(`A library with failing tests: ${repository}\nThe plan that mends it:       ${plan}\n`)

const child = spawn(process.execPath, [main, 'run', plan, '--repo', repository, '--data-dir', dataDir], {
  stdio: 'inherit',
})
// Ctrl-C reaches the child too, which drains; this process waits for it.
process.on('SIGINT', () => {})
const [code, signal] = await once(child, 'exit')
if (code !== 0) {
  console.error(`\nThe run ended with ${signal ?? `exit ${code}`}. What it left: ${dir}`)
  process.exit(code ?? 1)
}

const git = (...args) => execFileSync('git', args, { cwd: repository, encoding: 'utf8' }).trim()
const branch = git(
  'for-each-ref',
  '--format=%(refname:short)',
  '--sort=-creatordate',
  '--count=1',
  'refs/heads/orch/',
)
console.log(`
$ cd ${repository}
$ git log --oneline ${branch}
${git('log', '--oneline', branch)}

The changes:      git -C ${repository} diff main ${branch}
Twice tried:      npx orch-node task show index --data-dir ${dataDir}
Take the result:  npx orch-node land ${branch.slice('orch/'.length)} --into main --data-dir ${dataDir}
Remove all:       rm -r ${dir}

Your own repository, next: npm install --global .   (once, here)
                           orch-node run plan.yaml  (there; how to write one: docs/plan.md)`)
