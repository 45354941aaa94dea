/**
 * Objects that somebody else made (a worker's own commits, a peer's) wait here: an object directory of their own that borrows from ours.
 * They enter when git's fsck and our lint let every new tree pass, and leave no trace otherwise.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isOrchError, OrchError } from '../core/error.ts'
import type { Oid } from '../core/id.ts'
import { GIT_IMPORT_MS_MAX, PATHS_SHOWN_MAX, UNPACKED_BYTES_MAX } from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { type GitCall, runGit } from './command.ts'
import { ObjectStore } from './object-store.ts'
import { identityOf, refuseTree } from './repository.ts'
import { transferObjects } from './transfer.ts'
import { type LintProblem, lintTree } from './tree-lint.ts'

/** Foreign commits between the base and the tip: each tree is linted. */
const COMMITS_MAX = 10_000

export interface Admission {
  readonly ok: boolean
  /** Why not, when it is not. */
  readonly problems: readonly LintProblem[]
}

export class Quarantine {
  readonly #bare: BareRepository
  readonly #dir: string
  readonly #objects: ObjectStore
  /** For commands that write objects into the quarantine. */
  readonly call: GitCall & { readonly gitDir: string }

  private constructor(bare: BareRepository, dir: string) {
    this.#bare = bare
    this.#dir = dir
    this.call = { gitDir: bare.dir, objectDir: join(dir, 'objects'), alternates: [join(bare.dir, 'objects')] }
    this.#objects = new ObjectStore(this.call, bare.format)
  }

  static async open(bare: BareRepository): Promise<Quarantine> {
    const dir = join(bare.dir, 'orch', 'quarantine', randomBytes(8).toString('hex'))
    await mkdir(join(dir, 'objects', 'pack'), { recursive: true })
    await bare.objects.flush()
    return new Quarantine(bare, dir)
  }

  /** Reads `tip` out of an object directory. The repository around it takes no part. */
  async receive(objectDir: string, tip: Oid, base: Oid, timeoutMs: number): Promise<void> {
    const from: GitCall = { gitDir: this.#bare.dir, alternates: [objectDir] }
    await transferObjects({ from, into: this.call, tips: [tip], exclude: [base], isForeign: true, timeoutMs })
  }

  /** Lints every tree that the commits between `base` and `tip` add, each against its parent; checks that nothing is missing. */
  async check(tip: Oid, base: Oid): Promise<LintProblem[]> {
    const listed = await runGit(['rev-list', '--topo-order', '--stdin'], {
      ...this.call,
      input: `${tip}\n^${base}\n`,
    })
    const commits = listed.stdout.toString('latin1').split('\n').filter(Boolean)
    if (commits.length > COMMITS_MAX)
      return [{ path: '', why: `${commits.length} commits, at most ${COMMITS_MAX}` }]
    await runGit(['rev-list', '--objects', '--quiet', '--stdin'], {
      ...this.call,
      input: `${tip}\n^${base}\n`,
    })
    return this.#lint([tip, ...commits.filter((commit) => commit !== tip)], base)
  }

  async #lint(commits: readonly Oid[], base: Oid): Promise<LintProblem[]> {
    const baseTree = (await this.#objects.commit(base)).tree
    const problems: LintProblem[] = []
    for (const oid of commits) {
      const commit = await this.#objects.commit(oid)
      // Against the base, not the parent: what one commit brings in and the next one takes over is new all the same.
      problems.push(...(await lintTree(this.#objects, baseTree, commit.tree)))
      if (problems.length >= PATHS_SHOWN_MAX) break
    }
    const seen = new Set<string>()
    return problems
      .filter(({ path, why }) => !seen.has(`${path}\0${why}`) && seen.add(`${path}\0${why}`))
      .slice(0, PATHS_SHOWN_MAX)
  }

  /**
   * For the work of a peer: it must build on a commit under a ref of ours. Every tree of every commit that is new is linted against that one, which was judged
   * when it came.
   */
  async checkWork(tip: Oid): Promise<LintProblem[]> {
    const args = ['rev-list', '--objects', '--no-object-names', '--boundary', '--stdin', '--not', '--all']
    const listed = await runGit(args, { ...this.call, input: `${tip}\n` })
    const lines = listed.stdout.toString('latin1').split('\n').filter(Boolean)
    const fresh = lines.filter((line) => !line.startsWith('-'))
    if (fresh.length === 0) return []
    const known = lines.find((line) => line.startsWith('-'))?.slice(1)
    if (known === undefined) return [{ path: '', why: 'builds on nothing that this node has' }]
    const found = await Promise.all(fresh.map((oid) => this.#objects.info(oid)))
    const bytes = found.reduce((sum, object) => sum + (object?.size ?? 0), 0)
    if (bytes > UNPACKED_BYTES_MAX)
      return [{ path: '', why: `${bytes} bytes when unpacked, at most ${UNPACKED_BYTES_MAX}` }]
    const commits = fresh.filter((_, i) => found[i]?.type === 'commit')
    if (commits.length > COMMITS_MAX)
      return [{ path: '', why: `${commits.length} commits, at most ${COMMITS_MAX}` }]
    return this.#lint([tip, ...commits.filter((commit) => commit !== tip)], known)
  }

  /**
   * For a base with its history: nothing may be missing, its root commits must be those of the repository, and it must be one that this node would start from
   * itself.
   *
   * @throws ORCH_GIT_SUBMODULES, ORCH_GIT_LFS
   */
  async checkHistory(base: Oid, id: string): Promise<LintProblem[]> {
    const call = { ...this.call, timeoutMs: GIT_IMPORT_MS_MAX }
    const input = `${base}\n`
    await runGit(['rev-list', '--objects', '--quiet', '--stdin', '--not', '--all'], { ...call, input })
    const roots = await runGit(['rev-list', '--max-parents=0', '--stdin'], { ...call, input })
    const found = identityOf(roots.stdout.toString('latin1').trim().split('\n'))
    if (found !== id) return [{ path: '', why: `belongs to repository ${found}, not to ${id}` }]
    await refuseTree({ path: id, run: (args, extra) => runGit(args, { ...this.call, ...extra }) }, base)
    return []
  }

  /** Moves the objects into our repository. Packs before their indexes, so that no reader sees half of one. */
  async release(): Promise<void> {
    const from = join(this.#dir, 'objects')
    const into = join(this.#bare.dir, 'objects')
    for (const name of await readdir(from)) {
      if (!/^[0-9a-f]{2}$/.test(name)) continue
      await mkdir(join(into, name), { recursive: true })
      for (const file of await readdir(join(from, name)))
        await rename(join(from, name, file), join(into, name, file))
    }
    const packs = await readdir(join(from, 'pack'))
    packs.sort((a, b) => Number(a.endsWith('.idx')) - Number(b.endsWith('.idx')))
    for (const file of packs) await rename(join(from, 'pack', file), join(into, 'pack', file))
  }

  async close(): Promise<void> {
    await this.#objects.close()
    await rm(this.#dir, { recursive: true, force: true })
  }
}

/** Takes `tip` in from a foreign object directory, or says why not. Faults of this machine are thrown. */
export async function admit(
  bare: BareRepository,
  objectDir: string,
  tip: Oid,
  base: Oid,
  timeoutMs: number,
): Promise<Admission> {
  const quarantine = await Quarantine.open(bare)
  try {
    await quarantine.receive(objectDir, tip, base, timeoutMs)
    const problems = await quarantine.check(tip, base)
    if (problems.length === 0) await quarantine.release()
    return { ok: problems.length === 0, problems }
  } catch (error) {
    if (isOrchError(error) && ['ORCH_GIT_FAILED', 'ORCH_GIT_HOSTILE'].includes(error.code)) {
      return { ok: false, problems: [{ path: '', why: error.message }] }
    }
    throw error
  } finally {
    await quarantine.close()
  }
}

/** @throws ORCH_GIT_HOSTILE that names every problem */
export function refuseHostile(
  problems: readonly LintProblem[],
  context: Readonly<Record<string, unknown>> = {},
): void {
  if (problems.length === 0) return
  const first = problems.slice(0, 3).map(({ path, why }) => `${JSON.stringify(path)}: ${why}`)
  const rest = problems.length > 3 ? `, and ${problems.length - 3} more` : ''
  throw new OrchError('ORCH_GIT_HOSTILE', `refused files: ${first.join('; ')}${rest}`, {
    context: { ...context, problems },
  })
}
