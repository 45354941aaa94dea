// The checks that plan files and library submissions share, on plain data; and the bounds of DESIGN 12.
import { describe, expect, it } from 'vitest'
import { benchTasks } from '../../bench/plan-tasks.ts'
import { criticalPath } from '../../src/core/graph.ts'
import * as limit from '../../src/core/limit.ts'
import { nearestName } from '../../src/core/nearest.ts'
import { checkPlan, examinePlan, unfoldPlan } from '../../src/core/plan.ts'
import { quote } from '../../src/core/plan-refusal.ts'
import { readDuration, readSize } from '../../src/core/quantity.ts'
import { BARRIER_KIND, type TaskSpec } from '../../src/core/task.ts'

type Entry = readonly [string, TaskSpec]

const shell = (rest: Partial<TaskSpec> = {}): TaskSpec => ({ kind: 'shell', run: 'true', ...rest })
const one = (rest: Partial<TaskSpec>): Entry[] => [['a', { ...shell(), ...rest }]]

describe('plan', () => {
  it('[PL1] tells all that is wrong in one report', () => {
    const refusals = checkPlan([
      ['b', shell({ needs: ['c', 'zeta'] })],
      ['c', shell({ needs: ['d'] })],
      ['d', shell({ needs: ['b', 'd'] })],
      ['zetta', shell({ if: "success('b')", scope: { write: ['../x'], read: [] } })],
      ['-x', { kind: 'noop' }],
    ])
    expect(refusals.map(({ code, path }) => `${code} ${path.join('.')}`)).toEqual([
      'bad-glob tasks.zetta.scope.write.0',
      'bad-id tasks.-x',
      'missing-need tasks.b.needs.1',
      'self-need tasks.d.needs.1',
      'cycle tasks.b.needs.0',
      'condition-name tasks.zetta.if',
    ])
    expect(refusals[2]).toMatchObject({ hint: 'did you mean "zetta"?' })
    expect(refusals[4]!.message).toBe('tasks wait for each other in a cycle: b -> c -> d -> b')
  })

  it('[PL1] a good plan has no refusals', () => {
    expect(checkPlan([])).toEqual([])
    expect(
      checkPlan([
        ['constructor', shell()],
        ['toString', shell({ needs: ['constructor'] })],
        ['a.b_c-1', { kind: 'noop', payload: 1 }],
      ]),
    ).toEqual([])
  })

  it('[GR3] a long cycle is named with its middle left out; cycles through after are found', () => {
    const ring = Array.from(
      { length: 40 },
      (_, i): Entry => [`t${i}`, shell({ needs: [`t${(i + 1) % 40}`] })],
    )
    expect(checkPlan(ring)[0]!.message).toBe(
      'tasks wait for each other in a cycle: t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> (30 more) -> t36 -> t37 -> t38 -> t39 -> t0',
    )
    expect(
      checkPlan([
        ['a', shell({ after: ['b'] })],
        ['b', shell({ needs: ['a'] })],
      ]),
    ).toMatchObject([{ code: 'cycle', path: ['tasks', 'a', 'after', 0] }])
  })

  it('[PL2] duplicate ids are each named, and the rest is checked', () => {
    const refusals = checkPlan([
      ['a', shell()],
      ['a', shell()],
      ['b', shell({ needs: ['x'] })],
      ['a', shell()],
    ])
    expect(refusals.map((refusal) => refusal.code)).toEqual(['duplicate-id', 'duplicate-id', 'missing-need'])
  })

  it('[PL3] needs may be known to the board; naming one twice is a warning', () => {
    expect(checkPlan(one({ needs: ['old'] }), { known: (id) => id === 'old' })).toEqual([])
    expect(
      checkPlan([
        ['a', shell()],
        ['b', shell({ needs: ['a', 'a'], after: ['a'] })],
      ]),
    ).toMatchObject([
      { severity: 'warning', code: 'duplicate-need', path: ['tasks', 'b', 'needs', 1] },
      { severity: 'warning', code: 'duplicate-need', path: ['tasks', 'b', 'after', 0] },
    ])
  })

  it.each<[string, Partial<TaskSpec>, string, string]>([
    ['empty command', { run: ' ' }, 'empty', 'run'],
    ['no command', { run: undefined as never }, 'no-work', 'run'],
    ['command of another kind', { kind: 'claude' }, 'two-works', 'run'],
    ['1 MB title', { title: 'x'.repeat(1_000_000) }, 'too-long', 'title'],
    ['title of two lines', { title: 'a\nb' }, 'bad-text', 'title'],
    ['title that writes to the terminal', { title: '\u001b[31m' }, 'bad-text', 'title'],
    ['long command', { run: 'é'.repeat(60_000) }, 'too-long', 'run'],
    ['NUL in a command', { run: 'a\0b' }, 'bad-text', 'run'],
    ['10,000 needs', { needs: Array.from({ length: 10_000 }, () => 'a') }, 'too-many', 'needs'],
    [
      '1,001 patterns',
      { scope: { write: Array.from({ length: 1_001 }, (_, i) => `f${i}`), read: [] } },
      'too-many',
      'scope.write',
    ],
    ['bad condition', { if: 'success(' }, 'bad-condition', 'if'],
    ['bad priority', { priority: 'urgent' as never }, 'bad-value', 'priority'],
    ['no time', { timeoutMs: 0 }, 'bad-value', 'timeout'],
    ['endless time', { timeoutMs: 2 ** 31 }, 'bad-value', 'timeout'],
    ['time that is no number', { stallMs: Number.NaN }, 'bad-value', 'stall'],
    ['no attempts', { retry: { strategy: 'fixed', attempts: 0, delayMs: 0 } }, 'bad-value', 'retry.attempts'],
    [
      'half an attempt',
      { retry: { strategy: 'fixed', attempts: 1.5, delayMs: 0 } },
      'bad-value',
      'retry.attempts',
    ],
    [
      'negative delay',
      { retry: { strategy: 'fixed', attempts: 2, delayMs: -1 } },
      'bad-value',
      'retry.delay',
    ],
    ['bad group', { group: { name: 'a b' } }, 'bad-name', 'group'],
    ['no concurrency', { group: { name: 'g', concurrency: 0 } }, 'bad-value', 'group.concurrency'],
    ['bad exclusive name', { exclusive: '' }, 'bad-name', 'exclusive'],
    ['bad capability', { capabilities: ['ok', 'a b'] }, 'bad-name', 'capabilities.1'],
    ['bad variable', { env: { 'A B': '1' } }, 'bad-name', 'env.A B'],
    ['variable of ours', { env: { ORCH_TOKEN: '1' } }, 'reserved', 'env.ORCH_TOKEN'],
    ['NUL in a variable', { env: { A: '\0' } }, 'bad-text', 'env.A'],
    ['long variable', { env: { A: 'x'.repeat(limit.COMMAND_BYTES_MAX + 1) } }, 'too-long', 'env.A'],
    ['negative cpu', { resources: { cpu: -1 } }, 'bad-value', 'resources.cpu'],
    ['half a gpu', { resources: { gpu: 0.5 } }, 'bad-value', 'resources.gpu'],
    [
      'endless quota',
      { resources: { quota: { a: Number.POSITIVE_INFINITY } } },
      'bad-value',
      'resources.quota.a',
    ],
  ])('[PL4] refuses a task with %s', (_, rest, code, path) => {
    const refusals = checkPlan(one(rest)).filter(
      (refusal) => refusal.severity === 'error' && refusal.code !== 'self-need',
    )
    expect(refusals.map((refusal) => [refusal.code, refusal.path.slice(2).join('.')])).toEqual([[code, path]])
    expect(refusals[0]!.message.length).toBeLessThan(300)
  })

  it.each(['', '-a', '.a', 'a/b', 'a b', 'a..b', 'a.lock', 'a.', '__proto__', 'x'.repeat(129), 'ä'])(
    '[PL4] refuses the id %j',
    (id) => {
      expect(checkPlan([[id, shell()]])).toMatchObject([{ code: 'bad-id' }])
    },
  )

  it('[PL5] an unknown kind is refused with the nearest known one', () => {
    const kinds = ['shell', 'claude', 'acp:*']
    expect(checkPlan([['a', { kind: 'cluade', prompt: 'x' }]], { kinds })).toMatchObject([
      { code: 'unknown-agent', hint: 'did you mean "claude"?' },
    ])
    expect(checkPlan([['a', { kind: 'cursor', prompt: 'x' }]], { kinds })).toMatchObject([
      { hint: 'known here: shell, claude, acp:*' },
    ])
    expect(checkPlan([['a', { kind: 'acp:foo', prompt: 'x' }]], { kinds })).toEqual([])
    expect(checkPlan([['a', { kind: 'acp:', prompt: 'x' }]], { kinds })).toHaveLength(1)
    expect(checkPlan([['a', { kind: 'anything' }]])).toEqual([])
  })

  it('[PL6] what no single member offers is refused', () => {
    const capacities = [
      { cpu: 2, memoryBytes: 8 * 2 ** 30, capabilities: ['typescript'] },
      { cpu: 16, memoryBytes: 2 * 2 ** 30, gpu: 1, quota: { anthropic: 2 } },
    ]
    const told = (resources: TaskSpec['resources'], capabilities: string[] = []) =>
      checkPlan(one({ ...(resources && { resources }), capabilities }), { capacities }).map(
        (refusal) => `${refusal.message}${refusal.hint ? `; ${refusal.hint}` : ''}`,
      )
    expect(told({ cpu: 16, gpu: 1, quota: { anthropic: 2 } })).toEqual([])
    expect(told(undefined, ['typescript'])).toEqual([])
    expect(told({ cpu: 64, memoryBytes: 2 ** 40 })).toEqual([
      'no member has cpu 64; the most is 16',
      'no member has memory 1TiB; the most is 8GiB',
    ])
    expect(told({ quota: { toString: 1 } })).toEqual(['no member has quota "toString" 1; the most is 0'])
    expect(told({}, ['rust'])).toEqual(['no member has capability "rust"'])
    expect(told({ cpu: 4, memoryBytes: 4 * 2 ** 30 })).toEqual([
      'no member has all at once: cpu 4, memory 4GiB',
    ])
    expect(checkPlan(one({ resources: { cpu: 1e5 } }), { capacities: [] })).toEqual([])
  })

  it('[PL7] group needs become one barrier task behind all others', () => {
    const group = { name: 'docs' }
    const { tasks, refusals } = unfoldPlan([
      ['a', shell({ group })],
      ['b', shell({ group, needs: ['a'] })],
      ['c', shell({ needs: ['group:docs'], if: "failure('group.docs')" })],
      ['d', shell({ after: ['group:docs'] })],
    ])
    expect(refusals).toEqual([])
    expect(tasks[2]![1].needs).toEqual(['group.docs'])
    expect(tasks[3]![1].after).toEqual(['group.docs'])
    expect(tasks.slice(4)).toEqual([['group.docs', { kind: BARRIER_KIND, needs: ['a', 'b'], order: 4 }]])
    const plain = [['a', shell({ group })]] as const
    expect(unfoldPlan(plain).tasks).toBe(plain)
  })

  it('[PL7] refuses groups without members, ids that a barrier needs, and a member that waits for its own group', () => {
    const group = { name: 'docs' }
    expect(
      unfoldPlan([
        ['a', shell({ group })],
        ['b', shell({ needs: ['group:dogs'] })],
      ]).refusals,
    ).toMatchObject([
      { code: 'missing-group', hint: 'did you mean "docs"?', path: ['tasks', 'b', 'needs', 0] },
    ])
    expect(
      unfoldPlan([
        ['group.docs', shell({ group })],
        ['b', shell({ needs: ['group:docs'] })],
      ]).refusals,
    ).toMatchObject([{ code: 'duplicate-id' }])
    expect(unfoldPlan([['a', shell({ group, needs: ['group:docs'] })]]).refusals).toMatchObject([
      { code: 'cycle', message: expect.stringContaining('a -> group.docs -> a') },
    ])
    // A barrier may have more needs than a task.
    const many = Array.from({ length: limit.NEEDS_MAX + 1 }, (_, i): Entry => [`t${i}`, shell({ group })])
    expect(unfoldPlan([...many, ['z', shell({ needs: ['group:docs'] })]]).refusals).toEqual([])
  })

  it('[PL8] members of a group that name different bounds are refused', () => {
    expect(
      checkPlan([
        ['a', shell({ group: { name: 'g', concurrency: 1 } })],
        ['b', shell({ group: { name: 'g', concurrency: 2 } })],
        ['c', shell({ group: { name: 'g' } })],
      ]),
    ).toMatchObject([{ code: 'group-concurrency', path: ['tasks', 'b', 'group', 'concurrency'] }])
  })

  it('[CO6] a condition may only name needs', () => {
    const tasks = (text: string): Entry[] => [
      ['a', shell()],
      ['b', shell()],
      ['c', shell({ needs: ['a'], after: ['b'], if: text })],
    ]
    expect(checkPlan(tasks("success('a') || always()"))).toEqual([])
    expect(checkPlan(tasks("success('b')"))).toMatchObject([
      { code: 'condition-name', path: ['tasks', 'c', 'if'], hint: 'did you mean "a"?' },
    ])
  })

  it('[PL9] an exclusive task is never retried, and says so', () => {
    expect(
      checkPlan(one({ exclusive: 'staging', retry: { strategy: 'fixed', attempts: 2, delayMs: 1 } })),
    ).toMatchObject([{ severity: 'warning', code: 'exclusive-retry' }])
  })

  // How long it takes is measured by the benchmark; here it must be right at that size, and end.
  it('[PL10] a hundred thousand tasks with two needs each, and ten thousand trivial ones, are checked whole', () => {
    const trivial = Array.from({ length: 10_000 }, (_, i): Entry => [`t${i}`, { kind: 'noop', payload: i }])
    expect(checkPlan(trivial)).toEqual([])
    const { refusals, graph, layering } = examinePlan(benchTasks(100_000))
    expect(refusals).toEqual([])
    expect(layering.order).toHaveLength(100_000)
    expect(criticalPath(graph, layering).length).toBe(layering.count)
  })

  it('[PL10] 10,000 missing needs of long names are all told', () => {
    const names = Array.from({ length: 10_000 }, (_, i) => `quite-a-long-task-name-${i}`)
    const refusals = checkPlan(
      names.map((name, i): Entry => [name, shell({ needs: [`quite-a-long-taks-name-${i}`] })]),
    )
    expect(refusals).toHaveLength(10_000)
  })

  it('[PL11] messages cut long names and escape control characters', () => {
    expect(quote('x'.repeat(100))).toHaveLength(62)
    expect(quote('\u001b[31m\u009b\u2028')).toBe('"\\u001b[31m\\u009b\\u2028"')
  })

  it('[PL12] the nearest name is at most a third of edits away', () => {
    expect(nearestName('need', ['needs', 'after'])).toBe('needs')
    expect(nearestName('mtah', ['math', 'docs'])).toBe('math')
    expect(nearestName('Math', ['math'])).toBe('math')
    expect(nearestName('xyz', ['math', 'docs'])).toBeUndefined()
    expect(nearestName('a', ['b'])).toBe('b')
    expect(nearestName('abcdef', ['abc'])).toBeUndefined()
    expect(nearestName('x'.repeat(1_000_000), ['x'])).toBeUndefined()
  })

  it('[PL13] spans and sizes are read as people write them', () => {
    const spans: [string, number | undefined][] = [
      ['500ms', 500],
      ['90s', 90_000],
      ['30m', 1_800_000],
      ['1h30m', 5_400_000],
      ['1.5h', 5_400_000],
      ['2d', 172_800_000],
      ['0', 0],
      ['1m5ms', 60_005],
    ]
    for (const [text, ms] of spans) expect([text, readDuration(text)]).toEqual([text, ms])
    for (const text of ['', '30', '5x', 'm', '-1s', '1s1m', '1 m', '30d', '1e3s', 's30'])
      expect([text, readDuration(text)]).toEqual([text, undefined])
    const sizes: [string, number][] = [
      ['2GiB', 2 ** 31],
      ['512MB', 512e6],
      ['1.5 GiB', 1.5 * 2 ** 30],
      ['4096', 4096],
      ['0', 0],
      ['1kB', 1_000],
    ]
    for (const [text, bytes] of sizes) expect([text, readSize(text)]).toEqual([text, bytes])
    for (const text of ['', 'GiB', '1XB', '-1', '1 2', '9'.repeat(30)])
      expect([text, readSize(text)]).toEqual([text, undefined])
  })
})
