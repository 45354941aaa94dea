/** Goal: every setting has one source that wins, and says which. Method: tables over flags, environment and systems. */
import { describe, expect, it } from 'vitest'
import { readSettings } from '../../src/cli/settings.ts'
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
      backend: { value: 'file', origin: 'default' },
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
  ])('[CL2] %j is refused', (flags) => {
    expect(() => readSettings(flags, world())).toThrow(expect.objectContaining({ code: 'ORCH_USAGE' }))
  })
})
