/** Orders of people, from both sides: what may be ordered in which state, and what a task then does. */
import { describe, expect, it } from 'vitest'
import type { Order } from '../../src/core/fact.ts'
import { dependencyClass, isFinal, TASK_STATUSES, TASK_TRIGGERS, TRANSITIONS } from '../../src/core/status.ts'
import { LoneNode, RUN } from './lone-node.ts'

const again: Order = { verb: 'retry', round: 0 }

describe('orders on a task', () => {
  it('[OR1] cancel stops what runs, keeps its work, and drops what needs it; accepted work stays accepted', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] }, c: {} })
    node.end('c')
    expect(node.order('a', { verb: 'cancel', reason: 'not needed' })).toEqual({ ok: true })
    expect(node.take('stop')).toMatchObject([{ reason: 'cancelled', graceMs: 10_000 }])
    expect(node.statuses()).toEqual({ a: 'cancelled', b: 'dropped', c: 'accepted' })
    expect(node.task('a').reason).toBe('not needed')
    node.end('a', { outcome: 'cancelled' })
    expect(node.said('results').at(-1)!.body).toMatchObject({ outcome: 'cancelled' })
    expect(node.order('c', { verb: 'cancel' })).toMatchObject({
      ok: false,
      code: 'ORCH_WRONG_STATE',
      context: { status: 'accepted' },
    })
    expect(node.task('a').run.status).toBe('partial')
  })

  it('[OR2] retry opens a round with fresh budgets, only where something is over or held', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] }, run: {}, done: {}, no: { needs: ['done'], if: 'failure()' } })
    node.end('done')
    node.fail('a')
    for (const id of ['run', 'done'])
      expect(node.order(id, again)).toMatchObject({ ok: false, code: 'ORCH_WRONG_STATE' })
    expect(node.order('b', again)).toMatchObject({
      ok: false,
      message: expect.stringContaining('retry that one'),
    })
    expect(node.order('no', again)).toEqual({ ok: true })
    expect(node.task('no')).toMatchObject({ status: 'skipped', round: 2 })
    expect(node.order('a', again)).toEqual({ ok: true })
    expect(node.task('a')).toMatchObject({ status: 'running', round: 2, epoch: 1, failures: 0 })
    node.order('a', { verb: 'cancel' })
    expect(node.order('a', again)).toEqual({ ok: true })
    expect(node.task('a')).toMatchObject({ status: 'ready', round: 3 })
    // The attempt of the round before still has to end.
    expect(node.running()).toContain('a')
    node.end('a', { outcome: 'cancelled' })
    expect(node.task('a').status).toBe('running')
  })

  it('[OR3] pause keeps a task from starting and does not stop what runs; resume lets it go on', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: {}, b: {}, c: { needs: ['a'] } })
    node.order('a', { verb: 'pause' })
    node.order('b', { verb: 'pause', reason: 'wait for Anna' })
    expect(node.statuses()).toEqual({ a: 'running', b: 'paused', c: 'waiting' })
    expect(node.task('b').reason).toBe('wait for Anna')
    node.end('a')
    expect(node.running()).toEqual(['c'])
    node.end('c')
    expect(node.task('b').run.status).toBe('running')
    node.order('b', { verb: 'resume' })
    expect(node.running()).toEqual(['b'])
  })

  it('[OR4] block waits for the tasks it names, also one that comes later, or for a person', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ busy: {}, a: {}, b: {}, c: {} }, { seal: false })
    node.order('a', { verb: 'block', reason: 'needs the schema', blockers: ['schema'], round: 0 })
    node.order('b', { verb: 'block', reason: 'ask Anna', round: 0 })
    node.order('c', { verb: 'block', reason: 'after busy', blockers: ['busy'], round: 0 })
    expect(node.statuses()).toMatchObject({ a: 'blocked', b: 'blocked', c: 'blocked' })
    expect(node.task('a').reason).toBe('needs the schema')
    node.end('busy')
    expect(node.running()).toEqual(['c'])
    node.submit({ schema: {} })
    node.end('c')
    node.end('schema')
    expect(node.running()).toEqual(['a'])
    node.end('a')
    expect(node.task('b').run.status).toBe('stuck')
    node.order('b', { verb: 'unblock' })
    expect(node.running()).toEqual(['b'])
  })

  it('[OR4] a retry unblocks: the block was of the round before', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ busy: {}, a: {} })
    node.order('a', { verb: 'block', reason: 'x', round: 0 })
    expect(node.order('a', again)).toEqual({ ok: true })
    expect(node.task('a').status).toBe('ready')
  })

  it('[OR5] prioritise changes the order of starts at once (R22)', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ busy: {}, a: {}, b: {} })
    node.order('b', { verb: 'prioritize', priority: 'critical' })
    node.end('busy')
    expect(node.running()).toEqual(['b'])
  })

  it('[OR6] of two orders the one with the larger version counts, then the larger author; the next version is one above', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ busy: {}, a: {} })
    const from = (author: string, n: number, body: Order) =>
      node.do({
        type: 'facts',
        batch: {
          author: { node: author, incarnation: 'x' },
          n: 1,
          at: 1,
          facts: [{ doc: RUN, collection: 'orders', key: `a/${n}`, body }],
        },
      })
    from('node-z', 7, { verb: 'pause' })
    from('node-b', 7, { verb: 'resume' })
    expect(node.task('a').status).toBe('paused')
    from('node-b', 3, { verb: 'resume' })
    expect(node.task('a').status).toBe('paused')
    node.order('a', { verb: 'resume' })
    expect(node.said('orders').at(-1)!.key).toBe('a/8')
    expect(node.task('a').status).toBe('ready')
    // A refused order still uses up its version, so that the next one is never written under a taken key.
    from('node-a', 9, { verb: 'retry', round: 5_000 })
    node.order('a', { verb: 'pause' })
    expect(node.said('orders').at(-1)!.key).toBe('a/10')
  })

  it('[OR7] what a task does not take, or that does not exist, is refused', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    expect(node.order('a', { verb: 'landed', branch: 'x', commit: 'y' })).toMatchObject({
      ok: false,
      code: 'ORCH_USAGE',
    })
    expect(node.order('b', again)).toMatchObject({ ok: false, code: 'ORCH_NOT_FOUND' })
    expect(node.order('a', again, 'run-9')).toMatchObject({ ok: false, code: 'ORCH_NOT_FOUND' })
    expect(node.order('*', again)).toMatchObject({ ok: false, code: 'ORCH_USAGE' })
  })
})

describe('orders on a run', () => {
  it('[OR8] cancel ends what is not accepted and stops what runs; tasks of it are not retried, a finished run is not cancelled', () => {
    const node = new LoneNode({ slots: 2 })
    node.submit({ a: {}, b: {}, c: {}, d: { needs: ['a'] } })
    node.end('a')
    expect(node.order('*', { verb: 'cancel', reason: 'wrong plan' })).toEqual({ ok: true })
    expect(node.statuses()).toEqual({ a: 'accepted', b: 'cancelled', c: 'cancelled', d: 'cancelled' })
    expect(node.task('b').reason).toBe('wrong plan')
    expect(node.take('stop')).toHaveLength(2)
    expect(node.task('a').run).toMatchObject({ status: 'cancelled', finished: true })
    expect(node.order('b', again)).toMatchObject({
      ok: false,
      message: expect.stringContaining('its run was cancelled'),
    })
    expect(node.order('*', { verb: 'cancel' })).toMatchObject({ ok: false, code: 'ORCH_WRONG_STATE' })
  })

  it('[OR9] pause holds every task that does not run, resume lets them go', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: {}, b: {} })
    node.order('*', { verb: 'pause', reason: 'budget' })
    node.end('a')
    expect(node.running()).toEqual([])
    expect(node.task('b')).toMatchObject({ status: 'paused', reason: 'the run is paused' })
    expect(node.task('b').run.status).toBe('paused')
    node.order('*', { verb: 'resume' })
    expect(node.running()).toEqual(['b'])
  })

  it('[OR10] where it was landed by hand is kept', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    expect(node.order('*', { verb: 'landed', branch: 'main', commit: 'c' })).toEqual({ ok: true })
    expect(node.task('a').run.landed!.value).toMatchObject({ branch: 'main' })
  })
})

describe('statuses', () => {
  it('[TS1] the table has a row for each status and a cell for each trigger; an accepted task never leaves', () => {
    for (const status of TASK_STATUSES) {
      expect(Object.keys(TRANSITIONS[status]).sort()).toEqual([...TASK_TRIGGERS].sort())
      for (const cell of Object.values(TRANSITIONS[status])) {
        expect(cell.has('unknown')).toBe(false)
      }
      for (const trigger of TASK_TRIGGERS)
        if (status === 'accepted' && trigger !== 'adopt') expect(TRANSITIONS[status][trigger].size).toBe(0)
      expect(
        TRANSITIONS[status].accept.has('accepted') || status === 'accepted' || status === 'unknown',
      ).toBe(true)
    }
  })

  it('[TS7] what a status means to those that need it, and which are over', () => {
    const by = (kind: string) => TASK_STATUSES.filter((s) => dependencyClass(s) === kind)
    expect(by('success')).toEqual(['provisional', 'accepted', 'skipped', 'passed'])
    expect(by('failure')).toEqual(['failed', 'dropped', 'cancelled'])
    expect(TASK_STATUSES.filter(isFinal)).toEqual([
      'accepted',
      'skipped',
      'passed',
      'failed',
      'dropped',
      'cancelled',
    ])
  })
})
