/** What `doctor` looks at of a member of a cluster: its board on this disk. */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { isOrchError } from '../core/error.ts'
import { openIdentity } from '../net/identity.ts'
import { readClusterFile } from '../node/cluster-file.ts'
import { loadChains, type ReplicaReport } from '../store/chain.ts'
import type { FrameDisk } from '../store/frame-disk.ts'
import { BOARD_DIRECTORY, openLevelDisk } from '../store/level-disk.ts'
import { type Examination, type Finding, failed } from './finding.ts'
import { count } from './quantity.ts'

/** `undefined` when the directory belongs to no cluster. */
export async function checkBoard(
  { dataDir, fix }: Examination,
  isHeld: boolean,
): Promise<Finding | undefined> {
  try {
    const file = readClusterFile(dataDir)
    if (!file) return undefined
    const name = `member of the cluster "${file.name}"`
    if (isHeld) return { check: 'board', state: 'ok', message: `${name}, in use by the running node` }
    const reports: ReplicaReport[] = []
    const disk = await openLevelDisk({ dataDir, cluster: file.cluster })
    try {
      const { chains } = await loadChains(
        readOnly(disk),
        file.cluster,
        openIdentity(dataDir).node,
        (report) => reports.push(report),
      )
      const frames = [...chains.all()].reduce((sum, chain) => sum + chain.n, 0)
      const damaged = reports.filter((report) => report.kind === 'damaged')
      const whole = `${name}, ${count(frames, 'frame')} whole`
      if (damaged.length === 0) return { check: 'board', state: 'ok', message: whole }
      return {
        check: 'board',
        state: 'warn',
        message: `${whole}, ${count(damaged.length, 'chain')} damaged: ${damaged.map(({ chain, from }) => `${chain.doc} from ${from}`).join(', ')}`,
        advice: 'start the node: it leaves them out and fetches them from the other members',
      }
    } finally {
      await disk.close()
    }
  } catch (error) {
    if (!fix || !isOrchError(error) || error.code !== 'ORCH_STORE_CORRUPT') return failed('board', error)
    const aside = `${BOARD_DIRECTORY}.damaged-${Date.now()}`
    renameSync(join(dataDir, BOARD_DIRECTORY), join(dataDir, aside))
    return {
      check: 'board',
      state: 'ok',
      message: error.message,
      advice: `mended: it was set aside as ${aside}; the next start fetches everything from the other members`,
    }
  }
}

/** Looking mends nothing: the cut is left to the next start, which says what it did. */
function readOnly(disk: FrameDisk): FrameDisk {
  return {
    scan: () => disk.scan(),
    proofs: () => disk.proofs(),
    read: (chain, from, to) => disk.read(chain, from, to),
    write: () => Promise.resolve(),
    drop: () => Promise.resolve(),
    close: () => disk.close(),
  }
}
