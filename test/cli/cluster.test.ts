/** Goal: the commands of a cluster ask the right thing, and tell it to people and scripts. Method: the real program over a fake face. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OrchError } from '../../src/core/error.ts'
import { AT, CLUSTER, MAC, NODE, TOKEN } from './fake-cluster.ts'
import { FakeFace, runOf, taskOf } from './fake-face.ts'
import { FakeWorld } from './fake-world.ts'

const RUN = 'demo-7f2a'
const WORDS = 'abbey acorn agent album almond anchor'
let face: FakeFace
let world: FakeWorld
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'orch-cluster-'))
  face = new FakeFace()
  face.statusFields = { cluster: CLUSTER }
  face.add(runOf(RUN), taskOf(RUN, 'a', 'running'))
  world = new FakeWorld(face)
  world.cwd = dir
  world.clock = AT + 60_000
})

afterEach(() => rmSync(dir, { recursive: true, force: true }))

interface Row {
  readonly args: readonly string[]
  readonly asks: readonly [method: string, request: object]
  readonly text: RegExp | string
  readonly ids: string
  readonly data: unknown
}

const ROWS: Readonly<Record<string, Row>> = {
  members: {
    args: ['members'],
    asks: ['members', {}],
    text: new RegExp(
      [
        '^name +node +state +role +slots +rtt +version +address',
        `box +${NODE.slice(-8)} +self +admin +1/5 +0\\.1\\.0 +10\\.0\\.0\\.3:7946`,
        `mac-anna +${MAC.slice(-8)} +live, draining +worker +3/8 +12 ms +0\\.1\\.0 +\\[fd00::7\\]:7946`,
        '',
        '1 machine asks to be let in; the same six words must stand on its screen:',
        `  new-box \\(\\S{8}\\), 12 s ago: ${WORDS}`,
        '    orch-node members approve new-box\n$',
      ].join('\n'),
    ),
    ids: `${NODE}\n${MAC}`,
    data: {
      cluster: CLUSTER.id,
      members: [{ node: NODE }, { node: MAC, roundTripMs: 12.4 }],
      requests: [{ words: WORDS }],
    },
  },
  'members list --removed': {
    args: ['members', 'list', '--removed'],
    asks: ['members', {}],
    text: /\nold +gone +removed +worker\n/,
    ids: `${NODE}\n${MAC}\ngone`,
    data: { members: [{}, {}, { state: 'removed' }] },
  },
  'members approve': {
    args: ['members', 'approve', 'new-box', '--role', 'planner'],
    asks: ['approve', { who: 'new-box', role: 'planner' }],
    text: /^new-box \(12D3KooWNew\w+\) is let in as planner\n$/,
    ids: expect.stringMatching(/^12D3KooWNew\w+$/) as unknown as string,
    data: { node: expect.stringContaining('New') },
  },
  'members remove': {
    args: ['members', 'remove', 'mac-anna', '--reason', 'stolen'],
    asks: ['removeMember', { who: 'mac-anna', reason: 'stolen' }],
    text: `mac-anna (${MAC}) is removed\n`,
    ids: MAC,
    data: { node: MAC },
  },
  'members role': {
    args: ['members', 'role', 'mac-anna', 'integrator'],
    asks: ['setRole', { who: 'mac-anna', role: 'integrator' }],
    text: `mac-anna (${MAC}) is integrator from now on\n`,
    ids: MAC,
    data: { node: MAC },
  },
  'members invites': {
    args: ['members', 'invites'],
    asks: ['members', {}],
    text: /^id +role +used +state +by\na1 +worker +1\/2 +60 min left +box\nb2 +planner +1\/1 +used up +mac-anna\nc3 +worker +0\/1 +expired +box\nd4 +worker +0\/1 +taken back +x\n4 invitations\n$/,
    ids: 'a1\nb2\nc3\nd4',
    data: [{ id: 'a1' }, { id: 'b2' }, { id: 'c3' }, { id: 'd4' }],
  },
  'members invites --open': {
    args: ['members', 'invites', '--open'],
    asks: ['members', {}],
    text: /\na1 .*\n1 invitation\n$/,
    ids: 'a1',
    data: [{ id: 'a1' }],
  },
  'members revoke': {
    args: ['members', 'revoke', 'a1'],
    asks: ['revokeInvite', { id: 'a1' }],
    text: 'invitation a1 is taken back: nobody can use it any more\n',
    ids: 'a1',
    data: { id: 'a1' },
  },
  drain: {
    args: ['drain'],
    asks: ['drain', {}],
    text: 'this node takes nothing new; what runs there may finish\nlet it work again with: orch-node undrain\n',
    ids: '',
    data: {},
  },
  'drain of another': {
    args: ['drain', 'mac-anna', '--deadline', '10m'],
    asks: ['drain', { node: 'mac-anna', deadlineMs: 600_000 }],
    text: 'node mac-anna takes nothing new; what runs there may finish within 10 min, then it is given back\nlet it work again with: orch-node undrain mac-anna\n',
    ids: 'mac-anna',
    data: { node: 'mac-anna', deadlineMs: 600_000 },
  },
  undrain: {
    args: ['undrain', 'mac-anna'],
    asks: ['undrain', { node: 'mac-anna' }],
    text: 'node mac-anna takes work again\n',
    ids: 'mac-anna',
    data: { node: 'mac-anna' },
  },
  'runs adopt': {
    args: ['runs', 'adopt', 'demo', '--reason', 'burnt'],
    asks: ['adopt', { run: RUN, reason: 'burnt' }],
    text: /^run demo-7f2a is integrated by this node from now on \(term 2\)\nwhat was accepted before counts up to position 14; .* offered again\n$/,
    ids: RUN,
    data: { run: RUN, term: 2, cutoff: 14 },
  },
  status: {
    args: ['status'],
    asks: ['status', {}],
    text: /cluster +box \(c0ffee00\w+\), 2 of 3 members live, this node is admin\nreached at +\/ip4\/10\.0\.0\.3\/tcp\/7946\/p2p\/12D3Koo/,
    ids: NODE,
    data: { cluster: CLUSTER },
  },
}

describe.each(Object.entries(ROWS))('%s', (_name, { args, asks, text, ids, data }) => {
  it('[CL24] [CL26] asks the node and tells people, scripts and pipes', async () => {
    const people = await world.run(...args)
    expect(people).toMatchObject({ exit: 0, stderr: '' })
    if (typeof text === 'string') expect(people.stdout).toBe(text)
    else expect(people.stdout).toMatch(text)
    expect(face.request(asks[0])).toEqual(asks[1])
    const quiet = await world.run('-q', ...args)
    expect(quiet.stdout.replace(/\n$/, '')).toEqual(ids)
    const json = await world.run(...args, '--json')
    expect(json).toMatchObject({ exit: 0, stderr: '' })
    expect(json.json()).toMatchObject({ schemaVersion: 1, data })
    expect(world.requests.map(({ embed }) => embed)).toEqual(['never', 'never', 'never'])
    expect(world.closed).toBe(3)
  })

  it('[CL25] no node, or no member, is exit 6', async () => {
    world.fault = new OrchError('ORCH_NO_NODE', 'no node runs')
    expect(await world.run(...args)).toMatchObject({ exit: 6, stdout: '' })
    face.faults.set(asks[0], new OrchError('ORCH_NOT_MEMBER', 'this node belongs to no cluster'))
    const { exit, stderr } = await world.run(...args)
    expect(exit).toBe(6)
    expect(stderr).toContain('ORCH_NOT_MEMBER')
  })
})

describe('members', () => {
  it('[CL24] a machine whose name is not its own, or no word, is let in by its id', async () => {
    const [request] = face.membersAnswer.requests
    const names = ['mac-anna', 'x; rm -rf ~', '--role', 'a\u001b[2Jb']
    face.membersAnswer = {
      ...face.membersAnswer,
      requests: names.map((name, k) => ({ ...request!, name, node: `12D3KooWNode${k}` })),
    }
    const { stdout } = await world.run('members')
    expect(stdout).toContain('4 machines ask to be let in')
    for (const [k, name] of names.entries()) {
      expect(stdout).toContain(`orch-node members approve 12D3KooWNode${k}\n`)
      expect(stdout).not.toContain(`approve ${name}`)
    }
    expect(stdout).not.toContain('\u001b')
  })

  it('[CL19] the table fits the terminal', async () => {
    world.stdout.isTerminal = true
    world.stdout.columns = 70
    world.env = { NO_COLOR: '1' }
    const { stdout } = await world.run('members')
    for (const each of stdout.split('\n').slice(0, 3)) expect(each.length).toBeLessThanOrEqual(70)
  })

  it('[CL24] tells of silence, death and what is not explained', async () => {
    const [self, mac] = face.membersAnswer.members
    face.membersAnswer = {
      ...face.membersAnswer,
      requests: [],
      members: [
        { ...self!, roundTripMs: 0.42 },
        { ...mac!, state: 'silent', draining: true },
        { ...mac!, state: 'dead', draining: false, addresses: [] },
        { ...mac!, state: 'never', draining: false },
      ],
    }
    world.env = { FORCE_COLOR: '1' }
    const { stdout } = await world.run('members')
    expect(stdout).toContain('0.4 ms')
    expect(stdout).toMatch(/\u001b\[33msilent/)
    expect(stdout).toMatch(/\u001b\[31mdead/)
    expect(stdout).toMatch(/\u001b\[2mnever/)
    face.statusFields = { cluster: { ...CLUSTER, alarms: ['node x wrote\ntwo frames 7'] }, draining: true }
    world.env = {}
    expect((await world.run('status')).stdout).toMatch(
      /ready, draining[\s\S]*alarm +node x wrote two frames 7\n/,
    )
  })

  it('[CL24] a list of no invitation says how to make one', async () => {
    face.membersAnswer = { ...face.membersAnswer, invites: [] }
    expect((await world.run('members', 'invites')).stdout).toBe(
      'nobody was invited yet: make one with `orch-node invite`\n',
    )
  })
})

describe('invite', () => {
  it('[CL21] the token is alone on stdout; what to do with it stands on stderr', async () => {
    const { exit, stdout, stderr } = await world.run('invite')
    expect(exit).toBe(0)
    expect(stdout).toBe(`${TOKEN}\n`)
    expect(stderr).toBe(
      [
        'lets one machine into box as worker, expires in 24 h',
        'on the other machine: orch-node join --token-file -     then paste it (as an argument, other users there could read it)',
        'to take it back:      orch-node members revoke 9f2c41d07ab3e815',
        '',
      ].join('\n'),
    )
    expect(face.request('invite')).toEqual({})
    expect(world.requests[0]!.embed).toBe('never')
  })

  it('[CL21] role, time, uses and approval reach the node', async () => {
    const { stderr } = await world.run(
      ...['invite', '--role', 'planner', '--ttl', '1h', '--uses', '3', '--approve'],
    )
    expect(face.request('invite')).toEqual({ role: 'planner', ttlMs: 3_600_000, uses: 3, approve: true })
    expect(stderr).toContain('lets 3 machines into box as planner, expires in 60 min')
    expect(stderr).toContain('orch-node members\n')
  })

  it('[CL21] --json has all of it in one document, --quiet the token and nothing else', async () => {
    const json = await world.run('invite', '--json')
    expect(json.json()).toEqual({
      schemaVersion: 1,
      data: { token: TOKEN, id: '9f2c41d07ab3e815', role: 'worker', expiresAt: AT + 60_000 + 86_400_000 },
    })
    expect(await world.run('invite', '-q')).toMatchObject({ stdout: `${TOKEN}\n`, stderr: '' })
  })

  it.each([
    [['/ip4/127.0.0.1/tcp/7946', '/ip6/::1/tcp/7946'], 'on 127.0.0.1:7946, [::1]:7946 only'],
    [[], 'on no address'],
  ])('[CL21] warns when nobody else can come: %j', async (addresses, told) => {
    face.statusFields = { cluster: { ...CLUSTER, addresses } }
    const { stderr, exit } = await world.run('invite', '-q')
    expect(exit).toBe(0)
    expect(stderr).toContain(`warning: this node listens ${told}`)
    expect(stderr).toContain('--listen 0.0.0.0:7946')
  })
})

it.each([
  [['join'], 'join what?'],
  [['join', '--token-file', 'none'], 'none cannot be read: ENOENT'],
  [['join', '--token-file', '-'], 'standard input is empty'],
  [['join', 'box:port'], 'neither an invitation nor an address'],
  [['join', 'abc'], 'neither an invitation nor an address'],
  [['invite', '--role', 'king'], 'Allowed choices are observer, worker, planner, integrator, admin'],
  [['invite', '--ttl', 'soon'], '--ttl is a duration'],
  [['invite', '--ttl', '0'], '--ttl is a time from now on'],
  [['invite', '--uses', '0'], '--uses is a whole number of 1 to 1000'],
  [['members', 'role', 'mac-anna', 'king'], "argument 'role'"],
  [['members', 'approve'], "missing required argument 'who'"],
  [['drain', '--deadline', 'x'], '--deadline is a duration'],
  [['runs', 'adopt'], "missing required argument 'run'"],
  [['runs', 'adopt', 'a/b'], 'names a task, not a run'],
  [['start', '--role', 'admin'], "unknown option '--role'"],
  [['start', '--listen', 'everywhere'], '--listen is an address of this machine'],
] as const)('[CL2] %j is wrong usage', async (args, message) => {
  const { exit, stdout, stderr } = await world.run(...args)
  expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' })
  expect(stderr).toContain(message)
  expect(stderr).toContain('ORCH_USAGE')
})
