/** What the parts of a local face share: the engine of the moment, names, orders. */
import type { Batch, Order } from '../core/fact.ts'
import type { RunState } from '../core/run-state.ts'
import type { TaskState } from '../core/task-state.ts'
import type { Cluster } from './cluster.ts'
import type { Engine } from './engine.ts'
import type { NodeStatus } from './face.ts'
import { findRun, findTask } from './find.ts'
import type { Followers } from './followers.ts'
import type { Membership } from './membership.ts'
import { accepted } from './submit.ts'

export interface FaceHost {
  /** The engine of now; throws while the node has none (ORCH_DISK_FULL, stopped). */
  engine(): Engine
  cluster(): Cluster | undefined
  readonly membership: Membership
  readonly followers: Followers
  status(): NodeStatus
  /** Own and foreign batches as they come. */
  onBatch(listener: (batch: Batch) => void): () => void
  /** Takes nothing new. Resolves when what runs has ended, or was given back at the deadline; without one it is given back at once. */
  drain(deadlineMs: number | undefined): Promise<void>
  undrain(): Promise<void>
  stop(now: boolean): Promise<void>
}

export class FacePart {
  protected readonly host: FaceHost

  constructor(host: FaceHost) {
    this.host = host
  }

  protected get engine(): Engine {
    return this.host.engine()
  }

  protected runOf(name: string | undefined): RunState {
    return findRun(this.engine.state.board, name)
  }

  protected taskOf(name: string): TaskState {
    return findTask(this.engine.state.board, name)
  }

  protected async giveOrder(
    request: { readonly task?: string; readonly run?: string },
    order: Order,
  ): Promise<void> {
    const task = request.task === undefined ? undefined : this.taskOf(request.task)
    const run = task?.run ?? this.runOf(request.run)
    const { reply, durable } = this.engine.loop.post({
      type: 'order',
      run: run.id,
      subject: task?.id ?? '*',
      order,
    })
    accepted(reply)
    await durable
  }
}
