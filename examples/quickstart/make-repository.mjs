/** The sample library as a git repository of its own, with one commit on `main`. */
import { execFile } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const source = fileURLToPath(new URL('repository', import.meta.url))

/** No name, key or hook of the person who runs it has a part in it. */
const OWN = [
  'user.name=Quick Start',
  'user.email=quickstart@localhost',
  'commit.gpgSign=false',
  'core.hooksPath=/dev/null',
]

/** @param {string} dir absolute path; made when it is not there */
export async function makeRepository(dir) {
  await cp(source, dir, { recursive: true })
  const git = (...args) => run('git', [...OWN.flatMap((setting) => ['-c', setting]), ...args], { cwd: dir })
  await git('init', '--quiet', '--initial-branch=main')
  await git('add', '.')
  await git('commit', '--quiet', '--message=measure 0.4.0')
}
