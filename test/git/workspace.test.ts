// Goal: whatever an honest worker leaves in its workspace becomes one commit under a ref, byte for byte, and nothing goes away unproven.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { UserRepository } from '../../src/git/user-repository.ts'
import {
  type CollectRequest,
  collectWork,
  createWorkspace,
  removeWorkspace,
} from '../../src/git/workspace.ts'
import {
  AT,
  attempt,
  BASE_FILES,
  commitAll,
  filesOf,
  fingerprint,
  git,
  type Place,
  place,
  read,
  write,
} from './fixture.ts'

async function workspace(at: Place, name = 'ws'): Promise<string> {
  const dir = join(at.dir, name)
  await createWorkspace(at.bare, { dir, base: at.base, authorName: 'Claude "the" <agent>' })
  return dir
}

function request(at: Place, dir: string, more: Partial<CollectRequest> = {}): CollectRequest {
  return { dir, attempt: attempt('t'), base: at.base, title: 'Do it', authorName: 'claude', at: AT, ...more }
}

const changed = (at: Place, head: string): string[] =>
  git(at.bare.dir, '-c', 'core.quotePath=false', 'diff', '--no-renames', '--name-status', at.base, head)
    .split('\n')
    .filter(Boolean)

describe('create', () => {
  it('[GT7] is an own clone with the base checked out, in which git works as usual', async () => {
    const at = await place()
    const before = fingerprint(at.user)
    const { createdMs } = await createWorkspace(at.bare, {
      dir: join(at.dir, 'ws'),
      base: at.base,
      authorName: 'A "b"',
    })
    const dir = join(at.dir, 'ws')
    expect(createdMs).toBeGreaterThan(0)
    expect(read(dir, 'src/b.txt')).toBe('b\n')
    expect(git(dir, 'status', '--porcelain')).toBe('')
    expect(git(dir, 'branch', '--show-current')).toBe('orch')
    expect(git(dir, 'rev-parse', 'HEAD')).toBe(at.base)
    expect(git(dir, 'config', 'user.name')).toBe('A "b')
    expect(git(dir, 'remote')).toBe('')
    expect(readdirSync(join(dir, '.git'))).not.toContain('hooks')
    write(dir, { 'src/b.txt': 'changed\n' })
    git(dir, 'stash')
    git(dir, 'stash', 'pop')
    commitAll(dir, 'mine')
    expect(git(dir, 'log', '--format=%s')).toBe('mine\nfirst')
    expect(git(dir, 'fsck')).not.toMatch(/missing|error/)
    expect(fingerprint(at.user)).toEqual(before)
  })

  it('[GT7] does not touch a directory that holds something', async () => {
    const at = await place()
    const dir = join(at.dir, 'ws')
    write(dir, { precious: 'x' })
    await expect(createWorkspace(at.bare, { dir, base: at.base, authorName: 'a' })).rejects.toMatchObject({
      code: 'ORCH_WRONG_STATE',
    })
    expect(read(dir, 'precious')).toBe('x')
    rmSync(join(dir, 'precious'))
    await createWorkspace(at.bare, { dir, base: at.base, authorName: 'a' })
    expect(read(dir, 'README.md')).toBe('hello\n')
  })

  it('[GT7] leftovers of a creation that was cut off do not disturb the next', async () => {
    const at = await place()
    write(join(at.dir, 'ws.new'), { 'half/made': 'x', '.git/index.lock': '' })
    const dir = await workspace(at)
    expect(git(dir, 'status', '--porcelain')).toBe('')
    expect(existsSync(join(at.dir, 'ws.new'))).toBe(false)
  })
})

describe('collect', () => {
  it('[GT8] nothing changed is the base itself, and has a ref all the same', async () => {
    const at = await place()
    const dir = await workspace(at)
    const done = await collectWork(at.bare, request(at, dir))
    expect(done).toMatchObject({
      head: at.base,
      empty: true,
      files: 0,
      paths: [],
      outside: [],
      problems: [],
      nested: [],
    })
    expect(done.ref).toBe('refs/orch/runs/demo-1a2b/t/1.1-00ABCDEF')
    expect(await at.bare.readRef(done.ref)).toBe(at.base)
  })

  it('[GT8] takes committed, staged, unstaged and untracked work alike, ignored files not', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { 'committed.txt': '1' })
    commitAll(dir, 'mine')
    write(dir, { 'staged.txt': '2' })
    git(dir, 'add', 'staged.txt')
    write(dir, {
      'untracked/deep.txt': '3',
      'src/b.txt': 'edited\n',
      'docs/guide.md': null,
      'ignored/x': 'no',
      'y.log': 'no',
    })
    mkdirSync(join(dir, 'empty/dir'), { recursive: true })
    const done = await collectWork(at.bare, request(at, dir))
    expect(changed(at, done.head)).toEqual([
      'A\tcommitted.txt',
      'D\tdocs/guide.md',
      'M\tsrc/b.txt',
      'A\tstaged.txt',
      'A\tuntracked/deep.txt',
    ])
    expect(done.files).toBe(5)
    expect(done.paths).toEqual([
      'committed.txt',
      'docs/guide.md',
      'src/b.txt',
      'staged.txt',
      'untracked/deep.txt',
    ])
    expect(git(at.bare.dir, 'log', '-1', '--format=%P|%an|%ae|%cn|%ce|%s|%aI', done.head)).toBe(
      `${at.base}|claude|claude@orch-node.invalid|orch-node|orch-node@localhost|Do it|2030-01-02T03:04:05+00:00`,
    )
    expect(git(at.bare.dir, 'fsck', '--strict')).not.toMatch(/missing|error/)
  })

  it("[GT8] the worker's own commits are kept under a raw ref", async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { a: '1' })
    commitAll(dir, 'step one')
    write(dir, { a: '2' })
    const last = commitAll(dir, 'step two')
    const done = await collectWork(at.bare, request(at, dir))
    expect(done.raw).toBe(last)
    rmSync(dir, { recursive: true })
    expect(git(at.bare.dir, 'log', '--format=%s', 'refs/orch/raw/demo-1a2b/t/1.1-00ABCDEF')).toBe(
      'step two\nstep one\nfirst',
    )
    expect(git(at.bare.dir, 'fsck', '--strict')).not.toMatch(/missing|error/)
  })

  it('[GT8] modes, links, binary content, line ends and odd names survive', async () => {
    const at = await place()
    const dir = await workspace(at)
    const binary = Buffer.from(Array.from({ length: 70_000 }, (_, n) => (n * 7) % 256))
    write(dir, {
      'bin.dat': binary,
      'crlf.txt': 'a\r\nb\r\n',
      'naïve/日本 語.txt': 'x',
      'tab\there': 'x',
      '"quoted"': 'x',
      'run.sh': '#!/bin/sh\n',
    })
    chmodSync(join(dir, 'run.sh'), 0o755)
    chmodSync(join(dir, 'src/b.txt'), 0o755)
    symlinkSync('src/a.txt', join(dir, 'link'))
    symlinkSync('../../../outside', join(dir, 'dangling'))
    renameSync(join(dir, 'docs/guide.md'), join(dir, 'docs/manual.md'))
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'raw name')
    const done = await collectWork(at.bare, request(at, dir))
    const tree = git(at.bare.dir, 'ls-tree', '-r', '-z', done.head)
    for (const entry of ['100755 blob', '120000 blob']) expect(tree).toContain(entry)
    expect(git(at.bare.dir, 'rev-parse', `${done.head}:bin.dat`)).toBe(
      git(dir, 'hash-object', '--no-filters', 'bin.dat'),
    )
    expect(git(at.bare.dir, 'cat-file', 'blob', `${done.head}:link`)).toBe('src/a.txt')
    expect(git(at.bare.dir, 'cat-file', '-s', `${done.head}:crlf.txt`)).toBe('6')
    expect(git(at.bare.dir, 'cat-file', 'blob', `${done.head}:naïve/日本 語.txt`)).toBe('x')
    expect(done.paths).toContain('naïve/日本 語.txt')
    expect(done.paths).toContain('docs/manual.md')
    expect(done.paths).toContain('f\uFFFD\uFFFD')
    // Kept, and refused for others: a link out of the tree, a control character.
    expect(done.problems.map(({ path, why }) => `${path}: ${why}`).sort()).toEqual([
      'dangling: link leads out of the tree',
      'tab\there: control character in the name',
    ])
  })

  it('[GT8] sees a change of the same size in the same instant', async () => {
    const at = await place(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`f${n}`, 'aaaa'])))
    const dir = await workspace(at)
    for (let n = 0; n < 50; n += 1) writeFileSync(join(dir, `f${n}`), 'bbbb')
    expect((await collectWork(at.bare, request(at, dir))).files).toBe(50)
  })

  it('[GT8] line-end rules of the repository hold, also when the worker uses git itself', async () => {
    const at = await place({
      '.gitattributes': '*.bat text eol=crlf\n',
      'run.bat': 'one\ntwo\n',
      'b.txt': 'b\n',
    })
    const dir = await workspace(at)
    expect(read(dir, 'run.bat')).toBe('one\r\ntwo\r\n')
    rmSync(join(dir, 'run.bat'))
    git(dir, 'checkout', 'run.bat')
    expect((await collectWork(at.bare, request(at, dir))).empty).toBe(true)
    write(dir, { 'run.bat': 'one\r\nthree\r\n' })
    const done = await collectWork(at.bare, request(at, dir))
    expect(filesOf(at.bare, done.head)['run.bat']).toBe('one\nthree')
  })

  it('[GT8] a tracked file that is also ignored is not lost with our index', async () => {
    const at = await place()
    write(at.user, { 'ignored/kept': 'tracked\n' })
    git(at.user, 'add', '-f', 'ignored/kept')
    git(at.user, 'commit', '-q', '-m', 'tracked and ignored')
    const base = git(at.user, 'rev-parse', 'HEAD')
    await at.bare.importFrom(await UserRepository.open(at.user), base)
    const dir = join(at.dir, 'ws')
    await createWorkspace(at.bare, { dir, base, authorName: 'a' })
    for (const name of readdirSync(join(at.bare.dir, 'orch/index')))
      rmSync(join(at.bare.dir, 'orch/index', name))
    expect((await collectWork(at.bare, request(at, dir, { base }))).empty).toBe(true)
    write(dir, { 'ignored/kept': 'edited\n' })
    expect((await collectWork(at.bare, request(at, dir, { base }))).paths).toEqual(['ignored/kept'])
  })

  it('[GT8] a file may become a directory and back', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { 'README.md': null, 'README.md/inner': 'x', src: null })
    write(dir, { src: 'now a file' })
    const done = await collectWork(at.bare, request(at, dir))
    expect(filesOf(at.bare, done.head)).toMatchObject({ 'README.md/inner': 'x', src: 'now a file' })
  })

  it('[GT10] outside the scope: told, and still in the commit', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { 'src/b.txt': 'in', 'README.md': 'out', 'docs/guide.md': null })
    const done = await collectWork(at.bare, request(at, dir, { mayWrite: (path) => path.startsWith('src/') }))
    expect(done.outside).toEqual(['README.md', 'docs/guide.md'])
    expect(done.outsideCount).toBe(2)
    expect(done.files).toBe(3)
    expect(done.untrimmed).toBeUndefined()
  })

  it('[GT10] trimmed: left out of the commit, kept under another ref', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, {
      'src/b.txt': 'in',
      'README.md': 'out',
      'docs/guide.md': null,
      'new/out': 'x',
      'src/new/in': 'x',
    })
    const done = await collectWork(
      at.bare,
      request(at, dir, { mayWrite: (path) => path.startsWith('src/'), onOutside: 'trim' }),
    )
    expect(changed(at, done.head)).toEqual(['M\tsrc/b.txt', 'A\tsrc/new/in'])
    expect(done).toMatchObject({ files: 2, outsideCount: 3, paths: ['src/b.txt', 'src/new/in'] })
    const all = await at.bare.readRef('refs/orch/untrimmed/demo-1a2b/t/1.1-00ABCDEF')
    expect(all).toBe(done.untrimmed)
    expect(changed(at, all!)).toHaveLength(5)
  })

  it('[GT10] trimmed to nothing is empty', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { 'README.md': 'out' })
    const done = await collectWork(at.bare, request(at, dir, { mayWrite: () => false, onOutside: 'trim' }))
    expect(done).toMatchObject({ head: at.base, empty: true, files: 0 })
    expect(done.untrimmed).toBeDefined()
  })

  it('[GT11] collecting again moves the ref, and keeps what it held', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { a: '1' })
    const first = await collectWork(at.bare, request(at, dir))
    write(dir, { a: '2', b: '3' })
    const second = await collectWork(at.bare, request(at, dir))
    expect(await at.bare.readRef(second.ref)).toBe(second.head)
    expect(await at.bare.readRef(`refs/orch/replaced/${first.head}`)).toBe(first.head)
    expect((await collectWork(at.bare, request(at, dir))).head).toBe(second.head)
  })

  it('[GT13] repositories inside are taken as plain files, their ignore rules and ours kept', async () => {
    const at = await place()
    const dir = await workspace(at)
    for (const name of ['app', 'app/inner', 'unborn']) {
      mkdirSync(join(dir, name), { recursive: true })
      git(join(dir, name), 'init', '-q')
    }
    write(dir, {
      'app/main.ts': 'x',
      'app/.gitignore': 'dist\n',
      'app/dist/out': 'no',
      'app/debug.log': 'no',
      'app/inner/deep.txt': 'y',
      'unborn/file': 'z',
    })
    commitAll(join(dir, 'app/inner'), 'inner')
    commitAll(join(dir, 'app'), 'scaffold')
    const done = await collectWork(at.bare, request(at, dir))
    expect(done.nested.toSorted()).toEqual(['app', 'app/inner', 'unborn'])
    expect(done.paths).toEqual(['app/.gitignore', 'app/inner/deep.txt', 'app/main.ts', 'unborn/file'])
    expect(done.problems).toEqual([])
    const again = await collectWork(at.bare, request(at, dir))
    expect(again.head).toBe(done.head)
  })

  it('[GT8] pipes are not work, and nobody waits for one', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { good: 'x' })
    execFileSync('mkfifo', [join(dir, 'pipe')])
    const done = await collectWork(at.bare, request(at, dir))
    expect(done.paths).toEqual(['good'])
  })

  it('[GT8] a workspace that is gone is a fault, not a deletion of everything', async () => {
    const at = await place()
    const dir = await workspace(at)
    rmSync(dir, { recursive: true })
    await expect(collectWork(at.bare, request(at, dir))).rejects.toMatchObject({ code: 'ORCH_GIT_FAILED' })
    symlinkSync(at.user, dir)
    await expect(collectWork(at.bare, request(at, dir))).rejects.toMatchObject({ code: 'ORCH_GIT_FAILED' })
  })

  it('[GT8] the same work gives the same commit in another place', async () => {
    const ids = []
    for (const name of ['one', 'two']) {
      const at = await place()
      const dir = await workspace(at, name)
      write(dir, { 'src/new.txt': 'x' })
      ids.push((await collectWork(at.bare, request(at, dir))).head)
    }
    expect(ids[0]).toBe(ids[1])
  })

  it('[GT8] works with SHA-256 ids', async () => {
    const at = await place(BASE_FILES, '--object-format=sha256')
    const dir = await workspace(at)
    write(dir, { 'src/new.txt': 'x' })
    const last = commitAll(dir, 'mine')
    const done = await collectWork(at.bare, request(at, dir, { mayWrite: () => true }))
    expect(done.head).toHaveLength(64)
    expect(done.raw).toBe(last)
    expect(changed(at, done.head)).toEqual(['A\tsrc/new.txt'])
  })
})

describe('remove', () => {
  it('[GT12] only what is under a ref goes away', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { a: '1', 'ignored/cache': 'x' })
    const ref = 'refs/orch/runs/demo-1a2b/t/1.1-00ABCDEF'
    await expect(removeWorkspace(at.bare, dir, ref)).rejects.toMatchObject({ code: 'ORCH_WRONG_STATE' })
    const done = await collectWork(at.bare, request(at, dir))
    write(dir, { late: 'a daemon wrote this' })
    await expect(removeWorkspace(at.bare, dir, ref)).rejects.toMatchObject({ code: 'ORCH_WRONG_STATE' })
    expect(read(dir, 'late')).toBe('a daemon wrote this')
    rmSync(join(dir, 'late'))
    mkdirSync(join(dir, 'ignored/readonly'))
    chmodSync(join(dir, 'ignored/readonly'), 0o500)
    await removeWorkspace(at.bare, dir, ref)
    expect(existsSync(dir)).toBe(false)
    expect(readdirSync(at.dir).sort()).toEqual(['data', 'user'])
    expect(readdirSync(join(at.bare.dir, 'orch', 'index'))).toEqual([])
    expect(filesOf(at.bare, done.head).a).toBe('1')
    await removeWorkspace(at.bare, dir, ref)
  })

  it('[GT12] trimmed work is proven by its untrimmed ref', async () => {
    const at = await place()
    const dir = await workspace(at)
    write(dir, { 'README.md': 'out', 'src/b.txt': 'in' })
    const done = await collectWork(
      at.bare,
      request(at, dir, { mayWrite: (path) => path.startsWith('src/'), onOutside: 'trim' }),
    )
    await removeWorkspace(at.bare, dir, done.ref)
    expect(existsSync(dir)).toBe(false)
  })

  it('[GT12] a link in the place of the workspace is removed, not followed', async () => {
    const at = await place()
    const dir = await workspace(at)
    const done = await collectWork(at.bare, request(at, dir))
    rmSync(dir, { recursive: true })
    symlinkSync(at.user, dir)
    await removeWorkspace(at.bare, dir, done.ref)
    expect(lstatSync(at.user).isDirectory()).toBe(true)
    expect(readFileSync(join(at.user, 'README.md'), 'utf8')).toBe('hello\n')
    expect(readdirSync(at.dir).sort()).toEqual(['data', 'user'])
  })
})
