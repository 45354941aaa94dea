/** Nothing of a run is "all" before its creator's seal fits the specs (DESIGN 2). */
import type { Seal } from './fact.ts'
import { buildGraph, criticalPaths } from './graph.ts'
import { sha256Hex } from './hash.ts'
import type { TaskId } from './id.ts'
import type { RunState } from './run-state.ts'
import type { TaskState } from './task-state.ts'

/** Digest of a set of task ids, whatever their order. Specs are write-once, so the ids alone show that none is missing. */
function sealDigest(ids: readonly TaskId[]): string {
  return sha256Hex(ids.toSorted().join('\n'))
}

export function sealOf(ids: readonly TaskId[]): Seal {
  return { count: ids.length, digest: sealDigest(ids) }
}

/** Tasks of the run that have a spec of its creator. */
function specifiedTasks(run: RunState): TaskState[] {
  const tasks: TaskState[] = []
  for (const task of run.tasks.values()) if (task.spec) tasks.push(task)
  return tasks
}

export function isSealed(run: RunState): boolean {
  const creator = run.header?.creator
  const fitting = run.seals.filter(
    ({ author, seal }) => author.node === creator && seal.count === run.specCount,
  )
  if (creator === undefined || fitting.length === 0) return false
  const digest = digestOf(run)
  return fitting.some(({ seal }) => seal.digest === digest)
}

/** The seal that fits the specs of now. */
export function sealRun(run: RunState): Seal {
  return { count: run.specCount, digest: digestOf(run) }
}

function digestOf(run: RunState): string {
  run.digest ??= sealDigest(specifiedTasks(run).map((task) => task.id))
  return run.digest
}

/** Computes how long the chain behind each task is, once the run is sealed; before, no chain is known. */
export function chartRun(run: RunState, note: (task: TaskState) => void): void {
  const tasks = specifiedTasks(run)
  const paths = run.sealed ? pathsOf(tasks) : undefined
  tasks.forEach((task, i) => {
    const path = paths?.[i] ?? 0
    if (path === task.criticalPath) return
    task.criticalPath = path
    if (task.status === 'ready') note(task)
  })
}

function pathsOf(tasks: readonly TaskState[]): ArrayLike<number> {
  if (tasks.every((t) => t.needs.length === 0 && t.after.length === 0))
    return new Uint8Array(tasks.length).fill(1)
  const indexOf = new Map(tasks.map((t, i) => [t, i]))
  const links = tasks.map((t) =>
    [...t.needs, ...t.after].map((n) => indexOf.get(n)).filter((i) => i !== undefined),
  )
  return criticalPaths(buildGraph(tasks.length, links))
}
