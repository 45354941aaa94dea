// Goal: a person's branch moves by compare-and-set and with its files, or not at all; nothing of theirs is overwritten.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createGit } from '../../src/git/git.ts'
import { fold } from '../../src/git/integrate.ts'
import { land, publishBranch } from '../../src/git/land.ts'
import { UserRepository } from '../../src/git/user-repository.ts'
import { collectWork, createWorkspace } from '../../src/git/workspace.ts'
import {
  AT,
  attempt,
  BASE_FILES,
  commitAll,
  delta,
  type Files,
  fingerprint,
  git,
  mergeRequest,
  type Place,
  place,
  read,
  script,
  work,
  write,
} from './fixture.ts'

const RUN = 'demo-1a2b'

async function run(at: Place, ...changes: Files[]): Promise<string> {
  const deltas = await Promise.all(
    changes.map(async (files, n) => delta(`t${n}`, at.base, await work(at.bare, at.base, files))),
  )
  const { chain, conflict } = await fold(at.bare, mergeRequest(at.base, deltas))
  expect(conflict).toBeUndefined()
  return chain.at(-1)!.commit
}

const open = (at: Place): Promise<UserRepository> => UserRepository.open(at.user)
const tipOf = (at: Place, branch: string): string => git(at.user, 'rev-parse', `refs/heads/${branch}`)

describe('publish', () => {
  it('[GT24] makes orch/<run> and nothing else', async () => {
    const at = await place()
    const tip = await run(at, { 'src/b.txt': 'B\n' })
    const before = fingerprint(at.user)
    expect(await publishBranch(at.bare, await open(at), RUN, tip)).toEqual({ branch: 'orch/demo-1a2b' })
    const after = fingerprint(at.user)
    expect(after.refs!.split('\n').filter((line) => !before.refs!.includes(line))).toEqual([
      `${tip} commit\trefs/heads/orch/demo-1a2b`,
    ])
    expect({ ...after, refs: '', objects: '', listing: '' }).toEqual({
      ...before,
      refs: '',
      objects: '',
      listing: '',
    })
    expect(git(at.user, 'fsck', '--strict')).not.toMatch(/missing|error/)
    expect(read(at.user, 'src/b.txt')).toBe('b\n')
  })

  it('[GT24] moves it on, and back to another history, as long as it is ours', async () => {
    const at = await place()
    const user = await open(at)
    const one = await run(at, { x: '1' })
    const two = await run(at, { x: '1' }, { y: '2' })
    const other = await run(at, { z: '3' })
    for (const tip of [one, two, two, other]) {
      await publishBranch(at.bare, user, RUN, tip)
      expect(tipOf(at, `orch/${RUN}`)).toBe(tip)
    }
    git(at.user, 'checkout', '-q', `orch/${RUN}`)
    write(at.user, { mine: 'x' })
    const mine = commitAll(at.user, 'mine')
    await expect(publishBranch(at.bare, user, RUN, one)).rejects.toMatchObject({ code: 'ORCH_TARGET_MOVED' })
    expect(tipOf(at, `orch/${RUN}`)).toBe(mine)
  })

  it('[GT24] takes the files along when it is checked out and clean, refuses when it is not', async () => {
    const at = await place()
    const user = await open(at)
    await publishBranch(at.bare, user, RUN, await run(at, { x: '1' }))
    git(at.user, 'checkout', '-q', `orch/${RUN}`)
    const two = await run(at, { x: '1' }, { y: '2', 'README.md': 'new\n' })
    write(at.user, { 'README.md': 'dirty\n' })
    await expect(publishBranch(at.bare, user, RUN, two)).rejects.toMatchObject({ code: 'ORCH_TARGET_DIRTY' })
    expect(read(at.user, 'README.md')).toBe('dirty\n')
    git(at.user, 'checkout', '-q', 'README.md')
    await publishBranch(at.bare, user, RUN, two)
    expect([read(at.user, 'README.md'), read(at.user, 'y')]).toEqual(['new\n', '2'])
    expect(git(at.user, 'status', '--porcelain')).toBe('')
  })

  it('[GT24] a transfer that was cut off is made whole before the branch moves', async () => {
    const at = await place()
    const user = await open(at)
    const tip = await run(at, { 'deep/er/file': 'x', 'src/b.txt': 'B\n' })
    await at.bare.exportTo(user, tip)
    const tree = git(at.user, 'rev-parse', `${tip}:deep`)
    rmSync(join(at.user, '.git/objects', tree.slice(0, 2), tree.slice(2)))
    await publishBranch(at.bare, user, RUN, tip)
    expect(git(at.user, 'fsck', '--strict')).not.toMatch(/missing|error|broken/)
  })

  it('[GT24] a branch named orch is in the way, and named', async () => {
    const at = await place()
    git(at.user, 'branch', 'orch')
    await expect(
      publishBranch(at.bare, await open(at), RUN, await run(at, { x: '1' })),
    ).rejects.toMatchObject({
      code: 'ORCH_GIT_FAILED',
      hint: expect.stringContaining('git branch -m orch'),
    })
  })
})

describe('land', () => {
  it('[GT25] fast-forwards a checked-out clean branch with its files; hooks stay out', async () => {
    const at = await place()
    const marker = join(at.dir, 'fired')
    for (const hook of [
      'post-checkout',
      'post-merge',
      'reference-transaction',
      'pre-push',
      'update',
      'post-index-change',
    ]) {
      script(join(at.user, '.git/hooks', hook), `touch ${marker}`)
    }
    const tip = await run(at, { 'src/b.txt': 'B\n', 'new/file': 'x', 'docs/guide.md': null })
    write(at.user, { 'untracked.txt': 'mine' })
    rmSync(marker, { force: true })
    const landed = await land(at.bare, await open(at), { branch: 'main', base: at.base, tip })
    expect(landed).toEqual({ branch: 'main', commit: tip, from: at.base, tries: 1 })
    expect(read(at.dir, 'fired')).toBeUndefined()
    expect([read(at.user, 'src/b.txt'), read(at.user, 'new/file'), read(at.user, 'docs/guide.md')]).toEqual([
      'B\n',
      'x',
      undefined,
    ])
    expect(git(at.user, '-c', 'core.hooksPath=/dev/null', 'status', '--porcelain')).toBe('?? untracked.txt')
    expect(git(at.user, 'reflog', '-1', '--format=%gs', 'main')).toBe('orch-node: land')
    expect(await land(at.bare, await open(at), { branch: 'main', base: at.base, tip })).toEqual({
      branch: 'main',
      commit: tip,
      from: tip,
      tries: 1,
    })
  })

  it('[GT25] moves a branch that is not checked out without touching any file', async () => {
    const at = await place()
    git(at.user, 'branch', 'target')
    write(at.user, { 'README.md': 'dirty main\n' })
    const tip = await run(at, { 'README.md': 'landed\n' })
    expect((await land(at.bare, await open(at), { branch: 'target', base: at.base, tip })).commit).toBe(tip)
    expect(tipOf(at, 'target')).toBe(tip)
    expect(tipOf(at, 'main')).toBe(at.base)
    expect(read(at.user, 'README.md')).toBe('dirty main\n')
  })

  it('[GT25] updates the linked work tree that has the branch', async () => {
    const at = await place()
    git(at.user, 'branch', 'target')
    const tree = join(at.dir, 'linked')
    git(at.user, 'worktree', 'add', '-q', tree, 'target')
    const tip = await run(at, { 'README.md': 'landed\n' })
    await land(at.bare, await open(at), { branch: 'target', base: at.base, tip })
    expect(read(tree, 'README.md')).toBe('landed\n')
    expect(git(tree, 'status', '--porcelain')).toBe('')
    expect(read(at.user, 'README.md')).toBe('hello\n')
  })

  it.each([
    ['changed', (dir: string) => write(dir, { 'src/b.txt': 'mine\n' })],
    ['staged', (dir: string) => write(dir, { added: 'x' }) ?? git(dir, 'add', 'added')],
    ['removed', (dir: string) => rmSync(join(dir, 'docs/guide.md'))],
  ])('[GT25] refuses a dirty tree (%s), and names the file', async (_, spoil) => {
    const at = await place()
    const tip = await run(at, { 'README.md': 'landed\n' })
    spoil(at.user)
    const before = [tipOf(at, 'main'), git(at.user, 'status', '--porcelain')]
    await expect(land(at.bare, await open(at), { branch: 'main', base: at.base, tip })).rejects.toMatchObject(
      {
        code: 'ORCH_TARGET_DIRTY',
        context: { files: [expect.stringMatching(/src\/b.txt|added|docs\/guide.md/)] },
      },
    )
    expect([tipOf(at, 'main'), git(at.user, 'status', '--porcelain')]).toEqual(before)
    expect(read(at.user, 'README.md')).toBe('hello\n')
  })

  it.each([
    ['new/file', 'new/file'],
    ['ignored/file', 'ignored/file'],
    ['x.log/inner', 'x.log'],
    ['y.log', 'y.log/inner'],
  ])('[GT25] %s does not overwrite the untracked file %s', async (path, mine) => {
    const at = await place()
    const tip = await run(at, { [path]: 'landed\n', 'README.md': 'landed\n' })
    write(at.user, { [mine]: 'mine\n' })
    await expect(land(at.bare, await open(at), { branch: 'main', base: at.base, tip })).rejects.toMatchObject(
      {
        code: 'ORCH_TARGET_DIRTY',
        message: expect.stringContaining(mine.split('/inner')[0]!),
      },
    )
    expect([read(at.user, mine), read(at.user, 'README.md'), tipOf(at, 'main')]).toEqual([
      'mine\n',
      'hello\n',
      at.base,
    ])
  })

  it('[GT25] tracked files may become directories and back', async () => {
    const at = await place()
    const tip = await run(at, {
      'README.md': null,
      'README.md/inner': 'x',
      'src/a.txt': null,
      'src/b.txt': null,
      src: null,
      'docs/x.md': 'x',
    })
    await land(at.bare, await open(at), { branch: 'main', base: at.base, tip })
    expect(read(at.user, 'README.md/inner')).toBe('x')
    const back = await work(at.bare, tip, { 'README.md': 'again\n' })
    const { chain } = await fold(at.bare, mergeRequest(tip, [delta('back', tip, back)]))
    await land(at.bare, await open(at), { branch: 'main', base: tip, tip: chain[0]!.commit })
    expect(read(at.user, 'README.md')).toBe('again\n')
    expect(git(at.user, 'status', '--porcelain')).toBe('')
  })

  it('[GT25] onto a branch that moved: rebased, verified, with the same people', async () => {
    const at = await place()
    write(at.user, { 'docs/other.md': 'meanwhile\n' })
    const moved = commitAll(at.user, 'meanwhile')
    const tip = await run(at, { 'src/b.txt': 'B\n' }, { 'src/c.txt': 'C\n' })
    const seen: string[] = []
    const verify = async (commit: string): Promise<{ ok: boolean }> => {
      seen.push(commit)
      return { ok: true }
    }
    const landed = await land(at.bare, await open(at), { branch: 'main', base: at.base, tip, verify })
    expect(landed).toMatchObject({ from: moved, tries: 1 })
    expect(seen).toEqual([landed.commit])
    expect(git(at.user, 'log', '--format=%an %s', 'main')).toBe(
      'claude Task t1\nclaude Task t0\nAnn meanwhile\nAnn first',
    )
    expect([read(at.user, 'docs/other.md'), read(at.user, 'src/c.txt')]).toEqual(['meanwhile\n', 'C\n'])
    expect(git(at.user, 'status', '--porcelain')).toBe('')
  })

  it('[GT25] a gate that fails on top of the moved branch leaves it alone', async () => {
    const at = await place()
    write(at.user, { 'docs/other.md': 'meanwhile\n' })
    const moved = commitAll(at.user, 'meanwhile')
    const tip = await run(at, { 'src/b.txt': 'B\n' })
    const verify = async (): Promise<{ ok: boolean; output: string }> => ({
      ok: false,
      output: '2 tests failed',
    })
    await expect(
      land(at.bare, await open(at), { branch: 'main', base: at.base, tip, verify }),
    ).rejects.toMatchObject({
      code: 'ORCH_GATE',
      context: { output: '2 tests failed', onto: moved },
    })
    expect(tipOf(at, 'main')).toBe(moved)
  })

  it('[GT25] a branch that keeps moving is given up after three tries', async () => {
    const at = await place()
    git(at.user, 'branch', 'target')
    git(at.user, 'checkout', '-q', 'target')
    write(at.user, { n: '0' })
    commitAll(at.user, 'move 0')
    git(at.user, 'checkout', '-q', 'main')
    const tip = await run(at, { 'src/b.txt': 'B\n' })
    let moves = 0
    const verify = async (): Promise<{ ok: boolean }> => {
      moves += 1
      const tree = git(at.user, 'rev-parse', 'target^{tree}')
      git(
        at.user,
        'update-ref',
        'refs/heads/target',
        git(at.user, 'commit-tree', '-p', 'target', '-m', `move ${moves}`, tree),
      )
      return { ok: true }
    }
    await expect(
      land(at.bare, await open(at), { branch: 'target', base: at.base, tip, verify }),
    ).rejects.toMatchObject({ code: 'ORCH_TARGET_MOVED' })
    expect(moves).toBe(3)
    expect(git(at.user, 'log', '-1', '--format=%s', 'target')).toBe('move 3')
  })

  it('[GT25] a branch that moved once is tried again; its files are those of the second try', async () => {
    const at = await place()
    write(at.user, { n: '0' })
    commitAll(at.user, 'move 0')
    const tip = await run(at, { 'src/b.txt': 'B\n' })
    let moves = 0
    const verify = async (): Promise<{ ok: boolean }> => {
      moves += 1
      if (moves === 1) {
        write(at.user, { n: '1' })
        commitAll(at.user, 'move 1')
      }
      return { ok: true }
    }
    const landed = await land(at.bare, await open(at), { branch: 'main', base: at.base, tip, verify })
    expect(landed.tries).toBe(2)
    expect([read(at.user, 'n'), read(at.user, 'src/b.txt')]).toEqual(['1', 'B\n'])
    expect(git(at.user, 'status', '--porcelain')).toBe('')
    expect(git(at.user, 'log', '--format=%s', 'main').split('\n').slice(0, 3)).toEqual([
      'Task t0',
      'move 1',
      'move 0',
    ])
  })

  it('[GT25] a conflict is told with its paths, and the branch left alone', async () => {
    const at = await place()
    write(at.user, { 'src/b.txt': 'theirs\n' })
    const moved = commitAll(at.user, 'meanwhile')
    const tip = await run(at, { x: 'x' }, { 'src/b.txt': 'ours\n' })
    await expect(land(at.bare, await open(at), { branch: 'main', base: at.base, tip })).rejects.toMatchObject(
      {
        code: 'ORCH_CONFLICT',
        context: { task: 't1', paths: ['src/b.txt'] },
      },
    )
    expect(tipOf(at, 'main')).toBe(moved)
    expect(git(at.user, 'status', '--porcelain')).toBe('')
  })

  it('[GT25] everything there already by another way counts as landed', async () => {
    const at = await place()
    write(at.user, { 'src/b.txt': 'B\n' })
    const same = commitAll(at.user, 'by hand')
    const tip = await run(at, { 'src/b.txt': 'B\n' })
    expect(await land(at.bare, await open(at), { branch: 'main', base: at.base, tip })).toMatchObject({
      commit: same,
      from: same,
    })
  })

  it.each(['nope', '-x', '../main', 'a..b', 'main.lock', ''])(
    '[GT25] branch %j does not exist or cannot',
    async (branch) => {
      const at = await place()
      const tip = await run(at, { x: 'x' })
      await expect(land(at.bare, await open(at), { branch, base: at.base, tip })).rejects.toMatchObject({
        code: 'ORCH_GIT_BASE',
      })
    },
  )

  it('[GT25] lands in a bare repository too', async () => {
    const at = await place()
    git(at.dir, 'clone', '-q', '--bare', at.user, 'mirror.git')
    const tip = await run(at, { x: 'x' })
    const mirror = await UserRepository.open(join(at.dir, 'mirror.git'))
    expect((await land(at.bare, mirror, { branch: 'main', base: at.base, tip })).commit).toBe(tip)
    expect(git(join(at.dir, 'mirror.git'), 'rev-parse', 'main')).toBe(tip)
  })
})

describe('the whole way', () => {
  it('[GT7] [GT8] [GT17] [GT24] [GT25] from a base through two workspaces to the branch', async () => {
    const at = await place()
    const edge = createGit({ dataDir: join(at.dir, 'data2') })
    const id = at.facts.id
    const facts = await edge.inspect(at.user)
    await edge.importBase(facts)
    const deltas = await Promise.all(
      ['one', 'two'].map(async (task) => {
        const dir = join(at.dir, task)
        await edge.createWorkspace(id, { dir, base: at.base, authorName: task })
        write(dir, { [`src/${task}.txt`]: `${task}\n` })
        const done = await edge.collectWork(id, {
          dir,
          attempt: attempt(task),
          base: at.base,
          title: task,
          authorName: task,
          at: AT,
        })
        await edge.removeWorkspace(id, dir, done.ref)
        return delta(task, at.base, done.head, { authorName: task })
      }),
    )
    const { chain } = await edge.fold(id, mergeRequest(at.base, deltas))
    const tip = chain[1]!.commit
    const gate = await edge.runGate(id, {
      dir: join(at.dir, 'gate'),
      commit: tip,
      command: 'test -f src/one.txt -a -f src/two.txt',
      env: { PATH: process.env.PATH ?? '' },
    })
    expect(gate.ok).toBe(true)
    expect(await edge.advance(id, `refs/orch/heads/${RUN}`, tip, undefined)).toBe(true)
    expect((await edge.trailersSince(id, tip, at.base)).map(({ task }) => task)).toEqual(['one', 'two'])
    expect(await edge.tryMerge(id, mergeRequest(tip, []), deltas[0]!)).toBeUndefined()
    await edge.publishBranch(id, at.user, RUN, tip)
    await edge.land(id, at.user, { branch: 'main', base: at.base, tip })
    expect(read(at.user, 'src/two.txt')).toBe('two\n')
    await edge.close()
    await expect(edge.readRef(id, 'refs/orch/heads/x')).rejects.toMatchObject({ code: 'ORCH_BUG' })
    // Another life of the node finds everything again.
    const later = createGit({ dataDir: join(at.dir, 'data2') })
    expect(await later.readRef(id, `refs/orch/heads/${RUN}`)).toBe(tip)
    expect((await later.listRefs(id, 'refs/orch/runs/')).map(({ ref }) => ref.split('/')[4])).toEqual([
      'one',
      'two',
    ])
    await later.close()
  })

  it('[GT11] work of an attempt that is killed in between is collected by the next life of the node', async () => {
    const at = await place(BASE_FILES)
    const dir = join(at.dir, 'ws')
    await createWorkspace(at.bare, { dir, base: at.base, authorName: 'a' })
    write(dir, { half: 'done' })
    // What a killed `git add` of ours leaves.
    write(join(at.bare.dir, 'orch/index'), { 'scratch-dead': 'x', 'scratch-dead.lock': '' })
    await at.bare.close()
    const done = await collectWork(at.bare, {
      dir,
      attempt: attempt('t'),
      base: at.base,
      title: 't',
      authorName: 'a',
      at: AT,
    })
    expect(done.paths).toEqual(['half'])
  })
})
