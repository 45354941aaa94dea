/** Runs that change hands, and what their versions count for; drains; the end of a run's life. */
import { describe, expect, it } from 'vitest'
import { Board } from '../../src/core/board.ts'
import type { Order } from '../../src/core/fact.ts'
import { CLUSTER_DOC } from '../../src/core/id.ts'
import { violations } from '../../src/core/invariant.ts'
import { ARCHIVE_AFTER_MS_DEFAULT } from '../../src/core/limit.ts'
import { BASE } from './fake-git.ts'
import { incarnation, LoneNode, type LoneOptions, RUN } from './lone-node.ts'

const adopt: Order = { verb: 'adopt', term: 0, cutoff: Number.MAX_SAFE_INTEGER, reason: 'it is gone' }
const commit = (n: number) => String(n).repeat(40)
const file = (name: string) => ({ scope: { write: [name], read: [] } })
const run = (node: LoneNode) => node.state.board.runs.get(RUN)!

/** `node-i` has integrated the first `n` of a, b, c; their authors' objects are known to be there. */
function taken(n: number, options: LoneOptions = {}): LoneNode {
  const node = new LoneNode({ kinds: [], ...options })
  const tasks = { a: file('a'), b: file('b'), c: file('c') }
  node.submit(tasks, { repository: true, integrator: 'node-i' })
  ;['a', 'b', 'c'].slice(0, n).forEach((id, i) => {
    node.hear('node-i', 'starts', `${id}/1/1`, {})
    node.hear('node-i', 'results', `${id}/1/1`, { outcome: 'done', base: BASE, head: commit(i + 4) })
    acceptAs(node, 'node-i', id, i + 1, 1)
  })
  return node
}

function acceptAs(node: LoneNode, who: string, id: string, position: number, term: number): void {
  const body = { epoch: 1, by: 'node-i', position, commit: commit(position) }
  node.hear(who, 'accepts', `${id}/1/${term}`, body)
}

describe('adoption', () => {
  it('[AD1] the author integrates from then on, in the next term; what was accepted up to the cutoff stays', () => {
    const node = taken(3)
    expect(node.statuses()).toEqual({ a: 'accepted', b: 'accepted', c: 'accepted' })
    node.hear('node-x', 'orders', '*/1', { verb: 'adopt', term: 2, cutoff: 2, of: 'node-i' })
    expect(run(node)).toMatchObject({ term: 2, integrator: 'node-x', lastPosition: 2 })
    expect(run(node).tip()).toBe(commit(2))
    expect(node.statuses()).toEqual({ a: 'accepted', b: 'accepted', c: 'provisional' })
    // The old one did not hear of it: what it still accepts counts for nothing, nor does the new one's in the old term.
    acceptAs(node, 'node-i', 'c', 4, 1)
    acceptAs(node, 'node-i', 'c', 3, 2)
    acceptAs(node, 'node-x', 'c', 3, 1)
    expect(node.task('c').status).toBe('provisional')
    node.hear('node-x', 'acks', 'c/1/1/node-i', {})
    acceptAs(node, 'node-x', 'c', 3, 2)
    expect(node.task('c').accepted).toMatchObject({ term: 2, position: 3 })
    expect(violations(node.state.board)).toEqual([])
  })

  it('[AD1] a rejection of an integrator of any term counts: no round is taken back', () => {
    const node = taken(1)
    node.hear('node-x', 'orders', '*/1', { verb: 'adopt', term: 2, cutoff: 0, of: 'node-i' })
    const body = { why: 'conflict', reason: 'x' } as const
    node.hear('node-q', 'rejects', 'a/1/1/node-i', body)
    expect(node.task('a')).toMatchObject({ status: 'provisional', round: 1 })
    node.hear('node-i', 'rejects', 'a/1/1/node-i', body)
    expect(node.task('a')).toMatchObject({ status: 'ready', round: 2 })
  })

  it('[AD2] of two that adopt one term the smaller id counts, unless a later term went on from the other', () => {
    const orders: [string, number, Order][] = [
      ['node-y', 1, { verb: 'adopt', term: 2, cutoff: 3, of: 'node-i' }],
      ['node-x', 1, { verb: 'adopt', term: 2, cutoff: 2, of: 'node-i' }],
      ['node-z', 2, { verb: 'adopt', term: 3, cutoff: 2, of: 'node-y' }],
      // Nobody jumps ahead, or goes on from who never was.
      ['node-q', 3, { verb: 'adopt', term: 900, cutoff: 0 }],
      ['node-q', 4, { verb: 'adopt', term: 3, cutoff: 0, of: 'node-q' }],
    ]
    for (const order of [
      orders,
      orders.toReversed(),
      [orders[2]!, orders[0]!, orders[4]!, orders[1]!, orders[3]!],
    ]) {
      const node = taken(3)
      for (const [who, n, body] of order) node.hear(who, 'orders', `*/${n}`, body)
      expect(run(node).terms).toEqual([
        { integrator: 'node-i', until: 2 },
        { integrator: 'node-y', until: 2 },
        { integrator: 'node-z', until: Number.POSITIVE_INFINITY },
      ])
      expect([...run(node).integrators].sort()).toEqual(['node-i', 'node-x', 'node-y', 'node-z'])
    }
    const two = taken(3)
    for (const [who, n, body] of orders.slice(0, 2)) two.hear(who, 'orders', `*/${n}`, body)
    expect(run(two)).toMatchObject({ integrator: 'node-x', term: 2 })
  })

  it('[AD3] by order: the next term, cut after the history that this node knows without a gap', () => {
    const node = taken(1)
    acceptAs(node, 'node-i', 'c', 3, 1)
    expect(node.order('*', adopt)).toEqual({ ok: true })
    expect(node.said('orders').at(-1)).toEqual({
      key: '*/1',
      body: { verb: 'adopt', term: 2, cutoff: 1, of: 'node-i', reason: 'it is gone' },
    })
    expect(node.take('alarm')).toMatchObject([
      { code: 'ORCH_SUPERSEDED', message: expect.stringContaining('after position 1') },
    ])
    expect(node.order('*', adopt)).toMatchObject({
      ok: false,
      code: 'ORCH_WRONG_STATE',
      message: expect.stringContaining('already'),
    })
    // What cannot be had any more is given up by who integrates it already, too.
    const again = { ...adopt, cutoff: 0 }
    expect(node.order('*', again)).toEqual({ ok: true })
    expect(run(node)).toMatchObject({ term: 3, integrator: 'node-a', lastPosition: 0 })
    const less = taken(3)
    less.order('*', { ...adopt, cutoff: 2 })
    expect(run(less).terms[0]!.until).toBe(2)
    const over = taken(3)
    over.hear('node-i', 'orders', '*/1', { verb: 'close', outcome: 'complete', commit: commit(3) })
    expect(run(over).finished).toBe(true)
    expect(over.order('*', adopt)).toMatchObject({
      ok: false,
      message: expect.stringContaining('nothing is left'),
    })
  })

  it('[AD4] the new integrator fetches what it is to fold, and goes on where the history was cut, on a ref of its own', () => {
    const node = taken(3)
    node.do({ type: 'members', live: ['node-a', 'node-i'] })
    node.order('*', { ...adopt, cutoff: 2 })
    const [fetch] = node.take('fetch')
    expect(fetch).toMatchObject({ head: commit(6), sources: ['node-i'] })
    node.git.commits.set(commit(2), { parent: BASE })
    node.do({ type: 'fetched', slot: fetch!.slot, by: 'node-i', answer: 'ok' })
    const [fold] = node.take('fold')
    expect(fold).toMatchObject({ sources: ['node-i'], request: { tip: commit(2), term: 2 } })
    node.do(node.git.answer(fold!)!)
    const [advance] = node.take('advance')
    expect(advance).toMatchObject({ term: 2, old: commit(2) })
    node.do(node.git.answer(advance!)!)
    expect(node.said('accepts')).toMatchObject([{ key: 'c/1/2', body: { position: 3, by: 'node-i' } }])
    node.integrate()
    expect(run(node).finished).toBe(true)
    // Commits of the ref of a term that is over are not gone on with.
    const late = { task: 'a', round: 1, epoch: 1, by: 'node-i', position: 9, commit: commit(9) }
    node.do({ type: 'recovered', run: RUN, commits: [late], term: 1 })
    expect(node.said('accepts')).toHaveLength(1)
  })

  it('[AD5] who integrated and comes back stops: no answer is taken, nothing more is moved, and it is told', () => {
    for (const at of ['fold', 'gate', 'advance', 'publish'] as const) {
      const node = new LoneNode()
      node.submit({ a: { check: 'check' } }, { repository: true })
      node.end('a')
      let pending = node.take('fold')[0] as Parameters<typeof node.git.answer>[0]
      for (const next of ['gate', 'advance', 'publish'] as const) {
        if (pending.type === at) break
        node.do(node.git.answer(pending)!)
        pending = node.take(next)[0]!
      }
      node.hear('node-x', 'orders', '*/1', { verb: 'adopt', term: 2, cutoff: 0, of: 'node-a' })
      expect(node.take('alarm')).toMatchObject([{ code: 'ORCH_SUPERSEDED' }])
      const before = node.facts.length
      node.do(node.git.answer(pending)!)
      node.after(300_000)
      expect(node.effects.filter((e) => e.type !== 'start')).toEqual([])
      expect(node.facts.length).toBe(before)
      expect(node.task('a').status).toBe('provisional')
    }
  })

  it('[OR11] the end of a run is told by its integrators, whenever it is learnt who they are', () => {
    const end = { verb: 'close', outcome: 'complete', commit: commit(3) } as const
    for (const early of [true, false]) {
      const node = taken(3)
      const takeOver = () =>
        node.hear('node-x', 'orders', '*/1', { verb: 'adopt', term: 2, cutoff: 3, of: 'node-i' })
      if (!early) takeOver()
      node.hear('node-q', 'orders', '*/9', { ...end, outcome: 'failed' })
      node.hear('node-q', 'orders', '*/10', { verb: 'landed', branch: 'main', commit: commit(1) })
      node.hear('node-x', 'orders', '*/2', end)
      if (early) takeOver()
      expect(run(node)).toMatchObject({
        finished: true,
        landed: undefined,
        closing: { author: { node: 'node-x' } },
      })
    }
    expect(taken(3).order('*', { verb: 'landed', branch: 'main', commit: commit(3) })).toMatchObject({
      ok: false,
      context: { integrator: 'node-i' },
    })
  })
})

describe('versions', () => {
  it('[OR12] a far-future order waits until the others have come as far: it owns no register, whatever the order of arrival', () => {
    const said: [number, Order][] = [
      [999_999_999, { verb: 'pause', reason: 'for ever' }],
      [3, { verb: 'resume' }],
      [1_900, { verb: 'pause', reason: 'late' }],
    ]
    for (const order of [said, said.toReversed()]) {
      const node = new LoneNode({ kinds: [] })
      node.submit({ a: {} })
      for (const [n, body] of order)
        for (const at of ['a', '*']) node.hear('node-q', 'orders', `${at}/${n}`, body)
      expect(node.task('a')).toMatchObject({ status: 'ready', orderVersion: 3 })
      expect(run(node).orderVersion).toBe(3)
      node.order('a', { verb: 'prioritize', priority: 'high' })
      expect(node.said('orders').at(-1)!.key).toBe('a/4')
      for (const at of ['a', '*']) node.hear('node-q', 'orders', `${at}/1000`, { verb: 'resume' })
      expect(node.task('a')).toMatchObject({ status: 'paused', orderVersion: 1_900, reason: 'late' })
      expect(run(node)).toMatchObject({ orderVersion: 1_900, paused: true })
    }
  })

  it('[BD9] a void of a far-future epoch does not use up all epochs', () => {
    const node = new LoneNode({ kinds: [] })
    node.submit({ a: {} })
    node.hear('node-q', 'voids', 'a/1/999999999', { why: 'lost' })
    expect(node.task('a')).toMatchObject({ status: 'ready', epoch: 1 })
    node.hear('node-q', 'voids', 'a/1/1', { why: 'released' })
    node.hear('node-q', 'voids', 'a/1/900', { why: 'released' })
    expect(node.task('a').epoch).toBe(901)
    node.hear('node-q', 'voids', 'a/1/1900', { why: 'released' })
    expect(node.task('a').epoch).toBe(1_901)
  })
})

describe('drain', () => {
  it('[ND11] with a deadline what runs may finish; what still runs then is given back, for others', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: {}, c: { needs: ['a'] } })
    node.do({ type: 'drain', deadlineMs: 1_000 })
    expect(node.take('stop')).toEqual([])
    node.end('a')
    expect(node.statuses()).toEqual({ a: 'accepted', b: 'running', c: 'ready' })
    node.after(999)
    expect(node.take('stop')).toEqual([])
    node.after(1)
    expect(node.take('stop')).toMatchObject([{ reason: 'shutdown' }])
    node.end('b', { outcome: 'cancelled' })
    expect(node.task('b')).toMatchObject({ status: 'ready', epoch: 2, failures: 0, lost: 0 })
  })

  it('[ND11] called off, nothing is stopped; ordered again without time, all is given back at once', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    node.do({ type: 'drain', deadlineMs: 1_000 })
    node.do({ type: 'undrain' })
    node.after(5_000)
    expect(node.take('stop')).toEqual([])
    node.do({ type: 'drain', deadlineMs: 100_000 })
    node.do({ type: 'drain' })
    expect(node.take('stop')).toHaveLength(1)
  })

  it('[ND12] it is announced, and others do not leave their turn to a node that drains', () => {
    const node = new LoneNode()
    node.do({ type: 'drain', deadlineMs: 1 })
    node.do({ type: 'drain' })
    node.do({ type: 'undrain' })
    const bodies = node.said('nodes').map(({ key, body }) => [key, (body as { draining?: boolean }).draining])
    expect(bodies).toEqual([
      ['node-a/1', undefined],
      ['node-a/2', true],
      ['node-a/3', undefined],
    ])
    for (const draining of [true, false]) {
      const other = new LoneNode()
      const record = { name: 'b', slots: 1_000, version: '0', ...(draining ? { draining } : {}) }
      other.hear('node-b', 'nodes', 'node-b/1', record, { doc: CLUSTER_DOC })
      other.do({ type: 'members', live: ['node-a', 'node-b'] })
      other.submit({ a: {}, b: {}, c: {} })
      expect(other.running()).toEqual(draining ? ['a', 'b', 'c'] : [])
    }
  })
})

describe('the end of a run', () => {
  const options = { archiveAfterMs: 10_000 }

  function over(more: LoneOptions = {}): LoneNode {
    const node = new LoneNode({ ...options, ...more })
    node.submit({ a: {}, b: {} })
    node.end('a')
    node.fail('b')
    expect(run(node).finished).toBe(true)
    return node
  }

  it('[LC1] the integrator archives a finished run after a while, for all; without the option nobody does', () => {
    const node = over()
    node.after(9_999)
    expect(node.take('archive')).toEqual([])
    node.after(1)
    expect(node.take('archive')).toEqual([{ type: 'archive', run: RUN }])
    expect(node.said('runs').at(-1)).toEqual({
      key: `${RUN}/1`,
      body: { verb: 'archived', creator: 'node-a', createdAt: 7 },
    })
    const never = new LoneNode()
    never.submit({ a: {} })
    never.end('a')
    never.after(2 * ARCHIVE_AFTER_MS_DEFAULT)
    expect(never.take('archive')).toEqual([])
  })

  it('[LC1] a retry in between begins the wait anew; time of earlier lives counts', () => {
    const node = over()
    node.after(9_000)
    node.order('b', { verb: 'retry', round: 0 })
    node.after(5_000)
    node.end('b')
    node.after(9_999)
    expect(node.take('archive')).toEqual([])
    node.after(1)
    expect(node.take('archive')).toHaveLength(1)
    const next = over().restart({ ...options, finishedFor: { [RUN]: 9_500 } })
    next.after(499)
    expect(next.take('archive')).toEqual([])
    next.after(1)
    expect(next.take('archive')).toHaveLength(1)
    const other = new LoneNode(options)
    other.submit({}, { integrator: 'node-i' })
    other.hear('node-i', 'orders', '*/1', { verb: 'close', outcome: 'complete' })
    expect(run(other).finished).toBe(true)
    other.after(1_000_000)
    expect(other.take('archive')).toEqual([])
  })

  it('[LC2] an archived run is forgotten, and nothing that comes late brings it back (I23)', () => {
    const node = over()
    node.after(10_000)
    const { board } = node.state
    expect([...board.runs.keys()]).toEqual([])
    expect(board.isArchived(RUN)).toBe(true)
    expect(board.unfinished).toBe(0)
    node.hear('node-b', 'results', 'a/1/1', { outcome: 'done' })
    node.hear('node-b', 'orders', 'b/7', { verb: 'retry', round: 9 })
    expect([...board.runs.keys()]).toEqual([])
    expect(node.order('b', { verb: 'retry', round: 0 })).toMatchObject({ ok: false, code: 'ORCH_NOT_FOUND' })
    expect(node.submit({ z: {} })).toMatchObject({ ok: false, code: 'ORCH_WRONG_STATE' })
    // The next life reads the mark and the run in some order, and archives what may be left of it.
    for (const replay of [node.batches, node.batches.toReversed()]) {
      const next = node.restart({ replay })
      expect([...next.state.board.runs.keys()]).toEqual([])
      expect(next.take('archive')).toEqual([{ type: 'archive', run: RUN }])
    }
  })

  it('[LC3] archived by another while this node still works on it: what runs is stopped, and told to nobody', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: {}, b: { resources: { cpu: 1 } } }, { repository: true })
    node.submit({ x: {} }, { run: 'run-2' })
    node.state.board.nodes.clear()
    const mark = { verb: 'archived', creator: 'node-a', createdAt: 7 } as const
    node.hear('node-i', 'runs', `${RUN}/1`, mark, { doc: CLUSTER_DOC })
    const stops = node.take('stop')
    expect(stops).toHaveLength(1)
    const before = node.facts.length
    node.do({
      type: 'attempt-ended',
      attempt: stops[0]!.attempt,
      result: { outcome: 'done', base: BASE, head: commit(1) },
    })
    expect(node.facts.slice(before).filter((f) => f.doc === RUN)).toEqual([])
    node.after(100_000)
    expect(node.running()).toEqual(['x'])
    expect(node.state.jobs.size).toBe(0)
    expect(node.take('fold')).toEqual([])
  })

  it('[LC3] a mark that is none is refused', () => {
    const board = new Board()
    const bodies = [{ verb: 'archived' }, { verb: 'other' }, { creator: 'x' }]
    for (const [key, body] of [
      ['no/such/1', bodies[0]],
      ['r', bodies[0]],
      ['r/1', bodies[1]],
      ['r/1', bodies[2]],
    ] as const) {
      const fact = { doc: CLUSTER_DOC, collection: 'runs', key, body } as never
      board.apply({ author: { node: 'n', incarnation: incarnation(1) }, n: 1, at: 1, facts: [fact] })
    }
    expect(board.refused).toBe(4)
    expect(board.isArchived('r')).toBe(false)
  })
})

describe('exclusive names', () => {
  it('[RS6] with another member known, in records or alive, such a task is refused; one from before starts only where it was submitted', () => {
    const exclusive = { exclusive: 'prod' }
    const known = new LoneNode()
    known.hear('node-b', 'nodes', 'node-b/1', { name: 'b', slots: 1, version: '0' }, { doc: CLUSTER_DOC })
    const alive = new LoneNode()
    alive.do({ type: 'members', live: ['node-a', 'node-b'] })
    for (const node of [known, alive])
      expect(node.submit({ a: exclusive })).toMatchObject({ ok: false, code: 'ORCH_UNSUPPORTED' })
    const here = new LoneNode()
    here.submit({ a: exclusive })
    const elsewhere = new LoneNode({
      author: { node: 'node-b', incarnation: incarnation(1) },
      replay: here.batches,
    })
    elsewhere.hear('node-a', 'voids', 'a/1/1', { why: 'released' })
    elsewhere.after(60_000)
    expect(elsewhere.starts()).toEqual([])
  })
})
