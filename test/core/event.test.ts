/** The nine events as a story of facts, what the end of a process means, and the oracles on broken boards. */
import { describe, expect, it } from 'vitest'
import type { AttemptEnd } from '../../src/core/attempt.ts'
import { Board } from '../../src/core/board.ts'
import { createEventDeriver, isProblem, TASK_EVENT_TYPES } from '../../src/core/event.ts'
import type { Batch, Fact } from '../../src/core/fact.ts'
import { violations } from '../../src/core/invariant.ts'
import { type CollectedWork, resultOf } from '../../src/core/outcome.ts'
import { BASE, FakeGit } from './fake-git.ts'
import { LoneNode, RUN } from './lone-node.ts'

function eventsOf(batches: readonly Batch[]) {
  const derive = createEventDeriver()
  return batches.flatMap((b) => derive(b))
}

describe('events', () => {
  it('[EV1] all nine, from a run that sees everything (R80)', () => {
    const node = new LoneNode({
      slots: 2,
      git: new FakeGit({
        fails: (command, on) => command === 'check b' && on.length > 0 && node.task('b').round === 1,
      }),
    })
    const twice = { retry: { strategy: 'fixed' as const, attempts: 3, delayMs: 0 } }
    node.submit(
      {
        a: { ...twice, title: 'first', scope: { write: ['a'], read: [] } },
        b: { ...twice, check: 'check b', scope: { write: ['b'], read: [] } },
      },
      { repository: true },
    )
    const handoff = { current_focus: 'x', progress: [], next_steps: [], updated_at: 'now' }
    node.end('a', { outcome: 'failed', reason: 'exit 1', handoff })
    node.end('b')
    node.integrate()
    node.order('b', { verb: 'block', reason: 'ask', round: 0 })
    node.order('b', { verb: 'unblock' })
    node.runAll()
    const events = eventsOf(node.batches)
    expect(new Set(events.map((e) => e.type))).toEqual(new Set(TASK_EVENT_TYPES))
    expect(events.filter((e) => e.task === 'a').map((e) => e.type)).toEqual([
      'created',
      'assigned',
      'started',
      'progress-updated',
      'failed',
      'reassigned',
      'assigned',
      'started',
      'completed',
    ])
    expect(events.find((e) => e.type === 'reassigned')).toMatchObject({
      from: 'node-a',
      to: 'node-a',
      reason: 'exit 1',
    })
    expect(events.find((e) => e.type === 'created')).toMatchObject({
      title: 'first',
      createdBy: 'node-a',
      at: 1_000,
    })
    expect(events.filter((e) => e.type === 'completed')).toMatchObject([
      { position: 1, commit: expect.any(String) },
      { position: 2 },
    ])
    expect(events.find((e) => e.task === 'b' && e.type === 'failed')).toMatchObject({
      error: expect.stringContaining('check: '),
    })
    expect(events.filter(isProblem).map((e) => e.type)).toEqual(
      expect.arrayContaining(['failed', 'blocked', 'reassigned']),
    )
  })

  it('[EV2] another node takes over after a void: reassigned, with the reason', () => {
    const at = (node: string, n: number, fact: Fact): Batch => ({
      author: { node, incarnation: 'x' },
      n,
      at: n,
      facts: [fact],
    })
    const events = eventsOf([
      at('a', 1, { doc: RUN, collection: 'claims', key: 't/1/1', body: {} }),
      at('a', 2, { doc: RUN, collection: 'starts', key: 't/1/1', body: {} }),
      at('b', 3, { doc: RUN, collection: 'voids', key: 't/1/1', body: { why: 'lost' } }),
      at('b', 4, { doc: RUN, collection: 'starts', key: 't/1/2', body: {} }),
      at('b', 5, { doc: RUN, collection: 'results', key: 'not a key', body: { outcome: 'failed' } }),
      at('b', 6, {
        doc: '@cluster',
        collection: 'nodes',
        key: 'b/1',
        body: { name: 'b', slots: 1, version: '0' },
      }),
    ])
    expect(events.map((e) => e.type)).toEqual(['assigned', 'started', 'reassigned', 'assigned', 'started'])
    expect(events[2]).toMatchObject({ from: 'a', to: 'b', reason: 'lost' })
  })

  it('[EV3] what an author may not say is no event: specs of strangers, accepts and rejections of who does not integrate', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    const stranger = (fact: Fact): Batch => ({
      author: { node: 'stranger', incarnation: 'x' },
      n: 1,
      at: 1,
      facts: [fact],
    })
    const said = eventsOf([
      ...node.batches,
      stranger({ doc: RUN, collection: 'specs', key: 'b', body: { kind: 'shell' } }),
      stranger({
        doc: RUN,
        collection: 'accepts',
        key: 'a/1/1',
        body: { epoch: 1, by: 'stranger', position: 1 },
      }),
      stranger({
        doc: RUN,
        collection: 'rejects',
        key: 'a/1/1/node-a',
        body: { why: 'check', reason: 'no' },
      }),
    ])
    expect(said.map((e) => e.type)).toEqual(['created', 'assigned', 'started'])
  })

  it('[EV3] who adopted the run may say what its integrator may', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    const heir = (n: number, fact: Fact): Batch => ({
      author: { node: 'heir', incarnation: 'x' },
      n,
      at: 1,
      facts: [fact],
    })
    const accept = (n: number): Batch =>
      heir(n, { doc: RUN, collection: 'accepts', key: 'a/1/2', body: { epoch: 1, by: 'heir', position: 1 } })
    const adopt = heir(2, {
      doc: RUN,
      collection: 'orders',
      key: '*/1',
      body: { verb: 'adopt', term: 2, cutoff: 0 },
    })
    const said = eventsOf([...node.batches, accept(1), adopt, accept(3)])
    expect(said.map((e) => e.type)).toEqual(['created', 'assigned', 'started', 'completed'])
  })
})

describe('the end of a process', () => {
  const end = (over: Partial<AttemptEnd> = {}): AttemptEnd => ({
    exit: 0,
    startedAt: 1,
    endedAt: 5,
    outputBytes: 0,
    excerpt: 'out',
    ...over,
  })
  const work = (over: Partial<CollectedWork> = {}): CollectedWork => ({
    base: BASE,
    head: 'h',
    files: 1,
    paths: ['a'],
    outside: [],
    ...over,
  })
  const spec = { kind: 'shell', scope: { write: ['a'], read: [] } }

  const table: [string, Partial<AttemptEnd>, object][] = [
    ['exit 0', {}, { outcome: 'done', exit: 0 }],
    [
      'a function that returned',
      { exit: null, finished: { ok: true }, value: 42 },
      { outcome: 'done', value: 42 },
    ],
    ['exit 3', { exit: 3 }, { outcome: 'failed', reason: 'exit 3', excerpt: 'out' }],
    ['127', { exit: 127 }, { outcome: 'failed', error: 'ORCH_COMMAND_MISSING' }],
    ['137', { exit: 137 }, { outcome: 'failed', reason: 'exit 137: killed, often for want of memory' }],
    [
      'a signal',
      { exit: null, signal: 'SIGSEGV' },
      { outcome: 'failed', reason: 'ended by signal SIGSEGV', signal: 'SIGSEGV' },
    ],
    ['no exit at all', { exit: null }, { outcome: 'failed', reason: 'ended by signal ?' }],
    [
      'a spawn error',
      { exit: null, spawnError: 'ENOENT' },
      { outcome: 'failed', error: 'ORCH_COMMAND_MISSING', reason: 'could not be started: ENOENT' },
    ],
    [
      'a stream that says no',
      { finished: { ok: false, reason: 'tests are red' } },
      { outcome: 'failed', reason: 'tests are red' },
    ],
    [
      'a stream that says no without a reason',
      { finished: { ok: false } },
      { outcome: 'failed', reason: 'the worker says it failed' },
    ],
    ['a timeout', { exit: null, stopped: 'timed-out' }, { outcome: 'timed-out', error: 'ORCH_TIMEOUT' }],
    ['memory', { exit: null, stopped: 'memory' }, { outcome: 'failed', error: 'ORCH_RESOURCE' }],
    ['a stall', { exit: null, stopped: 'stalled' }, { outcome: 'failed', reason: 'stalled' }],
    ['cancelled', { exit: null, stopped: 'cancelled' }, { outcome: 'cancelled' }],
    ['shut down', { exit: null, stopped: 'shutdown' }, { outcome: 'cancelled', reason: 'shutdown' }],
    ['lost', { exit: null, lost: true }, { outcome: 'lost' }],
  ]
  it.each(table)('[OC1] %s', (_, over, expected) => {
    expect(resultOf({ kind: 'shell' }, end(over), undefined, undefined)).toMatchObject(expected)
  })

  it('[OC2] work outside of the scope fails, or is left out and named, as the plan says (R12)', () => {
    const outside = work({ outside: ['x', 'y', 'z', 'w'] })
    expect(resultOf(spec, end(), outside, undefined)).toMatchObject({
      outcome: 'failed',
      error: 'ORCH_SCOPE',
      reason: 'changed x, y, z and 1 more outside of its scope a',
    })
    expect(resultOf({ ...spec, onOutside: 'trim' }, end(), outside, undefined)).toMatchObject({
      outcome: 'done',
      reason: 'left out x, y, z and 1 more: outside of its scope',
    })
  })

  it('[OC3] nothing changed: accepted, or refused where the plan says so; a hostile tree always', () => {
    expect(resultOf(spec, end(), work({ files: 0 }), undefined)).toMatchObject({ outcome: 'done', files: 0 })
    expect(resultOf({ ...spec, onEmpty: 'reject' }, end(), work({ files: 0 }), undefined)).toMatchObject({
      outcome: 'failed',
      reason: 'exit 0, but no file was changed',
    })
    expect(resultOf(spec, end(), work({ hostile: 'a link out of the tree' }), undefined)).toMatchObject({
      outcome: 'failed',
      error: 'ORCH_GIT_HOSTILE',
    })
  })

  it('[OC4] what was done is kept with a failure too: files, handoff, usage; the output only with a failure', () => {
    const handoff = { current_focus: 'x', progress: [], next_steps: [], updated_at: 'now' }
    const failed = resultOf(spec, end({ exit: 1, usage: { usd: 1 } }), work(), handoff, 7)
    expect(failed).toMatchObject({
      head: 'h',
      files: 1,
      handoff,
      excerpt: 'out',
      usage: { usd: 1, wallMs: 4, workspaceMs: 7 },
    })
    expect(resultOf(spec, end(), work(), undefined)).not.toHaveProperty('excerpt')
  })
})

describe('oracles', () => {
  const header = {
    name: 'r',
    creator: 'i',
    createdAt: 1,
    integrator: 'i',
    merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
  } as const
  const run = (...facts: [string, string, unknown, string?][]): string[] => {
    const board = new Board()
    const all: [string, string, unknown, string?][] = [
      ['runs', `${RUN}/0`, header, 'i'],
      ['specs', 'a', { kind: 'shell' }, 'i'],
      ['specs', 'b', { kind: 'shell', needs: ['a'] }, 'i'],
      ...facts,
    ]
    all.forEach(([collection, key, body, node = 'n'], n) => {
      board.apply({
        author: { node, incarnation: `x${n}` },
        n: 1,
        at: 1,
        facts: [{ doc: RUN, collection, key, body } as unknown as Fact],
      })
    })
    return violations(board).map((v) => v.invariant)
  }
  const done = { outcome: 'done' }
  const ok = (task: string): [string, string, unknown][] => [
    ['starts', `${task}/1/1`, {}],
    ['results', `${task}/1/1`, done],
  ]
  const accept = (task: string, position: number, round = 1): [string, string, unknown, string] => [
    'accepts',
    `${task}/${round}/1`,
    { epoch: 1, by: 'n', position },
    'i',
  ]

  it('[IV1] a proper history has no violation', () => {
    expect(run(...ok('a'), ...ok('b'), accept('a', 1), accept('b', 2))).toEqual([])
  })

  it('[IV2] each broken rule is named', () => {
    expect(run(['results', 'a/1/1', done])).toEqual(['I6'])
    expect(run(...ok('a'), accept('a', 1), accept('a', 2))).toEqual(['I9'])
    expect(run(...ok('a'), ...ok('b'), accept('a', 1), accept('b', 1))).toEqual(['I10'])
    expect(run(...ok('a'), accept('a', 2))).toEqual(['I11'])
    expect(run(['starts', 'a/1/1', {}], accept('a', 1))).toEqual(['I12'])
    expect(
      run(...ok('a'), accept('a', 1), ['starts', 'a/2/1', {}], ['results', 'a/2/1', done], accept('a', 2, 2)),
    ).toEqual(['I13'])
    expect(run(...ok('a'), ...ok('b'), accept('b', 1))).toEqual(['I14'])
    const work = { ...done, base: 'b'.repeat(40), head: 'c'.repeat(40) }
    const [key, , body, by] = accept('a', 1)
    const folded: [string, string, unknown, string] = [
      key,
      'a/1/1',
      { ...(body as object), commit: 'd'.repeat(40) },
      by,
    ]
    const made: [string, string, unknown][] = [
      ['starts', 'a/1/1', {}],
      ['results', 'a/1/1', work],
    ]
    expect(run(...made, folded)).toEqual(['I24'])
    expect(run(...made, ['acks', 'a/1/1/n', {}, 'i'], folded)).toEqual([])
  })

  it('[IV3] an accept that two lives of the integrator wrote alike is one, and a stranger’s is none', () => {
    expect(run(...ok('a'), accept('a', 1), accept('a', 1))).toEqual([])
    expect(run(['accepts', 'a/1/1', { epoch: 1, by: 'n', position: 1 }, 'stranger'])).toEqual([])
  })

  it('[IV4] a skipped need that was opened again by a person is no violation', () => {
    const node = new LoneNode()
    node.submit({ x: {}, y: { needs: ['x'], if: 'success()' }, z: { needs: ['y'] } })
    node.runAll((id) => (id === 'x' ? { outcome: 'failed' } : {}))
    expect(node.statuses()).toMatchObject({ y: 'skipped', z: 'accepted' })
    node.order('x', { verb: 'retry', round: 0 })
    expect(violations(node.state.board)).toEqual([])
    node.runAll()
    expect(violations(node.state.board)).toEqual([])
  })
})
