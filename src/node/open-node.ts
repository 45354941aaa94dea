/** A node that is open, as those see it who opened it. */
import type { Batch } from '../core/fact.ts'
import type { AttemptId, DocId } from '../core/id.ts'
import type { Executor } from '../executor/executor.ts'
import type { BoardView } from './board-view.ts'
import type { Engine } from './engine.ts'
import type { NodeFace } from './face.ts'

export interface OpenNode {
  readonly face: NodeFace
  readonly tokens: { verify(token: string): AttemptId | undefined }
  readonly dataDir: string
  readonly node: string
  setUrl(url: string, socketPath: string): void
  addExecutor(executor: Executor): void
  /** A run's board, or `@cluster`, for Yjs clients. @throws ORCH_NOT_FOUND, ORCH_UNSUPPORTED where there is no cluster */
  board(doc: DocId): Promise<BoardView>
  /** Every fact as it is written or arrives; for events. */
  onBatch(listener: (batch: Batch) => void): () => void
  /** Starts nothing by itself, for a process that is the node for one command only. Outside workers can claim and report all the same. */
  hold(reason: string): Promise<void>
  /** Stops claiming, ends what runs with its work saved, and waits for it. */
  drain(): Promise<void>
  /**
   * Drains and closes. `now`: what runs is killed at once, its work saved all the same. `leave`: process attempts go on under their shims, to be adopted by the
   * next start (upgrade).
   */
  close(options?: CloseOptions): Promise<void>
  readonly closed: Promise<void>
  /** @internal */
  readonly engine: Engine
}

export interface CloseOptions {
  readonly now?: boolean
  readonly leave?: boolean
}
