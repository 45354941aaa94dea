/** What `doctor` looks at of a node and what it left: lock, endpoint, journal, attempts. */
import { existsSync, statSync, unlinkSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ENDPOINT_FILE, readEndpoint } from '../api/endpoint.ts'
import { socketPathOf } from '../api/socket-path.ts'
import { EXIT_FILE, readRecord, SHIM_FILE, type ShimRecord } from '../executor/record.ts'
import { processMark } from '../executor/session.ts'
import { openIdentity } from '../net/identity.ts'
import { JOURNAL_FILE } from '../store/file.ts'
import { repairJournal } from '../store/journal-repair.ts'
import { checkJournal } from '../store/journal-scan.ts'
import { acquireLock, readLock } from '../store/lock.ts'
import { VERSION } from '../version.ts'
import { type Examination, type Finding, failed } from './finding.ts'
import { count, showBytes } from './quantity.ts'

export function checkLock(dataDir: string): { readonly finding: Finding; readonly isHeld: boolean } {
  const found = readLock(dataDir)
  if (!found) return { isHeld: false, finding: { check: 'lock', state: 'ok', message: 'free' } }
  const { holder, isAlive } = found
  if (isAlive)
    return {
      isHeld: true,
      finding: { check: 'lock', state: 'ok', message: `held by pid ${holder.pid}: ${holder.command}` },
    }
  return {
    isHeld: false,
    finding: {
      check: 'lock',
      state: 'warn',
      message: `left behind by pid ${holder.pid} on ${holder.hostname}`,
      advice: 'after a crash on this machine the next start takes it over by itself',
    },
  }
}

export async function checkEndpoint({ dataDir, fix, connect }: Examination): Promise<Finding> {
  const reading = readEndpoint(dataDir)
  const socket = socketPathOf(dataDir)
  const isAbandoned = reading.state !== 'listening' && process.platform !== 'win32' && existsSync(socket)
  if (reading.state === 'absent' && !isAbandoned)
    return { check: 'endpoint', state: 'ok', message: 'no node runs' }
  if (reading.state !== 'listening') {
    const what = [
      ...(reading.state === 'stale' ? [`${ENDPOINT_FILE} (${reading.why})`] : []),
      ...(isAbandoned ? [socket] : []),
    ].join(' and ')
    const message = `left behind by a node that is gone: ${what}`
    if (!fix)
      return {
        check: 'endpoint',
        state: 'warn',
        message,
        advice: 'harmless: the next start replaces it; `orch-node doctor --fix` removes it',
      }
    for (const path of [join(dataDir, ENDPOINT_FILE), ...(isAbandoned ? [socket] : [])])
      if (existsSync(path)) unlinkSync(path)
    return { check: 'endpoint', state: 'ok', message, advice: 'mended: removed' }
  }
  try {
    const connection = await connect()
    try {
      const status = await connection.face.status()
      if (status.version !== VERSION) {
        return {
          check: 'endpoint',
          state: 'warn',
          message: `the running node is of version ${status.version}, this program of ${VERSION}`,
          advice: 'stop it with `orch-node stop` and start it again',
        }
      }
      return {
        check: 'endpoint',
        state: 'ok',
        message: `a node answers on ${reading.endpoint.url} (pid ${status.pid})`,
      }
    } finally {
      await connection.close()
    }
  } catch (error) {
    return failed('endpoint', error)
  }
}

export async function checkTheJournal({ dataDir, fix }: Examination): Promise<Finding> {
  const path = join(dataDir, JOURNAL_FILE)
  if (!existsSync(path) || statSync(path).size === 0)
    return { check: 'journal', state: 'ok', message: 'empty' }
  try {
    const check = await checkJournal(path)
    const size = `${count(check.commits, 'commit')}, ${showBytes(check.bytes)}`
    if (check.newer !== undefined)
      return {
        check: 'journal',
        state: 'fail',
        message: `written by a newer version (format ${check.newer})`,
        advice: 'upgrade orch-node',
      }
    if (check.damaged.length > 0) {
      const message = `${count(check.damaged.length, 'damaged line')}, the first at line ${check.damaged[0]!.line} (${check.damaged[0]!.why}); ${size}`
      if (!fix)
        return {
          check: 'journal',
          state: 'fail',
          message,
          advice: '`orch-node doctor --fix` keeps a copy and drops the damaged lines; the rest stays',
        }
      const lock = acquireLock(dataDir)
      try {
        const report = await repairJournal(check, openIdentity(dataDir).node, Date.now())
        return {
          check: 'journal',
          state: 'ok',
          message,
          advice: `mended: the old journal is kept as ${report.kept}`,
        }
      } finally {
        lock.release()
      }
    }
    if (check.torn) {
      return {
        check: 'journal',
        state: 'warn',
        message: `the last write was cut by a crash (${showBytes(check.torn.bytes)}); ${size}`,
        advice: 'nobody was told of it: the next start cuts it off and keeps the bytes',
      }
    }
    const gaps = check.missing.length > 0 ? `, ${count(check.missing.length, 'gap')} of earlier repairs` : ''
    return { check: 'journal', state: 'ok', message: `whole: ${size}${gaps}` }
  } catch (error) {
    return failed('journal', error)
  }
}

export async function checkAttempts(dataDir: string, isNodeRunning: boolean): Promise<Finding> {
  const running: string[] = []
  const root = join(dataDir, 'attempts')
  for (const run of await names(root)) {
    for (const task of await names(join(root, run))) {
      for (const attempt of await names(join(root, run, task))) {
        const dir = join(root, run, task, attempt)
        if (existsSync(join(dir, EXIT_FILE))) continue
        const record = readRecord<ShimRecord>(dir, SHIM_FILE)
        if (typeof record === 'object' && processMark(record.pid) === record.mark)
          running.push(`${run}/${task}`)
      }
    }
  }
  if (running.length === 0) return { check: 'attempts', state: 'ok', message: 'none runs' }
  if (isNodeRunning)
    return { check: 'attempts', state: 'ok', message: `${count(running.length, 'attempt')} under way` }
  return {
    check: 'attempts',
    state: 'warn',
    message: `${count(running.length, 'attempt')} without a node: ${running.slice(0, 5).join(', ')}${running.length > 5 ? ' …' : ''}`,
    advice: 'they go on by themselves; `orch-node start` adopts them',
  }
}

async function names(dir: string): Promise<readonly string[]> {
  try {
    return (await readdir(dir, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
