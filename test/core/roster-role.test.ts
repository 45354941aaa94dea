import { describe, expect, it } from 'vitest'
import { CLUSTER_DOC } from '../../src/core/id.ts'
import { admit, found, remove, role, rosterOf, type Said, seen, tell } from './roster-facts.ts'

describe('roles over time', () => {
  it('[MB10] a commit counts by the role that its author had there', () => {
    const at = (commits: Record<string, number>) => ({ 'run-1': commits, [CLUSTER_DOC]: { '1': 0 } })
    const b = { node: 'b', incarnation: '1' }
    const roster = rosterOf(found, admit('f', 'b', 2, 2, 'planner'))
    expect([1, 1_000].map((n) => roster.roleOf(b, 'run-1', n))).toEqual(['planner', 'planner'])
    tell(roster, role('f', 'b', 3, 3, 'worker', at({ '1': 10 })))
    expect([1, 10, 11].map((n) => roster.roleOf(b, 'run-1', n))).toEqual(['planner', 'planner', 'worker'])
    expect(roster.roleOf(b, 'run-2', 1)).toBe('worker')
    tell(roster, remove('f', 'b', 4, 4, at({ '1': 20, '2': 5 })))
    expect([10, 20, 21].map((n) => roster.roleOf(b, 'run-1', n))).toEqual(['planner', 'worker', 'none'])
    const second = { node: 'b', incarnation: '2' }
    expect([5, 6].map((n) => roster.roleOf(second, 'run-1', n))).toEqual(['worker', 'none'])
    expect(roster.roleOf({ node: 'b', incarnation: '3' }, 'run-1', 1)).toBe('none')
    tell(roster, admit('f', 'b', 5, 5, 'observer'))
    expect([10, 20, 21].map((n) => roster.roleOf(b, 'run-1', n))).toEqual(['planner', 'worker', 'observer'])
    expect(roster.roleOf({ node: 'x', incarnation: '1' }, 'run-1', 1)).toBe('none')
  })

  it('[MB10] a later cutoff that knew less prevails', () => {
    const at = (n: number) => ({ 'run-1': { '1': n } })
    const roster = rosterOf(
      found,
      admit('f', 'b', 2, 2, 'planner'),
      role('f', 'b', 3, 3, 'worker', at(10)),
      remove('f', 'b', 4, 4, at(4)),
    )
    const b = { node: 'b', incarnation: '1' }
    expect([4, 5, 10, 11].map((n) => roster.roleOf(b, 'run-1', n))).toEqual([
      'planner',
      'none',
      'none',
      'none',
    ])
  })

  it('[MB1] the version moves when the roster does', () => {
    const roster = rosterOf(found)
    const before = roster.version
    tell(roster, found)
    tell(roster, admit('x', 'y', 2, 1))
    expect(roster.version).toBe(before)
    tell(roster, admit('f', 'y', 2, 2))
    expect(roster.version).not.toBe(before)
  })
})

describe('invitations', () => {
  const invite = (by: string, n: number, uses = 2): Said => ({
    by,
    subject: 'invite:i',
    n,
    commit: n,
    fact: { verb: 'invite', key: 'abcd', role: 'planner', expiresAt: 99, uses, approve: true },
  })
  const joined = (by: string, subject: string, n: number): Said => ({
    by,
    subject,
    n,
    commit: n,
    fact: { verb: 'admit', role: 'planner', name: subject, invite: 'i' },
  })

  it('[MB11] are known with their uses, until taken back', () => {
    const roster = rosterOf(found, invite('f', 2), joined('f', 'x', 3))
    const expected = {
      id: 'i',
      key: 'abcd',
      role: 'planner',
      expiresAt: 99,
      uses: 2,
      used: 1,
      issuer: 'f',
      approve: true,
    }
    expect(roster.invites()).toEqual([{ ...expected, revoked: false }])
    tell(roster, { by: 'f', subject: 'invite:i', n: 4, commit: 4, fact: { verb: 'revoke' } })
    expect(roster.invite('i')).toEqual({ ...expected, revoked: true })
  })

  it('[MB11] end with the power of who gave them', () => {
    const roster = rosterOf(found, admit('f', 'a', 2, 2, 'admin'), invite('a', 3))
    expect(roster.invite('i')!.revoked).toBe(false)
    tell(roster, role('f', 'a', 4, 3, 'planner', seen({ '1': 9 })))
    expect(roster.invite('i')!.revoked).toBe(true)
  })
})
