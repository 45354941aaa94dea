// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of plans look like that
// From text to a checked plan: every kind of mistake has its words, its place and its neighbour's name, and none hides another.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatProblems, type PlanOptions, parsePlan, readPlanFile } from '../../src/config/plan-file.ts'
import { showPath } from '../../src/config/problem.ts'
import { PLAN_BYTES_MAX } from '../../src/core/limit.ts'
import { checkPlan } from '../../src/core/plan.ts'

/** Without the lines about scopes, which are not what most of these plans are about. */
function report(text: string, options: PlanOptions = {}): string[] {
  const { problems } = parsePlan(text, { fileName: 'plan.yaml', ...options })
  return formatProblems('plan.yaml', problems, Number.POSITIVE_INFINITY)
    .split('\n')
    .filter((line) => line !== '' && !/no scope|^\d+ errors?, /.test(line))
}

const codes = (text: string, options: PlanOptions = {}) =>
  parsePlan(text, options)
    .problems.filter((problem) => problem.code !== 'no-scope')
    .map((problem) => `${problem.code} ${problem.path}`)

function plan(text: string, options: PlanOptions = {}) {
  const reading = parsePlan(text, { fileName: 'plan.yaml', ...options })
  if (!reading.plan) throw new Error(formatProblems('plan.yaml', reading.problems))
  return reading.plan
}

const tasks = (text: string, options: PlanOptions = {}) => Object.fromEntries(plan(text, options).tasks)

describe('good plans', () => {
  it('[PL20] makes a plan with only what differs from the defaults', () => {
    const text = `
version: 1
name: add-tests
repo: .
base: HEAD
defaults:
  agent: claude
  timeout: 30m
  retry: { strategy: exponential, attempts: 3, delay: 10s }
  env: { A: 1, B: x }
tasks:
  contract:
    title: Shared test fixtures
    prompt: Create test/fixtures.ts
    scope: { write: [test/fixtures.ts] }
  math:
    needs: [contract]
    after: [docs]
    prompt: Write unit tests
    scope: { write: ["test/math/**"], read: [src/math.ts] }
    priority: high
    due: 2026-12-31
    capabilities: [typescript]
    resources: { cpu: 1, memory: 2GiB, quota: { anthropic: 1 }, gpu: 0 }
    exclusive: staging
    check: npm test -- test/math
    timeout: 1h
    stall: 90s
    onEmpty: reject
    onOutside: trim
    compensation: rm -rf staging
    env: { B: y }
  lint:
    run: npx eslint . --fix
    scope: { write: ["src/**"] }
    needs: [math]
    if: success('math')
    retry: none
  docs:
    run: node tools/docs.mjs \${{ matrix.area }}
    matrix: { area: [api, cli] }
    group: { name: docs, concurrency: 1 }
    retry: 1
    scope: { write: ["docs/\${{ matrix.area }}/**"] }
merge: { mode: per-task, verify: npm test, onConflict: manual, onPartial: hold, land: main }
`
    const retry = { strategy: 'exponential', attempts: 3, delayMs: 10_000 }
    const env = { A: '1', B: 'x' }
    const docs = (area: string, order: number) => ({
      kind: 'shell',
      run: `node tools/docs.mjs ${area}`,
      scope: { write: [`docs/${area}/**`], read: [] },
      group: { name: 'docs', concurrency: 1 },
      env,
      order,
    })
    expect(plan(text, { knownKinds: ['shell', 'claude'] })).toEqual({
      name: 'add-tests',
      repo: '.',
      base: 'HEAD',
      merge: { mode: 'per-task', verify: 'npm test', onConflict: 'manual', onPartial: 'hold', land: 'main' },
      tasks: [
        [
          'contract',
          {
            kind: 'claude',
            title: 'Shared test fixtures',
            prompt: 'Create test/fixtures.ts',
            scope: { write: ['test/fixtures.ts'], read: [] },
            retry,
            env,
            order: 0,
          },
        ],
        [
          'math',
          {
            kind: 'claude',
            prompt: 'Write unit tests',
            needs: ['contract'],
            after: ['docs-api', 'docs-cli'],
            scope: { write: ['test/math/**'], read: ['src/math.ts'] },
            priority: 'high',
            due: Date.UTC(2026, 11, 31),
            capabilities: ['typescript'],
            resources: { cpu: 1, memoryBytes: 2 ** 31, quota: { anthropic: 1 } },
            exclusive: 'staging',
            check: 'npm test -- test/math',
            timeoutMs: 3_600_000,
            stallMs: 90_000,
            onEmpty: 'reject',
            onOutside: 'trim',
            compensation: 'rm -rf staging',
            env: { A: '1', B: 'y' },
            order: 1,
          },
        ],
        [
          'lint',
          {
            kind: 'shell',
            run: 'npx eslint . --fix',
            needs: ['math'],
            if: "success('math')",
            scope: { write: ['src/**'], read: [] },
            env,
            order: 2,
          },
        ],
        ['docs-api', docs('api', 3)],
        ['docs-cli', docs('cli', 4)],
      ],
    })
  })

  it('[PL20] the smallest plan, and its defaults', () => {
    expect(plan('tasks: { hello: { run: echo hello } }', { fileName: 'dir/Add Tests.yaml' })).toEqual({
      name: 'Add Tests',
      merge: { mode: 'combined', onConflict: 'retry', onPartial: 'land' },
      tasks: [['hello', { kind: 'shell', run: 'echo hello', order: 0 }]],
    })
    expect(
      plan('tasks: { hello: { run: echo } }\nmerge: { land: none }', { fileName: '….yaml' }),
    ).toMatchObject({ name: 'plan', merge: { mode: 'combined' } })
    expect(plan('tasks: { hello: { run: echo } }\nmerge: { land: none }').merge).not.toHaveProperty('land')
  })

  it('[PL20] JSON is read as well', () => {
    expect(
      plan('{"name": "j", "tasks": {"a": {"run": "x", "needs": ["b"]}, "b": {"run": "y"}}}').tasks.map(
        ([id]) => id,
      ),
    ).toEqual(['a', 'b'])
  })

  it('[PL20] tasks keep the order of the file, whatever their names', () => {
    expect(
      plan('tasks: { z: { run: a }, "10": { run: a }, "9": { run: a }, a: { run: a } }').tasks.map(
        ([id, spec]) => [id, spec.order],
      ),
    ).toEqual([
      ['z', 0],
      ['10', 1],
      ['9', 2],
      ['a', 3],
    ])
  })

  it('[PL21] prototype names are names like any other', () => {
    const text =
      'tasks: { constructor: { run: a, env: { toString: "1", constructor: 2 } }, toString: { run: b, needs: [constructor] }, hasOwnProperty: { run: c, resources: { quota: { valueOf: 1 } } } }'
    expect(tasks(text)).toMatchObject({
      constructor: { env: { toString: '1', constructor: '2' } },
      toString: { needs: ['constructor'] },
      hasOwnProperty: { resources: { quota: { valueOf: 1 } } },
    })
    expect(codes('tasks: { a: { run: x, needs: [constructor, toString] } }')).toEqual([
      'missing-need tasks.a.needs[0]',
      'missing-need tasks.a.needs[1]',
    ])
    expect(codes('constructor: 1\ntoString: 2\ntasks: { a: { run: x, valueOf: 1 } }')).toEqual([
      'unknown-key constructor',
      'unknown-key toString',
      'unknown-key tasks.a.valueOf',
    ])
  })

  it('[PL21] __proto__ is refused everywhere and pollutes nothing', () => {
    for (const text of [
      'tasks: { a: { run: x }, __proto__: { run: evil } }',
      '__proto__: { evil: 1 }\ntasks: { a: { run: x } }',
      'tasks: { a: { run: x, env: { __proto__: y } } }',
      '{"tasks": {"a": {"run": "x", "__proto__": {"evil": 1}}}}',
    ]) {
      expect(codes(text).map((code) => code.split(' ')[0])).toEqual(['bad-key'])
    }
    expect(
      codes('tasks: { a: { run: x } }', { overrides: ['tasks.__proto__.evil=1', '__proto__.evil=1'] }),
    ).toEqual(['bad-override ', 'bad-override '])
    expect(({} as { evil?: unknown }).evil).toBeUndefined()
  })

  it('[PL22] kinds follow from how the work is given', () => {
    const text = `
tasks:
  a: { run: x }
  b: { agent: scripted, script: demo.jsonl, prompt: what it replays }
  c: { script: demo.jsonl }
  d: { prompt: x, agent: outside }
  e: { prompt: x }
  f: { agent: fn, payload: { n: [1, null, { deep: true }] } }
`
    expect(
      tasks(text, { defaultAgent: 'claude', knownKinds: ['shell', 'scripted', 'outside', 'claude', 'fn'] }),
    ).toMatchObject({
      a: { kind: 'shell', run: 'x' },
      b: { kind: 'scripted', payload: { script: 'demo.jsonl' }, prompt: 'what it replays' },
      c: { kind: 'scripted', payload: { script: 'demo.jsonl' } },
      d: { kind: 'outside' },
      e: { kind: 'claude' },
      f: { kind: 'fn', payload: { n: [1, null, { deep: true }] } },
    })
    expect(
      tasks('defaults: { agent: outside }\ntasks: { a: { prompt: x } }', { defaultAgent: 'shell' }),
    ).toMatchObject({ a: { kind: 'outside' } })
  })

  it('[PL23] retries: a word, a number or a mapping', () => {
    const text =
      'tasks: { a: { run: x, retry: 5 }, b: { run: x, retry: reassign }, c: { run: x, retry: { strategy: fixed, delay: 1m } }, d: { run: x, retry: { attempts: 1 } }, e: { run: x, retry: none } }'
    const all = tasks(text)
    expect(all.a!.retry).toEqual({ strategy: 'exponential', attempts: 5, delayMs: 10_000 })
    expect(all.b!.retry).toEqual({ strategy: 'reassign', attempts: 3, delayMs: 0 })
    expect(all.c!.retry).toEqual({ strategy: 'fixed', attempts: 3, delayMs: 60_000 })
    expect(all.d).not.toHaveProperty('retry')
    expect(all.e).not.toHaveProperty('retry')
  })

  it('[PL24] a matrix makes a task per combination, and its name stands for all of them', () => {
    const text = `
tasks:
  test:
    matrix: { os: [Linux, "mac OS"], node: [20, 1.10] }
    run: test \${{ matrix.os }} \${{matrix.node}} \${{ github.sha }}
    title: \${{ matrix.os }}
    env: { NODE: "\${{ matrix.node }}" }
    scope: { write: [] }
  report: { run: x, needs: [test, test-linux-20], if: "failure('test')", scope: { write: [] } }
  single: { run: x, needs: [test-linux-1-10], after: [test], scope: { write: [] } }
`
    const all = tasks(text)
    const members = ['test-linux-20', 'test-linux-1-10', 'test-mac-os-20', 'test-mac-os-1-10']
    expect(Object.keys(all)).toEqual([...members, 'report', 'single'])
    expect(all['test-mac-os-1-10']).toMatchObject({
      run: 'test mac OS 1.10 ${{ github.sha }}',
      title: 'mac OS',
      env: { NODE: '1.10' },
    })
    expect(all.report).toMatchObject({
      needs: members,
      if: `failure(${members.map((id) => `'${id}'`).join(', ')})`,
    })
    expect(all.single).toMatchObject({ needs: ['test-linux-1-10'], after: members })
  })

  it('[PL7] needs of a group become a barrier; a member need not repeat the bound', () => {
    const text = `
tasks:
  a: { run: x, group: { name: g, concurrency: 1 }, scope: { write: [f] } }
  b: { run: x, group: g, scope: { write: [f] } }
  c: { run: x, needs: [group:g], if: "always('group:g')", scope: { write: [] } }
`
    expect(plan(text).tasks.slice(1)).toEqual([
      [
        'b',
        {
          kind: 'shell',
          run: 'x',
          group: { name: 'g', concurrency: 1 },
          scope: { write: ['f'], read: [] },
          order: 1,
        },
      ],
      [
        'c',
        {
          kind: 'shell',
          run: 'x',
          needs: ['group.g'],
          if: "always('group.g')",
          scope: { write: [], read: [] },
          order: 2,
        },
      ],
      ['group.g', { kind: 'barrier', needs: ['a', 'b'], order: 3 }],
    ])
  })

  it('[PL25] overrides change values before they are checked', () => {
    const text = 'defaults: { timeout: 5m }\ntasks: { math: { run: x, needs: [v1.2] }, v1.2: { run: y } }'
    const overrides = [
      'defaults.timeout=7m',
      'tasks.math.env.X=1.10',
      'tasks.v1.2.run=z=1',
      'tasks.math.needs.0=v1.2',
      'name=other',
      'tasks.new.run=n',
      'tasks.math.capabilities=[a, b]',
      'tasks.math.title=a: {b',
    ]
    expect(plan(text, { overrides })).toMatchObject({
      name: 'other',
      tasks: [
        ['math', { env: { X: '1.10' }, timeoutMs: 420_000, capabilities: ['a', 'b'], title: 'a: {b' }],
        ['v1.2', { run: 'z=1' }],
        ['new', { run: 'n', order: 2 }],
      ],
    })
    expect(
      report(text, {
        overrides: [
          'defaults.timeout=soon',
          'nothing',
          'a..b=1',
          'tasks.math.needs.x=1',
          'tasks.math.run.deep=1',
          'tasks.math.nedes=[]',
        ],
      }),
    ).toEqual([
      '--set nothing  error  "nothing" has no "=": write key=value',
      '--set a..b  error  "a..b" is no path of keys joined by "."',
      '--set tasks.math.needs.x  error  "tasks.math.needs.x" leads through a value that has no keys',
      '--set tasks.math.run.deep  error  "tasks.math.run.deep" leads through a value that has no keys',
      '--set defaults.timeout  error  expected a duration such as 500ms, 90s, 30m, 1h30m, found "soon"',
      '--set tasks.math.nedes  error  unknown key "nedes" (did you mean "needs"?)',
    ])
  })

  it('[PL26] anchors, aliases and merge keys', () => {
    const text = `
tasks:
  a: &base { run: x, timeout: 5m, scope: &s { write: [f] } }
  b: { <<: *base, run: y, needs: [a] }
  c: { <<: [{ run: z }, *base], needs: [b], scope: *s }
`
    expect(tasks(text)).toMatchObject({
      b: { run: 'y', timeoutMs: 300_000, scope: { write: ['f'] } },
      c: { run: 'z', timeoutMs: 300_000 },
    })
  })

  it('[PL27] dates are days or times with a zone', () => {
    const due = (text: string) => tasks(`tasks: { a: { run: x, due: ${text} } }`).a!.due
    expect(due('2026-02-28')).toBe(Date.UTC(2026, 1, 28))
    expect(due('2026-02-28T12:30:00Z')).toBe(Date.UTC(2026, 1, 28, 12, 30))
    expect(due('"2026-02-28 12:30+02:00"')).toBe(Date.UTC(2026, 1, 28, 10, 30))
    for (const text of ['2026-02-30', '2026-02-28T12:30:00', 'tomorrow', '2026-2-8', '2026-02-28T25:00Z']) {
      expect(codes(`tasks: { a: { run: x, due: ${text} } }`)).toEqual(['bad-value tasks.a.due'])
    }
  })
})

describe('problems', () => {
  const SHELL = 'run: x, scope: { write: [] }'

  it('[PL30] one report tells all problems, in the order of the file, with line and column', () => {
    const text = `version: 2
nme: x
defaults: { timout: 5m, retry: never }
tasks:
  a: { run: [1], need: [b] }
  b: { run: x, needs: [c, zz], scope: { write: [a/**, ../x] } }
  c: { run: x, needs: [d], timeout: 30 }
  d: { run: x, needs: [b, d] }
  e: 5
  f: { run: x, prompt: y, priority: hihg, if: success('q') & }
merge: { mode: combine, land: -x }
`
    expect(report(text)).toEqual([
      'plan.yaml:1:10  error  expected 1: this program reads version 1 of the plan format, found the number 2',
      'plan.yaml:2:1  error  unknown key "nme" (did you mean "name"?)',
      'plan.yaml:3:13  error  unknown key "timout" (did you mean "timeout"?)',
      'plan.yaml:3:32  error  expected none, fixed, exponential, reassign, a number of attempts, or { strategy, attempts, delay }, found "never"',
      'plan.yaml:5:13  error  expected text, found a list',
      'plan.yaml:5:18  error  unknown key "need" (did you mean "needs"?)',
      'plan.yaml:6:24  error  tasks wait for each other in a cycle: b -> c -> d -> b (each needs the next: take one of these needs out)',
      'plan.yaml:6:27  error  "b" needs "zz", which is no task',
      'plan.yaml:6:55  error  pattern "../x" cannot be used: it has ".." (a scope stays inside the repository)',
      'plan.yaml:7:37  error  expected a duration such as 500ms, 90s, 30m, 1h30m, found the number 30',
      'plan.yaml:8:27  error  "d" needs itself',
      'plan.yaml:9:6  error  expected a mapping, found the number 5',
      'plan.yaml:10:24  error  a task has one of run, prompt, script and payload; this one has run and prompt',
      'plan.yaml:10:37  error  expected critical, high, medium, low, backlog, found "hihg" (did you mean "high"?)',
      'plan.yaml:10:47  error  condition "success(\'q\') &" at character 14: unexpected "&"',
      'plan.yaml:11:16  error  expected combined, per-task, found "combine" (did you mean "combined"?)',
      'plan.yaml:11:31  error  "-x" cannot be a branch name',
    ])
  })

  it.each<[string, string, string[]]>([
    [
      'unknown key',
      `tasks: { a: { ${SHELL}, neds: [] } }`,
      ['plan.yaml:1:45  error  unknown key "neds" (did you mean "needs"?)'],
    ],
    [
      'unknown key in a small mapping',
      `tasks: { a: { run: x, scope: { files: [] } } }`,
      ['plan.yaml:1:32  error  unknown key "files" (known here: write, read)'],
    ],
    [
      'wrong type',
      `tasks: { a: { ${SHELL}, needs: b } }`,
      ['plan.yaml:1:52  error  expected a list, found "b"'],
    ],
    [
      'wrong type in a list',
      `tasks: { a: { ${SHELL}, needs: [{}] } }`,
      ['plan.yaml:1:53  error  expected text, found a mapping'],
    ],
    [
      'nothing where a value belongs',
      'tasks: { a: { run: } }',
      ['plan.yaml:1:15  error  expected text, found nothing'],
    ],
    [
      'a switch where text belongs',
      'tasks: { a: { run: true } }',
      ['plan.yaml:1:20  error  expected text, found the switch true'],
    ],
    [
      'missing need',
      `tasks: { math: { ${SHELL} }, b: { ${SHELL}, needs: [mth] } }`,
      ['plan.yaml:1:93  error  "b" needs "mth", which is no task (did you mean "math"?)'],
    ],
    [
      'missing soft need',
      `tasks: { math: { ${SHELL} }, b: { ${SHELL}, after: [mth] } }`,
      ['plan.yaml:1:93  error  "b" comes after "mth", which is no task (did you mean "math"?)'],
    ],
    ['self-need', `tasks: { a: { ${SHELL}, needs: [a] } }`, ['plan.yaml:1:53  error  "a" needs itself']],
    [
      'cycle',
      `tasks:\n  c: { ${SHELL}, needs: [a] }\n  a: { ${SHELL}, needs: [b] }\n  b: { ${SHELL}, needs: [c] }`,
      [
        'plan.yaml:2:46  error  tasks wait for each other in a cycle: c -> a -> b -> c (each needs the next: take one of these needs out)',
      ],
    ],
    [
      'duplicate id',
      `tasks:\n  a: { ${SHELL} }\n  a: { ${SHELL} }`,
      ['plan.yaml:3:3  error  task "a" stands here twice'],
    ],
    [
      'duplicate key',
      'tasks: { a: { run: x, run: y } }',
      ['plan.yaml:1:23  error  key "run" stands here twice'],
    ],
    [
      'bad glob',
      'tasks: { a: { run: x, scope: { write: [/etc] } } }',
      [
        'plan.yaml:1:40  error  pattern "/etc" cannot be used: it is absolute (paths start at the root of the repository)',
      ],
    ],
    [
      'overlapping write scopes',
      'tasks:\n  a: { run: x, scope: { write: [src/**] } }\n  b: { run: x, scope: { write: [src/a.ts] } }',
      [
        'plan.yaml:2:33  error  "a" and "b" may run at once and both write "src/a.ts" ("src/**" and "src/a.ts") (order them with needs or after, narrow a scope, or put both in a group with concurrency: 1)',
      ],
    ],
    [
      'unknown agent',
      'tasks: { a: { prompt: x, agent: scriptd } }',
      ['plan.yaml:1:33  error  no agent "scriptd" on this node (did you mean "scripted"?)'],
    ],
    [
      'unknown default agent',
      'defaults: { agent: claud }\ntasks: { a: { prompt: x }, b: { prompt: y } }',
      ['plan.yaml:1:20  error  no agent "claud" on this node (known here: shell, scripted, outside)'],
    ],
    [
      'prompt without an agent',
      'tasks: { a: { prompt: x } }',
      [
        'plan.yaml:1:23  error  a task with "prompt" needs an agent (name one with agent, with defaults.agent or with --agent)',
      ],
    ],
    [
      'prompt for the shell',
      'tasks: { a: { prompt: x, agent: shell } }',
      ['plan.yaml:1:33  error  a shell task needs run; a prompt is for an agent'],
    ],
    [
      'command for an agent',
      'tasks: { a: { run: x, agent: scripted } }',
      [
        'plan.yaml:1:30  error  a task with "run" is run by shell, not by "scripted" (leave "agent" or "run" away)',
      ],
    ],
    [
      'scripted without its file',
      'tasks: { a: { prompt: x, agent: scripted } }',
      ['plan.yaml:1:23  error  a scripted task needs the file of its recording (name it with script)'],
    ],
    [
      'barrier by hand',
      'tasks: { a: { agent: barrier } }',
      ['plan.yaml:1:22  error  barriers are made by needs: [group:NAME]'],
    ],
    [
      'nothing to do',
      'tasks:\n  a:\n    title: x',
      [
        'plan.yaml:2:3  error  the task has nothing to do (give it a command with run, or a prompt and an agent)',
      ],
    ],
    [
      'empty task',
      'tasks:\n  a:\n',
      [
        'plan.yaml:2:3  error  the task has nothing to do (give it a command with run, or a prompt and an agent)',
      ],
    ],
    ['tab', 'tasks:\n\ta: {}', ['plan.yaml:2:1  error  not valid YAML: Tabs are not allowed as indentation']],
    [
      'several documents',
      'tasks: { a: { run: x } }\n---\ntasks: {}',
      ['plan.yaml:2:1  error  the file has several documents (---); a plan is one'],
    ],
    [
      'empty file',
      '',
      [
        'plan.yaml:1:1  error  the file is empty (a plan has at least: tasks: { hello: { run: echo hello } })',
      ],
    ],
    [
      'file of comments',
      '# nothing\n',
      [
        'plan.yaml:1:1  error  the file is empty (a plan has at least: tasks: { hello: { run: echo hello } })',
      ],
    ],
    [
      'text that is no plan',
      'just some words',
      ['plan.yaml:1:1  error  a plan is a mapping with the key "tasks"'],
    ],
    ['list', '- a\n- b', ['plan.yaml:1:1  error  a plan is a mapping with the key "tasks"']],
    [
      'not YAML',
      '{{{ not yaml',
      [
        'plan.yaml:1:13  error  not valid YAML: Flow map in block collection must be sufficiently indented and end with a }',
      ],
    ],
    ['no tasks', 'name: x', ['plan.yaml:1:1  error  the key "tasks" is missing']],
    ['empty tasks', 'tasks: {}', ['plan.yaml:1:8  error  the plan has no tasks']],
    [
      'tasks as a list',
      'tasks: [{ run: x }]',
      ['plan.yaml:1:8  error  expected a mapping of task ids to tasks, found a list'],
    ],
    [
      'key that is no text',
      'tasks: { ? [a] : { run: x } }',
      ['plan.yaml:1:8  error  the plan has no tasks', 'plan.yaml:1:12  error  a key must be plain text'],
    ],
    [
      'alias of nothing',
      'tasks: { a: *gone }',
      ['plan.yaml:1:13  error  no value above has the anchor &gone'],
    ],
    ['alias of itself', 'tasks: &t { a: *t }', ['plan.yaml:1:16  error  *t contains itself']],
    [
      'name without letters',
      'name: "!!"\ntasks: { a: { run: x } }',
      ['plan.yaml:1:7  error  the name "!!" has no letter or digit'],
    ],
    [
      'base that is an option',
      'base: --all\ntasks: { a: { run: x } }',
      ['plan.yaml:1:7  error  "--all" cannot be used as base'],
    ],
    [
      'group without members',
      'tasks: { a: { run: x, needs: [group:g] } }',
      ['plan.yaml:1:31  error  no task is in group "g"'],
    ],
    [
      'group that bounds twice',
      'tasks: { a: { run: x, group: { name: g, concurrency: 1 } }, b: { run: x, group: { name: g, concurrency: 3 } } }',
      [
        'plan.yaml:1:105  error  group "g" has concurrency 3 here and 1 elsewhere (one member is enough to say it)',
      ],
    ],
    [
      'long time',
      'tasks: { a: { run: x, timeout: 90d } }',
      ['plan.yaml:1:32  error  "90d" is longer than a timer takes (24 days)'],
    ],
    [
      'variable of ours',
      'defaults: { env: { ORCH_X: 1 } }\ntasks: { a: { run: x }, b: { run: x } }',
      ['plan.yaml:1:28  error  ORCH_X is set by the node (choose a name that does not begin with ORCH_)'],
    ],
  ])('[PL31] %s', (_, text, expected) => {
    const lines = report(text)
    expect(lines).toEqual(expected)
    expect(parsePlan(text).plan).toBeUndefined()
  })

  it('[PL31] resources that no member has', () => {
    const capacities = [{ cpu: 2, memoryBytes: 2 ** 33 }]
    expect(
      report(
        'tasks:\n  a: { run: x, resources: { cpu: 64, memory: 2TiB } }\n  b: { run: x, capabilities: [gpu-lab] }',
        { capacities },
      ),
    ).toEqual([
      'plan.yaml:2:34  error  no member has cpu 64 (the most is 2)',
      'plan.yaml:2:46  error  no member has memory 2TiB (the most is 8GiB)',
      'plan.yaml:3:31  error  no member has capability "gpu-lab"',
    ])
    expect(
      report('defaults: { resources: { gpu: 1 } }\ntasks: { a: { run: x }, b: { run: x } }', { capacities }),
    ).toEqual(['plan.yaml:1:31  error  no member has gpu 1 (the most is 0)'])
  })

  it('[PL31] a 1 MB title and 10,000 needs are refused in a line each', () => {
    const needs = Array.from({ length: 10_000 }, (_, i) => `t${i}`)
    const text = `tasks:\n  big: { run: x, title: ${'x'.repeat(1_000_000)} }\n  many: { run: x, needs: [${needs.join(', ')}] }\n${needs.map((id) => `  ${id}: { run: x }`).join('\n')}`
    expect(report(text)).toEqual([
      'plan.yaml:2:25  error  title has 1000000 characters; at most 1000 are taken',
      'plan.yaml:3:26  error  "many" has 10000 entries in needs; at most 5000 are taken (put them in a group and name "group:NAME")',
    ])
  })

  it('[PL31] matrix mistakes', () => {
    expect(report('tasks: { a: { run: "x ${{ matrix.areas }}", matrix: { area: [b] } } }')).toEqual([
      'plan.yaml:1:20  error  the matrix has no "areas" (did you mean "area"?)',
    ])
    expect(report('tasks: { a: { run: "x ${{ matrix.area }}" } }')).toEqual([
      'plan.yaml:1:20  warning  ${{ matrix.area }} stays as it is: task "a" has no matrix',
    ])
    expect(codes('tasks: { a: { run: x, matrix: { area: [] } } }')).toEqual(['bad-value tasks.a.matrix.area'])
    expect(codes('tasks: { a: { run: x, matrix: {} } }')).toEqual(['bad-matrix tasks.a.matrix'])
    expect(codes('tasks: { a: { run: x, matrix: { area: ["***"] } } }')).toEqual([
      'bad-matrix tasks.a.matrix',
    ])
    expect(codes('tasks: { a: { run: x, matrix: [1] } }')).toEqual(['wrong-type tasks.a.matrix'])
    expect(codes('tasks: { a: { run: x, matrix: { x: [A, a] } }, b: { run: x, needs: [a] } }')).toEqual([
      'duplicate-id tasks.a',
    ])
    expect(codes('tasks: { a: { run: x, matrix: { x: [b] } }, a-b: { run: x } }')).toEqual([
      'duplicate-id tasks.a-b',
    ])
    const wide = Array.from({ length: 101 }, (_, i) => i).join(', ')
    expect(report(`tasks: { a: { run: x, matrix: { x: [${wide}], y: [${wide}] } } }`)[0]).toContain(
      'the matrix makes 10201 tasks; at most 10000 are taken',
    )
  })

  it('[PL32] what all tasks of a matrix share is told once', () => {
    expect(
      codes(
        'tasks: { a: { run: "${{ matrix.x }}", nedes: [], needs: [gone], scope: { write: [../y] }, timeout: 1, matrix: { x: [1, 2, 3] } } }',
      ),
    ).toEqual([
      'unknown-key tasks.a.nedes',
      'missing-need tasks.a.needs[0]',
      'bad-glob tasks.a.scope.write[0]',
      'wrong-type tasks.a.timeout',
    ])
    expect(codes('tasks: { a: { run: x, scope: { write: [f] }, matrix: { x: [1, 2, 3] } } }')).toEqual([
      'scope-overlap tasks.a.scope.write[0]',
    ])
  })

  it('[PL33] a task that is partly unreadable causes no further complaints', () => {
    expect(
      codes('tasks: { a: { rum: x, scope: { write: [f] } }, b: { run: x, scope: { write: [f] } } }'),
    ).toEqual(['unknown-key tasks.a.rum'])
    expect(
      codes(
        'tasks: { a: { run: x, need: [b], scope: { write: [f] } }, b: { run: x, scope: { write: [f] } } }',
      ),
    ).toEqual(['unknown-key tasks.a.need'])
  })

  it('[PL34] text from a stranger cannot exhaust memory or stack', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) =>
        `a${i}: &a${i} [${Array.from({ length: 10 }, () => (i === 0 ? 'x' : `*a${i - 1}`)).join(', ')}]`,
    )
    const bomb = parsePlan(`${levels.join('\n')}\ntasks: { a: { run: x } }`).problems
    expect(bomb.filter((problem) => problem.code === 'alias-bomb')).toHaveLength(1)
    for (const deep of [
      '['.repeat(100_000),
      '- '.repeat(100_000),
      'a: '.repeat(5_000),
      '{a: '.repeat(5_000),
      '? '.repeat(20_000),
      Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    ]) {
      const { problems } = parsePlan(deep)
      expect(problems.length).toBeGreaterThan(0)
      expect(problems.length).toBeLessThan(20)
    }
    expect(parsePlan(`tasks: ${'['.repeat(65)}${']'.repeat(65)}`).problems).toMatchObject([
      { code: 'too-deep', line: 1 },
    ])
    expect(parsePlan('x'.repeat(PLAN_BYTES_MAX + 1)).problems).toMatchObject([{ code: 'too-large' }])
  })

  it('[PL35] anything at all is read without an exception, and an error means no plan', () => {
    const word = fc.constantFrom(
      'tasks',
      'a',
      'b',
      'run',
      'prompt',
      'needs',
      'if',
      'scope',
      'matrix',
      'group',
      '__proto__',
      'constructor',
      'defaults',
      'merge',
      'env',
      '<<',
      '${{ matrix.a }}',
      '**',
      "success('a')",
    )
    const value = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        { maxDepth: 5 },
        word,
        fc.constantFrom<unknown>(null, true, 0, -1, 1.5, 'x', ''),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(word, tie('any'), { maxKeys: 4 }),
      ),
    })).any
    const check = (text: string) => {
      const { plan: made, problems } = parsePlan(text)
      expect(made === undefined).toBe(problems.some((problem) => problem.severity === 'error'))
      for (const problem of problems) {
        expect(problem.line).toBeGreaterThanOrEqual(1)
        expect(problem.column).toBeGreaterThanOrEqual(1)
        expect(problem.message).not.toContain('\0')
      }
      if (made) expect(checkPlan(made.tasks).filter((refusal) => refusal.severity === 'error')).toEqual([])
    }
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('tasks', 'defaults', 'merge', 'name'), value), (root) =>
        check(JSON.stringify(root)),
      ),
      { numRuns: 300 },
    )
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.dictionary(word, value)), (all) =>
        check(JSON.stringify({ tasks: all })),
      ),
      { numRuns: 300 },
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => check(text)),
      { numRuns: 300 },
    )
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.constantFrom(
            ':',
            ' ',
            '\n',
            '-',
            '[',
            ']',
            '{',
            '}',
            '*',
            '&',
            'a',
            '"',
            '#',
            '?',
            '|',
            '!',
            '\t',
          ),
          maxLength: 40,
        }),
        (text) => check(text),
      ),
      { numRuns: 500 },
    )
  })

  it('[PL36] the report shows at most so many problems and counts the rest', () => {
    const { problems } = parsePlan(
      `tasks:\n${Array.from({ length: 300 }, (_, i) => `  t${i}: { rum: x }`).join('\n')}`,
    )
    const lines = formatProblems('p.yaml', problems).split('\n')
    expect(lines).toHaveLength(202)
    expect(lines.slice(-2)).toEqual(['… and 100 more', '300 errors, 0 warnings'])
    expect(formatProblems('p.yaml', [])).toBe('')
    expect(formatProblems('p.yaml', problems.slice(0, 1))).toBe(
      'p.yaml:2:9  error  unknown key "rum" (did you mean "run"?)\n1 error, 0 warnings',
    )
  })

  it('[PL36] paths are shown as one would write them', () => {
    expect(showPath(['tasks', 'math', 'needs', 1])).toBe('tasks.math.needs[1]')
    expect(showPath(['tasks', 'a b', 'env'])).toBe('tasks["a b"].env')
    expect(showPath([])).toBe('')
  })
})

describe('files', () => {
  let dir = ''
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'plan-'))
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))

  const file = async (name: string, content: string | Uint8Array) => {
    const path = join(dir, name)
    await writeFile(path, content)
    return path
  }

  it('[PL37] reads a file, and names the plan by it', async () => {
    const reading = await readPlanFile(await file('My Plan.yml', '\ufefftasks: { a: { run: x } }'))
    expect(reading).toMatchObject({ plan: { name: 'My Plan' }, problems: [] })
  })

  it.each<[string, () => Promise<string>, string]>([
    ['a directory', async () => dir, 'is-directory'],
    ['a missing file', async () => join(dir, 'gone.yaml'), 'not-found'],
    ['a path through a file', async () => join(await file('plain.yaml', 'x'), 'y'), 'not-found'],
    ['a device', async () => '/dev/zero', 'unreadable'],
    ['bytes that are no text', () => file('bytes.yaml', Uint8Array.of(0xff, 0xfe, 0, 1)), 'not-text'],
    ['an empty file', () => file('empty.yaml', ''), 'empty-file'],
    [
      'a file over the limit',
      () => file('large.yaml', new Uint8Array(PLAN_BYTES_MAX + 1).fill(32)),
      'too-large',
    ],
  ])('[PL37] %s is a problem, not an exception', async (_, make, code) => {
    const reading = await readPlanFile(await make())
    expect(reading.plan).toBeUndefined()
    expect(reading.problems).toMatchObject([{ severity: 'error', code, line: 1, column: 1 }])
  })
})
