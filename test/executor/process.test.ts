/**
 * The shim and its node side with real processes: what is killed, how, and what is found afterwards. Every test ends with nothing running that
 * carries the id of an attempt.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import type { AttemptSpec } from '../../src/core/attempt.ts'
import { LEFTOVER_GRACE_MS } from '../../src/core/limit.ts'
import { outputBytes, readOutput } from '../../src/executor/output.ts'
import {
  adoptProcess,
  type OutputReader,
  type ProcessSpec,
  startProcess,
} from '../../src/executor/process.ts'
import { programArguments } from '../../src/executor/program.ts'
import { type ExitRecord, readRecord, type StartRecord } from '../../src/executor/record.ts'
import { findProcesses, processMark } from '../../src/executor/session.ts'
import { sparePid } from '../../src/executor/spare.ts'
import { cleanUp, eventually, makeAttempt } from './attempt.ts'

afterAll(() => expect(cleanUp()).toEqual([]))

function shell(run: string, over: Partial<ProcessSpec> = {}): ProcessSpec {
  const spec = makeAttempt({ run })
  return { ...processSpec(spec), args: ['-c', run], ...over }
}

function processSpec(spec: AttemptSpec): ProcessSpec {
  return {
    id: spec.id,
    dir: spec.dir,
    command: '/bin/sh',
    args: [],
    cwd: spec.workspace,
    env: spec.env,
    timeoutMs: 0,
  }
}

class Bytes implements OutputReader {
  readonly from: number
  readonly chunks: Buffer[] = []
  readonly gaps: [number, number][] = []
  #at: number

  constructor(from = 0) {
    this.from = from
    this.#at = from
  }

  get length(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  output(chunk: Buffer, offset: number): void {
    if (offset !== this.#at) throw new Error(`offset ${offset}, expected ${this.#at}`)
    this.#at += chunk.length
    this.chunks.push(chunk)
  }

  gap(from: number, to: number): void {
    this.gaps.push([from, to])
    this.#at = to
  }

  text(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }
}

function kept(dir: string): Buffer {
  return Buffer.concat([...readOutput(dir, 0)].map((slice) => slice.data))
}

function exitRecord(dir: string): ExitRecord {
  const record = readRecord<ExitRecord>(dir, 'exit.json')
  if (typeof record !== 'object') throw new Error(`exit.json is ${record}`)
  return record
}

async function run(spec: ProcessSpec, reader = new Bytes()) {
  const attempt = await startProcess(spec, reader)
  return { end: await attempt.ended, reader, dir: spec.dir }
}

describe('what is recorded', () => {
  it('[EX8] exit code and output are exact, error output in the order of writing', async () => {
    const { end, reader, dir } = await run(
      shell('echo one; echo two >&2; echo three >/dev/stderr; printf four; exit 42'),
    )
    expect(end).toMatchObject({ exit: 42, outputBytes: 18 })
    expect(reader.text()).toBe('one\ntwo\nthree\nfour')
    expect(exitRecord(dir)).toEqual(end)
    expect(existsSync(join(dir, 's'))).toBe(false)
  })

  it('[EX8] a signal is told by its name: kill -9 itself', async () => {
    const { end } = await run(shell('kill -9 $$'))
    expect(end).toMatchObject({ exit: null, signal: 'SIGKILL' })
    expect(end.stopped).toBeUndefined()
  })

  it('[EX8] an exit of 137 is an exit, not a signal', async () => {
    expect((await run(shell("sh -c 'kill -9 $$'; exit $?"))).end).toMatchObject({ exit: 137 })
  })

  it('[EX9] a missing program or directory is a spawn error of the end', async () => {
    const missing = await run(shell('', { command: '/nowhere/program' }))
    expect(missing.end).toMatchObject({
      exit: null,
      spawnError: 'command not found: /nowhere/program',
      outputBytes: 0,
    })
    const cwd = await run(shell('true', { cwd: '/nowhere/at-all' }))
    expect(cwd.end).toMatchObject({ exit: null, spawnError: 'directory does not exist: /nowhere/at-all' })
    const file = shell('')
    writeFileSync(join(file.dir, 'plain'), 'x', { mode: 0o644 })
    const denied = await run({ ...file, command: join(file.dir, 'plain') })
    expect(denied.end.spawnError).toMatch(/^no permission to run/)
  })

  it('[EX9] a command that the shell does not find is exit 127', async () => {
    const { end, reader } = await run(shell('no-such-command-here'))
    expect(end).toMatchObject({ exit: 127 })
    expect(reader.text()).toMatch(/not found/)
  })

  it('[EX10] standard input is closed', async () => {
    const { end, reader } = await run(shell('cat; read x; echo "$?"'))
    expect(end.exit).toBe(0)
    expect(reader.text()).toBe('1\n')
  })

  it('[EX11] bytes that are no UTF-8 are kept as they are', async () => {
    const { dir, reader } = await run(shell(String.raw`printf '\377\376\000\001x\n'`))
    expect([...kept(dir)]).toEqual([0xff, 0xfe, 0, 1, 0x78, 0x0a])
    expect(reader.text()).toBe('\xff\xfe\x00\x01x\n')
  })
})

describe('output beyond its caps', () => {
  it('[EX11] keeps head and tail of 1 GB and counts the rest, in less than 10 s', async () => {
    const started = performance.now()
    const reader = new Bytes()
    const spec = shell('printf BEGIN; head -c 1000000000 /dev/zero; printf FINISH')
    const { end } = await run(spec, Object.assign(reader, { rate: 64 * 1024 }))
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(end).toMatchObject({ exit: 0, outputBytes: 1_000_000_011 })
    expect(outputBytes(spec.dir)).toBe(1_000_000_011)
    const onDisk = readdirSync(spec.dir)
      .filter((name) => name.startsWith('output.'))
      .reduce((sum, name) => sum + statSync(join(spec.dir, name)).size, 0)
    expect(onDisk).toBeLessThanOrEqual(16 * 1024 * 1024)
    expect(onDisk).toBeGreaterThan(13 * 1024 * 1024)
    const bytes = kept(spec.dir)
    expect(bytes.subarray(0, 5).toString()).toBe('BEGIN')
    expect(bytes.subarray(-6).toString()).toBe('FINISH')
    // and cheap for the one who listens
    expect(reader.length).toBeLessThan(64 * 1024 * 400)
    expect(reader.text().endsWith('FINISH')).toBe(true)
  })

  it('[EX12] a reader that takes nothing does not hold the worker', async () => {
    const spec = shell('until [ -e go ]; do sleep 0.01; done; head -c 60000000 /dev/zero; echo end', {
      headBytes: 1e6,
      tailBytes: 4e6,
    })
    const attempt = await startProcess(spec, new Bytes())
    const { socket: path } = readRecord<StartRecord>(spec.dir, 'attempt.json') as StartRecord
    const lazy = createConnection(path)
    await new Promise((resolve) => lazy.once('connect', resolve))
    lazy.pause()
    lazy.write('{"follow":0}\n')
    writeFileSync(join(spec.cwd, 'go'), '')
    expect(await attempt.ended).toMatchObject({ exit: 0, outputBytes: 60_000_004 })
    lazy.destroy()
  })

  it('[EX12] what the caps dropped is told as a gap, the rest is exact', async () => {
    const spec = shell('seq 1 200000', { headBytes: 1000, tailBytes: 4000 })
    await run(spec)
    const reader = new Bytes()
    const late = await adoptProcess(spec.dir, reader)
    const end = await late!.ended
    expect(reader.gaps).toHaveLength(1)
    const [from, to] = reader.gaps[0]!
    expect(from).toBe(1000)
    const whole = Array.from({ length: 200000 }, (_, i) => `${i + 1}\n`).join('')
    expect(end.outputBytes).toBe(whole.length)
    expect(reader.text()).toBe(whole.slice(0, from) + whole.slice(to))
    expect(whole.length - to).toBeGreaterThan(2000)
  })

  it('[EX12] several readers, and one that continues, each get every byte once', async () => {
    const spec = shell(
      'for i in $(seq 1 2000); do echo "line $i"; done; until [ -e go ]; do sleep 0.01; done; seq 1 50000',
    )
    const whole = `${Array.from({ length: 2000 }, (_, i) => `line ${i + 1}\n`).join('')}${Array.from({ length: 50000 }, (_, i) => `${i + 1}\n`).join('')}`
    const first = new Bytes()
    const attempt = await startProcess(spec, first)
    await eventually('some output', () => first.length > 5_000)
    const second = new Bytes()
    const third = new Bytes(1234)
    const others = [await adoptProcess(spec.dir, second), await adoptProcess(spec.dir, third)]
    await eventually('others listen', () => second.length > 5_000 && third.length > 3_000)
    writeFileSync(join(spec.cwd, 'go'), '')
    await Promise.all([attempt.ended, ...others.map((other) => other!.ended)])
    expect(first.text()).toBe(whole)
    expect(second.text()).toBe(whole)
    expect(third.text()).toBe(whole.slice(1234))
    expect([...first.gaps, ...second.gaps, ...third.gaps]).toEqual([])
  })
})

describe('stop and sweep', () => {
  it('[EX4] TERM reaches the whole session', async () => {
    const spec = shell('sleep 1000 & sleep 1000 & echo ready; wait')
    const reader = new Bytes()
    const attempt = await startProcess(spec, reader)
    await eventually('ready', () => reader.text().includes('ready'))
    const asked = performance.now()
    attempt.stop('cancelled', 10_000)
    expect(await attempt.ended).toMatchObject({ exit: null, signal: 'SIGTERM', stopped: 'cancelled' })
    expect(performance.now() - asked).toBeLessThan(5_000)
  })

  it('[EX13] a daemon (setsid, double fork) that ignores TERM is ended with the attempt that is stopped', async () => {
    const spec = shell(
      `(setsid sh -c 'trap "" TERM; echo $$ > daemon; sleep 1000; sleep 1000' >/dev/null 2>&1 &); until [ -s daemon ]; do sleep 0.01; done; echo ready; sleep 1000`,
    )
    const reader = new Bytes()
    const attempt = await startProcess(spec, reader)
    await eventually('ready', () => reader.text().includes('ready'))
    const daemon = Number(readFileSync(join(spec.cwd, 'daemon'), 'utf8'))
    expect(processMark(daemon)).toBeDefined()
    attempt.stop('cancelled', 400)
    const end = await attempt.ended
    expect(end.leftovers).toBeGreaterThanOrEqual(1)
    expect(processMark(daemon)).toBeUndefined()
    expect(findProcesses({ id: spec.id })).toEqual([])
  })

  it('[EX13] leftovers of a normal exit are ended and counted, and a held pipe delays the end no longer than a second', async () => {
    const spec = shell(
      `(setsid sh -c 'trap "" TERM; echo $$ > daemon; sleep 1000' &); until [ -s daemon ]; do sleep 0.01; done; exit 7`,
    )
    const { end } = await run(spec)
    expect(end).toMatchObject({ exit: 7 })
    expect(end.stopped).toBeUndefined()
    expect(end.leftovers).toBeGreaterThanOrEqual(1)
    expect(processMark(Number(readFileSync(join(spec.cwd, 'daemon'), 'utf8')))).toBeUndefined()
  })

  it('[EX13] a stranger that shed the id but holds the pipe delays the end about a second, and is left alone', async () => {
    const spec = shell(`(env -i setsid sleep 30 & echo $! > stranger); sleep 0.2; exit 0`)
    const started = performance.now()
    const { end } = await run(spec)
    expect(end.exit).toBe(0)
    expect(performance.now() - started).toBeLessThan(LEFTOVER_GRACE_MS + 5_000)
    const pid = Number(readFileSync(join(spec.cwd, 'stranger'), 'utf8'))
    expect(processMark(pid)).toBeDefined()
    process.kill(pid, 'SIGKILL')
  })

  it('[EX14] more memory than allowed ends the attempt', async () => {
    const script = 'const a = []; setInterval(() => a.push(Buffer.alloc(16e6, 1)), 20)'
    const spec = shell('', { command: process.execPath, args: ['-e', script], memoryBytes: 150e6 })
    const { end } = await run(spec)
    expect(end).toMatchObject({ stopped: 'memory' })
    expect(end.memoryBytesMax).toBeGreaterThan(150e6)
  })

  it('[EX15] the shim ends an attempt whose node never says stop', async () => {
    const { end } = await run(shell('sleep 1000', { timeoutMs: 1, backstopMs: 300 }))
    expect(end).toMatchObject({ stopped: 'timed-out' })
  })
})

describe('after a crash', () => {
  const starter = fileURLToPath(new URL('./starter.ts', import.meta.url))

  /** Another process starts the attempt, then follows it like a node. */
  async function startElsewhere(spec: ProcessSpec): Promise<ChildProcess & { readonly spare: number }> {
    const path = join(spec.dir, 'spec.json')
    writeFileSync(path, JSON.stringify(spec))
    const node = spawn(process.execPath, ['--import', 'tsx', starter, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let told = ''
    node.stdout!.on('data', (chunk: Buffer) => {
      told += chunk.toString()
    })
    await eventually(
      'the other process has read some output',
      () => /read \d{4,}/.test(told) && /spare \d+\n/.test(told),
    )
    return Object.assign(node, { spare: Number(/spare (\d+)/.exec(told)![1]) })
  }

  it('[EX18] the spare shim takes the next attempt, and ends with its node, also by kill -9', async () => {
    const spec = shell('seq 1 2000; until [ -e go ]; do sleep 0.01; done')
    const node = await startElsewhere(spec)
    expect(processMark(node.spare)).toBeDefined()
    node.kill('SIGKILL')
    await eventually('the spare has ended', () => processMark(node.spare) === undefined)
    const attempt = await adoptProcess(spec.dir, new Bytes())
    writeFileSync(join(spec.cwd, 'go'), '')
    expect((await attempt!.ended).exit).toBe(0)
    await eventually('a spare here', () => sparePid() !== undefined)
    const spare = sparePid()
    const next = await startProcess(shell('true'), new Bytes())
    expect(next.shimPid).toBe(spare)
    await next.ended
  })

  it('[EX18] a spare that died is replaced unseen', async () => {
    await run(shell('true'))
    const spare = sparePid()!
    process.kill(spare, 'SIGKILL')
    const { end } = await run(shell('exit 6'))
    expect(end).toMatchObject({ exit: 6 })
  })

  it('[EX16] kill -9 of the node in mid-output: adopted, output and exit code are exact', async () => {
    const spec = shell('seq 1 20000; until [ -e go ]; do sleep 0.01; done; seq 20001 60000; exit 9')
    const node = await startElsewhere(spec)
    node.kill('SIGKILL')
    await new Promise((resolve) => node.once('exit', resolve))
    const reader = new Bytes()
    const attempt = await adoptProcess(spec.dir, reader)
    writeFileSync(join(spec.cwd, 'go'), '')
    const end = await attempt!.ended
    expect(end).toMatchObject({ exit: 9 })
    expect(end.lost).toBeUndefined()
    expect(reader.text()).toBe(Array.from({ length: 60000 }, (_, i) => `${i + 1}\n`).join(''))
    expect(reader.gaps).toEqual([])
  })

  it('[EX16] kill -9 of the node, the attempt ends alone: adopted with its record', async () => {
    const spec = shell('seq 1 5000; exit 5')
    const node = await startElsewhere(spec)
    node.kill('SIGKILL')
    await eventually('exit.json', () => existsSync(join(spec.dir, 'exit.json')))
    const reader = new Bytes(10)
    const attempt = await adoptProcess(spec.dir, reader)
    expect(await attempt!.ended).toEqual(exitRecord(spec.dir))
    expect(reader.text()).toBe(
      Array.from({ length: 5000 }, (_, i) => `${i + 1}\n`)
        .join('')
        .slice(10),
    )
  })

  it('[EX17] kill -9 of the shim: lost, and everything that carries the id is ended first', async () => {
    const spec = shell(
      `(setsid sleep 1000 >/dev/null 2>&1 &); trap '' PIPE; echo ready; while :; do sleep 0.1; done`,
    )
    const reader = new Bytes()
    const attempt = await startProcess(spec, reader)
    await eventually('ready', () => reader.text().includes('ready'))
    expect(findProcesses({ id: spec.id }).length).toBeGreaterThanOrEqual(2)
    process.kill(attempt.shimPid!, 'SIGKILL')
    const end = await attempt.ended
    expect(end).toMatchObject({ exit: null, lost: true, outputBytes: 6 })
    expect(findProcesses({ id: spec.id })).toEqual([])
    expect(existsSync(join(spec.dir, 'exit.json'))).toBe(false)
  })

  it('[EX17] the same, found by a later adopt', async () => {
    const spec = shell('seq 1 2000; sleep 1000')
    const node = await startElsewhere(spec)
    node.kill('SIGKILL')
    const shim = JSON.parse(readFileSync(join(spec.dir, 'shim.json'), 'utf8')) as {
      pid: number
      childPid: number
    }
    process.kill(shim.pid, 'SIGKILL')
    await eventually('the shim is gone', () => processMark(shim.pid) === undefined)
    expect(processMark(shim.childPid)).toBeDefined()
    const reader = new Bytes()
    const end = await (await adoptProcess(spec.dir, reader))!.ended
    expect(end).toMatchObject({ lost: true })
    expect(processMark(shim.childPid)).toBeUndefined()
    expect(reader.length).toBe(end.outputBytes)
  })

  it('[EX7] a shim that comes after an adopt starts nothing', async () => {
    const spec = shell('touch ran')
    const record: StartRecord = {
      v: 1,
      id: spec.id,
      command: spec.command,
      args: spec.args,
      cwd: spec.cwd,
      env: spec.env,
      backstopMs: 0,
      headBytes: 1000,
      tailBytes: 1000,
      socket: join(spec.dir, 's'),
    }
    writeFileSync(join(spec.dir, 'attempt.json'), JSON.stringify(record))
    expect(await adoptProcess(spec.dir, new Bytes())).toBeUndefined()
    const shim = spawn(process.execPath, [...programArguments('shim'), spec.dir], { stdio: 'ignore' })
    expect(await new Promise((resolve) => shim.once('exit', resolve))).toBe(0)
    expect(existsSync(join(spec.cwd, 'ran'))).toBe(false)
    expect(existsSync(join(spec.dir, 'shim.json'))).toBe(false)
    expect(await adoptProcess(spec.dir, new Bytes())).toBeUndefined()
  })

  it('[EX7] a record of a newer version is refused, a torn one never started', async () => {
    const torn = shell('true')
    writeFileSync(join(torn.dir, 'attempt.json'), '{"v":1,')
    expect(await adoptProcess(torn.dir, new Bytes())).toBeUndefined()
    const newer = shell('true')
    writeFileSync(join(newer.dir, 'attempt.json'), '{"v":99}')
    await expect(adoptProcess(newer.dir, new Bytes())).rejects.toMatchObject({ code: 'ORCH_JOURNAL_NEWER' })
  })

  it('[EX17] a process id that names another process now is left alone', async () => {
    const spec = shell('true')
    await run(spec)
    const bystander = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' })
    const mark = processMark(bystander.pid!)!
    const leader = { pid: bystander.pid!, mark: `${mark.split(':')[0]}:1` }
    expect(findProcesses({ id: spec.id, leader })).toEqual([])
    expect(findProcesses({ id: spec.id, leader: { pid: bystander.pid!, mark } })).toEqual([bystander.pid])
    bystander.kill('SIGKILL')
  })

  it('[EX16] a directory with a long path has its socket elsewhere, private', async () => {
    const spec = shell('echo hi')
    const dir = join(spec.dir, 'x'.repeat(120))
    mkdirSync(dir)
    const reader = new Bytes()
    await run({ ...spec, dir }, reader)
    expect(reader.text()).toBe('hi\n')
    const { socket } = readRecord<StartRecord>(dir, 'attempt.json') as StartRecord
    expect(Buffer.byteLength(socket)).toBeLessThan(100)
    expect(statSync(join(socket, '..')).mode & 0o077).toBe(0)
    expect(existsSync(socket)).toBe(false)
  })

  it('[EX18] a directory that cannot be written is a fault of this node', async () => {
    const spec = shell('true')
    await expect(
      startProcess({ ...spec, dir: join(spec.dir, 'missing') }, new Bytes()),
    ).rejects.toMatchObject({
      code: 'ORCH_SHIM',
    })
  })
})
