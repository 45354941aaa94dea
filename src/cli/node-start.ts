/** A node in the background for a command that needs one, and its way into a cluster. */
import { isOrchError, OrchError } from '../core/error.ts'
import type { JoinUpdate, NodeFace, NodeStatus } from '../node/face.ts'
import type { Background } from './background.ts'
import type { Connection } from './connection.ts'
import type { Invocation } from './invocation.ts'
import { joinLines } from './join-way.ts'
import { withProfile } from './profile.ts'

export type Joined = Extract<JoinUpdate, { readonly type: 'joined' }>

/** Starts a node, and lets it join what the settings name. It is ended again if it cannot. */
export async function startNode(it: Invocation): Promise<Background> {
  const { settings } = await withProfile(it.settings, it.world.cwd)
  const ways = settings.join.value
  const started = await it.world.startNode(it.settings)
  if (ways.length > 0)
    await it.use('never', async (face) => {
      const status = await face.status()
      if (status.cluster)
        it.out.note(`it belongs to the cluster ${status.cluster.name} already: nothing was joined`)
      else await orEnd(it, face, () => joinOne(it, face, status, ways))
    })
  return started
}

/** The node of the data directory, or a new one; that one joins nothing. */
export async function connectOrStart(
  it: Invocation,
): Promise<{ readonly connection: Connection; readonly started?: Background }> {
  try {
    return { connection: await it.connect('never') }
  } catch (error) {
    if (!isOrchError(error) || error.code !== 'ORCH_NO_NODE' || it.settings.node.value !== undefined)
      throw error
  }
  const started = await it.world.startNode(it.settings)
  tellStarted(it, started)
  return { connection: await it.connect('never'), started }
}

export function tellStarted({ out }: Invocation, { pid, url }: Background): void {
  out.note(`node started in the background: pid ${pid}, ${url}; stop it with: orch-node stop`)
}

/** What was started for something that failed does not stay. */
export async function orEnd<T>({ out }: Invocation, face: NodeFace, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    await face.stop({}).catch(() => undefined)
    out.note('the node that was started for it is stopped again')
    throw error
  }
}

/** Several ways into the same cluster: the first that leads anywhere. */
async function joinOne(
  it: Invocation,
  face: NodeFace,
  status: NodeStatus,
  ways: readonly string[],
): Promise<void> {
  for (const [k, to] of ways.entries()) {
    try {
      await followJoin(it, face, status, to)
      return
    } catch (error) {
      const isLast = k === ways.length - 1
      if (isLast || !isOrchError(error) || error.code !== 'ORCH_PEER_UNREACHABLE') throw error
      it.out.warn(error.message)
    }
  }
}

/**
 * Tells what happens on the way in; Ctrl-C takes the request back.
 *
 * @throws ORCH_CANCELLED, and what the node refuses it with
 */
export async function followJoin(
  { out, world }: Invocation,
  face: NodeFace,
  { name }: NodeStatus,
  to: string,
): Promise<Joined> {
  const abort = new AbortController()
  const unlisten = world.onInterrupt(() => abort.abort())
  try {
    for await (const update of face.join({ to }, abort.signal)) {
      if (update.type === 'joined') return update
      for (const told of joinLines(update, name)) out.note(told)
    }
  } catch (error) {
    if (!abort.signal.aborted) throw error
  } finally {
    unlisten()
  }
  if (abort.signal.aborted)
    throw new OrchError('ORCH_CANCELLED', 'interrupted: the request to be let in was taken back')
  throw new OrchError('ORCH_PEER_GONE', 'the other node ended the conversation before this one was let in', {
    hint: 'try it once more; `orch-node members` on the other machine shows what waits there',
  })
}
