/**
 * Goal: any Yjs client can watch a board and none can change it, hold the node up or fill its memory. Method: real sockets; the boards are real ones over memory disks, the clients
 * the unmodified provider of y-websocket, and bare sockets that say what no sound client would.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { createGate } from '../../src/api/caller.ts'
import { type HttpServer, type HttpServerOptions, listenHttp } from '../../src/api/http-server.ts'
import { OrchError } from '../../src/core/error.ts'
import { BOARD_MESSAGE_BYTES_MAX, BOARD_VIEWERS_MAX, FOLLOWER_BYTES_MAX } from '../../src/core/limit.ts'
import { DocViews } from '../../src/store/doc-view.ts'
import { type Board, openBoard, Scribe } from '../store/board.ts'
import { kv } from '../store/contract.ts'
import { ATTEMPT, ATTEMPT_TOKEN, createFakeNode, type FakeNode, until } from './open-node.ts'

const TOKEN = 'token-of-the-node'
const DOCS = ['run-1', 'run-2', '@cluster']
const undo: (() => void)[] = []
let board: Board
let node: FakeNode
let server: HttpServer

async function listen(more: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
  const gate = createGate(TOKEN, { verify: (token) => (token === ATTEMPT_TOKEN ? ATTEMPT : undefined) })
  return listenHttp({
    face: node.face,
    gate,
    port: 0,
    board: async (doc) => {
      if (DOCS.includes(doc)) return board.store.view(doc)
      throw new OrchError('ORCH_NOT_FOUND', `there is no run "${doc}"`)
    },
    ...more,
  })
}

beforeEach(async () => {
  board = await openBoard()
  node = createFakeNode()
  server = await listen()
})

afterEach(async () => {
  for (const release of undo.splice(0)) release()
  await server.close()
  await board.store.close()
  node.remove()
})

const put = (key: string, body: unknown = null, doc = 'run-1') =>
  board.store.put([kv(key, body as null, doc)], 5).durable

/** The provider as it is, with the token in the URL. */
function watch(run: string, doc = new Y.Doc(), params: Record<string, string> = { token: TOKEN }) {
  const provider = new WebsocketProvider(`ws://127.0.0.1:${server.port}/board/`, run, doc, {
    params,
    WebSocketPolyfill: WebSocket as never,
    disableBc: true,
    maxBackoffTime: 50,
  })
  const codes: number[] = []
  provider.on('connection-close', (event: { code: number } | null) => {
    if (event) codes.push(event.code)
  })
  // Of a server that refuses or ended: what a test looks at is the code.
  provider.on('connection-error', () => {})
  undo.push(() => provider.destroy())
  const keys = () => [...doc.getMap('kv').keys()].map((key) => key.split('/').slice(0, -2).join('/')).sort()
  return { provider, doc, codes, keys }
}

interface Bare {
  readonly client: WebSocket
  readonly messages: Uint8Array[]
  code: number | undefined
}

/** A socket without a protocol of its own, or the answer that refused it. */
function open(
  path = '/board/run-1',
  headers: Record<string, string | undefined> = { authorization: `Bearer ${TOKEN}` },
  port = server.port,
): Promise<Bare | { readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
      headers: Object.fromEntries(
        Object.entries(headers).filter(([, value]) => value !== undefined),
      ) as never,
    })
    const bare: Bare = { client, messages: [], code: undefined }
    undo.push(() => client.terminate())
    client.on('message', (data: Buffer) => bare.messages.push(new Uint8Array(data)))
    client.on('close', (code) => {
      bare.code = code
    })
    client.on('open', () => resolve(bare))
    client.on('error', reject)
    client.on('unexpected-response', (_request, response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += String(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode!, body }))
    })
  })
}

async function opened(...given: Parameters<typeof open>): Promise<Bare> {
  const bare = await open(...given)
  if ('client' in bare) return bare
  throw new Error(`refused: ${bare.status} ${bare.body}`)
}

/** A step of the sync, with a short body. */
const sync = (step: number, body: Uint8Array) => Uint8Array.of(0, step, body.length, ...body)
const ASK_ALL = sync(0, Uint8Array.of(0))

describe('a viewer', () => {
  it('[BW1] is told what there is and what comes, own and foreign, of its run alone', async () => {
    await put('a/1', 'first')
    await put('else/1', 1, 'run-2')
    const { doc, provider, keys } = watch('run-1')
    await until(() => provider.synced, 'the first sync')
    expect(keys()).toEqual(['a/1'])
    await put('a/2', { deep: ['ä', 1] })
    const scribe = new Scribe()
    await board.replica.ingest(scribe.write('foreign/1').bytes)
    await until(() => keys().length === 3, 'both facts')
    expect(keys()).toEqual(['a/1', 'a/2', 'foreign/1'])
    const values = [...doc.getMap<Uint8Array>('kv').values()].map((bytes) =>
      JSON.parse(Buffer.from(bytes).toString()),
    )
    expect(values).toEqual(expect.arrayContaining(['first', { deep: ['ä', 1] }]))
    expect(doc.store.pendingStructs).toBeNull()
  })

  it.each(['cluster', '@cluster', '%40cluster'])(
    '[BW1] finds the board of the cluster as %s',
    async (name) => {
      await put('a/1', 1, '@cluster')
      const { provider, keys } = watch(name)
      await until(() => provider.synced, 'the first sync')
      expect(keys()).toEqual(['a/1'])
    },
  )

  it('[BW1] that was away is told what it missed', async () => {
    await put('a/1')
    const { provider, keys } = watch('run-1')
    await until(() => provider.synced, 'the first sync')
    provider.disconnect()
    await put('a/2')
    provider.connect()
    await until(() => keys().length === 2, 'what it missed')
  })

  it('[BW2] that only listens is told nothing, until it says what it has', async () => {
    const { client, messages } = await opened()
    await put('a/1')
    client.send(Uint8Array.of(3))
    await until(() => messages.length > 0, 'an answer')
    expect(messages).toEqual([Uint8Array.of(1, 1, 0)])
    client.send(ASK_ALL)
    await until(() => messages.length > 1, 'the state')
    await put('a/2')
    await until(() => messages.length > 2, 'the change')
    expect(messages.slice(1).map(([kind, step]) => [kind, step])).toEqual([
      [0, 1],
      [0, 2],
    ])
  })

  it('[BW2] may ask faster than it is answered: the last question counts', async () => {
    await put('a/1', 'x'.repeat(100_000))
    const { client, messages } = await opened()
    const stateVector = Y.encodeStateVector(new Y.Doc())
    for (let i = 0; i < 200; i++) client.send(sync(0, stateVector))
    client.send(Uint8Array.of(3))
    await until(() => messages.some(([kind]) => kind === 1), 'the answer to the last message')
    await until(() => messages.length >= 3, 'two states')
    expect(messages.length).toBeLessThan(200)
  })
})

describe('the token', () => {
  const inQuery = (token: string) => `/board/run-1?token=${encodeURIComponent(token)}`
  const wrong: [string, string, string | undefined][] = [
    ['none', '/board/run-1', undefined],
    ['a wrong one in the header', '/board/run-1', 'Bearer guess'],
    ['another scheme', '/board/run-1', `Basic ${TOKEN}`],
    ['a wrong one in the query', inQuery('guess'), undefined],
    ['an empty one', inQuery(''), undefined],
    ['a wrong header beside a good query', inQuery(TOKEN), 'Bearer guess'],
    ['none for a run that is not there', '/board/nothing-0000', undefined],
    ['none for a path that is not there', '/', undefined],
  ]
  it.each(wrong)('[BW3] %s: 401', async (_name, path, authorization) => {
    const answer = await open(path, { authorization })
    expect(answer).toMatchObject({ status: 401, body: expect.stringContaining('ORCH_DENIED') })
    expect((answer as { body: string }).body).not.toContain(TOKEN)
  })

  it('[BW3] in the header or in the query', async () => {
    expect((await opened()).client.readyState).toBe(WebSocket.OPEN)
    expect((await opened(inQuery(TOKEN), {})).client.readyState).toBe(WebSocket.OPEN)
  })

  it('[BW3] of an attempt opens no board', async () => {
    expect(await open('/board/demo-7f2a', { authorization: `Bearer ${ATTEMPT_TOKEN}` })).toMatchObject({
      status: 403,
      body: expect.stringContaining('attempt'),
    })
  })
})

describe('host and origin', () => {
  const own = () => `127.0.0.1:${server.port}`
  const strangers: [string, () => Record<string, string>][] = [
    ['a host', () => ({ host: `evil.example:${server.port}` })],
    ['a host without port', () => ({ host: '127.0.0.1' })],
    ['an origin', () => ({ origin: 'https://evil.example' })],
    ['an origin of another port', () => ({ origin: 'http://127.0.0.1:8080' })],
    ['the null origin', () => ({ origin: 'null' })],
  ]
  it.each(strangers)('[BW4] %s of others: 403, whatever the token', async (_name, headers) => {
    for (const token of [TOKEN, 'guess'])
      expect(await open('/board/run-1', { authorization: `Bearer ${token}`, ...headers() })).toMatchObject({
        status: 403,
      })
  })

  it('[BW4] our own may', async () => {
    for (const origin of [`http://${own()}`, `http://localhost:${server.port}`])
      await opened('/board/run-1', { origin, authorization: `Bearer ${TOKEN}` })
  })
})

describe('what is there', () => {
  it.each([
    '/board/nothing-0000',
    '/board/RUN-1',
    '/board/run',
    '/board/',
    '/board',
    '/',
    '/board/run-1/x',
    '/v1/runs',
  ])('[BW5] %s: 404, and nothing is made of it', async (path) => {
    expect(await open(path)).toMatchObject({ status: 404, body: expect.stringContaining('ORCH_NOT_FOUND') })
    expect(board.replica.docs()).toEqual([])
  })

  it('[BW5] a server without boards says so', async () => {
    const bare = await listen({ board: undefined as never })
    expect(await open('/board/run-1', undefined, bare.port)).toMatchObject({ status: 501 })
    await bare.close()
  })

  it('[BW5] what is no handshake of a web socket is refused, and holds no board', async () => {
    const { doc, release } = await board.store.view('run-1')
    const headers = { authorization: `Bearer ${TOKEN}`, connection: 'upgrade' }
    const ask = async (more: Record<string, string>) => {
      const { request } = await import('node:http')
      return new Promise<number>((resolve, reject) => {
        const asked = request(
          { host: '127.0.0.1', port: server.port, path: '/board/run-1', headers: { ...headers, ...more } },
          (response) => resolve(response.resume().statusCode!),
        )
        asked.on('error', reject)
        asked.end()
      })
    }
    expect(await ask({ upgrade: 'h2c' })).toBe(400)
    expect(await ask({ upgrade: 'websocket' })).toBe(400)
    expect(await ask({ upgrade: 'websocket', 'sec-websocket-key': 'short' })).toBe(400)
    release()
    expect(doc.isDestroyed).toBe(true)
  })

  it('[BW5] whoever comes before the node is ready waits', async () => {
    let ready = () => {}
    const late = await listen({
      ready: new Promise<void>((resolve) => {
        ready = resolve
      }),
    })
    let isOpen = false
    const opening = opened('/board/run-1', undefined, late.port).then(() => {
      isOpen = true
    })
    expect(await open('/board/run-1', {}, late.port)).toMatchObject({ status: 401 })
    expect(isOpen).toBe(false)
    ready()
    await opening
    await late.close()
  })

  it('[BW5] whoever waits when the node closes is let go', async () => {
    const late = await listen({ ready: new Promise<void>(() => {}) })
    const opening = open('/board/run-1', undefined, late.port)
    // Answered after it: the other is in.
    await open('/board/run-1', {}, late.port)
    await Promise.all([expect(opening).rejects.toThrow(/hang up|ECONNRESET/), late.close()])
  })
})

describe('a write', () => {
  it('[BW6] ends with 1008, and the board is as it was', async () => {
    await put('a/1')
    const writer = watch('run-1')
    const reader = watch('run-1')
    await until(() => writer.provider.synced && reader.provider.synced, 'both')
    const { doc, release } = await board.store.view('run-1')
    writer.doc.getMap('kv').set('mine', Uint8Array.of(1))
    await until(() => writer.codes.length === 1, 'the close')
    expect(writer.codes).toEqual([1008])
    // It comes back, and watches on with what it wrote for itself.
    await until(() => writer.provider.synced, 'the writer again')
    await put('a/2')
    await until(() => writer.keys().includes('a/2') && reader.keys().includes('a/2'), 'both go on')
    expect(writer.codes).toEqual([1008])
    expect(reader.doc.getMap('kv').has('mine')).toBe(false)
    writer.doc.getMap('kv').delete([...writer.doc.getMap('kv').keys()].find((key) => key.startsWith('a/1'))!)
    await until(() => writer.codes.length === 2, 'a deletion is a write')
    expect(doc.getMap('kv').size).toBe(2)
    expect(board.replica.heads('run-1')).toMatchObject([{ n: 2 }])
    release()
  })

  it('[BW6] is answered with words that Yjs clients show', async () => {
    const other = new Y.Doc()
    other.getMap('kv').set('mine', 1)
    for (const step of [1, 2]) {
      const bare = await opened()
      bare.client.send(sync(step, Y.encodeStateAsUpdate(other)))
      await until(() => bare.code !== undefined, 'the close')
      expect(bare.code).toBe(1008)
      expect(Buffer.from(bare.messages[0]!).toString()).toContain('read-only')
      expect(bare.messages[0]![0]).toBe(2)
    }
  })

  it('[BW6] is not an update that says nothing new: an empty one, or facts that the board has', async () => {
    await put('a/1')
    await put('a/2')
    const { doc, provider } = watch('run-1')
    await until(() => provider.synced, 'the first sync')
    const bare = await opened()
    bare.client.send(sync(1, Uint8Array.of(0, 0)))
    bare.client.send(sync(2, Uint8Array.of(0, 0)))
    bare.client.send(Buffer.concat([Uint8Array.of(0, 2), varuintOf(Y.encodeStateAsUpdate(doc))]))
    bare.client.send(Uint8Array.of(3))
    await until(() => bare.messages.length === 1, 'the answer to the last')
    expect(bare.client.readyState).toBe(WebSocket.OPEN)
  })

  it('[BW6] made before it came hinders nobody from watching', async () => {
    await put('a/1')
    const own = new Y.Doc()
    own.getMap('kv').set('mine/x/y', 1)
    const { provider, keys, codes } = watch('run-1', own)
    await until(() => provider.synced, 'the first sync')
    await put('a/2')
    await until(() => keys().length === 3, 'a change')
    expect(codes).toEqual([])
  })
})

/** Bytes with their length before them. */
function varuintOf(bytes: Uint8Array): Uint8Array {
  const head: number[] = []
  let rest = bytes.length
  for (; rest > 127; rest = Math.floor(rest / 128)) head.push((rest % 128) | 128)
  return Buffer.concat([Uint8Array.of(...head, rest), bytes])
}

describe('what is no message', () => {
  const garbage = (length: number, first: number[]) => {
    const bytes = new Uint8Array(length)
    for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 8) * 13) & 255
    bytes.set(first)
    return bytes
  }
  const MB = 1_000_000
  const bad: [string, Uint8Array | string, number][] = [
    ['nothing', new Uint8Array(0), 1007],
    ['text', 'hello', 1007],
    ['an unknown kind', Uint8Array.of(9), 1007],
    ['words of a server', Uint8Array.of(2, 0, 1, 65), 1007],
    ['an unknown step', Uint8Array.of(0, 3, 0), 1007],
    ['a length beyond its end', Uint8Array.of(0, 0, 100, 0), 1007],
    ['a number without end', new Uint8Array(20).fill(255), 1007],
    ['a state vector that is none', sync(0, Uint8Array.of(255, 255, 1)), 1007],
    ['an update that is none', sync(2, Uint8Array.of(255, 255, 1, 7)), 1007],
    ['a megabyte of garbage', garbage(MB, [9, 9, 9, 9]), 1007],
    [
      'a megabyte of it as an update',
      Buffer.concat([Uint8Array.of(0, 2), varuintOf(garbage(MB, [200, 200, 3]))]),
      1007,
    ],
    [
      'a megabyte of it as a state vector',
      Buffer.concat([Uint8Array.of(0, 0), varuintOf(garbage(MB, [255, 255, 255, 100]))]),
      1007,
    ],
    ['more than a message may have', new Uint8Array(BOARD_MESSAGE_BYTES_MAX + 1), 1009],
  ]
  it.each(bad)('[BW7] %s', async (_name, message, code) => {
    await put('a/1')
    const bare = await opened()
    bare.client.send(message)
    await until(() => bare.code !== undefined, 'the close')
    expect(bare.code).toBe(code)
    const { provider, keys } = watch('run-1')
    await until(() => provider.synced, 'another viewer')
    expect(keys()).toEqual(['a/1'])
  })
})

describe('bounds', () => {
  const LARGE = 'x'.repeat(900_000)

  it('[BW8] a viewer that does not read is dropped, others are not', async () => {
    const slow = await opened()
    slow.client.send(ASK_ALL)
    await until(() => slow.messages.length === 1, 'the state')
    const { provider, keys } = watch('run-1')
    await until(() => provider.synced, 'the other one')
    slow.client.pause()
    // What the kernel takes, and then what the bound allows.
    let sent = 0
    for (; sent < 200 && (await viewersOf('run-1')) === 2; sent++) {
      await put(`large/${sent}`, LARGE)
      await until(() => keys().length > sent, 'the other one is in step')
    }
    expect(sent * LARGE.length).toBeGreaterThan(FOLLOWER_BYTES_MAX)
    expect(sent).toBeLessThan(200)
    slow.client.resume()
    await until(() => slow.code !== undefined, 'its end')
    expect(slow.code).toBe(1006)
  })

  it('[BW8] a state may be larger than what else may be unsent', async () => {
    for (let i = 0; i < 20; i++) await put(`large/${i}`, LARGE)
    const slow = await opened()
    slow.client.pause()
    slow.client.send(ASK_ALL)
    // Answered in order: the state of the slow one is on its way.
    const { provider, keys } = watch('run-1')
    await until(() => provider.synced, 'another one')
    await put('a/1')
    await until(() => keys().length === 21, 'the change')
    slow.client.resume()
    await until(() => slow.messages.length === 2, 'state and change')
    expect(slow.messages[0]!.length).toBeGreaterThan(2 * FOLLOWER_BYTES_MAX)
    expect(slow.code).toBeUndefined()
  })

  it('[BW9] so many viewers, and no more; who leaves makes room', async () => {
    const viewers: Bare[] = []
    for (let i = 0; i < BOARD_VIEWERS_MAX; i++) viewers.push(await opened())
    expect(await open()).toMatchObject({ status: 429, body: expect.stringContaining('ORCH_BACKPRESSURE') })
    // The wrong token takes no room, and is told of none.
    expect(await open('/board/run-1', {})).toMatchObject({ status: 401 })
    viewers[0]!.client.close()
    await until(() => viewers[0]!.code !== undefined, 'its end')
    let answer = await open()
    for (let i = 0; i < 100 && 'status' in answer; i++) answer = await open()
    expect(answer).toHaveProperty('client')
    expect(await open()).toMatchObject({ status: 429 })
  })

  it('[BW10] a board is in memory only while somebody watches', async () => {
    await put('a/1')
    const { doc, release } = await board.store.view('run-1')
    const first = watch('run-1')
    const second = await opened()
    await until(() => first.provider.synced, 'the first')
    release()
    first.provider.destroy()
    await until(() => viewersSeen(doc) === 1, 'one is gone')
    expect(doc.isDestroyed).toBe(false)
    second.client.terminate()
    await until(() => doc.isDestroyed, 'the end of the document')
    const again = await board.store.view('run-1')
    expect(again.doc).not.toBe(doc)
    again.release()
  })
})

/** Viewers that are told of changes. */
function viewersSeen(doc: Y.Doc): number {
  return doc._observers.get('update')?.size ?? 0
}

async function viewersOf(name: string): Promise<number> {
  const { doc, release } = await board.store.view(name)
  release()
  return viewersSeen(doc)
}

describe('presence', () => {
  it('[BW11] of viewers is nobody’s business: not taken, not told', async () => {
    const [one, two] = [watch('run-1'), watch('run-1')]
    await until(() => one.provider.synced && two.provider.synced, 'both')
    one.provider.awareness.setLocalStateField('cursor', 7)
    await put('a/1')
    await until(() => two.keys().length === 1, 'what came after it')
    expect([...two.provider.awareness.getStates().keys()]).toEqual([two.doc.clientID])
    expect(one.codes).toEqual([])
  })

  it('[BW11] a silent board says that it lives, in a message that clients count', async () => {
    const lively = await listen({ heartbeatMs: 10 })
    const { messages } = await opened('/board/run-1', undefined, lively.port)
    await until(() => messages.length >= 3, 'signs of life')
    expect(messages[0]).toEqual(Uint8Array.of(1, 1, 0))
    await lively.close()
  })
})

describe('the end', () => {
  it('[BW12] of the server ends every viewer', async () => {
    const bare = await opened()
    const { provider, codes } = watch('run-1')
    await until(() => provider.synced, 'the provider')
    await server.close()
    await until(() => bare.code !== undefined && codes.length > 0, 'both ends')
    expect([bare.code, codes[0]]).toEqual([1001, 1001])
    await expect(open()).rejects.toThrow('ECONNREFUSED')
  })

  it('[BW12] of the board’s life sends viewers back, and they watch the next one', async () => {
    const { medium } = board
    await put('a/1')
    const { provider, codes, keys } = watch('run-1')
    await until(() => provider.synced, 'the first sync')
    await board.store.close()
    await until(() => codes.length > 0, 'the close')
    expect(codes[0]).toBe(1001)
    board = await openBoard({ medium })
    await put('a/2')
    await until(() => provider.synced && keys().length === 2, 'the next life')
  })

  it('[BW12] is told also when it comes while the board is made', async () => {
    await put('a/1')
    const views = new DocViews(board.replica)
    const making = views.hold('run-1')
    views.end('closed')
    const ends: string[] = []
    const view = await making
    view.onReset((why) => ends.push(why))
    expect(ends).toEqual(['closed'])
    await board.store.close()
    expect(await open()).toMatchObject({ status: 504, body: expect.stringContaining('try again') })
  })

  it('[BW12] of a run that is archived is for good', async () => {
    await put('a/1')
    const { provider, codes } = watch('run-1')
    await until(() => provider.synced, 'the first sync')
    let last = ''
    provider.on('closed', ({ reason }: { reason: string }) => {
      last = reason
    })
    await board.store.dropDoc('run-1')
    await until(() => last !== '', 'the last word')
    expect(codes).toEqual([4410])
    expect(provider.shouldConnect).toBe(false)
  })

  it('[BW12] tells viewers that show what does not count to begin with a new document', async () => {
    const scribe = new Scribe()
    for (let i = 1; i <= 4; i++) scribe.write(`k/${i}`)
    await board.replica.ingestRange(scribe.id, scribe.bytes)
    const { provider, codes, keys } = watch('run-1')
    await until(() => provider.synced, 'the first sync')
    expect(keys()).toHaveLength(4)
    await board.replica.ingest(scribe.fork(2).write('other/3').bytes)
    await until(() => codes.length > 0, 'the close')
    expect(codes).toEqual([4409])
    expect(provider.shouldConnect).toBe(false)
    const anew = watch('run-1')
    await until(() => anew.provider.synced, 'a new one')
    expect(anew.keys()).toHaveLength(2)
  })
})
