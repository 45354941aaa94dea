// Goal: a worker owns its clone and may have planted anything in it; none of our operations runs it, follows it or believes it (threat model X6).
// Method: each trap would touch a marker file or lead into the person's repository; after all operations there is no marker and no change.
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runGate } from '../../src/git/gate.ts'
import { fold } from '../../src/git/integrate.ts'
import { collectWork, createWorkspace, removeWorkspace } from '../../src/git/workspace.ts'
import {
  AT,
  attempt,
  bareOf,
  commitAll,
  delta,
  filesOf,
  fingerprint,
  git,
  mergeRequest,
  type Place,
  place,
  script,
  userRepository,
  work,
  write,
} from './fixture.ts'

interface Trap {
  readonly at: Place
  readonly dir: string
  readonly git: string
  readonly evil: string
}

const HOOKS = [
  'applypatch-msg',
  'pre-applypatch',
  'post-applypatch',
  'pre-commit',
  'pre-merge-commit',
  'prepare-commit-msg',
  'commit-msg',
  'post-commit',
  'pre-rebase',
  'post-checkout',
  'post-merge',
  'pre-push',
  'pre-receive',
  'update',
  'proc-receive',
  'post-receive',
  'post-update',
  'reference-transaction',
  'push-to-checkout',
  'pre-auto-gc',
  'post-rewrite',
  'sendemail-validate',
  'fsmonitor-watchman',
  'post-index-change',
]

const config = ({ git: dir }: Trap, text: string): void => appendFileSync(join(dir, 'config'), `\n${text}\n`)

const TRAPS: Record<string, (trap: Trap) => void> = {
  hooks: ({ git: dir, evil }) => {
    for (const hook of HOOKS) script(join(dir, 'hooks', hook), evil)
  },
  'hooks path': (trap) => {
    for (const hook of HOOKS) script(join(trap.dir, 'h', hook), trap.evil)
    config(trap, `[core]\n\thooksPath = ${join(trap.dir, 'h')}`)
  },
  'file system monitor': (trap) => config(trap, `[core]\n\tfsmonitor = ${trap.evil}`),
  'filter drivers': (trap) => {
    config(
      trap,
      `[filter "evil"]\n\tclean = ${trap.evil}\n\tsmudge = ${trap.evil}\n\tprocess = ${trap.evil}\n\trequired = true`,
    )
    write(trap.dir, { '.gitattributes': '* filter=evil\n' })
    write(trap.git, { 'info/attributes': '* filter=evil\n' })
  },
  'diff drivers': (trap) => {
    config(
      trap,
      `[diff]\n\texternal = ${trap.evil}\n[diff "evil"]\n\tcommand = ${trap.evil}\n\ttextconv = ${trap.evil}`,
    )
    write(trap.dir, { '.gitattributes': '* diff=evil\n' })
  },
  'merge drivers': (trap) => {
    config(trap, `[merge "evil"]\n\tdriver = ${trap.evil}\n\tname = evil`)
    write(trap.dir, { '.gitattributes': '* merge=evil\n' })
  },
  commands: (trap) => {
    const names = [
      'core.sshCommand',
      'core.gitProxy',
      'core.pager',
      'core.editor',
      'sequence.editor',
      'core.askPass',
      'credential.helper',
    ]
    names.push(
      'gpg.program',
      'core.alternateRefsCommand',
      'uploadpack.packObjectsHook',
      'trailer.x.command',
      'pager.log',
      'interactive.diffFilter',
    )
    for (const name of names) git(trap.dir, 'config', name, trap.evil)
    config(trap, '[commit]\n\tgpgSign = true')
  },
  aliases: (trap) => {
    for (const name of ['add', 'cat-file', 'write-tree', 'rev-list', 'pack-objects', 'x'])
      config(trap, `[alias]\n\t${name} = !${trap.evil}`)
  },
  'included configuration': (trap) => {
    write(trap.dir, { 'inc/evil.cfg': `[core]\n\tfsmonitor = ${trap.evil}\n\tpager = ${trap.evil}\n` })
    config(trap, `[include]\n\tpath = ${join(trap.dir, 'inc/evil.cfg')}`)
    write(trap.git, { 'config.worktree': `[core]\n\tfsmonitor = ${trap.evil}\n` })
    config(trap, '[extensions]\n\tworktreeConfig = true')
  },
  'work tree elsewhere': (trap) => config(trap, `[core]\n\tworktree = ${trap.at.user}`),
  'git directory redirected': (trap) => {
    rmSync(trap.git, { recursive: true })
    writeFileSync(trap.git, `gitdir: ${join(trap.at.user, '.git')}\n`)
  },
  'git directory is a link': (trap) => {
    rmSync(trap.git, { recursive: true })
    symlinkSync(join(trap.at.user, '.git'), trap.git)
  },
  'common directory elsewhere': (trap) =>
    writeFileSync(join(trap.git, 'commondir'), `${join(trap.at.user, '.git')}\n`),
  'alternates elsewhere': (trap) => {
    userRepository(join(trap.at.dir, 'secret'), { secret: 'x' })
    appendFileSync(join(trap.git, 'objects/info/alternates'), `${join(trap.at.dir, 'secret/.git/objects')}\n`)
    git(trap.dir, 'update-ref', '--no-deref', 'HEAD', git(join(trap.at.dir, 'secret'), 'rev-parse', 'HEAD'))
  },
  'objects directory is a link': (trap) => {
    rmSync(join(trap.git, 'objects'), { recursive: true })
    symlinkSync(join(trap.at.user, '.git/objects'), join(trap.git, 'objects'))
  },
  'replaced objects': (trap) => {
    userRepository(join(trap.at.dir, 'secret'), { secret: 'x' })
    git(trap.dir, 'fetch', '-q', join(trap.at.dir, 'secret'))
    git(trap.dir, 'replace', '-f', trap.at.base, 'FETCH_HEAD')
    write(trap.git, { 'info/grafts': `${trap.at.base}\n`, shallow: `${trap.at.base}\n` })
  },
  'no git directory': (trap) => rmSync(trap.git, { recursive: true }),
  'empty git directory': (trap) => {
    rmSync(trap.git, { recursive: true })
    mkdirSync(trap.git)
  },
  'broken index': (trap) => writeFileSync(join(trap.git, 'index'), 'DIRCgarbage'),
  'locks everywhere': (trap) => {
    for (const name of ['index.lock', 'HEAD.lock', 'config.lock', 'refs/heads/orch.lock'])
      writeFileSync(join(trap.git, name), '')
  },
  'branches moved and removed': (trap) => {
    git(trap.dir, 'checkout', '-q', '--orphan', 'elsewhere')
    git(trap.dir, 'branch', '-D', 'orch')
    commitAll(trap.dir, 'a new root')
  },
  'HEAD leads out': (trap) =>
    writeFileSync(join(trap.git, 'HEAD'), 'ref: refs/heads/../../../../user/.git/refs/heads/main\n'),
  'HEAD is an option': (trap) => writeFileSync(join(trap.git, 'HEAD'), '--upload-pack=touch\n'),
  'HEAD is a pipe': (trap) => {
    rmSync(join(trap.git, 'HEAD'))
    execFileSync('mkfifo', [join(trap.git, 'HEAD')])
  },
  'a missing commit': (trap) => writeFileSync(join(trap.git, 'refs/heads/orch'), `${'1'.repeat(40)}\n`),
  'corrupt objects': (trap) => {
    const tip = commitAll(trap.dir, 'mine')
    const path = join(trap.git, 'objects', tip.slice(0, 2), tip.slice(2))
    rmSync(path)
    copyFileSync(join(trap.git, 'HEAD'), path)
  },
  'repository inside with a monitor': (trap) => {
    const inner = join(trap.dir, 'inner')
    mkdirSync(inner)
    git(inner, 'init', '-q')
    write(inner, { '.gitattributes': '* filter=evil\n', file: 'x' })
    git(inner, 'add', '-A')
    git(inner, 'commit', '-q', '-m', 'inner')
    for (const hook of HOOKS) script(join(inner, '.git/hooks', hook), trap.evil)
    const text = `\n[core]\n\tfsmonitor = ${trap.evil}\n[filter "evil"]\n\tclean = ${trap.evil}\n`
    appendFileSync(join(inner, '.git/config'), text)
    write(inner, { file: 'y' })
  },
  'repository inside that leads nowhere': (trap) =>
    write(trap.dir, { 'sub/.git': 'gitdir: /nonexistent/repository\n', 'sub/file': 'x' }),
  "repository inside that is the person's": (trap) =>
    write(trap.dir, { 'sub/.git': `gitdir: ${join(trap.at.user, '.git')}\n`, 'sub/file': 'x' }),
  'ignore list of the clone': (trap) => write(trap.git, { 'info/exclude': '*\n' }),
  'attributes that are a link': (trap) => {
    symlinkSync('/dev/zero', join(trap.dir, '.gitattributes'))
    symlinkSync('/dev/zero', join(trap.dir, 'src/.gitignore'))
  },
}

describe('traps', () => {
  it.each(Object.keys(TRAPS))('[GT9] %s: nothing runs, nothing leaves, the work is kept', async (name) => {
    const at = await place()
    // Not the files of any operation of ours: the person's repository, unrelated.
    const dir = join(at.dir, 'ws')
    const marker = join(at.dir, 'fired')
    await createWorkspace(at.bare, { dir, base: at.base, authorName: 'claude' })
    const evil = join(at.dir, 'evil.sh')
    script(evil, `touch ${marker}; cat`)
    write(dir, { 'src/b.txt': 'honest work\n' })
    const before = fingerprint(at.user)
    TRAPS[name]!({ at, dir, git: join(dir, '.git'), evil })
    rmSync(marker, { force: true })

    const done = await collectWork(at.bare, {
      dir,
      attempt: attempt('t'),
      base: at.base,
      title: 'work',
      authorName: 'claude',
      at: AT,
      mayWrite: () => true,
    })
    expect(filesOf(at.bare, done.head)['src/b.txt']).toBe('honest work')
    expect(await at.bare.readRef(done.ref)).toBe(done.head)
    expect(git(at.bare.dir, 'log', '--format=%P', '-1', done.head)).toBe(at.base)

    // The same content as a delta: a clean merge, a conflict, a gate.
    const other = await work(at.bare, at.base, { 'src/a.txt': 'other\n' })
    const clash = await work(at.bare, at.base, { 'src/b.txt': 'clash\n' })
    const merged = await fold(
      at.bare,
      mergeRequest(at.base, [delta('o', at.base, other), delta('t', at.base, done.head)]),
    )
    expect(merged.conflict).toBeUndefined()
    const refused = await fold(
      at.bare,
      mergeRequest(at.base, [delta('c', at.base, clash), delta('t', at.base, done.head)]),
    )
    expect(refused.conflict?.paths).toContain('src/b.txt')
    const gate = await runGate(at.bare, {
      dir: join(at.dir, 'gate'),
      commit: merged.chain.at(-1)!.commit,
      command: 'cat src/b.txt; git status --porcelain 2>/dev/null',
      env: { PATH: process.env.PATH ?? '', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
    })
    expect(gate).toMatchObject({ ok: true, output: 'honest work\n' })
    await removeWorkspace(at.bare, dir, done.ref)

    expect(existsSync(marker)).toBe(false)
    expect(existsSync(dir)).toBe(false)
    expect(fingerprint(at.user)).toEqual(before)
    expect(git(at.bare.dir, 'rev-list', '--all', '--objects').includes('secret')).toBe(false)
    expect(git(at.bare.dir, 'fsck', '--strict')).not.toMatch(/missing|error/)
  })

  it('[GT9] the traps do fire when git is started inside the clone', async () => {
    const at = await place()
    const dir = join(at.dir, 'ws')
    const marker = join(at.dir, 'fired')
    await createWorkspace(at.bare, { dir, base: at.base, authorName: 'claude' })
    const evil = join(at.dir, 'evil.sh')
    script(evil, `touch ${marker}; cat`)
    for (const name of ['hooks', 'file system monitor', 'filter drivers']) {
      rmSync(marker, { force: true })
      TRAPS[name]!({ at, dir, git: join(dir, '.git'), evil })
      write(dir, { 'src/b.txt': `${name}\n` })
      try {
        commitAll(dir, 'x')
      } catch {}
      expect(existsSync(marker), name).toBe(true)
    }
  })

  it('[GT2] [GT9] drivers in the environment and configuration of the person do not take part', async () => {
    const at = await place()
    const marker = join(at.dir, 'fired')
    const evil = join(at.dir, 'evil.sh')
    script(evil, `touch ${marker}; cat`)
    const global = join(at.dir, 'global.cfg')
    writeFileSync(
      global,
      `[filter "evil"]\n\tclean = ${evil}\n\tsmudge = ${evil}\n[merge "evil"]\n\tdriver = ${evil}\n[core]\n\tfsmonitor = ${evil}\n`,
    )
    const planted: Record<string, string> = {
      GIT_CONFIG_GLOBAL: global,
      GIT_DIR: join(at.user, '.git'),
      GIT_INDEX_FILE: join(at.user, '.git/index'),
      GIT_WORK_TREE: at.user,
      GIT_EXTERNAL_DIFF: evil,
      GIT_SSH_COMMAND: evil,
      GIT_PAGER: evil,
      GIT_TRACE: join(at.dir, 'trace'),
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'core.fsmonitor',
      GIT_CONFIG_VALUE_0: evil,
      GIT_OBJECT_DIRECTORY: join(at.user, '.git/objects'),
    }
    const before = fingerprint(at.user)
    const saved = { ...process.env }
    Object.assign(process.env, planted)
    try {
      const bare = await bareOf(join(at.dir, 'other-data'), at.facts)
      const dir = join(at.dir, 'ws')
      await createWorkspace(bare, { dir, base: at.base, authorName: 'claude' })
      write(dir, { '.gitattributes': '* filter=evil merge=evil\n', 'src/b.txt': 'mine\n' })
      const done = await collectWork(bare, {
        dir,
        attempt: attempt('t'),
        base: at.base,
        title: 'w',
        authorName: 'c',
        at: AT,
      })
      expect(done.files).toBe(2)
      const clash = await work(bare, at.base, { 'src/b.txt': 'clash\n', '.gitattributes': '* merge=evil\n' })
      const merged = await fold(
        bare,
        mergeRequest(at.base, [delta('c', at.base, clash), delta('t', at.base, done.head)]),
      )
      expect(merged.conflict?.paths).toEqual(['.gitattributes', 'src/b.txt'])
    } finally {
      for (const name of Object.keys(planted)) delete process.env[name]
      Object.assign(process.env, saved)
    }
    expect(existsSync(marker)).toBe(false)
    expect(existsSync(join(at.dir, 'trace'))).toBe(false)
    expect(fingerprint(at.user)).toEqual(before)
  })

  it('[GT9] a work tree swapped for a link is refused, what it leads to is not read', async () => {
    const at = await place()
    const dir = join(at.dir, 'ws')
    await createWorkspace(at.bare, { dir, base: at.base, authorName: 'claude' })
    write(join(at.dir, 'private'), { key: 'x' })
    renameSync(join(dir, 'src'), join(dir, 'old'))
    symlinkSync(join(at.dir, 'private'), join(dir, 'src'))
    const done = await collectWork(at.bare, {
      dir,
      attempt: attempt('t'),
      base: at.base,
      title: 'w',
      authorName: 'c',
      at: AT,
    })
    expect(Object.keys(filesOf(at.bare, done.head))).not.toContain('src/key')
    expect(done.problems).toEqual([{ path: 'src', why: 'link to an absolute path' }])
  })
})
