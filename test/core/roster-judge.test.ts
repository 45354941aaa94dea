import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Board } from '../../src/core/board.ts'
import { type Batch, type Fact, ROLES, type Role } from '../../src/core/fact.ts'
import { CLUSTER_DOC } from '../../src/core/id.ts'
import { Judge, neededRole } from '../../src/core/judge.ts'
import { STRANGER_BATCHES_MAX } from '../../src/core/limit.ts'
import { Roster } from '../../src/core/roster.ts'
import { dump } from './fact-sets.ts'
import { admit, CLUSTER, found, remove, role, type Said, seen } from './roster-facts.ts'

const RUN = 'run-1'
const fact = (collection: string, key: string, body: unknown, doc = RUN): Fact =>
  ({ doc, collection, key, body }) as unknown as Fact
const batch = (node: string, n: number, ...facts: readonly Fact[]): Batch => ({
  author: { node, incarnation: '1' },
  n,
  at: n,
  facts,
})
const said = (s: Said): Batch =>
  batch(s.by, s.commit, fact('members', `${s.subject}/${s.n}`, s.fact, CLUSTER_DOC))
const header = (creator: string): Fact =>
  fact('runs', `${RUN}/0`, {
    name: 'r',
    creator,
    createdAt: 1,
    integrator: creator,
    merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
  })
const spec = (id: string): Fact => fact('specs', id, { kind: 'shell' })
const start = (id: string, epoch = 1): Fact => fact('starts', `${id}/1/${epoch}`, {})
const boardOf = (...batches: readonly Batch[]): Board => {
  const board = new Board(new Judge(new Roster(CLUSTER)))
  for (const b of batches) board.apply(b)
  return board
}

/** Each fact with the least role that may say it. */
const MATRIX: readonly (readonly [string, unknown, Role])[] = [
  ['nodes', {}, 'observer'],
  ['messages', {}, 'observer'],
  ['claims', {}, 'worker'],
  ['starts', {}, 'worker'],
  ['results', { outcome: 'done' }, 'worker'],
  ['acks', {}, 'worker'],
  ['voids', { why: 'lost' }, 'worker'],
  ['kv', {}, 'worker'],
  ['orders', { verb: 'block' }, 'worker'],
  ['orders', { verb: 'unblock' }, 'worker'],
  ['runs', {}, 'planner'],
  ['specs', {}, 'planner'],
  ['seals', {}, 'planner'],
  ['accepts', {}, 'planner'],
  ['rejects', {}, 'planner'],
  ...['cancel', 'retry', 'pause', 'resume', 'prioritize', 'close', 'landed', 'verified'].map(
    (verb) => ['orders', { verb }, 'planner'] as const,
  ),
  ['orders', { verb: 'adopt' }, 'integrator'],
  ['orders', { verb: 'of a newer version' }, 'admin'],
  ['members', { verb: 'invite' }, 'admin'],
  ['of a newer version', {}, 'admin'],
]

describe('the matrix', () => {
  const cells = MATRIX.flatMap(([collection, body, least]) =>
    [...ROLES, 'none' as const].map((by) => ({ collection, body, least, by })),
  ).filter((cell) => cell.collection !== 'members')

  it('[MB12] what each role may say, told directly and before the role is known', () => {
    for (const { collection, body, least, by } of cells) {
      const f = fact(collection, 'x/1/1', body)
      expect(neededRole(f)).toBe(least)
      const allowed = by !== 'none' && ROLES.indexOf(by) >= ROLES.indexOf(least)
      const facts = batch('x', 1, f)
      const member = by === 'none' ? [] : [admit('f', 'x', 2, 2, by)]
      const judge = new Judge(new Roster(CLUSTER))
      for (const s of [found, ...member]) judge.take(said(s))
      judge.review()
      expect(judge.take(facts), `${by}: ${collection} ${JSON.stringify(body)}`).toEqual(allowed ? [f] : [])
      expect(judge.mayWrite(f, 'x')).toBe(allowed)
      // The same by way of somebody else, before its author is known.
      const late = new Judge(new Roster(CLUSTER))
      expect(late.take(facts)).toEqual([])
      for (const s of [found, ...member]) late.take(said(s))
      const taken = late.review()!.batches.flatMap((b) => late.take(b))
      expect(taken, `late, ${by}: ${collection}`).toEqual(allowed ? [f] : [])
    }
    expect(cells.length).toBeGreaterThan(140)
  })
})

describe('the board', () => {
  it('[MB13] takes nothing of strangers, and all of it once they are members', () => {
    const facts = [batch('p', 1, header('p'), spec('t')), batch('w', 1, start('t'))]
    const board = boardOf(...facts)
    expect([board.runs.size, board.takeRosterMoved()]).toEqual([0, false])
    for (const s of [found, admit('f', 'p', 2, 2, 'planner'), admit('f', 'w', 3, 3)]) board.apply(said(s))
    expect(board.task(RUN, 't')!.status).toBe('running')
    expect([board.takeRosterMoved(), board.takeRosterMoved(), board.takeStale()]).toEqual([
      true,
      false,
      undefined,
    ])
  })

  it('[MB13] keeps so many of them; for more it asks to be made anew', () => {
    const facts = Array.from({ length: STRANGER_BATCHES_MAX + 1 }, (_, i) => batch('p', i + 1, spec(`t${i}`)))
    const board = boardOf(...facts, said(found))
    expect(board.takeStale()).toBeUndefined()
    board.apply(said(admit('f', 'p', 2, 2, 'planner')))
    expect(board.takeStale()).toContain('p in run-1')
    expect(board.takeStale()).toBeUndefined()
    expect(board.runs.get(RUN)!.tasks.size).toBe(STRANGER_BATCHES_MAX)
  })

  it('[MB14] what was believed and is cut off makes it stale; what is within the cutoff, or not touched by the new role, does not', () => {
    const members = [found, admit('f', 'p', 2, 2, 'planner'), admit('f', 'w', 3, 3, 'planner')].map(said)
    const facts = [
      batch('p', 1, header('p'), spec('t'), spec('u')),
      batch('w', 1, start('t')),
      batch('w', 2, start('u')),
    ]
    const at = (n: number) => ({ [RUN]: { '1': n } })
    const staleAfter = (s: Said): string | undefined => {
      const board = boardOf(...members, ...facts)
      board.apply(said(s))
      return board.takeStale()
    }
    expect(staleAfter(remove('f', 'w', 4, 4, at(1)))).toContain('w in run-1')
    expect(staleAfter(remove('f', 'w', 4, 4, at(2)))).toBeUndefined()
    expect(staleAfter(role('f', 'w', 4, 4, 'worker', at(1)))).toBeUndefined()
    expect(staleAfter(role('f', 'w', 4, 4, 'observer', at(1)))).toContain('w in run-1')
    expect(staleAfter(role('f', 'w', 4, 4, 'admin', at(0)))).toBeUndefined()
    // Beyond a cutoff nothing is taken any more.
    const board = boardOf(...members, ...facts, said(remove('f', 'w', 4, 4, at(2))))
    board.apply(batch('w', 3, start('t', 2)))
    expect(board.task(RUN, 't')!.entries).toHaveLength(1)
    expect(board.judge!.inert).toBe(1)
    // Let in again: what came in between counts now.
    board.apply(said(admit('f', 'w', 5, 5)))
    expect(board.takeStale()).toContain('w in run-1')
  })

  it('[MB14] own facts have no number yet: a change of the own role makes the board anew', () => {
    const board = boardOf(...[found, admit('f', 'me', 2, 2, 'planner')].map(said))
    const me = { node: 'me', incarnation: '1' }
    for (const f of [header('me'), spec('t')]) board.applyOwn(f, me, 1)
    expect(board.task(RUN, 't')!.status).toBe('ready')
    board.apply(said(role('f', 'me', 3, 3, 'worker', { [RUN]: { '1': 7 } })))
    expect(board.takeStale()).toContain('me in run-1')
  })

  it('[MB15] knows how far each chain came, judged or not', () => {
    const board = boardOf(
      said(found),
      batch('x', 1, spec('t')),
      batch('x', 2, fact('nodes', 'x/1', {}, CLUSTER_DOC)),
    )
    board.apply({ ...batch('x', 9, spec('u')), author: { node: 'x', incarnation: '2' } })
    expect(board.judge!.heads('x')).toEqual({ [RUN]: { '1': 1, '2': 9 }, [CLUSTER_DOC]: { '1': 2 } })
    expect(board.judge!.heads('y')).toEqual({})
  })

  it('[MB16] without a judge everything counts, and nothing is read', () => {
    const board = new Board()
    board.apply(batch('p', 1, header('p'), spec('t')))
    board.apply(said(found))
    expect(board.task(RUN, 't')!.status).toBe('ready')
    expect([board.takeRosterMoved(), board.takeStale()]).toEqual([false, undefined])
  })

  it('[MB1] [MB14] in any order of chains the board is the same as with the members first, or says that it is stale', () => {
    const ROLE = fc.constantFrom<Role>(...ROLES)
    const verdict = fc.tuple(fc.constantFrom('p', 'w', 'v'), ROLE, fc.nat(6), fc.boolean())
    let stale = 0
    fc.assert(
      fc.property(
        fc.array(verdict, { maxLength: 6 }),
        fc.array(fc.tuple(fc.constantFrom('w', 'v'), fc.nat(3), fc.nat(3)), { maxLength: 12 }),
        fc.infiniteStream(fc.nat(1_000)),
        (changes, work, random) => {
          let n = 1
          const members = [found, ...['p', 'w', 'v'].map((id) => admit('f', id, ++n, n, 'planner'))]
          for (const [id, to, upTo, gone] of changes) {
            n++
            const since = { [RUN]: { '1': upTo }, ...seen({ '1': 9 }) }
            members.push(gone ? remove('f', id, n, n, since) : role('f', id, n, n, to, since))
            if (gone && upTo % 2 === 0) members.push(admit('f', id, ++n, n, to))
          }
          const counts = new Map<string, number>()
          const next = (id: string): number => {
            counts.set(id, (counts.get(id) ?? 0) + 1)
            return counts.get(id)!
          }
          const chains = new Map<string, Batch[]>([['members', members.map(said)]])
          const add = (b: Batch): void => {
            const { node } = b.author
            chains.set(node, [...(chains.get(node) ?? []), b])
          }
          add(batch('p', next('p'), header('p'), spec('t0')))
          for (const id of ['t1', 't2', 't3']) add(batch('p', next('p'), spec(id)))
          for (const [node, task, epoch] of work) {
            add(
              batch(
                node,
                next(node),
                fact(epoch === 0 ? 'voids' : 'starts', `t${task}/1/${epoch + 1}`, { why: 'lost' }),
              ),
            )
          }
          const all = [...chains.values()]
          const reference = boardOf(...all.flat())
          const queues = all.map((chain) => [...chain])
          const mixed = boardOf()
          while (queues.some((q) => q.length > 0)) {
            const open = queues.filter((q) => q.length > 0)
            mixed.apply(open[(random.next().value as number) % open.length]!.shift()!)
          }
          expect(reference.takeStale()).toBeUndefined()
          if (mixed.takeStale() !== undefined) stale++
          else expect(dump(mixed)).toEqual(dump(reference))
        },
      ),
      { numRuns: 1_500 },
    )
    expect(stale).toBeGreaterThan(20)
    expect(stale).toBeLessThan(1_300)
  })
})
