/** Goal: the socket refuses strangers and nonsense, and lies where and as it should. Method: raw connections. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFrameReader, encodeFrame } from '../../src/api/frame.ts'
import { type Served, serve } from '../../src/api/serve.ts'
import { connectSocket } from '../../src/api/socket-client.ts'
import { socketPathOf } from '../../src/api/socket-path.ts'
import { CONNECTION_REQUESTS_MAX, REQUEST_BYTES_MAX } from '../../src/core/limit.ts'
import { createFakeNode, type FakeNode, until } from './open-node.ts'

/** Sends frames and answers with all that comes back until the other side ends. */
function exchange(path: string, ...frames: readonly (Buffer | unknown)[]): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('close', () => {
      const found: unknown[] = []
      const bytes = Buffer.concat(chunks)
      for (let at = 0; at < bytes.length; ) {
        const length = bytes.readUInt32BE(at)
        found.push(JSON.parse(bytes.toString('utf8', at + 4, at + 4 + length)))
        at += 4 + length
      }
      resolve(found)
    })
    for (const frame of frames) socket.write(Buffer.isBuffer(frame) ? frame : encodeFrame(frame))
  })
}

describe('the socket', () => {
  let node: FakeNode
  let served: Served
  let path: string
  let token: string

  beforeEach(async () => {
    node = createFakeNode()
    served = await serve(node, { httpPort: 0 })
    ;({ socket: path, token } = await served.announced)
  })

  afterEach(async () => {
    await served.close()
    node.remove()
  })

  it('[AP3] a request before hello, a wrong token and another version are refused, and the connection ends', async () => {
    expect(await exchange(path, { id: 1, method: 'status' })).toMatchObject([
      { error: { code: 'ORCH_DENIED' } },
    ])
    expect(await exchange(path, { hello: 1, token: 'x' }, { id: 1, method: 'status' })).toMatchObject([
      { error: { code: 'ORCH_DENIED' } },
    ])
    expect(await exchange(path, { hello: 1 })).toMatchObject([{ error: { code: 'ORCH_DENIED' } }])
    expect(await exchange(path, { hello: 2, token })).toMatchObject([{ error: { code: 'ORCH_UNSUPPORTED' } }])
    expect(node.face.calls).toHaveLength(1)
  })

  it('[AP2] nonsense ends the connection with a word', async () => {
    expect(await exchange(path, { hello: 1, token }, Buffer.from([0, 0, 0, 2, 0x7b, 0x7b]))).toMatchObject([
      { error: { code: 'ORCH_USAGE' } },
    ])
    expect(await exchange(path, { hello: 1, token }, { method: 'status' })).toMatchObject([
      { error: { code: 'ORCH_USAGE' } },
    ])
    expect(await exchange(path, { hello: 1, token }, 5)).toMatchObject([{ error: { code: 'ORCH_USAGE' } }])
  })

  it('[AP9] a frame that announces too much is refused unread', async () => {
    const head = Buffer.alloc(4)
    head.writeUInt32BE(REQUEST_BYTES_MAX + 1)
    expect(await exchange(path, { hello: 1, token }, head)).toMatchObject([{ error: { code: 'ORCH_USAGE' } }])
  })

  it('[AP1] a method of another version is told, and the connection goes on', async () => {
    const socket = connect(path)
    const found: { readonly id: number }[] = []
    const read = createFrameReader(1_000_000, (message) => found.push(message as { readonly id: number }))
    socket.on('data', read)
    for (const frame of [
      { hello: 1, token },
      { id: 1, method: 'teleport' },
      { id: 2, method: 'constructor' },
      { id: 3, method: 'runs' },
    ])
      socket.write(encodeFrame(frame))
    await until(() => found.length === 3, 'three answers')
    expect(found.toSorted((a, b) => a.id - b.id)).toMatchObject([
      { id: 1, error: { code: 'ORCH_NOT_FOUND' } },
      { id: 2, error: { code: 'ORCH_NOT_FOUND' } },
      { id: 3, data: [] },
    ])
    socket.destroy()
  })

  it('[AP5] too many open requests on one connection are refused, not queued', async () => {
    const client = await connectSocket(path, token)
    let release!: () => void
    const gate = new Promise<void>((resolve) => {
      release = resolve
    })
    node.face.runs = async () => {
      await gate
      return []
    }
    const calls = Array.from({ length: CONNECTION_REQUESTS_MAX + 5 }, () => client.face.runs())
    const refused = calls.slice(CONNECTION_REQUESTS_MAX)
    for (const call of refused) await expect(call).rejects.toMatchObject({ code: 'ORCH_BACKPRESSURE' })
    release()
    expect(await Promise.all(calls.slice(0, CONNECTION_REQUESTS_MAX))).toHaveLength(CONNECTION_REQUESTS_MAX)
    await client.close()
  })

  it('[AP14] it is the user’s alone', () => {
    expect(path).toBe(join(node.dataDir, 'node.sock'))
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('[AP14] one that answers is not replaced; one that a killed node left is', async () => {
    await expect(serve(node, { httpPort: 0 })).rejects.toMatchObject({ code: 'ORCH_LOCKED' })
    const client = await connectSocket(path, token)
    expect((await client.face.status()).name).toBe('box')
    await client.close()

    const other = createFakeNode()
    const left = socketPathOf(other.dataDir)
    // A listener that never unlinks: what a kill leaves.
    writeFileSync(left, '')
    const again = await serve(other, { httpPort: 0 })
    expect(statSync(left).isSocket()).toBe(true)
    await again.close()
    other.remove()
  })

  it('[AP14] a path that is too long is exchanged for a private one', async () => {
    const root = mkdtempSync(join(tmpdir(), 'orch-long-'))
    const dataDir = join(root, 'x'.repeat(120))
    mkdirSync(dataDir, { mode: 0o700 })
    const long = createFakeNode(dataDir)
    const there = await serve(long, { httpPort: 0 })
    const endpoint = await there.announced
    expect(endpoint.socket.startsWith(dataDir)).toBe(false)
    expect(statSync(join(endpoint.socket, '..')).mode & 0o777).toBe(0o700)
    const client = await connectSocket(endpoint.socket, endpoint.token)
    expect((await client.face.status()).dataDir).toBe(dataDir)
    await client.close()
    await there.close()
    expect(existsSync(endpoint.socket)).toBe(false)
    rmSync(root, { recursive: true })
  })

  it('[AP8] nobody there is told at once', async () => {
    await expect(connectSocket(join(node.dataDir, 'none.sock'), token)).rejects.toMatchObject({
      code: 'ORCH_NO_NODE',
    })
  })

  it('[AP8] an answer that is none fails the call', async () => {
    const liar = createServer((socket) => socket.resume().write(Buffer.from([0, 0, 0, 2, 0x7b, 0x7b])))
    const place = join(node.dataDir, 'liar.sock')
    await new Promise<void>((resolve) => liar.listen(place, resolve))
    const client = await connectSocket(place, 'x')
    await expect(client.face.status()).rejects.toMatchObject({ code: 'ORCH_USAGE' })
    await client.close()
    await new Promise((resolve) => liar.close(resolve))
  })
})
