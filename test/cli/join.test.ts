/** Goal: ways into a cluster and out of it, told to people and scripts; no secret is ever told. Method: the real program over a fake face. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Host } from '../../src/cli/connection.ts'
import { OrchError } from '../../src/core/error.ts'
import type { JoinUpdate } from '../../src/node/face.ts'
import { AT, CLUSTER, NODE, TOKEN } from './fake-cluster.ts'
import { FakeFace, runOf, taskOf } from './fake-face.ts'
import { FakeWorld } from './fake-world.ts'

const RUN = 'demo-7f2a'
const WORDS = 'abbey acorn agent album almond anchor'
const WAITING: JoinUpdate = { type: 'waiting', words: WORDS, at: 'box-lab' }
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

describe('join', () => {
  it('[CL23] by a token', async () => {
    const { exit, stdout, stderr } = await world.run('join', TOKEN)
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' })
    expect(stdout).toBe(
      'node box joined the cluster box as worker\nsee who is there with: orch-node members\n',
    )
    expect(face.request('join')).toEqual({ to: TOKEN })
    expect(world.started).toEqual([])
    expect((await world.run('join', TOKEN, '--json')).json()).toEqual({
      schemaVersion: 1,
      data: { cluster: CLUSTER.id, name: 'box', role: 'worker', node: NODE },
    })
    expect((await world.run('join', TOKEN, '-q')).stdout).toBe(`${CLUSTER.id}\n`)
    expect(world.closed).toBe(3)
  })

  it('[CL23] from a file or standard input', async () => {
    writeFileSync(join(dir, 'token'), `${TOKEN}\n`)
    await world.run('join', '--token-file', 'token')
    expect(face.request('join')).toEqual({ to: TOKEN })
    world.input = `  ${TOKEN}2\n`
    expect((await world.run('join', '--token-file', '-')).stderr).toBe('')
    expect(face.request('join')).toEqual({ to: `${TOKEN}2` })
    world.stdin.isTerminal = true
    expect((await world.run('join', '--token-file', '-')).stderr).toBe('paste the token, then Enter:\n')
  })

  it('[CL23] by an address: six words, and what to run there', async () => {
    face.joinUpdates = [WAITING, { type: 'joined', cluster: CLUSTER.id, name: 'box', role: 'worker' }]
    face.statusFields = { name: "anna's mac" }
    const { exit, stdout, stderr } = await world.run('join', 'box-lab:7946')
    expect(exit).toBe(0)
    expect(face.request('join')).toEqual({ to: '/dns/box-lab/tcp/7946' })
    expect(stderr).toBe(
      `six words: ${WORDS}\nwaiting for approval: on box-lab the same six words are to be seen in \`orch-node members\`; there run: orch-node members approve 'anna'\\''s mac'\n`,
    )
    expect(stdout).toContain("node anna's mac joined the cluster box as worker")
  })

  it('[CL23] Ctrl-C takes the request back', async () => {
    face.joinUpdates = [WAITING]
    const joining = world.run('join', 'box-lab:7946')
    await untilListening()
    world.interrupt()
    const { exit, stderr } = await joining
    expect(exit).toBe(130)
    expect(stderr).toContain('was taken back')
    expect(face.calls.map(({ method }) => method)).not.toContain('stop')
    expect(world.listeners.size).toBe(0)
  })

  it('[CL23] a conversation that ends in nothing is a fault', async () => {
    face.joinUpdates = []
    expect(await world.run('join', TOKEN)).toMatchObject({
      exit: 6,
      stdout: '',
      stderr: expect.stringContaining('ORCH_PEER_GONE'),
    })
  })

  it('[CL23] starts a node when none runs, which joins nothing else', async () => {
    world.fault = new OrchError('ORCH_NO_NODE', 'no node runs')
    world.env = { ORCH_JOIN: 'other:7946' }
    const { exit, stderr, json } = await world.run(
      ...['join', TOKEN, '--slots', '3', '--listen', '10.0.0.9:7946', '--json'],
    )
    expect(exit).toBe(0)
    expect(world.started).toHaveLength(1)
    expect(world.started[0]!.slots.value).toBe(3)
    expect(world.started[0]!.listen.value).toEqual(['/ip4/10.0.0.9/tcp/7946'])
    expect(stderr).toContain('node started in the background: pid 4242')
    expect(json()).toMatchObject({ data: { cluster: CLUSTER.id, started: { pid: 4242 } } })
    expect(face.calls.filter(({ method }) => method === 'join')).toEqual([
      { method: 'join', request: { to: TOKEN } },
    ])
    expect(face.calls.map(({ method }) => method)).not.toContain('stop')
  })

  it('[CL23] that node is ended again when it is not let in', async () => {
    world.fault = new OrchError('ORCH_NO_NODE', 'no node runs')
    face.faults.set('join', new OrchError('ORCH_INVITE_USED', 'the invitation was used'))
    const { exit, stderr } = await world.run('join', TOKEN)
    expect(exit).toBe(6)
    expect(stderr).toContain('stopped again')
    expect(face.request('stop')).toEqual({})
  })

  it('[CL23] no node is started for another machine’s URL', async () => {
    world.fault = new OrchError('ORCH_NO_NODE', 'nobody answers')
    expect(await world.run('join', TOKEN, '--node', 'http://x:1')).toMatchObject({ exit: 6 })
    expect(world.started).toEqual([])
  })

  it.each([
    ['ORCH_INVITE_INVALID', 2],
    ['ORCH_INVITE_EXPIRED', 6],
    ['ORCH_PEER_UNREACHABLE', 6],
    ['ORCH_OTHER_CLUSTER', 6],
  ] as const)('[CL25] %s is exit %d', async (code, exit) => {
    face.faults.set('join', new OrchError(code, 'no'))
    expect(await world.run('join', TOKEN)).toMatchObject({ exit, stdout: '' })
  })
})

describe('leave', () => {
  it('[CL26] returns when the node is gone', async () => {
    const { exit, stdout, stderr } = await world.run('leave')
    expect(exit).toBe(0)
    expect(stdout).toBe(
      'node box (pid 4242) has left the cluster box and stopped; what it knew of it is set aside in /data\n',
    )
    expect(stderr).toBe('leaving: running work is saved and given back\n')
    expect(face.stopped).toBe(true)
  })

  it('[CL26] --json', async () => {
    expect((await world.run('leave', '--json')).json()).toMatchObject({
      data: { cluster: CLUSTER.id, name: 'box', pid: 4242 },
    })
  })

  it('[CL25] who is no member cannot leave, and goes on', async () => {
    face.statusFields = {}
    expect(await world.run('leave')).toMatchObject({
      exit: 6,
      stderr: expect.stringContaining('ORCH_NOT_MEMBER'),
    })
    expect(face.stopped).toBe(false)
  })
})

describe('start', () => {
  let end: () => void
  let told: string[]

  beforeEach(() => {
    told = []
    const closed = new Promise<void>((resolve) => {
      end = resolve
    })
    const host: Host = {
      url: 'http://127.0.0.1:7947',
      foreign: new Set(),
      closed,
      stopNow: async () => {
        told.push('now')
        end()
      },
    }
    world.host = host
    const { connect } = world
    world.connect = async (request) => ({
      ...(await connect(request)),
      close: async () => {
        told.push('close')
      },
    })
  })

  it('[CL28] tells where others join it, and what is not explained', async () => {
    face.statusFields = { cluster: { ...CLUSTER, alarms: ['strange'] } }
    const started = world.run('start')
    await untilListening()
    end()
    const { exit, stderr } = await started
    expect(exit).toBe(0)
    expect(stderr.split('\n').map((each) => each.slice(9))).toEqual([
      `node box (${NODE.slice(-8)}) listens on http://127.0.0.1:7947, 5 slots, 1 open runs, data in /data`,
      'cluster box: this node is admin, 3 members',
      `others join it with: orch-node start --join ${CLUSTER.addresses[0]}`,
      'alarm: strange',
      'stopped',
      '',
    ])
  })

  it('[CL28] the first Ctrl-C gives the work back, the second ends it', async () => {
    const started = world.run('start')
    await untilListening()
    world.interrupt()
    await settled()
    expect(told).toEqual(['close'])
    world.interrupt()
    expect((await started).exit).toBe(0)
    expect(told).toEqual(['close', 'now'])
  })

  it('[CL28] while a person must approve it tells the words, and Ctrl-C ends it at once', async () => {
    let asked!: () => void
    const waits = new Promise<void>((resolve) => {
      asked = resolve
    })
    world.hostNode = (request) => {
      request.onJoin?.(WAITING, 'mac-anna')
      asked()
      return new Promise(() => {})
    }
    const started = world.run('start', '--join', 'box-lab:7946')
    await waits
    expect(world.stderr.text).toContain(`six words: ${WORDS}\n`)
    expect(world.stderr.text).toContain('there run: orch-node members approve mac-anna\n')
    world.interrupt()
    const { exit, stderr } = await started
    expect(exit).toBe(130)
    expect(stderr).toContain('stopped before it had begun')
    expect(world.listeners.size).toBe(0)
  })

  it('[CL28] a node that opens after it was told to end is closed', async () => {
    const { hostNode } = world
    let open!: () => void
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    world.hostNode = async (request) => {
      await opened
      return hostNode(request)
    }
    const started = world.run('start')
    await untilListening()
    world.interrupt()
    expect((await started).exit).toBe(130)
    open()
    await settled()
    expect(told).toEqual(['close'])
  })

  it('[CL27] what it listens on, joins, offers and is kept in reach the node', async () => {
    const started = world.run(
      ...[
        'start',
        '--listen',
        '10.0.0.3:7946',
        '--listen',
        '/ip6/::/tcp/0',
        '--join',
        'a:1',
        '--join',
        TOKEN,
      ],
      ...['--cap', 'gpu', '--cap', 'ts', '--backend', 'crdt'],
    )
    await untilListening()
    end()
    await started
    expect(world.requests[0]!.settings).toMatchObject({
      listen: { value: ['/ip4/10.0.0.3/tcp/7946', '/ip6/::/tcp/0'], origin: 'flag' },
      join: { value: ['/dns/a/tcp/1', TOKEN] },
      capabilities: { value: ['gpu', 'ts'] },
      backend: { value: 'crdt' },
    })
  })
})

describe('a node in the background', () => {
  it('[CL29] answers first, then joins, which is told here', async () => {
    face.statusFields = {}
    face.joinUpdates = [WAITING, { type: 'joined', cluster: CLUSTER.id, name: 'box', role: 'worker' }]
    const { exit, stdout, stderr } = await world.run('start', '--detach', '--join', 'box-lab:7946')
    expect(exit).toBe(0)
    expect(stderr).toContain(`six words: ${WORDS}\nwaiting for approval: on box-lab`)
    expect(stdout).toContain('node started: pid 4242')
    expect(world.started).toHaveLength(1)
  })

  it('[CL29] takes the first way that leads anywhere', async () => {
    face.statusFields = {}
    face.faults.set('join', new OrchError('ORCH_PEER_UNREACHABLE', 'a:1 does not answer'))
    const { exit, stderr } = await world.run('start', '--detach', '--join', 'a:1', '--join', 'b:2')
    expect(exit).toBe(0)
    expect(stderr).toContain('warning: a:1 does not answer')
    expect(face.request('join')).toEqual({ to: '/dns/b/tcp/2' })
  })

  it('[CL29] is ended again when nobody lets it in', async () => {
    face.statusFields = {}
    face.faults.set('join', new OrchError('ORCH_PEER_DENIED', 'not you'))
    const { exit, stderr } = await world.run('start', '--detach', '--join', 'a:1', '--join', 'b:2')
    expect(exit).toBe(6)
    expect(stderr).toContain('ORCH_PEER_DENIED')
    expect(face.calls.filter(({ method }) => method === 'join')).toHaveLength(1)
    expect(face.stopped).toBe(true)
  })

  it('[CL29] joins nothing when it is a member already', async () => {
    const { exit, stderr } = await world.run('start', '--detach', '--join', 'a:1')
    expect(exit).toBe(0)
    expect(stderr).toContain('belongs to the cluster box already')
    expect(face.request('join')).toBeUndefined()
  })

  it('[CL29] of a run too', async () => {
    face.statusFields = {}
    writeFileSync(join(dir, 'plan.yaml'), 'name: demo\ntasks: { a: { run: "true" } }\n')
    world.fault = new OrchError('ORCH_NO_NODE', 'no node runs')
    world.env = { ORCH_JOIN: 'a:1' }
    const { exit, stderr } = await world.run('run', 'plan.yaml', '--detach')
    expect({ exit, stderr }).toEqual({
      exit: 0,
      stderr: expect.stringContaining('node started in the background'),
    })
    expect(face.request('join')).toEqual({ to: '/dns/a/tcp/1' })
  })
})

describe('an invitation', () => {
  const secret = (text: string) => text.includes('secret')

  it('[CL22] is not shown among the settings', async () => {
    world.env = { ORCH_JOIN: `box-lab:7946,${TOKEN}` }
    const text = await world.run('status', '--config')
    expect(text.stdout).toMatch(/join +\/dns\/box-lab\/tcp\/7946, \(an invitation\) +environment ORCH_JOIN/)
    const json = await world.run('status', '--config', '--json')
    expect(json.json()).toMatchObject({
      data: {
        settings: expect.arrayContaining([
          {
            key: 'join',
            value: ['/dns/box-lab/tcp/7946', '(an invitation)'],
            origin: 'environment',
            source: 'ORCH_JOIN',
          },
        ]),
      },
    })
    expect(secret(text.stdout + text.stderr + json.stdout)).toBe(false)
  })

  it.each([
    [['join', TOKEN, '--token-file', 'x']],
    [['join', TOKEN, TOKEN]],
    [['join', `${TOKEN}:`]],
    [['start', TOKEN]],
    [['start', '--join', `${TOKEN}/x`]],
    [['start', '--detach', '--join', TOKEN, '--slots', 'x']],
  ])('[CL22] is not repeated by what is wrong with a command line', async (args) => {
    const text = await world.run(...args)
    const json = await world.run(...args, '--json')
    expect([text.exit, json.exit]).toEqual([2, 2])
    expect(secret(text.stdout + text.stderr + json.stdout + json.stderr)).toBe(false)
  })

  it('[CL22] is not told by what follows it', async () => {
    face.joinUpdates = [WAITING, { type: 'joined', cluster: CLUSTER.id, name: 'box', role: 'worker' }]
    const { stdout, stderr } = await world.run('join', TOKEN)
    face.faults.set('join', new OrchError('ORCH_INVITE_INVALID', 'the invitation was altered'))
    const refused = await world.run('join', TOKEN, '--debug')
    expect(secret(stdout + stderr + refused.stdout + refused.stderr)).toBe(false)
  })
})

/** Until the command listens for Ctrl-C and has gone on as far as it can. */
async function untilListening(): Promise<void> {
  const deadline = performance.now() + 10_000
  while (world.listeners.size === 0) {
    if (performance.now() > deadline) throw new Error('it does not listen')
    await settled()
  }
  await settled()
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
