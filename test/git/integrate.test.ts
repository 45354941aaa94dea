// Goal: the same facts give the same commits on every node, and a conflict is told as a value with the tasks that caused it.
import { appendFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { BareRepository } from '../../src/git/bare.ts'
import { advance, fold, rebase, trailersSince, tryMerge } from '../../src/git/integrate.ts'
import { baseRef, headRef, rawRef, runBranch, workRef } from '../../src/git/ref.ts'
import { formatMessage, readTrailer } from '../../src/git/trailer.ts'
import { mergePlain, mergeTrees } from '../../src/git/tree-merge.ts'
import {
  BASE_FILES,
  bareOf,
  delta,
  type Files,
  filesOf,
  git,
  gitInput,
  mergeRequest,
  NODE_A,
  place,
  script,
  tempDir,
  work,
} from './fixture.ts'

describe('fold', () => {
  it('[GT17] one commit per delta, with fixed people, dates and trailers', async () => {
    const { bare, base } = await place()
    const one = await work(bare, base, { 'src/b.txt': 'B\n' })
    const two = await work(bare, base, { 'src/new.txt': 'N\n' })
    const out = await fold(
      bare,
      mergeRequest(base, [
        delta('one', base, one),
        delta('two', base, two, { epoch: 3, authorName: 'Codex <x>' }),
      ]),
    )
    expect(out.conflict).toBeUndefined()
    expect(out.chain.map(({ task, empty }) => [task, empty])).toEqual([
      ['one', false],
      ['two', false],
    ])
    const tip = out.chain[1]!.commit
    expect(git(bare.dir, 'log', '--format=%an <%ae>|%cn <%ce>|%aI|%cI|%s', `${base}..${tip}`)).toBe(
      [
        'Codex x <codex-x@orch-node.invalid>|orch-node <orch-node@localhost>|2030-01-02T03:04:05+00:00|2030-01-02T03:04:05+00:00|Task two',
        'claude <claude@orch-node.invalid>|orch-node <orch-node@localhost>|2030-01-02T03:04:05+00:00|2030-01-02T03:04:05+00:00|Task one',
      ].join('\n'),
    )
    expect(git(bare.dir, 'log', '-1', '--format=%(trailers:only,unfold)', tip).trim().split('\n')).toEqual([
      'Orch-Run: demo-1a2b',
      'Orch-Task: two',
      `Orch-Result: 1.3/${NODE_A}`,
      'Orch-Term: 1',
    ])
    expect(filesOf(bare, tip)).toMatchObject({ 'src/b.txt': 'B', 'src/new.txt': 'N', 'README.md': 'hello' })
    expect(git(bare.dir, 'fsck', '--strict', tip)).not.toMatch(/missing|error/)
  })

  it('[GT17] gives the same ids in another repository, in another order of work', async () => {
    const { bare, base, facts } = await place()
    const other = await bareOf(join(tempDir(), 'data'), facts)
    const files: Files[] = [
      { 'src/a.txt': 'ONE\ntwo\nthree\nfour\nfive\nsix\nseven\n' },
      { 'src/a.txt': 'one\ntwo\nthree\nfour\nfive\nsix\nSEVEN\n' },
      { x: 'x' },
    ]
    const tips = []
    for (const [place, order] of [
      [bare, [0, 1, 2]],
      [other, [2, 1, 0]],
    ] as const) {
      const heads: string[] = []
      for (const n of order) heads[n] = await work(place, base, files[n]!)
      tips.push(
        (
          await fold(
            place,
            mergeRequest(
              base,
              heads.map((head, n) => delta(`t${n}`, base, head)),
            ),
          )
        ).chain.map(({ commit }) => commit),
      )
    }
    expect(tips[0]).toHaveLength(3)
    expect(tips[0]).toEqual(tips[1])
    expect(filesOf(bare, tips[0]![2]!)['src/a.txt']).toBe('ONE\ntwo\nthree\nfour\nfive\nsix\nSEVEN')
  })

  it('[GT17] an id that never changes', async () => {
    const { bare, base } = await place()
    const head = await work(bare, base, { 'src/b.txt': 'B\n' })
    const out = await fold(bare, mergeRequest(base, [delta('golden', base, head)]))
    expect(base).toBe('e8564f1ff063a086548a9c6f6ff6395ecf15c596')
    expect(out.chain[0]!.commit).toBe('b5bfe8368ed3130eff116e201b9d5d184e8298b0')
  })

  it('[GT17] works with SHA-256 ids', async () => {
    const { bare, base } = await place(BASE_FILES, '--object-format=sha256')
    const one = await work(bare, base, { 'src/a.txt': 'X\n' })
    const two = await work(bare, base, { 'src/a.txt': null, 'src/n/deep': 'x' })
    const out = await fold(bare, mergeRequest(base, [delta('one', base, one), delta('two', base, two)]))
    expect(out.chain[0]!.commit).toHaveLength(64)
    expect(out.conflict?.paths).toEqual(['src/a.txt'])
  })

  it('[GT18] a delta of nothing, and one that is there already, make no commit', async () => {
    const { bare, base } = await place()
    const head = await work(bare, base, { x: 'x' })
    const nothing = delta('nothing', base, base)
    const out = await fold(
      bare,
      mergeRequest(base, [nothing, delta('one', base, head), delta('same', base, head)]),
    )
    const commit = out.chain[1]!.commit
    expect(out.chain).toEqual([
      { task: 'nothing', commit: base, empty: true },
      { task: 'one', commit, empty: false },
      { task: 'same', commit, empty: true },
    ])
  })

  it('[GT18] a delta of nothing on a foreign base does not bring that base along', async () => {
    const { bare, base } = await place()
    const elsewhere = await work(bare, base, { unrelated: 'x' })
    const out = await fold(bare, mergeRequest(base, [delta('nothing', elsewhere, elsewhere)]))
    expect(out.chain).toEqual([{ task: 'nothing', commit: base, empty: true }])
  })

  it('[GT17] a base that is no ancestor of the tip is fine: only the delta moves', async () => {
    const { bare, base } = await place()
    const dep = await work(bare, base, { dep: 'draft\n' })
    const head = await work(bare, dep, { mine: 'x' })
    const other = await work(bare, base, { dep: 'final\n' })
    const out = await fold(bare, mergeRequest(other, [delta('t', dep, head)]))
    expect(filesOf(bare, out.chain[0]!.commit)).toMatchObject({ dep: 'final', mine: 'x' })
  })

  it('[GT17] a rename on one side takes the edit of the other along', async () => {
    const { bare, base } = await place()
    const renamed = await work(bare, base, { 'src/a.txt': null, 'lib/a.txt': BASE_FILES['src/a.txt']! })
    const edited = await work(bare, base, { 'src/a.txt': `${BASE_FILES['src/a.txt']}eight\n` })
    const out = await fold(
      bare,
      mergeRequest(base, [delta('rename', base, renamed), delta('edit', base, edited)]),
    )
    const files = filesOf(bare, out.chain[1]!.commit)
    expect(files['lib/a.txt']).toContain('eight')
    expect(files['src/a.txt']).toBeUndefined()
  })

  it('[GT19] a conflict names task, paths and the other tasks, and shows the hunk; what came before stays', async () => {
    const { bare, base } = await place()
    const make = (files: Files): Promise<string> => work(bare, base, files)
    const deltas = [
      delta('far', base, await make({ 'docs/guide.md': 'far\n' })),
      delta('left', base, await make({ 'src/b.txt': 'left\n', 'docs/x': 'x' })),
      delta('right', base, await make({ 'src/b.txt': 'right\n', 'README.md': 'r\n' })),
      delta('never', base, await make({ y: 'y' })),
    ]
    const out = await fold(bare, mergeRequest(base, deltas))
    expect(out.chain.map(({ task }) => task)).toEqual(['far', 'left'])
    expect(out.conflict).toMatchObject({ task: 'right', paths: ['src/b.txt'], with: ['left'] })
    expect(out.conflict!.output).toBe(
      'CONFLICT (content): Merge conflict in src/b.txt\n--- src/b.txt\n<<<<<<< integrated\nleft\n=======\nright\n>>>>>>> right',
    )
  })

  it('[GT19] tells modify/delete and file/directory conflicts', async () => {
    const { bare, base } = await place()
    const gone = delta('gone', base, await work(bare, base, { 'src/b.txt': null }))
    const edit = delta('edit', base, await work(bare, base, { 'src/b.txt': 'edit\n' }))
    const dir = delta('dir', base, await work(bare, base, { 'new/inner': 'x' }))
    const plain = delta('plain', base, await work(bare, base, { new: 'x' }))
    const first = await fold(bare, mergeRequest(base, [gone, edit]))
    expect(first.conflict).toMatchObject({
      paths: ['src/b.txt'],
      with: ['gone'],
      output: expect.stringContaining('deleted in integrated and modified in edit'),
    })
    expect((await fold(bare, mergeRequest(base, [dir, plain]))).conflict).toMatchObject({ task: 'plain' })
  })

  it('[GT19] tasks that the delta was built on are not among those it conflicts with', async () => {
    const { bare, base } = await place()
    const one = delta('one', base, await work(bare, base, { 'src/b.txt': 'one\n' }))
    const provisional = (await fold(bare, mergeRequest(base, [one]))).chain[0]!.commit
    const two = delta('two', provisional, await work(bare, provisional, { 'src/b.txt': 'two\n' }))
    const rival = delta('rival', provisional, await work(bare, provisional, { 'src/b.txt': 'rival\n' }))
    const out = await fold(bare, mergeRequest(base, [one, rival, two]))
    expect(out.conflict).toMatchObject({ task: 'two', with: ['rival'] })
  })

  it('[GT19] the preview says the same and moves no ref', async () => {
    const { bare, base } = await place()
    const before = await bare.listRefs('refs/')
    const left = await work(bare, base, { 'src/b.txt': 'left\n' })
    const tip = (await fold(bare, mergeRequest(base, [delta('left', base, left)]))).chain[0]!.commit
    const right = delta('right', base, await work(bare, base, { 'src/b.txt': 'right\n' }))
    expect(await tryMerge(bare, mergeRequest(tip, []), right)).toMatchObject({
      task: 'right',
      with: ['left'],
    })
    expect(await tryMerge(bare, mergeRequest(base, []), right)).toBeUndefined()
    expect(await bare.listRefs('refs/')).toEqual(before)
  })

  it('[GT19] merge drivers named by attributes do not run', async () => {
    const { bare, base, dir } = await place({ ...BASE_FILES, '.gitattributes': '* merge=evil\n' })
    const marker = join(dir, 'fired')
    script(join(dir, 'evil.sh'), `touch ${marker}; exit 0`)
    // Even with the driver defined where an attacker without our uid could never write.
    appendFileSync(join(dir, 'global.cfg'), `[merge "evil"]\n\tdriver = ${join(dir, 'evil.sh')} %A\n`)
    const before = process.env.GIT_CONFIG_GLOBAL
    process.env.GIT_CONFIG_GLOBAL = join(dir, 'global.cfg')
    try {
      const left = delta('left', base, await work(bare, base, { 'src/b.txt': 'left\n' }))
      const right = delta('right', base, await work(bare, base, { 'src/b.txt': 'right\n' }))
      expect((await fold(bare, mergeRequest(base, [left, right]))).conflict?.task).toBe('right')
    } finally {
      if (before === undefined) delete process.env.GIT_CONFIG_GLOBAL
      else process.env.GIT_CONFIG_GLOBAL = before
    }
    expect(existsSync(marker)).toBe(false)
  })

  it('[GT17] many folds at once do not disturb each other', async () => {
    const { bare, base } = await place()
    const deltas = await Promise.all(
      Array.from({ length: 8 }, async (_, n) =>
        delta(`t${n}`, base, await work(bare, base, { [`dir${n % 3}/f${n}`]: `${n}\n` })),
      ),
    )
    const runs = await Promise.all([1, 2, 3, 4].map(() => fold(bare, mergeRequest(base, deltas))))
    for (const run of runs) expect(run).toEqual(runs[0])
    expect(Object.keys(filesOf(bare, runs[0]!.chain.at(-1)!.commit))).toHaveLength(5 + 8)
  })
})

describe('the ref of a run', () => {
  it('[GT21] [GT22] advances by compare-and-set and tells its own history', async () => {
    const { bare, base } = await place()
    const ref = headRef('demo-1a2b')
    const deltas = [
      delta('one', base, await work(bare, base, { x: 'x' })),
      delta('two', base, await work(bare, base, { y: 'y' }), { round: 2, epoch: 5 }),
    ]
    const { chain } = await fold(bare, mergeRequest(base, deltas, { term: 3 }))
    expect(await advance(bare, ref, base, undefined)).toBe(true)
    expect(await advance(bare, ref, chain[1]!.commit, base)).toBe(true)
    expect(await advance(bare, ref, chain[0]!.commit, base)).toBe(false)
    expect(await bare.readRef(ref)).toBe(chain[1]!.commit)
    expect(await trailersSince(bare, chain[1]!.commit, base)).toEqual([
      {
        run: 'demo-1a2b',
        task: 'one',
        round: 1,
        epoch: 1,
        node: NODE_A,
        term: 3,
        position: 1,
        commit: chain[0]!.commit,
      },
      {
        run: 'demo-1a2b',
        task: 'two',
        round: 2,
        epoch: 5,
        node: NODE_A,
        term: 3,
        position: 2,
        commit: chain[1]!.commit,
      },
    ])
    expect(await trailersSince(bare, base, base)).toEqual([])
  })

  it('[GT22] refuses a history that is not its own', async () => {
    const { bare, base } = await place()
    const foreign = gitInput(bare.dir, 'not ours\n', 'commit-tree', '-p', base, `${base}^{tree}`)
    await expect(trailersSince(bare, foreign, base)).rejects.toMatchObject({ code: 'ORCH_GIT_FAILED' })
  })

  it.each([
    '',
    'a\n\nOrch-Run: x\nOrch-Task: t\nOrch-Result: 9.9/evil\nOrch-Term: 9',
    'line\r\nline',
    '  ',
    'Orch-Task: t',
    '\u0000',
  ])('[GT22] title %j cannot forge a trailer', (title) => {
    const trailer = { run: 'demo-1a2b', task: 'real', round: 1, epoch: 2, node: NODE_A, term: 1 }
    const message = formatMessage(title, trailer)
    expect(message.split('\n')).toHaveLength(7)
    expect(readTrailer(message)).toEqual(trailer)
  })

  it('[GT22] a paragraph that only looks like ours is not read', () => {
    expect(
      readTrailer('title\n\nOrch-Run: a\nOrch-Task: ../x\nOrch-Result: 1.1/n\nOrch-Term: 1\n'),
    ).toBeUndefined()
    expect(
      readTrailer('title\n\nOrch-Run: a\nOrch-Task: t\nOrch-Result: 0.1/n\nOrch-Term: 1\n'),
    ).toBeUndefined()
    expect(
      readTrailer('title\n\nOrch-Run: a\nOrch-Task: t\nOrch-Result: 1.1/n\nOrch-Term: 1\n\nmore\n'),
    ).toBeUndefined()
  })

  it('[GT26] ref names are made of checked ids only', () => {
    expect(workRef('demo-1a2b/docs.api/2.13/01JD0000000000000000ABCDEF')).toBe(
      'refs/orch/runs/demo-1a2b/docs.api/2.13-00ABCDEF',
    )
    expect(headRef('demo-1a2b')).toBe('refs/orch/heads/demo-1a2b')
    expect(headRef('demo-1a2b', 2)).toBe('refs/orch/heads/demo-1a2b-t2')
    const bad = [
      () => workRef('demo/../x/1.1/01JD0000000000000000ABCDEF'),
      () => rawRef('-x/t/1.1/01JD0000000000000000ABCDEF'),
    ]
    bad.push(
      () => headRef('a b'),
      () => baseRef('--all'),
      () => baseRef('HEAD'),
      () => runBranch('../main'),
      () => workRef(''),
    )
    for (const make of bad) expect(make).toThrowError(expect.objectContaining({ code: 'ORCH_BUG' }))
  })
})

describe('the plain merge', () => {
  /** Random edits of a small tree, renames and directory renames included: what agents do, and what merges get wrong. */
  function edit(files: Map<string, string>, random: () => number): Map<string, string> {
    const out = new Map(files)
    const pick = <T>(items: T[]): T => items[Math.floor(random() * items.length)]!
    for (let n = 1 + Math.floor(random() * 3); n > 0; n -= 1) {
      const names = [...out.keys()].sort()
      const name = pick(names)
      const kind = Math.floor(random() * 7)
      if (name === undefined || kind === 0)
        out.set(
          `d${Math.floor(random() * 4)}/n${Math.floor(random() * 4)}`,
          `new ${Math.floor(random() * 2)}\n`,
        )
      else if (kind === 1) out.delete(name)
      else if (kind === 2) {
        out.set(`d${Math.floor(random() * 4)}/m${Math.floor(random() * 3)}`, out.get(name)!)
        out.delete(name)
      } else if (kind === 3) {
        const from = name.slice(0, name.indexOf('/'))
        const to = `e${Math.floor(random() * 3)}`
        for (const path of names) {
          if (!path.startsWith(`${from}/`)) continue
          out.set(`${to}/${path.slice(from.length + 1)}`, out.get(path)!)
          out.delete(path)
        }
      } else if (kind === 4) out.set(name, `${out.get(name)}tail ${Math.floor(random() * 2)}\n`)
      else if (kind === 5) out.set(name, `head ${Math.floor(random() * 2)}\n${out.get(name)}`)
      else out.set(`${name.split('/')[0]}/deep/x${Math.floor(random() * 3)}`, 'deep\n')
    }
    // A file cannot be a directory too.
    for (const path of [...out.keys()])
      if ([...out.keys()].some((other) => other.startsWith(`${path}/`))) out.delete(path)
    return out
  }

  async function treeOf(bare: BareRepository, files: Map<string, string>): Promise<string> {
    const { objects } = bare
    const build = (prefix: string): string => {
      const entries = new Map<string, { mode: string; name: string; oid: string }>()
      for (const [path, text] of files) {
        if (!path.startsWith(prefix)) continue
        const rest = path.slice(prefix.length)
        const slash = rest.indexOf('/')
        const name = slash < 0 ? rest : rest.slice(0, slash)
        if (entries.has(name)) continue
        if (slash < 0)
          entries.set(name, { mode: '100644', name, oid: objects.write('blob', Buffer.from(text)) })
        else entries.set(name, { mode: '40000', name, oid: build(`${prefix}${name}/`) })
      }
      return objects.writeTree([...entries.values()])
    }
    const tree = build('')
    await objects.flush()
    return tree
  }

  it('[GT20] where it answers, git gives the same tree; it answers often', async () => {
    const { bare, base } = await place()
    let seed = 20_260_101
    const random = (): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
      return seed / 2 ** 32
    }
    const body = (n: number): string =>
      Array.from({ length: 12 }, (_, line) => `file ${n} line ${line}\n`).join('')
    const start = new Map(Array.from({ length: 9 }, (_, n) => [`d${n % 3}/f${n}`, body(n)]))
    const person = 'P <p@example.org> 1 +0000'
    const commit = (tree: string, parents: string[]): string =>
      bare.objects.writeCommit({ tree, parents, author: person, committer: person, message: 'x\n' })
    let plainly = 0
    let cleanly = 0
    const baseTree = await treeOf(bare, start)
    for (let n = 0; n < 150; n += 1) {
      const [ours, theirs] = [
        await treeOf(bare, edit(start, random)),
        await treeOf(bare, edit(start, random)),
      ]
      if (ours === baseTree || theirs === baseTree || ours === theirs) continue
      const root = commit(baseTree, [base])
      const pair = [commit(ours, [root]), commit(theirs, [root])]
      await bare.objects.flush()
      const answer = await bare.run(['merge-tree', '--write-tree', '--name-only', ...pair], { exits: [0, 1] })
      const expected = answer.exit === 0 ? answer.stdout.toString().trim() : 'conflict'
      const plain = await mergePlain(bare.objects, baseTree, ours, theirs)
      if (plain !== undefined) expect(plain, `case ${n}`).toBe(expected)
      const whole = await mergeTrees(
        bare.objects,
        bare.dir,
        { base: baseTree, ours, theirs },
        { ours: 'a', theirs: 'b' },
      )
      expect(whole.ok ? whole.tree : 'conflict', `case ${n}`).toBe(expected)
      plainly += plain === undefined ? 0 : 1
      cleanly += answer.exit === 0 ? 1 : 0
    }
    expect(cleanly).toBeGreaterThan(50)
    expect(plainly / cleanly).toBeGreaterThan(0.4)
  })

  it('[GT20] deletions on both sides leave no empty directory', async () => {
    const { bare, base } = await place()
    const one = delta('one', base, await work(bare, base, { 'src/a.txt': null }))
    const two = delta('two', base, await work(bare, base, { 'src/b.txt': null }))
    const { chain } = await fold(bare, mergeRequest(base, [one, two]))
    expect(git(bare.dir, 'ls-tree', '--name-only', chain[1]!.commit).split('\n')).not.toContain('src')
  })

  it('[GT17] a chain is replayed with its people and messages', async () => {
    const { bare, base } = await place()
    const head = await work(bare, base, { x: 'x' })
    const onto = await work(bare, base, { y: 'y' })
    const commit = await bare.objects.commit(head)
    const change = {
      task: 't',
      base,
      head,
      commitOf: (tree: string, parent: string) => ({ ...commit, tree, parents: [parent] }),
    }
    const done = await rebase(bare, onto, [change])
    expect(done.ok).toBe(true)
    expect(git(bare.dir, 'log', '-1', '--format=%an %s %P', done.tip)).toBe(`W work ${onto}`)
  })
})
