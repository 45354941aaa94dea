/** Whose turn a ready task is, among members that could all take it. */
import { describe, expect, it } from 'vitest'
import { claimRank } from '../../src/core/claim.ts'
import type { Fact } from '../../src/core/fact.ts'
import { SETTLE_MS_MIN } from '../../src/core/limit.ts'
import { LoneNode, RUN } from './lone-node.ts'

const STAGGER_MS = 200
const SETTLE_MS = 500
const NAMES = Array.from({ length: 24 }, (_, i) => `t${i}`)

/** Of one slot each. */
const isMine = (task: string): boolean =>
  claimRank({ run: RUN, task, round: 1, epoch: 1 }, 'node-a', ['node-a', 'node-b'], () => 1) === 0
const MINE = NAMES.filter(isMine)
const THEIRS = NAMES.filter((name) => !isMine(name))

function say(node: LoneNode, n: number, ...facts: Fact[]): void {
  node.do({
    type: 'facts',
    batch: { author: { node: 'node-b', incarnation: 'x' }, n, at: 1, facts },
  })
}

/** Beside another member, which has one slot. */
function beside(kinds?: readonly string[]): LoneNode {
  const node = new LoneNode({ slots: 1, staggerMs: STAGGER_MS, settleMs: SETTLE_MS })
  const body = { name: 'b', slots: 1, version: '0', ...(kinds ? { kinds } : {}) }
  say(node, 1, { doc: '@cluster', collection: 'nodes', key: 'node-b/1', body })
  node.do({ type: 'members', live: ['node-a', 'node-b'] })
  return node
}

function startOf(task: string): Fact {
  return { doc: RUN, collection: 'starts', key: `${task}/1/1`, body: {} }
}

describe('beside a member without room', () => {
  it('[CH11] who comes first starts at once; who does not claims at once, and starts when nobody else was heard', () => {
    for (const [task, isFirst] of [
      [MINE[0]!, true],
      [THEIRS[1]!, false],
    ] as const) {
      const node = beside()
      node.submit({ [THEIRS[0]!]: {} }, { seal: false })
      say(node, 2, startOf(THEIRS[0]!))
      expect(node.task(THEIRS[0]!)).toMatchObject({ status: 'running' })
      node.submit({ [task]: {} })
      expect(node.running()).toEqual(isFirst ? [task] : [])
      expect(node.said('claims')).toHaveLength(isFirst ? 0 : 1)
      node.after(SETTLE_MS)
      expect(node.running()).toEqual([task])
    }
  })

  it('[CH11] who comes first and had no room for a while claims too: somebody may have begun', () => {
    const node = beside()
    node.submit({ [MINE[0]!]: {}, [MINE[1]!]: {} })
    expect(node.running()).toEqual([MINE[0]])
    node.after(SETTLE_MS)
    node.end(MINE[0]!)
    expect(node.running()).toEqual([])
    expect(node.task(MINE[1]!).status).toBe('claimed')
    node.after(SETTLE_MS)
    expect(node.running()).toEqual([MINE[1]])
  })
})

describe('functions', () => {
  it('[CH15] of a long queue each node takes first what it comes first for, and no more than its idle workers of the rest', () => {
    const node = beside(['fn'])
    node.do({ type: 'kind', kind: 'fn', inProcess: true, concurrency: 2 })
    node.submit(Object.fromEntries(NAMES.map((name) => [name, { kind: 'fn' }])))
    const begun: string[] = []
    for (let going = node.running(); going.length > 0; going = node.running())
      for (const task of going) {
        begun.push(task)
        node.end(task)
      }
    expect(begun.toSorted()).toEqual(MINE.toSorted())
    expect(node.said('claims')).toEqual([])
    node.after(STAGGER_MS)
    expect(node.said('claims')).toHaveLength(2)
    node.after(SETTLE_MS)
    expect(node.running()).toHaveLength(2)
  })

  it('[CH15] the part of a member that is gone is begun in its order, not at the end', () => {
    const node = beside(['fn'])
    const body = { name: 'c', slots: 1, version: '0', kinds: ['fn'] }
    node.do({
      type: 'facts',
      batch: {
        author: { node: 'node-c', incarnation: 'x' },
        n: 1,
        at: 1,
        facts: [{ doc: '@cluster', collection: 'nodes', key: 'node-c/1', body }],
      },
    })
    node.do({ type: 'members', live: ['node-a', 'node-b', 'node-c'] })
    node.do({ type: 'kind', kind: 'fn', inProcess: true, concurrency: 1 })
    node.submit(Object.fromEntries(NAMES.map((name) => [name, { kind: 'fn' }])))
    const left = (live: readonly string[], begun: readonly string[]): string[] =>
      NAMES.filter((task) => !begun.includes(task)).filter(
        (task) => claimRank({ run: RUN, task, round: 1, epoch: 1 }, 'node-a', live, () => 1) === 0,
      )
    // Looks through the queue for what is its own, and puts the rest aside.
    const begun = [...node.running()]
    while (left(['node-a', 'node-b', 'node-c'], begun).length > 1) {
      node.end(node.running()[0]!)
      begun.push(...node.running().filter((task) => !begun.includes(task)))
    }
    node.do({ type: 'dead', node: 'node-b', what: 'in-process' })
    node.do({ type: 'members', live: ['node-a', 'node-c'] })
    const next = left(['node-a', 'node-c'], begun)
    expect(next.length).toBeGreaterThan(3)
    const after: string[] = []
    while (after.length < next.length) {
      node.end(node.running()[0]!)
      after.push(...node.running().filter((task) => !begun.includes(task) && !after.includes(task)))
    }
    expect(after).toEqual(next)
  })

  it('[CH15] what is more urgent goes first, whoever it is for', () => {
    const node = beside(['fn'])
    node.do({ type: 'kind', kind: 'fn', inProcess: true, concurrency: 1 })
    node.submit({ [THEIRS[0]!]: { kind: 'fn', priority: 'critical' }, [MINE[0]!]: { kind: 'fn' } })
    expect(node.running()).toEqual([])
    node.after(STAGGER_MS + SETTLE_MS)
    expect(node.running()).toEqual([THEIRS[0]])
  })
})

describe('measured delays', () => {
  it.each([
    [0, SETTLE_MS_MIN],
    [50, SETTLE_MS_MIN + 200],
    [10_000, SETTLE_MS],
  ])(
    '[CH16] with a round trip of %i ms the settle window has %i ms, and the stagger its share',
    (roundTripMs, settleMs) => {
      const node = beside()
      node.do({ type: 'delay', roundTripMs })
      node.submit({ [THEIRS[0]!]: {} })
      const staggerMs = (STAGGER_MS * settleMs) / SETTLE_MS
      node.after(staggerMs - 1)
      expect(node.said('claims')).toEqual([])
      node.after(1)
      expect(node.said('claims')).toHaveLength(1)
      node.after(settleMs - 1)
      expect(node.running()).toEqual([])
      node.after(1)
      expect(node.running()).toEqual([THEIRS[0]])
    },
  )
})
