/** Who starts what on one node: order, limits, what waits for what and how it comes back. */
import { describe, expect, it } from 'vitest'
import { explain } from '../../src/core/explain.ts'
import type { Fact } from '../../src/core/fact.ts'
import { AGING_MS } from '../../src/core/limit.ts'
import { unfinished } from '../../src/core/step.ts'
import type { TaskSpec } from '../../src/core/task.ts'
import { BASE, FakeGit } from './fake-git.ts'
import { LoneNode, RUN } from './lone-node.ts'

const scope = (...write: string[]) => ({ scope: { write, read: [] } })
const why = (node: LoneNode, id: string): string => explain(node.state, node.task(id))

/** The order in which tasks start when one runs at a time. */
function order(node: LoneNode): string[] {
  const started: string[] = []
  for (let i = 0; i < 100 && node.running().length > 0; i++) {
    const [id] = node.running()
    started.push(id!)
    node.end(id!)
  }
  return started
}

describe('order of starts', () => {
  it('[SD1] by priority, then by due date, then by the longest chain behind it, then by place in the plan (R22)', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({
      first: { priority: 'critical' },
      low: { priority: 'low' },
      plain: {},
      due: { due: 5 },
      later: { due: 9 },
      long: {},
      next: { needs: ['long'] },
      high: { priority: 'high' },
      back: { priority: 'backlog' },
    })
    expect(order(node)).toEqual(['first', 'high', 'due', 'later', 'long', 'plain', 'next', 'low', 'back'])
  })

  it('[SD2] a task is as urgent as the most urgent one that waits for it, over any distance (R22)', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({
      busy: { priority: 'critical' },
      high: { priority: 'high' },
      root: { priority: 'backlog' },
      middle: { priority: 'low', needs: ['root'] },
      hot: { priority: 'critical', needs: ['middle'] },
    })
    expect(node.task('root').level).toBe(4)
    // `root` has the longest chain behind it.
    expect(order(node)).toEqual(['root', 'middle', 'busy', 'hot', 'high'])
  })

  it('[SD2] what is over passes its urgency on no more, and a new priority is passed on at once', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({
      busy: { priority: 'critical' },
      root: { priority: 'low' },
      hot: { priority: 'critical', needs: ['root'] },
      other: { needs: ['root'] },
    })
    expect(node.task('root').level).toBe(4)
    node.order('hot', { verb: 'cancel' })
    expect(node.task('root').level).toBe(2)
    node.order('other', { verb: 'prioritize', priority: 'high' })
    expect(node.task('root').level).toBe(3)
    node.order('hot', { verb: 'retry', round: 0 })
    expect(node.task('root').level).toBe(4)
  })

  it('[SD3] each ten minutes of waiting count as one level on newcomers; the older run decides a tie (R22)', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ busy: { priority: 'critical', timeoutMs: 0 }, old: { priority: 'low' } })
    node.after(AGING_MS - 2_000)
    node.submit({ young: { priority: 'medium' } }, { run: 'run-2' })
    node.end('busy')
    expect(node.running()).toEqual(['young'])
    node.end('young', {}, 'run-2')
    expect(node.running()).toEqual(['old'])

    const again = new LoneNode({ slots: 1 })
    again.submit({ busy: { priority: 'critical', timeoutMs: 0 }, old: { priority: 'low' } })
    again.after(AGING_MS)
    again.submit({ young: { priority: 'medium' } }, { run: 'run-2' })
    again.end('busy')
    expect(again.running()).toEqual(['old'])
  })

  it('[SD4] no more attempts than slots; a free slot is used in the same step (R27)', () => {
    const node = new LoneNode({ slots: 3 })
    node.submit(Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`t${i}`, {}])))
    expect(node.running()).toHaveLength(3)
    expect(why(node, 't8')).toBe('all 3 slots are in use')
    node.end('t1')
    expect(node.running()).toEqual(['t0', 't2', 't3'])
  })

  it('[SD5] functions that take a millisecond are started many at a time, those that take long only as many as may run', () => {
    const run = (ms: number): number => {
      const node = new LoneNode({ kinds: [] })
      node.do({ type: 'kind', kind: 'sum', inProcess: true, concurrency: 4 })
      node.submit(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`t${i}`, { kind: 'sum' }])))
      for (let i = 0; i < 300; i++) {
        node.now += ms
        node.end(node.running()[0]!)
      }
      return node.running().length
    }
    expect(run(0)).toBeGreaterThan(100)
    expect(run(200)).toBe(4)
  })

  it('[SD6] a kind that nobody offers waits and says how to claim it; offered, it starts; withdrawn, it waits again', () => {
    const node = new LoneNode()
    node.submit({ a: { kind: 'sum' }, b: { kind: 'sum' } })
    expect(node.running()).toEqual([])
    expect(why(node, 'a')).toBe('no worker here takes tasks of kind "sum": claim it with `orch-node claim a`')
    node.do({ type: 'kind', kind: 'sum', inProcess: true, concurrency: 1 })
    expect(node.running()).toEqual(['a'])
    node.do({ type: 'kind', kind: 'sum', inProcess: true, concurrency: 0 })
    node.end('a')
    expect(node.running()).toEqual([])
    node.do({ type: 'kind', kind: 'sum', inProcess: true, concurrency: 2 })
    expect(node.running()).toEqual(['b'])
  })

  it('[SD6] a kind may be called like a pool of ours', () => {
    const node = new LoneNode({ slots: 2 })
    node.do({ type: 'kind', kind: 'process', inProcess: true, concurrency: 7 })
    node.submit(Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`t${i}`, {}])))
    expect(node.running()).toHaveLength(2)
  })
})

describe('needs, conditions, soft needs', () => {
  it('[SD7] a dependant starts on the provisional result, and says what it waits for until then', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] }, c: { needs: ['a', 'b'] } }, { repository: true })
    expect(why(node, 'c')).toBe('waits for a (running), b (waiting)')
    node.starts()
    node.end('a')
    expect(node.task('a').status).toBe('provisional')
    const [start] = node.starts()
    expect(start!.slot.task).toBe('b')
    expect(start!.base!.deltas.map((d) => d.task)).toEqual(['a'])
  })

  it('[SD8] `after` orders the start and does not block when it fails', () => {
    const node = new LoneNode()
    node.submit({ soft: {}, b: { after: ['soft'] } })
    expect(node.task('b').status).toBe('waiting')
    node.fail('soft')
    expect(node.task('b').status).toBe('running')
  })

  it('[SD9] without a condition a failed need drops the task, all the way down, and says which', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] }, c: { needs: ['b'] }, g: { kind: 'barrier', needs: ['c'] } })
    node.fail('a')
    expect(node.statuses()).toEqual({ a: 'failed', b: 'dropped', c: 'dropped', g: 'dropped' })
    expect([node.task('b').reason, node.task('c').reason]).toEqual([
      'its need "a" is failed',
      'its need "b" is dropped',
    ])
    expect(node.task('a').run.status).toBe('failed')
  })

  it('[SD9] when the need is retried and succeeds, what was dropped follows by itself', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: { needs: ['a'] }, c: { needs: ['b'] } })
    node.fail('a')
    expect(node.order('b', { verb: 'retry', round: 0 })).toMatchObject({
      ok: false,
      code: 'ORCH_WRONG_STATE',
    })
    expect(node.order('a', { verb: 'retry', round: 0 })).toEqual({ ok: true })
    expect(node.statuses()).toEqual({ a: 'running', b: 'waiting', c: 'waiting' })
    node.runAll()
    expect(node.task('c').run.status).toBe('complete')
  })

  const conditions: [string, 'done' | 'failed', 'done' | 'failed', string][] = [
    ['success()', 'done', 'done', 'accepted'],
    ['success()', 'done', 'failed', 'skipped'],
    ['failure()', 'done', 'done', 'skipped'],
    ['failure()', 'failed', 'done', 'accepted'],
    ['always()', 'failed', 'failed', 'accepted'],
    ["success('a') && failure('b')", 'done', 'failed', 'accepted'],
    ["success('a') && failure('b')", 'done', 'done', 'skipped'],
    ["!success('a')", 'done', 'done', 'skipped'],
  ]
  it.each(conditions)('[SD10] if: %s with a %s and b %s is %s', (condition, a, b, expected) => {
    const node = new LoneNode()
    node.submit({ a: {}, b: {}, c: { needs: ['a', 'b'], if: condition }, d: { needs: ['c'] } })
    const result = (id: string) => (id === 'a' ? { outcome: a } : id === 'b' ? { outcome: b } : {})
    node.runAll(result)
    expect(node.task('c').status).toBe(expected)
    // Skipped counts as a success for what needs it.
    expect(node.task('d').status).toBe('accepted')
    expect(node.task('d').run.finished).toBe(true)
  })

  it('[SD10] a cleanup that runs always is accepted, also with files and behind a barrier', () => {
    const node = new LoneNode()
    node.submit(
      { a: {}, ok: {}, g: { kind: 'barrier', needs: ['ok'] }, clean: { needs: ['a', 'g'], if: 'always()' } },
      { repository: true },
    )
    node.runAll((id) => (id === 'a' ? { outcome: 'failed' } : {}))
    expect(node.statuses()).toEqual({ a: 'failed', ok: 'accepted', g: 'passed', clean: 'accepted' })
    expect(node.task('a').run.status).toBe('partial')
  })

  it('[SD11] a need named twice, or that does not exist, harms nobody else', () => {
    const node = new LoneNode()
    node.submit({ a: {}, twice: { needs: ['a', 'a'] }, lost: { needs: ['nowhere'] } })
    node.runAll()
    expect(node.statuses()).toMatchObject({ a: 'accepted', twice: 'accepted', lost: 'waiting' })
  })

  it('[SD11] a cycle, which no checked plan has, waits and stops nobody', () => {
    const node = new LoneNode()
    node.submit(
      {
        a: { needs: ['b'] },
        b: { needs: ['a'] },
        self: { needs: ['self'] },
        c: {},
        odd: { needs: ['a', 'c'], if: "always('c')" },
      },
      { repository: true },
    )
    node.runAll()
    expect(node.statuses()).toMatchObject({
      a: 'waiting',
      b: 'waiting',
      self: 'waiting',
      c: 'accepted',
      odd: 'provisional',
    })
  })
})

describe('groups', () => {
  it('[SD12] at most `concurrency` members run at once; others of the plan are not held up (R8)', () => {
    const node = new LoneNode({ slots: 4 })
    const group = { group: { name: 'g', concurrency: 2 } }
    node.submit({ g1: group, g2: group, g3: group, g4: group, free: {} })
    expect(node.running()).toEqual(['g1', 'g2', 'free'])
    expect(why(node, 'g3')).toBe('its group "g" runs 2 at once')
    node.end('free')
    expect(node.running()).toEqual(['g1', 'g2'])
    node.end('g2')
    expect(node.running()).toEqual(['g1', 'g3'])
    node.runAll()
    expect(node.task('g4').run.status).toBe('complete')
  })

  it('[SD13] a barrier passes when all it needs have succeeded, and takes no slot', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: {}, b: {}, all: { kind: 'barrier', needs: ['a', 'b'] }, next: { needs: ['all'] } })
    node.end('a')
    expect(node.statuses()).toMatchObject({ all: 'waiting', next: 'waiting' })
    node.end('b')
    expect(node.statuses()).toMatchObject({ all: 'passed', next: 'running' })
  })

  it('[SD14] ten thousand waiting tasks cost no more each than ten: one group, one resource, one name, no scope', () => {
    const cases: [string, Partial<TaskSpec>, boolean][] = [
      ['group', { group: { name: 'g', concurrency: 1 } }, false],
      ['resource', { resources: { cpu: 8 } }, false],
      ['exclusive', { exclusive: 'deploy' }, false],
      ['no scope', {}, true],
    ]
    for (const [name, spec, repository] of cases) {
      const count = name === 'group' ? 10_000 : 3_000
      const node = new LoneNode({ slots: 4 })
      const began = performance.now()
      node.submit(Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, spec])), {
        repository,
      })
      for (let i = 0; i < count; i++) {
        expect(node.running()).toHaveLength(1)
        node.end(node.running()[0]!, { files: 0 })
      }
      expect(node.task('t0').run.count('accepted')).toBe(count)
      // A tenth of a millisecond each where this was written; quadratic would be minutes.
      expect(performance.now() - began, name).toBeLessThan(15_000)
    }
  })
})

describe('resources', () => {
  const capacity = { cpu: 4, memoryBytes: 1_000, gpu: 1, quota: { api: 2 } }

  it('[RS1] cpu, memory, gpu and quota are taken by the start and given back by the end; the end wakes who waits (R23)', () => {
    const needs: Record<string, Partial<TaskSpec>> = {
      cpu: { resources: { cpu: 3 } },
      memory: { resources: { memoryBytes: 600 } },
      gpu: { resources: { gpu: 1 } },
      quota: { resources: { quota: { api: 2 } } },
    }
    for (const [name, spec] of Object.entries(needs)) {
      const node = new LoneNode({ capacity })
      node.submit({ one: spec, two: spec, free: {} })
      expect(node.running()).toEqual(['one', 'free'])
      expect(why(node, 'two')).toBe(
        `waits for ${name === 'quota' ? 'quota api' : name} in use by other tasks`,
      )
      node.fail('one')
      expect(node.running()).toEqual(['free', 'two'])
    }
  })

  it('[RS2] what this node can never give is said so, and holds nobody up', () => {
    const node = new LoneNode({ capacity, capabilities: ['linux'] })
    node.submit({
      huge: { resources: { cpu: 64 }, priority: 'critical' },
      mac: { capabilities: ['xcode'], priority: 'critical' },
      api: { resources: { quota: { other: 1 } } },
      ok: { capabilities: ['linux'] },
    })
    expect(node.running()).toEqual(['ok'])
    expect([why(node, 'huge'), why(node, 'mac'), why(node, 'api')]).toEqual([
      'needs more cpu than this node has',
      'this node lacks the capability "xcode"',
      'needs more quota other than this node has',
    ])
  })

  it('[RS3] fractions of a core add up: after any number of tasks the whole node is free again', () => {
    const node = new LoneNode({ capacity: { ...capacity, cpu: 1 }, slots: 16 })
    for (let i = 0; i < 50; i++) {
      node.submit(
        Object.fromEntries([0.1, 0.2, 0.3, 0.05].map((cpu, k) => [`t${k}`, { resources: { cpu } }])),
        { run: `run-${i + 10}` },
      )
      for (const id of node.running()) node.end(id, {}, `run-${i + 10}`)
    }
    node.submit({ whole: { resources: { cpu: 1 } } })
    expect(node.running()).toEqual(['whole'])
  })

  it('[RS4] a small task goes past a large one that does not fit; when there is room the more urgent goes first', () => {
    const node = new LoneNode({ capacity })
    node.submit({
      a: { resources: { cpu: 2 } },
      large: { resources: { cpu: 4 }, priority: 'high' },
      small: { resources: { cpu: 1 } },
    })
    expect(node.running().toSorted()).toEqual(['large'])
    node.end('large')
    expect(node.running()).toEqual(['a', 'small'])
  })

  it('[RS5] one task at a time has an exclusive name', () => {
    const node = new LoneNode()
    node.submit({ a: { exclusive: 'prod' }, b: { exclusive: 'prod' }, c: { exclusive: 'other' } })
    expect(node.running()).toEqual(['a', 'c'])
    expect(why(node, 'b')).toBe('"prod" is in use by another task')
    node.end('a')
    expect(node.running()).toEqual(['c', 'b'])
  })

  it('[RS6] an exclusive task is tried once, and a start without a result is held until a person retries it', () => {
    const node = new LoneNode()
    node.submit({ a: { exclusive: 'prod', retry: { strategy: 'fixed', attempts: 5, delayMs: 0 } } })
    const next = node.restart()
    expect(next.task('a').status).toBe('held')
    expect(next.task('a').reason).toBe(
      'exclusive "prod" was started once and left no result: a person decides',
    )
    expect(next.task('a').run.status).toBe('stuck')
    expect(next.running()).toEqual([])
    expect(next.order('a', { verb: 'retry', round: 0 })).toEqual({ ok: true })
    expect(next.running()).toEqual(['a'])
    next.fail('a')
    expect(next.task('a').status).toBe('failed')
  })

  it('[RS6] with several members an exclusive task is refused: it would need voters', () => {
    const node = new LoneNode()
    node.do({
      type: 'facts',
      batch: {
        author: { node: 'node-b', incarnation: 'x' },
        n: 1,
        at: 1,
        facts: [
          {
            doc: '@cluster',
            collection: 'nodes',
            key: 'node-b/1',
            body: { name: 'b', slots: 1, version: '0' },
          },
        ],
      },
    })
    expect(node.submit({ a: { exclusive: 'prod' } })).toMatchObject({ ok: false, code: 'ORCH_UNSUPPORTED' })
    expect(node.submit({ a: {} })).toMatchObject({ ok: true })
  })
})

describe('scopes at the start', () => {
  it('[SD15] tasks that may write the same file do not run at once; the end of one wakes the other (R12)', () => {
    const node = new LoneNode()
    node.submit({ a: scope('src/**'), b: scope('src/x.ts'), c: scope('docs/**') }, { repository: true })
    expect(node.running()).toEqual(['a', 'c'])
    expect(why(node, 'b')).toBe('may write the same files as "a", which is running')
    node.end('a')
    expect(why(node, 'b')).toBe('may write the same files as "a", which is provisional')
    node.integrate()
    expect(node.task('a').status).toBe('accepted')
    expect(node.running()).toEqual(['c', 'b'])
  })

  it('[SD15] a task without a scope runs alone', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: scope('b'), c: scope('c') }, { repository: true })
    expect(node.running()).toEqual(['a'])
    node.end('a')
    node.integrate()
    expect(node.running()).toEqual(['b', 'c'])
  })

  it('[SD15] without a repository scopes do not matter, and other runs are never in the way', () => {
    const node = new LoneNode()
    node.submit({ a: {}, b: {} })
    node.submit({ a: {}, b: {} }, { run: 'run-2', repository: true })
    node.submit({ a: {} }, { run: 'run-3', repository: true })
    expect(node.running()).toEqual(['a', 'b', 'a', 'a'])
  })

  it('[SD16] a dependant does not wait for what it is built on', () => {
    const node = new LoneNode()
    node.submit({ a: scope('src/**'), b: { needs: ['a'], ...scope('src/**') } }, { repository: true })
    node.end('a')
    expect(node.statuses()).toEqual({ a: 'provisional', b: 'running' })
  })

  it('[SD16] a need that runs anew does not wait for the work of its dependant, which cannot be integrated before it', () => {
    const git = new FakeGit({ fails: (command) => command === 'check x' && node.task('x').round === 1 })
    const node: LoneNode = new LoneNode({ git })
    const check = { check: 'check x', retry: { strategy: 'fixed' as const, attempts: 2, delayMs: 0 } }
    const barrier = { kind: 'barrier', needs: ['x'] }
    node.submit(
      { x: { ...scope('f'), ...check }, g: barrier, b: { kind: 'elsewhere', needs: ['g'], ...scope('f') } },
      { repository: true },
    )
    const remote = (n: number, collection: 'starts' | 'results' | 'acks', body: object): void => {
      const isAck = collection === 'acks'
      const fact = { doc: RUN, collection, key: isAck ? 'b/1/1/node-b' : 'b/1/1', body } as Fact
      const author = { node: isAck ? 'node-a' : 'node-b', incarnation: 'x' }
      node.do({ type: 'facts', batch: { author, n, at: 1, facts: [fact] } })
    }
    node.end('x')
    remote(1, 'starts', {})
    node.integrate()
    expect(node.statuses()).toEqual({ x: 'ready', g: 'waiting', b: 'running' })
    expect(why(node, 'x')).toBe('may write the same files as "b", which is running')
    remote(2, 'results', { outcome: 'done', base: BASE, head: 'c'.repeat(40) })
    remote(1, 'acks', {})
    expect(node.statuses()).toEqual({ x: 'running', g: 'waiting', b: 'provisional' })
    node.runAll()
    expect(node.task('b').run.status).toBe('complete')
  })

  it('[SD16] who waited for files of a task that was cancelled goes on', () => {
    const node = new LoneNode()
    node.submit({ a: scope('f'), b: scope('f') }, { repository: true })
    node.end('a')
    expect(node.running()).toEqual([])
    node.order('a', { verb: 'cancel' })
    expect(node.running()).toEqual(['b'])
  })
})

describe('back-pressure, intake, drain', () => {
  it('[SD17] more unfinished tasks than the bound are refused with the numbers, and taken when there is room again (R24)', () => {
    const node = new LoneNode({ pendingTasksMax: 3, slots: 1 })
    expect(node.submit({ a: {}, b: {} })).toEqual({ ok: true, n: 2 })
    expect(node.submit({ a: {}, b: {} }, { run: 'run-2' })).toMatchObject({
      ok: false,
      code: 'ORCH_BACKPRESSURE',
      context: { pending: 2, max: 3 },
    })
    expect(node.state.board.runs.has('run-2')).toBe(false)
    node.end('a')
    expect(unfinished(node.task('a').run)).toBe(1)
    expect(node.submit({ a: {}, b: {} }, { run: 'run-2' })).toEqual({ ok: true, n: 2 })
  })

  it('[SD17] a run takes more tasks until it is sealed, each name once', () => {
    const node = new LoneNode()
    expect(node.submit({ a: {} }, { seal: false })).toMatchObject({ ok: true })
    expect(node.submit({ a: {} }, { seal: false })).toMatchObject({ ok: false, code: 'ORCH_USAGE' })
    node.end('a')
    expect(node.task('a').run.status).toBe('planning')
    expect(node.submit({ b: { needs: ['a'] } })).toMatchObject({ ok: true })
    expect(node.submit({ c: {} })).toMatchObject({ ok: false, code: 'ORCH_WRONG_STATE' })
    node.runAll()
    expect(node.task('b').run.status).toBe('complete')
  })

  it('[SD18] a node that lacks disk starts nothing and says so; what runs goes on', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: {}, b: {} })
    node.do({ type: 'intake', closed: 'the disk is full' })
    node.end('a')
    expect(node.running()).toEqual([])
    expect(why(node, 'b')).toBe('the disk is full')
    node.do({ type: 'intake' })
    expect(node.running()).toEqual(['b'])
  })

  it('[SD19] drain gives every attempt back with its work and starts nothing; undrain goes on in the next epoch', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: {}, b: {} })
    node.do({ type: 'drain' })
    expect(node.take('stop')).toMatchObject([{ reason: 'shutdown' }])
    node.end('a', { outcome: 'cancelled' })
    expect(node.statuses()).toEqual({ a: 'ready', b: 'ready' })
    expect(why(node, 'b')).toBe('the node is stopping')
    expect(node.task('a')).toMatchObject({ epoch: 2, failures: 0, lost: 0 })
    node.do({ type: 'undrain' })
    expect(node.running()).toEqual(['a'])
  })

  it('[SD19] work that is done in time counts, though the node was draining', () => {
    const node = new LoneNode()
    node.submit({ a: {} })
    node.do({ type: 'drain' })
    node.end('a')
    expect(node.task('a').status).toBe('accepted')
  })
})

describe('explain', () => {
  it('[SD20] says for every task why it does not run', () => {
    const node = new LoneNode({ slots: 1 })
    node.submit({ a: {}, b: {}, n0: {}, n1: {}, n2: {}, n3: {}, many: { needs: ['n0', 'n1', 'n2', 'n3'] } })
    expect(why(node, 'many')).toBe('waits for n0 (running), n1 (ready), n2 (ready) and 1 more')
    expect(why(node, 'n0')).toBe('running')
    node.order('b', { verb: 'pause', reason: 'lunch' })
    expect(why(node, 'b')).toBe('lunch')
    node.order('*', { verb: 'pause' })
    expect(why(node, 'n1')).toBe('the run is paused')
    node.order('*', { verb: 'resume' })
    node.do({ type: 'kind', kind: 'shell', inProcess: false, concurrency: 0 })
    expect(why(node, 'n1')).toBe('all 1 slots are in use')
    expect(node.state.board.task(RUN, 'n1')!.status).toBe('ready')
  })

  it('[SD20] also what rests, and what waits for others to be accepted', () => {
    const node = new LoneNode({ seed: 2 })
    node.submit(
      {
        a: scope('a'),
        b: { needs: ['a'], ...scope('b') },
        c: { ...scope('c'), retry: { strategy: 'fixed', attempts: 2, delayMs: 90_000 } },
      },
      { repository: true },
    )
    node.fail('c')
    expect(why(node, 'c')).toMatch(/^rests after a failure for another \d+ s$/)
    node.end('a')
    const { id } = node.state.byTask.get(node.task('b'))!
    node.do({ type: 'base-conflict', attempt: id, reason: 'x' })
    node.end('b', { outcome: 'cancelled' })
    expect(why(node, 'b')).toBe('waits until what it needs is accepted: two of the results do not merge')
    node.integrate()
    node.do({ type: 'drain' })
    node.end('b', { outcome: 'cancelled' })
    node.state.draining = false
    expect(why(node, 'b')).toBe('starts next')
    expect(node.task('b').status).toBe('ready')
  })
})
