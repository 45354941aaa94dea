/** Goal: every command asks the right thing and tells it to people, scripts and pipes. Method: the real program over a fake face, all three shapes of output. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createProgram, examplesFor } from '../../src/cli/program.ts'
import { OrchError } from '../../src/core/error.ts'
import { AT, NODE } from './fake-cluster.ts'
import { FakeFace, INCARNATION, runOf, taskOf } from './fake-face.ts'
import { FakeWorld } from './fake-world.ts'

const RUN = 'demo-7f2a'
let face: FakeFace
let world: FakeWorld

beforeEach(() => {
  face = new FakeFace()
  face.add(
    runOf(RUN, { status: 'running', branch: `orch/${RUN}`, counts: { accepted: 1, running: 1, ready: 1 } }),
    taskOf(RUN, 'contract', 'accepted', {
      title: 'Shared fixtures',
      files: 1,
      attempts: 1,
      startedAt: AT,
      endedAt: AT + 41_000,
      holder: 'here',
    }),
    taskOf(RUN, 'math', 'running', {
      needs: ['contract'],
      attempts: 1,
      startedAt: AT,
      holder: 'here',
      activity: 'Edit \u001b]0;evil\u0007x.ts',
      output: 'a\u001b[31mred\u001b[0m 漢\n',
      diff: '+\u001b[2Jx\n',
    }),
    taskOf(RUN, 'lint', 'ready', { priority: 'high', title: 'Lint' }),
    taskOf(RUN, 'docs', 'waiting', { needs: ['math'], reason: 'waits for math' }),
  )
  face.conflictList = [
    {
      task: `${RUN}/docs`,
      with: ['math'],
      paths: ['a.md', 'b.md', 'c.md', 'd.md'],
      status: 'held',
      reason: 'both changed a.md',
    },
  ]
  face.eventList = [
    { n: 1, event: { type: 'created', at: AT, run: RUN, task: 'math', createdBy: NODE, title: 'Math' } },
    { n: 2, event: { type: 'started', at: AT, run: RUN, task: 'math', agent: NODE, round: 1, epoch: 1 } },
    { n: 3, event: { type: 'failed', at: AT, run: RUN, task: 'math', agent: NODE, error: 'exit\n1' } },
    {
      n: 4,
      event: {
        type: 'completed',
        at: AT,
        run: RUN,
        task: 'math',
        agent: NODE,
        position: 1,
        commit: 'c'.repeat(40),
      },
    },
  ]
  face.workspaceList = [
    { path: '/data/w/a', attempt: `${RUN}/math/1.1/${INCARNATION}`, state: 'running', bytes: 1000 },
    { path: '/data/w/b', attempt: `${RUN}/docs/1.1/${INCARNATION}`, state: 'saved', bytes: 2_000_000 },
  ]
  world = new FakeWorld(face)
  world.clock = AT + 60_000
})

interface Row {
  readonly args: readonly string[]
  readonly asks?: readonly [method: string, request: object]
  readonly text: RegExp | string
  readonly ids?: string
  readonly exit?: number
  readonly embed?: string
  readonly env?: Record<string, string>
}

const ROWS: Readonly<Record<string, Row>> = {
  runs: {
    args: ['runs'],
    asks: ['runs', {}],
    text: /^run +status +done +age +branch\ndemo-7f2a +running +1\/4 +60 s +orch\/demo-7f2a\n$/,
    ids: RUN,
    embed: 'passive',
  },
  'runs list --open': { args: ['runs', 'list', '--open'], text: /demo-7f2a/, ids: RUN },
  'runs show': {
    args: ['runs', 'show', 'demo'],
    asks: ['run', { run: 'demo' }],
    text: /run demo-7f2a · running[\s\S]*✓ +contract[\s\S]*● +math[\s\S]*1 done · 1 running · 1 ready · 1 waiting/,
    ids: RUN,
  },
  'runs cancel': {
    args: ['runs', 'cancel', 'demo', '--reason', 'wrong'],
    asks: ['cancel', { run: RUN, reason: 'wrong' }],
    text: `run ${RUN} cancelled\n`,
    ids: RUN,
  },
  'runs pause': {
    args: ['runs', 'pause', 'demo'],
    asks: ['pause', { run: RUN }],
    text: `run ${RUN} paused\n`,
    ids: RUN,
  },
  'runs resume': {
    args: ['runs', 'resume', 'demo'],
    asks: ['resume', { run: RUN }],
    text: `run ${RUN} resumed\n`,
    ids: RUN,
  },
  tasks: {
    args: ['tasks'],
    asks: ['tasks', {}],
    text: /task +status[\s\S]*✓ +contract +accepted +medium +here +0:41 +Shared fixtures\n● +math +running +medium +here +1:00 +Edit x\.ts\n/,
    ids: `${RUN}/contract\n${RUN}/math\n${RUN}/lint\n${RUN}/docs`,
  },
  'tasks --where': {
    args: ['tasks', 'demo', '--where', 'status=ready and priority>=high'],
    asks: ['tasks', { run: 'demo' }],
    text: /lint/,
    ids: `${RUN}/lint`,
  },
  'tasks --limit': {
    args: ['tasks', '--limit', '1'],
    asks: ['tasks', { limit: 1 }],
    text: /contract/,
    ids: `${RUN}/contract`,
  },
  'task show': {
    args: ['task', 'show', 'math'],
    asks: ['task', { task: 'math' }],
    text: /task +demo-7f2a\/math\nstatus +running[\s\S]*needs +contract[\s\S]*runs:\n {2}true/,
    ids: `${RUN}/math`,
  },
  'task diff': {
    args: ['task', 'diff', 'math', '--stat'],
    asks: ['diff', { task: 'math', stat: true }],
    text: '+\u001b[2Jx\n',
    ids: '',
  },
  'task cancel': {
    args: ['task', 'cancel', 'math', '--reason', 'x'],
    asks: ['cancel', { task: `${RUN}/math`, reason: 'x' }],
    text: `${RUN}/math cancelled\n`,
    ids: `${RUN}/math`,
  },
  'task retry': {
    args: ['task', 'retry', 'math', '--hint', 'h'],
    asks: ['retry', { task: `${RUN}/math`, hint: 'h' }],
    text: `${RUN}/math starts afresh\n`,
    ids: `${RUN}/math`,
  },
  'task release': {
    args: ['task', 'release', 'math'],
    asks: ['release', { task: 'math' }],
    text: 'math given back\n',
    ids: 'math',
    embed: 'never',
  },
  'task prioritize': {
    args: ['task', 'prioritize', 'math', 'critical'],
    asks: ['prioritize', { task: `${RUN}/math`, priority: 'critical' }],
    text: /has priority critical/,
    ids: `${RUN}/math`,
  },
  'task pause': {
    args: ['task', 'pause', 'math'],
    asks: ['pause', { task: `${RUN}/math` }],
    text: /paused/,
    ids: `${RUN}/math`,
  },
  'task resume': {
    args: ['task', 'resume', 'math'],
    asks: ['resume', { task: `${RUN}/math` }],
    text: /resumed/,
    ids: `${RUN}/math`,
  },
  'task unblock': {
    args: ['task', 'unblock', 'math'],
    asks: ['unblock', { task: `${RUN}/math` }],
    text: /unblocked/,
    ids: `${RUN}/math`,
  },
  ready: {
    args: ['ready'],
    asks: ['ready', {}],
    text: /lint +shell +high +Lint/,
    ids: `${RUN}/lint`,
    embed: 'passive',
  },
  'ready --explain': {
    args: ['ready', '--explain', '--run', 'demo'],
    asks: ['ready', { explain: true, run: 'demo' }],
    text: /lint[\s\S]*starts next[\s\S]*docs[\s\S]*waits for math/,
    ids: `${RUN}/lint\n${RUN}/docs`,
  },
  claim: {
    args: ['claim', '--cap', 'ts', '--cap', 'js'],
    asks: ['claim', { capabilities: ['ts', 'js'] }],
    text: /task +demo-7f2a\/lint\nworkspace +\/data\/workspaces\/lint\ndir +\/data\/attempts[\s\S]*may write +test\/\*\*[\s\S]*Write tests\.[\s\S]*orch-node complete demo-7f2a\/lint/,
    ids: `${RUN}/lint`,
    embed: 'passive',
  },
  progress: {
    args: ['progress', 'math', '--step', '3', '--status', 'x'],
    asks: ['progress', { task: 'math', step: 3, status: 'x' }],
    text: 'hint: the schema changed\n',
    ids: '',
    embed: 'passive',
  },
  complete: {
    args: ['complete', 'math', '--summary', 's', '--value', '{"a":1}'],
    asks: ['complete', { task: 'math', summary: 's', value: { a: 1 } }],
    text: `${RUN}/math is provisional\n`,
    ids: `${RUN}/math`,
    embed: 'passive',
  },
  fail: {
    args: ['fail', 'math', '--reason', 'r'],
    asks: ['fail', { task: 'math', reason: 'r' }],
    text: `${RUN}/math is ready\n`,
    ids: `${RUN}/math`,
    embed: 'passive',
  },
  block: {
    args: ['block', 'math', '--reason', 'r', '--on', 'docs'],
    asks: ['block', { task: 'math', reason: 'r', blockers: ['docs'] }],
    text: `${RUN}/math is blocked\n`,
    ids: `${RUN}/math`,
    embed: 'passive',
  },
  'complete inside an attempt': {
    args: ['complete'],
    env: { ORCH_ATTEMPT: `${RUN}/math/1.1/${INCARNATION}` },
    asks: ['complete', { attempt: `${RUN}/math/1.1/${INCARNATION}` }],
    text: /math is provisional/,
    ids: `${RUN}/math`,
  },
  'fail with ORCH_TASK': {
    args: ['fail', '--reason', 'r'],
    env: { ORCH_TASK: 'math', ORCH_RUN: RUN },
    asks: ['fail', { task: `${RUN}/math`, reason: 'r' }],
    text: /math is ready/,
    ids: `${RUN}/math`,
  },
  integrate: {
    args: ['integrate', 'demo', '--dry-run'],
    asks: ['integrate', { run: 'demo', dryRun: true }],
    text: /math +would be accepted +bbbbbbb[\s\S]*nothing was changed/,
    ids: 'b'.repeat(40),
    exit: 9,
  },
  land: {
    args: ['land', 'demo', '--into', 'main'],
    asks: ['land', { run: 'demo', into: 'main' }],
    text: 'landed demo-7f2a on main: aaaaaaa → bbbbbbb\n',
    ids: 'b'.repeat(40),
    embed: 'passive',
  },
  conflicts: {
    args: ['conflicts'],
    asks: ['conflicts', {}],
    text: /conflict demo-7f2a\/docs with math: a\.md, b\.md, c\.md and 1 more[\s\S]*orch-node task retry demo-7f2a\/docs/,
    ids: `${RUN}/docs`,
    exit: 9,
  },
  'graph of a run': {
    args: ['graph', 'demo'],
    asks: ['tasks', { run: 'demo' }],
    text: /1\.\n {2}✓ contract\n {2}○ lint\n2\.\n {2}● math {2}← contract\n3\.\n {2}○ docs {2}← math/,
    ids: 'contract\nmath\nlint\ndocs',
  },
  'graph --critical-path': {
    args: ['graph', 'demo', '--critical-path'],
    text: 'contract → math → docs\n',
    ids: 'contract\nmath\ndocs',
  },
  'graph mermaid': {
    args: ['graph', 'demo', '--format', 'mermaid'],
    text: /^flowchart LR\n {2}t0\["contract: Shared fixtures"\]\n[\s\S]* {2}t0 ==> t1\n {2}t1 ==> t3\n$/,
    ids: 'contract\nmath\nlint\ndocs',
  },
  'graph dot': {
    args: ['graph', 'demo', '--format', 'dot'],
    text: /^digraph run \{[\s\S]*"contract" -> "math" \[penwidth=2\]/,
    ids: 'contract\nmath\nlint\ndocs',
  },
  'workspace list': {
    args: ['workspace'],
    asks: ['workspaces', {}],
    text: /running +1\.0 kB +demo-7f2a\/math\/1\.1 +\/data\/w\/a\nsaved +2\.0 MB/,
    ids: '/data/w/a\n/data/w/b',
  },
  'workspace clean': {
    args: ['workspace', 'clean', '--dry-run'],
    asks: ['cleanWorkspaces', { dryRun: true }],
    text: 'would remove 1 workspace, 2.0 MB\nkept (running): /data/w/a\n',
    ids: '/data/w/b',
  },
  status: {
    args: ['status'],
    asks: ['status', {}],
    text: /node +box \(12D3Koo\w+\)[\s\S]*slots +1 of 5 in use, 2 ready/,
    ids: NODE,
    embed: 'never',
  },
  'status --config': {
    args: ['status', '--config'],
    text: /dataDir +\/home\/anna\/\.local\/share\/orch-node +default[\s\S]*slots +5 +default[\s\S]*a node runs with 5 slots/,
    ids: '',
  },
  version: { args: ['version'], text: /^orch-node \d+\.\d+\.\d+ \(node / },
  completion: { args: ['completion', 'bash'], text: /complete -o filenames -F _orch_node orch-node/ },
}

describe.each(Object.entries(ROWS))('%s', (_name, row) => {
  it('[CL1] for people', async () => {
    world.env = row.env ?? {}
    const { exit, stdout, stderr } = await world.run(...row.args)
    expect(stderr).toBe('')
    if (typeof row.text === 'string') expect(stdout).toBe(row.text)
    else expect(stdout).toMatch(row.text)
    expect(exit).toBe(row.exit ?? 0)
    if (row.asks) expect(face.request(row.asks[0])).toEqual(row.asks[1])
    if (row.embed) expect(world.requests[0]!.embed).toBe(row.embed)
    expect(world.closed).toBe(world.requests.length)
  })

  it('[CL1] with --json: one document', async () => {
    world.env = row.env ?? {}
    const { exit, stdout } = await world.run(...row.args, '--json')
    expect(stdout.split('\n')).toHaveLength(2)
    expect(JSON.parse(stdout)).toMatchObject({ schemaVersion: 1, data: expect.anything() })
    expect(Object.keys(JSON.parse(stdout) as object)).toEqual(['schemaVersion', 'data'])
    expect(exit).toBe(row.exit ?? 0)
  })

  it('[CL1] with --quiet: ids', async () => {
    world.env = row.env ?? {}
    const { stdout, stderr } = await world.run('--quiet', ...row.args)
    expect(stderr).toBe('')
    if (row.ids !== undefined) expect(stdout).toBe(row.ids === '' ? '' : `${row.ids}\n`)
  })
})

describe('streams', () => {
  it('[CL32] export prints a line of JSON for each commit', async () => {
    const author = { node: 'n', incarnation: 'i' }
    face.exportList = [
      { author, n: 1, at: 5, facts: [{ collection: 'specs', key: 'a', body: { kind: 'shell' } }] },
      { author, n: 2, at: 6, facts: [{ collection: 'seals', key: '*', body: null }] },
    ]
    const text = await world.run('export', 'demo')
    expect(face.request('exportRun')).toEqual({ run: 'demo' })
    expect(
      text.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(face.exportList)
    expect((await world.run('export', '-q')).stdout).toBe('a\n*\n')
  })

  it('[CL1] events are lines of text, of JSON, or ids', async () => {
    const text = await world.run('events', '--problems', '--run', 'demo', '--since', '10m')
    expect(face.request('events')).toEqual({ problems: true, run: 'demo', since: world.clock - 600_000 })
    expect(text.stdout.split('\n').map((line) => line.slice(9))).toEqual([
      'demo-7f2a/math created: Math',
      'demo-7f2a/math started on gi6VNY5 (1.1)'.replace('gi6VNY5', NODE.slice(-8)),
      'demo-7f2a/math failed: exit 1',
      'demo-7f2a/math completed as 1 (ccccccc)',
      '',
    ])
    const json = await world.run('events', '--json', '--follow')
    expect(
      json.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(face.eventList)
    expect(world.requests.map(({ embed }) => embed)).toEqual(['passive', 'never'])
    expect((await world.run('events', '-q')).stdout).toBe(`${RUN}/math\n`.repeat(4))
  })

  it('[CL4] output of a worker is raw in a pipe and stripped on a terminal, however it is cut', async () => {
    expect((await world.run('task', 'logs', 'math')).stdout).toBe('a\u001b[31mred\u001b[0m 漢\n')
    expect((await world.run('task', 'logs', 'math', '--offset', '2', '-f')).stdout).toBe(
      '[31mred\u001b[0m 漢\n',
    )
    expect(face.request('logs')).toEqual({ task: 'math', offset: 2, follow: true })
    world.stdout.isTerminal = true
    world.env = { NO_COLOR: '1' }
    expect((await world.run('task', 'logs', 'math')).stdout).toBe('ared 漢\n')
    expect((await world.run('task', 'diff', 'math')).stdout).toBe('+x\n')
  })

  it('[CL1] runs follow --json tells every update', async () => {
    face.updates = [{ type: 'end', run: runOf(RUN, { status: 'partial' }) }]
    const { stdout, exit } = await world.run('runs', 'follow', '--json')
    const updates = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).type)
    expect(updates).toEqual(['run', 'task', 'task', 'task', 'task', 'end'])
    expect(exit).toBe(10)
  })

  it('[CL6] an open run is not followed when no node runs', async () => {
    world.passive = true
    const { stderr, exit } = await world.run('runs', 'follow')
    expect(exit).toBe(6)
    expect(stderr).toContain('nothing happens')
    expect((await world.run('ready', '--explain')).stdout).toContain('no node runs')
  })
})

describe('inside an attempt', () => {
  it.each([
    [
      { ORCH_ATTEMPT: `${RUN}/math/1.1/${INCARNATION}`, ORCH_TASK: 'other' },
      { attempt: `${RUN}/math/1.1/${INCARNATION}` },
    ],
    [{ ORCH_TASK: 'math', ORCH_RUN: RUN }, { task: `${RUN}/math` }],
    [{ ORCH_TASK: `${RUN}/math`, ORCH_RUN: 'x' }, { task: `${RUN}/math` }],
    // The node knows what is claimed by hand.
    [{}, {}],
  ])('[CL15] the verbs need no id: %j', async (env, own) => {
    world.env = env
    await world.run('progress')
    expect(face.request('progress')).toEqual(own)
    await world.run('complete')
    expect(face.request('complete')).toEqual(own)
    await world.run('block', '--reason', 'r')
    expect(face.request('block')).toEqual({ ...own, reason: 'r' })
    await world.run('task', 'release')
    expect(face.request('release')).toEqual(own)
    await world.run('fail', 'lint', '--reason', 'r')
    expect(face.request('fail')).toEqual({ task: 'lint', reason: 'r' })
  })
})

describe('colour', () => {
  it('[CL5] is for terminals, unless NO_COLOR, TERM=dumb or FORCE_COLOR say otherwise', async () => {
    const coloured = async (isTerminal: boolean, env: Record<string, string>) => {
      world.stdout.isTerminal = isTerminal
      world.env = env
      return (await world.run('tasks')).stdout.includes('\u001b[')
    }
    expect(await coloured(false, {})).toBe(false)
    expect(await coloured(true, {})).toBe(true)
    expect(await coloured(true, { NO_COLOR: '1' })).toBe(false)
    expect(await coloured(true, { TERM: 'dumb' })).toBe(false)
    expect(await coloured(false, { FORCE_COLOR: '1' })).toBe(true)
    expect(await coloured(true, { NO_COLOR: '1', FORCE_COLOR: '1' })).toBe(false)
  })
})

describe('errors', () => {
  it('[CL3] say what, why, what next and the code', async () => {
    face.faults.set(
      'land',
      new OrchError('ORCH_TARGET_MOVED', 'main moved', { cause: new Error('old value differs\nmore') }),
    )
    const { stdout, stderr, exit } = await world.run('land')
    expect(stdout).toBe('')
    expect(stderr).toBe(
      'error: main moved\nwhy: old value differs\nnext: the branch moved while landing: run `orch-node land RUN` again\nORCH_TARGET_MOVED\n',
    )
    expect(exit).toBe(9)
  })

  it('[CL3] a stack is shown with --debug, and for bugs', async () => {
    face.faults.set('runs', new OrchError('ORCH_FAILED', 'x'))
    expect((await world.run('runs', '--debug')).stderr).toContain('    at ')
    face.faults.set('runs', new OrchError('ORCH_FAILED', 'x'))
    expect((await world.run('runs')).stderr).not.toContain('    at ')
    face.faults.set('runs', new TypeError('oops'))
    const bug = await world.run('runs')
    expect(bug.stderr).toMatch(/^error: oops\n[\s\S]*ORCH_BUG\n[\s\S]* {4}at /)
    expect(bug.exit).toBe(1)
  })

  it('[CL1] are one document on stdout with --json', async () => {
    face.faults.set('runs', new OrchError('ORCH_DISK_FULL', 'full', { hint: 'free some' }))
    const { stdout, stderr, exit, json } = await world.run('runs', '--json')
    expect(json()).toEqual({
      schemaVersion: 1,
      error: { code: 'ORCH_DISK_FULL', message: 'full', hint: 'free some' },
    })
    expect(stdout.split('\n')).toHaveLength(2)
    expect(stderr).toBe('')
    expect(exit).toBe(1)
  })

  it('[CL4] do not command the terminal either', async () => {
    face.faults.set('runs', new OrchError('ORCH_FAILED', 'a\u001b]0;x\u0007b', { hint: '\u009b2Jc' }))
    const { stderr } = await world.run('runs')
    expect(stderr).toBe('error: ab\nnext: c\nORCH_FAILED\n')
  })

  it('[CL16] nothing ready is 3; a lost claim is 4 with the holder on stdout', async () => {
    face.taskTable.clear()
    expect(await world.run('claim')).toMatchObject({ exit: 3, stdout: '' })
    expect(await world.run('ready')).toMatchObject({
      exit: 3,
      stdout: expect.stringContaining('nothing is ready'),
    })
    const lost = () =>
      face.faults.set('claim', new OrchError('ORCH_CLAIM_LOST', 'held', { context: { holder: 'box' } }))
    lost()
    expect(await world.run('claim')).toMatchObject({ exit: 4, stdout: 'box\n' })
    lost()
    const json = await world.run('claim', '--json')
    expect(json.json()).toMatchObject({ error: { code: 'ORCH_CLAIM_LOST', holder: 'box' } })
    expect(json.exit).toBe(4)
  })

  it.each([
    [['bogus'], "unknown command 'bogus'", 'orch-node --help'],
    [['run'], "missing required argument 'plan'", 'orch-node run --help'],
    [['runs', '--bogus'], "unknown option '--bogus'", 'orch-node runs --help'],
    [['tasks', 'a', 'b'], 'too many arguments', 'orch-node tasks --help'],
    [['task'], 'which command?', 'orch-node task --help'],
    [[], 'which command?', 'orch-node --help'],
    [['fail'], "required option '--reason <text>' not specified", 'orch-node fail --help'],
    [['graph', 'x', '--format', 'svg'], "argument 'svg' is invalid", 'orch-node graph --help'],
    [['completion', 'tcsh'], "'tcsh' is invalid for argument 'shell'", 'orch-node completion --help'],
    [['start', '--slots', 'x'], '--slots is a whole number', ''],
    [['tasks', '--limit', 'x'], '--limit is a whole number', ''],
    [['tasks', '--where', 'x'], 'position 1', ''],
    [['task', 'prioritize', 'math', 'urgent'], 'a priority is one of', ''],
    [['events', '--since', 'yesterday'], '--since is a time ago', ''],
    [['run', 'x.yaml', '--timeout', 'soon'], '--timeout is a duration', ''],
    [['progress', 'math', '--handoff', 'none.json'], 'none.json cannot be read: ENOENT', ''],
    [['runs', 'cancel', 'a/b'], 'names a task, not a run', ''],
  ] as const)('[CL2] %j is wrong usage', async (args, message, hint) => {
    const text = await world.run(...args)
    expect(text.exit).toBe(2)
    expect(text.stdout).toBe('')
    expect(text.stderr).toMatch(/^error: [\s\S]*\nnext: [^\n]+\nORCH_USAGE\n$/)
    expect(text.stderr).toContain(message)
    expect(text.stderr).toContain(hint)
    const json = await world.run(...args, '--json')
    expect(json.exit).toBe(2)
    expect(json.json()).toMatchObject({ schemaVersion: 1, error: { code: 'ORCH_USAGE' } })
  })
})

describe('where the node is', () => {
  it('[CL6] --node, ORCH_URL with ORCH_TOKEN, and the data directory reach the connection', async () => {
    await world.run('runs', '--node', 'http://x:1')
    world.env = { ORCH_URL: 'http://y:2', ORCH_TOKEN: 't' }
    await world.run('runs')
    await world.run('runs', '-C', '/else', '--data-dir', 'd')
    world.env = { ORCH_TOKEN: 't' }
    await world.run('runs')
    expect(
      world.requests.map(({ settings, token }) => [settings.node.value, token, settings.dataDir.value]),
    ).toEqual([
      ['http://x:1', undefined, '/home/anna/.local/share/orch-node'],
      ['http://y:2', 't', '/home/anna/.local/share/orch-node'],
      ['http://y:2', 't', '/else/d'],
      [undefined, undefined, '/home/anna/.local/share/orch-node'],
    ])
  })

  it('[CL6] none is exit 6', async () => {
    world.fault = new OrchError('ORCH_NO_NODE', 'no node runs')
    expect(await world.run('status')).toMatchObject({
      exit: 6,
      stderr: expect.stringContaining('orch-node start'),
    })
  })

  it('[CL7] status --config needs no node', async () => {
    world.fault = new OrchError('ORCH_NO_NODE', 'no node runs')
    world.env = { ORCH_SLOTS: '3' }
    const { stdout, exit } = await world.run('status', '--config')
    expect(exit).toBe(0)
    expect(stdout).toMatch(/slots +3 +environment ORCH_SLOTS/)
    expect(stdout).toContain('no node runs')
  })

  it('[CL2] stop waits until the node is gone', async () => {
    expect(await world.run('stop', '--now')).toMatchObject({
      exit: 0,
      stdout: 'node box (pid 4242) stopped\n',
      stderr: '',
    })
    expect(face.request('stop')).toEqual({ now: true })
  })
})

describe('run', () => {
  let dir: string
  const plan = (text: string) => writeFileSync(join(dir, 'plan.yaml'), text)
  const done = (status: 'complete' | 'partial' | 'failed' | 'cancelled', fields = {}) => {
    face.updates = [
      {
        type: 'task',
        task: { ...taskOf('demo-7f2a', 'a', 'running', { attempts: 1, startedAt: AT, holder: 'here' }) },
      },
      {
        type: 'task',
        task: {
          ...taskOf('demo-7f2a', 'a', status === 'complete' ? 'accepted' : 'failed', {
            attempts: 1,
            startedAt: AT,
            endedAt: AT + 41_000,
            files: 2,
            reason: 'exit 1',
          }),
        },
      },
      { type: 'end', run: runOf('demo-7f2a', { status, ...fields }) },
    ]
  }

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'orch-cli-'))
    world.cwd = dir
    face.runTable.clear()
    face.taskTable.clear()
    face.conflictList = []
    plan('name: demo\ntasks:\n  a: { run: "true" }\n  b: { run: "true", needs: [a] }\n')
  })

  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  it('[CL9] submits, follows and reports', async () => {
    done('complete')
    const { exit, stdout, stderr } = await world.run('run', 'plan.yaml')
    expect(exit).toBe(0)
    expect(face.request('submit')).toMatchObject({
      name: 'demo',
      tasks: [
        ['a', { kind: 'shell', run: 'true' }],
        ['b', { needs: ['a'] }],
      ],
    })
    expect(face.request('submit')).not.toHaveProperty('repository')
    expect(stderr.split('\n').map((line) => line.replace(/^\d\d:\d\d:\d\d /, ''))).toEqual([
      'run demo-7f2a · 2 tasks · up to 1 at once',
      'started a (attempt 1)',
      'done a 2 files 0:41',
      '',
    ])
    expect(stdout).toMatch(/^run demo-7f2a · 2 tasks\n {2}✓ {2}a [\s\S]*done 1\/2\n$/)
    expect(world.requests[0]!.embed).toBe('host')
    expect(world.closed).toBe(1)
  })

  it('[CL1] run --json is one document', async () => {
    done('partial')
    const { exit, stdout, json } = await world.run('run', 'plan.yaml', '--json')
    expect(stdout.split('\n')).toHaveLength(2)
    expect(json()).toMatchObject({
      schemaVersion: 1,
      data: {
        run: { status: 'partial' },
        tasks: [{ id: 'a', status: 'failed' }, { id: 'b' }],
        conflicts: [],
      },
    })
    expect(exit).toBe(10)
  })

  it.each([
    ['complete', {}, 0],
    ['failed', { problem: { code: 'ORCH_GATE', message: 'npm test failed' } }, 8],
    ['failed', {}, 1],
    ['cancelled', {}, 130],
  ] as const)('[CL9] a run that ends %s %j: exit %d', async (status, fields, exit) => {
    done(status, fields)
    expect((await world.run('run', 'plan.yaml', '-q')).exit).toBe(exit)
  })

  it('[CL9] a run that waits for a person says who must decide, and ends', async () => {
    const stuck = runOf('demo-7f2a', { status: 'stuck' })
    face.add(stuck, taskOf('demo-7f2a', 'a', 'blocked', { reason: 'needs a decision' }))
    const blocked = await world.run('run', 'plan.yaml')
    expect(blocked.exit).toBe(1)
    expect(blocked.stdout).toContain('orch-node task unblock demo-7f2a/a')
    face.conflictList = [
      { task: 'demo-7f2a/a', with: ['b'], paths: ['x'], status: 'held', reason: 'conflict' },
    ]
    const conflict = await world.run('run', 'plan.yaml')
    expect(conflict.exit).toBe(9)
    expect(conflict.stdout).toContain('1 conflict to settle')
  })

  it('[CL8] every problem of a plan at once, before anything is started', async () => {
    plan('name: demo\ntasks:\n  a: { run: "true", need: [b] }\n  b: { run: "true", needs: [c] }\n')
    const { exit, stderr } = await world.run('run', 'plan.yaml')
    expect(exit).toBe(2)
    expect(stderr).toMatch(
      /plan\.yaml has 2 problems\nplan\.yaml:3:\d+ {2}error {2}[\s\S]*plan\.yaml:4:\d+ {2}error/,
    )
    expect(stderr).toContain('ORCH_PLAN_INVALID')
    expect(world.requests).toEqual([])
    expect((await world.run('validate', 'plan.yaml', '--json')).json()).toMatchObject({
      error: { code: 'ORCH_PLAN_INVALID', message: expect.stringContaining('plan.yaml:4') },
    })
    expect(await world.run('run', 'none.yaml')).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('ORCH_PLAN_UNREADABLE'),
    })
  })

  it('[CL8] an agent that only the node knows is judged by the node', async () => {
    plan('name: demo\ntasks:\n  a: { prompt: "do it", agent: robot }\n')
    expect(await world.run('run', 'plan.yaml')).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('robot'),
    })
    expect(world.closed).toBe(1)
    face.statusFields = { kinds: ['shell', 'robot'] }
    done('complete')
    expect((await world.run('run', 'plan.yaml')).exit).toBe(0)
  })

  it('[CL8] --set and --agent change the plan', async () => {
    done('complete')
    await world.run('run', 'plan.yaml', '--set', 'name=other', '--set', 'tasks.a.run=exit 3')
    expect(face.request('submit')).toMatchObject({
      name: 'other',
      tasks: [['a', { run: 'exit 3' }], expect.anything()],
    })
  })

  it('[CL8] the repository is the flag’s, the plan’s, or where the command runs', async () => {
    done('complete')
    const repository = async (...args: readonly string[]) => {
      const { stderr } = await world.run('run', 'plan.yaml', ...args)
      return stderr.includes('ORCH_GIT_NOT_REPO')
        ? 'refused'
        : (face.request('submit') as { repository?: string }).repository
    }
    expect(await repository('--repo', 'x')).toBe(join(dir, 'x'))
    expect(await repository('--set', 'repo=../r')).toBe(join(dir, '../r'))
    expect(await repository('--set', 'repo=../r', '--repo', 'none')).toBe(undefined)
    expect(await repository()).toBe(undefined)
    expect(await repository('--set', 'tasks.a.scope.write=[x]')).toBe('refused')
    writeFileSync(join(dir, '.git'), 'gitdir: elsewhere')
    expect(await repository()).toBe(dir)
  })

  it('[CL8] --dry-run starts nothing and shows what would run', async () => {
    const { exit, stdout } = await world.run('run', 'plan.yaml', '--dry-run')
    expect(exit).toBe(0)
    expect(stdout).toMatch(
      /^demo · 2 tasks in 2 layers · at most 1 at once\n1\.\n {2}a\n2\.\n {2}b {2}← a\nlongest chain: a → b\nnothing was started\n$/,
    )
    expect(world.requests).toEqual([])
    expect((await world.run('run', 'plan.yaml', '--dry-run', '--json')).json()).toMatchObject({
      data: { layers: [['a'], ['b']], criticalPath: ['a', 'b'] },
    })
  })

  it('[CL11] Ctrl-C on a run of a separate node only detaches', async () => {
    const running = world.run('run', 'plan.yaml')
    await untilListening(world)
    world.interrupt()
    const { exit, stderr } = await running
    expect(exit).toBe(130)
    expect(stderr).toContain('goes on: follow it again with `orch-node runs follow demo-7f2a`')
    expect(world.closed).toBe(1)
  })

  it('[CL11] Ctrl-C on an embedded node drains it; a second one stops at once', async () => {
    let drained!: () => void
    const draining = new Promise<void>((resolve) => {
      drained = resolve
    })
    const told: string[] = []
    world.host = {
      url: 'x',
      foreign: new Set(),
      closed: draining,
      stopNow: async () => {
        told.push('now')
        drained()
      },
    }
    const connect = world.connect
    world.connect = async (request) => {
      const connection = await connect(request)
      const close = () => {
        if (!told.includes('close')) told.push('close')
        return draining
      }
      return { ...connection, close }
    }
    const running = world.run('run', 'plan.yaml')
    await untilListening(world)
    world.interrupt()
    await untilListening(world)
    expect(told).toEqual(['close'])
    world.interrupt()
    const { exit, stderr } = await running
    expect(exit).toBe(130)
    expect(told).toEqual(['close', 'now'])
    expect(stderr).toContain('running work is saved and given back')
    expect(world.listeners.size).toBe(0)
  })

  it('[CL12] stays for runs that others submitted to its node', async () => {
    done('complete')
    face.runTable.set('other-0001', runOf('other-0001'))
    world.host = {
      url: 'x',
      foreign: new Set(['other-0001']),
      closed: new Promise(() => {}),
      stopNow: async () => {},
    }
    const followRun = face.followRun.bind(face)
    let release!: () => void
    const over = new Promise<void>((resolve) => {
      release = resolve
    })
    let asked = false
    face.followRun = async function* (request, signal) {
      if (request.run !== 'other-0001') return yield* followRun(request, signal)
      yield { type: 'run', run: runOf('other-0001') }
      asked = true
      await over
      yield { type: 'end', run: runOf('other-0001', { status: 'complete' }) }
    }
    const running = world.run('run', 'plan.yaml')
    while (!asked) await new Promise((resolve) => setImmediate(resolve))
    expect(world.closed).toBe(0)
    expect(world.stdout.text).toContain('done 1/2')
    release()
    const { exit, stderr } = await running
    expect(exit).toBe(0)
    expect(stderr).toContain('is the node of run other-0001 too')
  })

  it('[CL13] goes on with the next node when its node goes away', async () => {
    done('complete')
    const followRun = face.followRun.bind(face)
    let lost = 0
    face.followRun = async function* (request, signal) {
      yield { type: 'run', run: runOf('demo-7f2a') }
      if (lost++ === 0) throw new OrchError('ORCH_NO_NODE', 'the node closed the connection')
      yield* followRun(request, signal)
    }
    const { exit, stderr } = await world.run('run', 'plan.yaml')
    expect(exit).toBe(0)
    expect(stderr).toContain('the node went away')
    expect(world.requests.map(({ embed }) => embed)).toEqual(['host', 'host'])
    expect(world.closed).toBe(2)
  })

  it('[CL13] does not take over from a node that somebody stopped', async () => {
    const connect = world.connect
    world.connect = async (request) => ({
      ...(await connect(request)),
      ended: Promise.resolve(
        new OrchError('ORCH_NO_NODE', 'the node was stopped', { context: { stopped: true } }),
      ),
    })
    face.followRun = async function* () {
      yield { type: 'run', run: runOf('demo-7f2a') }
    }
    const { exit, stderr } = await world.run('run', 'plan.yaml')
    expect(exit).toBe(6)
    expect(stderr).toContain('the node was stopped; run demo-7f2a is kept')
    expect(await world.run('runs', 'follow')).toMatchObject({
      exit: 6,
      stderr: expect.stringContaining('was stopped'),
    })
    expect(world.requests.map(({ embed }) => embed)).toEqual(['host', 'passive'])
  })

  it('[CL11] Ctrl-C before the run is submitted gives up', async () => {
    face.submit = () => new Promise(() => {})
    const running = world.run('run', 'plan.yaml')
    await untilListening(world)
    world.interrupt()
    expect(await running).toMatchObject({
      exit: 130,
      stderr: expect.stringContaining('before the run was submitted'),
    })
    expect(world.closed).toBe(1)
  })

  it('[CL9] --timeout ends the following with 124', async () => {
    const { exit, stderr } = await world.run('run', 'plan.yaml', '--timeout', '50ms')
    expect(exit).toBe(124)
    expect(stderr).toContain('ORCH_TIMEOUT')
  })

  it('[CL9] --wait waits while too much is pending', async () => {
    done('complete')
    face.faults.set('submit', new OrchError('ORCH_BACKPRESSURE', 'too much is pending'))
    expect(await world.run('run', 'plan.yaml')).toMatchObject({ exit: 7 })
    face.faults.set('submit', new OrchError('ORCH_BACKPRESSURE', 'too much is pending'))
    const { exit, stderr } = await world.run('run', 'plan.yaml', '--wait')
    expect(exit).toBe(0)
    expect(stderr).toContain('too much is pending: waiting')
  })

  it('[CL10] on a terminal it is redrawn in place, and the cursor comes back', async () => {
    world.stderr.isTerminal = true
    const running = world.run('run', 'plan.yaml')
    await untilListening(world)
    for (let n = 0; n < 3; n++) {
      world.clock += 1000
      for (const tick of world.ticks) tick()
      await new Promise((resolve) => setImmediate(resolve))
    }
    world.interrupt()
    const { stderr } = await running
    expect(stderr.startsWith('\u001b[?25l')).toBe(true)
    expect(stderr).toMatch(/\u001b\[\d+A\u001b\[0J/)
    expect(stderr.lastIndexOf('\u001b[?25h')).toBeGreaterThan(stderr.lastIndexOf('\u001b[?25l'))
    expect(world.ticks.size).toBe(0)
  })

  it('[CL10] a chatty worker does not draw more than the clock allows', async () => {
    world.stderr.isTerminal = true
    done('complete')
    const many = Array.from({ length: 1_000 }, (_, step) => ({
      type: 'task' as const,
      task: taskOf('demo-7f2a', 'a', 'running', { step }),
    }))
    face.updates = [...many, ...face.updates]
    const { stderr } = await world.run('run', 'plan.yaml')
    expect(stderr.length).toBeLessThan(500)
  })
})

/** Until the command listens for Ctrl-C. */
async function untilListening(world: FakeWorld): Promise<void> {
  const deadline = performance.now() + 10_000
  while (world.listeners.size === 0) {
    if (performance.now() > deadline) throw new Error('it does not listen')
    await new Promise((resolve) => setImmediate(resolve))
  }
  await new Promise((resolve) => setImmediate(resolve))
}

describe('help', () => {
  const program = createProgram(new FakeWorld(new FakeFace()))
  const all: [string, Command][] = []
  const visit = (command: Command, path: readonly string[]) => {
    for (const sub of command.commands) {
      all.push([[...path, sub.name()].join(' '), sub])
      visit(sub, [...path, sub.name()])
    }
  }
  visit(program, [])

  it.each(all)('[CL18] %s shows an example, which can be read', async (name, command) => {
    const { exit, stdout } = await world.run(...name.split(' '), '--help')
    expect(exit).toBe(0)
    expect(stdout).toMatch(/Examples?:\n {2}\$ orch-node /)
    expect(command.description()).not.toBe('')
    for (const example of examplesFor(command))
      expect(example.startsWith(`orch-node ${name.split(' ')[0]}`)).toBe(true)
  })

  it('[CL18] lists what this version has, and no more', () => {
    expect(program.commands.map((command) => command.name()).toSorted()).toEqual(
      [
        'run',
        'validate',
        'graph',
        'runs',
        'invite',
        'join',
        'members',
        'leave',
        'drain',
        'undrain',
        'tasks',
        'task',
        'events',
        'export',
        'ready',
        'claim',
        'progress',
        'complete',
        'fail',
        'block',
        'integrate',
        'land',
        'conflicts',
        'workspace',
        'start',
        'stop',
        'status',
        'doctor',
        'simulate',
        'version',
        'completion',
      ].toSorted(),
    )
  })

  it('[CL2] --help and --version are no errors', async () => {
    expect(await world.run('--help')).toMatchObject({ exit: 0, stderr: '' })
    expect(await world.run('--version')).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    })
  })
})
