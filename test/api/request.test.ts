/** Goal: only well-formed requests pass. Method: one good request per method (a complete record), then ways to spoil it. */
import { describe, expect, it } from 'vitest'
import type { MethodName } from '../../src/api/method.ts'
import { readRequest } from '../../src/api/request.ts'

const attempt = 'demo-7f2a/math/1.2/01JDFAKEFAKEFAKEFAKEFAKE00'
const spec = {
  title: 'Math',
  kind: 'shell',
  run: 'true',
  needs: ['a'],
  after: ['b'],
  if: "success('a')",
  scope: { write: ['x/**'], read: [] },
  priority: 'high',
  due: 1_700_000_000_000,
  capabilities: ['ts'],
  resources: { cpu: 0.5, memoryBytes: 10, gpu: 1, quota: { api: 1 } },
  exclusive: 'staging',
  retry: { strategy: 'fixed', attempts: 3, delayMs: 0 },
  timeoutMs: 1,
  stallMs: 0,
  check: 'true',
  group: { name: 'g', concurrency: 1 },
  env: { A: 'b' },
  onEmpty: 'reject',
  onOutside: 'trim',
  compensation: 'true',
  order: 0,
  payload: [1, null],
}
const handoff = {
  current_focus: 'x',
  progress: ['a'],
  next_steps: [],
  blockers: [],
  open_questions: ['?'],
  files_touched: ['f'],
  updated_at: 'now',
}

const GOOD: Record<MethodName, object> = {
  status: {},
  runs: {},
  workspaces: {},
  exportRun: { run: 'demo' },
  invite: { role: 'planner', ttlMs: 3_600_000, uses: 3, approve: true },
  join: { to: 'orch1-abc' },
  leave: {},
  members: {},
  approve: { who: 'box', role: 'worker' },
  removeMember: { who: 'box', reason: 'x' },
  setRole: { who: 'box', role: 'admin' },
  revokeInvite: { id: '9f2c41d07ab3e815' },
  adopt: { run: 'demo', reason: 'x' },
  drain: { node: 'box', deadlineMs: 0 },
  undrain: { node: 'box' },
  submit: {
    name: 'demo',
    tasks: [['math', spec]],
    merge: { mode: 'combined', verify: 'true', onConflict: 'retry', onPartial: 'land', land: 'main' },
    repository: '/r',
    base: 'HEAD',
    seal: false,
  },
  addTasks: { run: 'demo-7f2a', tasks: [['more', { kind: 'x' }]], seal: true },
  run: { run: 'demo' },
  tasks: { run: 'demo', limit: 5 },
  task: { task: 'math' },
  followRun: {},
  logs: { task: 'math', attempt, offset: 0, follow: true },
  diff: { task: 'math', attempt, stat: true },
  attemptEvents: { task: 'math', attempt, since: 3, follow: false },
  cancel: { task: 'math', reason: 'x' },
  retry: { task: 'math', reason: 'x', hint: 'y' },
  pause: { run: 'demo' },
  resume: { run: 'demo' },
  prioritize: { task: 'math', priority: 'backlog' },
  ready: { run: 'demo', explain: true, limit: 1 },
  claim: { task: 'math', run: 'demo', capabilities: ['ts'] },
  progress: { attempt, task: 'math', step: 1, status: 'x', handoff },
  complete: { attempt, summary: 'x', value: { a: [1] } },
  fail: { reason: 'x' },
  block: { reason: 'x', blockers: ['a'] },
  unblock: { task: 'a' },
  release: { reason: 'x' },
  integrate: { run: 'demo', dryRun: true },
  land: { into: 'main' },
  conflicts: {},
  events: { run: 'demo', task: 'a', since: 1, follow: true, problems: true },
  cleanWorkspaces: { dryRun: true },
  stop: { now: true },
}

const refused = expect.objectContaining({ code: 'ORCH_USAGE' })

describe('requests', () => {
  it.each(Object.entries(GOOD) as [MethodName, object][])(
    '[AP2] %s takes every field that it has, and no other',
    (method, request) => {
      expect(readRequest(method, request)).toEqual(request)
      expect(() => readRequest(method, { ...request, surplus: 1 })).toThrow(refused)
      expect(() => readRequest(method, [request])).toThrow(refused)
    },
  )

  it.each([
    ['task', {}, 'task'],
    ['task', { task: 5 }, 'task'],
    ['logs', { task: 'a', attempt: 'b' }, 'attempt: expected an attempt id'],
    ['submit', { name: 'x', tasks: [['bad id', { kind: 'shell' }]] }, 'tasks.0.0: expected a task id'],
    ['submit', { name: 'x', tasks: [['a', { kind: 'shell', needs: 'b' }]] }, 'tasks.0.1.needs'],
    ['submit', { name: 'x', tasks: [['a', { kind: 'shell', timeoutMs: -1 }]] }, 'tasks.0.1.timeoutMs'],
    ['submit', { name: 'x', tasks: [['a', { kind: 'shell', env: { A: 1 } }]] }, 'tasks.0.1.env.A'],
    ['addTasks', { run: '../x', tasks: [] }, 'run: expected a run id'],
    ['prioritize', { task: 'a', priority: 'urgent' }, 'priority'],
    ['fail', { reason: '' }, 'reason'],
    ['progress', { handoff: { current_focus: 'x' } }, 'handoff.progress'],
    ['complete', { value: 'x'.repeat(70_000) }, 'value'],
    ['events', { since: -1 }, 'since'],
    ['invite', { role: 'king' }, 'role'],
    ['invite', { ttlMs: 31 * 86_400_000 }, 'ttlMs'],
    ['invite', { uses: 0 }, 'uses'],
    ['join', { to: 'x'.repeat(5_000) }, 'to'],
    ['approve', { who: '' }, 'who'],
    ['setRole', { who: 'box' }, 'role'],
    ['drain', { deadlineMs: -1 }, 'deadlineMs'],
  ] as const)('[AP2] %s %j is refused with its place', (method, request, place) => {
    expect(() => readRequest(method, request)).toThrow(refused)
    expect(() => readRequest(method, request)).toThrow(place)
  })

  it('[AP2] an absent request is an empty one', () => {
    expect(readRequest('status', undefined)).toEqual({})
  })
})
