/** Facts as people see them: pure projections of board state to the shapes of the face. */

import { attemptOf } from '../core/attempt-name.ts'
import type { Entry } from '../core/claim.ts'
import { explain } from '../core/explain.ts'
import type { NodeId } from '../core/id.ts'
import type { NodeState } from '../core/node-state.ts'
import type { RunState } from '../core/run-state.ts'
import { TASK_STATUSES, type TaskStatus } from '../core/status.ts'
import { BARRIER_KIND, PRIORITIES, type Priority } from '../core/task.ts'
import type { TaskState } from '../core/task-state.ts'
import type { AttemptSummary, RunSummary, TaskDetail, TaskSummary } from './face.ts'

/** What the board does not keep: the live word of a worker, and of the integrator. */
export interface LiveView {
  /** Of a member, for people. */
  nameOf(node: NodeId): string
  activity(task: TaskState): { readonly step?: number; readonly activity?: string } | undefined
  integrating(run: RunState): string | undefined
}

export function runSummary(run: RunState, live: LiveView): RunSummary {
  const counts: Partial<Record<TaskStatus, number>> = {}
  for (const status of TASK_STATUSES) {
    const n = run.count(status)
    if (n > 0) counts[status] = n
  }
  const header = run.header!
  const tip = run.tip()
  const close = run.closing?.value
  const integrating = live.integrating(run)
  const published =
    close !== undefined && header.base !== undefined && tip !== header.base && header.repository !== undefined
  return {
    id: run.id,
    name: header.name,
    status: run.status,
    createdAt: header.createdAt,
    tasks: run.specCount,
    counts,
    ...(header.repository ? { repository: header.repository.path } : {}),
    ...(header.base ? { base: header.base } : {}),
    ...(tip ? { commit: tip } : {}),
    ...(published && close.problem?.code !== 'ORCH_TARGET_MOVED' ? { branch: `orch/${run.id}` } : {}),
    ...(run.landed ? { landed: { branch: run.landed.value.branch, commit: run.landed.value.commit } } : {}),
    ...(run.finished && close?.problem ? { problem: { ...close.problem, ...gateOutput(run) } } : {}),
    merge: run.merge,
    ...(integrating ? { integrating } : {}),
  }
}

function gateOutput(run: RunState): { readonly output?: string } {
  const verified = run.verified?.value
  return verified && !verified.ok && verified.commit === run.tip() && verified.output
    ? { output: verified.output }
    : {}
}

export function priorityOf(task: TaskState): Priority {
  return PRIORITIES[4 - task.level] ?? 'medium'
}

/** The attempt to speak of: the accepted or provisional one, the running one, else the latest. */
export function shownEntry(task: TaskState): Entry | undefined {
  const { accepted } = task
  if (accepted)
    return task.entries.find(
      (e) => e.round === accepted.round && e.epoch === accepted.epoch && e.node === accepted.by,
    )
  return task.provisional ?? task.holder ?? latestEntry(task)
}

function latestEntry(task: TaskState): Entry | undefined {
  let latest: Entry | undefined
  for (const e of task.entries) {
    if (
      e.start &&
      (!latest || e.round > latest.round || (e.round === latest.round && e.epoch > latest.epoch))
    )
      latest = e
  }
  return latest
}

export function taskSummary(task: TaskState, live: LiveView, me: string): TaskSummary {
  const spec = task.spec!
  const entry = shownEntry(task)
  const word = task.status === 'running' ? live.activity(task) : undefined
  const holder = entry?.start
    ? entry.outside
      ? 'outside'
      : entry.node === me
        ? 'here'
        : live.nameOf(entry.node)
    : undefined
  const files = entry?.result?.files
  return {
    run: task.run.id,
    id: task.id,
    ...(spec.title ? { title: spec.title } : {}),
    kind: spec.kind,
    status: task.status,
    ...(task.reason ? { reason: task.reason } : {}),
    priority: priorityOf(task),
    needs: task.needs.map((n) => n.id),
    ...(spec.group ? { group: spec.group.name } : {}),
    round: task.round,
    epoch: task.epoch,
    attempts: task.entries.filter((e) => e.start && !e.cont).length,
    failures: task.failures,
    ...(holder ? { holder } : {}),
    ...(entry?.startedAt === undefined ? {} : { startedAt: entry.startedAt }),
    ...(entry?.endedAt === undefined ? {} : { endedAt: entry.endedAt }),
    ...(files === undefined ? {} : { files }),
    ...(task.accepted?.commit ? { commit: task.accepted.commit } : {}),
    ...(task.accepted ? { position: task.accepted.position } : {}),
    ...(word?.step === undefined ? {} : { step: word.step }),
    ...(word?.activity ? { activity: word.activity } : {}),
    order: spec.order ?? task.index,
  }
}

/** Tasks that people made; barriers are ours. */
export function shownTasks(run: RunState): TaskState[] {
  return [...run.tasks.values()]
    .filter((t) => t.spec && t.spec.kind !== BARRIER_KIND)
    .sort((a, b) => (a.spec!.order ?? a.index) - (b.spec!.order ?? b.index))
}

export function taskDetail(task: TaskState, state: NodeState, live: LiveView): TaskDetail {
  const attemptList = task.entries
    .filter((e) => e.start)
    .toSorted((a, b) => a.round - b.round || a.epoch - b.epoch || (a.node < b.node ? -1 : 1))
    .map((e): AttemptSummary => {
      const id = attemptOf(task, e)
      const { result } = e
      return {
        attempt: id,
        round: e.round,
        epoch: e.epoch,
        node: e.node,
        ...(result ? { outcome: result.outcome } : {}),
        ...(result?.reason ? { reason: result.reason } : {}),
        ...(result?.exit === undefined ? {} : { exit: result.exit }),
        ...(e.startedAt === undefined ? {} : { startedAt: e.startedAt }),
        ...(e.endedAt === undefined ? {} : { endedAt: e.endedAt }),
        ...(result?.usage?.workspaceMs === undefined ? {} : { workspaceMs: result.usage.workspaceMs }),
        ...(result?.files === undefined ? {} : { files: result.files }),
        ...(result?.paths ? { paths: result.paths } : {}),
        ...(result?.base ? { base: result.base } : {}),
        ...(result?.head
          ? {
              head: result.head,
              ref: `refs/orch/runs/${task.run.id}/${task.id}/${e.round}.${e.epoch}-${e.incarnation.slice(-8)}`,
            }
          : {}),
        ...(result?.excerpt ? { excerpt: result.excerpt } : {}),
        ...(result?.handoff ? { handoff: result.handoff } : {}),
        ...(result?.usage ? { usage: { ...result.usage } } : {}),
        ...(result?.value === undefined ? {} : { value: result.value }),
      }
    })
  return {
    ...taskSummary(task, live, state.me),
    spec: task.spec!,
    attemptList,
    rejects: task.rejects.map((r) => ({
      round: r.round,
      why: r.why,
      reason: r.reason,
      ...(r.output ? { output: r.output } : {}),
      ...(r.paths ? { paths: r.paths } : {}),
      ...(r.with ? { with: r.with } : {}),
    })),
    dependants: task.dependants.map((d) => d.id),
    explain: explain(state, task),
  }
}
