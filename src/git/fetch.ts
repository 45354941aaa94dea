/**
 * Brings commits from a peer into our repository: asked for by id, through a quarantine, under refs of our own naming. What a peer sends is believed only as far as it
 * proves itself: a base by the root commits behind it, a result by building on what is here.
 */
import { assert, isOrchError, OrchError } from '../core/error.ts'
import {
  type AttemptId,
  type DurationMs,
  isRunId,
  type NodeId,
  type Oid,
  type RunId,
  readAttemptId,
} from '../core/id.ts'
import {
  GIT_FETCH_MS_MAX,
  GIT_IMPORT_MS_MAX,
  GIT_RECEIVE_MEMORY_BYTES_MAX,
  GIT_SILENCE_MS_MAX,
  HAVES_MAX,
  HISTORY_BYTES_MAX,
  HISTORY_MEMORY_BYTES_MAX,
  HISTORY_OBJECTS_MAX,
  PACK_BYTES_MAX,
  PACK_OBJECTS_MAX,
} from '../core/limit.ts'
import type { BareRepository } from './bare.ts'
import { lackingCommits, rememberComplete } from './completeness.ts'
import { type Duplex, deadline, readWithin } from './duplex.ts'
import { intakePack, type PackLimits } from './intake.ts'
import { isOid, type ObjectFormat } from './object.ts'
import { requestPack } from './pack-request.ts'
import { Quarantine, refuseHostile } from './quarantine.ts'
import { baseRef, peerHeadRef, replacedRef, workRef } from './ref.ts'

/** A commit that is needed, and what it is: that says how it is judged and which ref keeps it. */
export type Want =
  /** Where a run starts, with all of its history. The header of the run names it, so it comes from who may start runs. */
  | { readonly kind: 'base'; readonly commit: Oid }
  /** The work of an attempt, with the provisional base below it if it has one. */
  | { readonly kind: 'work'; readonly commit: Oid; readonly attempt: AttemptId }
  /** A run's integrated history, made by `node`. */
  | { readonly kind: 'head'; readonly commit: Oid; readonly run: RunId; readonly node: NodeId }

export interface FetchRequest {
  /** Bases alone, or works and heads. Those that are here only get their refs. */
  readonly wants: readonly Want[]
  /** Opens the stream to `git upload-pack` of the peer, for this repository. Not called when nothing is lacking. */
  readonly connect: (signal: AbortSignal) => Promise<Duplex>
  readonly signal?: AbortSignal
  /** Longest silence of the peer, ms; default GIT_SILENCE_MS_MAX. */
  readonly silenceMs?: DurationMs
  /** Default: HISTORY_… and GIT_IMPORT_MS_MAX for bases, PACK_… for each result and GIT_FETCH_MS_MAX for all. */
  readonly limits?: Partial<PackLimits>
}

export interface Fetched {
  /** Objects in the peer's pack; 0 when nothing was lacking. */
  readonly objects: number
  readonly ms: DurationMs
}

/** Packets around the pack. */
const FRAMING_BYTES = 1024 * 1024

/**
 * All of the wants, durable and under their refs, or none.
 *
 * @throws ORCH_NOT_FOUND (`context.missing`) the peer lacks one; ORCH_GIT_HOSTILE refused, by git, a bound, the lint or its identity; ORCH_GIT_SUBMODULES, ORCH_GIT_LFS a base
 *   that no run can start from; ORCH_PEER_GONE, ORCH_PROTOCOL, ORCH_CANCELLED; what `connect` throws
 */
export async function fetchWants(bare: BareRepository, request: FetchRequest): Promise<Fetched> {
  const start = performance.now()
  const { wants } = request
  assert(
    new Set(wants.map((want) => want.kind === 'base')).size === 1,
    'bases are fetched apart from what is linted',
  )
  for (const want of wants) checkWant(want, bare.format)
  const lacking = await lackingCommits(
    bare,
    wants.map((want) => want.commit),
  )
  const objects = lacking.length > 0 ? await transfer(bare, request, lacking) : 0
  await placeRefs(bare, wants)
  rememberComplete(bare, lacking)
  return { objects, ms: performance.now() - start }
}

async function transfer(
  bare: BareRepository,
  request: FetchRequest,
  lacking: readonly Oid[],
): Promise<number> {
  const isHistory = request.wants.some((want) => want.kind === 'base')
  const limits = limitsOf(request, isHistory, lacking.length)
  const silenceMs = request.silenceMs ?? GIT_SILENCE_MS_MAX
  const time = deadline(limits.timeoutMs, request.signal)
  const { signal } = time
  let duplex: Duplex | undefined
  let quarantine: Quarantine | undefined
  try {
    const [haves, opened] = await Promise.all([knownCommits(bare, isHistory), request.connect(signal)])
    duplex = opened
    quarantine = await Quarantine.open(bare)
    const bounds = { silenceMs, signal, bytesMax: limits.bytesMax * 1.01 + FRAMING_BYTES }
    const ask = { format: bare.format, wants: lacking, haves }
    const pack = requestPack(duplex, readWithin(duplex, bounds), ask, bounds)
    const count = await intakePack(quarantine.call, pack, { ...limits, isHistory, signal })
    for (const commit of lacking) await judge(quarantine, commit, isHistory, bare.id)
    await quarantine.release()
    return count
  } catch (error) {
    duplex?.abort(error instanceof Error ? error.message : 'failed')
    if (time.isOver() && !(isOrchError(error) && error.code === 'ORCH_PEER_GONE'))
      throw new OrchError('ORCH_PEER_GONE', `the transfer was not done within ${limits.timeoutMs} ms`, {
        cause: error,
      })
    throw error
  } finally {
    time.clear()
    await quarantine?.close()
  }
}

/** What fails here fails for every peer that has this commit, except that objects may be missing. */
async function judge(quarantine: Quarantine, commit: Oid, isHistory: boolean, id: string): Promise<void> {
  try {
    const check = isHistory ? quarantine.checkHistory(commit, id) : quarantine.checkWork(commit)
    refuseHostile(await check, { commit })
  } catch (error) {
    if (!isOrchError(error) || error.code !== 'ORCH_GIT_FAILED') throw error
    throw new OrchError(
      'ORCH_GIT_HOSTILE',
      `what the peer sent of ${commit} is not whole: ${error.message}`,
      {
        cause: error,
      },
    )
  }
}

function limitsOf({ limits }: FetchRequest, isHistory: boolean, count: number): PackLimits {
  const usual = isHistory
    ? {
        bytesMax: HISTORY_BYTES_MAX,
        objectsMax: HISTORY_OBJECTS_MAX,
        memoryBytesMax: HISTORY_MEMORY_BYTES_MAX,
        timeoutMs: GIT_IMPORT_MS_MAX,
      }
    : {
        bytesMax: PACK_BYTES_MAX * count,
        objectsMax: PACK_OBJECTS_MAX * count,
        memoryBytesMax: GIT_RECEIVE_MEMORY_BYTES_MAX,
        timeoutMs: GIT_FETCH_MS_MAX,
      }
  return { ...usual, ...limits }
}

/** What others wrote is refused, it is no bug of ours. */
function checkWant(want: Want, format: ObjectFormat): void {
  const { commit } = want
  const isSound =
    isOid(commit) &&
    commit.length === (format === 'sha1' ? 40 : 64) &&
    (want.kind !== 'work' || readAttemptId(want.attempt) !== undefined) &&
    (want.kind !== 'head' || isRunId(want.run))
  if (isSound) return
  throw new OrchError(
    'ORCH_NOT_FOUND',
    `no commit of this repository can have that name: ${JSON.stringify(want)}`,
    {
      context: { want },
    },
  )
}

/**
 * Newest commits under our refs; for a history also commits below the newest one, ever further apart: the peer may know none of our tips and yet most of
 * what is behind them.
 */
async function knownCommits(bare: BareRepository, isHistory: boolean): Promise<Oid[]> {
  const prefixes = ['refs/orch/base/', 'refs/orch/heads/', 'refs/orch/peer/']
  const listed = await bare.run([
    'for-each-ref',
    `--count=${HAVES_MAX - 64}`,
    '--sort=-committerdate',
    '--format=%(objectname)',
    ...prefixes,
  ])
  const tips = listed.stdout.toString('latin1').split('\n').filter(Boolean)
  if (!isHistory || tips.length === 0) return [...new Set(tips)]
  const line = await bare.run(['rev-list', '--first-parent', '--max-count=1000000', tips[0]!, '--'])
  const commits = line.stdout.toString('latin1').split('\n').filter(Boolean)
  for (let at = 1; at < commits.length; at *= 2) tips.push(commits[at]!)
  return [...new Set(tips)]
}

/** A ref of an attempt that holds something else is never moved by what a peer says: the newcomer gets a name of its own. */
async function placeRefs(bare: BareRepository, wants: readonly Want[]): Promise<void> {
  for (const want of wants) {
    const { commit } = want
    if (want.kind === 'head') {
      await placeHead(bare, peerHeadRef(want.node, want.run), commit)
      continue
    }
    const ref = want.kind === 'work' ? workRef(want.attempt) : baseRef(commit)
    const held = await bare.readRef(ref)
    if (held === commit) continue
    const isPlaced = held === undefined && (await bare.moveRefs([{ ref, to: commit, from: '' }]))
    if (!isPlaced && (await bare.readRef(ref)) !== commit) await bare.pin(commit)
  }
}

/** Forward only; what it held is kept when the new history is another one (the run was adopted). */
async function placeHead(bare: BareRepository, ref: string, commit: Oid): Promise<void> {
  const held = await bare.readRef(ref)
  if (held === commit) return
  if (held === undefined) {
    if (!(await bare.moveRefs([{ ref, to: commit, from: '' }]))) await bare.pin(commit)
    return
  }
  if (await isAncestor(bare, commit, held)) return
  const moves = [{ ref, to: commit, from: held }]
  const isForward = await isAncestor(bare, held, commit)
  if (!(await bare.moveRefs(isForward ? moves : [...moves, { ref: replacedRef(held), to: held }])))
    await bare.pin(commit)
}

async function isAncestor(bare: BareRepository, older: Oid, newer: Oid): Promise<boolean> {
  return (await bare.run(['merge-base', '--is-ancestor', older, newer], { exits: [0, 1] })).exit === 0
}
