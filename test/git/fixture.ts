/** Real repositories in temporary directories, made by plain git with an environment of its own. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { devNull, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Delta, MergeRequest } from '../../src/core/integrate.ts'
import { BareRepository } from '../../src/git/bare.ts'
import { inspectRepository, type RepositoryFacts } from '../../src/git/repository.ts'
import { UserRepository } from '../../src/git/user-repository.ts'

export const NODE_A = '12D3KooWAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
const INCARNATION = '01JD0000000000000000ABCDEF'
export const AT = Date.UTC(2030, 0, 2, 3, 4, 5)

export function tempDir(): string {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'orch-git-')))
  onTestFinished(() => {
    execFileSync('chmod', ['-R', 'u+rwX', dir])
    rmSync(dir, { recursive: true, force: true })
  })
  return dir
}

const ENV = {
  PATH: process.env.PATH,
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: devNull,
  GIT_AUTHOR_NAME: 'Ann',
  GIT_AUTHOR_EMAIL: 'ann@example.org',
  GIT_COMMITTER_NAME: 'Ann',
  GIT_COMMITTER_EMAIL: 'ann@example.org',
  GIT_AUTHOR_DATE: '2029-01-01T00:00:00Z',
  GIT_COMMITTER_DATE: '2029-01-01T00:00:00Z',
}

/** What a person or a worker does. */
export function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, {
    cwd,
    env: ENV,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()
}

export function gitInput(cwd: string, input: string | Buffer, ...args: string[]): string {
  return execFileSync('git', args, {
    cwd,
    env: ENV,
    input,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
  }).trim()
}

export type Files = Record<string, string | Buffer | null>

/** Writes files; `null` removes. A file replaces a directory of its name. */
export function write(dir: string, files: Files): void {
  for (const [path, content] of Object.entries(files)) {
    const full = join(dir, path)
    if (content === null) {
      rmSync(full, { recursive: true, force: true })
      continue
    }
    if (lstatSync(full, { throwIfNoEntry: false })?.isDirectory()) rmSync(full, { recursive: true })
    mkdirSync(dirname(full), { recursive: true })
    writeFileSync(full, content)
  }
}

export function read(dir: string, path: string): string | undefined {
  const full = join(dir, path)
  return existsSync(full) ? readFileSync(full, 'utf8') : undefined
}

export const BASE_FILES: Files = {
  'README.md': 'hello\n',
  'src/a.txt': 'one\ntwo\nthree\nfour\nfive\nsix\nseven\n',
  'src/b.txt': 'b\n',
  'docs/guide.md': 'guide\n',
  '.gitignore': 'ignored/\n*.log\n',
}

export function userRepository(dir: string, files: Files = BASE_FILES, ...init: string[]): string {
  mkdirSync(dir, { recursive: true })
  git(dir, 'init', '-q', '-b', 'main', ...init)
  write(dir, files)
  return commitAll(dir, 'first')
}

export function commitAll(dir: string, message: string): string {
  git(dir, 'add', '-A')
  git(dir, 'commit', '-q', '--no-verify', '--allow-empty', '-m', message)
  return git(dir, 'rev-parse', 'HEAD')
}

/** Refs, HEAD, configuration, index and objects of a repository: equal before and after = nothing was written. */
export function fingerprint(dir: string): Record<string, string> {
  const gitDir = git(dir, 'rev-parse', '--absolute-git-dir')
  const hash = (path: string): string =>
    existsSync(path) ? createHash('sha256').update(readFileSync(path)).digest('hex') : 'none'
  return {
    refs: git(dir, 'for-each-ref'),
    head: readFileSync(join(gitDir, 'HEAD'), 'utf8'),
    config: hash(join(gitDir, 'config')),
    index: hash(join(gitDir, 'index')),
    objects: execFileSync('find', [join(gitDir, 'objects'), '-type', 'f'], { encoding: 'utf8' }),
    listing: execFileSync('ls', [gitDir], { encoding: 'utf8' }),
  }
}

export interface Place {
  readonly dir: string
  readonly user: string
  readonly base: string
  readonly bare: BareRepository
  readonly facts: RepositoryFacts
}

/** A person's repository and our own one with its base. */
export async function place(files: Files = BASE_FILES, ...init: string[]): Promise<Place> {
  const dir = tempDir()
  const user = join(dir, 'user')
  userRepository(user, files, ...init)
  const facts = await inspectRepository(user)
  const bare = await bareOf(join(dir, 'data'), facts)
  return { dir, user, base: facts.base, bare, facts }
}

export async function bareOf(dataDir: string, facts: RepositoryFacts): Promise<BareRepository> {
  const bare = await BareRepository.create(dataDir, facts.id, facts.format)
  onTestFinished(() => bare.close())
  await bare.importFrom(await UserRepository.open(facts.path), facts.base)
  return bare
}

/** A commit in our repository with some files changed. */
export async function work(bare: BareRepository, base: string, files: Files): Promise<string> {
  const dir = tempDir()
  const env = {
    cwd: dir,
    workTree: dir,
    indexFile: join(dir, '..', `index-${Math.random()}`),
    config: ['core.bare=false'],
  }
  onTestFinished(() => rmSync(env.indexFile, { force: true }))
  await bare.run(['read-tree', '--reset', '-u', base], env)
  write(dir, files)
  await bare.run(['add', '-A', '-f', '.'], env)
  const tree = (await bare.run(['write-tree'], env)).stdout.toString().trim()
  const person = 'W <w@example.org> 1 +0000'
  const oid = bare.objects.writeCommit({
    tree,
    parents: [base],
    author: person,
    committer: person,
    message: 'work\n',
  })
  await bare.objects.flush()
  return oid
}

export function delta(task: string, base: string, head: string, more: Partial<Delta> = {}): Delta {
  return {
    task,
    round: 1,
    epoch: 1,
    by: NODE_A,
    base,
    head,
    title: `Task ${task}`,
    authorName: 'claude',
    ...more,
  }
}

export function mergeRequest(
  tip: string,
  deltas: readonly Delta[],
  more: Partial<MergeRequest> = {},
): MergeRequest {
  return { run: 'demo-1a2b', tip, deltas, date: AT, term: 1, ...more }
}

export function attempt(task: string, round = 1, epoch = 1): string {
  return `demo-1a2b/${task}/${round}.${epoch}/${INCARNATION}`
}

/** Files of a commit in our repository. */
export function filesOf(bare: BareRepository, commit: string): Record<string, string> {
  const names = git(bare.dir, 'ls-tree', '-r', '--name-only', '-z', commit).split('\0').filter(Boolean)
  return Object.fromEntries(
    names.map((name) => [name, git(bare.dir, 'cat-file', 'blob', `${commit}:${name}`)]),
  )
}

export function script(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
}
