/** Goal: the program as people start it: exit codes, pipes, signals, nodes that come and go. Method: real processes over real data directories. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readEndpoint } from '../../src/api/endpoint.ts'

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const LOADER = import.meta.resolve('tsx')
/** A process start with the loader, and the work of a node, on a loaded machine. */
const SLOW_MS = 120_000

let dir: string
const children = new Set<ChildProcess>()

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'orch-cli-'))
})

afterEach(async () => {
  // A node that was started in the background is no child of ours: its file names it.
  const reading = readEndpoint(join(dir, 'data'))
  if (reading.state === 'listening') process.kill(reading.endpoint.pid, 'SIGKILL')
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
})

interface Started {
  readonly child: ChildProcess
  readonly done: Promise<{ readonly exit: number | null; readonly stdout: string; readonly stderr: string }>
  /** Resolves when stderr or stdout has it. */
  says(words: RegExp): Promise<void>
}

function start(...args: readonly string[]): Started {
  const env = {
    PATH: process.env.PATH,
    HOME: dir,
    ORCH_DATA_DIR: join(dir, 'data'),
    ORCH_HTTP_PORT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
  }
  const child = spawn(process.execPath, ['--import', LOADER, MAIN, ...args], {
    cwd: dir,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  let stdout = ''
  let stderr = ''
  const waiting = new Set<() => void>()
  const heard = () => {
    for (const check of [...waiting]) check()
  }
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk)
    heard()
  })
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk)
    heard()
  })
  const done = new Promise<{ exit: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (exit) => {
      children.delete(child)
      resolve({ exit, stdout, stderr })
    })
  })
  const says = (words: RegExp) =>
    new Promise<void>((resolve, reject) => {
      const check = () => {
        if (!words.test(stdout) && !words.test(stderr)) return
        waiting.delete(check)
        resolve()
      }
      waiting.add(check)
      check()
      void done.then(() => reject(new Error(`ended without ${words}:\n${stdout}\n${stderr}`)))
    })
  return { child, done, says }
}

const run = (...args: readonly string[]) => start(...args).done
const plan = (name: string, text: string) => writeFileSync(join(dir, name), text)

describe('the program', () => {
  it(
    '[CL2] exit codes and JSON, as a script sees them',
    async () => {
      plan('bad.yaml', 'tasks: { a: { run: "true", need: [b] } }')
      const [version, usage, invalid, noNode, help] = await Promise.all([
        run('version', '--json'),
        run('--json', 'bogus'),
        run('run', 'bad.yaml'),
        run('status', '--json'),
        run('--help'),
      ])
      expect(version).toMatchObject({ exit: 0, stderr: '' })
      expect(JSON.parse(version.stdout)).toMatchObject({
        schemaVersion: 1,
        data: { version: expect.any(String) },
      })
      expect(usage.exit).toBe(2)
      expect(JSON.parse(usage.stdout)).toMatchObject({ error: { code: 'ORCH_USAGE' } })
      expect(invalid).toMatchObject({
        exit: 2,
        stdout: '',
        stderr: expect.stringContaining('ORCH_PLAN_INVALID'),
      })
      expect(noNode.exit).toBe(6)
      expect(JSON.parse(noNode.stdout)).toMatchObject({ error: { code: 'ORCH_NO_NODE' } })
      expect(help.exit).toBe(0)
      expect(existsSync(join(dir, 'data'))).toBe(false)
    },
    SLOW_MS,
  )

  it(
    '[CL6] run is the node for as long as it takes; reading needs none; nothing is left behind',
    async () => {
      plan(
        'plan.yaml',
        'name: demo\ntasks:\n  a: { run: "echo hello; echo \\"$ORCH_URL\\"" }\n  b: { run: "echo oops >&2; exit 3", needs: [a] }\n',
      )
      const ran = await run('run', 'plan.yaml')
      expect(ran.exit).toBe(10)
      expect(ran.stderr).toMatch(/\d\d:\d\d:\d\d started a \(attempt 1\)/)
      expect(ran.stdout).toMatch(/✗ b failed: exit 3\n {4}oops\n/)
      expect(existsSync(join(dir, 'data', 'endpoint.json'))).toBe(false)
      expect(existsSync(join(dir, 'data', 'node.sock'))).toBe(false)
      expect(existsSync(join(dir, 'data', 'node.lock'))).toBe(false)
      const logs = await run('task', 'logs', 'a')
      expect(logs.stdout).toMatch(/^hello\nhttp:\/\/127\.0\.0\.1:\d+\n$/)
      const failed = await run('tasks', '--where', 'status=failed', '-q')
      expect(failed.stdout).toMatch(/^demo-[0-9a-f]{4}\/b\n$/)
      expect((await run('status')).exit).toBe(6)
    },
    SLOW_MS,
  )

  it(
    '[CL12] two runs at once: the second uses the node of the first, which stays for it',
    async () => {
      plan(
        'first.yaml',
        'name: first\ntasks: { a: { run: "until [ -e go ]; do sleep 0.05; done" } }'.replaceAll(
          'go',
          join(dir, 'go'),
        ),
      )
      plan(
        'second.yaml',
        'name: second\ntasks: { b: { run: "until [ -e end ]; do sleep 0.05; done" } }'.replaceAll(
          'end',
          join(dir, 'end'),
        ),
      )
      const first = start('run', 'first.yaml')
      await first.says(/started a/)
      const second = start('run', 'second.yaml')
      await second.says(/started b/)
      writeFileSync(join(dir, 'go'), '')
      await first.says(/is the node of run second-/)
      writeFileSync(join(dir, 'end'), '')
      expect(await second.done).toMatchObject({ exit: 0 })
      expect(await first.done).toMatchObject({ exit: 0, stdout: expect.stringContaining('done 1/1') })
    },
    SLOW_MS,
  )

  it(
    '[CL13] when the node of a run is killed, a run that follows it becomes the node, and both runs end',
    async () => {
      plan(
        'first.yaml',
        'name: first\ntasks: { a: { run: "until [ -e go ]; do sleep 0.05; done" } }'.replaceAll(
          'go',
          join(dir, 'go'),
        ),
      )
      plan(
        'second.yaml',
        'name: second\ntasks: { b: { run: "until [ -e go ]; do sleep 0.05; done" } }'.replaceAll(
          'go',
          join(dir, 'go'),
        ),
      )
      const first = start('run', 'first.yaml')
      await first.says(/started a/)
      const second = start('run', 'second.yaml')
      await second.says(/started b/)
      first.child.kill('SIGKILL')
      await first.done
      await second.says(/the node went away/)
      writeFileSync(join(dir, 'go'), '')
      expect(await second.done).toMatchObject({ exit: 0, stdout: expect.stringContaining('done 1/1') })
    },
    SLOW_MS,
  )

  it(
    '[CL11] Ctrl-C drains an embedded node: the work is kept, and a later one goes on',
    async () => {
      plan(
        'plan.yaml',
        'name: demo\ntasks: { a: { run: "until [ -e go ]; do sleep 0.05; done" } }'.replaceAll(
          'go',
          join(dir, 'go'),
        ),
      )
      const first = start('run', 'plan.yaml')
      await first.says(/started a/)
      first.child.kill('SIGINT')
      const ended = await first.done
      expect(ended).toMatchObject({
        exit: 130,
        stderr: expect.stringContaining('running work is saved and given back'),
      })
      expect((await run('runs', 'list', '--open', '-q')).stdout).toMatch(/^demo-/)
      writeFileSync(join(dir, 'go'), '')
      const node = start('start')
      await node.says(/listens on/)
      const followed = await run('runs', 'follow')
      expect(followed.exit).toBe(0)
      node.child.kill('SIGINT')
      expect((await node.done).exit).toBe(0)
    },
    SLOW_MS,
  )

  it(
    '[CL20] start --detach, run --detach, follow, stop',
    async () => {
      plan(
        'plan.yaml',
        'name: demo\ntasks: { a: { run: "until [ -e go ]; do sleep 0.05; done" } }'.replaceAll(
          'go',
          join(dir, 'go'),
        ),
      )
      const detached = await run('run', 'plan.yaml', '--detach', '--json')
      expect(detached).toMatchObject({
        exit: 0,
        stderr: expect.stringContaining('started in the background'),
      })
      const { run: id } = (JSON.parse(detached.stdout) as { data: { run: string } }).data
      expect(await run('start', '--detach')).toMatchObject({
        exit: 6,
        stderr: expect.stringContaining('ORCH_LOCKED'),
      })
      const follow = start('runs', 'follow', id)
      await follow.says(/started a/)
      writeFileSync(join(dir, 'go'), '')
      expect(await follow.done).toMatchObject({ exit: 0 })
      plan('more.yaml', 'name: more\ntasks: { b: { run: "sleep 60" } }')
      const cut = start('run', 'more.yaml')
      await cut.says(/started b/)
      expect(await run('stop')).toMatchObject({
        exit: 0,
        stdout: expect.stringMatching(/^node .* stopped\n$/),
      })
      expect(existsSync(join(dir, 'data', 'endpoint.json'))).toBe(false)
      expect(readFileSync(join(dir, 'data', 'node.log'), 'utf8')).toContain('listens on')
    },
    SLOW_MS,
  )

  it(
    '[CL16] an outside worker lives on the verbs alone',
    async () => {
      plan(
        'plan.yaml',
        'name: demo\ntasks: { a: { agent: outside, prompt: Look. }, b: { agent: outside, prompt: Look again. } }',
      )
      const node = start('start')
      await node.says(/listens on/)
      expect((await run('run', 'plan.yaml', '--detach')).exit).toBe(0)
      const claim = await run('claim', '--json')
      const { task, token, attempt } = (
        JSON.parse(claim.stdout) as { data: { task: string; token: string; attempt: string } }
      ).data
      expect(await run('claim', task)).toMatchObject({
        exit: 4,
        stdout: expect.stringMatching(/^12D3Koo\w+\n$/),
      })
      expect((await run('progress', task, '--step', '2', '--status', 'looking')).exit).toBe(0)
      expect((await run('task', 'show', task, '--json')).stdout).toContain('looking')
      expect((await run('complete', task, '--summary', 'seen')).exit).toBe(0)
      expect((await run('claim')).exit).toBe(0)
      expect((await run('claim')).exit).toBe(3)
      expect(token).not.toBe('')
      expect(attempt.startsWith(`${task}/`)).toBe(true)
      node.child.kill('SIGTERM')
      expect((await node.done).exit).toBe(0)
      // The stop gave the second one back: each verb takes the directory for itself now.
      expect((await run('claim')).exit).toBe(0)
      expect((await run('progress', '--step', '1')).exit).toBe(0)
      expect((await run('complete', '--summary', 'seen too')).exit).toBe(0)
      expect((await run('runs', '--json')).stdout).toContain('"accepted":2')
    },
    SLOW_MS,
  )

  it(
    '[CL22] [CL23] an invitation comes by standard input, and is told nowhere',
    () => {
      const joinWith = (input: string) =>
        spawnSync(
          process.execPath,
          ['--import', LOADER, MAIN, 'join', '--token-file', '-', '--node', 'http://127.0.0.1:1'],
          { input, cwd: dir, env: { PATH: process.env.PATH, HOME: dir }, encoding: 'utf8' },
        )
      for (const [input, status, told] of [
        ['orch1-secret\n', 6, 'ORCH_NO_NODE'],
        ['', 2, 'standard input is empty'],
        ['orch1-secret'.repeat(10_000), 2, 'standard input has more than'],
      ] as const) {
        const done = joinWith(input)
        expect(done).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(told) })
        expect(done.stderr).not.toContain('secret')
      }
    },
    SLOW_MS,
  )

  it(
    '[CL1] a reader that has enough ends it quietly',
    async () => {
      const tasks = Array.from({ length: 3_000 }, (_, n) => `  t${n}: { agent: outside, prompt: x }`).join(
        '\n',
      )
      plan('plan.yaml', `name: demo\ntasks:\n${tasks}\n`)
      const submitted = start('run', 'plan.yaml')
      await submitted.says(/up to/)
      submitted.child.kill('SIGINT')
      await submitted.done
      const { child, done } = start('tasks', '--json')
      child.stdout!.once('data', () => child.stdout!.destroy())
      expect(await done).toMatchObject({ exit: 0, stderr: '' })
    },
    SLOW_MS,
  )
})
