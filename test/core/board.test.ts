/**
 * The board as a function of a set of facts: any order, any duplicate, any split. Properties over arbitrary sets, plausible and not (I2-I4), and tables for what
 * each fact means.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Board } from '../../src/core/board.ts'
import type { Batch, Fact, RunHeader } from '../../src/core/fact.ts'
import { authorKey } from '../../src/core/id.ts'
import { sealOf } from '../../src/core/seal.ts'
import { TRANSITIONS } from '../../src/core/status.ts'
import { batchesOf, boardOf, dump, factSets, RUN } from './fact-sets.ts'
import { triggerOf } from './trigger.ts'

const RUNS = { seed: 20_260_101, numRuns: 2_500 }

/** A permutation, given by one number a place. */
function shuffled<T>(items: readonly T[], keys: readonly number[]): T[] {
  return items
    .map((item, i) => ({ item, key: keys[i % keys.length]! * 1_000 + ((i * 7_919) % 1_000) }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

/** Text is compared first: it is ten times as fast, and the difference is shown all the same. */
function isSame(a: Board, b: Board): void {
  const [left, right] = [dump(a), dump(b)]
  if (JSON.stringify(left) !== JSON.stringify(right)) expect(left).toEqual(right)
}

const keys = fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 50, maxLength: 50 })

describe('order independence', () => {
  it('[BD1] any permutation of the batches gives the same board', () => {
    fc.assert(
      fc.property(factSets({ far: true }), keys, (set, order) => {
        const batches = batchesOf(set)
        isSame(boardOf(shuffled(batches, order)), boardOf(batches))
      }),
      RUNS,
    )
  })

  it('[BD1] so does any interleaving that keeps the order of each author', () => {
    fc.assert(
      fc.property(factSets({ far: true }), keys, (set, order) => {
        const batches = batchesOf(set)
        const queues = new Map<string, Batch[]>()
        for (const b of batches)
          queues.set(authorKey(b.author), [...(queues.get(authorKey(b.author)) ?? []), b])
        const merged: Batch[] = []
        for (let i = 0; queues.size > 0; i++) {
          const names = [...queues.keys()]
          const name = names[order[i % order.length]! % names.length]!
          merged.push(queues.get(name)!.shift()!)
          if (queues.get(name)!.length === 0) queues.delete(name)
        }
        isSame(boardOf(merged), boardOf(batches))
      }),
      { ...RUNS, numRuns: 1_000 },
    )
  })

  it('[BD2] a batch that comes again changes nothing', () => {
    fc.assert(
      fc.property(factSets({ far: true }), keys, (set, order) => {
        const batches = batchesOf(set)
        const twice = shuffled([...batches, ...batches], order)
        isSame(boardOf(twice), boardOf(batches))
      }),
      { ...RUNS, numRuns: 1_500 },
    )
  })

  it('[BD3] facts in one batch mean the same as in many', () => {
    fc.assert(
      fc.property(factSets({ far: true }), keys, (set, order) => {
        const batches = batchesOf(set)
        const joined: Batch[] = []
        for (const b of batches) {
          const last = joined.at(-1)
          const join =
            last && authorKey(last.author) === authorKey(b.author) && order[joined.length % 50]! > 300
          if (join) joined[joined.length - 1] = { ...last, facts: [...last.facts, ...b.facts] }
          else joined.push({ ...b, at: 5 })
        }
        const same = batches.map((b) => ({ ...b, at: 5 }))
        isSame(boardOf(joined), boardOf(same))
      }),
      { ...RUNS, numRuns: 1_000 },
    )
  })
})

describe('one fact at a time', () => {
  it('[BD5] round and epoch of a task never go down (I4)', () => {
    fc.assert(
      fc.property(factSets({ oneHeader: true }), keys, (set, order) => {
        const [first, ...rest] = batchesOf(set)
        const board = boardOf([first!])
        const seen = new Map<string, readonly [number, number]>()
        for (const batch of shuffled(rest, order)) {
          board.apply(batch)
          for (const task of board.runs.get(RUN)!.tasks.values()) {
            const [round, epoch] = seen.get(task.id) ?? [1, 1]
            expect(task.round, `${task.id} after ${JSON.stringify(batch.facts)}`).toBeGreaterThanOrEqual(
              round,
            )
            if (task.round === round)
              expect(task.epoch, `${task.id} after ${JSON.stringify(batch.facts)}`).toBeGreaterThanOrEqual(
                epoch,
              )
            seen.set(task.id, [task.round, task.epoch])
          }
        }
      }),
      { ...RUNS, numRuns: 1_500 },
    )
  })

  it('[TS1] every change of a status is in the table, for the fact that made it', () => {
    const met = new Set<string>()
    fc.assert(
      fc.property(factSets({ oneHeader: true }), keys, (set, order) => {
        const board = new Board()
        const before = new Map<string, string>()
        for (const batch of shuffled(batchesOf(set), order)) {
          board.apply(batch)
          for (const task of board.runs.get(RUN)?.tasks.values() ?? []) {
            const was = (before.get(task.id) ?? 'unknown') as keyof typeof TRANSITIONS
            before.set(task.id, task.status)
            if (was === task.status) continue
            const trigger = triggerOf(batch.facts[0]!, task.id)
            met.add(`${was} ${trigger} ${task.status}`)
            if (TRANSITIONS[was][trigger].has(task.status)) continue
            expect.fail(`${task.id}: ${was} → ${task.status} by ${trigger}: ${JSON.stringify(batch)}`)
          }
        }
      }),
      RUNS,
    )
    expect(met.size).toBeGreaterThan(80)
  })
})

describe('what each fact means', () => {
  const header = (creator: string, integrator = creator): RunHeader => ({
    name: 'r',
    creator,
    createdAt: 1,
    integrator,
    merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
  })
  let n = 0
  const say = (
    board: Board,
    node: string,
    collection: string,
    key: string,
    body: unknown,
    incarnation = '1',
    doc = RUN,
  ): void => {
    board.apply({
      author: { node, incarnation },
      n: ++n,
      at: n,
      facts: [{ doc, collection, key, body } as unknown as Fact],
    })
  }
  const started = (): Board => {
    const board = new Board()
    say(board, 'a', 'runs', `${RUN}/0`, header('a'))
    return board
  }
  const task = (board: Board, id = 't') => board.task(RUN, id)!

  it('[BD4] what the grammar refuses is counted and left out', () => {
    const board = started()
    const bad: [string, string, unknown, string?][] = [
      ['specs', '../etc', { kind: 'shell' }],
      ['claims', 't', {}],
      ['claims', 't/0/1', {}],
      ['claims', 't/1/1/x', {}],
      ['starts', 't/1/1e3', {}],
      ['results', '/1/1', { outcome: 'done' }],
      ['voids', 't/1/1/x', { why: 'lost' }],
      ['accepts', 't/1', { epoch: 1, by: 'a', position: 1 }],
      ['rejects', 't/1/1', { why: 'base', reason: '' }],
      ['orders', 't', { verb: 'cancel' }],
      ['orders', 't/1', { verb: 'close', outcome: 'complete' }],
      ['orders', '*/1', { verb: 'retry', round: 2 }],
      ['runs', `${RUN}/7`, header('a')],
      ['runs', `${RUN}/0`, header('b')],
      ['nodes', 'b/1', { name: 'b', slots: 1, version: '0' }, '@cluster'],
      ['nodes', 'a', { name: 'a', slots: 1, version: '0' }, '@cluster'],
      ['claims', 't/1/1', {}, 'No Run'],
    ]
    for (const [collection, key, body, doc] of bad) {
      const before = board.refused
      say(board, 'a', collection, key, body, '1', doc)
      expect(board.refused, `${collection} ${key}`).toBe(before + 1)
    }
    say(board, 'a', 'of a newer version', 'x/1', {})
    say(board, 'a', 'kv', 'x/1', {})
    expect(board.refused).toBe(bad.length)
    expect(board.runs.get(RUN)!.specCount).toBe(0)
  })

  it('[BD5] a failure stays a failure when another life of the node wrote a success for the same epoch', () => {
    const board = started()
    say(board, 'a', 'specs', 't', { kind: 'shell', retry: { strategy: 'fixed', attempts: 3, delayMs: 0 } })
    say(board, 'b', 'starts', 't/1/1', {})
    say(board, 'b', 'results', 't/1/1', { outcome: 'failed' })
    expect(task(board)).toMatchObject({ epoch: 2, failures: 1, status: 'ready' })
    say(board, 'b', 'results', 't/1/1', { outcome: 'done' }, '2')
    expect(task(board)).toMatchObject({ epoch: 2, failures: 1, status: 'provisional' })
  })

  it('[BD6] specs of the creator count; the run is sealed while the seal fits them', () => {
    const board = started()
    const run = board.runs.get(RUN)!
    say(board, 'b', 'specs', 't', { kind: 'other' })
    expect(task(board).status).toBe('unknown')
    say(board, 'a', 'specs', 't', { kind: 'late' }, '2')
    say(board, 'a', 'specs', 't', { kind: 'early' })
    expect(task(board).spec!.kind).toBe('early')
    say(board, 'b', 'seals', '*', sealOf(['t']))
    expect(run).toMatchObject({ sealed: false, status: 'planning' })
    say(board, 'a', 'seals', '*', sealOf(['t']))
    expect(run).toMatchObject({ sealed: true, status: 'running' })
    expect(task(board).criticalPath).toBe(1)
    say(board, 'a', 'specs', 'more', { kind: 'shell', needs: ['t'] })
    expect(run.sealed).toBe(false)
    expect(task(board).criticalPath).toBe(0)
    say(board, 'a', 'seals', '*', sealOf(['t', 'more']), '2')
    expect([run.sealed, task(board).criticalPath]).toEqual([true, 2])
  })

  it('[BD7] a node record that changes slots decides anew between those that bid', () => {
    let moved = 0
    for (let i = 0; i < 30; i++) {
      const board = started()
      say(board, 'a', 'specs', `t${i}`, { kind: 'shell' })
      for (const node of ['b', 'c']) say(board, node, 'claims', `t${i}/1/1`, {})
      const before = task(board, `t${i}`).holder!.node
      say(board, 'b', 'nodes', 'b/1', { name: 'b', slots: 1_000, version: '0' }, '1', '@cluster')
      expect(task(board, `t${i}`).holder!.node).toBe('b')
      if (before === 'c') moved++
    }
    expect(moved).toBeGreaterThan(5)
  })

  it('[BD8] an accept of an earlier round that comes late takes its place in the history', () => {
    const board = started()
    const run = board.runs.get(RUN)!
    for (const id of ['t', 'u']) say(board, 'a', 'specs', id, { kind: 'shell' })
    say(board, 'a', 'accepts', 't/2/1', { epoch: 1, by: 'b', position: 5, commit: 'five' })
    say(board, 'a', 'accepts', 'u/1/1', { epoch: 1, by: 'b', position: 2 })
    expect([run.lastPosition, run.tip()]).toEqual([5, 'five'])
    say(board, 'a', 'accepts', 't/1/1', { epoch: 1, by: 'b', position: 1, commit: 'one' })
    expect([run.lastPosition, run.tip(), [...run.positions.keys()].toSorted()]).toEqual([2, 'one', [1, 2]])
    say(board, 'stranger', 'accepts', 'u/1/1', { epoch: 1, by: 'b', position: 9, commit: 'nine' })
    expect(run.lastPosition).toBe(2)
  })

  it('[BD6] of two creators of one id the smaller counts, with its specs and its integrator', () => {
    const board = new Board()
    say(board, 'b', 'runs', `${RUN}/0`, header('b'))
    say(board, 'b', 'specs', 't', { kind: 'of-b' })
    say(board, 'b', 'accepts', 't/1/1', { epoch: 1, by: 'b', position: 1 })
    expect(task(board).status).toBe('accepted')
    say(board, 'a', 'runs', `${RUN}/0`, header('a'))
    expect(task(board)).toMatchObject({ status: 'unknown', accepted: undefined })
    expect(board.runs.get(RUN)!.lastPosition).toBe(0)
    expect(board.unfinished).toBe(0)
  })
})
