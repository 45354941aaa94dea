/** Kind `shell`: what becomes of output, of `$ORCH_DIR` and of the environment. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { HANDOFF_BYTES_MAX, OUTPUT_EXCERPT_BYTES } from '../../src/core/limit.ts'
import { buildEnvironment } from '../../src/executor/environment.ts'
import { reportDir } from '../../src/executor/process-executor.ts'
import { readReports } from '../../src/executor/report.ts'
import { createShellExecutor } from '../../src/executor/shell.ts'
import { cleanUp, collect, eventually, makeAttempt } from './attempt.ts'

afterAll(() => expect(cleanUp()).toEqual([]))

const handoff = {
  current_focus: 'the parser',
  progress: ['read the grammar'],
  next_steps: ['write it'],
  blockers: ['none'],
  updated_at: '2026-01-01T00:00:00Z',
}

async function run(command: string, over: Parameters<typeof makeAttempt>[1] = {}) {
  const seen = collect()
  const spec = makeAttempt({ run: command }, over)
  const end = await (await createShellExecutor().start(spec, seen.listener)).ended
  return { seen, end, spec }
}

describe('output', () => {
  it('[EX19] lines become text; escapes, controls and invalid bytes do not reach it', async () => {
    const { seen, end } = await run(
      String.raw`printf '\033[31mred\033[0m \033]0;title\007plain\n'; printf 'a\000b\377c\n'; printf '10%%\r50%%\r100%%\n'; printf 'no line feed'`,
    )
    expect(seen.text()).toBe('red plain\nab\uFFFDc\n100%\nno line feed\n')
    expect(end.excerpt).toBe('red plain\nab\uFFFDc\n100%\nno line feed')
    expect(seen.of('output').at(-1)).toEqual({ type: 'output', bytes: end.outputBytes })
  })

  it('[EX19] a flood is a few events, with marks for what was left out', async () => {
    const { seen, end } = await run('yes 0123456789 | head -c 50000000; echo; echo last')
    expect(end.outputBytes).toBe(50_000_006)
    const seconds = (end.endedAt - end.startedAt) / 1000
    expect(seen.of('text').length).toBeLessThan(25 * seconds + 10)
    expect(seen.text().length).toBeLessThan(70_000 * (25 * seconds + 10))
    expect(seen.text().endsWith('\nlast\n')).toBe(true)
    // no torn line is told
    expect(
      seen
        .text()
        .split('\n')
        .filter((line) => !/^(\d{1,10}|last|)$/.test(line)),
    ).toEqual([])
    expect(seen.of('output').at(-1)?.bytes).toBe(50_000_006)
  })

  it.each([
    ['the beginning of a line', 23893, '5001\n'],
    ['the middle of a line', 23891, '5001\n'],
    ['the first byte', 0, '1\n'],
  ])('[EX19] an adopted attempt goes on at %s', async (_name, from, first) => {
    const { spec } = await run('seq 1 10000')
    const whole = Array.from({ length: 10_000 }, (_, i) => `${i + 1}\n`).join('')
    expect(whole.slice(23893).startsWith('5001\n')).toBe(true)
    const late = collect()
    const adopted = await createShellExecutor({ resumeFrom: () => from }).adopt(spec, late.listener)
    await adopted!.ended
    expect(late.text()).toBe(whole.slice(whole.indexOf(first)))
  })

  it('[EX20] the excerpt is the last output, whole characters, bounded', async () => {
    const { end } = await run('for i in $(seq 1 3000); do printf "äöü€😀 "; done')
    expect(Buffer.byteLength(end.excerpt)).toBeLessThanOrEqual(OUTPUT_EXCERPT_BYTES)
    expect(Buffer.byteLength(end.excerpt)).toBeGreaterThan(OUTPUT_EXCERPT_BYTES - 10)
    expect(end.excerpt).not.toContain('\uFFFD')
  })

  it('[EX20] the usage tells the time it took', async () => {
    const { end } = await run('sleep 0.2')
    expect(end.usage?.wallMs).toBeGreaterThanOrEqual(190)
    expect(end.usage?.wallMs).toBe(end.endedAt - end.startedAt)
  })
})

describe('$ORCH_DIR', () => {
  it('[EX21] step, status and handoff become events, also those of the last instant', async () => {
    const { seen, spec } = await run(
      `cat > "$ORCH_DIR/handoff.json" <<'E'\n${JSON.stringify(handoff)}\nE\necho 7 > "$ORCH_DIR/step"; echo 'writing tests' > "$ORCH_DIR/status"; echo '# Done' > "$ORCH_DIR/summary.md"`,
    )
    expect(seen.of('step').at(-1)).toEqual({ type: 'step', n: 7, status: 'writing tests' })
    expect(seen.of('progress')).toEqual([{ type: 'progress', handoff }])
    expect(readReports(reportDir(spec))).toEqual({ handoff, summary: '# Done\n' })
  })

  it('[EX21] they are told while the attempt runs', async () => {
    const seen = collect()
    const spec = makeAttempt({ run: 'echo 1 > "$ORCH_DIR/step"; until [ -e go ]; do sleep 0.01; done' })
    const running = await createShellExecutor().start(spec, seen.listener)
    await eventually('step 1', () => seen.of('step').some((event) => event.n === 1))
    writeFileSync(join(spec.workspace, 'go'), '')
    expect((await running.ended).exit).toBe(0)
    expect(seen.of('step')).toHaveLength(1)
  })

  const cases: [string, (dir: string) => void, object][] = [
    ['nothing', () => {}, {}],
    ['no JSON', (dir) => writeFileSync(join(dir, 'handoff.json'), '{'), {}],
    [
      'wrong type of a field',
      (dir) => writeFileSync(join(dir, 'handoff.json'), JSON.stringify({ ...handoff, progress: 'x' })),
      {},
    ],
    [
      'missing field',
      (dir) =>
        writeFileSync(join(dir, 'handoff.json'), JSON.stringify({ ...handoff, next_steps: undefined })),
      {},
    ],
    [
      'unknown fields',
      (dir) => writeFileSync(join(dir, 'handoff.json'), JSON.stringify({ ...handoff, extra: 1 })),
      { handoff },
    ],
    [
      'too large',
      (dir) =>
        writeFileSync(
          join(dir, 'handoff.json'),
          JSON.stringify({ ...handoff, progress: ['x'.repeat(HANDOFF_BYTES_MAX)] }),
        ),
      {},
    ],
    ['a directory', (dir) => mkdirSync(join(dir, 'handoff.json')), {}],
    ['a link', (dir) => symlinkSync('/etc/passwd', join(dir, 'summary.md')), {}],
    [
      'a long summary',
      (dir) => writeFileSync(join(dir, 'summary.md'), 'y'.repeat(HANDOFF_BYTES_MAX + 5)),
      { summary: 'y'.repeat(HANDOFF_BYTES_MAX) },
    ],
  ]
  it.each(cases)('[EX21] reports are checked: %s', (_name, write, expected) => {
    const dir = reportDir(makeAttempt({}))
    write(dir)
    expect(readReports(dir)).toEqual(expected)
  })

  it('[EX21] a handoff without a date has that of its file', () => {
    const dir = reportDir(makeAttempt({}))
    writeFileSync(join(dir, 'handoff.json'), JSON.stringify({ ...handoff, updated_at: undefined }))
    expect(readReports(dir).handoff?.updated_at).toMatch(/^20\d\d-\d\d-\d\dT/)
  })
})

describe('environment', () => {
  const parent = {
    PATH: '/bin',
    HOME: '/home/me',
    LANG: 'C.UTF-8',
    LC_ALL: 'C',
    TERM: 'xterm',
    TZ: 'UTC',
    AWS_SECRET_ACCESS_KEY: 's3cret',
    GITHUB_TOKEN: 't0ken',
    CLAUDECODE: '1',
    CLAUDE_CODE_ENTRYPOINT: 'cli',
    NODE_OPTIONS: '--inspect',
    ORCH_TOKEN: 'of the outer attempt',
    GIT_DIR: '/elsewhere',
  }

  it('[EX22] is an allow-list, the task and the attempt, nothing else', () => {
    expect(
      buildEnvironment(parent, { CI: '1', LANG: 'de_DE' }, { ORCH_RUN: 'r' }, { platform: 'linux' }),
    ).toEqual({
      PATH: '/bin',
      HOME: '/home/me',
      LANG: 'de_DE',
      LC_ALL: 'C',
      TERM: 'dumb',
      TZ: 'UTC',
      CI: '1',
      ORCH_RUN: 'r',
    })
  })

  it('[EX22] the operator can keep more, never ORCH_', () => {
    const env = buildEnvironment(
      parent,
      undefined,
      {},
      { platform: 'linux', keep: ['GITHUB_TOKEN', 'ORCH_TOKEN'] },
    )
    expect(env.GITHUB_TOKEN).toBe('t0ken')
    expect(env.ORCH_TOKEN).toBeUndefined()
  })

  it('[EX22] keeps what Windows needs there, whatever the case of its name', () => {
    const env = buildEnvironment(
      { SystemRoot: 'C:\\Windows', Path: 'C:\\bin', SECRET: 'x' },
      undefined,
      {},
      { platform: 'win32' },
    )
    expect(env).toEqual({ SystemRoot: 'C:\\Windows', Path: 'C:\\bin' })
  })

  it.each(['ORCH_TOKEN', 'orch_x', '1A', 'A-B', ''])('[EX22] refuses the name %j of a task', (name) => {
    expect(() => buildEnvironment({}, { [name]: 'x' }, {})).toThrowError(
      expect.objectContaining({ code: 'ORCH_PLAN_INVALID' }),
    )
  })

  it('[EX22] the worker sees exactly that environment and its id', async () => {
    const { seen, spec } = await run('env | sort', {
      env: buildEnvironment(parent, { MINE: 'yes' }, { ORCH_RUN: 'run-1' }),
    })
    const names = seen
      .text()
      .trim()
      .split('\n')
      .map((line) => line.slice(0, line.indexOf('=')))
    // PWD, OLDPWD, SHLVL, _ are set by shells
    expect(names.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual([
      'HOME',
      'LANG',
      'LC_ALL',
      'MINE',
      'ORCH_ATTEMPT',
      'ORCH_DIR',
      'ORCH_RUN',
      'PATH',
      'TERM',
      'TZ',
    ])
    expect(seen.text()).toContain(`ORCH_ATTEMPT=${spec.id}\n`)
  })
})
