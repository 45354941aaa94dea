/**
 * Library: a node inside your own program, with workers that are functions.
 *
 *     const node = await createNode({ dataDir: '.orch', workers: [defineWorker({ kind: 'resize', concurrency: 8, run: (task) => … })] })
 *     const run = await node.submit({ name: 'thumbs', tasks: [{ id: 'a', kind: 'resize', payload: { file: 'a.png' } }] })
 *     const { outcome } = await run.done
 */

export type { Handoff, Outcome } from './core/attempt.ts'
export { type ErrorCode, OrchError } from './core/error.ts'
export type { Json, MergePolicy, Priority, TaskSpec } from './core/task.ts'
export type { WorkerTask } from './executor/worker.ts'
export {
  createNode,
  defineWorker,
  type Node,
  type NodeEvent,
  type NodeSettings,
  type Run,
  type RunResult,
  type TaskInput,
  type Worker,
} from './library.ts'
export type { NodeFace, RunSummary, RunUpdate, TaskDetail, TaskSummary } from './node/face.ts'
