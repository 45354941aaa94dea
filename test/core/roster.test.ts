import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MemberFact, Role } from '../../src/core/fact.ts'
import { CLUSTER_DOC } from '../../src/core/id.ts'
import { MEMBER_VERSION_JUMP_MAX, MEMBERS_MAX } from '../../src/core/limit.ts'
import { Roster } from '../../src/core/roster.ts'
import { readMemberFact, upTo } from '../../src/core/roster-fact.ts'
import { clusterId, readRoster } from '../../src/core/roster-read.ts'
import {
  admit,
  CLUSTER,
  dumpRoster,
  FOUNDER,
  found,
  NONCE,
  remove,
  role,
  roles,
  rosterOf,
  type Said,
  seen,
  tell,
} from './roster-facts.ts'

const NODES = [FOUNDER, 'a', 'b', 'c', 'd']
const ROLE: fc.Arbitrary<Role> = fc.constantFrom('admin', 'admin', 'admin', 'worker', 'planner', 'observer')
const CUTOFF = fc.record({ '1': fc.nat(8), '2': fc.nat(8) }).map((commits) => seen(commits))
const FACT: fc.Arbitrary<readonly [string, MemberFact]> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...NODES), ROLE)
    .map(([s, r]) => [s, { verb: 'admit', role: r, name: s }] as const),
  fc
    .tuple(fc.constantFrom(...NODES), ROLE)
    .map(([s, r]) => [s, { verb: 'admit', role: r, name: s }] as const),
  fc
    .tuple(fc.constantFrom(...NODES), ROLE, CUTOFF)
    .map(([s, r, since]) => [s, { verb: 'role', role: r, since }] as const),
  fc.tuple(fc.constantFrom(...NODES), CUTOFF).map(([s, since]) => [s, { verb: 'remove', since }] as const),
  fc
    .tuple(fc.constantFrom('invite:i', 'invite:j'), ROLE)
    .map(([s, r]) => [s, { verb: 'invite', key: 'k', role: r, expiresAt: 9, uses: 1 }] as const),
  fc.constantFrom('invite:i', 'invite:j').map((s) => [s, { verb: 'revoke' }] as const),
)
const SAID: fc.Arbitrary<Said> = fc
  .record({
    by: fc.constantFrom(...NODES.flatMap((n) => [`${n}/1`, `${n}/2`])),
    n: fc.integer({ min: 2, max: 10 }),
    commit: fc.integer({ min: 1, max: 8 }),
    fact: FACT,
  })
  .map(({ by, n, commit, fact: [subject, fact] }) => ({ by, n, commit, subject, fact }))
/** The founder's first words let some in, so that there is something to quarrel about. */
const SET = fc
  .array(SAID, { maxLength: 30 })
  .map((said) => [found, admit('f', 'a', 2, 2, 'admin'), admit('f', 'b', 3, 3, 'admin'), ...said])
/** One key has one value. */
const WELL = SET.map((said) => [
  ...new Map(said.map((s) => [`${s.by.replace('/1', '')} ${s.subject}/${s.n}`, s])).values(),
])

describe('a set of facts', () => {
  it('[MB1] means the same in any order, and however often they come', () => {
    fc.assert(
      fc.property(WELL, fc.infiniteStream(fc.nat(1_000)), (said, random) => {
        const reference = dumpRoster(rosterOf(...said))
        const mixed = [...said, ...said.filter((_, i) => i % 3 === 0)]
          .map((s) => [random.next().value as number, s] as const)
          .sort((a, b) => a[0] - b[0])
          .map(([, s]) => s)
        const roster = new Roster(CLUSTER)
        for (const s of mixed) {
          tell(roster, s)
          // Asking in between changes nothing.
          if (s.n % 2 === 0) roster.version
        }
        expect(dumpRoster(roster)).toEqual(reference)
      }),
      { numRuns: 3_000 },
    )
  })

  it('[MB2] [MB6] the founder stays admin unless it leaves, and nothing counts that was cut off', () => {
    let cut = 0
    fc.assert(
      fc.property(WELL, (said) => {
        const records = said.map((s) => {
          const [node, incarnation = '1'] = s.by.split('/')
          return readMemberFact(`${s.subject}/${s.n}`, s.fact, { node: node!, incarnation }, s.commit)!
        })
        const { members, counted } = readRoster(CLUSTER, records)
        const left = counted.some((r) => r.fact.verb === 'remove' && r.subject === FOUNDER)
        if (!left) expect(members.get(FOUNDER)?.role).toBe('admin')
        const first = counted.find((r) => r.subject === FOUNDER && r.fact.verb !== 'found')
        if (first) expect(first).toMatchObject({ author: { node: FOUNDER }, fact: { verb: 'remove' } })
        counted.forEach((r, i) => {
          const { fact } = r
          if (fact.verb !== 'remove' && !(fact.verb === 'role' && fact.role !== 'admin')) return
          for (const before of counted.slice(0, i)) {
            if (before.author.node !== r.subject || before.subject === r.subject) continue
            if (before.fact.verb === 'found') continue
            expect(before.commit).toBeLessThanOrEqual(
              upTo(fact.since, CLUSTER_DOC, before.author.incarnation),
            )
            cut++
          }
        })
      }),
      { numRuns: 3_000 },
    )
    expect(cut).toBeGreaterThan(50)
  })
})

describe('founding', () => {
  it('[MB2] the id of the cluster names its founder: nobody else can found it', () => {
    expect(CLUSTER).toMatch(/^[0-9a-f]{32}$/)
    expect(clusterId('a', NONCE)).not.toBe(CLUSTER)
    const usurper: Said = { ...found, by: 'a', subject: 'a' }
    expect(roles(rosterOf(usurper))).toEqual({})
    const other: Said = { ...found, fact: { verb: 'found', name: 'x', nonce: 'other' } }
    expect(roles(rosterOf(other, admit('f', 'a', 2, 2)))).toEqual({})
    const roster = rosterOf(admit('f', 'a', 2, 2), usurper, found)
    expect(roles(roster)).toEqual({ f: 'admin', a: 'worker' })
    expect(roster.member('f')).toEqual({
      node: 'f',
      name: 'founder',
      role: 'admin',
      founder: true,
      admittedBy: 'f',
    })
    expect(roster.member('a')).toMatchObject({ name: 'name of a', admittedBy: 'f' })
    expect([roster.isMember('a'), roster.isMember('z'), roster.role('z')]).toEqual([true, false, 'none'])
  })

  it('[MB2] the founder is not removed nor changed by others; it may leave, and then is like all others', () => {
    const a = admit('f', 'a', 2, 2, 'admin')
    const roster = rosterOf(found, a, remove('a', 'f', 3, 1), role('a', 'f', 3, 2, 'worker'))
    expect(roles(roster)).toEqual({ f: 'admin', a: 'admin' })
    tell(roster, remove('f', 'f', 4, 3, seen({ '1': 2 })))
    expect(roles(roster)).toEqual({ f: 'none', a: 'admin' })
    tell(roster, admit('a', 'f', 5, 3, 'planner'))
    tell(roster, remove('a', 'f', 6, 4, seen({ '1': 3 })))
    expect(roster.member('f')).toMatchObject({ role: 'none', removed: { by: 'a' } })
  })
})

describe('who may say what', () => {
  it('[MB3] only an admin admits, invites, revokes, changes roles and removes; everybody may leave', () => {
    const base = [found, admit('f', 'w', 2, 2, 'integrator'), admit('f', 'x', 3, 3)]
    const invite: Said = {
      by: 'w',
      subject: 'invite:i',
      n: 4,
      commit: 1,
      fact: { verb: 'invite', key: 'k', role: 'worker', expiresAt: 1, uses: 1 },
    }
    const roster = rosterOf(
      ...base,
      admit('w', 'y', 4, 1),
      role('w', 'x', 4, 1, 'admin'),
      role('w', 'w', 4, 1, 'admin'),
      remove('w', 'x', 4, 1),
      admit('stranger', 'stranger', 4, 1, 'admin'),
      invite,
    )
    expect(roles(roster)).toEqual({ f: 'admin', w: 'integrator', x: 'worker' })
    expect(roster.invites()).toEqual([])
    tell(roster, remove('x', 'x', 4, 1))
    expect(roles(roster)).toEqual({ f: 'admin', w: 'integrator', x: 'none' })
  })

  it('[MB3] what it was made in a version it cannot use in that version: it cannot have known', () => {
    const a = admit('f', 'a', 2, 2, 'admin')
    expect(roles(rosterOf(found, a, admit('a', 'x', 2, 1)))).toEqual({ f: 'admin', a: 'admin' })
    expect(roles(rosterOf(found, a, admit('a', 'x', 3, 1)))).toEqual({ f: 'admin', a: 'admin', x: 'worker' })
  })

  it('[MB4] a version far beyond all others does not count, nor what follows it', () => {
    const far = admit('f', 'x', 2 + MEMBER_VERSION_JUMP_MAX, 2)
    const farther = admit('f', 'y', 900_000_000, 3)
    const roster = rosterOf(found, far, farther)
    expect(roles(roster)).toEqual({ f: 'admin' })
    expect(roster.nextVersion()).toBe(2)
    tell(roster, admit('f', 'z', 2, 4))
    expect(roles(roster)).toEqual({ f: 'admin', z: 'worker', x: 'worker' })
    expect(roster.nextVersion()).toBe(3 + MEMBER_VERSION_JUMP_MAX)
  })

  it('[MB5] malformed facts and those of a newer version are left out', () => {
    const roster = rosterOf(found)
    const bad: [string, unknown][] = [
      ['a', { verb: 'admit', role: 'worker', name: 'a' }],
      ['a/0', { verb: 'admit', role: 'worker', name: 'a' }],
      ['a/2', null],
      ['a/2', { verb: 'bless' }],
      ['a/2', { verb: 'admit', role: 'king', name: 'a' }],
      ['a/2', { verb: 'admit', role: 'worker', name: 7 }],
      ['invite:a/2', { verb: 'admit', role: 'worker', name: 'a' }],
      ['a/2', { verb: 'remove' }],
      ['a/2', { verb: 'remove', since: { [CLUSTER_DOC]: { 1: -1 } } }],
      ['a/2', { verb: 'remove', since: [] }],
      ['a/2', { verb: 'role', role: 'worker', since: { [CLUSTER_DOC]: 7 } }],
      ['a/2', { verb: 'invite', key: 'k', role: 'worker', expiresAt: 1, uses: 1 }],
      ['invite:a/2', { verb: 'invite', key: 'k', role: 'worker', expiresAt: 1, uses: Number.NaN }],
    ]
    for (const [key, body] of bad)
      expect(roster.apply(key, body, { node: 'f', incarnation: '1' }, 2)).toBe(false)
    expect(roles(roster)).toEqual({ f: 'admin' })
    expect(upTo(seen({ '1': 3 }), 'constructor', '1')).toBe(0)
    expect(upTo(seen({ '1': 3 }), CLUSTER_DOC, 'constructor')).toBe(0)
  })

  it('[MB5] a cluster has a largest size; who left makes room', () => {
    const many = Array.from({ length: MEMBERS_MAX + 5 }, (_, i) => admit('f', `n${i}`, i + 2, i + 2))
    const roster = rosterOf(found, ...many)
    expect(roster.members()).toHaveLength(MEMBERS_MAX)
    tell(roster, remove('n0', 'n0', 3, 1))
    expect(roster.members().filter((m) => m.role !== 'none')).toHaveLength(MEMBERS_MAX)
  })
})

describe('quarrels', () => {
  const A = admit('f', 'a', 2, 2, 'admin')
  const B = admit('f', 'b', 3, 3, 'admin')
  const base = [found, A, B]

  it('[MB7] two admins that remove each other at once: the senior stays, whatever the versions', () => {
    for (const [x, y] of [
      [4, 4],
      [4, 9],
      [9, 4],
    ] as const) {
      const roster = rosterOf(...base, remove('a', 'b', x, 1), remove('b', 'a', y, 1))
      expect(roles(roster), `${x} ${y}`).toEqual({ f: 'admin', a: 'admin', b: 'none' })
      const demoted = rosterOf(...base, role('a', 'b', x, 1, 'worker'), remove('b', 'a', y, 1))
      expect(roles(demoted), `${x} ${y}`).toEqual({ f: 'admin', a: 'admin', b: 'worker' })
    }
  })

  it('[MB7] what the senior knew of when it answered stays', () => {
    const roster = rosterOf(...base, remove('b', 'a', 4, 1), remove('a', 'b', 5, 1, seen({ '1': 1 })))
    expect(roles(roster)).toEqual({ f: 'admin', a: 'none', b: 'admin' })
  })

  it('[MB7] a junior removes a senior where nobody objects', () => {
    const roster = rosterOf(...base, remove('b', 'a', 4, 1))
    expect(roles(roster)).toEqual({ f: 'admin', a: 'none', b: 'admin' })
    // Later, at any version, the removed moves nobody who did not remove it.
    for (const n of [3, 4, 5, 9]) tell(roster, admit('a', `x${n}`, n, n, 'admin'))
    for (const n of [3, 4, 5, 9]) tell(roster, remove('a', 'c', n, n))
    expect(roles(roster)).toEqual({ f: 'admin', a: 'none', b: 'admin' })
  })

  it('[MB7] seniority is by how far from the founder the power was passed on, then by when', () => {
    const C = admit('a', 'c', 4, 1, 'admin')
    // d was let in first, as a worker; b made it admin.
    const D = admit('f', 'd', 2, 4, 'worker')
    const power = role('b', 'd', 6, 1, 'admin')
    const all = [...base, C, D, power]
    expect(roles(rosterOf(...all, remove('c', 'd', 9, 1), remove('d', 'c', 7, 1)))).toMatchObject({
      c: 'admin',
      d: 'none',
    })
    expect(roles(rosterOf(...all, remove('b', 'c', 9, 2), remove('c', 'b', 7, 1)))).toMatchObject({
      b: 'admin',
      c: 'none',
    })
  })

  it('[MB6] what a removed admin wrote beyond the cutoff does not count, with however low a version', () => {
    const seenByB = remove('f', 'b', 9, 4, seen({ '1': 2 }))
    const roster = rosterOf(
      ...base,
      admit('b', 'before', 5, 2),
      admit('b', 'late', 4, 3, 'admin'),
      remove('b', 'a', 4, 4),
      admit('b', 'other-life', 4, 1),
      seenByB,
      admit('b', 'after', 10, 5),
    )
    tell(roster, { ...admit('b', 'third', 4, 1), by: 'b/2' })
    tell(roster, { ...admit('late', 'puppet', 5, 1) })
    expect(roles(roster)).toEqual({
      f: 'admin',
      a: 'admin',
      b: 'none',
      before: 'worker',
      'other-life': 'worker',
    })
  })

  it('[MB6] the same for an admin that is one no more; it may still leave', () => {
    const demoted = role('f', 'b', 9, 4, 'worker', seen({ '1': 1 }))
    const roster = rosterOf(...base, admit('b', 'x', 5, 1), admit('b', 'y', 5, 2), demoted)
    expect(roles(roster)).toEqual({ f: 'admin', a: 'admin', b: 'worker', x: 'worker' })
    tell(roster, remove('b', 'b', 10, 3, seen({ '1': 2 })))
    expect(roles(roster)).toMatchObject({ b: 'none', x: 'worker' })
  })

  it('[MB6] nobody without the power overrules by being friends with a removed admin', () => {
    // w is a worker; b, removed, makes it admin afterwards; w takes back its own removal by c.
    const w = admit('f', 'w', 4, 4)
    const c = admit('a', 'c', 5, 1, 'admin')
    const roster = rosterOf(
      ...base,
      w,
      c,
      remove('f', 'b', 6, 5, seen({ '1': 0 })),
      remove('c', 'w', 7, 1),
      role('b', 'w', 5, 1, 'admin'),
      remove('w', 'c', 7, 1),
      remove('w', 'c', 8, 2),
    )
    expect(roles(roster)).toEqual({ f: 'admin', a: 'admin', b: 'none', w: 'none', c: 'admin' })
  })

  it('[MB8] a removal goes before a change of the role at once; of two such changes the least role stays', () => {
    const w = admit('f', 'w', 4, 4)
    expect(roles(rosterOf(...base, w, role('a', 'w', 5, 1, 'admin'), remove('b', 'w', 5, 1)))).toMatchObject({
      w: 'none',
    })
    for (const [x, y] of [
      ['planner', 'observer'],
      ['observer', 'planner'],
    ] as const) {
      const roster = rosterOf(...base, w, role('a', 'w', 5, 1, x), role('b', 'w', 5, 1, y))
      expect(roster.role('w')).toBe('observer')
      const twice = rosterOf(...base, admit('a', 'v', 5, 1, x), admit('b', 'v', 5, 1, y))
      expect(twice.role('v')).toBe('observer')
    }
  })

  it('[MB9] who was removed may be let in again', () => {
    const roster = rosterOf(
      ...base,
      remove('a', 'b', 4, 1, seen({ '1': 1 })),
      admit('a', 'b', 5, 2, 'planner'),
    )
    expect(roster.member('b')).toEqual({
      node: 'b',
      name: 'name of b',
      role: 'planner',
      admittedBy: 'a',
      since: seen({ '1': 1 }),
    })
  })
})
