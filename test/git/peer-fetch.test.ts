// Goal: commits of another node arrive whole, once, and under names of our own making. Method: real repositories, real `git upload-pack`, a stream in memory.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { commitAll, fingerprint, git, NODE_A, tempDir, userRepository, work, write } from './fixture.ts'
import { base, contents, edge, head, peers, result } from './peer-fixture.ts'

describe('a repository that this node never saw', () => {
  it.each([[], ['--object-format=sha256']])(
    '[PG3] is made, whole and pinned, from its base %s',
    async (...init) => {
      const from = await peers(undefined, ...init.filter(Boolean))
      const { ours, id, at } = from
      expect(await ours.has(id)).toBe(false)
      expect(await ours.lacking(id, [at.base])).toEqual([at.base])
      const fetched = await ours.fetchFrom(id, { wants: [base(at.base)], connect: from.connect() })
      expect(fetched.objects).toBeGreaterThan(5)
      expect(await ours.has(id)).toBe(true)
      expect(await ours.lacking(id, [at.base])).toEqual([])
      expect(await ours.listRefs(id, 'refs/')).toEqual([{ ref: `refs/orch/base/${at.base}`, oid: at.base }])
      expect(git(from.ourRepo, 'fsck', '--strict', '--full')).not.toMatch(/missing|error|dangling/)
      expect(contents(from.ourRepo).quarantine).toEqual([])
      // Good enough to work in.
      const dir = join(tempDir(), 'w')
      await ours.createWorkspace(id, { dir, base: at.base, authorName: 'x' })
      expect(git(dir, 'status', '--porcelain')).toBe('')
      expect(git(dir, 'ls-files').split('\n')).toContain('src/a.txt')
    },
  )

  it('[PG3] arrives in pieces of any size', async () => {
    const from = await peers()
    const { ours, id, at } = from
    await ours.fetchFrom(id, { wants: [base(at.base)], connect: from.connect({ pieceMax: 1 }) })
    expect(await ours.lacking(id, [at.base])).toEqual([])
  })

  it('[PG3] by several transfers at once: one repository', async () => {
    const from = await peers()
    const { ours, id, at } = from
    const wants = [base(at.base)]
    await Promise.all([1, 2, 3, 4].map(() => ours.fetchFrom(id, { wants, connect: from.connect() })))
    expect(await ours.lacking(id, [at.base])).toEqual([])
    expect(git(from.ourRepo, 'fsck', '--strict')).not.toMatch(/missing|error/)
  })

  it('[PG4] cannot be planted by a peer under the identity of another', async () => {
    const from = await peers()
    const other = await peers({ 'evil.txt': 'evil\n' })
    const { ours, at } = from
    // The board names `other.at.base` as a base of the first repository, and the peer serves it.
    const fetching = ours.fetchFrom(from.id, { wants: [base(other.at.base)], connect: other.connect() })
    await expect(fetching).rejects.toMatchObject({
      code: 'ORCH_GIT_HOSTILE',
      message: expect.stringContaining('belongs to repository'),
    })
    expect(contents(from.ourRepo)).toEqual({ refs: '', objects: [], quarantine: [] })
    await ours.fetchFrom(from.id, { wants: [base(at.base)], connect: from.connect() })
    expect(await ours.lacking(from.id, [at.base])).toEqual([])
  })

  it('[PG4] a name that is no identity, no commit or of another digest is refused before anybody is asked', async () => {
    const from = await peers()
    const { ours, id, at } = from
    const connect = from.connect()
    for (const wrong of ['../../x', 'XYZ', '--upload-pack=x', ''])
      await expect(ours.fetchFrom(wrong, { wants: [base(at.base)], connect })).rejects.toMatchObject({
        code: 'ORCH_NOT_FOUND',
      })
    expect(await ours.has('../../x')).toBe(false)
    for (const wrong of ['HEAD', '--upload-pack=x', 'refs/orch/base/x', '1'.repeat(39)])
      await expect(ours.fetchFrom(id, { wants: [base(wrong)], connect })).rejects.toMatchObject({
        code: 'ORCH_NOT_FOUND',
      })
    await ours.fetchFrom(id, { wants: [base(at.base)], connect })
    await expect(ours.fetchFrom(id, { wants: [base('1'.repeat(64))], connect })).rejects.toMatchObject({
      code: 'ORCH_NOT_FOUND',
    })
    expect(from.opened).toHaveLength(1)
  })
})

describe('only what is new', () => {
  it('[PG5] one commit brings its own objects, and nothing asks nobody', async () => {
    const from = await peers()
    const { ours, id, at } = from
    await ours.fetchFrom(id, { wants: [base(at.base)], connect: from.connect() })
    const made = await work(at.bare, at.base, { 'src/a.txt': 'changed\n' })
    const fetched = await ours.fetchFrom(id, { wants: [result('a', made)], connect: from.connect() })
    // Commit, root, src, a.txt.
    expect(fetched.objects).toBe(4)
    expect(await ours.readRef(id, `refs/orch/runs/demo-1a2b/a/1.1-00ABCDEF`)).toBe(made)
    expect(from.opened).toHaveLength(2)
    const again = await ours.fetchFrom(id, { wants: [result('a', made)], connect: from.connect() })
    expect(again.objects).toBe(0)
    expect(from.opened).toHaveLength(2)
  })

  it('[PG5] a later base of a repository that grew brings the growth, also when the peer lacks our newest', async () => {
    const from = await peers()
    const { at, id, ours } = from
    const { user } = at
    for (let n = 0; n < 20; n += 1) {
      write(user, { [`f${n}`]: `${n}\n` })
      commitAll(user, `n${n}`)
    }
    // Ours knows a commit on top that the other side has never seen.
    const known = await ours.inspect(user)
    git(user, 'checkout', '-q', '-b', 'own')
    write(user, { own: 'own\n' })
    commitAll(user, 'own')
    await ours.importBase(await ours.inspect(user))
    git(user, 'checkout', '-q', 'main')
    write(user, { 'one-more': 'x\n' })
    commitAll(user, 'more')
    const grown = await from.theirs.inspect(user)
    await from.theirs.importBase(grown)
    expect(grown.id).toBe(known.id)
    const fetched = await ours.fetchFrom(id, { wants: [base(grown.base)], connect: from.connect() })
    // Commit, tree, blob; whole history would be 60 more.
    expect(fetched.objects).toBeLessThan(12)
    expect(git(from.ourRepo, 'log', '--format=%s', grown.base).split('\n')).toHaveLength(22)
  })

  it('[PG6] a commit whose files a crash lost counts as lacking, and is fetched again', async () => {
    const from = await peers()
    const { at, id, ours } = from
    await ours.fetchFrom(id, { wants: [base(at.base)], connect: from.connect() })
    const made = await work(at.bare, at.base, { 'new.txt': 'new\n' })
    await ours.fetchFrom(id, { wants: [result('a', made)], connect: from.connect() })
    const file = git(from.ourRepo, 'rev-parse', `${made}:new.txt`)
    await ours.close()
    git(from.ourRepo, 'update-ref', '-d', 'refs/orch/runs/demo-1a2b/a/1.1-00ABCDEF')
    rmSync(join(from.ourRepo, 'objects', file.slice(0, 2), file.slice(2)))
    const later = edge(from.dir)
    expect(await later.lacking(id, [made, at.base])).toEqual([made])
    await later.fetchFrom(id, { wants: [result('a', made)], connect: from.connect() })
    expect(git(from.ourRepo, 'cat-file', 'blob', file)).toBe('new')
    expect(await later.lacking(id, [made])).toEqual([])
  })
})

describe('names', () => {
  it('[PG10] bases, works and heads each get the ref of their kind', async () => {
    const from = await peers()
    const { at, id, ours } = from
    const first = await work(at.bare, at.base, { one: '1' })
    const second = await work(at.bare, first, { two: '2' })
    const rival = await work(at.bare, at.base, { rival: 'r' })
    const connect = from.connect()
    await ours.fetchFrom(id, { wants: [base(at.base)], connect })
    await ours.fetchFrom(id, { wants: [head(first), result('a', second)], connect })
    const ref = `refs/orch/peer/${NODE_A}/heads/demo-1a2b`
    expect(await ours.readRef(id, ref)).toBe(first)
    await ours.fetchFrom(id, { wants: [head(second)], connect })
    expect(await ours.readRef(id, ref)).toBe(second)
    // Never back.
    await ours.fetchFrom(id, { wants: [head(first)], connect })
    expect(await ours.readRef(id, ref)).toBe(second)
    // Another history: the one before is kept.
    await ours.fetchFrom(id, { wants: [head(rival)], connect })
    expect(await ours.readRef(id, ref)).toBe(rival)
    expect(await ours.readRef(id, `refs/orch/replaced/${second}`)).toBe(second)
  })

  it('[PG10] what a peer says never moves the ref of an attempt', async () => {
    const from = await peers()
    const { at, id, ours } = from
    const mine = await work(at.bare, at.base, { mine: '1' })
    const other = await work(at.bare, at.base, { mine: '2' })
    const connect = from.connect()
    await ours.fetchFrom(id, { wants: [base(at.base)], connect })
    await ours.fetchFrom(id, { wants: [result('a', mine)], connect })
    await ours.fetchFrom(id, { wants: [result('a', other)], connect })
    expect(await ours.readRef(id, 'refs/orch/runs/demo-1a2b/a/1.1-00ABCDEF')).toBe(mine)
    expect(await ours.readRef(id, `refs/orch/base/${other}`)).toBe(other)
  })

  it('[PG10] refs of the peer with names like options are neither followed nor copied', async () => {
    const from = await peers()
    const { at, id, ours } = from
    for (const name of ['refs/heads/--upload-pack=touch x', 'refs/heads/-x', 'refs/tags/--exec'])
      git(at.bare.dir, 'update-ref', name.replace(' ', '-'), at.base)
    await ours.fetchFrom(id, { wants: [base(at.base)], connect: from.connect() })
    expect((await ours.listRefs(id, 'refs/')).map(({ ref }) => ref)).toEqual([`refs/orch/base/${at.base}`])
    for (const wrong of ['--x/a/1.1/01JD0000000000000000ABCDEF', '../a/1.1/x', 'demo-1a2b/a.lock/1.1/x']) {
      const want = { kind: 'work' as const, commit: at.base, attempt: wrong }
      await expect(ours.fetchFrom(id, { wants: [want], connect: from.connect() })).rejects.toMatchObject({
        code: 'ORCH_NOT_FOUND',
      })
    }
    const run = { kind: 'head' as const, commit: at.base, run: '--x', node: NODE_A }
    await expect(ours.fetchFrom(id, { wants: [run], connect: from.connect() })).rejects.toMatchObject({
      code: 'ORCH_NOT_FOUND',
    })
  })

  it('[PG1] any commit may be asked for by its id, under a ref or not', async () => {
    const from = await peers()
    const { at, id, ours } = from
    const made = await work(at.bare, at.base, { loose: 'x' })
    expect(git(at.bare.dir, 'for-each-ref', '--contains', made)).toBe('')
    await ours.fetchFrom(id, { wants: [base(at.base)], connect: from.connect() })
    await ours.fetchFrom(id, { wants: [result('a', made)], connect: from.connect() })
    expect(await ours.lacking(id, [made])).toEqual([])
  })
})

describe('the path of a run', () => {
  it('[PG14] on another machine that has another repository there, nothing is written', async () => {
    const from = await peers()
    const { at, id, ours } = from
    await ours.fetchFrom(id, { wants: [base(at.base)], connect: from.connect() })
    const made = await work(at.bare, at.base, { new: 'x' })
    await ours.fetchFrom(id, { wants: [head(made)], connect: from.connect() })
    const other = join(tempDir(), 'other')
    userRepository(other, { 'other.txt': 'other\n' })
    const before = fingerprint(other)
    const refused = { code: 'ORCH_GIT_NOT_REPO', message: expect.stringContaining('another repository') }
    await expect(ours.publishBranch(id, other, 'demo-1a2b', made)).rejects.toMatchObject(refused)
    const landing = { branch: 'main', base: at.base, tip: made }
    await expect(ours.land(id, other, landing)).rejects.toMatchObject(refused)
    expect(fingerprint(other)).toEqual(before)
    const clone = join(tempDir(), 'clone')
    git(tempDir(), 'clone', '-q', at.user, clone)
    expect(await ours.publishBranch(id, clone, 'demo-1a2b', made)).toEqual({ branch: 'orch/demo-1a2b' })
    expect(git(clone, 'rev-parse', 'orch/demo-1a2b')).toBe(made)
  })
})
