/** What a node does with attempts it holds: their ends, restarts and adoption, supervision, outside workers, other nodes that go away. */
import { describe, expect, it } from 'vitest'
import type { Batch, Fact } from '../../src/core/fact.ts'
import { isOk, LoneNode, RUN } from './lone-node.ts'

const retry = (attempts: number, delayMs = 0) => ({
  retry: { strategy: 'fixed' as const, attempts, delayMs },
})

/** What another node wrote. */
function foreign(node: string, n: number, ...facts: Fact[]): Batch {
  return { author: { node, incarnation: 'x' }, n, at: 1, facts }
}

const record = (node: string, slots = 1): Fact => ({
  doc: '@cluster',
  collection: 'nodes',
  key: `${node}/1`,
  body: { name: node, slots, version: '0' },
})

describe('the end of an attempt', () => {
  it('[TS2] a success is provisional, then accepted; a failure uses up a try; the last one fails the task with its reason', () => {
    const node = new LoneNode()
    node.submit({ ok: {}, bad: retry(2) })
    node.end('ok')
    expect(node.task('ok').status).toBe('accepted')
    node.fail('bad', 'exit 3')
    expect(node.task('bad')).toMatchObject({ status: 'running', failures: 1, epoch: 2 })
    node.fail('bad', 'exit 4')
    expect(node.task('bad')).toMatchObject({ status: 'failed', failures: 2, reason: 'exit 4' })
  })

  it('[TS2] a timeout counts as a failure; given back, lost or cancelled does not', () => {
    const node = new LoneNode()
    node.submit({ slow: { timeoutMs: 5_000, ...retry(2) }, back: {}, gone: {} })
    node.after(5_000)
    expect(node.take('stop')).toMatchObject([{ reason: 'timed-out' }])
    node.end('slow', { outcome: 'cancelled' })
    expect(node.task('slow')).toMatchObject({ failures: 1, status: 'running' })
    expect(node.said('results').at(-1)!.body).toMatchObject({
      outcome: 'timed-out',
      error: 'ORCH_TIMEOUT',
      reason: 'timed out after 5 s',
    })
    node.end('gone', { outcome: 'lost' })
    expect(node.task('gone')).toMatchObject({ failures: 0, lost: 1, epoch: 2, status: 'running' })
    node.do({
      type: 'release',
      attempt: node.state.byTask.get(node.task('back'))!.id,
      reason: 'wrong machine',
    })
    node.end('back', { outcome: 'cancelled' })
    expect(node.task('back')).toMatchObject({ failures: 0, lost: 0, epoch: 2, status: 'running' })
  })

  it('[TS3] lost with its node more than five times in a round fails the task', () => {
    const node = new LoneNode()
    node.submit({ a: retry(9) })
    for (let i = 0; i < 5; i++) node.end('a', { outcome: 'lost' })
    expect(node.task('a')).toMatchObject({ status: 'running', lost: 5 })
    node.end('a', { outcome: 'lost' })
    expect(node.task('a')).toMatchObject({ status: 'failed', reason: 'lost with its node 6 times' })
  })

  it('[BK3] after a failure it rests, then starts by itself; a person’s retry starts at once and with fresh tries', () => {
    const node = new LoneNode({ seed: 3 })
    node.submit({ a: retry(2, 60_000) })
    node.fail('a')
    expect(node.task('a').status).toBe('ready')
    expect(node.running()).toEqual([])
    expect(node.task('a').notBefore).toBeLessThanOrEqual(node.now + 60_000)
    node.after(60_000)
    expect(node.running()).toEqual(['a'])
    node.fail('a')
    node.order('a', { verb: 'retry', round: 0, hint: 'use the other port' })
    expect(node.running()).toEqual(['a'])
    expect(node.task('a')).toMatchObject({ round: 2, failures: 0 })
    expect(node.starts().at(-1)!.hints).toEqual([
      'An earlier attempt failed: exit 1',
      'An earlier attempt failed: exit 1',
      'use the other port',
    ])
    node.fail('a')
    expect(node.running()).toEqual([])
    expect(node.task('a').notBefore).toBeGreaterThan(node.now)
  })

  it('[TS4] the next attempt gets what went wrong, the last output and the handoff of the one before (R58, R74)', () => {
    const node = new LoneNode()
    const handoff = { current_focus: 'parser', progress: ['lexer'], next_steps: ['tests'], updated_at: 'now' }
    node.submit({ a: retry(3) })
    node.end('a', { outcome: 'failed', reason: 'exit 1', excerpt: 'boom', hint: 'slow down', handoff })
    const start = node.starts().at(-1)!
    expect(start.hints).toEqual(['An earlier attempt failed (exit 1). Its last output:\nboom\nslow down'])
    expect(start).toMatchObject({ number: 2, handoff })
  })

  it('[TS5] an answer about an attempt that is not known, or comes twice, changes nothing', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    const { id } = node.state.byTask.get(node.task('a'))!
    node.end('a')
    const before = node.facts.length
    node.do({ type: 'attempt-ended', attempt: id, result: { outcome: 'failed' } })
    node.do({ type: 'attempt-event', attempt: id, event: { type: 'output', bytes: 1 } })
    node.do({ type: 'base-conflict', attempt: id, reason: 'x' })
    expect(node.do({ type: 'release', attempt: id, reason: 'x' })).toMatchObject({
      ok: false,
      code: 'ORCH_SUPERSEDED',
    })
    expect(node.facts.length).toBe(before)
  })

  it('[TS5] a second reason to stop changes nothing: the first is told', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    node.order('a', { verb: 'cancel' })
    const { id } = node.state.byTask.get(node.task('a'))!
    expect(node.do({ type: 'release', attempt: id, reason: 'x' })).toMatchObject({
      ok: false,
      code: 'ORCH_WRONG_STATE',
    })
    expect(node.take('stop')).toHaveLength(1)
  })

  it('[TS6] what was built on a result that no longer counts does not count either, even if it is done in time', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] } }, { repository: true })
    node.end('a')
    expect(node.running()).toEqual(['b'])
    node.order('a', { verb: 'cancel' })
    expect(node.take('stop')).toHaveLength(1)
    node.end('b')
    expect(node.task('b')).toMatchObject({ status: 'dropped', provisional: undefined })
    expect(node.said('results').at(-1)!.body).toMatchObject({
      outcome: 'released',
      reason: 'what it was built on does not count any more',
    })
  })
})

describe('two results that do not merge', () => {
  it('[AC5] the task waits until what it needs is accepted, and costs no try', () => {
    const node = new LoneNode()
    node.submit(
      {
        x: { scope: { write: ['x'], read: [] } },
        y: { scope: { write: ['y'], read: [] } },
        g: { kind: 'barrier', needs: ['x', 'y'] },
        b: { needs: ['g'] },
      },
      { repository: true },
    )
    for (const id of ['x', 'y']) node.end(id)
    const attempt = node.state.byTask.get(node.task('b'))!
    node.do({ type: 'base-conflict', attempt: attempt.id, reason: 'x and y conflict in f' })
    node.end('b', { outcome: 'cancelled' })
    expect(node.task('b')).toMatchObject({ status: 'ready', failures: 0 })
    expect(node.running()).toEqual([])
    node.integrate()
    expect(node.running()).toEqual(['b'])
    expect(node.starts().at(-1)!.base!.deltas).toEqual([])
  })
})

describe('restart', () => {
  it('[ND3] what an earlier life left without a process is given up and starts again at once', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] } })
    const next = node.restart()
    expect(next.running()).toEqual(['a'])
    expect(next.task('a')).toMatchObject({ epoch: 2, lost: 1, failures: 0 })
    expect(next.said('results')).toMatchObject([{ key: 'a/1/1', body: { outcome: 'lost' } }])
    expect(next.said('voids')).toMatchObject([{ key: 'a/1/1', body: { why: 'restarted' } }])
    next.runAll()
    expect(next.task('b').run.status).toBe('complete')
  })

  it('[ND4] an adopted attempt keeps its place, its age and its epoch', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: { timeoutMs: 10_000 }, b: {} })
    const { id } = node.state.byTask.get(node.task('a'))!
    const next = node.restart({ slots: 1, adopted: [{ attempt: id, ageMs: 8_000 }] })
    expect(next.running()).toEqual(['a'])
    expect(next.said('voids')).toEqual([])
    next.after(2_000)
    expect(next.take('stop')).toMatchObject([{ attempt: id, reason: 'timed-out' }])
    next.end('a')
    expect(next.task('a').status).toBe('accepted')
    expect(next.running()).toEqual(['b'])
  })

  it('[ND4] an adopted attempt that was cancelled, or voided, while the node was away is stopped, or goes on in the new epoch', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: {} })
    const ids = ['a', 'b'].map((t) => node.state.byTask.get(node.task(t))!.id)
    const away = foreign(
      'node-b',
      1,
      { doc: RUN, collection: 'orders', key: 'a/1', body: { verb: 'cancel' } },
      { doc: RUN, collection: 'voids', key: 'b/1/1', body: { why: 'lost' } },
    )
    const next = node.restart({
      replay: [...node.batches, away],
      adopted: ids.map((attempt) => ({ attempt, ageMs: 1 })),
    })
    expect(next.take('stop')).toMatchObject([{ attempt: ids[0], reason: 'cancelled' }])
    expect(next.said('starts')).toEqual([{ key: 'b/1/2', body: { cont: true } }])
    next.end('b')
    expect(next.task('b').status).toBe('accepted')
  })

  it('[ND4] adoption of what no run knows is passed over', () => {
    const next = new LoneNode({
      adopted: [
        { attempt: `no-run/t/1.1/${'0'.repeat(26)}`, ageMs: 1 },
        { attempt: 'nonsense', ageMs: 1 },
      ],
    })
    expect(next.running()).toEqual([])
  })

  it('[ND3] facts of an own earlier life that come late are given up as well', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    node.fail('a')
    const life: Batch = {
      author: { node: 'node-a', incarnation: 'older' },
      n: 1,
      at: 1,
      facts: [{ doc: RUN, collection: 'starts', key: 'a/2/1', body: {} }],
    }
    node.order('a', { verb: 'retry', round: 0 })
    node.end('a', { outcome: 'lost' })
    node.do({
      type: 'facts',
      batch: { ...life, facts: [{ doc: RUN, collection: 'starts', key: 'a/3/1', body: {} }] },
    })
    node.order('a', { verb: 'cancel' })
    node.end('a')
    node.order('a', { verb: 'retry', round: 0 })
    expect(node.task('a')).toMatchObject({ round: 3, epoch: 2, lost: 1 })
    expect(node.running()).toEqual(['a'])
  })
})

describe('supervision', () => {
  const agent = { kinds: ['agent'], stallMs: 60_000 }
  const event = (node: LoneNode, id: string, e: object) =>
    node.do({ type: 'attempt-event', attempt: node.state.byTask.get(node.task(id))!.id, event: e as never })

  it('[ND7] silence stops an agent; it is tried again with the hint, and given up with the post-mortem the second time (R55, R59)', () => {
    const node = new LoneNode(agent)
    node.submit({ a: { kind: 'agent', ...retry(3) } })
    node.after(60_000)
    expect(node.take('stop')).toMatchObject([{ reason: 'stalled' }])
    node.end('a', { outcome: 'cancelled' })
    expect(node.task('a')).toMatchObject({ failures: 1, status: 'running' })
    expect(node.starts().at(-1)!.hints[0]).toContain('no sign of progress for 60 s')
    node.after(60_000)
    node.end('a', { outcome: 'cancelled' })
    expect(node.said('results').at(-1)!.body).toMatchObject({
      outcome: 'failed',
      reason: expect.stringContaining('given up after 2 attempts, 2 interventions'),
    })
  })

  it('[ND7] an agent that repeats itself is told so once, then stopped, then given up (R57-R59)', () => {
    const node = new LoneNode(agent)
    node.submit({ a: { kind: 'agent', ...retry(2) } })
    const call = { type: 'tool-call', id: '1', name: 'ls', kind: 'read' }
    for (let i = 0; i < 3; i++) event(node, 'a', call)
    expect(node.take('hint')).toMatchObject([{ text: expect.stringContaining('same call 3 times') }])
    expect(node.take('stop')).toEqual([])
    for (let i = 0; i < 3; i++) event(node, 'a', call)
    expect(node.take('stop')).toMatchObject([{ reason: 'stalled' }])
    event(node, 'a', call)
    node.end('a', { outcome: 'cancelled' })
    for (let i = 0; i < 3; i++) event(node, 'a', call)
    node.end('a', { outcome: 'cancelled' })
    expect(node.task('a')).toMatchObject({ status: 'failed', reason: expect.stringContaining('given up') })
  })

  it('[ND7] steps without any effect are told to an agent; a shell command may be silent and repeat itself', () => {
    const node = new LoneNode({ ...agent, kinds: ['agent', 'shell'] })
    node.submit({ a: { kind: 'agent' }, s: {} })
    for (let n = 1; n <= 11; n++) event(node, 'a', { type: 'step', n })
    expect(node.take('hint')).toMatchObject([
      { text: expect.stringContaining('11 steps have changed no file') },
    ])
    node.after(600_000)
    expect(node.take('stop').map((s) => s.attempt.split('/')[1])).toEqual(['a'])
  })

  it('[ND8] events of an attempt leave one timer behind, however many there are', () => {
    const node = new LoneNode(agent)
    node.submit({ a: { kind: 'agent' } })
    for (let n = 1; n < 2_000; n++) {
      node.now += 10
      event(node, 'a', { type: 'output', bytes: n })
    }
    expect(node.state.timers.size).toBeLessThanOrEqual(2)
    node.after(60_000)
    expect(node.take('stop')).toHaveLength(1)
  })

  it('[ND7] a timeout inside a rate limit costs no try, and the task goes on when the limit is over (R59)', () => {
    const node = new LoneNode(agent)
    node.submit({ a: { kind: 'agent', timeoutMs: 10_000 } })
    event(node, 'a', { type: 'rate-limit', untilMs: 100_000 })
    node.after(10_000)
    expect(node.take('stop')).toHaveLength(1)
    node.end('a', { outcome: 'cancelled' })
    expect(node.task('a')).toMatchObject({ status: 'ready', failures: 0, lost: 0 })
    expect(node.running()).toEqual([])
    node.after(89_000)
    expect(node.running()).toEqual([])
    node.after(2_000)
    expect(node.running()).toEqual(['a'])
  })

  it('[ND7] memory, a timeout of zero, and no rule at all', () => {
    const node = new LoneNode()
    node.submit({ a: { timeoutMs: 0 } })
    expect(node.state.timers.size).toBe(0)
    node.end('a', {
      outcome: 'failed',
      reason: 'used more memory than its `resources` allow',
      error: 'ORCH_RESOURCE',
    })
    expect(node.task('a').reason).toBe('used more memory than its `resources` allow')
  })
})

describe('outside workers', () => {
  it('[CH6] of two racers one gets the task, the other is told the holder (R19, R20)', () => {
    const node = new LoneNode()
    node.submit({ a: { kind: 'outside' } })
    const first = node.do({ type: 'claim', run: RUN, task: 'a' })
    expect(first).toMatchObject({ ok: true, attempt: expect.stringContaining(`${RUN}/a/1.1/`) })
    expect(node.do({ type: 'claim', run: RUN, task: 'a' })).toMatchObject({
      ok: false,
      code: 'ORCH_CLAIM_LOST',
      context: { holder: 'node-a', attempt: isOk(first).attempt },
    })
    expect(node.starts()).toMatchObject([{ outside: true }])
    node.end('a')
    expect(node.task('a').status).toBe('accepted')
    expect(node.do({ type: 'claim', run: RUN, task: 'a' })).toMatchObject({
      ok: false,
      code: 'ORCH_WRONG_STATE',
    })
  })

  it('[CH6] without a name: the most urgent one of any kind that fits its capabilities, or none', () => {
    const node = new LoneNode()
    node.submit({
      low: { kind: 'outside', priority: 'low' },
      gpu: { kind: 'outside', priority: 'critical', capabilities: ['gpu'] },
      agent: { kind: 'claude', priority: 'high' },
      here: { priority: 'critical' },
    })
    const claim = (...capabilities: string[]) =>
      isOk(node.do({ type: 'claim', capabilities })).attempt?.split('/')[1]
    expect(claim()).toBe('agent')
    expect(claim('gpu')).toBe('gpu')
    expect(node.do({ type: 'claim', run: 'run-9' })).toMatchObject({ ok: false, code: 'ORCH_NOTHING_READY' })
    expect(claim()).toBe('low')
    expect(node.do({ type: 'claim' })).toMatchObject({ ok: false, code: 'ORCH_NOTHING_READY' })
  })

  it('[CH7] a claim takes no slot, but its turn in a group, its resources and its files', () => {
    const node = new LoneNode({ slots: 1 })
    const group = { kind: 'outside', capabilities: ['hands'], group: { name: 'g', concurrency: 1 } }
    node.submit({ a: group, b: group, c: {} })
    expect(node.running()).toEqual(['c'])
    expect(node.do({ type: 'claim', run: RUN, task: 'a' })).toMatchObject({ ok: true })
    expect(node.do({ type: 'claim', run: RUN, task: 'b' })).toMatchObject({
      ok: false,
      code: 'ORCH_NOTHING_READY',
      message: expect.stringContaining('its group "g" runs 1 at once'),
    })
    const { id } = node.state.byTask.get(node.task('a'))!
    node.do({ type: 'release', attempt: id, reason: 'no time' })
    node.end('a', { outcome: 'cancelled' })
    expect(node.task('a')).toMatchObject({ status: 'ready', epoch: 2 })
    expect(node.do({ type: 'claim', run: RUN, task: 'b' })).toMatchObject({ ok: true })
  })

  it('[CH6] what cannot be claimed says why', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] } })
    expect(node.do({ type: 'claim', task: 'a' })).toMatchObject({ ok: false, code: 'ORCH_NOT_FOUND' })
    expect(node.do({ type: 'claim', run: RUN, task: 'zz' })).toMatchObject({
      ok: false,
      code: 'ORCH_NOT_FOUND',
    })
    expect(node.do({ type: 'claim', run: RUN, task: 'b' })).toMatchObject({
      ok: false,
      code: 'ORCH_WRONG_STATE',
    })
    node.do({ type: 'drain' })
    expect(node.do({ type: 'claim', run: RUN, task: 'a' })).toMatchObject({
      ok: false,
      message: 'the node is stopping',
    })
  })
})

describe('other nodes', () => {
  const start = (task: string, epoch = 1): Fact => ({
    doc: RUN,
    collection: 'starts',
    key: `${task}/1/${epoch}`,
    body: {},
  })

  function two(): LoneNode {
    const node = new LoneNode({ kinds: [] })
    node.do({ type: 'facts', batch: foreign('node-b', 1, record('node-b')) })
    node.do({ type: 'members', live: ['node-b'] })
    node.submit({ a: {} })
    node.do({ type: 'facts', batch: foreign('node-b', 2, start('a')) })
    expect(node.task('a')).toMatchObject({ status: 'running' })
    return node
  }

  it('[CH8] what a dead member holds is voided, and starts elsewhere', () => {
    const node = two()
    node.do({ type: 'dead', node: 'node-b' })
    expect(node.said('voids')).toEqual([{ key: 'a/1/1', body: { why: 'lost' } }])
    expect(node.task('a')).toMatchObject({ status: 'ready', epoch: 2, lost: 1 })
  })

  it('[CH8] a hold of a dead member that is learnt late is voided too, unless it was seen alive by then', () => {
    for (const alive of [false, true]) {
      const node = two()
      node.do({ type: 'dead', node: 'node-b' })
      node.do({
        type: 'facts',
        batch: foreign('node-b', 3, { doc: RUN, collection: 'starts', key: 'a/1/2', body: { cont: true } }),
      })
      expect(node.task('a').status).toBe('running')
      if (alive) node.do({ type: 'members', live: ['node-b'] })
      node.after(3_000)
      expect(node.said('voids')).toHaveLength(alive ? 1 : 2)
    }
  })

  it('[CH8] a node does not void itself, and exclusive work of another is left for a person', () => {
    const node = new LoneNode()
    node.submit({ a: {}, x: { exclusive: 'prod' } })
    node.do({ type: 'dead', node: 'node-a' })
    expect(node.said('voids')).toEqual([])
    expect(node.state.live).toEqual(['node-a'])
  })

  it('[CH9] who learns that another holds it stops and gives it back, without a void', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    node.do({
      type: 'facts',
      batch: foreign('node-b', 1, { doc: RUN, collection: 'starts', key: 'a/1/1', body: { cont: true } }),
    })
    expect(node.task('a').holder!.node).toBe('node-b')
    expect(node.take('stop')).toMatchObject([{ reason: 'cancelled' }])
    node.end('a', { outcome: 'cancelled' })
    expect(node.said('results').at(-1)!.body).toMatchObject({ outcome: 'released' })
    expect(node.said('voids')).toEqual([])
    expect(node.task('a')).toMatchObject({ status: 'running', epoch: 1 })
  })

  it('[CH10] voided while it runs, and nobody else began: it goes on in the new epoch; else it stops', () => {
    for (const taken of [false, true]) {
      const node = new LoneNode()
      node.submit({ a: {} })
      const facts: Fact[] = [{ doc: RUN, collection: 'voids', key: 'a/1/1', body: { why: 'lost' } }]
      if (taken) facts.push(start('a', 2))
      node.do({ type: 'facts', batch: foreign('node-b', 1, ...facts) })
      if (taken) expect(node.take('stop')).toHaveLength(1)
      else {
        expect(node.said('starts').at(-1)).toEqual({ key: 'a/1/2', body: { cont: true } })
        node.end('a')
        expect(node.task('a')).toMatchObject({ status: 'accepted', accepted: { epoch: 2 } })
      }
    }
  })

  it('[CH11] not first in the row: it waits its turn, claims, waits for the others, and starts if it still holds the claim', () => {
    let waited = 0
    for (let i = 0; i < 20; i++) {
      const node = new LoneNode({ staggerMs: 200, settleMs: 500 })
      node.do({ type: 'facts', batch: foreign('node-b', 1, record('node-b')) })
      node.do({ type: 'members', live: ['node-a', 'node-b'] })
      node.submit({ [`t${i}`]: {} })
      const id = `t${i}`
      if (node.running().length === 1) continue
      waited++
      expect(node.task(id).status).toBe('ready')
      node.after(199)
      expect(node.said('claims')).toEqual([])
      node.after(1)
      expect(node.said('claims')).toHaveLength(1)
      expect(node.task(id).status).toBe('claimed')
      node.after(499)
      expect(node.running()).toEqual([])
      if (i % 2 === 0) {
        node.after(1)
        expect(node.running()).toEqual([id])
      } else {
        node.order(id, { verb: 'pause' })
        node.after(1)
        expect(node.running()).toEqual([])
        expect(node.task(id)).toMatchObject({ status: 'paused', epoch: 2 })
        node.order(id, { verb: 'resume' })
        node.after(2_000)
        expect(node.running()).toEqual([id])
      }
    }
    expect(waited).toBeGreaterThan(4)
  })

  it('[CH11] a member without a free slot, or that cannot run the kind, is not waited for', () => {
    for (const body of [{ slots: 0 }, { slots: 1, kinds: ['other'] }, { slots: 1, capabilities: [] }]) {
      for (let i = 0; i < 6; i++) {
        const node = new LoneNode({ capabilities: ['c'] })
        node.do({
          type: 'facts',
          batch: foreign('node-b', 1, {
            ...record('node-b'),
            body: { name: 'b', version: '0', ...body },
          } as Fact),
        })
        node.do({ type: 'members', live: ['node-a', 'node-b', 'node-unknown'] })
        node.submit({ [`t${i}`]: { capabilities: ['c'] } })
        expect(node.running()).toHaveLength(1)
      }
    }
  })

  it('[CH12] an epoch in which every claim was given back is voided by who wants it next', () => {
    const node = new LoneNode()
    node.submit({ a: {} }, { seal: true })
    node.do({ type: 'drain' })
    node.end('a', { outcome: 'cancelled' })
    const taken = node.task('a').epoch
    node.do({ type: 'undrain' })
    expect(taken).toBe(2)
    // The edge may end an attempt by itself: no void comes with that.
    node.end('a', { outcome: 'cancelled', reason: 'shutdown' })
    expect(node.task('a')).toMatchObject({ epoch: 3, status: 'running' })
    expect(node.said('voids').map((v) => v.key)).toEqual(['a/1/1', 'a/1/2'])
  })

  it('[CH13] reassign: a node that failed goes to the back of the row', () => {
    const spec = { retry: { strategy: 'reassign' as const, attempts: 3, delayMs: 0 } }
    for (let i = 0; i < 10; i++) {
      const node = new LoneNode()
      const id = `t${i}`
      node.do({ type: 'facts', batch: foreign('node-b', 1, record('node-b')) })
      node.do({ type: 'members', live: ['node-a', 'node-b'] })
      node.submit({ [id]: spec })
      node.after(1_000)
      node.fail(id)
      expect(node.task(id)).toMatchObject({ status: 'ready', failures: 1 })
      node.after(399)
      expect(node.said('claims').filter((c) => c.key === `${id}/1/2`)).toEqual([])
      node.after(1_000)
      expect(node.running()).toEqual([id])
    }
  })
})
