/**
 * The quick start does what the README says of it. Method: the real program on the real sample repository, once; then look at what it left, with git and the
 * command line.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeRepository } from '../../examples/quickstart/make-repository.mjs'
import { type Ended, MAIN, runProgram } from './program.ts'

interface Attempt {
  readonly outcome: string
  readonly startedAt: number
  readonly endedAt: number
  readonly excerpt?: string
}

interface Task {
  readonly id: string
  readonly status: string
  readonly attempts: number
  readonly commit?: string
  readonly attemptList: readonly Attempt[]
}

describe('quick start', () => {
  let dir: string
  let repository: string
  let ended: Ended

  const node = (...args: string[]) => runProgram(process.execPath, args, { home: dir, cwd: repository })
  const git = async (...args: string[]) =>
    (await runProgram('git', args, { home: dir, cwd: repository })).stdout.trim()
  const show = async (task: string): Promise<Task> => {
    const answer = await node(MAIN, 'task', 'show', task, '--json', '--data-dir', join(dir, 'data'))
    return JSON.parse(answer.stdout).data
  }
  const branch = () => git('for-each-ref', '--format=%(refname:short)', 'refs/heads/orch/')

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'orch-example-'))
    repository = join(dir, 'measure')
    ended = await runProgram(process.execPath, ['examples/quickstart/run.mjs', dir], { home: dir })
  }, 100_000)

  afterAll(() => rm(dir, { recursive: true, force: true }))

  it('ends well, without any git configuration, and says how to go on', async () => {
    expect(ended.stderr).not.toMatch(/ORCH_/)
    expect(ended.code).toBe(0)
    expect(ended.stdout).toContain(`verify: node --test passed`)
    expect(ended.stdout).toContain(`$ git log --oneline ${await branch()}`)
    expect(ended.stdout).toContain('orch-node run plan.yaml')
  })

  it('makes the failing tests of the library pass', async () => {
    const before = await node('--test')
    await git('switch', '--quiet', '--detach', await branch())
    const after = await node('--test')
    await git('switch', '--quiet', 'main')
    expect(before.code).toBe(1)
    expect(after.code).toBe(0)
  })

  it('leaves the branch of the person alone, and one commit for each task on its own', async () => {
    expect(await git('rev-list', '--count', 'main')).toBe('1')
    expect(await git('status', '--porcelain')).toBe('')
    expect(await git('rev-list', '--count', `main..${await branch()}`)).toBe('13')
  })

  it('ends the search without end, and tells the next attempt', async () => {
    const { status, attemptList } = await show('lookup')
    expect(status).toBe('accepted')
    expect(attemptList.map(({ outcome }) => outcome)).toEqual(['timed-out', 'done'])
    expect((await show('plain-lookup')).status).toBe('skipped')
  })

  it('gives the output of a failed attempt to the next one, which needs it', async () => {
    const { attemptList } = await show('index')
    expect(attemptList.map(({ outcome }) => outcome)).toEqual(['failed', 'done'])
    expect(attemptList[0]!.excerpt).toContain('does not export: parseBytes')
    expect(await git('show', `${await branch()}:src/index.js`)).toContain('parseBytes')
  })

  it('waits for a whole group, of which two run at once', async () => {
    const pages = await Promise.all(
      ['bytes', 'duration', 'slug', 'words'].map((name) => show(`docs-${name}`)),
    )
    const spans = pages.map(({ attemptList }) => attemptList[0]!)
    const contents = (await show('contents')).attemptList[0]!
    for (const { startedAt, endedAt } of spans) {
      expect(contents.startedAt).toBeGreaterThanOrEqual(endedAt)
      // Spans that hold this start, itself among them.
      const atOnce = spans.filter((span) => span.startedAt <= startedAt && startedAt < span.endedAt)
      expect(atOnce.length).toBeLessThanOrEqual(2)
    }
  })

  it('begins with a library that a fresh copy of shows to be broken', async () => {
    const copy = join(dir, 'copy')
    await makeRepository(copy)
    const tested = await runProgram(process.execPath, ['--test'], { home: dir, cwd: copy })
    expect(tested.code).toBe(1)
    expect(tested.stdout).toMatch(/^# fail [1-9]/m)
  })
})
