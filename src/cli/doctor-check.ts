/** What `doctor` looks at, each with what it means and what to do. Reads only, unless it is asked to mend. */
import { accessSync, chmodSync, constants, existsSync, lstatSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DISK_FREE_BYTES_MIN } from '../core/limit.ts'
import { gitVersion } from '../git/version.ts'
import { IDENTITY_FILE, openIdentity } from '../net/identity.ts'
import { VERSION } from '../version.ts'
import { checkBoard } from './doctor-board.ts'
import { checkAttempts, checkEndpoint, checkLock, checkTheJournal } from './doctor-node.ts'
import { type Examination, type Finding, failed } from './finding.ts'
import { showBytes } from './quantity.ts'

const NODE_OLDEST = [20, 19] as const

export async function examine(request: Examination): Promise<readonly Finding[]> {
  const findings = [checkNode(), await checkGit(), checkDataDir(request)]
  if (!existsSync(request.dataDir)) return findings
  findings.push(checkDisk(request.dataDir), checkIdentity(request))
  const lock = checkLock(request.dataDir)
  findings.push(lock.finding, await checkEndpoint(request))
  findings.push(
    lock.isHeld
      ? {
          check: 'journal',
          state: 'ok',
          message: 'in use by the running node, which checked it when it opened it',
        }
      : await checkTheJournal(request),
  )
  const board = await checkBoard(request, lock.isHeld)
  if (board) findings.push(board)
  findings.push(await checkAttempts(request.dataDir, lock.isHeld))
  return findings
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const isOld = major < NODE_OLDEST[0] || (major === NODE_OLDEST[0] && minor < NODE_OLDEST[1])
  return {
    check: 'node',
    state: isOld ? 'fail' : 'ok',
    message: `Node.js ${process.versions.node}, orch-node ${VERSION}`,
    ...(isOld && { advice: `install Node.js ${NODE_OLDEST.join('.')} or newer` }),
  }
}

async function checkGit(): Promise<Finding> {
  try {
    return { check: 'git', state: 'ok', message: `git ${(await gitVersion()).text}` }
  } catch (error) {
    return failed('git', error)
  }
}

function checkDataDir({ dataDir, fix }: Examination): Finding {
  try {
    const { mode } = statSync(dataDir)
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    if (process.platform === 'win32' || (mode & 0o077) === 0)
      return { check: 'data', state: 'ok', message: `${dataDir} is yours alone` }
    const message = `others may look into ${dataDir} (mode ${(mode & 0o777).toString(8)})`
    if (!fix)
      return {
        check: 'data',
        state: 'fail',
        message,
        advice: 'no node starts on it: `orch-node doctor --fix` sets mode 700',
      }
    chmodSync(dataDir, 0o700)
    return { check: 'data', state: 'ok', message, advice: 'mended: mode 700' }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT')
      return {
        check: 'data',
        state: 'ok',
        message: `${dataDir} is not there yet`,
        advice: 'it is made by the first start',
      }
    return {
      check: 'data',
      state: 'fail',
      message: `${dataDir}: ${code}`,
      advice: 'make it readable and writable by you, or choose another with --data-dir',
    }
  }
}

function checkDisk(dataDir: string): Finding {
  const { bavail, bsize } = statfsSync(dataDir)
  const free = bavail * bsize
  const isLow = free < DISK_FREE_BYTES_MIN
  return {
    check: 'disk',
    state: isLow ? 'warn' : 'ok',
    message: `${showBytes(free)} free`,
    ...(isLow && {
      advice: `below ${showBytes(DISK_FREE_BYTES_MIN)} nothing new is started: free some space, see \`orch-node workspace clean --dry-run\``,
    }),
  }
}

function checkIdentity({ dataDir, fix }: Examination): Finding {
  const path = join(dataDir, IDENTITY_FILE)
  if (!existsSync(path))
    return { check: 'identity', state: 'ok', message: 'no key yet', advice: 'it is made by the first start' }
  let mended: string | undefined
  if (fix && process.platform !== 'win32' && (lstatSync(path).mode & 0o077) !== 0) {
    chmodSync(path, 0o600)
    mended = 'mended: mode 600'
  }
  try {
    return {
      check: 'identity',
      state: 'ok',
      message: openIdentity(dataDir).node,
      ...(mended && { advice: mended }),
    }
  } catch (error) {
    return failed('identity', error)
  }
}
