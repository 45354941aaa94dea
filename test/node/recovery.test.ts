// A node that is killed, and comes back: by SIGKILL of real processes where a process is the point, by a state made by hand where an instant is.
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { violations } from '../../src/core/invariant.ts'
import { deltaOf } from '../../src/core/merge-base.ts'
import { headRef } from '../../src/git/ref.ts'
import { createIncarnation } from '../../src/net/identity.ts'
import { attemptDir } from '../../src/node/attempt-record.ts'
import type { NodeFace } from '../../src/node/face.ts'
import { openFileStore } from '../../src/store/file.ts'
import { audit } from '../e2e/audit.ts'
import { agentsOf, type ChildNode, killAll, shimsOf, startChild } from '../e2e/child.ts'
import { follow, git, repository, shell, startNode, submit, temporaryDir, undoLater } from './fixture.ts'
import { carriers, everythingOf, isAlive, until } from './machine.ts'

afterEach(() => void vi.restoreAllMocks())

function child(dataDir: string, submission: string): ChildNode {
  const started = startChild(dataDir, submission)
  undoLater(async () => {
    await started.kill()
    killAll([...shimsOf(dataDir), ...agentsOf(dataDir)])
  })
  return started
}

function submission(value: object): string {
  const path = join(temporaryDir(), 'submission.json')
  writeFileSync(path, JSON.stringify(value))
  return path
}

const MERGE = { mode: 'combined', onConflict: 'retry', onPartial: 'hold' } as const

async function output(face: NodeFace, task: string): Promise<string> {
  const chunks: Buffer[] = []
  for await (const { data } of face.logs({ task })) chunks.push(Buffer.from(data, 'base64'))
  return Buffer.concat(chunks).toString('utf8')
}

describe('killed and started again', () => {
  it('[RC1] attempts run on while the node is dead: adopted, their output and exit code exact, nothing run twice', async () => {
    const dataDir = temporaryDir()
    const repo = repository({ 'a.txt': 'a\n' })
    const starts = join(temporaryDir(), 'starts')
    const count = 'i=0; while [ $i -lt 60 ]; do echo "line $i"; i=$((i+1)); sleep 0.04; done'
    const plan = submission({
      name: 'adopt',
      repository: repo,
      merge: MERGE,
      tasks: [
        ['good', { kind: 'shell', run: `echo good >> ${starts}; ${count}; echo done > a.txt`, order: 0 }],
        [
          'bad',
          {
            kind: 'shell',
            run: `echo bad >> ${starts}; ${count}; exit 7`,
            scope: { write: ['b.txt'], read: [] },
            order: 1,
          },
        ],
      ],
    })
    // A task without a scope runs alone, so the two are one after the other, and the kills hit both.
    for (const lines of [1, 1, 2]) {
      const node = child(dataDir, plan)
      await node.heard((word) => word.up !== undefined)
      await until(() => existsSync(starts) && readFileSync(starts, 'utf8').split('\n').length > lines)
      await node.kill()
    }
    const last = child(dataDir, plan)
    expect((await last.heard((word) => word.up !== undefined)).recovery).toContain(
      '1 running attempt adopted',
    )
    await last.heard((word) => word.closed === true)
    await last.exited
    expect(readFileSync(starts, 'utf8')).toBe('good\nbad\n')
    const node = await startNode({ dataDir })
    const expected = Array.from({ length: 60 }, (_, i) => `line ${i}\n`).join('')
    expect(await output(node.face, 'good')).toBe(expected)
    expect(await output(node.face, 'bad')).toBe(expected)
    expect(await node.face.task({ task: 'good' })).toMatchObject({ status: 'accepted', attempts: 1 })
    expect(await node.face.task({ task: 'bad' })).toMatchObject({
      status: 'failed',
      reason: 'exit 7',
      attemptList: [{ exit: 7 }],
    })
    // The log of events tells each line once, over all lives.
    const told: string[] = []
    for await (const { event } of node.face.attemptEvents({ task: 'bad' }))
      if (event.type === 'text') told.push(...event.text.split('\n').filter(Boolean))
    expect(new Set(told).size).toBe(told.length)
  })

  it('[RC2] killed while a gate runs: the gate is ended by the next start and asked again', async () => {
    const dataDir = temporaryDir()
    const repo = repository({ 'a.txt': 'a\n' })
    const before = everythingOf(repo)
    const gates = join(temporaryDir(), 'gates')
    const go = join(temporaryDir(), 'go')
    const plan = submission({
      name: 'gate',
      repository: repo,
      merge: { ...MERGE, verify: `echo $$ >> ${gates}; while [ ! -e ${go} ]; do sleep 0.05; done` },
      tasks: ['one', 'two'].map((id, order) => [
        id,
        { kind: 'shell', run: `echo ${id} > ${id}.txt`, scope: { write: [`${id}.txt`], read: [] }, order },
      ]),
    })
    const first = child(dataDir, plan)
    await until(() => existsSync(gates))
    await first.kill()
    const orphan = Number(readFileSync(gates, 'utf8').split('\n')[0])
    expect(isAlive(orphan)).toBe(true)
    const second = child(dataDir, plan)
    const up = await second.heard((word) => word.up !== undefined)
    expect(up.recovery!.join()).toContain('of an unfinished gate ended')
    expect(isAlive(orphan)).toBe(false)
    writeFileSync(go, '')
    const { run } = await second.heard((word) => word.run !== undefined)
    await second.exited
    const files = { one: 'one.txt', two: 'two.txt' }
    expect(await audit({ dataDir, repo, before, run: run!, files })).toEqual([])
  })

  it('[RC3] killed with everything under it: what ran is lost and starts again, its work so far is kept, and no try is counted', async () => {
    const dataDir = temporaryDir()
    const repo = repository({ 'a.txt': 'a\n' })
    const before = everythingOf(repo)
    const begun = join(temporaryDir(), 'begun')
    const run = `if [ -e ${begun} ]; then echo one > one.txt; else echo half > one.txt; touch ${begun}; sleep 600; fi`
    const plan = submission({
      name: 'lost',
      repository: repo,
      merge: MERGE,
      tasks: [['one', { kind: 'shell', run, scope: { write: ['one.txt'], read: [] } }]],
    })
    const first = child(dataDir, plan)
    await until(() => existsSync(begun))
    const under = [...shimsOf(dataDir), ...agentsOf(dataDir)]
    expect(under.length).toBeGreaterThanOrEqual(2)
    first.process.kill('SIGKILL')
    killAll(under)
    await first.kill()
    const second = child(dataDir, plan)
    const { run: id } = await second.heard((word) => word.run !== undefined)
    await second.exited
    const node = await startNode({ dataDir })
    const detail = await node.face.task({ task: 'one' })
    expect(detail).toMatchObject({ status: 'accepted', failures: 0, attempts: 2 })
    expect(detail.attemptList.map((a) => a.outcome)).toEqual(['lost', 'done'])
    const bare = join(
      dataDir,
      'repos',
      `${node.engine.state.board.runs.get(id!)!.header!.repository!.id}.git`,
    )
    expect(git(bare, 'show', `${detail.attemptList[0]!.ref}:one.txt`)).toBe('half')
    await node.close()
    expect(await audit({ dataDir, repo, before, run: id!, files: { one: 'one.txt' } })).toEqual([])
  })

  it('[RC4] an agent that is killed has failed and is tried again; one whose shim is killed is lost and starts again', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const flags = temporaryDir()
    const once = (id: string) => `[ -e ${flags}/${id} ] && exit 0; touch ${flags}/${id}; exec sleep 600`
    const retry = { strategy: 'fixed', attempts: 2, delayMs: 0 } as const
    const run = await submit(node, {
      tasks: [shell('agent', once('agent'), { retry }), shell('shim', once('shim'))],
    })
    await until(() => existsSync(join(flags, 'agent')) && existsSync(join(flags, 'shim')))
    const attemptOf = async (task: string) => (await node.face.task({ task })).attemptList[0]!.attempt
    killAll(carriers(await attemptOf('agent')))
    const { pid } = JSON.parse(
      readFileSync(join(attemptDir(node.dataDir, await attemptOf('shim')), 'shim.pid'), 'utf8'),
    ) as { pid: number }
    process.kill(pid, 'SIGKILL')
    const summary = await follow(node, run)
    expect(summary.status).toBe('complete')
    const agent = await node.face.task({ task: 'agent' })
    expect(agent.attemptList).toMatchObject([
      { outcome: 'failed', reason: 'ended by signal SIGKILL' },
      { outcome: 'done' },
    ])
    const shim = await node.face.task({ task: 'shim' })
    expect(shim).toMatchObject({ failures: 0 })
    expect(shim.attemptList.map((a) => a.outcome)).toEqual(['lost', 'done'])
    expect(carriers(shim.attemptList[0]!.attempt)).toEqual([])
  })
})

describe('the instants in between', () => {
  it('[RC5] the ref moved and the accepts were not written: they are read back from the commits, once', async () => {
    const dataDir = temporaryDir()
    const repo = repository({ 'a.txt': 'a\n' })
    const go = join(temporaryDir(), 'go')
    const config = { dataDir, slots: 3 }
    const first = await startNode(config)
    const run = await submit(first, {
      repository: repo,
      merge: { verify: `while [ ! -e ${go} ]; do sleep 0.02; done` },
      tasks: ['one', 'two', 'three'].map((id) =>
        shell(id, `echo ${id} > ${id}.txt`, { write: [`${id}.txt`] }),
      ),
    })
    await follow(first, run, (u) => u.type === 'run' && u.run.counts.provisional === 3)
    const board = first.engine.state.board.runs.get(run)!
    const { repository: spec, base, createdAt } = board.header!
    // What the node is about to do, done up to the point where it is killed.
    const deltas = ['one', 'two'].map((id) => deltaOf(board.tasks.get(id)!))
    const folded = await first.engine.options.git.fold(spec!.id, {
      run,
      tip: base!,
      deltas,
      date: createdAt,
      term: 1,
    })
    const moved = folded.chain.at(-1)!.commit
    expect(await first.engine.options.git.advance(spec!.id, headRef(run), moved, base)).toBe(true)
    await first.close({ leave: true })
    writeFileSync(go, '')

    const second = await startNode(config)
    expect((await second.face.status()).recovery).toContain(
      `run ${run}: 2 accepted commits read back from its ref`,
    )
    const summary = await follow(second, run)
    expect(summary.status).toBe('complete')
    const tasks = await second.face.tasks({ run })
    expect(tasks.map((t) => [t.id, t.position, t.attempts])).toEqual([
      ['one', 1, 1],
      ['two', 2, 1],
      ['three', 3, 1],
    ])
    expect(tasks[1]!.commit).toBe(moved)
    expect(violations(second.engine.state.board)).toEqual([])
    expect(git(repo, 'rev-list', '--count', `main..orch/${run}`)).toBe('3')
    await second.close()
    // A third start has nothing left to read back.
    const third = await startNode(config)
    expect((await third.face.status()).recovery).toEqual([])
  })

  it('[RC6] prepared and never begun: the empty clone goes, and the task starts again without a warning', async () => {
    const dataDir = temporaryDir()
    const flag = join(temporaryDir(), 'begun')
    const config = { dataDir }
    const first = await startNode(config)
    const run = await submit(first, {
      repository: repository({ 'a.txt': 'a\n' }),
      tasks: [
        shell('one', `[ -e ${flag} ] && { echo 1 > a.txt; exit 0; }; touch ${flag}; sleep 600`, {
          write: ['a.txt'],
        }),
      ],
    })
    await until(() => existsSync(flag))
    const { attempt } = (await first.face.task({ task: 'one' })).attemptList[0]!
    await first.close({ leave: true })
    killAll([...shimsOf(dataDir), ...carriers(attempt)])
    await until(() => carriers(attempt).length === 0)
    // Back to the instant before the shim was told.
    const dir = attemptDir(dataDir, attempt)
    for (const file of ['attempt.json', 'shim.pid', 'shim.json', 'exit.json', 'shim.log'])
      rmSync(join(dir, file), { force: true })
    expect(existsSync(join(dir, 'node.json'))).toBe(true)

    const second = await startNode(config)
    const summary = await follow(second, run)
    expect(summary.status).toBe('complete')
    expect(second.said).toEqual([])
    expect(await second.face.workspaces()).toEqual([])
    expect(await second.face.task({ task: 'one' })).toMatchObject({ failures: 0 })
  })

  it('[RC7] cancelled a moment before the crash: the next start ends what still runs and keeps its work', async () => {
    const dataDir = temporaryDir()
    const flag = join(temporaryDir(), 'begun')
    const first = await startNode({ dataDir })
    const run = await submit(first, {
      repository: repository({ 'a.txt': 'a\n' }),
      tasks: [
        shell('one', `echo half > a.txt; touch ${flag}; sleep 600`, { write: ['a.txt'] }),
        shell('two', 'echo 2 > b.txt', { write: ['b.txt'] }),
      ],
    })
    await until(() => existsSync(flag))
    const { attempt } = (await first.face.task({ task: 'one' })).attemptList[0]!
    const { node } = first
    await first.close({ leave: true })
    // The order is on the disk, the signal was never sent.
    const author = { node, incarnation: createIncarnation(Date.now(), (n) => Buffer.alloc(n, 7)) }
    const store = await openFileStore({ dataDir, author })
    await store.put(
      [{ doc: run, collection: 'orders', key: 'one/1', body: { verb: 'cancel', reason: 'enough' } }],
      Date.now(),
    ).durable
    await store.close()
    expect(carriers(attempt).length).toBeGreaterThan(0)

    const second = await startNode({ dataDir })
    await until(async () => (await second.face.task({ task: 'one' })).attemptList[0]!.outcome !== undefined)
    expect(carriers(attempt)).toEqual([])
    const detail = await second.face.task({ task: 'one' })
    expect(detail).toMatchObject({ status: 'cancelled', reason: 'enough' })
    expect(detail.attemptList).toMatchObject([{ outcome: 'cancelled', files: 1 }])
    expect((await follow(second, run)).status).toBe('partial')
  })

  it('[RC8] the age of an adopted attempt is not told by the wall clock', async () => {
    const dataDir = temporaryDir()
    const go = join(temporaryDir(), 'go')
    const first = await startNode({ dataDir })
    const run = await submit(first, {
      tasks: [
        shell('one', `touch ${go}.begun; while [ ! -e ${go} ]; do sleep 0.02; done`, { timeoutMs: 60_000 }),
      ],
    })
    await until(() => existsSync(`${go}.begun`))
    await first.close({ leave: true })
    const real = Date.now.bind(Date)
    vi.spyOn(Date, 'now').mockImplementation(() => real() + 10 * 365 * 24 * 3600_000)
    const second = await startNode({ dataDir })
    await follow(second, run, (u) => u.type === 'task' && u.task.status === 'running')
    writeFileSync(go, '')
    expect((await follow(second, run)).status).toBe('complete')
    expect(await second.face.task({ task: 'one' })).toMatchObject({ attempts: 1, failures: 0 })
  })

  it('[RC9] clones that a crash left are listed with their state; cleaning removes only what a ref has', async () => {
    const dataDir = temporaryDir()
    const node = await startNode({ dataDir })
    const run = await submit(node, {
      repository: repository({ 'a.txt': 'a\n' }),
      tasks: [{ id: 'one', kind: 'outside', scope: { write: ['a.txt'], read: [] } }],
    })
    const claim = await node.face.claim({})
    writeFileSync(join(claim.workspace!, 'a.txt'), 'by hand\n')
    expect(await node.face.workspaces()).toMatchObject([{ attempt: claim.attempt, state: 'running' }])
    const aside = join(temporaryDir(), 'aside')
    cpSync(claim.workspace!, aside, { recursive: true })
    await node.face.complete({ attempt: claim.attempt })
    await follow(node, run)
    await until(() => !existsSync(claim.workspace!))
    // As if the node had been killed after the result was written and before the clone was removed …
    cpSync(aside, claim.workspace!, { recursive: true })
    expect(await node.face.workspaces()).toMatchObject([{ state: 'saved' }])
    // … and somebody had gone on working in it.
    writeFileSync(join(claim.workspace!, 'a.txt'), 'later thoughts\n')
    const first = await node.face.cleanWorkspaces({})
    expect(first.removed).toEqual([])
    expect(first.kept).toMatchObject([{ attempt: claim.attempt }])
    expect(existsSync(claim.workspace!)).toBe(true)
    writeFileSync(join(claim.workspace!, 'a.txt'), 'by hand\n')
    expect((await node.face.cleanWorkspaces({ dryRun: true })).removed).toHaveLength(1)
    expect(existsSync(claim.workspace!)).toBe(true)
    expect((await node.face.cleanWorkspaces({})).removed).toHaveLength(1)
    expect(existsSync(claim.workspace!)).toBe(false)
  })
})

describe('data directories of yesterday', () => {
  it('[RC10] a copy from the middle of a run goes on from there: nothing twice in its own history, no crash, and it says what it found', async () => {
    const dataDir = temporaryDir()
    const copy = join(temporaryDir(), 'copy')
    const repo = repository({ 'a.txt': 'a\n' })
    const flags = temporaryDir()
    const node = await startNode({ dataDir })
    const waits = `touch ${flags}/begun; while [ ! -e ${flags}/go ]; do sleep 0.02; done`
    const run = await submit(node, {
      repository: repo,
      tasks: [
        shell('one', 'echo one > one.txt', { write: ['one.txt'] }),
        shell('two', `${waits}; echo two > two.txt`, { write: ['two.txt'], needs: ['one'] }),
      ],
    })
    await follow(node, run, (u) => u.type === 'task' && u.task.id === 'one' && u.task.status === 'accepted')
    await until(() => existsSync(join(flags, 'begun')))
    // Sockets cannot be copied, and no backup has them.
    cpSync(dataDir, copy, {
      recursive: true,
      filter: (path) => !/\/(s|node\.lock|endpoint\.json)$/.test(path),
    })
    writeFileSync(join(flags, 'go'), '')
    expect((await follow(node, run)).status).toBe('complete')
    const done = git(repo, 'rev-parse', `orch/${run}`)
    await node.close()

    const restored = await startNode({ dataDir: copy })
    const status = await restored.face.status()
    expect(status.recovery.length).toBeGreaterThan(0)
    const summary = await follow(restored, run)
    expect(summary.status).toBe('complete')
    const tasks = await restored.face.tasks({ run })
    expect(tasks.map((t) => [t.id, t.status, t.position])).toEqual([
      ['one', 'accepted', 1],
      ['two', 'accepted', 2],
    ])
    expect((await restored.face.task({ task: 'two' })).attemptList.map((a) => a.outcome)).toEqual([
      'lost',
      'done',
    ])
    expect(violations(restored.engine.state.board)).toEqual([])
    // The person's branch holds what the other life made: left alone, and told.
    expect(summary.commit).not.toBe(done)
    expect(summary.problem).toMatchObject({ code: 'ORCH_TARGET_MOVED' })
    expect(git(repo, 'rev-parse', `orch/${run}`)).toBe(done)
  })

  it('[RC11] a journal of yesterday with the repositories of today: what the ref has is accepted, and what it does not have is run', async () => {
    const dataDir = temporaryDir()
    const repo = repository({ 'a.txt': 'a\n' })
    const go = join(temporaryDir(), 'go')
    const old = join(temporaryDir(), 'journal.jsonl')
    const node = await startNode({ dataDir })
    const run = await submit(node, {
      repository: repo,
      tasks: [
        shell('one', `touch ${go}.begun; while [ ! -e ${go} ]; do sleep 0.02; done; echo one > one.txt`, {
          write: ['one.txt'],
        }),
        shell('two', 'echo two > two.txt', { write: ['two.txt'], needs: ['one'] }),
        shell('three', 'test -e two.txt && exit 1', { write: ['three.txt'], needs: ['two'] }),
      ],
    })
    await until(() => existsSync(`${go}.begun`))
    cpSync(join(dataDir, 'journal.jsonl'), old)
    writeFileSync(go, '')
    expect((await follow(node, run)).status).toBe('partial')
    await node.close()
    const before = git(repo, 'rev-list', '--reverse', `main..orch/${run}`)
    cpSync(old, join(dataDir, 'journal.jsonl'))

    const restored = await startNode({ dataDir })
    expect((await restored.face.status()).recovery.join()).toContain(
      '2 accepted commits read back from its ref',
    )
    const summary = await follow(restored, run)
    expect(summary.status).toBe('partial')
    const tasks = await restored.face.tasks({ run })
    expect(tasks.map((t) => [t.id, t.status, t.position])).toEqual([
      ['one', 'accepted', 1],
      ['two', 'accepted', 2],
      ['three', 'failed', undefined],
    ])
    expect(git(repo, 'rev-list', '--reverse', `main..orch/${run}`)).toBe(before)
    // Nothing was accepted a second time, and nothing of the first time was thrown away.
    expect(tasks.slice(0, 2).map((t) => t.commit)).toEqual(before.split('\n'))
  })
})
