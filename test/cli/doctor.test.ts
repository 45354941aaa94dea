/** Goal: doctor finds what is wrong, says what to do, and mends without losing anything. Method: real data directories, spoiled one way at a time. */
import { spawn } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeEndpoint } from '../../src/api/endpoint.ts'
import { examine } from '../../src/cli/doctor-check.ts'
import type { Finding } from '../../src/cli/finding.ts'
import { processMark } from '../../src/executor/session.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import { openNode } from '../../src/node/node.ts'
import { FakeFace } from './fake-face.ts'
import { FakeWorld } from './fake-world.ts'

let dataDir: string

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'orch-doctor-'))
})

afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

async function look(fix = false): Promise<Record<Finding['check'], Finding>> {
  const world = new FakeWorld(new FakeFace())
  const findings = await examine({ dataDir, fix, connect: () => world.connect(undefined as never) })
  return Object.fromEntries(findings.map((finding) => [finding.check, finding])) as Record<
    Finding['check'],
    Finding
  >
}

async function used(): Promise<void> {
  const node = await openNode({ dataDir })
  await node.face.submit({ name: 'demo', tasks: [['a', { kind: 'outside' }]] })
  await node.face.submit({ name: 'more', tasks: [['b', { kind: 'outside' }]] })
  await node.close()
}

describe('doctor', () => {
  it('[CL17] all is well with a directory that is not there, empty, and used', async () => {
    rmSync(dataDir, { recursive: true })
    expect(Object.values(await look()).map(({ state }) => state)).toEqual(['ok', 'ok', 'ok'])
    await used()
    const found = await look()
    for (const finding of Object.values(found))
      expect(finding, JSON.stringify(finding)).toMatchObject({ state: 'ok' })
    expect(found.journal.message).toMatch(/^whole: \d+ commits/)
    expect(found.identity.message).toMatch(/^12D3Koo/)
  })

  it('[CL17] while a node runs its journal is left alone', async () => {
    const node = await openNode({ dataDir })
    const found = await look(true)
    expect(found.lock.message).toContain(`held by pid ${process.pid}`)
    expect(found.journal).toMatchObject({ state: 'ok', message: expect.stringContaining('in use') })
    await node.close()
  })

  it('[CL17] a directory and a key that others may read', async () => {
    await used()
    chmodSync(dataDir, 0o755)
    chmodSync(join(dataDir, 'identity.key'), 0o644)
    expect(await look()).toMatchObject({
      data: { state: 'fail', advice: expect.stringContaining('--fix') },
      identity: { state: 'fail' },
    })
    expect(await look(true)).toMatchObject({
      data: { state: 'ok', advice: 'mended: mode 700' },
      identity: { state: 'ok', advice: 'mended: mode 600' },
    })
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    expect(statSync(join(dataDir, 'identity.key')).mode & 0o777).toBe(0o600)
    expect(await look()).toMatchObject({ data: { state: 'ok' }, identity: { state: 'ok' } })
  })

  it('[CL17] what a killed node left', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await new Promise((resolve) => child.once('exit', resolve))
    const endpoint = writeEndpoint(dataDir, {
      url: 'http://127.0.0.1:1',
      socket: join(dataDir, 'node.sock'),
      token: 't',
    })
    writeFileSync(join(dataDir, 'endpoint.json'), JSON.stringify({ ...endpoint, pid: child.pid }))
    writeFileSync(join(dataDir, 'node.sock'), '')
    expect((await look()).endpoint).toMatchObject({
      state: 'warn',
      message: expect.stringMatching(/endpoint\.json .* and .*node\.sock/),
    })
    expect((await look(true)).endpoint).toMatchObject({ state: 'ok', advice: 'mended: removed' })
    expect(readdirSync(dataDir)).toEqual([])
    expect((await look()).endpoint).toMatchObject({ state: 'ok', message: 'no node runs' })
  })

  it('[CL17] a damaged journal is mended, and the old one kept', async () => {
    await used()
    const path = join(dataDir, 'journal.jsonl')
    const lines = readFileSync(path, 'utf8').split('\n')
    lines[1] = lines[1]!.replace('{', '[')
    const damaged = lines.join('\n')
    writeFileSync(path, damaged)
    expect((await look()).journal).toMatchObject({
      state: 'fail',
      message: expect.stringContaining('line 2'),
      advice: expect.stringContaining('--fix'),
    })
    expect(readFileSync(path, 'utf8')).toBe(damaged)
    expect((await look(true)).journal).toMatchObject({
      state: 'ok',
      advice: expect.stringContaining('kept as'),
    })
    const kept = readdirSync(dataDir).find((name) => name.startsWith('journal.corrupt-'))
    expect(readFileSync(join(dataDir, kept!), 'utf8')).toBe(damaged)
    expect((await look()).journal.state).toBe('ok')
    const node = await openNode({ dataDir })
    await node.close()
  })

  it('[CL17] a torn tail is told, and left to the next start', async () => {
    await used()
    appendFileSync(join(dataDir, 'journal.jsonl'), '0badc0de {"half')
    expect((await look(true)).journal).toMatchObject({
      state: 'warn',
      message: expect.stringContaining('cut by a crash'),
    })
    const node = await openNode({ dataDir })
    await node.close()
    expect((await look()).journal.state).toBe('ok')
  })

  it('[CL17] attempts that run without a node are named', async () => {
    const dir = join(dataDir, 'attempts', 'demo-7f2a', 'math', '1.1-00000000')
    mkdirSync(dir, { recursive: true })
    writeFileSync(
      join(dir, 'shim.json'),
      JSON.stringify({
        v: 1,
        pid: process.pid,
        mark: processMark(process.pid),
        childPid: 1,
        childMark: '',
        startedAt: 0,
      }),
    )
    expect((await look()).attempts).toMatchObject({
      state: 'warn',
      message: expect.stringContaining('demo-7f2a/math'),
      advice: expect.stringContaining('adopts'),
    })
    writeFileSync(join(dir, 'exit.json'), '{}')
    expect((await look()).attempts).toMatchObject({ state: 'ok' })
  })

  it('[CL17] the command ends with 1 when something fails, and says it line by line', async () => {
    chmodSync(dataDir, 0o755)
    const world = new FakeWorld(new FakeFace())
    const text = await world.run('doctor', '--data-dir', dataDir)
    expect(text.exit).toBe(1)
    expect(text.stdout).toMatch(
      /✓ ok {3}node: Node\.js[\s\S]*✗ fail data: others may look into[\s\S]* {7}no node starts on it/,
    )
    expect((await world.run('doctor', '--data-dir', dataDir, '-q')).stdout).toBe('data\n')
    expect((await world.run('doctor', '--data-dir', dataDir, '--fix', '--json')).json()).toMatchObject({
      data: {
        findings: expect.arrayContaining([
          { check: 'data', state: 'ok', message: expect.any(String), advice: 'mended: mode 700' },
        ]),
      },
    })
    expect(existsSync(join(dataDir, 'journal.jsonl'))).toBe(false)
  })

  describe('of a member', () => {
    const asMember = async () => {
      const network = createMemoryNetwork()
      const node = await openNode({
        dataDir,
        backend: 'crdt',
        openNet: async ({ identity, cluster }) =>
          network.join({ node: identity.node, ...(cluster === undefined ? {} : { cluster }) }),
      })
      await node.close()
    }

    it('[CL31] the board is counted', async () => {
      await asMember()
      expect((await look()).board).toMatchObject({
        state: 'ok',
        message: expect.stringMatching(/\d frames whole/),
      })
    })

    it('[CL31] a board that cannot be opened is told, and set aside to come back from the others', async () => {
      await asMember()
      writeFileSync(join(dataDir, 'board', 'CURRENT'), 'gone')
      expect((await look()).board).toMatchObject({ state: 'fail' })
      expect((await look(true)).board).toMatchObject({
        state: 'ok',
        advice: expect.stringContaining('set aside'),
      })
      expect(readdirSync(dataDir).some((name) => name.startsWith('board.damaged-'))).toBe(true)
      expect((await look()).board).toMatchObject({ state: 'ok' })
    })
  })
})
