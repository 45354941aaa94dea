/** Results that only their author has, and how their objects come to others; runs that change hands; nodes that are drained. */
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type * as AckModule from '../../src/core/ack.ts'
import { attemptOf } from '../../src/core/attempt-name.ts'
import { violations } from '../../src/core/invariant.ts'
import { FETCH_HELP_MS } from '../../src/core/limit.ts'
import type * as TermModule from '../../src/core/term.ts'
import type { ClusterOptions } from './cluster.ts'
import { Cluster } from './cluster.ts'
import { BASE } from './fake-git.ts'
import { incarnation, LoneNode, type LoneOptions, RUN } from './lone-node.ts'

const HEAD = 'c'.repeat(40)
const work = { outcome: 'done', base: BASE, head: HEAD } as const
const record = (name: string) => ({ name, slots: 1, version: '0' })
const file = (name: string) => ({ scope: { write: [name], read: [] } })

/** A node that knows of others, all alive. */
function among(others: readonly string[], options: LoneOptions = {}): LoneNode {
  const node = new LoneNode(options)
  for (const other of others) node.hear(other, 'nodes', `${other}/1`, record(other), { doc: '@cluster' })
  node.do({ type: 'members', live: [node.author.node, ...others] })
  return node
}

/** `node-b` runs the task and is done with it. */
function foreign(node: LoneNode, task: string, result: object = { ...work, unshared: true }): void {
  node.hear('node-b', 'starts', `${task}/1/1`, {})
  node.hear('node-b', 'results', `${task}/1/1`, result as typeof work)
}

describe('work that only its author has', () => {
  it('[AK1] releases nothing until another node acknowledges it: it runs on, with its holder', () => {
    const node = among(['node-b', 'node-c'])
    node.submit({ a: { kind: 'there' }, b: { kind: 'there', needs: ['a'] } }, { repository: true })
    foreign(node, 'a')
    expect(node.statuses()).toEqual({ a: 'running', b: 'waiting' })
    expect(node.task('a').holder?.node).toBe('node-b')
    node.hear('node-b', 'acks', 'a/1/1/node-b', {})
    expect(node.task('a').status).toBe('running')
    node.hear('node-c', 'acks', 'a/1/1/node-b', {})
    expect(node.statuses()).toEqual({ a: 'provisional', b: 'ready' })
  })

  it('[AK1] counts as a success without an acknowledgement when there are no objects, no repository, or it is the integrator’s', () => {
    const node = among(['node-b'])
    node.submit({ a: { kind: 'there' } }, { repository: true })
    foreign(node, 'a', { outcome: 'done', unshared: true })
    expect(node.task('a').status).toBe('accepted')
    node.submit({ a: { kind: 'there' } }, { run: 'run-2' })
    node.hear('node-b', 'starts', 'a/1/1', {}, { doc: 'run-2' })
    node.hear('node-b', 'results', 'a/1/1', { ...work, unshared: true }, { doc: 'run-2' })
    expect(node.task('a', 'run-2').status).toBe('accepted')
    node.submit({ a: { kind: 'there' } }, { run: 'run-3', repository: true, integrator: 'node-b' })
    node.hear('node-b', 'starts', 'a/1/1', {}, { doc: 'run-3' })
    node.hear('node-b', 'results', 'a/1/1', { ...work, unshared: true }, { doc: 'run-3' })
    expect(node.task('a', 'run-3').status).toBe('provisional')
  })

  it('[AK2] is voided with its author like a running attempt, and counts all the same once somebody has it', () => {
    const node = among(['node-b', 'node-c'])
    node.submit({ a: { kind: 'there' } }, { repository: true })
    foreign(node, 'a')
    node.do({ type: 'dead', node: 'node-b' })
    node.after(1_000)
    expect(node.said('voids')).toEqual([{ key: 'a/1/1', body: { why: 'lost' } }])
    expect(node.task('a')).toMatchObject({ status: 'ready', epoch: 2, lost: 1 })
    node.hear('node-c', 'acks', 'a/1/1/node-b', {})
    expect(node.task('a')).toMatchObject({ status: 'provisional', provisional: { epoch: 1 } })
  })

  it('[AK2] also of a task that failed meanwhile', () => {
    const node = among(['node-b', 'node-c'])
    node.submit({ a: { kind: 'there' } }, { repository: true })
    for (let epoch = 1; epoch <= 6; epoch++) node.hear('node-c', 'voids', `a/1/${epoch}`, { why: 'lost' })
    foreign(node, 'a')
    expect(node.task('a').status).toBe('failed')
    const [fetch] = node.take('fetch')
    node.do({ type: 'fetched', slot: fetch!.slot, by: 'node-b', answer: 'ok' })
    expect(node.task('a').status).toBe('provisional')
    node.integrate()
    expect(node.task('a').run.status).toBe('complete')
  })

  it('[AK3] a node says so of its own work when others are known; the integrator’s counts until another takes over', () => {
    const result = (node: LoneNode) => node.said('results').at(-1)!.body
    const alone = new LoneNode()
    alone.submit({ a: {} }, { repository: true, integrator: 'node-b' })
    alone.end('a')
    expect(result(alone)).not.toHaveProperty('unshared')
    const integrator = among(['node-b'], { kinds: ['shell', 'x'] })
    integrator.submit({ a: {} }, { repository: true })
    integrator.after(5_000)
    integrator.end('a')
    expect(result(integrator)).toMatchObject({ unshared: true })
    expect(integrator.task('a').status).toBe('provisional')
    integrator.hear('node-b', 'orders', '*/1', { verb: 'adopt', term: 2, cutoff: 0, of: 'node-a' })
    expect(integrator.task('a').status).toBe('running')
    integrator.hear('node-b', 'acks', 'a/1/1/node-a', {})
    expect(integrator.task('a').status).toBe('provisional')
    const other = among(['node-b'])
    other.submit({ a: file('a'), b: file('b'), c: file('c') }, { repository: true, integrator: 'node-b' })
    other.after(5_000)
    other.end('a')
    expect(result(other)).toMatchObject({ outcome: 'done', unshared: true })
    other.end('b', { files: 0 })
    expect(result(other)).not.toHaveProperty('unshared')
    other.fail('c')
    expect(result(other)).not.toHaveProperty('unshared')
  })

  it('[AK3] a restart does not give it up', () => {
    const node = among(['node-b'])
    node.submit({ a: {} }, { repository: true, integrator: 'node-b' })
    node.after(5_000)
    node.end('a')
    const next = node.restart()
    expect(next.task('a').status).toBe('running')
    expect(next.running()).toEqual([])
  })
})

describe('fetching', () => {
  it('[AK4] the integrator asks at once, acknowledges what came, and only then integrates it', () => {
    const node = among(['node-b'])
    node.submit({ a: { kind: 'there' } }, { repository: true })
    foreign(node, 'a')
    const [fetch] = node.take('fetch')
    expect(fetch).toMatchObject({
      by: 'node-b',
      base: BASE,
      head: HEAD,
      sources: ['node-b'],
      attempt: `${RUN}/a/1.1/${incarnation(51)}`,
    })
    node.do({ type: 'fetched', slot: fetch!.slot, by: 'node-b', answer: 'ok' })
    expect(node.said('acks')).toEqual([{ key: 'a/1/1/node-b', body: {} }])
    node.integrate()
    expect(node.task('a').status).toBe('accepted')
    expect(violations(node.state.board)).toEqual([])
  })

  it('[AK4] what others hold, or says to be shared, is fetched by the integrator all the same before it is folded', () => {
    for (const shared of [true, false]) {
      const node = among(['node-b', 'node-c'])
      node.submit({ a: { kind: 'there' } }, { repository: true })
      if (!shared) node.hear('node-c', 'acks', 'a/1/1/node-b', {})
      foreign(node, 'a', shared ? work : { ...work, unshared: true })
      expect(node.task('a').status).toBe('provisional')
      expect(node.take('fold')).toEqual([])
      const [fetch] = node.take('fetch')
      expect(fetch!.sources).toEqual(shared ? ['node-b'] : ['node-b', 'node-c'])
      node.do({ type: 'fetched', slot: fetch!.slot, by: 'node-b', answer: 'ok' })
      expect(node.take('fold')).toHaveLength(1)
    }
  })

  it('[AK5] tried again later and later while somebody who has it is there, and when somebody comes', () => {
    const node = among(['node-b'])
    node.submit({ a: { kind: 'there' } }, { repository: true })
    foreign(node, 'a')
    const waits: number[] = []
    for (let i = 0; i < 9; i++) {
      const [fetch] = node.take('fetch')
      node.do({ type: 'fetched', slot: fetch!.slot, by: 'node-b', answer: 'failed' })
      const from = node.now
      while (!node.effects.some((e) => e.type === 'fetch')) node.after(500)
      waits.push(node.now - from)
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
    const [fetch] = node.take('fetch')
    node.do({ type: 'dead', node: 'node-b' })
    node.do({ type: 'fetched', slot: fetch!.slot, by: 'node-b', answer: 'failed' })
    node.after(300_000)
    expect(node.take('fetch')).toEqual([])
    node.do({ type: 'members', live: ['node-a', 'node-b'] })
    expect(node.take('fetch')).toHaveLength(1)
    expect(
      node.do({ type: 'fetched', slot: { ...fetch!.slot, epoch: 7 }, by: 'node-b', answer: 'ok' }),
    ).toEqual({ ok: true })
    expect(node.said('acks')).toEqual([])
  })

  it('[AK6] without the integrator the others do, one after the other; with it, when it has not for long', () => {
    const asked: number[] = []
    const helped: number[] = []
    for (const me of ['node-a', 'node-c', 'node-d']) {
      const others = ['node-a', 'node-c', 'node-d'].filter((n) => n !== me)
      const node = among(['node-b', 'node-i', ...others], {
        author: { node: me, incarnation: incarnation(1) },
      })
      node.submit({ a: { kind: 'there' }, b: { kind: 'there' } }, { repository: true, integrator: 'node-i' })
      foreign(node, 'a')
      node.after(FETCH_HELP_MS - 1)
      expect(node.take('fetch')).toEqual([])
      while (!node.effects.some((e) => e.type === 'fetch')) node.after(500)
      helped.push(Math.round(node.now / FETCH_HELP_MS))
      expect(node.take('fetch')).toHaveLength(1)
      node.do({ type: 'dead', node: 'node-i' })
      const from = node.now
      foreign(node, 'b')
      while (!node.effects.some((e) => e.type === 'fetch')) node.after(10)
      asked.push(node.now - from)
    }
    expect(asked.sort((a, b) => a - b)).toEqual([0, 200, 400])
    // One after the other: where the integrator is busy, all at once would not help it.
    expect(helped.sort((a, b) => a - b)).toEqual([1, 2, 3])
  })

  it('[AK6] nobody asks for what somebody has by then', () => {
    const node = among(['node-b', 'node-i', 'node-c'])
    node.submit({ a: { kind: 'there' } }, { repository: true, integrator: 'node-i' })
    foreign(node, 'a')
    node.hear('node-c', 'acks', 'a/1/1/node-b', {})
    node.after(100_000)
    expect(node.take('fetch')).toEqual([])
  })

  it('[AK7] a result that names no commits, or whose objects are refused, is rejected as hostile and never folded', () => {
    const bad = [
      { base: undefined },
      { head: '--upload-pack=x' },
      { base: 'HEAD' },
      { head: 7 },
      { head: HEAD.toUpperCase() },
    ]
    for (const change of bad) {
      for (const unshared of [true, false]) {
        const node = among(['node-b'])
        node.submit(
          { a: { kind: 'there', retry: { strategy: 'fixed', attempts: 9, delayMs: 0 } } },
          { repository: true },
        )
        foreign(node, 'a', { ...work, ...change, ...(unshared ? { unshared } : {}) })
        expect(node.said('rejects')).toMatchObject([{ key: 'a/1/1/node-b', body: { why: 'hostile' } }])
        expect(node.task('a')).toMatchObject({ status: 'ready', round: 2, failures: 1 })
        expect([...node.take('fetch'), ...node.take('fold')]).toEqual([])
      }
    }
    const node = among(['node-b'])
    node.submit({ a: { kind: 'there' } }, { repository: true })
    foreign(node, 'a')
    const slot = node.take('fetch')[0]!.slot
    node.do({ type: 'fetched', slot, by: 'node-b', answer: 'refused', reason: 'a tree with ..' })
    expect(node.said('rejects')).toMatchObject([{ body: { why: 'hostile', reason: 'a tree with ..' } }])
    expect(node.task('a').status).toBe('failed')
  })

  it('[AK7] others leave it to the integrator to say so, and do not ask again', () => {
    const node = among(['node-b'])
    node.submit({ a: { kind: 'there' } }, { repository: true, integrator: 'node-i' })
    foreign(node, 'a')
    const slot = node.take('fetch')[0]!.slot
    node.do({ type: 'fetched', slot, by: 'node-b', answer: 'refused' })
    node.after(1_000_000)
    expect([...node.said('rejects'), ...node.take('fetch')]).toEqual([])
  })

  it('[AK8] a base names who has what is not here: each delta, and the tip where another node made it', () => {
    const node = among(['node-b', 'node-c', 'node-i'])
    node.submit(
      { a: { kind: 'there' }, own: file('own'), b: { needs: ['a', 'own'] } },
      { repository: true, integrator: 'node-i' },
    )
    node.after(5_000)
    node.end('own')
    node.hear('node-i', 'acks', 'own/1/1/node-a', {})
    node.hear('node-c', 'acks', 'a/1/1/node-b', {})
    node.hear('node-i', 'acks', 'a/1/1/node-b', {})
    foreign(node, 'a')
    node.after(5_000)
    const { base } = node.starts().at(-1)!
    expect(base).toMatchObject({
      sources: ['node-i', 'node-b', 'node-c'],
      deltas: [{ task: 'a', sources: ['node-i', 'node-b', 'node-c'] }, { task: 'own' }],
    })
    expect(base!.deltas[1]).not.toHaveProperty('sources')
  })

  it('[AK9] an attempt whose base is nowhere to be had is given back, and rests', () => {
    const node = new LoneNode()
    node.submit({ a: {} }, { repository: true })
    const { id } = node.starts()[0]!
    node.do({ type: 'base-missing', attempt: id, reason: 'nobody has it' })
    node.end('a', { outcome: 'cancelled' })
    expect(node.task('a')).toMatchObject({ status: 'ready', failures: 0, lost: 0 })
    node.after(4_900)
    expect(node.starts()).toEqual([])
    node.after(200)
    expect(node.starts()).toHaveLength(1)
  })

  it('[AK9] the rest grows with every member that tried in vain, until somebody comes back who has it', () => {
    const node = among(['node-b', 'node-c', 'node-i'])
    node.submit({ a: { kind: 'there' }, b: { needs: ['a'] } }, { repository: true, integrator: 'node-i' })
    node.hear('node-i', 'acks', 'a/1/1/node-b', {})
    node.do({ type: 'members', live: ['node-a', 'node-c'] })
    for (const epoch of [1, 2, 3]) {
      node.hear('node-c', 'starts', `b/1/${epoch}`, {})
      node.hear('node-c', 'results', `b/1/${epoch}`, { outcome: 'released', noBase: true })
      node.hear('node-c', 'voids', `b/1/${epoch}`, { why: 'released' })
    }
    foreign(node, 'a')
    node.after(19_000)
    expect(node.starts()).toEqual([])
    node.do({ type: 'members', live: ['node-a', 'node-c', 'node-d'] })
    node.after(500)
    expect(node.starts()).toEqual([])
    node.do({ type: 'members', live: ['node-a', 'node-b', 'node-c', 'node-d'] })
    node.after(5_000)
    expect(node.starts()).toHaveLength(1)
  })
})

describe('files that are not integrated yet', () => {
  it('[SD15] on a node that does not integrate, no task starts next to finished work on its files', () => {
    const node = among(['node-i'])
    node.submit({ a: file('f'), b: file('f'), c: file('g') }, { repository: true, integrator: 'node-i' })
    node.after(5_000)
    expect(node.running().sort()).toEqual(['a', 'c'])
    node.end('a')
    node.hear('node-i', 'acks', 'a/1/1/node-a', {})
    node.after(5_000)
    expect(node.statuses()).toMatchObject({ a: 'provisional', b: 'ready' })
    node.hear('node-i', 'accepts', 'a/1/1', { epoch: 1, by: 'node-a', position: 1, commit: HEAD })
    node.after(5_000)
    expect(node.running()).toContain('b')
  })
})

describe('an attempt that went on in a new epoch', () => {
  it('[CH10] keeps the name it began with, also over restarts', () => {
    const node = among(['node-b'])
    node.submit({ a: {} }, { repository: true, integrator: 'node-b' })
    node.after(5_000)
    const id = [...node.state.attempts.keys()][0]!
    node.hear('node-b', 'voids', 'a/1/1', { why: 'lost' })
    expect(node.task('a').holder).toMatchObject({ epoch: 2, cont: true })
    expect(attemptOf(node.task('a'), node.task('a').holder!)).toBe(id)
    // What the next life looks for on its disk is the directory of the first name.
    const heard = { author: { node: 'node-b', incarnation: incarnation(51) }, n: 1, at: 1 }
    const voided = (epoch: number) => ({
      ...heard,
      facts: [{ doc: RUN, collection: 'voids', key: `a/1/${epoch}`, body: { why: 'lost' } } as const],
    })
    const adopted = [{ attempt: id, ageMs: 5 }]
    const replay = [...node.batches, voided(1)]
    const next = node.restart({ replay, adopted })
    expect(next.running()).toEqual(['a'])
    expect(next.said('voids')).toEqual([])
    next.hear('node-b', 'voids', 'a/1/2', { why: 'lost' })
    expect(next.task('a').holder).toMatchObject({ epoch: 3, cont: true })
    expect(attemptOf(next.task('a'), next.task('a').holder!)).toBe(id)
    const last = next.restart({ replay: [...replay, ...next.batches, voided(2)], adopted })
    last.end('a')
    expect(last.said('results')).toMatchObject([{ key: 'a/1/3', body: { outcome: 'done' } }])
    expect(attemptOf(last.task('a'), last.task('a').holder!)).toBe(id)
  })
})

describe('a whole cluster', () => {
  beforeEach(() => {
    vi.resetModules()
    vi.doUnmock('../../src/core/ack.ts')
    vi.doUnmock('../../src/core/term.ts')
  })

  it.each<[string, Partial<ClusterOptions>]>([
    ['adoptions, also in a partition, and integrators that return', { adopts: true }],
    ['drains with and without time', { drains: true }],
    ['a node lost for good', { loses: true }],
    ['all of it', { adopts: true, drains: true, loses: true }],
  ])(
    '[IV5] %s: everything accepted exactly once, boards equal, nothing folded or built on that is not here',
    async (_, more) => {
      const problems: string[] = []
      const sums = { adoptions: 0, undone: 0, fetches: 0 }
      for (let seed = 1; seed <= 120; seed++) {
        const cluster = await new Cluster({ seed, nodes: 2 + (seed % 4), faultsMs: 12_000, ...more }).run()
        problems.push(...cluster.problems)
        for (const key of ['adoptions', 'undone', 'fetches'] as const) sums[key] += cluster[key]
      }
      expect(problems).toEqual([])
      expect(sums.fetches).toBeGreaterThan(300)
      if (more.adopts) expect(Math.min(sums.adoptions, sums.undone)).toBeGreaterThan(50)
    },
  )

  async function found(options: Partial<ClusterOptions>): Promise<string> {
    const { Cluster: Broken } = await import('./cluster.ts')
    for (let seed = 1; seed <= 120; seed++) {
      const { problems } = await new Broken({
        seed,
        nodes: 3 + (seed % 3),
        faultsMs: 10_000,
        ...options,
      }).run()
      if (problems.length > 0) return problems.join('\n')
    }
    return ''
  }

  it('[IV6] released without an acknowledgement', async () => {
    vi.doMock('../../src/core/ack.ts', async (original) => ({
      ...(await original<typeof AckModule>()),
      isShared: () => true,
    }))
    expect(await found({})).toMatch(/builds on work that only/)
  })

  it('[IV6] acknowledged before the objects are there', async () => {
    expect(await found({ planted: 'ack-before-objects' })).toMatch(/folds t\d+, whose objects it has not/)
  })

  it('[IV6] an accept of an old term, and one past the cutoff', async () => {
    for (const rule of ['term', 'cutoff']) {
      vi.resetModules()
      vi.doMock('../../src/core/term.ts', async (original) => {
        const actual = await original<typeof TermModule>()
        const isStanding: typeof actual.isStanding = (run, accept) =>
          rule === 'term'
            ? run.terms.some((t) => t.integrator === accept.author.node)
            : run.terms[accept.term - 1]?.integrator === accept.author.node
        return { ...actual, isStanding }
      })
      expect(await found({ adopts: true }), rule).not.toBe('')
    }
  })
})
