/** Names processes and hosts so that a dead one is never taken for a living one, nor the other way round. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

const COMMAND_MS_MAX = 5_000

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

function output(command: string, args: readonly string[]): string {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      timeout: COMMAND_MS_MAX,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, LC_ALL: 'C' },
    }).trim()
  } catch {
    return ''
  }
}

/** A living process whose start cannot be told: the system has neither `/proc` nor a `ps` that prints it. */
const START_UNKNOWN = 'unknown'

/**
 * When a living process started, as text that no later process with its number has in this boot: clock ticks since boot on Linux, the date that
 * `ps` prints elsewhere. `undefined` when no such process lives; one that ended and was not waited for yet (a zombie) is not alive.
 */
export function readStartTicks(pid: number): string | undefined {
  if (readText('/proc/self/stat') !== '') {
    const stat = readText(`/proc/${pid}/stat`)
    // The command, in parentheses, may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    const startTicks = fields[19]
    return startTicks === undefined || state === 'Z' || state === 'X' ? undefined : startTicks
  }
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return undefined
  }
  return output('ps', ['-o', 'lstart=', '-p', String(pid)]) || START_UNKNOWN
}

/** True when the process that had this number and start is still alive. In doubt it is. */
export function isSameProcess(pid: number, startTicks: string): boolean {
  if (pid <= 0) return false
  const found = readStartTicks(pid)
  return (
    found !== undefined && (found === startTicks || found === START_UNKNOWN || startTicks === START_UNKNOWN)
  )
}

let host: string | undefined

/** Digest of what tells this machine (or container) from others: 16 hex digits. */
export function hostId(): string {
  if (host === undefined) {
    const machine =
      process.platform === 'darwin'
        ? (/"IOPlatformUUID" = "([^"]+)"/.exec(
            output('ioreg', ['-rd1', '-c', 'IOPlatformExpertDevice']),
          )?.[1] ?? hostname())
        : `${readText('/etc/machine-id')}\n${hostname()}`
    host = createHash('sha256').update(machine).digest('hex').slice(0, 16)
  }
  return host
}

/** Changes with each boot; empty where the system does not tell. */
export function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id')
}
