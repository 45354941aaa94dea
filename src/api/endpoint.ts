/**
 * `endpoint.json` in the data directory: how other processes of this user reach the node. It is there exactly while the node listens, unless the
 * node was killed: then its process is gone, and readers take it for absent.
 */
import { readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'

export const ENDPOINT_FILE = 'endpoint.json'

export interface Endpoint {
  readonly v: 1
  readonly pid: number
  /** When the process started, in clock ticks since boot; where the system tells. A later process with its number has another. */
  readonly startTicks?: string
  /** `http://127.0.0.1:7947` */
  readonly url: string
  /** Path of the unix socket, or name of the pipe. */
  readonly socket: string
  /** Opens everything; readable by the user alone. */
  readonly token: string
}

export type EndpointReading =
  | { readonly state: 'listening'; readonly endpoint: Endpoint }
  /** The file is of a process that is gone, or says nothing. */
  | { readonly state: 'stale'; readonly why: string; readonly endpoint?: Endpoint }
  | { readonly state: 'absent' }

export function readEndpoint(dataDir: string): EndpointReading {
  let text: string
  try {
    text = readFileSync(join(dataDir, ENDPOINT_FILE), 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return { state: 'absent' }
    throw new OrchError('ORCH_DATA_DIR', `cannot read ${join(dataDir, ENDPOINT_FILE)}: ${code}`, { cause })
  }
  const endpoint = parseEndpoint(text)
  if (!endpoint) return { state: 'stale', why: 'it cannot be read' }
  const ticks = startTicksOf(endpoint.pid)
  if (ticks === undefined) return { state: 'stale', why: `its process ${endpoint.pid} is gone`, endpoint }
  const other = endpoint.startTicks !== undefined && ticks !== '' && ticks !== endpoint.startTicks
  return other
    ? { state: 'stale', why: `its number ${endpoint.pid} is of another process now`, endpoint }
    : { state: 'listening', endpoint }
}

function parseEndpoint(text: string): Endpoint | undefined {
  try {
    const { v, pid, startTicks, url, socket, token } = JSON.parse(text) as Record<string, unknown>
    const strings =
      typeof url === 'string' && typeof socket === 'string' && typeof token === 'string' && token !== ''
    if (v !== 1 || !Number.isSafeInteger(pid) || (pid as number) <= 0 || !strings) return undefined
    return {
      v,
      pid: pid as number,
      url,
      socket,
      token,
      ...(typeof startTicks === 'string' && { startTicks }),
    }
  } catch {
    return undefined
  }
}

/** Written beside and renamed: a reader sees the whole of it or nothing. */
export function writeEndpoint(dataDir: string, given: Pick<Endpoint, 'url' | 'socket' | 'token'>): Endpoint {
  const startTicks = startTicksOf(process.pid)
  const endpoint: Endpoint = { v: 1, pid: process.pid, ...(startTicks && { startTicks }), ...given }
  const path = join(dataDir, ENDPOINT_FILE)
  const fresh = `${path}.${process.pid}.new`
  try {
    writeFileSync(fresh, `${JSON.stringify(endpoint)}\n`, { mode: 0o600 })
    renameSync(fresh, path)
  } catch (cause) {
    throw new OrchError('ORCH_DATA_DIR', `cannot write ${path}: ${(cause as NodeJS.ErrnoException).code}`, {
      cause,
    })
  }
  return endpoint
}

/** Removes the file if it is still the one that was written. Never throws. */
export function removeEndpoint(dataDir: string, own: Endpoint): void {
  const path = join(dataDir, ENDPOINT_FILE)
  try {
    if (parseEndpoint(readFileSync(path, 'utf8'))?.token === own.token) unlinkSync(path)
  } catch {
    // Gone already; or it stays, and is stale as soon as this process ends.
  }
}

/**
 * The token lies in this directory, so nobody else may look into it (X17).
 *
 * @throws ORCH_DATA_DIR when group or others may
 */
export function refuseOpenDataDir(dataDir: string): void {
  if (process.platform === 'win32') return
  const { mode } = statSync(dataDir)
  if ((mode & 0o077) === 0) return
  throw new OrchError(
    'ORCH_DATA_DIR',
    `others may look into ${dataDir} (mode ${(mode & 0o777).toString(8)}): it holds the keys of the node`,
    {
      context: { dataDir, mode: mode & 0o777 },
      hint: `run \`chmod 700 ${dataDir}\`, or \`orch-node doctor --fix\``,
    },
  )
}

/** `undefined` when no such process lives, empty where the system does not tell when it started. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command, in parentheses, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : (fields[19] ?? '')
  } catch {
    try {
      process.kill(pid, 0)
      return ''
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM' ? '' : undefined
    }
  }
}
