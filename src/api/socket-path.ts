/** Where the socket of a data directory lies. */
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { OrchError } from '../core/error.ts'

const SOCKET_FILE = 'node.sock'
/** The kernel's field holds 108 bytes on Linux, 104 on macOS, and ends with a zero. */
const PATH_BYTES_MAX = 103

/** In the data directory when it fits; else under a private directory of this user; a named pipe on Windows. */
export function socketPathOf(dataDir: string): string {
  const dir = resolve(dataDir)
  const hash = createHash('sha256').update(dir).digest('hex').slice(0, 24)
  if (process.platform === 'win32') return `\\\\.\\pipe\\orch-node-${hash}`
  const near = join(dir, SOCKET_FILE)
  if (Buffer.byteLength(near) <= PATH_BYTES_MAX) return near
  const uid = process.getuid?.() ?? 0
  const shared = join(tmpdir(), `orch-node-${uid}`)
  mkdirSync(shared, { recursive: true, mode: 0o700 })
  const stat = lstatSync(shared)
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
    throw new OrchError('ORCH_DATA_DIR', `${shared} is not a private directory of this user`, {
      context: { dir: shared },
      hint: 'remove it, set TMPDIR, or choose a data directory with a shorter path',
    })
  }
  return join(shared, `${hash}.sock`)
}
