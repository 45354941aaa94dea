/** A board as Yjs clients may see it: bytes of updates, to read only. Who writes asks the node, which signs what it writes. */
import { OrchError } from '../core/error.ts'
import { CLUSTER_DOC, type DocId } from '../core/id.ts'
import type { Cluster } from './cluster.ts'
import type { Engine } from './engine.ts'

export interface BoardView {
  /** What a copy with this state vector lacks, as one update. @throws when it is none */
  updateSince(stateVector: Uint8Array): Uint8Array
  /** True when the board has all that is in an update. @throws when it is none */
  holds(update: Uint8Array): boolean
  /** Calls back with each change, as an update. Returns the undo. */
  onUpdate(listener: (update: Uint8Array) => void): () => void
  /**
   * Calls back when the view is over although it is held, at once if it is: facts that it showed do not count any more, the run was archived, or this life of the node
   * is over. Returns the undo.
   */
  onReset(listener: (why: 'withdrawn' | 'dropped' | 'closed') => void): () => void
  /** Idempotent. What was made for its holders is gone with the last of them. */
  release(): void
}

/** @throws ORCH_UNSUPPORTED where there is no cluster, ORCH_NOT_FOUND for a run that this node does not know: looking makes none */
export async function openBoardView(
  engine: Engine,
  cluster: Cluster | undefined,
  doc: DocId,
): Promise<BoardView> {
  const { board } = engine.state
  if (!cluster)
    throw new OrchError(
      'ORCH_UNSUPPORTED',
      'the board of this node is a journal of this machine alone: only the board of a cluster speaks Yjs',
      { hint: '`orch-node invite` founds a cluster; what runs goes on in it' },
    )
  if (doc !== CLUSTER_DOC && board.isArchived(doc))
    throw new OrchError('ORCH_NOT_FOUND', `run ${doc} is archived: its board is closed`, {
      hint: `it is kept in \`archive/${doc}.frames\` of the data directory`,
    })
  if (doc !== CLUSTER_DOC && !board.runs.has(doc))
    throw new OrchError('ORCH_NOT_FOUND', `there is no run ${JSON.stringify(doc.slice(0, 100))}`, {
      hint: 'list what there is with `orch-node runs`; a board is named by the whole id',
    })
  return cluster.view(doc)
}
