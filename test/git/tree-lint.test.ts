// Goal: trees that git's fsck lets pass and that would hurt on some machine are refused by name (threat model X11). Method: trees written byte by byte.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BareRepository } from '../../src/git/bare.ts'
import type { TreeEntry } from '../../src/git/object.ts'
import { admit, Quarantine, refuseHostile } from '../../src/git/quarantine.ts'
import { foldName, lintTree, nameProblem, targetProblem } from '../../src/git/tree-lint.ts'
import { bareOf, git, gitInput, type Place, place, tempDir } from './fixture.ts'

const PERSON = 'E <e@example.org> 1 +0000'

interface Stranger {
  readonly at: Place
  readonly bare: BareRepository
  readonly blob: (content: string) => string
  readonly commit: (entries: TreeEntry[], parents?: string[]) => Promise<string>
}

/** Another node's repository, where anything may have been written; ours knows the base only. */
async function stranger(): Promise<Stranger> {
  const at = await place()
  const bare = await bareOf(join(tempDir(), 'data'), at.facts)
  const { objects } = bare
  const base = await objects.commit(at.base)
  return {
    at,
    bare,
    blob: (content) => objects.write('blob', Buffer.from(content)),
    async commit(entries, parents = [at.base]) {
      const honest = [...(await objects.tree(base.tree)).values()].filter(
        (old) => !entries.some(({ name }) => name === old.name),
      )
      const tree = objects.writeTree([...honest, ...entries])
      const oid = objects.writeCommit({ tree, parents, author: PERSON, committer: PERSON, message: 'x\n' })
      await objects.flush()
      return oid
    },
  }
}

type Bad = [name: string, why: RegExp, entries: (from: Stranger) => TreeEntry[] | Promise<TreeEntry[]>]

const file = (name: string, from: Stranger): TreeEntry => ({ mode: '100644', name, oid: from.blob('x') })
const link = (name: string, target: string, from: Stranger): TreeEntry => ({
  mode: '120000',
  name,
  oid: from.blob(target),
})
const raw = (text: string): string => Buffer.from(text).toString('latin1')

/** The nine of X11 first. */
const BAD: Bad[] = [
  ['backslash name', /backslash/, (from) => [file('a\\b', from)]],
  ['link to /etc/passwd', /absolute/, (from) => [link('l', '/etc/passwd', from)]],
  ['.gitmodules path ending in CR', /control|gitmodules/, (from) => [file('.gitmodules\r', from)]],
  ['gitlink', /gitlink/, (from) => [{ mode: '160000', name: 'sub', oid: from.at.base }]],
  ['control characters', /control/, (from) => [file('a\u001b[31mb', from)]],
  ['leading dash', /dash/, (from) => [file('--upload-pack=x', from)]],
  ['CON', /device/, (from) => [file('CON', from)]],
  ['odd mode', /mode 100666/, (from) => [{ mode: '100666', name: 'x', oid: from.blob('x') }]],
  ['FILE and file', /collides with FILE/, (from) => [file('FILE', from), file('file', from)]],
  // further ones
  ['.gitmodules', /gitmodules/, (from) => [file('.gitmodules', from)]],
  ['.GIT', /\.git|fsck|hasDotgit/i, (from) => [file('.GIT', from)]],
  ['git~1', /\.git|hasDotgit/i, (from) => [file('git~1', from)]],
  ['.git hidden by a joiner', /\.git|hasDotgit/i, (from) => [file(raw('.g\u200cit'), from)]],
  ['.git with a stream', /\.git|hasDotgit|backslash/i, (from) => [file('.git::$INDEX_ALLOCATION', from)]],
  ['colon', /colon/, (from) => [file('a:b', from)]],
  ['trailing dot', /dot or a space/, (from) => [file('a.', from)]],
  ['trailing space', /dot or a space/, (from) => [file('a ', from)]],
  ['nul.txt', /device/, (from) => [file('nul.txt', from)]],
  ['COM1', /device/, (from) => [file('com1', from)]],
  ['composed and decomposed', /collides/, (from) => [file(raw('\u00e9'), from), file(raw('e\u0301'), from)]],
  ['collision with an old name', /collides with README.md/, (from) => [file('readme.MD', from)]],
  ['link up and out', /out of the tree/, (from) => [link('l', '../x', from)]],
  ['link down and up', /down and up/, (from) => [link('l', 'src/../../x', from)]],
  ['link into .git', /into \.git/, (from) => [link('l', '.git/config', from)]],
  ['setuid-like mode', /mode 104755/, (from) => [{ mode: '104755', name: 'x', oid: from.blob('x') }]],
  ['group-writable file', /mode 100664/, (from) => [{ mode: '100664', name: 'x', oid: from.blob('x') }]],
  ['C1 control', /control/, (from) => [file(raw('a\u0085b'), from)]],
  [
    'too deep',
    /deeper than 64/,
    (from) => {
      let tree = from.bare.objects.writeTree([file('x', from)])
      for (let n = 0; n < 70; n += 1)
        tree = from.bare.objects.writeTree([{ mode: '40000', name: 'd', oid: tree }])
      return [{ mode: '40000', name: 'd', oid: tree }]
    },
  ],
  [
    'too long',
    /path of 1\d\d\d bytes/,
    (from) => {
      let tree = from.bare.objects.writeTree([file('x', from)])
      for (let n = 0; n < 6; n += 1)
        tree = from.bare.objects.writeTree([{ mode: '40000', name: 'n'.repeat(200), oid: tree }])
      return [{ mode: '40000', name: 'd', oid: tree }]
    },
  ],
  [
    'hidden in a directory',
    /backslash/,
    (from) => [{ mode: '40000', name: 'd', oid: from.bare.objects.writeTree([file('a\\b', from)]) }],
  ],
]

describe('quarantine', () => {
  it.each(BAD)('[GT14] [GT16] refuses: %s', async (_, why, entries) => {
    const from = await stranger()
    const tip = await from.commit(await entries(from))
    const admission = await admit(from.at.bare, join(from.bare.dir, 'objects'), tip, from.at.base, 30_000)
    expect(admission.ok).toBe(false)
    expect(admission.problems.map((problem) => problem.why).join('\n')).toMatch(why)
    expect(() => refuseHostile(admission.problems)).toThrowError(
      expect.objectContaining({ code: 'ORCH_GIT_HOSTILE' }),
    )
    expect(await from.at.bare.objects.read(tip)).toBeUndefined()
  })

  it('[GT16] honest commits enter with all their objects, and leave no quarantine behind', async () => {
    const from = await stranger()
    const one = await from.commit([file('one', from), link('l', 'src/a.txt', from)])
    const two = await from.commit(
      [file('two', from), { mode: '100755', name: 'run', oid: from.blob('#!') }],
      [one],
    )
    expect(await admit(from.at.bare, join(from.bare.dir, 'objects'), two, from.at.base, 30_000)).toEqual({
      ok: true,
      problems: [],
    })
    git(from.at.bare.dir, 'update-ref', 'refs/orch/x', two)
    expect(git(from.at.bare.dir, 'fsck', '--strict')).not.toMatch(/missing|error/)
    expect(git(from.at.bare.dir, 'log', '--format=%H', two).split('\n')).toEqual([two, one, from.at.base])
    expect(git(from.at.bare.dir, 'count-objects', '-v')).toContain('garbage: 0')
  })

  it('[GT16] a bad tree in the middle of the history is refused, though the tip is clean', async () => {
    const from = await stranger()
    const bad = await from.commit([link('l', '/etc/shadow', from)])
    const tip = await from.commit([file('fine', from)], [bad])
    const admission = await admit(from.at.bare, join(from.bare.dir, 'objects'), tip, from.at.base, 30_000)
    expect(admission.problems).toEqual([{ path: 'l', why: 'link to an absolute path' }])
  })

  it.each(['tree', 'blob', 'parent'])('[GT16] a missing %s is refused', async (what) => {
    const from = await stranger()
    const nothing = '1'.repeat(40)
    const { objects } = from.bare
    const entry = { mode: what === 'tree' ? '40000' : '100644', name: 'x', oid: nothing }
    const tip = await from.commit(
      what === 'parent' ? [] : [entry],
      what === 'parent' ? [nothing] : [from.at.base],
    )
    await objects.flush()
    const admission = await admit(from.at.bare, join(from.bare.dir, 'objects'), tip, from.at.base, 30_000)
    expect(admission.ok).toBe(false)
    expect(await from.at.bare.objects.read(tip)).toBeUndefined()
  })

  it('[GT16] what fsck refuses never gets to the lint', async () => {
    const from = await stranger()
    const body = Buffer.concat([Buffer.from('100644 ..\0'), Buffer.from(from.blob('x'), 'hex')])
    const tree = from.bare.objects.write('tree', body)
    const tip = from.bare.objects.writeCommit({
      tree,
      parents: [from.at.base],
      author: PERSON,
      committer: PERSON,
      message: 'x\n',
    })
    await from.bare.objects.flush()
    const admission = await admit(from.at.bare, join(from.bare.dir, 'objects'), tip, from.at.base, 30_000)
    expect(admission).toMatchObject({ ok: false, problems: [{ path: '' }] })
  })

  it('[GT16] a quarantine that is given up leaves nothing', async () => {
    const from = await stranger()
    const quarantine = await Quarantine.open(from.at.bare)
    const oid = gitInput(quarantine.call.objectDir!, 'x', 'hash-object', '--stdin')
    await quarantine.receive(
      join(from.bare.dir, 'objects'),
      await from.commit([file('y', from)]),
      from.at.base,
      30_000,
    )
    await quarantine.close()
    expect(await from.at.bare.objects.read(oid)).toBeUndefined()
    expect(git(from.at.bare.dir, 'count-objects', '-v')).toContain('garbage: 0')
  })
})

describe('lint', () => {
  it('[GT15] names that the base had before may stay and change; new ones of the kind may not come', async () => {
    const from = await stranger()
    const { objects } = from.bare
    const old = [
      file('-x', from),
      file('a:b', from),
      file('FILE', from),
      file('file', from),
      link('abs', '/etc/hosts', from),
    ]
    const base = objects.writeTree(old)
    const edited = objects.writeTree([
      ...old.slice(1),
      { mode: '100755', name: '-x', oid: from.blob('y') },
      file('fine', from),
    ])
    expect(await lintTree(objects, base, edited)).toEqual([])
    const retargeted = objects.writeTree([...old.slice(0, 4), link('abs', '/etc/passwd', from)])
    expect(await lintTree(objects, base, retargeted)).toEqual([
      { path: 'abs', why: 'link to an absolute path' },
    ])
    const added = objects.writeTree([...old, file('-y', from), file('File', from)])
    const problems = await lintTree(objects, base, added)
    expect([...new Set(problems.map(({ path }) => path))].sort()).toEqual(['-y', 'File'])
  })

  it('[GT14] the list of problems is bounded', async () => {
    const from = await stranger()
    const entries = Array.from({ length: 500 }, (_, n) => file(`-${n}`, from))
    expect(await lintTree(from.bare.objects, '', from.bare.objects.writeTree(entries))).toHaveLength(100)
  })

  it.each([
    'a',
    'README.md',
    '.gitignore',
    '.github',
    '.git-blame-ignore-revs',
    'con-fig.ts',
    'console.log',
    'null',
    'com10',
    'naïve',
    '日本',
    'a-b',
    'x~1',
    'aux-file',
  ])('[GT14] %j is an honest name', (name) => {
    expect(nameProblem(raw(name))).toBeUndefined()
  })

  it('[GT14] names that are not UTF-8 equal only themselves', () => {
    expect(foldName('a\xff')).not.toBe(foldName('a\xfe'))
    expect(foldName(raw('STRASSE'))).toBe(foldName(raw('Straße')))
  })

  it.each([
    ['a', 1, true],
    ['./a/b', 1, true],
    ['../a', 2, true],
    ['..', 2, true],
    ['../..', 2, false],
    ['../../a', 3, true],
    ['a/..', 2, false],
    ['', 1, false],
    ['/a', 5, false],
    ['C:/x', 5, false],
    ['a\\b', 5, false],
    ['../.GIT/hooks', 3, false],
    ['.github/x', 1, true],
  ])('[GT14] link target %j at depth %i: %s', (target, depth, ok) => {
    expect(targetProblem(target, depth) === undefined).toBe(ok)
  })
})
