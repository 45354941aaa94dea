/** What can be set, where it comes from, and which source wins: default < profile < environment < flag. */
import { existsSync } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { NODE_ADDRESSES_MAX, SLOTS_DEFAULT, SLOTS_MAX } from '../core/limit.ts'
import { readAddress } from './address.ts'
import { usage } from './failure.ts'
import { readWay, readWayFile } from './join-way.ts'
import type { World } from './world.ts'

export type Origin = 'default' | 'profile' | 'environment' | 'flag'

const BACKENDS = ['file', 'crdt', 'memory'] as const
export type Backend = (typeof BACKENDS)[number]

/** Every address of this machine; the port is the first of those tried. */
const LISTEN_DEFAULT = ['/ip4/0.0.0.0/tcp/7946']

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
  /** Absent = what the data directory says. */
  readonly backend: Setting<Backend | undefined>
  /** What a node that is started can do beyond running commands. */
  readonly capabilities: Setting<readonly string[]>
  /** Multiaddrs where other members reach the node; those of the default may give way to the next free port. */
  readonly listen: Setting<readonly string[]>
  /** Invitations, and multiaddrs of members. */
  readonly join: Setting<readonly string[]>
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
  readonly cap?: readonly string[]
  readonly listen?: readonly string[]
  /** False: `--no-join`. */
  readonly join?: readonly string[] | false
  readonly joinFile?: string
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
    backend: backendOf(flags.backend),
    capabilities: flags.cap
      ? { value: flags.cap, origin: 'flag', source: '--cap' }
      : { value: [], origin: 'default' },
    listen: listOf(flags.listen, '--listen', env.ORCH_LISTEN, 'ORCH_LISTEN', readListen) ?? {
      value: LISTEN_DEFAULT,
      origin: 'default',
    },
    join: joinOf(flags, world) ?? { value: [], origin: 'default' },
  }
}

function backendOf(flag: string | undefined): Setting<Backend | undefined> {
  if (flag === undefined) return { value: undefined, origin: 'default' }
  const backend = BACKENDS.find((each) => each === flag)
  if (!backend) throw usage(`--backend is file, crdt or memory, not ${JSON.stringify(flag)}`)
  return { value: backend, origin: 'flag', source: '--backend' }
}

/** A flag that may be given more than once, or a variable with commas. */
function listOf(
  flags: readonly string[] | undefined,
  flagName: string,
  variable: string | undefined,
  variableName: string,
  read: (text: string, source: string) => string,
): Setting<readonly string[]> | undefined {
  const [texts, origin, source] = flags
    ? ([flags, 'flag', flagName] as const)
    : ([
        variable?.split(',').filter((text) => text.trim() !== '') ?? [],
        'environment',
        variableName,
      ] as const)
  if (texts.length === 0) return undefined
  if (texts.length > NODE_ADDRESSES_MAX)
    throw usage(`${source} is given ${texts.length} times, the most is ${NODE_ADDRESSES_MAX}`)
  return { value: texts.map((text) => read(text, source)), origin, source }
}

/** @throws ORCH_USAGE */
export function readListen(text: string, source: string): string {
  const address = readAddress(text.trim())
  if (address === undefined || address.startsWith('/dns'))
    throw usage(
      `${source} is an address of this machine with a port, not ${JSON.stringify(text)}`,
      'for example 0.0.0.0:7946, 127.0.0.1:0, [::]:7946 or /ip4/10.0.0.3/tcp/7946',
    )
  return address
}

function joinOf({ join: ways, joinFile }: SettingFlags, { cwd, env }: World) {
  if (ways === false) return { value: [], origin: 'flag', source: '--no-join' } as const
  const given = listOf(ways, '--join', joinFile === undefined ? env.ORCH_JOIN : '', 'ORCH_JOIN', readWay)
  if (joinFile === undefined) return given
  const way = readWayFile(resolve(cwd, joinFile), '--join-file')
  return { value: [...(given?.value ?? []), way], origin: 'flag', source: '--join-file' } as const
}

/** A path is taken from here; the name of a profile of the package is looked up by its reader. */
function profileOf(setting: Setting<string> | undefined, cwd: string): Setting<string | undefined> {
  if (!setting) return { value: undefined, origin: 'default' }
  const { value } = setting
  const path = resolve(cwd, value)
  const isPath = /[.\\]/.test(value) || isAbsolute(value) || (value.includes('/') && existsSync(path))
  return isPath ? { ...setting, value: path } : setting
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
