/**
 * Makes sure that the git objects of a run are on this disk: finds out what is lacking, asks the peers that may have it, one after the other, and fetches nothing twice at once.
 * Decides nothing about tasks.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type ErrorCode, isOrchError, OrchError } from '../core/error.ts'
import { type NodeId, type Oid, shortNode } from '../core/id.ts'
import { FETCH_BACKOFF_MS, FETCH_ROUNDS_MAX, FETCHES_MAX } from '../core/limit.ts'
import type { Duplex } from '../git/duplex.ts'
import type { FetchRequest, Want } from '../git/fetch.ts'
import type { Git } from '../git/git.ts'
import { Gate } from './objects-gate.ts'

export interface ObjectsOptions {
  readonly git: Pick<Git, 'lacking' | 'fetchFrom'>
  /** Opens a stream to `git upload-pack` of a member. */
  readonly open: (node: NodeId, repository: string, signal: AbortSignal) => Promise<Duplex>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
  /** First wait between two rounds, ms; default FETCH_BACKOFF_MS. */
  readonly backoffMs?: number
  /** Fetches at once; default FETCHES_MAX. */
  readonly fetchesMax?: number
  /** For transfers; see `FetchRequest`. */
  readonly limits?: FetchRequest['limits']
  readonly silenceMs?: number
}

export interface NeedOptions {
  readonly signal?: AbortSignal
}

/** One fetch under way, and who waits for it. */
interface Job {
  readonly abort: AbortController
  readonly done: Promise<void>
  waiters: number
}

/** Another peer cannot help: what was asked for is refused itself. */
const FINAL: readonly ErrorCode[] = [
  'ORCH_GIT_SUBMODULES',
  'ORCH_GIT_LFS',
  'ORCH_GIT_MISSING',
  'ORCH_GIT_OLD',
  'ORCH_DISK_FULL',
  'ORCH_BUG',
]

export class Objects {
  readonly #options: ObjectsOptions
  /** By repository and commit. */
  readonly #jobs = new Map<string, Job>()
  readonly #gate: Gate
  readonly #close = new AbortController()

  constructor(options: ObjectsOptions) {
    this.#options = options
    this.#gate = new Gate(options.fetchesMax ?? FETCHES_MAX)
  }

  /**
   * Resolves when all the commits, with everything behind them, are on this disk under refs. Bases first, so that what is built on them can be judged.
   *
   * @param sources members that may have them, the best first
   * @throws ORCH_PEER_UNREACHABLE nobody gave them: names whom it asked and why not; ORCH_GIT_HOSTILE (`context.commit` when a commit itself is refused), ORCH_GIT_SUBMODULES,
   *   ORCH_GIT_LFS, ORCH_DISK_FULL, ORCH_CANCELLED
   */
  async need(
    repository: string,
    wants: readonly Want[],
    sources: readonly NodeId[],
    options: NeedOptions = {},
  ): Promise<void> {
    const isBase = (want: Want): boolean => want.kind === 'base'
    await this.#bring(repository, wants.filter(isBase), sources, options.signal)
    await this.#bring(
      repository,
      wants.filter((want) => !isBase(want)),
      sources,
      options.signal,
    )
  }

  /** Ends what is under way; who waits hears ORCH_CANCELLED. */
  async close(): Promise<void> {
    this.#close.abort()
    const jobs = [...new Set(this.#jobs.values())]
    for (const job of jobs) job.abort.abort()
    await Promise.allSettled(jobs.map((job) => job.done))
  }

  async #bring(
    repository: string,
    wants: readonly Want[],
    sources: readonly NodeId[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (wants.length === 0) return
    const key = (commit: Oid): string => `${repository} ${commit}`
    for (;;) {
      if (this.#close.signal.aborted || signal?.aborted) throw cancelled()
      const lacking = await this.#options.git.lacking(
        repository,
        wants.map((want) => want.commit),
      )
      if (lacking.length === 0) return
      const others = new Set<Job>()
      const mine: Oid[] = []
      for (const commit of lacking) {
        const job = this.#jobs.get(key(commit))
        if (job) others.add(job)
        else mine.push(commit)
      }
      // What fails for others, who may know other peers, is asked for again here. What fails here is told.
      const joined = [...others].map((job) => this.#wait(job, signal).catch(() => {}))
      if (mine.length > 0) {
        const own = this.#start(
          repository,
          wants.filter((want) => mine.includes(want.commit)),
          sources,
        )
        for (const commit of mine) this.#jobs.set(key(commit), own)
        const forget = (): void => {
          for (const commit of mine) this.#jobs.delete(key(commit))
        }
        void own.done.then(forget, forget)
        await this.#wait(own, signal)
      }
      await Promise.all(joined)
    }
  }

  #start(repository: string, wants: readonly Want[], sources: readonly NodeId[]): Job {
    const abort = new AbortController()
    const done = this.#gate.run(() => this.#fetch(repository, wants, sources, abort.signal), abort.signal)
    done.catch(() => {})
    return { abort, done, waiters: 0 }
  }

  /** The last one who goes away ends it. */
  async #wait(job: Job, signal: AbortSignal | undefined): Promise<void> {
    job.waiters += 1
    let onAbort: (() => void) | undefined
    try {
      const left = new Promise<never>((_, reject) => {
        onAbort = () => reject(cancelled())
        if (signal?.aborted) onAbort()
        else signal?.addEventListener('abort', onAbort, { once: true })
      })
      await Promise.race([job.done, left])
    } finally {
      if (onAbort) signal?.removeEventListener('abort', onAbort)
      job.waiters -= 1
      if (job.waiters === 0) job.abort.abort()
    }
  }

  /** Rounds through the sources until everything is here. */
  async #fetch(
    repository: string,
    wants: readonly Want[],
    sources: readonly NodeId[],
    signal: AbortSignal,
  ): Promise<void> {
    const told = new Map<NodeId, OrchError>()
    let rest = wants
    for (let round = 0; round < FETCH_ROUNDS_MAX; round += 1) {
      if (round > 0) await this.#rest(round, signal)
      for (const source of sources) {
        rest = await this.#ask(repository, rest, source, told, signal)
        if (rest.length === 0) return
      }
      // Nobody who answers has it: asking the same again at once would not help.
      if ([...told.values()].every((error) => error.code === 'ORCH_NOT_FOUND')) break
    }
    const hostile = [...told.values()].find((error) => error.code === 'ORCH_GIT_HOSTILE')
    if (hostile) throw hostile
    throw unreachable(repository, rest, told)
  }

  /** Asks one peer for as much as it has. Returns what is still lacking. */
  async #ask(
    repository: string,
    wants: readonly Want[],
    source: NodeId,
    told: Map<NodeId, OrchError>,
    signal: AbortSignal,
  ): Promise<readonly Want[]> {
    let asked = wants
    let lacking: readonly Want[] = []
    while (asked.length > 0) {
      try {
        await this.#fetchOnce(repository, asked, source, signal)
        return lacking
      } catch (cause) {
        if (signal.aborted) throw cancelled()
        const error = isOrchError(cause) ? cause : new OrchError('ORCH_FAILED', String(cause), { cause })
        if (FINAL.includes(error.code)) throw error
        const isHostile = error.code === 'ORCH_GIT_HOSTILE'
        // One bad commit must not keep the others out, nor be blamed on them.
        if (isHostile && asked.length > 1) return this.#askEach(repository, asked, source, told, signal)
        if (isHostile && error.context.commit !== undefined) throw error
        told.set(source, error)
        const missing = error.context.missing
        const left = asked.filter((want) => want.commit !== missing)
        if (error.code !== 'ORCH_NOT_FOUND' || left.length === asked.length) return wants
        lacking = [...lacking, ...asked.filter((want) => want.commit === missing)]
        asked = left
      }
    }
    return lacking
  }

  /** One by one; the first that is refused for itself is told when the others are in. */
  async #askEach(
    repository: string,
    wants: readonly Want[],
    source: NodeId,
    told: Map<NodeId, OrchError>,
    signal: AbortSignal,
  ): Promise<readonly Want[]> {
    const lacking: Want[] = []
    let refused: OrchError | undefined
    for (const want of wants) {
      try {
        lacking.push(...(await this.#ask(repository, [want], source, told, signal)))
      } catch (error) {
        if (!isOrchError(error) || error.code !== 'ORCH_GIT_HOSTILE') throw error
        refused ??= error
      }
    }
    if (refused) throw refused
    return lacking
  }

  async #fetchOnce(
    repository: string,
    wants: readonly Want[],
    source: NodeId,
    signal: AbortSignal,
  ): Promise<void> {
    const { git, open, say, limits, silenceMs } = this.#options
    const fetched = await git.fetchFrom(repository, {
      wants,
      connect: (linked) => open(source, repository, linked),
      signal,
      ...(limits && { limits }),
      ...(silenceMs !== undefined && { silenceMs }),
    })
    const { objects, ms } = fetched
    if (objects > 0) say('info', `${objects} git objects from ${shortNode(source)} in ${Math.round(ms)} ms`)
  }

  async #rest(round: number, signal: AbortSignal): Promise<void> {
    const bound = (this.#options.backoffMs ?? FETCH_BACKOFF_MS) * 2 ** (round - 1)
    // Between half and all of it: nodes that failed by one cause do not come back at one instant.
    await sleep(bound * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => {
      throw cancelled()
    })
  }
}

function unreachable(
  repository: string,
  wants: readonly Want[],
  told: ReadonlyMap<NodeId, OrchError>,
): OrchError {
  const commits = wants.map((want) => want.commit)
  const what = `${commits[0]?.slice(0, 12)}${commits.length > 1 ? ` and ${commits.length - 1} more` : ''}`
  const asked = [...told].map(([node, error]) => ({ node, code: error.code, message: error.message }))
  const words = asked.map(({ node, code, message }) => `${shortNode(node)}: ${message} (${code})`).join('; ')
  return new OrchError(
    'ORCH_PEER_UNREACHABLE',
    `commit ${what} is not here and ${asked.length > 0 ? `no peer gave it: ${words}` : 'no peer is known to have it'}`,
    {
      context: { repository, commits, asked },
      hint: 'it comes as soon as one of these nodes is back: see `orch-node status`',
    },
  )
}

function cancelled(): OrchError {
  return new OrchError('ORCH_CANCELLED', 'the transfer of git objects was cancelled')
}
