/** A person's repository: found, asked, and never written except through `land.ts`. */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { type GitAnswer, type GitCall, runGit } from './command.ts'
import type { ObjectFormat } from './object.ts'

export class UserRepository {
  /** Top of the work tree, or the git directory of a bare repository. */
  readonly path: string
  readonly gitDir: string
  readonly isBare: boolean
  readonly isShallow: boolean
  readonly format: ObjectFormat
  readonly #config: readonly string[]

  private constructor(
    path: string,
    gitDir: string,
    isBare: boolean,
    isShallow: boolean,
    format: ObjectFormat,
    config: readonly string[],
  ) {
    this.path = path
    this.gitDir = gitDir
    this.isBare = isBare
    this.isShallow = isShallow
    this.format = format
    this.#config = config
  }

  /** @throws ORCH_GIT_NOT_REPO, ORCH_GIT_MISSING */
  static async open(where: string): Promise<UserRepository> {
    const cwd = resolve(where)
    const isDirectory = await stat(cwd).then(
      (found) => found.isDirectory(),
      () => false,
    )
    if (!isDirectory) {
      throw new OrchError('ORCH_GIT_NOT_REPO', `${cwd} is not a directory`, { context: { path: cwd } })
    }
    const ask = [
      'rev-parse',
      '--is-bare-repository',
      '--is-shallow-repository',
      '--show-object-format',
      '--absolute-git-dir',
    ]
    let config: string[] = []
    let answer = await runGit(ask, { cwd, exits: [0, 128] })
    if (answer.exit !== 0 && answer.stderr.includes('dubious ownership') && (await isTrusted(cwd))) {
      config = ['safe.directory=*']
      answer = await runGit(ask, { cwd, config, exits: [0, 128] })
    }
    if (answer.exit !== 0) throw notRepository(cwd, answer)
    const [bare, shallow, format, gitDir = ''] = answer.stdout.toString('utf8').split('\n')
    let path = gitDir
    if (bare !== 'true') {
      const top = await runGit(['rev-parse', '--show-toplevel'], { cwd, config, exits: [0, 128] })
      if (top.exit !== 0) throw notRepository(cwd, top)
      path = top.stdout.toString('utf8').replace(/\n$/, '')
    }
    return new UserRepository(
      path,
      gitDir,
      bare === 'true',
      shallow === 'true',
      format as ObjectFormat,
      config,
    )
  }

  /** How to call git in it. */
  call(extra: GitCall = {}): GitCall {
    return { cwd: this.path, ...extra, config: [...this.#config, ...(extra.config ?? [])] }
  }

  run(args: readonly string[], extra: GitCall = {}): Promise<GitAnswer> {
    return runGit(args, this.call(extra))
  }

  /** The commit that a name means; `undefined` when it means none. */
  async resolve(name: string): Promise<Oid | undefined> {
    const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`]
    const answer = await this.run(args, { exits: [0, 1, 128] })
    return answer.exit === 0 ? answer.stdout.toString('latin1').trim() : undefined
  }

  /** Short name of the checked-out branch; `undefined` when HEAD is detached. */
  async branch(): Promise<string | undefined> {
    const answer = await this.run(['symbolic-ref', '--quiet', 'HEAD'], { exits: [0, 1] })
    const ref = answer.stdout.toString('utf8').trim()
    return ref.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : undefined
  }

  /** Whether nothing is missing behind these commits. That a commit is there proves little: a transfer may have been cut off. */
  async isComplete(oids: readonly Oid[]): Promise<boolean> {
    const input = `${oids.join('\n')}\n`
    const args = ['rev-list', '--objects', '--quiet', '--stdin', '--not', '--all']
    if ((await this.having(oids)).length < oids.length) return false
    return (await this.run(args, { input, exits: [0, 128] })).exit === 0
  }

  /** Which of these commits it has. */
  async having(oids: readonly Oid[]): Promise<Oid[]> {
    if (oids.length === 0) return []
    const answer = await this.run(['cat-file', '--batch-check=%(objectname) %(objecttype)'], {
      input: `${oids.join('\n')}\n`,
    })
    const lines = answer.stdout.toString('latin1').split('\n')
    return lines.filter((line) => line.endsWith(' commit')).map((line) => line.slice(0, line.indexOf(' ')))
  }
}

function notRepository(cwd: string, answer: GitAnswer): OrchError {
  const words = answer.stderr.trim().split('\n')[0] ?? ''
  if (answer.stderr.includes('dubious ownership')) {
    return new OrchError('ORCH_GIT_NOT_REPO', `${cwd} belongs to another user`, {
      context: { path: cwd },
      hint: `if you trust it: git config --global --add safe.directory ${cwd}`,
    })
  }
  return new OrchError('ORCH_GIT_NOT_REPO', `${cwd} is not inside a git repository`, {
    context: { path: cwd, words },
  })
}

/** Whether the person told git to trust a repository of another user. Our own calls see no global configuration, so it is asked here. */
async function isTrusted(cwd: string): Promise<boolean> {
  const args = ['config', '--global', '--get-all', 'safe.directory']
  // Exit 1: there is no such entry.
  const answer = await promisify(execFile)('git', args, { timeout: 10_000 }).catch(() => ({ stdout: '' }))
  const entries = answer.stdout.split('\n')
  return entries.some(
    (entry) => entry === '*' || (entry !== '' && (cwd === entry || cwd.startsWith(`${entry}/`))),
  )
}
