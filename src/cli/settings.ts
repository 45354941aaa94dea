/** What can be set, where it comes from, and which source wins: default < profile < environment < flag. */
import { isAbsolute, join, resolve } from 'node:path'
import { SLOTS_DEFAULT, SLOTS_MAX } from '../core/limit.ts'
import { usage } from './failure.ts'
import type { World } from './world.ts'

export type Origin = 'default' | 'profile' | 'environment' | 'flag'

export interface Setting<T> {
  readonly value: T
  readonly origin: Origin
  /** Name of the variable or flag. */
  readonly source?: string
}

export interface Settings {
  readonly dataDir: Setting<string>
  /** URL of a node to talk to; absent = the one of the data directory. */
  readonly node: Setting<string | undefined>
  readonly http: Setting<number | undefined>
  readonly slots: Setting<number>
  readonly name: Setting<string | undefined>
  readonly backend: Setting<'file' | 'memory'>
  /** Path of a profile, or the name of one that comes with the package. */
  readonly profile: Setting<string | undefined>
}

export interface SettingFlags {
  readonly dataDir?: string
  readonly node?: string
  readonly http?: string
  readonly slots?: string
  readonly name?: string
  readonly backend?: string
  readonly profile?: string
}

/** @throws ORCH_USAGE naming the flag or variable that is wrong */
export function readSettings(flags: SettingFlags, world: World): Settings {
  const { env, cwd } = world
  const pick = (
    flag: string | undefined,
    flagName: string,
    variable: string,
  ): Setting<string> | undefined => {
    if (flag !== undefined) return { value: flag, origin: 'flag', source: flagName }
    const value = env[variable]
    return value ? { value, origin: 'environment', source: variable } : undefined
  }
  const number = (
    setting: Setting<string> | undefined,
    min: number,
    max: number,
  ): Setting<number> | undefined => {
    if (!setting) return undefined
    const value = /^\d+$/.test(setting.value) ? Number(setting.value) : Number.NaN
    if (!(value >= min && value <= max))
      throw usage(
        `${setting.source} is a whole number of ${min} to ${max}, not ${JSON.stringify(setting.value)}`,
      )
    return { ...setting, value }
  }
  const dataDir = pick(flags.dataDir, '--data-dir', 'ORCH_DATA_DIR')
  const backend = flags.backend ?? 'file'
  if (backend !== 'file' && backend !== 'memory')
    throw usage(`--backend is file or memory, not ${JSON.stringify(backend)}`)
  return {
    dataDir: dataDir ? { ...dataDir, value: resolve(cwd, dataDir.value) } : defaultDataDir(world),
    node: pick(flags.node, '--node', 'ORCH_URL') ?? { value: undefined, origin: 'default' },
    http: number(pick(flags.http, '--http', 'ORCH_HTTP_PORT'), 0, 65_535) ?? {
      value: undefined,
      origin: 'default',
    },
    slots: number(pick(flags.slots, '--slots', 'ORCH_SLOTS'), 1, SLOTS_MAX) ?? {
      value: SLOTS_DEFAULT,
      origin: 'default',
    },
    name: pick(flags.name, '--name', 'ORCH_NAME') ?? { value: undefined, origin: 'default' },
    profile: profileOf(pick(flags.profile, '--profile', 'ORCH_PROFILE'), cwd),
    backend: {
      value: backend,
      origin: flags.backend === undefined ? 'default' : 'flag',
      ...(flags.backend !== undefined && { source: '--backend' }),
    },
  }
}

/** A path is taken from here; a bare name is looked up by its reader. */
function profileOf(setting: Setting<string> | undefined, cwd: string): Setting<string | undefined> {
  if (!setting) return { value: undefined, origin: 'default' }
  return /[./\\]/.test(setting.value) ? { ...setting, value: resolve(cwd, setting.value) } : setting
}

/** Where each system keeps the data of programs; never inside a work tree. */
function defaultDataDir({ env, home, platform }: World): Setting<string> {
  const xdg = env.XDG_DATA_HOME
  // The specification: a relative path is to be ignored.
  if (xdg && isAbsolute(xdg))
    return { value: join(xdg, 'orch-node'), origin: 'environment', source: 'XDG_DATA_HOME' }
  if (platform === 'darwin')
    return { value: join(home, 'Library', 'Application Support', 'orch-node'), origin: 'default' }
  if (platform === 'win32')
    return { value: join(env.LOCALAPPDATA ?? join(home, 'AppData', 'Local'), 'orch-node'), origin: 'default' }
  return { value: join(home, '.local', 'share', 'orch-node'), origin: 'default' }
}
