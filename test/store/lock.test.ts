/** The lock of a data directory: one process at a time, a dead one's lock goes to exactly one contender, everybody else learns who has it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { acquireLock, type LockHolder, readLock } from '../../src/store/lock.ts'
import { bootId, hostId, isSameProcess, readStartTicks } from '../../src/store/process-identity.ts'
import { useDataDir } from './data-dir.ts'

/** A pid that lived a moment ago. */
function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid
}

function plant(dir: string, change: Partial<LockHolder>): LockHolder {
  const holder: LockHolder = {
    v: 1,
    pid: process.pid,
    startTicks: readStartTicks(process.pid)!,
    host: hostId(),
    hostname: 'here',
    boot: bootId(),
    command: 'orch-node start',
    at: 5,
    token: '0123456789abcdef',
    ...change,
  }
  writeFileSync(join(dir, 'node.lock'), JSON.stringify(holder))
  return holder
}

function startContender(): { child: ChildProcess; lines: AsyncIterator<string>; reader: Interface } {
  const script = fileURLToPath(new URL('./child/lock-contender.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const reader = createInterface({ input: child.stdout })
  return { child, reader, lines: reader[Symbol.asyncIterator]() }
}

const next = async (lines: AsyncIterator<string>) => (await lines.next()).value as string

describe('lock of the data directory', () => {
  it('[ST13] names its holder, is readable by the owner only, and goes with its release', () => {
    const dir = useDataDir()
    const lock = acquireLock(dir, { now: () => 1_732_156_800_000, command: 'orch-node start --slots 3' })
    expect(readLock(dir)).toMatchObject({
      isAlive: true,
      holder: { v: 1, pid: process.pid, command: 'orch-node start --slots 3', at: 1_732_156_800_000 },
    })
    expect(readdirSync(dir)).toEqual(['node.lock'])
    expect(statSync(join(dir, 'node.lock')).mode & 0o777).toBe(0o600)
    lock.release()
    lock.release()
    expect(readdirSync(dir)).toEqual([])
    expect(readLock(dir)).toBeUndefined()
    acquireLock(dir).release()
  })

  it('[ST13] a second open in the same process is refused, by whatever path', () => {
    const dir = useDataDir()
    const lock = acquireLock(dir)
    const alias = join(useDataDir(), 'alias')
    symlinkSync(dir, alias)
    for (const path of [dir, `${dir}/.`, alias]) {
      expect(() => acquireLock(path)).toThrow(
        expect.objectContaining({ code: 'ORCH_LOCKED', message: expect.stringContaining('this process') }),
      )
    }
    expect(readLock(dir)?.holder.token).toBe(lock.holder.token)
    lock.release()
  })

  it('[ST13] a living holder is named with pid and command; when it is killed, the lock is free', async () => {
    const dir = useDataDir()
    const { child, lines } = startContender()
    expect(await next(lines)).toBe('ready')
    child.stdin!.write(`${dir}\n`)
    expect(await next(lines)).toBe('won')
    expect(() => acquireLock(dir)).toThrow(
      expect.objectContaining({
        code: 'ORCH_LOCKED',
        message: expect.stringMatching(new RegExp(`pid ${child.pid}: .*lock-contender`)),
        context: expect.objectContaining({ pid: child.pid }),
      }),
    )
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
    expect(readLock(dir)?.isAlive).toBe(false)
    acquireLock(dir).release()
  })

  it('[ST14] a lock of a dead process, of an earlier boot or of a reused pid is taken over', () => {
    for (const change of [{ pid: deadPid() }, { startTicks: '1' }, { boot: 'an earlier one' }]) {
      const dir = useDataDir()
      plant(dir, change)
      const lock = acquireLock(dir)
      expect(readLock(dir)?.holder.token).toBe(lock.holder.token)
      expect(readdirSync(dir)).toEqual(['node.lock'])
      lock.release()
    }
  })

  it('[ST14] a lock file that a power loss emptied is taken over', () => {
    for (const content of ['', '{"pid":', '[]', 'null', '\0\0\0']) {
      const dir = useDataDir()
      writeFileSync(join(dir, 'node.lock'), content)
      acquireLock(dir).release()
      expect(readdirSync(dir)).toEqual([])
    }
  })

  it('[ST14] contenders that died in the middle of a takeover do not block it', () => {
    const dir = useDataDir()
    const pid = deadPid()
    const first = plant(dir, { pid })
    // Two heirs in a row won the claim and died before they could rename it.
    writeFileSync(
      join(dir, `node.lock.${first.token}`),
      JSON.stringify({ ...first, token: 'aaaaaaaaaaaaaaaa' }),
    )
    linkSync(join(dir, `node.lock.${first.token}`), join(dir, 'node.lock.aaaaaaaaaaaaaaaa.new'))
    writeFileSync(
      join(dir, 'node.lock.aaaaaaaaaaaaaaaa'),
      JSON.stringify({ ...first, token: 'bbbbbbbbbbbbbbbb' }),
    )
    const lock = acquireLock(dir)
    expect(readLock(dir)?.holder.token).toBe(lock.holder.token)
    expect(readdirSync(dir)).toEqual(['node.lock'])
    lock.release()
  })

  it('[ST14] a contender that lives and is about to take over is respected', () => {
    const dir = useDataDir()
    const first = plant(dir, { pid: deadPid() })
    const living = { ...first, pid: process.pid, token: 'aaaaaaaaaaaaaaaa' }
    writeFileSync(join(dir, `node.lock.${first.token}`), JSON.stringify(living))
    expect(() => acquireLock(dir)).toThrow(expect.objectContaining({ code: 'ORCH_LOCKED' }))
    expect(readLock(dir)?.holder.token).toBe(first.token)
    expect(readdirSync(dir).toSorted()).toEqual(['node.lock', `node.lock.${first.token}`])
  })

  it('[ST15] a lock of another machine is refused, and the error says how to go on', () => {
    const dir = useDataDir()
    plant(dir, { host: 'fedcba9876543210', hostname: 'box-lab', pid: deadPid() })
    expect(() => acquireLock(dir)).toThrow(
      expect.objectContaining({
        code: 'ORCH_LOCKED',
        message: expect.stringContaining('another machine, box-lab'),
        hint: expect.stringContaining(join(dir, 'node.lock')),
      }),
    )
    expect(readLock(dir)?.isAlive).toBe(false)
  })

  it('[ST13] releasing leaves a lock alone that is not ours any more', () => {
    const dir = useDataDir()
    const lock = acquireLock(dir)
    const other = plant(dir, { pid: 1 })
    lock.release()
    expect(JSON.parse(readFileSync(join(dir, 'node.lock'), 'utf8'))).toEqual(other)
  })

  it('tells a living process from a dead one and from another with its number', () => {
    const own = readStartTicks(process.pid)!
    expect(isSameProcess(process.pid, own)).toBe(true)
    expect(isSameProcess(process.pid, `${own}1`)).toBe(false)
    expect(isSameProcess(deadPid(), own)).toBe(false)
    expect(isSameProcess(0, own)).toBe(false)
  })

  it('[ST14] of ten processes that start at once exactly one gets the directory, stale lock or none', async () => {
    const contenders = Array.from({ length: 10 }, startContender)
    for (const { lines } of contenders) expect(await next(lines)).toBe('ready')
    const base = useDataDir()
    const dead = deadPid()
    for (let round = 0; round < 40; round++) {
      const dir = mkdtempSync(join(base, 'round-'))
      mkdirSync(dir, { recursive: true })
      if (round % 4 !== 0) plant(dir, { pid: dead })
      for (const { child } of contenders) child.stdin!.write(`${dir}\n`)
      const outcomes = await Promise.all(contenders.map(({ lines }) => next(lines)))
      const winner = contenders[outcomes.indexOf('won')]!
      expect(outcomes.filter((outcome) => outcome === 'won')).toHaveLength(1)
      expect(outcomes.filter((outcome) => outcome.startsWith('ORCH_LOCKED'))).toHaveLength(9)
      expect(readLock(dir)?.holder.pid).toBe(winner.child.pid)
    }
  })
})
