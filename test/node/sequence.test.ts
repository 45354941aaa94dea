// The sequences that a person meets on one machine, on a real repository with real processes: what is accepted, what is kept, what is told.
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { violations } from '../../src/core/invariant.ts'
import { follow, git, play, repository, shell, startNode, submit, temporaryDir } from './fixture.ts'

describe('sequences on one node', () => {
  it('[NS1] failure, then success: the second attempt has the output of the first as its hint', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    // The needle stands nowhere in the command itself, only in its output.
    const run = `grep -q "needle 4[2]" "$ORCH_TASK_FILE" && echo learned > a.txt || { echo "needle $((6 * 7))"; exit 3; }`
    const { summary, tasks } = await play(node, {
      repository: repo,
      tasks: [
        shell('learn', run, { write: ['a.txt'], retry: { strategy: 'fixed', attempts: 2, delayMs: 10 } }),
      ],
    })
    expect(summary.status).toBe('complete')
    expect(tasks.learn).toMatchObject({ status: 'accepted', attempts: 2, failures: 1, files: 1 })
    const detail = await node.face.task({ task: 'learn' })
    expect(detail.attemptList.map((a) => a.outcome)).toEqual(['failed', 'done'])
    expect(detail.attemptList[0]!.excerpt).toContain('needle 42')
    expect(git(repo, 'show', `orch/${summary.id}:a.txt`)).toBe('learned')
  })

  it('[NS2] conflict, retry on the new base, landed', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const gate = join(temporaryDir(), 'go')
    const wait = `while [ ! -e ${gate} ]; do sleep 0.02; done`
    const run = await submit(node, {
      repository: repo,
      merge: { onConflict: 'retry', land: 'main' },
      tasks: [
        shell('file', `${wait}; echo one > f`, { write: ['f'] }),
        // Where a file stands in the way, it goes elsewhere: what an agent would do with the hint.
        shell(
          'tree',
          `${wait}; sleep 0.2; if [ -f f ]; then d=f.d; else d=f; fi; mkdir -p $d; echo two > $d/two.txt`,
          { write: ['f/*.txt', 'f.d/*.txt'] },
        ),
      ],
    })
    writeFileSync(gate, '')
    const summary = await follow(node, run)
    const tasks = await node.face.tasks({ run })
    expect(summary.status).toBe('complete')
    expect(tasks.find((t) => t.id === 'tree')).toMatchObject({ round: 2, attempts: 2 })
    expect(git(repo, 'show', 'main:f.d/two.txt')).toBe('two')
    expect(summary.landed?.branch).toBe('main')
    expect(git(repo, 'status', '--porcelain')).toBe('')
  })

  it('[NS3] a real conflict is told with its paths, waits for a person, and both sides stay under a ref', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const gate = join(temporaryDir(), 'go')
    const wait = `while [ ! -e ${gate} ]; do sleep 0.02; done`
    // No path matches both scopes, and still the one makes a file where the other makes a directory.
    const run = await submit(node, {
      repository: repo,
      merge: { onConflict: 'manual' },
      tasks: [
        shell('one', `${wait}; echo one > f`, { write: ['f'] }),
        shell('two', `${wait}; mkdir -p f; echo two > f/two.txt`, { write: ['f/*.txt'] }),
      ],
    })
    writeFileSync(gate, '')
    await follow(node, run, (u) => u.type === 'run' && u.run.status === 'stuck')
    const [conflict, ...more] = await node.face.conflicts({ run })
    expect(more).toEqual([])
    // Whichever was accepted first stays.
    const [kept, loser] = conflict!.task.endsWith('/two') ? ['one', 'two'] : ['two', 'one']
    expect(conflict).toMatchObject({ task: `${run}/${loser}`, status: 'blocked', with: [kept] })
    expect(conflict!.paths.join()).toContain('f')
    const refs = await node.engine.options.git.listRefs(
      node.engine.state.board.runs.get(run)!.header!.repository!.id,
      `refs/orch/runs/${run}/`,
    )
    expect(refs.map((r) => r.ref.split('/')[4]).sort()).toEqual(['one', 'two'])
    // A retry builds on what was accepted, so it meets a file where it wants a directory, or the other way: the worker's own failure now.
    await node.face.retry({ task: `${run}/${loser}` })
    const summary = await follow(node, run)
    expect(summary.status).toBe('partial')
  })

  it('[NS10] a task that may write what another has just written waits until that is integrated', async () => {
    const repo = repository({ 'f.txt': 'base\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const { summary, tasks } = await play(node, {
      repository: repo,
      merge: { verify: 'sleep 0.3' },
      tasks: [
        shell('one', 'echo one >> f.txt', { write: ['f.txt'], group: { name: 'f', concurrency: 1 } }),
        shell('two', 'echo two >> f.txt', { write: ['[f-g].txt'], group: { name: 'f', concurrency: 1 } }),
        shell('any', 'echo any >> f.txt'),
      ],
    })
    expect(summary.status).toBe('complete')
    expect(Object.values(tasks).map((t) => t.attempts)).toEqual([1, 1, 1])
    expect(git(repo, 'show', `orch/${summary.id}:f.txt`).split('\n').sort()).toEqual([
      'any',
      'base',
      'one',
      'two',
    ])
  })

  it('[NS4] verify fails: the culprit is found, the others are accepted', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir(), slots: 5 })
    const { summary, tasks } = await play(node, {
      repository: repo,
      merge: { verify: '! grep -rq BROKEN --include=*.txt .' },
      tasks: [
        shell('good1', 'echo 1 > g1.txt', { write: ['g1.txt'] }),
        shell('bad', 'echo BROKEN > b.txt', { write: ['b.txt'] }),
        shell('good2', 'echo 2 > g2.txt', { write: ['g2.txt'] }),
        shell('good3', 'echo 3 > g3.txt', { write: ['g3.txt'] }),
        shell('later', 'cat b.txt > l.txt', { needs: ['bad'], write: ['l.txt'] }),
      ],
    })
    expect(summary.status).toBe('partial')
    expect(Object.fromEntries(Object.values(tasks).map((t) => [t.id, t.status]))).toEqual({
      good1: 'accepted',
      bad: 'failed',
      good2: 'accepted',
      good3: 'accepted',
      later: 'dropped',
    })
    const detail = await node.face.task({ task: 'bad' })
    expect(detail.rejects[0]).toMatchObject({ why: 'verify' })
    expect(detail.attemptList[0]!.ref).toBeDefined()
    expect(violations(node.engine.state.board)).toEqual([])
  })

  it('[NS5] a check that fails rejects the result; its output is the hint of the next round', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const { summary, tasks } = await play(node, {
      repository: repo,
      tasks: [
        shell(
          'doc',
          `if grep -q "must say 4[2]" "$ORCH_TASK_FILE"; then echo please > doc.txt; else echo now > doc.txt; fi`,
          {
            write: ['doc.txt'],
            check: 'grep -q please doc.txt || { echo "must say $((6 * 7))"; exit 1; }',
            retry: { strategy: 'fixed', attempts: 2, delayMs: 0 },
          },
        ),
      ],
    })
    expect(summary.status).toBe('complete')
    expect(tasks.doc).toMatchObject({ status: 'accepted', round: 2 })
  })

  it('[NS6] the target moved while the run worked: rebased onto it, verified again, landed', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, {
      repository: repo,
      merge: { verify: 'test -e a.txt' },
      tasks: [shell('new', 'echo n > n.txt', { write: ['n.txt'] })],
    })
    const summary = await follow(node, run)
    writeFileSync(join(repo, 'other.txt'), 'by hand\n')
    git(repo, 'add', '-A')
    git(repo, 'commit', '-qm', 'by hand')
    const moved = git(repo, 'rev-parse', 'HEAD')
    const landed = await node.face.land({ run, into: 'main' })
    expect(landed).toMatchObject({ branch: 'main', from: moved })
    expect(git(repo, 'rev-parse', 'HEAD')).toBe(landed.commit)
    expect(git(repo, 'rev-parse', 'HEAD~1')).toBe(moved)
    expect(existsSync(join(repo, 'n.txt'))).toBe(true)
    expect(summary.status).toBe('complete')
  })

  it('[NS7] a dirty checked-out target is refused and left alone; the run is complete with a problem', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    writeFileSync(join(repo, 'a.txt'), 'my own edit\n')
    const { summary } = await play(node, {
      repository: repo,
      merge: { land: 'main' },
      tasks: [shell('t', 'echo x > a.txt', { write: ['a.txt'] })],
    })
    expect(summary.problem?.code).toBe('ORCH_TARGET_DIRTY')
    expect(git(repo, 'show', ':a.txt')).toBe('a')
    expect(execFileSync('cat', [join(repo, 'a.txt')], { encoding: 'utf8' })).toBe('my own edit\n')
    expect(git(repo, 'show', `orch/${summary.id}:a.txt`)).toBe('x')
  })

  it('[NS8] the run can be recomputed from its facts in another clone: the same ids', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const dataDir = temporaryDir()
    const node = await startNode({ dataDir })
    const { run, summary } = await play(node, {
      repository: repo,
      tasks: ['x', 'y', 'z'].map((id) => shell(id, `echo ${id} > ${id}.txt`, { write: [`${id}.txt`] })),
    })
    const board = node.engine.state.board.runs.get(run)!
    const { repository: spec, createdAt, base } = board.header!
    let tip = base!
    for (let p = 1; p <= board.lastPosition; p++) {
      const task = board.positions.get(p)!
      const entry = task.provisional!
      const made = await node.engine.options.git.fold(spec!.id, {
        run,
        tip,
        date: createdAt,
        term: 1,
        deltas: [
          {
            task: task.id,
            round: entry.round,
            epoch: entry.epoch,
            by: entry.node,
            base: entry.result!.base!,
            head: entry.result!.head!,
            title: task.spec!.title ?? task.id,
            authorName: task.spec!.kind,
          },
        ],
      })
      expect(made.chain[0]!.commit).toBe(task.accepted!.commit)
      tip = made.chain[0]!.commit
    }
    expect(tip).toBe(summary.commit)
  })

  it('[NS9] retry of a failed task reopens the run, and its dependants follow', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const flag = join(temporaryDir(), 'fixed')
    const node = await startNode({ dataDir: temporaryDir() })
    const { run, summary } = await play(node, {
      repository: repo,
      tasks: [
        shell('first', `test -e ${flag} && echo ok > f.txt`, { write: ['f.txt'] }),
        shell('second', 'cat f.txt > s.txt', { write: ['s.txt'], needs: ['first'] }),
        shell('third', 'echo 3 > t.txt', { write: ['t.txt'] }),
      ],
    })
    expect(summary.status).toBe('partial')
    writeFileSync(flag, '')
    await node.face.retry({ task: `${run}/first` })
    const again = await follow(node, run)
    expect(again.status).toBe('complete')
    expect(git(repo, 'show', `orch/${run}:s.txt`)).toBe('ok')
  })
})
