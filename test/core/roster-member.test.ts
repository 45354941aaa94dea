import { describe, expect, it } from 'vitest'
import type { Effect } from '../../src/core/effect.ts'
import type { Batch, Fact, MemberFact, Role } from '../../src/core/fact.ts'
import { CLUSTER_DOC } from '../../src/core/id.ts'
import type { Input, Reply } from '../../src/core/input.ts'
import { CLOCK_TOLERANCE_MS } from '../../src/core/limit.ts'
import { NodeState } from '../../src/core/node-state.ts'
import { step } from '../../src/core/step.ts'
import { admit, CLUSTER, FOUNDER, found, NONCE, remove, role, type Said, seen } from './roster-facts.ts'

const RUN = 'run-1'
const RECORD = { name: 'me', slots: 5, version: '1' }

/** A node of the cluster that is told facts and asked for things. */
class Asked {
  readonly state: NodeState
  facts: readonly Fact[] = []
  effects: Effect[] = []
  now = 0
  #n = 0

  constructor(me: string, said: readonly Said[] = [], cluster: string | undefined = CLUSTER) {
    this.state = new NodeState({
      author: { node: me, incarnation: '1' },
      slots: 5,
      capacity: { cpu: 8, memoryBytes: 2 ** 33, gpu: 0, quota: {} },
      capabilities: [],
      seed: 1,
      staggerMs: 200,
      settleMs: 500,
      pendingTasksMax: 1_000,
      stallMs: 0,
      ...(cluster === undefined ? {} : { cluster }),
    })
    this.tell(...said)
    for (const kind of ['shell', 'fn']) this.do({ type: 'kind', kind, inProcess: false, concurrency: 0 })
    this.do({ type: 'started', adopted: [], record: RECORD })
  }

  do(input: Input): Reply {
    const output = step(this.state, input, this.now, this.now)
    this.facts = output.facts
    this.effects.push(...output.effects)
    return output.reply
  }

  tell(...said: readonly Said[]): void {
    for (const s of said)
      this.batch(s.by, s.commit, {
        doc: CLUSTER_DOC,
        collection: 'members',
        key: `${s.subject}/${s.n}`,
        body: s.fact,
      })
  }

  batch(node: string, n: number, ...facts: readonly Fact[]): void {
    const batch: Batch = { author: { node, incarnation: '1' }, n, at: 0, facts }
    this.do({ type: 'facts', batch })
  }

  say(subject: string, fact: MemberFact): string {
    const reply = this.do({ type: 'member', subject, fact })
    return reply.ok ? `version ${reply.n}` : reply.code
  }

  /** A run of its own creator `p`, with tasks that `node` has started. */
  held(node: string, ...tasks: readonly (readonly [string, string])[]): void {
    const merge = { mode: 'combined', onConflict: 'retry', onPartial: 'hold' } as const
    const header = { name: 'r', creator: 'p', createdAt: 1, integrator: 'p', merge }
    this.batch(
      'p',
      ++this.#n,
      { doc: RUN, collection: 'runs', key: `${RUN}/0`, body: header },
      ...tasks.map(([id, kind]): Fact => ({ doc: RUN, collection: 'specs', key: id, body: { kind } })),
    )
    const started = tasks.map(
      ([id]): Fact => ({ doc: RUN, collection: 'starts', key: `${id}/1/1`, body: {} }),
    )
    if (node !== '') this.batch(node, ++this.#n, ...started)
  }

  status(task: string): string {
    return this.state.board.task(RUN, task)!.status
  }
}

const FOUND: MemberFact = { verb: 'found', name: 'me', nonce: NONCE }
const admitting = (as: Role, invite?: string): MemberFact => ({
  verb: 'admit',
  role: as,
  name: 'n',
  ...(invite === undefined ? {} : { invite }),
})
const inviting = (uses = 1, as: Role = 'worker'): MemberFact => ({
  verb: 'invite',
  key: 'ab',
  role: as,
  expiresAt: 1_000,
  uses,
})
const REMOVE: MemberFact = { verb: 'remove', since: {} }

describe('saying something about members', () => {
  it('[MB17] founds its own cluster once, and tells its record with it', () => {
    const node = new Asked(FOUNDER)
    expect(node.facts).toEqual([])
    expect(node.say('a', admitting('worker'))).toBe('ORCH_NOT_MEMBER')
    expect(node.say('a', FOUND)).toBe('ORCH_USAGE')
    expect(node.say(FOUNDER, { ...FOUND, nonce: 'other' } as MemberFact)).toBe('ORCH_OTHER_CLUSTER')
    expect(node.say(FOUNDER, FOUND)).toBe('version 1')
    expect(node.facts.map((f) => f.key)).toEqual(['f/1', 'f/1'])
    expect(node.state.roster!.role(FOUNDER)).toBe('admin')
    expect(node.state.board.nodes.get(FOUNDER)?.value).toEqual(RECORD)
    expect(node.say(FOUNDER, FOUND)).toBe('ORCH_WRONG_STATE')
    expect(node.say('a', admitting('worker'))).toBe('version 2')
    expect(new Asked('me', [], '').say('me', FOUND)).toBe('ORCH_OTHER_CLUSTER')
  })

  it('[MB17] a node without a cluster says nothing about members', () => {
    const node = new Asked(FOUNDER)
    const alone = new NodeState({ ...node.state.options, cluster: undefined as never })
    expect(step(alone, { type: 'member', subject: 'a', fact: FOUND }, 0, 0).reply).toMatchObject({
      ok: false,
      code: 'ORCH_NOT_MEMBER',
    })
  })

  it('[MB17] only an admin may, and is told so; those who were removed are told that', () => {
    const node = new Asked('w', [found, admit('f', 'w', 2, 2, 'integrator')])
    for (const [subject, fact] of [
      ['x', admitting('worker')],
      ['invite:i', inviting()],
      ['invite:i', { verb: 'revoke' }],
      ['f', { verb: 'role', role: 'worker', since: {} }],
      ['f', REMOVE],
    ] as const) {
      expect(node.say(subject, fact)).toBe('ORCH_ROLE')
      expect(node.facts).toEqual([])
    }
    expect(node.do({ type: 'member', subject: 'x', fact: admitting('worker') })).toMatchObject({
      message: "this node's role is integrator: only an admin can let others in",
    })
    expect(node.say('w', REMOVE)).toBe('version 3')
    expect(node.say('w', REMOVE)).toBe('ORCH_REMOVED')
  })

  it('[MB17] what does not fit the state is refused in words', () => {
    const node = new Asked('f', [found, admit('f', 'a', 2, 2)])
    expect(node.say('a', admitting('planner'))).toBe('ORCH_WRONG_STATE')
    expect(node.say('z', REMOVE)).toBe('ORCH_NOT_FOUND')
    expect(node.say('a', { verb: 'role', role: 'worker', since: {} })).toBe('ORCH_WRONG_STATE')
    expect(node.say('a', { verb: 'role', role: 'king' as Role, since: {} })).toBe('ORCH_USAGE')
    expect(node.say('invite:i', { verb: 'revoke' })).toBe('ORCH_NOT_FOUND')
    expect(node.say('invite:i', inviting())).toBe('version 3')
    expect(node.say('invite:i', inviting())).toBe('ORCH_WRONG_STATE')
    expect(node.say('invite:i', { verb: 'revoke' })).toBe('version 4')
    expect(node.say('invite:i', { verb: 'revoke' })).toBe('ORCH_WRONG_STATE')
    expect(node.say('f', REMOVE)).toBe('ORCH_WRONG_STATE')
    expect(node.say('a', REMOVE)).toBe('version 5')
    expect(node.say('a', REMOVE)).toBe('ORCH_WRONG_STATE')
    expect(node.say('f', REMOVE)).toBe('version 6')
    const admin = new Asked('a', [found, admit('f', 'a', 2, 2, 'admin')])
    expect(admin.say('f', REMOVE)).toBe('ORCH_WRONG_STATE')
    expect(admin.say('f', { verb: 'role', role: 'worker', since: {} })).toBe('ORCH_WRONG_STATE')
  })

  it('[MB18] an invitation lets in as often as it says, by its issuer, in its time and for its role', () => {
    const node = new Asked('f', [found, admit('f', 'a', 2, 2, 'admin')])
    expect(node.say('x', admitting('worker', 'i'))).toBe('ORCH_INVITE_INVALID')
    expect(node.say('invite:i', inviting(2))).toBe('version 3')
    expect(node.say('x', admitting('admin', 'i'))).toBe('ORCH_ROLE')
    expect(node.say('x', admitting('worker', 'i'))).toBe('version 4')
    node.now = 1_000 + CLOCK_TOLERANCE_MS
    expect(node.say('y', admitting('worker', 'i'))).toBe('version 5')
    expect(node.say('z', admitting('worker', 'i'))).toBe('ORCH_INVITE_USED')
    expect(node.say('invite:j', inviting(2))).toBe('version 6')
    node.now++
    expect(node.say('z', admitting('worker', 'j'))).toBe('ORCH_INVITE_EXPIRED')
    node.say('invite:j', { verb: 'revoke' })
    expect(node.say('z', admitting('worker', 'j'))).toBe('ORCH_INVITE_INVALID')
    const issued = { by: 'f', subject: 'invite:k', n: 3, commit: 3, fact: inviting() }
    const other = new Asked('a', [found, admit('f', 'a', 2, 2, 'admin'), issued])
    expect(other.say('z', admitting('worker', 'k'))).toBe('ORCH_WRONG_STATE')
  })

  it('[MB15] a removal lets count what is known here, and for itself also what the store knows', () => {
    const node = new Asked('f', [found, admit('f', 'a', 2, 2), admit('f', 'p', 3, 3, 'planner')])
    node.held('a', ['t', 'other'])
    node.say('a', { ...REMOVE, since: { [RUN]: { '1': 99 } } } as MemberFact)
    expect(node.facts[0]!.body).toEqual({ verb: 'remove', since: { [RUN]: { '1': 2 } } })
    node.say('f', { verb: 'remove', since: { [RUN]: { '1': 7 }, [CLUSTER_DOC]: { '0': 4 } } })
    expect(node.facts).toEqual([])
    node.say('p', { verb: 'role', role: 'admin', since: {} })
    node.say('f', { verb: 'remove', since: { [RUN]: { '1': 7 }, [CLUSTER_DOC]: { '0': 4 } } })
    expect(node.facts[0]!.body).toEqual({
      verb: 'remove',
      since: { [CLUSTER_DOC]: { '0': 4, '1': 3 }, [RUN]: { '1': 7 } },
    })
  })
})

describe('what the role lets a node do', () => {
  const submit: Input = {
    type: 'submit',
    run: RUN,
    header: {
      name: 'r',
      creator: 'me',
      createdAt: 1,
      integrator: 'me',
      merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
    },
    tasks: [['t', { kind: 'shell' }]],
    seal: true,
  }
  const code = (reply: Reply): string => (reply.ok ? 'ok' : reply.code)
  const as = (to: Role): Asked =>
    new Asked('me', [found, admit('f', 'me', 2, 2, to), admit('f', 'p', 3, 3, 'planner')])

  it('[MB19] submits, orders and claims are refused by name of the role that is missing', () => {
    const cancel: Input = { type: 'order', run: RUN, subject: '*', order: { verb: 'cancel' } }
    const block: Input = {
      type: 'order',
      run: RUN,
      subject: 't',
      order: { verb: 'block', reason: 'x', round: 1 },
    }
    const adopt: Input = {
      type: 'order',
      run: RUN,
      subject: '*',
      order: { verb: 'adopt', term: 2, cutoff: 0 },
    }
    const claim: Input = { type: 'claim' }
    const rows = (['observer', 'worker', 'planner', 'integrator'] as const).map((to) =>
      [submit, block, cancel, adopt, claim].map((input) => {
        const node = as(to)
        if (input !== submit) node.held('', ['t', 'nobody'])
        return code(node.do(input))
      }),
    )
    const no = 'ORCH_ROLE'
    expect(rows).toEqual([
      [no, no, no, no, no],
      [no, 'ok', no, no, 'ok'],
      ['ok', 'ok', 'ok', no, 'ok'],
      ['ok', 'ok', 'ok', 'ok', 'ok'],
    ])
    expect(code(new Asked('me', [found]).do(submit))).toBe('ORCH_NOT_MEMBER')
    expect(as('worker').do(submit)).toMatchObject({
      message: "this node's role is worker: to submit a run it must be planner",
    })
  })

  it('[MB19] an observer starts nothing; once it is a worker it does', () => {
    const node = as('observer')
    node.held('', ['t', 'shell'])
    expect([node.status('t'), node.effects]).toEqual(['ready', []])
    node.tell(role('f', 'me', 4, 4, 'worker'))
    expect(node.status('t')).toBe('running')
    expect(node.effects.map((e) => e.type)).toEqual(['start'])
  })

  it('[MB19] who loses the role stops what runs, and writes nothing that would not count', () => {
    const node = as('planner')
    node.held('', ['t', 'shell'])
    expect(node.status('t')).toBe('running')
    node.effects = []
    node.tell(remove('f', 'me', 4, 4, { [RUN]: { '1': 5 }, [CLUSTER_DOC]: { '1': 5 } }))
    expect(node.effects.map((e) => e.type).sort()).toEqual(['rebuild', 'stop'])
    const stop = node.effects.find((e) => e.type === 'stop')!
    node.do({ type: 'attempt-ended', attempt: stop.attempt, result: { outcome: 'done' } })
    expect(node.facts).toEqual([])
    expect(node.state.attempts.size).toBe(0)
  })
})

describe('members that come and go', () => {
  const members = [found, admit('f', 'me', 2, 2), admit('f', 'x', 3, 3), admit('f', 'p', 4, 4, 'planner')]

  it('[MB20] those who may not work are not counted among the live', () => {
    const node = new Asked('me', [...members, admit('f', 'o', 5, 5, 'observer')])
    node.do({ type: 'members', live: ['o', 'p', 'stranger', 'x'] })
    expect(node.state.live).toEqual(['p', 'x', 'me'])
    node.tell(role('f', 'o', 6, 6, 'worker'))
    expect(node.state.live).toEqual(['o', 'p', 'x', 'me'])
  })

  it('[MB20] what a removed member holds is voided like that of a dead one', () => {
    const node = new Asked('me', members)
    node.held('x', ['t', 'other'])
    expect(node.status('t')).toBe('running')
    node.tell(remove('f', 'x', 5, 5, { ...seen({ '1': 9 }), [RUN]: { '1': 2 } }))
    expect(node.facts).toMatchObject([{ collection: 'voids', key: 't/1/1', body: { why: 'lost' } }])
    expect(node.effects).toEqual([])
    expect(node.status('t')).toBe('ready')
  })

  it('[MB14] what was believed of it and does not count makes the node read everything anew', () => {
    const node = new Asked('me', members)
    node.held('x', ['t', 'other'])
    node.tell(remove('f', 'x', 5, 5))
    expect(node.effects).toEqual([
      {
        type: 'rebuild',
        reason: 'facts of x in run-1 count otherwise by what is known of its membership now',
      },
    ])
  })

  it('[PR10] of a process that is gone only that is voided which ran in it, and of that life', () => {
    const record = (inProcess?: readonly string[]): Fact => ({
      doc: CLUSTER_DOC,
      collection: 'nodes',
      key: 'x/1',
      body: { name: 'x', slots: 5, version: '1', ...(inProcess ? { inProcess } : {}) },
    })
    const open = (inProcess?: readonly string[]): Asked => {
      const node = new Asked('me', members)
      node.batch('x', 1, record(inProcess))
      node.held('x', ['t', 'shell-x'], ['u', 'fn-x'])
      return node
    }
    const voided = (node: Asked, more: Partial<Extract<Input, { type: 'dead' }>>): string[] => {
      node.do({ type: 'dead', node: 'x', ...more })
      return node.facts.map((f) => f.key).sort()
    }
    expect(voided(open(['fn-x']), { what: 'in-process' })).toEqual(['u/1/1'])
    expect(voided(open(), { what: 'in-process' })).toEqual(['t/1/1', 'u/1/1'])
    expect(voided(open(['fn-x']), { what: 'in-process', incarnation: '0' })).toEqual([])
    const node = open(['fn-x'])
    expect(voided(node, { what: 'in-process', incarnation: '1' })).toEqual(['u/1/1'])
    expect(voided(node, {})).toEqual(['t/1/1'])
  })
})
