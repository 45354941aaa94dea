// The command line as people and scripts use it: the built program in processes of its own, on real repositories. Texts are for people; what scripts rely on, exit
// codes and --json, is what is asserted most.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { git, isAlive, until } from '../node/machine.ts'
import { builtSources } from './built.ts'
import { agentsOf, killAll, shimsOf } from './child.ts'

const undo: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const release of undo.splice(0).reverse()) await release()
})

interface Told {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  readonly process: ChildProcess
  readonly done: Promise<Told>
  /** All that it said so far, on both streams. */
  said(): string
}

/** A directory of a person: a repository, plans, and the data directory of the node. */
class Place {
  readonly dir = mkdtempSync(join(tmpdir(), 'orch-cli-'))
  readonly dataDir = join(this.dir, 'data')
  readonly repo = join(this.dir, 'repo')

  constructor() {
    undo.push(async () => {
      if (existsSync(this.dataDir)) await this.orch('stop', '--now').done
      killAll([...shimsOf(this.dataDir), ...agentsOf(this.dataDir)])
      rmSync(this.dir, { recursive: true, force: true })
    })
    mkdirSync(this.repo)
    git(this.repo, 'init', '-q', '-b', 'main')
    writeFileSync(join(this.repo, 'a.txt'), 'a\n')
    git(this.repo, 'add', '-A')
    git(this.repo, 'commit', '-qm', 'base')
  }

  plan(text: string, name = 'plan.yaml'): string {
    const path = join(this.dir, name)
    writeFileSync(path, `version: 1\nname: demo\nrepo: ${this.repo}\ndefaults: { agent: shell }\n${text}`)
    return path
  }

  orch(...args: readonly string[]): Running {
    return this.with({}, ...args)
  }

  with(env: Readonly<Record<string, string>>, ...args: readonly string[]): Running {
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('ORCH_'))
    const child = spawn(process.execPath, [join(builtSources(), 'cli', 'main.js'), ...args], {
      cwd: this.dir,
      env: { ...Object.fromEntries(kept), ORCH_DATA_DIR: this.dataDir, NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString('utf8')
    })
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString('utf8')
    })
    undo.push(() => void child.kill('SIGKILL'))
    const done = new Promise<Told>((resolve) => {
      child.on('close', (code) => resolve({ code, stdout, stderr }))
    })
    return { process: child, done, said: () => stdout + stderr }
  }

  /** The data of a command with --json that must succeed. */
  async data<T>(...args: readonly string[]): Promise<T> {
    const told = await this.orch(...args, '--json').done
    expect(told.code, told.stderr).toBe(0)
    const document = JSON.parse(told.stdout) as { schemaVersion: number; data: T }
    expect(document.schemaVersion).toBe(1)
    return document.data
  }
}

interface RunData {
  readonly id: string
  readonly status: string
}

describe('run, alone', () => {
  it('[NS19] a plan that works: exit 0, the branch is there, nothing runs afterwards', async () => {
    const place = new Place()
    const plan = place.plan(`
tasks:
  one: { run: 'echo one > one.txt', scope: { write: [one.txt] } }
  two: { run: 'cat one.txt > two.txt', needs: [one], scope: { write: [two.txt] } }
`)
    const told = await place.orch('run', plan).done
    expect(told.code, told.stderr).toBe(0)
    const [run] = await place.data<RunData[]>('runs')
    expect(run!.status).toBe('complete')
    expect(told.stdout + told.stderr).toContain(`orch/${run!.id}`)
    expect(git(place.repo, 'show', `orch/${run!.id}:two.txt`)).toBe('one')
    expect([...agentsOf(place.dataDir), ...shimsOf(place.dataDir)]).toEqual([])
    // With no node running, every command reads for itself.
    const landed = await place.orch('land', run!.id, '--into', 'main').done
    expect(landed.code, landed.stderr).toBe(0)
    expect(readFileSync(join(place.repo, 'two.txt'), 'utf8')).toBe('one\n')
    expect(git(place.repo, 'status', '--porcelain')).toBe('')
  })

  it('[NS20] exit codes: 1 failed, 2 invalid, 8 gate, 9 conflict, 10 partial, 124 timeout', async () => {
    const place = new Place()
    const fails = "{ run: 'echo why; exit 3', scope: { write: [x.txt] } }"
    const works = "{ run: 'echo 1 > y.txt', scope: { write: [y.txt] } }"
    const run = (name: string, text: string) => place.orch('run', place.plan(text, name)).done

    const failed = await run('failed.yaml', `tasks:\n  bad: ${fails}\n`)
    expect(failed.code).toBe(1)
    expect(failed.stdout + failed.stderr).toContain('exit 3')
    expect((await run('invalid.yaml', 'tasks:\n  a: { run: x, needs: [nothing] }\n')).code).toBe(2)
    expect((await run('partial.yaml', `tasks:\n  bad: ${fails}\n  good: ${works}\n`)).code).toBe(10)
    const gate = await run('gate.yaml', `tasks:\n  good: ${works}\nmerge: { verify: 'echo red; exit 1' }\n`)
    expect(gate.code).toBe(8)
    expect(gate.stdout + gate.stderr).toContain('verify')
    const conflict = await run(
      'conflict.yaml',
      `tasks:
  file: { run: 'sleep 0.3; echo 1 > f', scope: { write: [f] } }
  tree: { run: 'sleep 0.6; mkdir f; echo 2 > f/t', scope: { write: ['f/*'] } }
merge: { onConflict: manual }
`,
    )
    expect(conflict.code).toBe(9)
    expect((await place.orch('conflicts').done).code).toBe(9)
    const late = await place.orch(
      'run',
      place.plan("tasks:\n  slow: { run: 'sleep 60' }\n", 'slow.yaml'),
      '--timeout',
      '1s',
    ).done
    expect(late.code).toBe(124)
  })

  it('[NS21] Ctrl-C ends what runs with its work saved, says so, and the next start goes on', async () => {
    const place = new Place()
    const flag = join(place.dir, 'flag')
    const plan = place.plan(`
tasks:
  slow:
    run: |
      if [ -e ${flag} ]; then echo whole > a.txt; exit 0; fi
      echo half > a.txt; touch ${flag}; sleep 60
    scope: { write: [a.txt] }
`)
    const running = place.orch('run', plan)
    await until(() => existsSync(flag))
    running.process.kill('SIGINT')
    const told = await running.done
    expect(told.code).toBe(130)
    expect(told.stderr).toMatch(/saved|given back|go on/)
    expect([...agentsOf(place.dataDir), ...shimsOf(place.dataDir)]).toEqual([])
    const detail = await place.data<{ status: string; attemptList: { outcome: string; ref: string }[] }>(
      'task',
      'show',
      'slow',
    )
    expect(detail.status).toBe('ready')
    expect(detail.attemptList).toMatchObject([{ outcome: 'released' }])
    // The node of the next command does the rest.
    const node = place.orch('start', '--http', '0')
    await until(() => node.said().includes('listens on'))
    await until(async () => (await place.data<RunData[]>('runs'))[0]!.status === 'complete')
    node.process.kill('SIGINT')
    expect((await node.done).code).toBe(0)
    const [run] = await place.data<RunData[]>('runs')
    expect(git(place.repo, 'show', `orch/${run!.id}:a.txt`)).toBe('whole')
  })
})

describe('run, with others', () => {
  it('[NS22] two runs at once on one data directory: the second is a client of the first, and both end well', async () => {
    const place = new Place()
    const plan = (name: string) =>
      place.plan(
        `tasks:\n  one: { run: 'sleep 0.5; echo ${name} > ${name}.txt', scope: { write: ['${name}.txt'] } }\n`,
        `${name}.yaml`,
      )
    const [first, second] = await Promise.all([
      place.orch('run', plan('first')).done,
      place.orch('run', plan('second')).done,
    ])
    expect([first.code, second.code], first.stderr + second.stderr).toEqual([0, 0])
    const runs = await place.data<RunData[]>('runs')
    expect(runs.map((r) => r.status)).toEqual(['complete', 'complete'])
    expect(
      git(place.repo, 'for-each-ref', '--format=%(refname)', 'refs/heads/orch/').split('\n'),
    ).toHaveLength(2)
  })

  it('[NS23] a node in the background: run, look, read, stop', async () => {
    const place = new Place()
    const started = await place.data<{ pid: number; url: string }>('start', '--detach')
    expect(isAlive(started.pid)).toBe(true)
    const status = await place.data<{ pid: number; slots: number }>('status')
    expect(status).toMatchObject({ pid: started.pid, slots: 5 })
    const plan = place.plan(`
tasks:
  one: { run: 'echo "said by one"; echo 1 > one.txt', scope: { write: [one.txt] } }
  two: { run: 'exit 4', needs: [one], scope: { write: [two.txt] } }
`)
    const told = await place.orch('run', plan).done
    expect(told.code).toBe(10)
    expect(isAlive(started.pid)).toBe(true)
    const tasks = await place.data<{ id: string; status: string }[]>('tasks')
    expect(tasks.map((t) => `${t.id} ${t.status}`)).toEqual(['one accepted', 'two failed'])
    expect((await place.orch('task', 'show', 'two').done).stdout).toContain('exit 4')
    expect((await place.orch('task', 'logs', 'one').done).stdout).toContain('said by one')
    expect((await place.orch('task', 'diff', 'one').done).stdout).toContain('+1')
    // A second node is refused, and told which one is there.
    const refused = await place.orch('start', '--http', '0').done
    expect(refused.code).toBe(6)
    expect(refused.stderr).toContain('ORCH_LOCKED')
    expect(refused.stderr).toContain(String(started.pid))
    expect((await place.orch('stop').done).code).toBe(0)
    await until(() => !isAlive(started.pid))
    expect((await place.orch('status').done).code).toBe(6)
  })

  it('[NS24] a port that is asked for and taken is refused; the usual one that is taken is passed over', async () => {
    const place = new Place()
    const server = createServer()
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
    })
    undo.push(() => new Promise((resolve) => server.close(() => resolve())))
    const refused = await place.orch('start', '--http', String(port)).done
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain('ORCH_PORT_TAKEN')
    // Two nodes of two people on one machine: each has a port of its own.
    const other = new Place()
    const [one, two] = await Promise.all([
      place.data<{ url: string }>('start', '--detach'),
      other.data<{ url: string }>('start', '--detach'),
    ])
    expect(one.url).not.toBe(two.url)
  })

  it('[NS25] a worker outside lives on the verbs alone, and meets their exit codes', async () => {
    const place = new Place()
    const plan = place.plan(`
tasks:
  human: { agent: outside, prompt: write a poem, scope: { write: [poem.txt] }, retry: { strategy: fixed, attempts: 2, delay: 0s } }
`)
    await place.data('start', '--detach', '--http', '0')
    await place.data('run', plan, '--detach')
    const claim = await place.data<{ attempt: string; task: string; workspace: string; token: string }>(
      'claim',
    )
    expect(existsSync(join(claim.workspace, 'a.txt'))).toBe(true)
    expect((await place.orch('claim').done).code).toBe(3)
    const lost = await place.orch('claim', claim.task).done
    expect(lost.code).toBe(4)
    expect((await place.orch('progress', claim.task, '--step', '2', '--status', 'rhyming').done).code).toBe(0)
    expect((await place.orch('fail', claim.task, '--reason', 'no rhyme').done).code).toBe(0)
    const again = await place.data<{ attempt: string; task: string; workspace: string; hints: string[] }>(
      'claim',
    )
    expect(again.hints.join()).toContain('no rhyme')
    writeFileSync(join(again.workspace, 'poem.txt'), 'roses\n')
    expect((await place.orch('complete', again.task, '--summary', 'a poem').done).code).toBe(0)
    await until(async () => (await place.data<RunData[]>('runs'))[0]!.status === 'complete')
    const [run] = await place.data<RunData[]>('runs')
    expect(git(place.repo, 'show', `orch/${run!.id}:poem.txt`)).toBe('roses')
    const late = await place.orch('complete', again.attempt).done
    expect(late.code).not.toBe(0)
  })
})
