// Bad input at run time: what workers do that they should not, and what disks, clocks and people do to a node. On a real repository with real processes;
// what the person sees is asserted, not what the code does.
import * as nodeFs from 'node:fs'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { isOrchError } from '../../src/core/error.ts'
import { violations } from '../../src/core/invariant.ts'
import { OUTPUT_HEAD_BYTES, OUTPUT_TAIL_BYTES } from '../../src/core/limit.ts'
import { createWorkerExecutor } from '../../src/executor/worker.ts'
import type { TaskInput } from '../../src/index.ts'
import { attemptDir } from '../../src/node/attempt-record.ts'
import { openNode } from '../../src/node/node.ts'
import { openFileStore } from '../../src/store/file.ts'
import type { JournalFs } from '../../src/store/journal-writer.ts'
import type { DataDirLock } from '../../src/store/lock.ts'
import {
  follow,
  git,
  play,
  repository,
  shell,
  startNode,
  submit,
  type TestNode,
  temporaryDir,
} from './fixture.ts'
import { carriers, everythingOf, isAlive, until } from './machine.ts'

afterEach(() => void vi.restoreAllMocks())

const once: Partial<TaskInput> = { retry: { strategy: 'none', attempts: 1, delayMs: 0 } }
const twice: Partial<TaskInput> = { retry: { strategy: 'fixed', attempts: 2, delayMs: 0 } }

describe('workers that misbehave', () => {
  it('[BI1] says by which exit a command failed: not found, killed for memory, anything else with its output', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const { summary, tasks } = await play(node, {
      repository: repository({ 'a.txt': 'a\n' }),
      tasks: [
        shell('missing', 'no-such-agent-anywhere --do it', { write: ['1'], ...once }),
        shell('killed', 'exit 137', { write: ['2'] }),
        shell('plain', 'echo "needle $((6*7))"; exit 3', { write: ['3'] }),
        shell('after', 'true', { needs: ['plain'], write: ['4'] }),
      ],
    })
    expect(summary.status).toBe('failed')
    expect(tasks.missing).toMatchObject({ status: 'failed', reason: 'exit 127: command not found' })
    expect(tasks.killed).toMatchObject({
      status: 'failed',
      reason: 'exit 137: killed, often for want of memory',
    })
    expect(tasks.plain).toMatchObject({ status: 'failed', reason: 'exit 3' })
    expect(tasks.after).toMatchObject({ status: 'dropped', reason: 'its need "plain" is failed' })
    const [attempt] = (await node.face.task({ task: 'missing' })).attemptList
    expect(attempt).toMatchObject({ exit: 127, outcome: 'failed' })
    expect(attempt!.excerpt).toContain('no-such-agent-anywhere')
    expect((await node.face.task({ task: 'plain' })).attemptList[0]!.excerpt).toContain('needle 42')
  })

  it('[BI2] exit 0 without a change is accepted without a commit, or refused where the plan says so', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const { summary, tasks } = await play(node, {
      repository: repo,
      tasks: [
        shell('look', 'ls', { write: ['x'], onEmpty: 'accept' }),
        shell('idle', 'echo thought about it', { write: ['y'], onEmpty: 'reject', ...twice }),
      ],
    })
    expect(summary.status).toBe('partial')
    expect(tasks.look).toMatchObject({ status: 'accepted', files: 0 })
    expect(tasks.look!.commit).toBeUndefined()
    expect(tasks.idle).toMatchObject({
      status: 'failed',
      attempts: 2,
      reason: 'exit 0, but no file was changed',
    })
    expect(git(repo, 'rev-list', '--count', '--all')).toBe('1')
  })

  it('[BI3] writes outside of the scope are refused with their names, or left out and named; all of it stays under a ref', async () => {
    const repo = repository({ 'src/a.txt': 'a\n', 'ci.yml': 'safe\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const wild = 'echo mine > src/a.txt; echo evil > ci.yml; mkdir -p x; echo 1 > x/new.txt'
    const { run, summary, tasks } = await play(node, {
      repository: repo,
      tasks: [
        shell('strict', wild.replaceAll('src/a', 'src/b'), { write: ['src/b.txt'] }),
        shell('trimmed', wild, { write: ['src/a.txt'], onOutside: 'trim' }),
      ],
    })
    expect(summary.status).toBe('partial')
    expect(tasks.strict!.status).toBe('failed')
    expect(tasks.strict!.reason).toBe('changed ci.yml, x/new.txt outside of its scope src/b.txt')
    expect(tasks.trimmed).toMatchObject({ status: 'accepted', files: 1 })
    const trimmed = await node.face.task({ task: 'trimmed' })
    expect(trimmed.attemptList[0]!.reason).toBe('left out ci.yml, x/new.txt: outside of its scope')
    // What the person gets is only what was allowed.
    expect(git(repo, 'diff', '--name-only', 'main', `orch/${run}`)).toBe('src/a.txt')
    // What the workers did is still there, whole.
    const strict = await node.face.task({ task: 'strict' })
    const bare = bareOf(node.dataDir)
    expect(git(bare, 'show', `${strict.attemptList[0]!.ref}:x/new.txt`)).toBe('1')
    const untrimmed = trimmed.attemptList[0]!.ref!.replace('/runs/', '/untrimmed/')
    expect(git(bare, 'show', `${untrimmed}:ci.yml`)).toBe('evil')
    expect(await node.face.workspaces()).toEqual([])
  })

  it('[BI4] a gigabyte of output costs little time and a bounded disk, and head and tail stay readable', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, {
      tasks: [
        shell('loud', `echo first line; head -c 1073741824 /dev/zero | tr '\\0' 'x'; echo; echo last line`),
      ],
    })
    const summary = await follow(node, run)
    expect(summary.status).toBe('complete')
    const { attemptList } = await node.face.task({ task: 'loud' })
    let kept = 0
    let reached = 0
    let head = ''
    let tail = ''
    for await (const { data, offset } of node.face.logs({ task: 'loud' })) {
      const bytes = Buffer.from(data, 'base64')
      expect(offset).toBeGreaterThanOrEqual(reached)
      if (kept === 0) head = bytes.toString('latin1', 0, 10)
      kept += bytes.length
      reached = offset + bytes.length
      tail = bytes.toString('latin1', Math.max(0, bytes.length - 10))
    }
    expect(head).toBe('first line')
    expect(tail).toBe('last line\n')
    expect(reached).toBe(1_073_741_824 + 'first line\n'.length + '\nlast line\n'.length)
    expect(kept).toBeLessThanOrEqual(OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES)
    const dir = attemptDir(node.dataDir, attemptList[0]!.attempt)
    const onDisk = readdirSync(dir)
      .filter((name) => name.startsWith('output.'))
      .reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
    expect(onDisk).toBeLessThanOrEqual(OUTPUT_HEAD_BYTES + OUTPUT_TAIL_BYTES)
  })

  it('[BI5] a worker that ignores SIGTERM is killed when a person does not want to wait, and its work is kept', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const dataDir = temporaryDir()
    const node = await startNode({ dataDir })
    const ready = join(temporaryDir(), 'ready')
    const run = await submit(node, {
      repository: repo,
      tasks: [
        shell('deaf', `trap '' TERM; echo half > half.txt; touch ${ready}; while :; do sleep 0.1; done`),
      ],
    })
    await until(() => existsSync(ready))
    await node.face.cancel({ task: `${run}/deaf`, reason: 'not needed' })
    expect(await node.face.tasks({ run })).toMatchObject([{ status: 'cancelled', reason: 'not needed' }])
    const { attempt } = (await node.face.task({ task: 'deaf' })).attemptList[0]!
    expect(carriers(attempt).length).toBeGreaterThan(0)
    await node.close({ now: true })
    expect(carriers(attempt)).toEqual([])
    const later = await startNode({ dataDir })
    const detail = await later.face.task({ task: 'deaf' })
    expect(detail).toMatchObject({ status: 'cancelled', reason: 'not needed' })
    expect(detail.attemptList).toMatchObject([{ outcome: 'cancelled', files: 1 }])
    expect(git(bareOf(dataDir), 'show', `${detail.attemptList[0]!.ref}:half.txt`)).toBe('half')
  })

  it('[BI6] a daemon that was left behind is gone when its task is over', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const pidFile = join(temporaryDir(), 'pid')
    const { summary } = await play(node, {
      tasks: [
        shell(
          'forks',
          `setsid sh -c 'echo $$ > ${pidFile}; exec sleep 600' & while [ ! -s ${pidFile} ]; do sleep 0.02; done`,
        ),
      ],
    })
    expect(summary.status).toBe('complete')
    const pid = Number(readFileSync(pidFile, 'utf8'))
    expect(pid).toBeGreaterThan(1)
    expect(isAlive(pid)).toBe(false)
    const { attempt } = (await node.face.task({ task: 'forks' })).attemptList[0]!
    expect(carriers(attempt)).toEqual([])
  })

  it("[BI7] a worker may delete its .git, move every branch and write the configuration of its clone: the person's repository is untouched", async () => {
    const repo = repository({ 'a.txt': 'a\n', 'b.txt': 'b\n' })
    git(repo, 'branch', 'release')
    git(repo, 'tag', 'v1')
    const before = everythingOf(repo)
    const node = await startNode({ dataDir: temporaryDir() })
    const { run, summary } = await play(node, {
      repository: repo,
      tasks: [
        shell('deletes', 'rm -rf .git; echo new > c.txt', { write: ['c.txt'] }),
        shell(
          'moves',
          [
            'git config --global user.name x 2>/dev/null; git config core.hooksPath /tmp/evil',
            'echo 2 > a.txt; git commit -qam "own commit"; git branch -f main HEAD; git branch -f release HEAD',
            'git tag -f v1 HEAD; git push -q --force origin main 2>/dev/null; git push -q --force origin HEAD:release 2>/dev/null',
            'git reset -q --hard HEAD~1; echo 3 > a.txt; git checkout -q --orphan lost; rm -f .git/HEAD; true',
          ].join('\n'),
          { write: ['a.txt'], env: { HOME: temporaryDir() } },
        ),
      ],
    })
    expect(summary.status).toBe('complete')
    expect(git(repo, 'show', `orch/${run}:c.txt`)).toBe('new')
    expect(git(repo, 'show', `orch/${run}:a.txt`)).toBe('3')
    expect(git(repo, 'show', `orch/${run}:b.txt`)).toBe('b')
    expect(everythingOf(repo, `refs/heads/orch/${run}`)).toEqual(before)
  })

  it('[BI8] more memory than the task asked for ends the attempt, and the reason says so', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const hog = `${process.execPath} -e "const a=[]; setInterval(() => a.push(Buffer.alloc(4e7, 1)), 20)"`
    const { tasks } = await play(node, {
      tasks: [shell('hog', hog, { resources: { memoryBytes: 150 * 1024 * 1024 } })],
    })
    expect(tasks.hog).toMatchObject({
      status: 'failed',
      reason: 'used more memory than its `resources` allow',
    })
    const detail = await node.face.task({ task: 'hog' })
    expect(carriers(detail.attemptList[0]!.attempt)).toEqual([])
  })

  it('[BI9] an attempt over its time is ended and told so; the next one may succeed', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const flag = join(temporaryDir(), 'tried')
    const { summary, tasks } = await play(node, {
      tasks: [
        shell('slow', `test -e ${flag} && exit 0; touch ${flag}; sleep 60`, { ...twice, timeoutMs: 500 }),
        shell('never', 'sleep 60', { timeoutMs: 300 }),
      ],
    })
    expect(summary.status).toBe('partial')
    expect(tasks.slow).toMatchObject({ status: 'accepted', attempts: 2, failures: 1 })
    expect(tasks.never).toMatchObject({ status: 'failed', reason: 'timed out after 0.3 s' })
    const detail = await node.face.task({ task: 'slow' })
    expect(detail.attemptList.map((a) => a.outcome)).toEqual(['timed-out', 'done'])
    expect(detail.attemptList[0]!.reason).toBe('timed out after 0.5 s')
  })

  it('[BI10] silence beyond the stall limit ends an attempt, a declared wait does not count as silence', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const recording = (...items: readonly object[]) => ({ lines: items as never })
    const finished = { event: { type: 'finished', ok: true } }
    const step = { event: { type: 'step', n: 1, status: 'reading' } }
    const run = await submit(node, {
      tasks: [
        {
          id: 'waits',
          kind: 'scripted',
          stallMs: 2_500,
          payload: recording(
            step,
            { event: { type: 'wait', forMs: 20_000, why: 'the build' } },
            { sleepMs: 4_000 },
            finished,
          ),
        },
        {
          id: 'hangs',
          kind: 'scripted',
          stallMs: 2_500,
          payload: recording(step, { sleepMs: 60_000 }, finished),
        },
      ],
    })
    const summary = await follow(node, run)
    const tasks = await node.face.tasks({ run })
    expect(summary.status).toBe('partial')
    expect(tasks[0]).toMatchObject({ id: 'waits', status: 'accepted', attempts: 1 })
    expect(tasks[1]).toMatchObject({ id: 'hangs', status: 'failed' })
    expect(tasks[1]!.reason).toContain('no sign of progress')
    expect(tasks[1]!.reason).toContain('reading')
  })

  it('[BI11] what an attempt hands off reaches the next one; its summary is what a person reads', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const handoff = {
      current_focus: 'the parser',
      progress: ['lexer is done'],
      next_steps: ['parse %d more rules'],
      updated_at: '2024-11-21T00:00:00.000Z',
    }
    // The needle stands nowhere in the command itself.
    const first = `printf '${JSON.stringify(handoff)}' $((2 + 2)) > "$ORCH_DIR/handoff.json"; exit 1`
    const { summary, tasks } = await play(node, {
      tasks: [
        shell(
          'relay',
          `if grep -q 'parse [4] more' "$ORCH_TASK_FILE"; then echo "took over the parser" > "$ORCH_DIR/summary.md"; else ${first}; fi`,
          twice,
        ),
      ],
    })
    expect(summary.status).toBe('complete')
    expect(tasks.relay).toMatchObject({ status: 'accepted', attempts: 2 })
    const { attemptList } = await node.face.task({ task: 'relay' })
    expect(attemptList[0]!.handoff).toMatchObject({
      current_focus: 'the parser',
      next_steps: ['parse 4 more rules'],
    })
    expect(attemptList[1]!.reason).toBe('took over the parser')
  })

  it('[BI12] output that is no text, and reports that are none, harm nobody', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const { summary } = await play(node, {
      tasks: [
        shell(
          'noise',
          [
            "printf '\\377\\376\\000\\033[31mred\\033[0m \\303'",
            'echo "{\\"current_focus\\": 3" > "$ORCH_DIR/handoff.json"',
            'ln -s /etc/passwd "$ORCH_DIR/summary.md"',
            'echo minus-one > "$ORCH_DIR/step"; head -c 3000000 /dev/urandom > "$ORCH_DIR/status"',
          ].join('; '),
        ),
      ],
    })
    expect(summary.status).toBe('complete')
    const [attempt] = (await node.face.task({ task: 'noise' })).attemptList
    expect(attempt!.handoff).toBeUndefined()
    expect(JSON.stringify(attempt)).not.toContain('root:')
    const chunks: Buffer[] = []
    for await (const { data } of node.face.logs({ task: 'noise' })) chunks.push(Buffer.from(data, 'base64'))
    expect(Buffer.concat(chunks).toString('latin1')).toBe('\xff\xfe\0\x1b[31mred\x1b[0m \xc3')
  })
})

describe('disks, clocks and people', () => {
  it('[BI13] a full disk: calls are refused with the reason, attempts go on, and when there is room the run goes on by itself, nothing twice', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const dataDir = temporaryDir()
    let full = false
    const fs = fullWhen(() => full)
    const node = await startNode({
      dataDir,
      openStore: (author) => openFileStore({ dataDir, author, lock: heldByTheNode(dataDir), fs }),
    })
    const gate = join(temporaryDir(), 'go')
    const ran = join(temporaryDir(), 'ran')
    const begun = join(temporaryDir(), 'begun')
    const wait = `echo before; echo >> ${begun}; while [ ! -e ${gate} ]; do sleep 0.02; done; echo $ORCH_TASK >> ${ran}; echo after`
    const run = await submit(node, {
      repository: repo,
      tasks: [
        shell('one', `${wait}; echo 1 > 1.txt`, { write: ['1.txt'] }),
        shell('two', `${wait}; echo 2 > 2.txt`, { write: ['2.txt'] }),
        shell('three', 'cat 1.txt 2.txt > 3.txt', { needs: ['one', 'two'], write: ['3.txt'] }),
      ],
    })
    const following = follow(node, run)
    following.catch(() => {}) // awaited below
    await until(() => lines(begun).length === 2)
    const reading = outputOf(node, `${run}/one`)
    reading.catch(() => {}) // awaited below
    full = true
    const refused = await node.face.pause({ task: `${run}/three` }).catch((error: unknown) => error)
    expect(isOrchError(refused) && refused.code).toBe('ORCH_DISK_FULL')
    // From now on every call says the same, with what to do about it.
    const again = await node.face.runs().catch((error: unknown) => error)
    expect(isOrchError(again) && `${again.code} ${again.hint}`).toBe(
      'ORCH_DISK_FULL free some space: nothing was lost, the node goes on by itself',
    )
    // The attempts do not notice.
    writeFileSync(gate, '')
    await until(() => lines(ran).length === 2)
    // It tries, and the disk is still full.
    await until(() => node.said.some((line) => line.includes('still not possible')))
    full = false
    const summary = await following
    expect(summary.status).toBe('complete')
    // Whoever followed the run or its output did not have to do anything either.
    expect(await reading).toBe('before\nafter\n')
    expect(git(repo, 'show', `orch/${run}:3.txt`)).toBe('1\n2')
    const tasks = await node.face.tasks({ run })
    expect(tasks.map((t) => t.attempts)).toEqual([1, 1, 1])
    expect(tasks.map((t) => t.position).sort()).toEqual([1, 2, 3])
    expect(lines(ran).sort()).toEqual(['one', 'two'])
    expect(violations(node.engine.state.board)).toEqual([])
    // The refused order never was.
    expect(tasks.find((t) => t.id === 'three')!.status).toBe('accepted')
    expect(node.said.filter((line) => line.includes('takes writes again'))).toHaveLength(1)
    expect(readFileSync(join(dataDir, 'journal.jsonl'), 'utf8')).not.toContain('"pause"')
  })

  it('[BI18] work of this process that is under way when the disk fails is started again in the next life, though the old call never returns', async () => {
    const dataDir = temporaryDir()
    let full = false
    let calls = 0
    const worker = createWorkerExecutor({
      kind: 'think',
      concurrency: 1,
      run: () => (++calls === 1 ? new Promise(() => {}) : { call: calls }),
    })
    const node = await startNode({
      dataDir,
      executors: [worker],
      openStore: (author) =>
        openFileStore({ dataDir, author, lock: heldByTheNode(dataDir), fs: fullWhen(() => full) }),
    })
    const run = await submit(node, {
      tasks: [
        { id: 'one', kind: 'think' },
        { id: 'two', kind: 'think' },
      ],
    })
    await until(() => calls === 1)
    full = true
    await expect(node.face.pause({ run })).rejects.toMatchObject({ code: 'ORCH_DISK_FULL' })
    full = false
    await until(() => node.said.some((line) => line.includes('takes writes again')))
    const summary = await follow(node, run)
    expect(summary.status).toBe('complete')
    expect(calls).toBe(3)
    expect(await node.face.tasks({ run })).toMatchObject([
      { id: 'one', attempts: 2, failures: 0 },
      { id: 'two', failures: 0 },
    ])
  })

  it('[BI14] a data directory that cannot be one is refused with its path', async () => {
    const file = join(temporaryDir(), 'file')
    writeFileSync(file, '')
    for (const dataDir of [file, join(file, 'below'), '/proc/orch-node']) {
      const error = await openNode({ dataDir }).catch((e: unknown) => e)
      expect(isOrchError(error) && error.code, dataDir).toBe('ORCH_DATA_DIR')
      expect((error as Error).message).toContain(dataDir)
    }
    expect(readFileSync(file, 'utf8')).toBe('')
  })

  it('[BI15] a second node on one data directory is refused and told who has it; the first does not notice', async () => {
    const dataDir = temporaryDir()
    const node = await startNode({ dataDir })
    const error = await openNode({ dataDir }).catch((e: unknown) => e)
    expect(isOrchError(error) && error.code).toBe('ORCH_LOCKED')
    expect((error as Error).message).toContain(String(process.pid))
    const { summary } = await play(node, { tasks: [shell('t', 'true')] })
    expect(summary.status).toBe('complete')
  })

  it('[BI16] the wall clock may jump ten years ahead and back: nothing times out, nothing is stuck', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const real = Date.now.bind(Date)
    let shift = 0
    vi.spyOn(Date, 'now').mockImplementation(() => real() + shift)
    const tenYears = 10 * 365 * 24 * 3600_000
    const gates = [1, 2, 3].map(() => join(temporaryDir(), 'go'))
    const wait = (n: number) => `while [ ! -e ${gates[n]} ]; do sleep 0.02; done`
    const run = await submit(node, {
      repository: repo,
      tasks: [
        shell('now', `${wait(0)}; echo 1 > 1.txt`, { write: ['1.txt'], timeoutMs: 60_000 }),
        shell('ahead', `${wait(1)}; echo 2 > 2.txt`, { write: ['2.txt'], needs: ['now'], timeoutMs: 60_000 }),
        shell('back', `${wait(2)}; echo 3 > 3.txt`, {
          write: ['3.txt'],
          needs: ['ahead'],
          timeoutMs: 60_000,
        }),
      ],
    })
    for (const [n, jump] of [tenYears, -2 * tenYears, tenYears].entries()) {
      await follow(node, run, (u) => u.type === 'task' && u.task.order === n && u.task.status === 'running')
      shift += jump
      writeFileSync(gates[n]!, '')
    }
    const summary = await follow(node, run)
    expect(summary.status).toBe('complete')
    expect((await node.face.tasks({ run })).map((t) => t.attempts)).toEqual([1, 1, 1])
    expect(git(repo, 'show', `orch/${run}:3.txt`)).toBe('3')
    // A run of the past is still younger than the runs before it.
    shift = -tenYears
    const next = await submit(node, { tasks: [shell('t', 'true')] })
    expect((await node.face.runs()).map((r) => r.id)).toEqual([next, run])
    await follow(node, next)
  })

  it('[BI17] names with spaces, quotes and other scripts are carried as they are', async () => {
    const repo = repository({ 'dir with space/ä "quote".txt': 'x\n' })
    const node = await startNode({ dataDir: join(temporaryDir(), 'data dir ü') })
    const { run, summary } = await play(node, {
      repository: repo,
      tasks: [
        shell('names', `printf 'y\\n' > 'dir with space/ä "quote".txt'; printf 'z\\n' > '日本 $x.txt'`, {
          title: 'A "title" with $(nothing) in it',
        }),
      ],
    })
    expect(summary.status).toBe('complete')
    expect(git(repo, 'show', `orch/${run}:日本 $x.txt`)).toBe('z')
    expect(git(repo, 'show', `orch/${run}:dir with space/ä "quote".txt`)).toBe('y')
    expect(git(repo, 'log', '-1', '--format=%s', `orch/${run}`)).toContain('A "title"')
  })
})

function bareOf(dataDir: string): string {
  const repos = join(dataDir, 'repos')
  return join(repos, readdirSync(repos).find((name) => name.endsWith('.git'))!)
}

/** Follows the output of a task to its end. */
async function outputOf(node: TestNode, task: string): Promise<string> {
  const chunks: Buffer[] = []
  for await (const { data } of node.face.logs({ task, follow: true }, AbortSignal.timeout(30_000)))
    chunks.push(Buffer.from(data, 'base64'))
  return Buffer.concat(chunks).toString('utf8')
}

/** A disk without space while `isFull`. */
function fullWhen(isFull: () => boolean): Partial<JournalFs> {
  const writeSync = (...args: Parameters<typeof nodeFs.writeSync>): number => {
    if (!isFull()) return nodeFs.writeSync(...args)
    const error = new Error('ENOSPC: no space left on device, write')
    throw Object.assign(error, { code: 'ENOSPC', syscall: 'write' })
  }
  return { writeSync: writeSync as JournalFs['writeSync'] }
}

/** Whole lines of a file that may not be there yet. */
function lines(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []
}

/** The node holds the lock; its store must not take it a second time. */
function heldByTheNode(dataDir: string): DataDirLock {
  const path = join(dataDir, 'node.lock')
  return { path, holder: JSON.parse(readFileSync(path, 'utf8')), release: () => {} }
}
