/** Goal: others find the node exactly while it is there. Method: real files, ports and processes. */
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ENDPOINT_FILE, readEndpoint, removeEndpoint, writeEndpoint } from '../../src/api/endpoint.ts'
import { HTTP_PORT, listenHttp } from '../../src/api/http-server.ts'
import { type Served, serve } from '../../src/api/serve.ts'
import { connectSocket } from '../../src/api/socket-client.ts'
import { socketPathOf } from '../../src/api/socket-path.ts'
import { createFakeNode, type FakeNode, until } from './open-node.ts'

let node: FakeNode
const open: Served[] = []
const start = async (options: Parameters<typeof serve>[1]) => {
  const served = await serve(node, options)
  open.push(served)
  return served
}

beforeEach(() => {
  node = createFakeNode()
})

afterEach(async () => {
  for (const served of open.splice(0)) await served.close()
  node.remove()
})

describe('the endpoint file', () => {
  it('[AP13] is there, private and whole, from ready to close', async () => {
    expect(readEndpoint(node.dataDir)).toEqual({ state: 'absent' })
    const served = await start({ httpPort: 0 })
    const endpoint = await served.announced
    const path = join(node.dataDir, ENDPOINT_FILE)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readEndpoint(node.dataDir)).toEqual({ state: 'listening', endpoint })
    expect(endpoint).toMatchObject({ v: 1, pid: process.pid, url: served.url })
    expect(node.url).toBe(served.url)
    await served.close()
    await served.close()
    expect(readdirSync(node.dataDir)).toEqual([])
    expect(existsSync(endpoint.socket)).toBe(false)
  })

  it('[AP13] of a process that is gone counts as absent', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await new Promise((resolve) => child.once('exit', resolve))
    const endpoint = writeEndpoint(node.dataDir, { url: 'http://127.0.0.1:1', socket: '/x', token: 't' })
    const write = (fields: object) =>
      writeFileSync(join(node.dataDir, ENDPOINT_FILE), JSON.stringify({ ...endpoint, ...fields }))
    write({ pid: child.pid })
    expect(readEndpoint(node.dataDir)).toMatchObject({ state: 'stale', why: expect.stringContaining('gone') })
    if (endpoint.startTicks !== undefined) {
      write({ startTicks: '1' })
      expect(readEndpoint(node.dataDir)).toMatchObject({
        state: 'stale',
        why: expect.stringContaining('another process'),
      })
    }
    for (const fields of [
      { v: 2 },
      { pid: 0 },
      { pid: -1 },
      { pid: '1' },
      { token: '' },
      { url: 5 },
      { socket: null },
    ]) {
      write(fields)
      expect(readEndpoint(node.dataDir), JSON.stringify(fields)).toMatchObject({ state: 'stale' })
    }
    writeFileSync(join(node.dataDir, ENDPOINT_FILE), '{"v":1')
    expect(readEndpoint(node.dataDir)).toMatchObject({ state: 'stale' })
  })

  it('[AP13] of the next node is not removed by the one before', () => {
    const first = writeEndpoint(node.dataDir, { url: 'http://127.0.0.1:1', socket: '/x', token: 'first' })
    const second = writeEndpoint(node.dataDir, { url: 'http://127.0.0.1:2', socket: '/y', token: 'second' })
    removeEndpoint(node.dataDir, first)
    expect(readEndpoint(node.dataDir)).toEqual({ state: 'listening', endpoint: second })
    removeEndpoint(node.dataDir, second)
    expect(readEndpoint(node.dataDir)).toEqual({ state: 'absent' })
  })

  it('[AP16] is not put where others may look', async () => {
    for (const mode of [0o755, 0o750, 0o701]) {
      chmodSync(node.dataDir, mode)
      await expect(serve(node, { httpPort: 0 })).rejects.toMatchObject({
        code: 'ORCH_DATA_DIR',
        hint: expect.stringContaining('chmod 700'),
      })
    }
    expect(existsSync(socketPathOf(node.dataDir))).toBe(false)
  })

  it('[AP17] nobody is answered, and nobody finds the node, before it is ready', async () => {
    let open!: () => void
    const ready = new Promise<void>((resolve) => {
      open = resolve
    })
    const served = await start({ httpPort: 0, ready })
    expect(readEndpoint(node.dataDir)).toEqual({ state: 'absent' })
    let answered = false
    const early = served.announced.then(async ({ socket, token }) => {
      const client = await connectSocket(socket, token)
      await client.face.runs()
      answered = true
      await client.close()
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(answered).toBe(false)
    expect(node.face.request('runs')).toBeUndefined()
    open()
    await early
    expect(readEndpoint(node.dataDir)).toMatchObject({ state: 'listening' })
  })

  it('[AP17] a request that came early is answered when the node is ready', async () => {
    let open!: () => void
    const ready = new Promise<void>((resolve) => {
      open = resolve
    })
    const { listenSocket } = await import('../../src/api/socket-server.ts')
    const path = socketPathOf(node.dataDir)
    const server = await listenSocket({ face: node.face, gate: () => ({ kind: 'owner' }), path, ready })
    const http = await listenHttp({ face: node.face, gate: () => ({ kind: 'owner' }), port: 0, ready })
    const client = await connectSocket(path, 'x')
    const calls = [
      client.face.runs(),
      fetch(`${http.url}/v1/runs`, {
        method: 'POST',
        body: '{}',
        headers: { authorization: 'Bearer x', 'content-type': 'application/json' },
      }),
    ]
    const abort = new AbortController()
    const reader = client.face.followRun({}, abort.signal)[Symbol.asyncIterator]()
    const next = reader.next()
    abort.abort()
    expect((await next).done).toBe(true)
    expect(node.face.calls).toEqual([])
    open()
    await Promise.all(calls)
    expect(node.face.calls.map(({ method }) => method)).toEqual(['runs', 'runs'])
    await client.close()
    await Promise.all([server.close(), http.close()])
  })
})

describe('the port', () => {
  const take = (port: number) =>
    new Promise<Server>((resolve, reject) => {
      const server = createServer()
      server.once('error', reject)
      server.listen(port, '127.0.0.1', () => resolve(server))
    })
  const portOf = (server: Server) => (server.address() as { port: number }).port

  it('[AP15] is the next free one when it is taken and was not asked for', async () => {
    const other = await take(0)
    const served = await start({ httpPort: portOf(other) })
    const port = Number(new URL(served.url).port)
    expect(port).toBeGreaterThan(portOf(other))
    expect(port).toBeLessThan(portOf(other) + 20)
    other.close()
  })

  it('[AP15] that was asked for is taken, or refused by its number', async () => {
    const other = await take(0)
    await expect(serve(node, { httpPort: portOf(other), fixed: true })).rejects.toMatchObject({
      code: 'ORCH_PORT_TAKEN',
      message: expect.stringContaining(String(portOf(other))),
    })
    expect(existsSync(socketPathOf(node.dataDir))).toBe(false)
    const port = portOf(other)
    await new Promise((resolve) => other.close(resolve))
    expect((await start({ httpPort: port, fixed: true })).url).toBe(`http://127.0.0.1:${port}`)
  })

  it('[AP15] is 7947 or one of the nineteen after it by default', async () => {
    const server = await listenHttp({ face: node.face, gate: () => undefined })
    expect(server.port).toBeGreaterThanOrEqual(HTTP_PORT)
    expect(server.port).toBeLessThan(HTTP_PORT + 20)
    await server.close()
  })

  it('[AP1] who hosts a node hears of runs that others submit', async () => {
    const found: string[] = []
    const served = await start({ httpPort: 0, onSubmit: (run) => found.push(run) })
    const { socket, token } = await served.announced
    const client = await connectSocket(socket, token)
    await client.face.submit({ name: 'demo', tasks: [] })
    await client.face.runs()
    await until(() => found.length === 1, 'the word')
    expect(found).toEqual(['demo-7f2a'])
    await client.close()
  })
})

it('[AP13] holds what a client needs, and nothing else', async () => {
  const served = await start({ httpPort: 0 })
  await served.announced
  const found = JSON.parse(readFileSync(join(node.dataDir, ENDPOINT_FILE), 'utf8')) as object
  expect(Object.keys(found).filter((key) => key !== 'startTicks')).toEqual([
    'v',
    'pid',
    'url',
    'socket',
    'token',
  ])
})
