/**
 * The environment of a worker: an allow-list of the node's, what the task sets, and the attempt's own variables. Nothing else: no keys of
 * clouds, no tokens, no variables of an agent that started the node (AGENT-CLIS 0.4).
 */
import { OrchError } from '../core/error.ts'

const KEPT = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'USER', 'LOGNAME', 'SHELL', 'TZ']
const KEPT_ON_WINDOWS = [
  'PATH',
  'PATHEXT',
  'SYSTEMROOT',
  'SYSTEMDRIVE',
  'WINDIR',
  'COMSPEC',
  'TEMP',
  'TMP',
  'USERPROFILE',
  'HOMEDRIVE',
  'HOMEPATH',
  'APPDATA',
  'LOCALAPPDATA',
  'PROGRAMDATA',
  'PROGRAMFILES',
  'USERNAME',
  'NUMBER_OF_PROCESSORS',
  'PROCESSOR_ARCHITECTURE',
]
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const FALLBACK_PATH = '/usr/local/bin:/usr/bin:/bin'

export interface EnvironmentOptions {
  /** Further names to keep from the node's environment, by the operator's configuration: `HTTPS_PROXY`, `SSH_AUTH_SOCK`, an agent's key. */
  readonly keep?: readonly string[]
  readonly platform?: NodeJS.Platform
}

/**
 * @param parent the node's environment
 * @param taskEnv `env` of the task
 * @param orch `ORCH_*`, see CLI.md; wins over everything
 * @throws `ORCH_PLAN_INVALID` for names that are none, begin with `ORCH_`, or values with NUL
 */
export function buildEnvironment(
  parent: Readonly<Record<string, string | undefined>>,
  taskEnv: Readonly<Record<string, string>> | undefined,
  orch: Readonly<Record<string, string>>,
  options: EnvironmentOptions = {},
): Record<string, string> {
  const windows = (options.platform ?? process.platform) === 'win32'
  const kept = new Set([...(windows ? KEPT_ON_WINDOWS : KEPT), ...(options.keep ?? [])])
  const env: Record<string, string> = windows ? {} : { PATH: FALLBACK_PATH }
  for (const [name, value] of Object.entries(parent)) {
    if (value === undefined || isOrch(name)) continue
    if (kept.has(windows ? name.toUpperCase() : name) || name.startsWith('LC_')) env[name] = value
  }
  if (!windows) env.TERM = 'dumb'
  for (const [name, value] of Object.entries(taskEnv ?? {})) {
    const wrong = refuse(name, value)
    if (wrong)
      throw new OrchError('ORCH_PLAN_INVALID', `env ${JSON.stringify(name)}: ${wrong}`, { context: { name } })
    env[name] = value
  }
  return { ...env, ...orch }
}

function isOrch(name: string): boolean {
  return name.toUpperCase().startsWith('ORCH_')
}

function refuse(name: string, value: string): string | undefined {
  if (!NAME.test(name)) return 'a name is letters, digits and _, and does not begin with a digit'
  if (isOrch(name)) return 'names that begin with ORCH_ are set by the node'
  if (value.includes('\0')) return 'the value holds a NUL'
  return undefined
}
