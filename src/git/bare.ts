/**
 * Our own bare repository of a repository identity, `<dataDir>/repos/<id>.git`: all objects of all runs, no garbage collection, no hooks, no
 * attributes. The person's repository is only read, by path.
 */
import { randomBytes } from 'node:crypto'
import { access, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { devNull } from 'node:os'
import { join } from 'node:path'
import { OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { GIT_IMPORT_MS_MAX, GIT_MS_MAX } from '../core/limit.ts'
import { type GitAnswer, type GitCall, runGit } from './command.ts'
import { isOid, type ObjectFormat } from './object.ts'
import { ObjectStore } from './object-store.ts'
import { baseRef } from './ref.ts'
import { transferObjects } from './transfer.ts'
import type { UserRepository } from './user-repository.ts'

/** Everything is fixed here, whatever a later version of git takes as its default. */
function configText(format: ObjectFormat): string {
  const isNew = format === 'sha256'
  return `[core]
\trepositoryformatversion = ${isNew ? 1 : 0}
\tbare = true
\tfilemode = true
\tsymlinks = true
\tignorecase = false
\tprecomposeunicode = false
\tautocrlf = false
\teol = lf
\tsafecrlf = false
\tprotectHFS = false
\tprotectNTFS = false
\tlogAllRefUpdates = false
\thooksPath = ${devNull}
\tattributesFile = ${devNull}
\texcludesFile = ${devNull}
\tfsmonitor = false
\tfsync = committed,loose-object,reference
\tfsyncMethod = batch
${isNew ? '[extensions]\n\tobjectFormat = sha256\n' : ''}[gc]
\tauto = 0
\tpruneExpire = never
[maintenance]
\tauto = false
[transfer]
\tfsckObjects = true
[receive]
\tfsckObjects = true
[fetch]
\tfsckObjects = true
[protocol]
\tallow = never
[index]
\tversion = 2
\tthreads = true
[checkout]
\tworkers = 0
`
}

/** How long another process may hold a ref before we give up. */
const LOCK_MS = 1_000
/** Older than any call of ours may last. */
const SWEEP_AGE_MS = 2 * GIT_IMPORT_MS_MAX

export class BareRepository {
  readonly id: string
  readonly dir: string
  readonly format: ObjectFormat
  readonly objects: ObjectStore
  /** Commits seen to be here with all that is behind them. Nothing is ever removed, so once seen is for ever. */
  readonly complete = new Set<Oid>()

  private constructor(id: string, dir: string, format: ObjectFormat) {
    this.id = id
    this.dir = dir
    this.format = format
    this.objects = new ObjectStore({ gitDir: dir }, format)
  }

  /** Opens, or makes it when it is not there. Two processes may do so at once: one directory wins by rename. */
  static async create(dataDir: string, id: string, format: ObjectFormat): Promise<BareRepository> {
    const dir = pathOf(dataDir, id)
    if (!(await exists(join(dir, 'config')))) {
      const draft = `${dir}.${randomBytes(6).toString('hex')}.new`
      await mkdir(join(draft, 'objects', 'pack'), { recursive: true })
      await mkdir(join(draft, 'objects', 'info'), { recursive: true })
      await mkdir(join(draft, 'refs', 'heads'), { recursive: true })
      await mkdir(join(draft, 'orch', 'index'), { recursive: true })
      await mkdir(join(draft, 'orch', 'quarantine'), { recursive: true })
      await mkdir(join(draft, 'info'), { recursive: true })
      // An unborn HEAD: nothing takes attributes or anything else from it.
      await writeFile(join(draft, 'HEAD'), 'ref: refs/heads/unborn\n')
      await writeFile(join(draft, 'info', 'attributes'), '')
      await writeFile(join(draft, 'info', 'exclude'), '')
      await writeFile(join(draft, 'config'), configText(format))
      await rename(draft, dir).catch(async (error: NodeJS.ErrnoException) => {
        await rm(draft, { recursive: true, force: true })
        if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(error.code ?? '')) throw error
      })
    }
    return new BareRepository(id, dir, format)
  }

  static has(dataDir: string, id: string): Promise<boolean> {
    return isRepositoryId(id) ? exists(join(pathOf(dataDir, id), 'config')) : Promise.resolve(false)
  }

  /** @throws ORCH_GIT_FAILED when this node has no such repository */
  static async open(dataDir: string, id: string): Promise<BareRepository> {
    const dir = pathOf(dataDir, id)
    if (!(await exists(join(dir, 'config')))) {
      throw new OrchError('ORCH_GIT_FAILED', `no repository ${id} in this data directory`, {
        context: { id },
      })
    }
    const answer = await runGit(['rev-parse', '--show-object-format'], { gitDir: dir })
    return new BareRepository(id, dir, answer.stdout.toString('latin1').trim() as ObjectFormat)
  }

  /** Removes what calls of an earlier life of this process left unfinished. Not what a call of now may be using. */
  async sweep(): Promise<void> {
    for (const part of ['index', 'quarantine']) {
      const dir = join(this.dir, 'orch', part)
      for (const name of await readdir(dir).catch(() => [])) {
        if (part === 'index' && !name.startsWith('scratch-') && !name.endsWith('.lock')) continue
        if (await isOlder(join(dir, name), SWEEP_AGE_MS))
          await rm(join(dir, name), { recursive: true, force: true })
      }
    }
  }

  run(args: readonly string[], extra: GitCall = {}): Promise<GitAnswer> {
    return runGit(args, { gitDir: this.dir, ...extra })
  }

  /** Commit of a ref of ours; `undefined` when there is none. */
  async readRef(ref: string): Promise<Oid | undefined> {
    const found = await this.objects.info(ref)
    return found?.oid
  }

  /**
   * Moves refs in one transaction, all or none. `from`: what the ref must hold now, `''` = it must not exist, absent = whatever.
   *
   * @returns false when one of them held something else
   */
  async moveRefs(moves: readonly { ref: string; to: Oid; from?: Oid }[]): Promise<boolean> {
    await this.objects.sync()
    const zero = '0'.repeat(this.format === 'sha1' ? 40 : 64)
    const lines = moves.map(({ ref, to, from }) => {
      if (!isOid(to)) throw new OrchError('ORCH_BUG', 'a ref must move to an object id')
      return `update ${ref}\0${to}\0${from === undefined ? '' : from || zero}\0`
    })
    const args = ['update-ref', '--no-deref', '--stdin', '-z']
    const call = { input: lines.join(''), exits: [0, 128], config: [`core.filesRefLockTimeout=${LOCK_MS}`] }
    let answer = await this.run(args, call)
    const lock = /Unable to create '(.+\.lock)': File exists/.exec(answer.stderr)?.[1]
    if (lock !== undefined && (await isOlder(lock, GIT_MS_MAX))) {
      // Of a call that a power cut ended: no call of ours lasts that long.
      await rm(lock, { force: true })
      answer = await this.run(args, call)
    }
    if (answer.exit === 0) return true
    const isLocked = answer.stderr.includes('Unable to create')
    if (!isLocked && /cannot lock ref|but expected|already exists/.test(answer.stderr)) return false
    throw new OrchError('ORCH_GIT_FAILED', `update-ref failed: ${answer.stderr.trim()}`, {
      context: { moves },
    })
  }

  /** Refs under a prefix with what they hold, sorted by name. */
  async listRefs(prefix: string): Promise<{ ref: string; oid: Oid }[]> {
    const answer = await this.run(['for-each-ref', '--format=%(objectname) %(refname)', prefix])
    const lines = answer.stdout.toString('utf8').split('\n')
    return lines
      .filter(Boolean)
      .map((line) => ({ oid: line.slice(0, line.indexOf(' ')), ref: line.slice(line.indexOf(' ') + 1) }))
  }

  /** Brings a commit with its history in, and pins it. Does nothing when it is pinned. */
  async importFrom(user: UserRepository, commit: Oid): Promise<void> {
    const ref = baseRef(commit)
    if ((await this.readRef(ref)) === commit) return
    const pins = await this.listRefs('refs/orch/base/')
    const exclude = await user.having(pins.map((pin) => pin.oid))
    await transferObjects({ from: user.call(), into: { gitDir: this.dir }, tips: [commit], exclude })
    await this.pin(commit)
  }

  /** Keeps a commit under a ref of its own. */
  async pin(commit: Oid): Promise<void> {
    await this.moveRefs([{ ref: baseRef(commit), to: commit }])
  }

  /** Gives a commit with its history to the person's repository, as objects only. */
  async exportTo(user: UserRepository, commit: Oid): Promise<void> {
    if (await user.isComplete([commit])) return
    await this.objects.flush()
    const pins = await this.listRefs('refs/orch/base/')
    const known = await user.having(pins.map((pin) => pin.oid))
    const exclude = (await user.isComplete(known)) ? known : []
    await transferObjects({ from: { gitDir: this.dir }, into: user.call(), tips: [commit], exclude })
  }

  close(): Promise<void> {
    return this.objects.close()
  }
}

export function isRepositoryId(id: string): boolean {
  return /^[0-9a-f]{8,64}$/.test(id)
}

function pathOf(dataDir: string, id: string): string {
  if (!isRepositoryId(id)) throw new OrchError('ORCH_BUG', `not a repository id: ${JSON.stringify(id)}`)
  return join(dataDir, 'repos', `${id}.git`)
}

async function isOlder(path: string, ms: number): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found !== undefined && Date.now() - found.mtimeMs > ms
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
