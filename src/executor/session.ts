/**
 * The processes of an attempt: found by what cannot be shed by accident, the session of its command and the variable ORCH_ATTEMPT in the
 * environment, so that daemons (setsid, double fork) are found too. Exact match only: a process that merely looks alike is never touched.
 *
 * Elsewhere than on Linux there is no /proc: session and process group by `ps`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

const LINUX = existsSync('/proc/self/stat')
const BOOT = LINUX ? bootName() : ''

function bootName(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)
  } catch {
    return ''
  }
}

interface Stat {
  readonly state: string
  readonly group: number
  readonly session: number
  readonly startTicks: number
}

function readStat(pid: number | string): Stat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    state: fields[0]!,
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTicks: Number(fields[19]),
  }
}

/**
 * Names one life of a process id: `<boot>:<start in clock ticks since boot>` on Linux, else the start time of `ps`. `undefined` when no such
 * process lives; a zombie does not live.
 */
export function processMark(pid: number): string | undefined {
  if (LINUX) {
    const stat = readStat(pid)
    return stat === undefined || isGone(stat.state) ? undefined : `${BOOT}:${stat.startTicks}`
  }
  const ps = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' })
  const text = ps.stdout?.trim() ?? ''
  return text === '' || isGone(text) ? undefined : text.slice(text.indexOf(' ') + 1).trim()
}

function isGone(state: string): boolean {
  return state.startsWith('Z') || state.startsWith('X')
}

export interface Quarry {
  readonly id: string
  /** Variable that holds the id; default ORCH_ATTEMPT. */
  readonly variable?: 'ORCH_ATTEMPT' | 'ORCH_GATE'
  /** The command of the attempt, leader of its session. Ignored once its id names another process. */
  readonly leader?: { readonly pid: number; readonly mark: string }
  /** Never reported: the shim. */
  readonly except?: number
}

/** Living processes of the attempt. About 10 us for each process of the machine, 30 us for each one of this user that started later. */
export function findProcesses(quarry: Quarry): number[] {
  const leader = quarry.leader
  const leaderMark = leader && processMark(leader.pid)
  const session = leader && (leaderMark === undefined || leaderMark === leader.mark) ? leader.pid : -1
  const found = LINUX ? findByProc(quarry, session) : findByPs(session)
  return found.filter((pid) => pid > 1 && pid !== process.pid && pid !== quarry.except)
}

function findByProc(quarry: Quarry, session: number): number[] {
  const marker = Buffer.from(`\0${quarry.variable ?? 'ORCH_ATTEMPT'}=${quarry.id}\0`)
  const [boot, ticks] = quarry.leader?.mark.split(':') ?? []
  const since = boot === BOOT ? Number(ticks) : 0
  const found: number[] = []
  for (const name of readdirSync('/proc')) {
    if (name.charCodeAt(0) < 48 || name.charCodeAt(0) > 57) continue
    const stat = readStat(name)
    if (stat === undefined || stat.group === 0 || isGone(stat.state)) continue
    if (stat.session === session || (stat.startTicks >= since && hasMarker(name, marker)))
      found.push(Number(name))
  }
  return found
}

function hasMarker(pid: string, marker: Buffer): boolean {
  try {
    const environ = readFileSync(`/proc/${pid}/environ`)
    return (
      environ.includes(marker) ||
      (environ.length >= marker.length - 1 &&
        environ.subarray(0, marker.length - 1).equals(marker.subarray(1)))
    )
  } catch {
    return false // of another user, or gone
  }
}

function findByPs(session: number): number[] {
  if (session < 0) return []
  const ps = spawnSync('ps', ['-axo', 'pid=,sess=,pgid=,stat='], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const found: number[] = []
  for (const line of ps.stdout?.split('\n') ?? []) {
    const [pid, sess, group, state] = line.trim().split(/\s+/)
    if (state === undefined || isGone(state)) continue
    if (Number(sess) === session || Number(group) === session) found.push(Number(pid))
  }
  return found
}

/** Sends a signal to each; the ones that are gone meanwhile do not matter. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // gone
    }
  }
}

/** Resident memory of the processes, bytes. Pages they share are counted for each. */
export function memoryBytes(pids: readonly number[]): number {
  let sum = 0
  for (const pid of pids) {
    try {
      const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
      sum += kib === undefined ? 0 : Number(kib) * 1024
    } catch {
      // gone
    }
  }
  return sum
}

/** The process and its descendants, by parent links: cheap, own processes only, misses daemons. Empty where the kernel does not list children. */
export function descendants(root: number): number[] {
  const found = [root]
  for (let i = 0; i < found.length; i++) {
    try {
      for (const child of readFileSync(`/proc/${found[i]}/task/${found[i]}/children`, 'latin1').split(' ')) {
        if (child !== '') found.push(Number(child))
      }
    } catch {
      if (i === 0) return []
    }
  }
  return found
}

/**
 * Ends everything of an attempt whose shim is gone: TERM, after `graceMs` KILL, until nothing is found any more.
 *
 * @returns how many were found, and how many are still there `killMs` after KILL
 */
export async function sweep(
  quarry: Quarry,
  graceMs: number,
  killMs: number,
): Promise<{ found: number; stuck: number }> {
  const seen = new Set<number>()
  const startedAt = performance.now()
  for (let round = 0; ; round++) {
    const alive = findProcesses(quarry)
    const fresh = alive.filter((pid) => !seen.has(pid))
    for (const pid of fresh) seen.add(pid)
    const elapsed = performance.now() - startedAt
    if (alive.length === 0) return { found: seen.size, stuck: 0 }
    if (elapsed >= graceMs + killMs) return { found: seen.size, stuck: alive.length }
    if (elapsed >= graceMs) signalAll(alive, 'SIGKILL')
    else signalAll(fresh, 'SIGTERM')
    await new Promise((resolve) => setTimeout(resolve, Math.min(20 + round * 10, 200)))
  }
}
