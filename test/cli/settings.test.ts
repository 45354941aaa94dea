/** Goal: every setting has one source that wins, and says which. Method: tables over flags, environment and systems. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isLoopback, readAddress, showAddress } from '../../src/cli/address.ts'
import { startArguments } from '../../src/cli/background.ts'
import { readWay, readWayFile, shellWord } from '../../src/cli/join-way.ts'
import { withProfile } from '../../src/cli/profile.ts'
import { readSettings } from '../../src/cli/settings.ts'
import { TOKEN } from './fake-cluster.ts'
import { FakeFace } from './fake-face.ts'
import { FakeWorld } from './fake-world.ts'

function world(fields: Partial<FakeWorld> = {}): FakeWorld {
  return Object.assign(new FakeWorld(new FakeFace()), fields)
}

describe('settings', () => {
  it.each([
    ['linux', {}, '/home/anna/.local/share/orch-node', 'default'],
    ['darwin', {}, '/home/anna/Library/Application Support/orch-node', 'default'],
    ['linux', { XDG_DATA_HOME: '/xdg' }, '/xdg/orch-node', 'environment'],
    ['linux', { XDG_DATA_HOME: 'relative' }, '/home/anna/.local/share/orch-node', 'default'],
    ['linux', { XDG_DATA_HOME: '/xdg', ORCH_DATA_DIR: 'here' }, '/place/here', 'environment'],
  ] as const)('[CL7] data directory on %s with %j', (platform, env, value, origin) => {
    expect(readSettings({}, world({ platform, env })).dataDir).toMatchObject({ value, origin })
  })

  it('[CL7] a flag wins over the environment, which wins over the default', () => {
    const env = {
      ORCH_DATA_DIR: '/env',
      ORCH_SLOTS: '3',
      ORCH_NAME: 'env',
      ORCH_HTTP_PORT: '8000',
      ORCH_URL: 'http://env',
    }
    expect(readSettings({}, world())).toMatchObject({
      slots: { value: 5, origin: 'default' },
      node: { value: undefined },
      http: { value: undefined },
      backend: { value: undefined, origin: 'default' },
      listen: { value: ['/ip4/0.0.0.0/tcp/7946'], origin: 'default' },
      join: { value: [], origin: 'default' },
    })
    expect(readSettings({}, world({ env }))).toMatchObject({
      dataDir: { value: '/env', origin: 'environment', source: 'ORCH_DATA_DIR' },
      slots: { value: 3, origin: 'environment', source: 'ORCH_SLOTS' },
      name: { value: 'env', source: 'ORCH_NAME' },
      http: { value: 8000, source: 'ORCH_HTTP_PORT' },
      node: { value: 'http://env', source: 'ORCH_URL' },
    })
    expect(
      readSettings(
        { dataDir: 'x', slots: '9', http: '0', name: 'n', node: 'http://flag', backend: 'memory' },
        world({ env }),
      ),
    ).toMatchObject({
      dataDir: { value: '/place/x', origin: 'flag', source: '--data-dir' },
      slots: { value: 9, origin: 'flag' },
      http: { value: 0, origin: 'flag' },
      name: { value: 'n', origin: 'flag' },
      node: { value: 'http://flag', origin: 'flag' },
      backend: { value: 'memory', origin: 'flag' },
    })
  })

  it.each([
    { slots: '0' },
    { slots: '1.5' },
    { slots: '-1' },
    { slots: '9999' },
    { slots: 'many' },
    { http: '70000' },
    { http: '' },
    { backend: 'redis' },
    { listen: ['7946'] },
    { listen: ['box:7946'] },
    { listen: ['0.0.0.0:70000'] },
    { listen: Array.from({ length: 17 }, () => '0.0.0.0:0') },
    { join: [''] },
    { join: ['box:port'] },
    { joinFile: '/none/such' },
  ])('[CL2] %j is refused', (flags) => {
    expect(() => readSettings(flags, world())).toThrow(expect.objectContaining({ code: 'ORCH_USAGE' }))
  })
})

describe('where a node listens and what it joins', () => {
  let dir: string

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'orch-settings-'))
  })

  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  it('[CL27] flags win over variables, which hold several with commas', () => {
    const env = { ORCH_LISTEN: '127.0.0.1:7948, [::1]:7948', ORCH_JOIN: `box:7946,${TOKEN}` }
    expect(readSettings({}, world({ env }))).toMatchObject({
      listen: {
        value: ['/ip4/127.0.0.1/tcp/7948', '/ip6/::1/tcp/7948'],
        origin: 'environment',
        source: 'ORCH_LISTEN',
      },
      join: { value: ['/dns/box/tcp/7946', TOKEN], origin: 'environment', source: 'ORCH_JOIN' },
    })
    expect(readSettings({ listen: ['localhost:0'], join: ['10.0.0.3:1'] }, world({ env }))).toMatchObject({
      listen: { value: ['/ip4/127.0.0.1/tcp/0'], origin: 'flag', source: '--listen' },
      join: { value: ['/ip4/10.0.0.3/tcp/1'], origin: 'flag', source: '--join' },
    })
    expect(readSettings({}, world({ env: { ORCH_JOIN: '', ORCH_LISTEN: ' ' } }))).toMatchObject({
      join: { value: [], origin: 'default' },
      listen: { origin: 'default' },
    })
  })

  it('[CL27] --no-join wins over everything, --join-file adds to --join and hides the variable', () => {
    writeFileSync(join(dir, 'token'), ` ${TOKEN.slice(0, 10)}\n${TOKEN.slice(10)}\n`)
    const at = world({ cwd: dir, env: { ORCH_JOIN: 'box:7946' } })
    expect(readSettings({ join: false }, at).join).toEqual({ value: [], origin: 'flag', source: '--no-join' })
    expect(readSettings({ join: false, joinFile: 'none' }, at).join.value).toEqual([])
    expect(readSettings({ joinFile: 'token' }, at).join.value).toEqual([
      `${TOKEN.slice(0, 10)}\n${TOKEN.slice(10)}`,
    ])
    expect(readSettings({ join: ['a:1'], joinFile: 'token' }, at).join.value).toHaveLength(2)
  })

  it('[CL27] what a profile says is laid under flags and variables', async () => {
    const profile = join(dir, 'p.yaml')
    writeFileSync(
      profile,
      'listen: ["10.0.0.3:7946"]\njoin: ["box:7946"]\nbackend: crdt\nhttp: 0\ncapabilities: [gpu]\n',
    )
    const { settings } = await withProfile(readSettings({ profile }, world()), dir)
    expect(settings).toMatchObject({
      listen: { value: ['/ip4/10.0.0.3/tcp/7946'], origin: 'profile', source: profile },
      join: { value: ['/dns/box/tcp/7946'], origin: 'profile' },
      backend: { value: 'crdt', origin: 'profile' },
      http: { value: 0, origin: 'profile' },
      capabilities: { value: ['gpu'], origin: 'profile' },
    })
    const flags = { profile, listen: ['0.0.0.0:1'], backend: 'file', http: '1', cap: ['ts'] }
    const over = await withProfile(readSettings({ ...flags, join: false }, world()), dir)
    expect(over.settings).toMatchObject({
      listen: { value: ['/ip4/0.0.0.0/tcp/1'], origin: 'flag' },
      join: { value: [], source: '--no-join' },
      backend: { value: 'file' },
      http: { value: 1 },
      capabilities: { value: ['ts'] },
    })
    writeFileSync(profile, 'listen: [here]\n')
    await expect(withProfile(readSettings({ profile }, world()), dir)).rejects.toMatchObject({
      code: 'ORCH_USAGE',
      message: expect.stringContaining('listen of profile'),
    })
  })

  it('[CL27] a profile of the package is named with its folder; a file of that name comes first', () => {
    expect(readSettings({ profile: 'trio/a' }, world({ cwd: dir })).profile.value).toBe('trio/a')
    expect(readSettings({ profile: './trio' }, world({ cwd: dir })).profile.value).toBe(join(dir, 'trio'))
    writeFileSync(join(dir, 'mine'), '')
    expect(
      readSettings({ profile: `../${dir.split('/').at(-1)}/mine` }, world({ cwd: dir })).profile.value,
    ).toBe(join(dir, 'mine'))
  })

  it.each([
    ['box-lab:7946', '/dns/box-lab/tcp/7946', 'box-lab:7946'],
    ['10.0.0.3:1', '/ip4/10.0.0.3/tcp/1', '10.0.0.3:1'],
    ['[fd00::7]:65535', '/ip6/fd00::7/tcp/65535', '[fd00::7]:65535'],
    ['localhost:7946', '/ip4/127.0.0.1/tcp/7946', '127.0.0.1:7946'],
    ['/dns4/box/tcp/1/p2p/12D3Koo', '/dns4/box/tcp/1/p2p/12D3Koo', 'box:1'],
    ['box', undefined, 'box'],
    ['box:', undefined, 'box:'],
    ['box:65536', undefined, 'box:65536'],
    ['/ip4/1.2.3.4/udp/1/quic', undefined, '/ip4/1.2.3.4/udp/1/quic'],
    ['/ip4/1.2.3.4/tcp/99999', undefined, '1.2.3.4:99999'],
    ['fd00::7:1', undefined, 'fd00::7:1'],
    [TOKEN, undefined, TOKEN],
  ])('[CL27] address %s', (text, multiaddr, shown) => {
    expect(readAddress(text)).toBe(multiaddr)
    expect(showAddress(multiaddr ?? text)).toBe(shown)
  })

  it('[CL21] addresses of the machine itself are known as such', () => {
    for (const own of [
      '/ip4/127.0.0.1/tcp/1/p2p/x',
      '/ip4/127.9.9.9/tcp/1',
      '/ip6/::1/tcp/1',
      '/dns/localhost/tcp/1',
    ])
      expect(isLoopback(own)).toBe(true)
    for (const other of ['/ip4/10.0.0.3/tcp/1', '/ip6/fd00::1/tcp/1', '/dns/box/tcp/1', 'what'])
      expect(isLoopback(other)).toBe(false)
  })

  it('[CL22] what is wrong with a way in is said without repeating it', () => {
    const wrong = [`${TOKEN}:x`, `${TOKEN}/..`, `${TOKEN}${'a'.repeat(5_000)}`, TOKEN.slice(4), 'box-lab']
    writeFileSync(join(dir, 'wrong'), wrong[0]!)
    writeFileSync(join(dir, 'long'), TOKEN.repeat(1_000))
    const tries = [
      ...wrong.map((text) => () => readWay(text, 'it')),
      () => readWayFile(join(dir, 'wrong'), '--token-file'),
      () => readWayFile(join(dir, 'long'), '--token-file'),
      () => readWayFile(dir, '--token-file'),
    ]
    for (const read of tries) {
      let error: unknown
      try {
        read()
      } catch (thrown) {
        error = thrown
      }
      expect(error).toMatchObject({ code: 'ORCH_USAGE' })
      expect(String((error as Error).message)).not.toContain('secret')
    }
  })

  it('[CL22] a node in the background gets every setting but what it is to join', () => {
    const env = { ORCH_JOIN: TOKEN, ORCH_SLOTS: '3' }
    const flags = {
      dataDir: '/d',
      name: '-n',
      http: '0',
      backend: 'crdt',
      profile: 'peer',
      cap: ['-x', 'gpu'],
    }
    const settings = readSettings(
      { ...flags, listen: ['10.0.0.3:1', '[::]:2'], join: [TOKEN] },
      world({ env }),
    )
    expect(startArguments(settings)).toEqual(
      [
        ['start', '--no-join', '--data-dir', '/d', '--backend', 'crdt', '--profile', 'peer', '--slots', '3'],
        ['--http', '0', '--name=-n', '--cap=-x', '--cap=gpu'],
        ['--listen', '/ip4/10.0.0.3/tcp/1', '--listen', '/ip6/::/tcp/2'],
      ].flat(),
    )
    expect(startArguments(readSettings({ dataDir: '/d' }, world()))).toEqual([
      ...['start', '--no-join', '--data-dir', '/d'],
    ])
  })

  it('[CL24] a name is one word for a shell', () => {
    expect(shellWord('mac-anna.local')).toBe('mac-anna.local')
    expect(shellWord("it's; rm")).toBe("'it'\\''s; rm'")
    expect(shellWord('--role')).toBe("'--role'")
  })
})
