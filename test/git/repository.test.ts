// Goal: every reason not to start from a repository is found by looking only, and told by its code. Real repositories, one per reason.
import { chmodSync, chownSync, readdirSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { BareRepository } from '../../src/git/bare.ts'
import { ObjectStore } from '../../src/git/object-store.ts'
import { inspectRepository } from '../../src/git/repository.ts'
import { UserRepository } from '../../src/git/user-repository.ts'
import { gitVersion, isGitTooOld, readGitVersion } from '../../src/git/version.ts'
import {
  BASE_FILES,
  bareOf,
  commitAll,
  fingerprint,
  git,
  gitInput,
  place,
  script,
  tempDir,
  userRepository,
  write,
} from './fixture.ts'

async function code(job: Promise<unknown>): Promise<string | undefined> {
  return job.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  )
}

describe('version', () => {
  it('[GT1] reads what git and its vendors print', () => {
    expect(readGitVersion('git version 2.39.5')).toMatchObject({ major: 2, minor: 39, patch: 5 })
    expect(readGitVersion('git version 2.45.2.windows.1')).toMatchObject({ minor: 45, patch: 2 })
    expect(readGitVersion('git version 2.39.5 (Apple Git-154)')).toMatchObject({ minor: 39, text: '2.39.5' })
    expect(readGitVersion('hub version 2.14')).toBeUndefined()
  })

  it('[GT1] needs 2.38', () => {
    const old = (line: string): boolean => isGitTooOld(readGitVersion(line)!)
    expect(['git version 2.37.9', 'git version 1.9.1'].map(old)).toEqual([true, true])
    expect(['git version 2.38.0', 'git version 3.0.0'].map(old)).toEqual([false, false])
  })

  it('[GT1] tells ORCH_GIT_MISSING and ORCH_GIT_OLD by what is on PATH', async () => {
    const dir = tempDir()
    const path = process.env.PATH
    onTestFinished(() => {
      process.env.PATH = path
    })
    process.env.PATH = dir
    expect(await code(gitVersion())).toBe('ORCH_GIT_MISSING')
    script(join(dir, 'git'), 'echo git version 2.30.2')
    expect(await code(gitVersion())).toBe('ORCH_GIT_OLD')
    process.env.PATH = path
    expect((await gitVersion()).major).toBeGreaterThanOrEqual(2)
  })
})

describe('inspect', () => {
  it('[GT3] [GT4] tells branch, base and dirty files from a subdirectory, and writes nothing', async () => {
    const dir = tempDir()
    const base = userRepository(dir)
    // Same size, other content: only a look into the file can tell, which is where git likes to refresh its index.
    write(dir, { 'README.md': 'HELLO\n', 'new file.txt': 'x', 'ignored/x': 'x' })
    const before = fingerprint(dir)
    const facts = await inspectRepository(join(dir, 'src'))
    expect(facts).toMatchObject({
      path: dir,
      base,
      head: base,
      branch: 'main',
      isBare: false,
      format: 'sha1',
      dirtyCount: 2,
    })
    expect(facts.dirty).toEqual(['README.md', 'new file.txt'])
    expect(facts.id).toMatch(/^[0-9a-f]{32}$/)
    expect(fingerprint(dir)).toEqual(before)
  })

  it('[GT5] every clone of one repository has one identity, another repository has another', async () => {
    const { dir, user, facts } = await place()
    git(dir, 'clone', '-q', user, 'clone')
    write(join(dir, 'clone'), { x: 'x' })
    commitAll(join(dir, 'clone'), 'more')
    git(dir, 'clone', '-q', '--bare', user, 'mirror.git')
    userRepository(join(dir, 'other'), { y: 'y' })
    expect((await inspectRepository(join(dir, 'clone'))).id).toBe(facts.id)
    expect(await inspectRepository(join(dir, 'mirror.git'))).toMatchObject({
      id: facts.id,
      isBare: true,
      dirty: [],
    })
    expect((await inspectRepository(join(dir, 'other'))).id).not.toBe(facts.id)
  })

  it('[GT4] no directory, no repository', async () => {
    const dir = tempDir()
    expect(await code(inspectRepository(join(dir, 'nothing')))).toBe('ORCH_GIT_NOT_REPO')
    expect(await code(inspectRepository(dir))).toBe('ORCH_GIT_NOT_REPO')
    userRepository(join(dir, 'user'))
    expect(await code(inspectRepository(join(dir, 'user', '.git', 'objects')))).toBe('ORCH_GIT_NOT_REPO')
  })

  it('[GT4] no commit yet', async () => {
    const dir = tempDir()
    git(dir, 'init', '-q', '-b', 'main')
    expect(await code(inspectRepository(dir))).toBe('ORCH_GIT_EMPTY')
    expect(await code(inspectRepository(dir, 'main'))).toBe('ORCH_GIT_EMPTY')
  })

  it('[GT4] a detached HEAD needs a named base', async () => {
    const dir = tempDir()
    const base = userRepository(dir)
    git(dir, 'checkout', '-q', '--detach')
    expect(await code(inspectRepository(dir))).toBe('ORCH_GIT_DETACHED')
    expect(await code(inspectRepository(dir, 'HEAD'))).toBe('ORCH_GIT_DETACHED')
    const facts = await inspectRepository(dir, 'main')
    expect(facts.base).toBe(base)
    expect(facts.branch).toBeUndefined()
  })

  it.each(['nope', 'HEAD~9', '--all', '-x', 'main:README.md', 'a b'])(
    '[GT4] base %j names no commit',
    async (base) => {
      const dir = tempDir()
      userRepository(dir)
      expect(await code(inspectRepository(dir, base))).toBe('ORCH_GIT_BASE')
    },
  )

  it('[GT4] a base may be a tag, a branch or an id', async () => {
    const dir = tempDir()
    const first = userRepository(dir)
    git(dir, 'tag', '-a', 'v1', '-m', 'one')
    write(dir, { more: 'x' })
    const second = commitAll(dir, 'second')
    expect((await inspectRepository(dir, 'v1')).base).toBe(first)
    expect((await inspectRepository(dir, second.slice(0, 12))).base).toBe(second)
  })

  it('[GT4] shallow and partial clones', async () => {
    const dir = tempDir()
    const user = join(dir, 'user')
    userRepository(user)
    write(user, { more: 'x' })
    commitAll(user, 'second')
    git(user, 'config', 'uploadpack.allowFilter', 'true')
    git(dir, 'clone', '-q', '--depth', '1', `file://${user}`, 'shallow')
    git(dir, 'clone', '-q', '--filter=blob:none', `file://${user}`, 'partial')
    expect(await code(inspectRepository(join(dir, 'shallow')))).toBe('ORCH_GIT_SHALLOW')
    expect(await code(inspectRepository(join(dir, 'partial')))).toBe('ORCH_GIT_SHALLOW')
  })

  it('[GT4] submodules: a gitlink, or a .gitmodules', async () => {
    const dir = tempDir()
    const base = userRepository(dir)
    git(dir, 'update-index', '--add', '--cacheinfo', `160000,${base},vendor/lib`)
    git(dir, 'commit', '-q', '-m', 'link')
    await expect(inspectRepository(dir)).rejects.toMatchObject({
      code: 'ORCH_GIT_SUBMODULES',
      message: expect.stringContaining('vendor/lib'),
    })
    git(dir, 'reset', '-q', '--hard', base)
    write(dir, { '.gitmodules': '[submodule "x"]\n' })
    commitAll(dir, 'modules')
    expect(await code(inspectRepository(dir))).toBe('ORCH_GIT_SUBMODULES')
  })

  it('[GT4] LFS, in any .gitattributes', async () => {
    const dir = tempDir()
    userRepository(dir, { ...BASE_FILES, 'assets/.gitattributes': '# filter=lfs\n*.png -text\n' })
    expect(await code(inspectRepository(dir))).toBeUndefined()
    write(dir, { 'assets/.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n' })
    commitAll(dir, 'lfs')
    expect(await code(inspectRepository(dir))).toBe('ORCH_GIT_LFS')
  })

  it.runIf(process.getuid?.() === 0)('[GT4] a repository of another user is named as such', async () => {
    const dir = tempDir()
    userRepository(dir)
    for (const path of [dir, join(dir, '.git')]) chownSync(path, 4242, 4242)
    await expect(inspectRepository(dir)).rejects.toMatchObject({
      code: 'ORCH_GIT_NOT_REPO',
      hint: expect.stringContaining('safe.directory'),
    })
    const config = join(tempDir(), 'config')
    const before = process.env.GIT_CONFIG_GLOBAL
    onTestFinished(() => {
      if (before === undefined) delete process.env.GIT_CONFIG_GLOBAL
      else process.env.GIT_CONFIG_GLOBAL = before
    })
    process.env.GIT_CONFIG_GLOBAL = config
    writeFileSync(config, `[safe]\n\tdirectory = ${dir}\n`)
    const facts = await inspectRepository(dir)
    const bare = await bareOf(join(tempDir(), 'data'), facts)
    expect(await bare.readRef(`refs/orch/base/${facts.base}`)).toBe(facts.base)
  })

  it("[GT3] the person's hooks and file system monitor do not run", async () => {
    const dir = tempDir()
    userRepository(dir)
    const marker = join(dir, '.git', 'fired')
    script(join(dir, '.git', 'hooks', 'post-index-change'), `touch ${marker}`)
    script(join(dir, '.git', 'monitor'), `touch ${marker}`)
    git(dir, 'config', 'core.fsmonitor', join(dir, '.git', 'monitor'))
    await inspectRepository(dir)
    expect(readdirSync(join(dir, '.git'))).not.toContain('fired')
  })
})

describe('our own repository', () => {
  it('[GT6] many imports at once make one repository with the base pinned', async () => {
    const dir = tempDir()
    const user = join(dir, 'user')
    const base = userRepository(user)
    const facts = await inspectRepository(user)
    const before = fingerprint(user)
    const all = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const bare = await BareRepository.create(join(dir, 'data'), facts.id, facts.format)
        onTestFinished(() => bare.close())
        await bare.importFrom(await UserRepository.open(user), base)
        return bare
      }),
    )
    expect(readdirSync(join(dir, 'data', 'repos'))).toEqual([`${facts.id}.git`])
    expect(await all[0]!.readRef(`refs/orch/base/${base}`)).toBe(base)
    expect(git(all[0]!.dir, 'fsck', '--full', '--strict')).not.toMatch(/missing|error/)
    expect(fingerprint(user)).toEqual(before)
  })

  it('[GT6] a later base brings only what is new', async () => {
    const { user, bare, base } = await place()
    write(user, { 'src/c.txt': 'c\n' })
    const next = commitAll(user, 'next')
    const packs = (): string[] =>
      readdirSync(join(bare.dir, 'objects', 'pack')).filter((name) => name.endsWith('.pack'))
    const before = packs()
    await bare.importFrom(await UserRepository.open(user), next)
    expect(packs()).toEqual(before)
    expect(git(bare.dir, 'rev-list', '--count', next)).toBe('2')
    expect(git(bare.dir, 'diff', '--name-only', base, next)).toBe('src/c.txt')
  })

  it('[GT6] opens what is there, refuses what is not', async () => {
    const { dir, bare } = await place()
    const again = await BareRepository.open(join(dir, 'data'), bare.id)
    onTestFinished(() => again.close())
    expect(again.format).toBe('sha1')
    expect(await code(BareRepository.open(join(dir, 'data'), 'f'.repeat(32)))).toBe('ORCH_GIT_FAILED')
    expect(await code(BareRepository.open(join(dir, 'data'), '../../etc'))).toBe('ORCH_BUG')
  })

  it('[GT6] leftovers of a killed process go away when they are old, not before', async () => {
    const { bare } = await place()
    const inside = (path: string): string => join(bare.dir, 'orch', path)
    const old = new Date(Date.now() - 3 * 3_600_000)
    write(inside('.'), {
      'index/scratch-old': '',
      'index/scratch-new': '',
      'index/abcdef': '',
      'quarantine/old/objects/x': '',
    })
    for (const path of ['index/scratch-old', 'index/abcdef', 'quarantine/old'])
      utimesSync(inside(path), old, old)
    await bare.sweep()
    expect([readdirSync(inside('index')).sort(), readdirSync(inside('quarantine'))]).toEqual([
      ['abcdef', 'scratch-new'],
      [],
    ])
  })

  it('[GT21] moves a ref only from what it is said to hold', async () => {
    const { bare, base } = await place()
    const ref = 'refs/orch/heads/demo-1a2b'
    const next = gitInput(bare.dir, 'next\n', 'commit-tree', '-p', base, `${base}^{tree}`)
    expect(await bare.moveRefs([{ ref, to: base, from: '' }])).toBe(true)
    expect(await bare.moveRefs([{ ref, to: next, from: '' }])).toBe(false)
    expect(await bare.moveRefs([{ ref, to: next, from: next }])).toBe(false)
    expect(await bare.readRef(ref)).toBe(base)
    const two = await Promise.all([1, 2].map(() => bare.moveRefs([{ ref, to: next, from: base }])))
    expect(two.filter(Boolean)).toHaveLength(1)
    expect(await bare.readRef(ref)).toBe(next)
  })

  it('[GT21] a lock left by a power cut is broken, one that is held is a fault, not a stale answer', async () => {
    const { bare, base } = await place()
    const lock = join(bare.dir, 'refs/orch/heads/demo-1a2b.lock')
    write(join(bare.dir, 'refs/orch/heads'), { 'demo-1a2b.lock': '' })
    const move = { ref: 'refs/orch/heads/demo-1a2b', to: base, from: '' }
    expect(await code(bare.moveRefs([move]))).toBe('ORCH_GIT_FAILED')
    utimesSync(lock, new Date(0), new Date(0))
    expect(await bare.moveRefs([move])).toBe(true)
    expect(await bare.readRef(move.ref)).toBe(base)
  })

  it('[GT21] an object that a power cut emptied is written again', async () => {
    const { bare } = await place()
    const body = Buffer.from('precious')
    const oid = bare.objects.write('blob', body)
    await bare.objects.sync()
    const path = join(bare.dir, 'objects', oid.slice(0, 2), oid.slice(2))
    chmodSync(path, 0o644)
    truncateSync(path)
    const later = new ObjectStore({ gitDir: bare.dir }, 'sha1')
    onTestFinished(() => later.close())
    later.write('blob', body)
    await later.sync()
    expect((await later.read(oid))?.body).toEqual(body)
  })

  it('[GT21] several refs move together or not at all', async () => {
    const { bare, base } = await place()
    const good = { ref: 'refs/orch/heads/a', to: base, from: '' }
    const stale = { ref: 'refs/orch/heads/b', to: base, from: base }
    expect(await bare.moveRefs([good, stale])).toBe(false)
    expect(await bare.listRefs('refs/orch/heads/')).toEqual([])
  })

  it('[GT6] a repository with SHA-256 ids keeps its format', async () => {
    const { bare, base, facts } = await place(BASE_FILES, '--object-format=sha256')
    expect(facts.format).toBe('sha256')
    expect(base).toHaveLength(64)
    const commit = await bare.objects.commit(base)
    expect([...(await bare.objects.tree(commit.tree)).keys()]).toContain('src')
  })
})
