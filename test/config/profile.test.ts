// Profiles of nodes: the one that is shipped is whole and true, and every mistake in one's own is named.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withProfile } from '../../src/cli/profile.ts'
import { readSettings } from '../../src/cli/settings.ts'
import type { World } from '../../src/cli/world.ts'
import { readProfile } from '../../src/config/profile.ts'
import { PENDING_TASKS_MAX, SLOTS_DEFAULT } from '../../src/core/limit.ts'

function profile(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'orch-profile-')), 'node.yaml')
  writeFileSync(path, text)
  return path
}

describe('profile', () => {
  it('[PF1] solo comes with the package and says the defaults', () => {
    expect(readProfile('solo', '/')).toEqual({
      name: 'solo',
      slots: SLOTS_DEFAULT,
      capabilities: [],
      capacity: { gpu: 0, quota: {} },
      stallMs: 60_000,
      pendingTasksMax: PENDING_TASKS_MAX,
      keepEnv: [],
    })
    expect(readFileSync(new URL('../../nodes/solo.yaml', import.meta.url), 'utf8')).toContain(
      '--profile solo',
    )
  })

  it('[PF2] durations and sizes are read, absent keys stay absent', () => {
    expect(
      readProfile(profile('stall: 5m\ncapacity: { memory: 2GiB, quota: { anthropic: 2 } }\n'), '/'),
    ).toEqual({
      stallMs: 300_000,
      capacity: { memoryBytes: 2 ** 31, quota: { anthropic: 2 } },
    })
    expect(readProfile(profile(''), '/')).toEqual({})
  })

  it.each([
    ['slot: 5', 'slot'],
    ['slots: 0', 'slots'],
    ['http: 70000', 'http'],
    ['backend: redis', 'backend'],
    ['listen: []', 'listen'],
    ['join: box', 'join'],
    ['stall: soon', 'stall'],
    ['capacity: { memory: lots }', 'capacity.memory'],
    ['environment: ["A B"]', 'environment'],
    ['a: [', 'profile'],
    ['slots: [1', 'profile'],
  ])('[PF3] %s is refused and named', (text, named) => {
    expect(() => readProfile(profile(text), '/')).toThrowError(
      expect.objectContaining({ code: 'ORCH_USAGE', message: expect.stringContaining(named) }),
    )
  })

  it('[PF4] a name that is neither a file nor shipped is refused', () => {
    expect(() => readProfile('sollo', '/')).toThrowError(expect.objectContaining({ code: 'ORCH_USAGE' }))
    expect(() => readProfile('../../etc/passwd', '/nowhere')).toThrowError(
      expect.objectContaining({ code: 'ORCH_USAGE' }),
    )
  })
})

describe('profiles of the package', () => {
  const nodes = new URL('../../nodes/', import.meta.url)
  const names = readdirSync(nodes, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.replaceAll('\\', '/').replace(/\.yaml$/, ''))

  it.each(names)('[CL30] %s can be read, and says how it is used', async (name) => {
    const { settings } = await withProfile(
      readSettings({ profile: name }, { env: {}, cwd: '/', home: '/home/x', platform: 'linux' } as World),
      '/',
    )
    expect(settings.listen.value.length).toBeGreaterThan(0)
    expect(readFileSync(new URL(`${name}.yaml`, nodes), 'utf8')).toContain(`--profile ${name}`)
  })

  it('[CL30] those that were promised are there', () => {
    expect(names.toSorted()).toEqual(
      ['solo', 'peer', 'worker', 'observer', 'trio/a', 'trio/b', 'trio/c'].toSorted(),
    )
  })

  it('[CL30] the trio shares one machine: no port twice, b and c join a', () => {
    const trio = ['trio/a', 'trio/b', 'trio/c'].map((name) => readProfile(name, '/'))
    const ports = trio.flatMap(({ http, listen }) => [
      String(http),
      ...listen!.map((at) => at.split(':')[1]!),
    ])
    expect(new Set(ports).size).toBe(6)
    expect(trio.map(({ slots }) => slots)).toEqual([2, 2, 2])
    expect(trio[0]).toMatchObject({ backend: 'crdt', listen: ['127.0.0.1:7946'] })
    for (const { join } of trio.slice(1)) expect(join).toEqual(trio[0]!.listen)
  })
})

describe('profile under other settings', () => {
  const world = (env: Record<string, string>): World =>
    ({ env, cwd: '/', home: '/home/x', platform: 'linux' }) as unknown as World

  it('[PF5] a profile wins over the default only, and says where a setting came from', async () => {
    const fast = profile('slots: 7\nname: fast\n')
    const named = await withProfile(readSettings({ profile: fast }, world({})), '/')
    expect(named.settings.slots).toEqual({ value: 7, origin: 'profile', source: fast })
    expect(named.settings.name.value).toBe('fast')
    const both = await withProfile(readSettings({}, world({ ORCH_PROFILE: fast, ORCH_SLOTS: '3' })), '/')
    expect(both.settings.slots).toMatchObject({ value: 3, origin: 'environment' })
    expect(both.settings.name.value).toBe('fast')
    expect((await withProfile(readSettings({}, world({})), '/')).profile).toEqual({})
  })
})
