/** Goal: a run reads well, live and as lines, and its end has the right exit code. Method: tables of changes; frames on small terminals. */
import { describe, expect, it } from 'vitest'
import { frame } from '../../src/cli/live-view.ts'
import { runLines, taskLines } from '../../src/cli/run-line.ts'
import { RunModel } from '../../src/cli/run-model.ts'
import { exitOfRun, formatReport } from '../../src/cli/run-report.ts'
import { createStyle, markOf } from '../../src/cli/style.ts'
import { width } from '../../src/cli/text.ts'
import type { TaskStatus } from '../../src/core/status.ts'
import { TASK_STATUSES } from '../../src/core/status.ts'
import type { TaskDetail } from '../../src/node/face.ts'
import { AT } from './fake-cluster.ts'
import { type FakeTask, runOf, taskOf } from './fake-face.ts'
import { FakeSink } from './fake-world.ts'

const plain = createStyle(new FakeSink(), {})
const task = (status: TaskStatus, fields: Partial<FakeTask> = {}) =>
  taskOf('demo-7f2a', 'math', status, fields)
const options = { now: AT + 41_000, attemptsMax: () => 3 }

describe('lines', () => {
  it.each([
    ['first seen waiting', undefined, task('waiting'), []],
    ['first seen running', undefined, task('running', { attempts: 1 }), ['started math (attempt 1)']],
    [
      'first seen failed',
      undefined,
      task('failed', { attempts: 3, failures: 3, reason: 'exit 1' }),
      ['failed math: exit 1 (attempt 3 of 3)'],
    ],
    ['first seen done', undefined, task('accepted'), []],
    ['started', task('ready'), task('running', { attempts: 1 }), ['started math (attempt 1)']],
    [
      'done',
      task('running', { attempts: 1 }),
      task('accepted', { attempts: 1, files: 2, startedAt: AT, endedAt: AT + 41_000 }),
      ['done math 2 files 0:41'],
    ],
    [
      'done, not integrated',
      task('running', { attempts: 1 }),
      task('provisional', { attempts: 1, files: 1, startedAt: AT, endedAt: AT + 1000 }),
      ['done math 1 file 1.0 s'],
    ],
    ['then integrated', task('provisional', { attempts: 1 }), task('accepted', { attempts: 1 }), []],
    [
      'started and done at once',
      task('ready'),
      task('accepted', { attempts: 1 }),
      ['started math (attempt 1)', 'done math'],
    ],
    [
      'failed for now',
      task('running', { attempts: 1 }),
      task('ready', { attempts: 1, failures: 1 }),
      ['failed math (attempt 1 of 3), will be tried again'],
    ],
    [
      'failed for good',
      task('running', { attempts: 3, failures: 2 }),
      task('failed', { attempts: 3, failures: 3, reason: 'exit 1' }),
      ['failed math: exit 1 (attempt 3 of 3)'],
    ],
    [
      'rejected',
      task('provisional', { attempts: 1 }),
      task('ready', { attempts: 1, round: 2, reason: 'conflict with lint' }),
      ['again math: conflict with lint'],
    ],
    [
      'blocked',
      task('running', { attempts: 1 }),
      task('blocked', { attempts: 1, reason: 'needs\na \u001b[31mdecision' }),
      ['blocked math: needs a decision'],
    ],
    ['dropped', task('waiting'), task('dropped', { reason: 'a failed' }), ['dropped math: a failed']],
    ['skipped', task('waiting'), task('skipped'), ['skipped math']],
    ['only a step', task('running', { attempts: 1 }), task('running', { attempts: 1, step: 7 }), []],
  ] as const)('[CL10] %s', (_name, before, after, expected) => {
    expect(taskLines({ before, after }, options)).toEqual(expected)
  })

  it('[CL10] why an attempt failed, and when the next begins', () => {
    const change = {
      before: task('running', { attempts: 1 }),
      after: task('ready', { attempts: 1, failures: 1 }),
    }
    expect(taskLines(change, { ...options, failure: { reason: 'exit 1', restS: 2 } })).toEqual([
      'failed math: exit 1 (attempt 1 of 3), again in 2 s',
    ])
  })

  it('[CL10] integration and pauses', () => {
    expect(runLines(undefined, runOf('r', { integrating: 'verify' }))).toEqual(['integrating: verify'])
    expect(runLines(runOf('r', { integrating: 'verify' }), runOf('r', { integrating: 'verify' }))).toEqual([])
    expect(runLines(runOf('r'), runOf('r', { status: 'paused' }))).toEqual(['the run is paused'])
    expect(runLines(runOf('r', { status: 'paused' }), runOf('r'))).toEqual(['the run goes on'])
  })
})

function modelOf(tasks: readonly FakeTask[]): RunModel {
  const model = new RunModel('demo-7f2a')
  model.apply({ type: 'run', run: runOf('demo-7f2a', { tasks: tasks.length }) })
  for (const [order, each] of tasks.entries()) model.apply({ type: 'task', task: { ...each, order } })
  return model
}

describe('the live view', () => {
  it('[CL10] shows who does what, and what waits for what', () => {
    const model = modelOf([
      taskOf('r', 'contract', 'accepted', {
        holder: 'box-lab',
        attempts: 1,
        files: 1,
        startedAt: AT,
        endedAt: AT + 41_000,
      }),
      taskOf('r', 'math', 'running', {
        holder: 'here',
        attempts: 1,
        startedAt: AT + 29_000,
        step: 7,
        activity: 'Edit test/math/add.test.ts',
      }),
      taskOf('r', 'lint', 'waiting', { needs: ['contract', 'math'] }),
    ])
    expect(
      frame(model, 'run demo-7f2a · 3 tasks', { now: AT + 41_000, columns: 80, rows: 24 }, plain),
    ).toEqual([
      'run demo-7f2a · 3 tasks',
      '  ✓ contract  box-lab     0:41  1 file',
      '  ● math      here        0:12  step 7 · Edit test/math/add.test.ts',
      '  ○ lint                        waits for math',
      '  1 done · 1 running · 1 waiting',
    ])
  })

  it('[CL10] is never wider or higher than the terminal, and keeps what matters', () => {
    const statuses: readonly TaskStatus[] = [...TASK_STATUSES, ...TASK_STATUSES, ...TASK_STATUSES]
    const model = modelOf(
      statuses.map((status, n) =>
        taskOf('r', `task-${n}-${'漢'.repeat(n)}`, status, {
          attempts: 1,
          startedAt: AT,
          reason: 'x'.repeat(200),
          activity: 'y'.repeat(200),
        }),
      ),
    )
    for (const [columns, rows] of [
      [80, 24],
      [40, 10],
      [20, 6],
      [200, 60],
      [10, 3],
    ] as const) {
      const lines = frame(model, 'run '.repeat(50), { now: AT, columns, rows }, plain)
      expect(lines.length).toBeLessThan(Math.max(rows, 5))
      for (const text of lines) expect(width(text)).toBeLessThan(columns)
    }
    const small = frame(model, '', { now: AT, columns: 80, rows: 10 }, plain).join('\n')
    expect(small).toContain('●')
    expect(small).not.toContain('✓')
    expect(small).toContain('and 40 more')
  })
})

describe('the end', () => {
  it.each([
    ['complete', {}, 0],
    ['complete', { problem: { code: 'ORCH_TARGET_MOVED', message: 'm' } }, 9],
    ['partial', {}, 10],
    ['partial', { problem: { code: 'ORCH_PARTIAL', message: 'm' } }, 10],
    ['partial', { problem: { code: 'ORCH_GATE', message: 'm' } }, 8],
    ['failed', {}, 1],
    ['failed', { problem: { code: 'ORCH_GATE', message: 'm' } }, 8],
    ['cancelled', { problem: { code: 'ORCH_GATE', message: 'm' } }, 130],
    ['stuck', {}, 1],
  ] as const)('[CL9] a run that is %s %j ends with %d', (status, fields, exit) => {
    expect(exitOfRun({ run: runOf('r', { status, ...fields }), conflicts: [] })).toBe(exit)
  })

  it('[CL9] a run that is stuck in conflicts ends with 9', () => {
    const conflict = { task: 'r/math', with: ['lint'], paths: ['a'], status: 'held', reason: 'x' } as const
    expect(exitOfRun({ run: runOf('r', { status: 'stuck' }), conflicts: [conflict] })).toBe(9)
    expect(exitOfRun({ run: runOf('r', { status: 'partial' }), conflicts: [conflict] })).toBe(10)
  })

  it('[CL9] the report of a good run names the branch, the gate and what to do next', () => {
    const model = modelOf([
      taskOf('r', 'math', 'accepted', {
        holder: 'here',
        attempts: 2,
        files: 2,
        startedAt: AT,
        endedAt: AT + 41_000,
      }),
    ])
    const run = runOf('demo-7f2a', {
      status: 'complete',
      branch: 'orch/demo-7f2a',
      commit: '5c1e0b2'.padEnd(40, '0'),
      merge: { mode: 'combined', onConflict: 'retry', onPartial: 'land', verify: 'npm test' },
    })
    expect(formatReport(model, { run, conflicts: [], details: [] }, plain, undefined).split('\n')).toEqual([
      '  ✓  math  here  0:41  2 files  2 attempts',
      'integrated 1/1 → orch/demo-7f2a (5c1e0b2) · verify: npm test passed',
      'land it with: orch-node land demo-7f2a',
    ])
  })

  it('[CL9] the report of a bad run tells why, with the last output and what to do', () => {
    const failed = taskOf('demo-7f2a', 'math', 'failed', { attempts: 3, reason: 'exit 1' })
    const blocked = taskOf('demo-7f2a', 'docs', 'blocked', { reason: 'needs a decision' })
    const detail = (from: FakeTask, excerpt: string): TaskDetail => ({
      ...from,
      spec: { kind: 'shell' },
      rejects: [],
      dependants: [],
      explain: '',
      attemptList: [{ attempt: 'a', round: 1, epoch: 1, node: 'n', excerpt }],
    })
    const end = {
      run: runOf('demo-7f2a', { status: 'stuck' }),
      conflicts: [],
      details: [detail(failed, `1\n2\n\u001b[31mAssertionError\u001b[0m\n`), detail(blocked, '')],
    }
    const text = formatReport(modelOf([failed, blocked]), end, plain, 100)
    expect(text).toContain(
      '✗ math failed: exit 1\n    1\n    2\n    AssertionError\n  see: orch-node task logs demo-7f2a/math    again: orch-node task retry demo-7f2a/math',
    )
    expect(text).toContain('waits for a person')
    expect(text).toContain('orch-node task unblock demo-7f2a/docs')
    expect(text).not.toContain('\u001b')
  })

  it('[CL9] a very long run is told by what went wrong', () => {
    const tasks = Array.from({ length: 2_000 }, (_, n) =>
      taskOf('r', `t${n}`, n % 500 === 0 ? 'failed' : 'accepted'),
    )
    const lines = formatReport(
      modelOf(tasks),
      { run: runOf('r', { status: 'partial' }), conflicts: [], details: [] },
      plain,
      undefined,
    ).split('\n')
    expect(lines.filter((text) => text.includes('✗'))).toHaveLength(4)
    expect(lines).toContain('  … and 1996 more')
  })
})

it('[CL10] every status has a mark', () => {
  for (const status of TASK_STATUSES) expect(width(markOf(status))).toBe(1)
})
