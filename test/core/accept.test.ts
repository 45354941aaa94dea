/** Acceptance and the end of a run, over a git edge without git. */
import { describe, expect, it } from 'vitest'
import { violations } from '../../src/core/invariant.ts'
import type { TaskSpec } from '../../src/core/task.ts'
import { BASE, FakeGit } from './fake-git.ts'
import { LoneNode, RUN } from './lone-node.ts'

const file = (name: string): Partial<TaskSpec> => ({ scope: { write: [name], read: [] } })
const repository = { repository: true }

function noViolations(node: LoneNode): void {
  expect(violations(node.state.board)).toEqual([])
}

describe('from provisional to accepted', () => {
  it('[AC1] a result with files is accepted only after the ref has moved, at the next position, with its commit', () => {
    const node = new LoneNode()
    node.submit({ a: {} }, repository)
    node.end('a')
    const step = () => node.effects.map((e) => e.type).filter((t) => t !== 'start')
    expect(step()).toEqual(['fold'])
    node.do(node.git.answer(node.take('fold')[0]!)!)
    expect(step()).toEqual(['advance'])
    expect(node.task('a').status).toBe('provisional')
    const [advance] = node.take('advance')
    expect(advance).toMatchObject({ old: BASE })
    node.do(node.git.answer(advance!)!)
    expect(node.task('a')).toMatchObject({
      status: 'accepted',
      accepted: { position: 1, commit: advance!.next },
    })
    expect(node.task('a').run.tip()).toBe(advance!.next)
    noViolations(node)
  })

  it('[AC2] a result without files is accepted as it comes, as soon as what it needs is final', () => {
    const node = new LoneNode()
    node.submit({ a: file('a'), b: { needs: ['a'], ...file('b') }, c: {} }, repository)
    node.end('a')
    node.end('b', { files: 0 })
    expect(node.task('b').status).toBe('provisional')
    node.integrate()
    expect(node.said('accepts').map((a) => a.key)).toEqual(['a/1/1', 'b/1/1'])
    noViolations(node)
  })

  it('[AC3] results are folded in batches, what is needed first; with `per-task` one at a time', () => {
    for (const mode of ['combined', 'per-task'] as const) {
      const node = new LoneNode()
      const merge = { mode, verify: 'npm test' }
      node.submit(
        { a: file('a'), b: { needs: ['a'], ...file('b') }, c: { needs: ['b'], ...file('c') } },
        { ...repository, merge },
      )
      for (const id of ['a', 'b', 'c']) node.end(id)
      node.integrate()
      expect(node.git.holds(node.git.tip(RUN))).toEqual(['a', 'b', 'c'])
      // `a` was alone when it came; the others were waiting when it was done.
      expect(node.git.gates.map((g) => g.on.length)).toEqual(mode === 'combined' ? [1, 3] : [1, 2, 3])
      noViolations(node)
    }
  })

  it('[AC3] a result that changes nothing on the tip is accepted without a commit', () => {
    const node = new LoneNode({ git: new FakeGit({ isEmpty: (d) => d.task === 'a' }) })
    node.submit({ a: file('a'), b: file('b') }, repository)
    node.runAll()
    expect(node.task('a').accepted).toMatchObject({ position: 1 })
    expect(node.task('a').accepted!.commit).toBeUndefined()
    expect(node.task('b').run.tip()).toBe(node.task('b').accepted!.commit)
    expect(node.task('b').run.finished).toBe(true)
  })

  it('[AC4] acceptance is closed under needs: with a rejected result goes what was built on it, and both run again', () => {
    const node = new LoneNode({
      git: new FakeGit({
        fails: (command, on) => command === 'check a' && on.length === 1 && node.task('a').round === 1,
      }),
    })
    node.submit(
      {
        a: { ...file('a'), check: 'check a', retry: { strategy: 'fixed', attempts: 2, delayMs: 0 } },
        g: { kind: 'barrier', needs: ['a'] },
        b: { needs: ['g'], ...file('b') },
      },
      repository,
    )
    node.end('a')
    node.end('b')
    node.integrate()
    expect(node.said('rejects')).toMatchObject([
      { key: 'b/1/1/node-a', body: { why: 'base' } },
      {
        key: 'a/1/1/node-a',
        body: { why: 'check', reason: 'exit 1 of check a', output: 'failed on a' },
      },
    ])
    expect(node.statuses()).toEqual({ a: 'running', g: 'waiting', b: 'waiting' })
    expect(node.task('b')).toMatchObject({ round: 2, failures: 0 })
    expect(node.starts().at(-1)!.hints).toEqual([
      'An earlier result was rejected (check): exit 1 of check a\nfailed on a',
    ])
    node.runAll()
    expect(node.git.holds(node.git.tip(RUN))).toEqual(['a', 'b'])
    expect(node.task('a').run.status).toBe('complete')
    noViolations(node)
  })

  it('[AC6] rejections by gates count as tries; the last one fails the task and drops what needs it', () => {
    const node = new LoneNode({ git: new FakeGit({ fails: (command) => command === 'check a' }) })
    node.submit(
      { a: { ...file('a'), check: 'check a' }, b: { needs: ['a'], ...file('b') }, c: file('c') },
      repository,
    )
    node.runAll()
    expect(node.statuses()).toEqual({ a: 'failed', b: 'dropped', c: 'accepted' })
    expect(node.task('a').reason).toBe('check: exit 1 of check a')
    expect(node.task('a').run.status).toBe('partial')
    noViolations(node)
  })
})

describe('conflicts', () => {
  const both = { a: file('a'), b: file('b') }
  const clash = () =>
    new FakeGit({ conflicts: (d, on) => (d.task === 'b' && d.round === 1 && on.includes('a') ? ['a'] : []) })

  it('[AC7] retry: another round on the new base, with the conflict as its hint; it costs no try', () => {
    const node = new LoneNode({ git: clash() })
    node.submit(both, repository)
    node.end('a')
    node.end('b')
    node.integrate()
    expect(node.said('rejects')).toMatchObject([
      {
        key: 'b/1/1/node-a',
        body: { why: 'conflict', reason: 'conflicts with a in b.txt', with: ['a'], paths: ['b.txt'] },
      },
    ])
    const start = node.starts().at(-1)!
    expect(start.slot).toMatchObject({ task: 'b', round: 2 })
    expect(start.base!.tip).toBe(node.git.tip(RUN))
    expect(start.hints[0]).toContain('CONFLICT (content)')
    expect(node.task('b').failures).toBe(0)
    node.runAll()
    expect(node.task('b').run.status).toBe('complete')
    noViolations(node)
  })

  it('[AC7] the third conflict of a task fails it', () => {
    const node = new LoneNode({
      git: new FakeGit({ conflicts: (d, on) => (d.task === 'b' && on.includes('a') ? ['a'] : []) }),
    })
    node.submit(both, repository)
    node.runAll()
    expect(node.task('b')).toMatchObject({
      status: 'failed',
      round: 4,
      reason: 'rejected 3 times: conflict: conflicts with a in b.txt',
    })
    expect(node.task('b').run.status).toBe('partial')
  })

  it('[AC7] manual: it is blocked until a person retries it', () => {
    const node = new LoneNode({ git: clash() })
    node.submit(both, { ...repository, merge: { onConflict: 'manual' } })
    node.runAll()
    expect(node.task('b')).toMatchObject({ status: 'blocked', round: 1, reason: 'conflicts with a in b.txt' })
    expect(node.task('b').run.status).toBe('stuck')
    expect(node.order('b', { verb: 'retry', round: 0 })).toEqual({ ok: true })
    node.runAll()
    expect(node.task('b').run.status).toBe('complete')
  })

  it('[AC7] take-first: the one that came later fails', () => {
    const node = new LoneNode({ git: clash() })
    node.submit(both, { ...repository, merge: { onConflict: 'take-first' } })
    node.runAll()
    expect(node.statuses()).toEqual({ a: 'accepted', b: 'failed' })
    noViolations(node)
  })

  it('[AC7] a conflict with commits that did not stay is not held against anybody', () => {
    const node = new LoneNode({
      git: new FakeGit({
        conflicts: (d, on) => (d.task === 'b' && on.includes('a') ? ['a'] : []),
        fails: (command, on) => command === 'npm test' && on.includes('a'),
      }),
    })
    node.submit(both, { ...repository, merge: { verify: 'npm test' } })
    for (const id of ['a', 'b']) node.end(id)
    node.integrate()
    expect(node.said('rejects').map((r) => r.key)).toEqual(['a/1/1/node-a'])
    expect(node.statuses()).toEqual({ a: 'failed', b: 'accepted' })
  })
})

describe('crashes and troubles', () => {
  it('[AC8] a crash between the ref and the accept: the next start reads it back from the ref', () => {
    const node = new LoneNode()
    node.submit({ a: file('a'), b: { needs: ['a'], ...file('b') } }, repository)
    node.end('a')
    node.end('b')
    node.do(node.git.answer(node.take('fold')[0]!)!)
    node.git.answer(node.take('advance')[0]!)
    const next = node.restart()
    expect(next.task('a')).toMatchObject({
      status: 'accepted',
      accepted: { position: 1, commit: next.git.tip(RUN) },
    })
    next.runAll()
    expect(next.task('b').run.finished).toBe(true)
    expect(next.git.holds(next.git.tip(RUN))).toEqual(['a', 'b'])
    noViolations(next)
  })

  it('[AC8] only the integrator reads back, and what is accepted already stays as it is', () => {
    const node = new LoneNode()
    node.submit({ a: file('a') }, repository)
    node.runAll()
    const before = node.facts.length
    node.do({ type: 'recovered', run: RUN, commits: node.git.trailers(RUN) })
    node.do({ type: 'recovered', run: 'no-run', commits: node.git.trailers(RUN) })
    expect(node.facts.length).toBe(before)
    const other = new LoneNode({
      author: { node: 'node-b', incarnation: 'x' },
      kinds: [],
      replay: node.batches.slice(0, 3),
    })
    other.do({ type: 'recovered', run: RUN, commits: node.git.trailers(RUN) })
    expect(other.said('accepts')).toEqual([])
  })

  it('[AC9] the ref is not where the board says: what is on it is accepted, then the next candidate fits', () => {
    const node = new LoneNode()
    node.submit({ a: file('a'), b: file('b') }, repository)
    node.end('a')
    const [fold] = node.take('fold')
    node.do(node.git.answer(fold!)!)
    const [advance] = node.take('advance')
    // The move was made, the answer was lost.
    node.git.answer(advance!)
    const again = node.git.answer(advance!)!
    expect(again).toMatchObject({ ok: false })
    node.do({ type: 'recovered', run: RUN, commits: node.git.trailers(RUN) })
    node.do(again)
    expect(node.task('a').status).toBe('accepted')
    node.end('b')
    node.after(1_000)
    node.integrate()
    expect(node.git.holds(node.git.tip(RUN))).toEqual(['a', 'b'])
    noViolations(node)
  })

  it('[AC10] a job that failed in the middle is told and tried again, later and later', () => {
    const node = new LoneNode()
    node.submit({ a: file('a') }, repository)
    node.end('a')
    const waits: number[] = []
    for (let i = 0; i < 4; i++) {
      const [fold] = node.take('fold')
      node.do({
        type: 'job-failed',
        run: RUN,
        job: fold!.job,
        problem: { code: 'ORCH_DISK_FULL', message: 'no space' },
      })
      expect(node.take('alarm')).toMatchObject([{ code: 'ORCH_DISK_FULL' }])
      const began = node.now
      while (!node.effects.some((e) => e.type === 'fold')) node.after(50)
      waits.push(node.now - began)
    }
    expect(waits).toEqual(waits.toSorted((x, y) => x - y))
    expect(waits[3]).toBeGreaterThan(waits[0]!)
    node.integrate()
    expect(node.task('a').run.finished).toBe(true)
  })

  it('[AC10] an answer to an older job, or to none, is not taken', () => {
    const node = new LoneNode()
    node.submit({ a: file('a') }, repository)
    node.end('a')
    const [fold] = node.take('fold')
    const answer = node.git.answer(fold!)!
    node.do({
      type: 'job-failed',
      run: RUN,
      job: fold!.job,
      problem: { code: 'ORCH_GIT_FAILED', message: 'x' },
    })
    const before = node.effects.length
    node.do(answer)
    node.do({ type: 'gated', run: RUN, job: 99, ok: true, exit: 0, output: '' })
    node.do({ type: 'advanced', run: RUN, job: 99, ok: true })
    node.do({ type: 'published', run: 'no-run', job: 1 })
    node.do({ type: 'job-failed', run: RUN, job: 99, problem: { code: 'ORCH_GIT_FAILED', message: 'x' } })
    expect(node.effects.length).toBe(before)
  })

  it('[AC11] a result that was replaced by another while its gate ran is not blamed, and the queue goes on', () => {
    const node = new LoneNode({
      git: new FakeGit({ fails: (command, on) => command === 'check a' && on.length > 0 }),
    })
    node.submit({ a: { ...file('a'), check: 'check a' }, b: file('b') }, repository)
    node.end('a')
    node.do(node.git.answer(node.take('fold')[0]!)!)
    const [gate] = node.take('gate')
    node.order('a', { verb: 'cancel' })
    node.end('b')
    node.do(node.git.answer(gate!)!)
    expect(node.said('rejects')).toEqual([])
    node.integrate()
    expect(node.task('b').status).toBe('accepted')
    expect(node.task('b').run.finished).toBe(true)
  })

  it('[AC1] what is on the ref is accepted, though it was cancelled meanwhile: the ref is the commit point', () => {
    const node = new LoneNode()
    node.submit({ a: file('a') }, repository)
    node.end('a')
    node.do(node.git.answer(node.take('fold')[0]!)!)
    const [advance] = node.take('advance')
    node.order('a', { verb: 'cancel' })
    node.do(node.git.answer(advance!)!)
    expect(node.task('a').status).toBe('accepted')
    noViolations(node)
  })
})

describe('the end of a run', () => {
  it('[FN1] settled: verified once more if the last step was not, published, closed', () => {
    const node = new LoneNode()
    node.submit({ a: file('a') }, { ...repository, merge: { verify: 'npm test' } })
    node.runAll()
    const { run } = node.task('a')
    expect(run).toMatchObject({ status: 'complete', finished: true })
    expect(node.git.published).toEqual([{ commit: node.git.tip(RUN), land: false }])
    expect(node.git.gates).toHaveLength(1)
    expect(node.said('orders')).toEqual([
      { key: '*/1', body: { verb: 'close', outcome: 'complete', commit: run.tip() } },
    ])
  })

  it('[FN1] a run without a repository, or without a commit, is closed without git', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    node.submit({ a: file('a') }, { run: 'run-2', ...repository })
    node.end('a', { files: 0 }, 'run-2')
    node.end('a')
    expect(node.state.board.runs.get(RUN)!.status).toBe('complete')
    expect(node.state.board.runs.get('run-2')!.status).toBe('complete')
    expect(node.git.published).toEqual([])
  })

  it('[FN2] a tip that was red from the start is verified at the end; red then too: published, not landed, and the problem is told', () => {
    const fails = { tasks: 0 }
    const node = new LoneNode({
      git: new FakeGit({ fails: (command) => command === 'npm test' && fails.tasks++ >= 0 }),
    })
    node.submit({ a: file('a') }, { ...repository, merge: { verify: 'npm test', land: 'main' } })
    node.runAll()
    const { run } = node.task('a')
    expect(node.statuses()).toEqual({ a: 'accepted' })
    expect(node.take('alarm')).toHaveLength(1)
    expect(run.closing!.value).toMatchObject({ outcome: 'complete', problem: { code: 'ORCH_GATE' } })
    expect(node.git.published).toEqual([{ commit: run.tip(), land: false }])
    expect(run.verified!.value).toMatchObject({ ok: false, commit: run.tip() })
  })

  it('[FN2] a red start that is green in the end lands', () => {
    const land = () => ({ landed: { branch: 'main', commit: 'landed' } })
    const node = new LoneNode({ git: new FakeGit({ fails: (_, on) => on.length < 2, land }) })
    node.submit(
      { a: file('a'), b: { needs: ['a'], ...file('b') } },
      { ...repository, merge: { verify: 'npm test', land: 'main', mode: 'per-task' } },
    )
    node.runAll()
    expect(node.task('b').run).toMatchObject({
      status: 'complete',
      landed: { value: { branch: 'main', commit: 'landed' } },
    })
  })

  it('[FN3] part of it failed: landed only if the policy says so; nothing at all: never', () => {
    for (const onPartial of ['land', 'hold'] as const) {
      const node = new LoneNode()
      node.submit({ a: file('a'), b: file('b') }, { ...repository, merge: { land: 'main', onPartial } })
      node.runAll((id) => (id === 'a' ? {} : { outcome: 'failed' }))
      expect(node.task('a').run.status).toBe('partial')
      expect(node.git.published).toMatchObject([{ land: onPartial === 'land' }])
    }
    const node = new LoneNode()
    node.submit({ a: file('a') }, { ...repository, merge: { land: 'main', onPartial: 'land' } })
    node.runAll(() => ({ outcome: 'failed' }))
    expect(node.task('a').run.status).toBe('failed')
    expect(node.git.published).toEqual([])
  })

  it('[FN4] what could not be landed is the problem of a closed run, not a reason to go on trying', () => {
    const node = new LoneNode({
      git: new FakeGit({ land: () => ({ problem: { code: 'ORCH_TARGET_MOVED', message: 'moved' } }) }),
    })
    node.submit({ a: file('a') }, { ...repository, merge: { land: 'main' } })
    node.runAll()
    expect(node.task('a').run.closing!.value).toMatchObject({
      outcome: 'complete',
      problem: { code: 'ORCH_TARGET_MOVED' },
    })
    expect(node.git.published).toHaveLength(1)
  })

  it('[FN5] a retry opens a closed run again; it is published and closed once more', () => {
    const node = new LoneNode()
    node.submit({ a: file('a'), b: file('b'), c: { needs: ['b'], ...file('c') } }, repository)
    let broken = true
    node.runAll((id) => (id === 'b' && broken ? { outcome: 'failed' } : {}))
    const { run } = node.task('a')
    expect(run.status).toBe('partial')
    broken = false
    expect(node.order('b', { verb: 'retry', round: 0 })).toEqual({ ok: true })
    expect(run.status).toBe('running')
    node.runAll()
    expect(run.status).toBe('complete')
    expect(node.git.published.map((p) => node.git.holds(p.commit))).toEqual([['a'], ['a', 'b', 'c']])
    expect(node.said('orders').filter((o) => (o.body as { verb: string }).verb === 'close')).toHaveLength(2)
    noViolations(node)
  })

  it('[FN5] a retry while the end is being made: it is closed only when that is over', () => {
    const node = new LoneNode()
    node.submit({ a: file('a'), b: file('b') }, repository)
    node.end('a')
    node.fail('b')
    for (const type of ['fold', 'advance'] as const) node.do(node.git.answer(node.take(type)[0]!)!)
    const [publish] = node.take('publish')
    node.order('b', { verb: 'retry', round: 0 })
    node.do(node.git.answer(publish!)!)
    expect(node.task('a').run.closing).toBeUndefined()
    node.runAll()
    expect(node.task('a').run.status).toBe('complete')
  })

  it('[FN6] a restart in the middle of the end makes it again', () => {
    const node = new LoneNode()
    node.submit({ a: file('a') }, { ...repository, merge: { verify: 'npm test' } })
    node.end('a')
    for (const type of ['fold', 'gate', 'advance'] as const) node.do(node.git.answer(node.take(type)[0]!)!)
    expect(node.take('publish')).toHaveLength(1)
    const next = node.restart()
    next.integrate()
    expect(next.task('a').run.status).toBe('complete')
    // Not known to be green any more, so verified again.
    expect(next.git.gates).toHaveLength(2)
    const third = next.restart({ replay: [...node.batches, ...next.batches] })
    third.integrate()
    expect(third.said('orders')).toEqual([])
  })

  it('[FN7] a bogus fact about a task that has no spec does not keep a run open', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    node.do({
      type: 'facts',
      batch: {
        author: { node: 'node-b', incarnation: 'x' },
        n: 1,
        at: 1,
        facts: [{ doc: RUN, collection: 'claims', key: 'nobody/1/1', body: {} }],
      },
    })
    node.runAll()
    expect(node.task('a').run.status).toBe('complete')
  })
})
