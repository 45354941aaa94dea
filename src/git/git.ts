/**
 * The git edge (contract): workspaces, work as commits, integration and landing, over the `git` program of the machine, 2.38 or newer. It decides
 * nothing. Conflicts and failed gates are values; faults are OrchError. A person's repository is only read, except by `publishBranch` and
 * `land`. Formats and ref names: `REFS.md`; rules: SPEC, GT.
 */
import { OrchError } from '../core/error.ts'
import type { DurationMs, Oid, RunId } from '../core/id.ts'
import type { Conflict, Delta, MergeOutcome, MergeRequest } from '../core/integrate.ts'
import { BareRepository, isRepositoryId } from './bare.ts'
import { openClone } from './clone-of.ts'
import { lackingCommits } from './completeness.ts'
import { diffText } from './diff.ts'
import type { Duplex } from './duplex.ts'
import { type Fetched, type FetchRequest, fetchWants } from './fetch.ts'
import { type GateRequest, type GateResult, runGate } from './gate.ts'
import { advance, fold, trailersSince, tryMerge } from './integrate.ts'
import { type Landed, type LandRequest, land, publishBranch } from './land.ts'
import { isOid } from './object.ts'
import { inspectRepository, type RepositoryFacts } from './repository.ts'
import type { IntegratedCommit } from './trailer.ts'
import { type Served, type ServeOptions, serveUploadPack } from './upload-pack.ts'
import { UserRepository } from './user-repository.ts'
import { type GitVersion, gitVersion } from './version.ts'
import {
  type CollectedWork,
  type CollectRequest,
  collectWork,
  createWorkspace,
  removeWorkspace,
  type WorkspaceRequest,
} from './workspace.ts'

/** `RepositorySpec.id`. */
export type RepositoryId = string

export interface Git {
  /** @throws ORCH_GIT_MISSING, ORCH_GIT_OLD */
  version(): Promise<GitVersion>
  /** Facts of a person's repository, or the reason why no run can start from it. Reads only. */
  inspect(path: string, base?: string): Promise<RepositoryFacts>
  /** Brings a base into our own repository and pins it. Idempotent. `facts` come from `inspect`. */
  importBase(facts: Pick<RepositoryFacts, 'id' | 'path' | 'base'>): Promise<void>
  createWorkspace(id: RepositoryId, request: WorkspaceRequest): Promise<{ readonly createdMs: DurationMs }>
  collectWork(id: RepositoryId, request: CollectRequest): Promise<CollectedWork>
  /** @throws ORCH_WRONG_STATE when it holds work that is under no ref */
  removeWorkspace(id: RepositoryId, dir: string, proofRef: string): Promise<void>
  /** Commits that deltas become on a tip. Pure; writes no ref. Also gives the provisional base of a task. */
  fold(id: RepositoryId, request: MergeRequest): Promise<MergeOutcome>
  /** Whether a delta fits; `undefined` = it does. */
  tryMerge(
    id: RepositoryId,
    request: Omit<MergeRequest, 'deltas'>,
    delta: Delta,
  ): Promise<Conflict | undefined>
  /** Keeps a commit, say a provisional base, under a ref for ever. */
  pin(id: RepositoryId, commit: Oid): Promise<void>
  readRef(id: RepositoryId, ref: string): Promise<Oid | undefined>
  listRefs(id: RepositoryId, prefix: string): Promise<readonly { readonly ref: string; readonly oid: Oid }[]>
  /** Compare-and-set; false = the ref holds something else. Durable when true. `from` undefined: it must not exist. */
  advance(id: RepositoryId, ref: string, to: Oid, from: Oid | undefined): Promise<boolean>
  trailersSince(id: RepositoryId, tip: Oid, base: Oid): Promise<readonly IntegratedCommit[]>
  /** Unified diff with a summary by file, or the summary alone. */
  diff(id: RepositoryId, base: Oid, head: Oid, options: { readonly stat: boolean }): Promise<string>
  runGate(id: RepositoryId, request: GateRequest): Promise<GateResult>
  publishBranch(
    id: RepositoryId,
    userPath: string,
    run: RunId,
    commit: Oid,
  ): Promise<{ readonly branch: string }>
  land(id: RepositoryId, userPath: string, request: LandRequest): Promise<Landed>
  /** Whether this node has a repository of that identity. False for what is no identity. */
  has(id: RepositoryId): Promise<boolean>
  /** Those commits that are not here with all that is behind them; all of them when there is no such repository here. */
  lacking(id: RepositoryId, commits: readonly Oid[]): Promise<readonly Oid[]>
  /** Answers a peer's `git` over a stream, from our repository. See `upload-pack.ts`. */
  serve(id: RepositoryId, duplex: Duplex, options?: ServeOptions): Promise<Served>
  /** Brings commits from a peer, through the quarantine; makes our repository when the first base comes. See `fetch.ts`. */
  fetchFrom(id: RepositoryId, request: FetchRequest): Promise<Fetched>
  /** Ends our long-lived processes. */
  close(): Promise<void>
}

export interface GitOptions {
  /** Absolute. Our repositories are in `repos/` of it. */
  readonly dataDir: string
}

export function createGit(options: GitOptions): Git {
  const { dataDir } = options
  const open = new Map<RepositoryId, Promise<BareRepository>>()
  let version: Promise<GitVersion> | undefined
  let isClosed = false

  const remember = (id: RepositoryId, opening: () => Promise<BareRepository>): Promise<BareRepository> => {
    if (isClosed) return Promise.reject(new OrchError('ORCH_BUG', 'git edge used after close'))
    const known = open.get(id)
    if (known) return known
    const started = opening().then(async (bare) => {
      await bare.sweep()
      return bare
    })
    open.set(id, started)
    // A failed open is tried again by the next call.
    started.catch(() => open.delete(id))
    return started
  }
  const repository = (id: RepositoryId): Promise<BareRepository> =>
    remember(id, () => BareRepository.open(dataDir, id))
  const checkedVersion = (): Promise<GitVersion> => {
    version ??= gitVersion().catch((error: unknown) => {
      version = undefined
      throw error
    })
    return version
  }

  return {
    version: checkedVersion,
    async inspect(path, base) {
      await checkedVersion()
      return inspectRepository(path, base)
    },
    async importBase(facts) {
      await checkedVersion()
      const user = await UserRepository.open(facts.path)
      const bare = await remember(facts.id, () => BareRepository.create(dataDir, facts.id, user.format))
      await bare.importFrom(user, facts.base)
    },
    createWorkspace: async (id, request) => createWorkspace(await repository(id), request),
    collectWork: async (id, request) => collectWork(await repository(id), request),
    removeWorkspace: async (id, dir, proofRef) => removeWorkspace(await repository(id), dir, proofRef),
    fold: async (id, request) => fold(await repository(id), request),
    tryMerge: async (id, request, delta) => tryMerge(await repository(id), request, delta),
    pin: async (id, commit) => (await repository(id)).pin(commit),
    readRef: async (id, ref) => (await repository(id)).readRef(ref),
    listRefs: async (id, prefix) => (await repository(id)).listRefs(prefix),
    advance: async (id, ref, to, from) => advance(await repository(id), ref, to, from),
    trailersSince: async (id, tip, base) => trailersSince(await repository(id), tip, base),
    diff: async (id, base, head, how) => diffText(await repository(id), base, head, how),
    runGate: async (id, request) => runGate(await repository(id), request),
    async publishBranch(id, userPath, run, commit) {
      const bare = await repository(id)
      return publishBranch(bare, await openClone(bare, userPath), run, commit)
    },
    async land(id, userPath, request) {
      const bare = await repository(id)
      return land(bare, await openClone(bare, userPath), request)
    },
    has: (id) => BareRepository.has(dataDir, id),
    async lacking(id, commits) {
      if (!(await BareRepository.has(dataDir, id))) return [...new Set(commits)]
      return lackingCommits(await repository(id), commits)
    },
    serve: async (id, duplex, options) => serveUploadPack(await repository(id), duplex, options),
    async fetchFrom(id, request) {
      await checkedVersion()
      const base = request.wants.find((want) => want.kind === 'base')?.commit
      if (base === undefined || (await BareRepository.has(dataDir, id)))
        return fetchWants(await repository(id), request)
      if (!isRepositoryId(id) || !isOid(base))
        throw new OrchError('ORCH_NOT_FOUND', 'no repository can have that identity', {
          context: { id, base },
        })
      const format = base.length === 40 ? 'sha1' : 'sha256'
      return fetchWants(await remember(id, () => BareRepository.create(dataDir, id, format)), request)
    },
    async close() {
      isClosed = true
      const opened = await Promise.allSettled(open.values())
      await Promise.all(
        opened.flatMap((found) => (found.status === 'fulfilled' ? [found.value.close()] : [])),
      )
    },
  }
}
