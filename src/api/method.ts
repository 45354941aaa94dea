/**
 * Every method of `NodeFace` as it crosses a process border: whether it answers once or many times, how long a caller waits, and what the
 * token of an attempt may do with it. The shape of requests is in `request.ts`.
 */
import {
  CALL_MS_DEFAULT,
  GATE_MS_MAX,
  GIT_IMPORT_MS_MAX,
  GIT_MS_MAX,
  LAND_TRIES_MAX,
  TERM_GRACE_MS,
} from '../core/limit.ts'
import type { NodeFace } from '../node/face.ts'

export type MethodName = keyof NodeFace

export interface Method {
  /** `stream` answers with items until it ends, and has no deadline. */
  readonly kind: 'call' | 'stream'
  /** How long a client waits for the answer of a call. */
  readonly deadlineMs: number
  /**
   * What the token of an attempt may do: nothing; report of its own attempt (`report`); read its own task (`task`); read its own run
   * (`run`). The node's token may do everything.
   */
  readonly attempt: 'no' | 'report' | 'task' | 'run'
}

const call = (deadlineMs: number = CALL_MS_DEFAULT, attempt: Method['attempt'] = 'no'): Method => ({
  kind: 'call',
  deadlineMs,
  attempt,
})
const stream: Method = { kind: 'stream', deadlineMs: 0, attempt: 'no' }

/** Gives work back: each attempt gets its grace, then its work is committed. The first invitation does so too, to found the cluster. */
const DRAIN_MS = TERM_GRACE_MS + 2 * GIT_MS_MAX

export const METHODS: Readonly<Record<MethodName, Method>> = {
  status: call(),
  submit: call(GIT_IMPORT_MS_MAX),
  addTasks: call(GIT_MS_MAX),
  runs: call(),
  run: call(),
  tasks: call(),
  task: call(CALL_MS_DEFAULT, 'task'),
  followRun: stream,
  logs: stream,
  diff: call(GIT_MS_MAX),
  attemptEvents: stream,
  cancel: call(),
  retry: call(),
  pause: call(),
  resume: call(),
  prioritize: call(),
  ready: call(CALL_MS_DEFAULT, 'run'),
  claim: call(GIT_IMPORT_MS_MAX),
  progress: call(CALL_MS_DEFAULT, 'report'),
  complete: call(GIT_MS_MAX, 'report'),
  fail: call(GIT_MS_MAX, 'report'),
  block: call(GIT_MS_MAX, 'report'),
  unblock: call(),
  release: call(GIT_MS_MAX, 'report'),
  integrate: call(GATE_MS_MAX),
  land: call(LAND_TRIES_MAX * GATE_MS_MAX),
  conflicts: call(GIT_MS_MAX),
  events: stream,
  exportRun: stream,
  workspaces: call(GIT_MS_MAX),
  cleanWorkspaces: call(GIT_MS_MAX),
  invite: call(DRAIN_MS),
  join: stream,
  leave: call(DRAIN_MS),
  members: call(),
  approve: call(),
  removeMember: call(),
  setRole: call(),
  revokeInvite: call(),
  adopt: call(GIT_MS_MAX),
  drain: call(DRAIN_MS),
  undrain: call(),
  stop: call(DRAIN_MS),
}

export function isMethodName(name: string): name is MethodName {
  return Object.hasOwn(METHODS, name)
}

type AnyMethod = (request: unknown, signal?: AbortSignal) => Promise<unknown> | AsyncIterable<unknown>

/** Asks a face by the name of the method. The request must have passed `readRequest`. */
export function invoke(face: NodeFace, name: MethodName, request: unknown, signal?: AbortSignal) {
  return (face[name] as AnyMethod).call(face, request, signal)
}
