/** Goal: a web page cannot use the node, whatever it sends. Method: the whole table of Host x Origin x token x content type, over real connections. */
import { type IncomingMessage, request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGate } from '../../src/api/caller.ts'
import { connectHttp } from '../../src/api/http-client.ts'
import { type HttpServer, listenHttp } from '../../src/api/http-server.ts'
import { ERRORS, OrchError } from '../../src/core/error.ts'
import { ATTEMPT_REQUEST_BYTES_MAX } from '../../src/core/limit.ts'
import { runOf } from '../cli/fake-face.ts'
import { ATTEMPT, ATTEMPT_TOKEN, createFakeNode, type FakeNode } from './open-node.ts'

const TOKEN = 'token-of-the-node'
let node: FakeNode
let server: HttpServer

beforeAll(async () => {
  node = createFakeNode()
  node.face.add(runOf('demo-7f2a'))
  const gate = createGate(TOKEN, { verify: (token) => (token === ATTEMPT_TOKEN ? ATTEMPT : undefined) })
  server = await listenHttp({ face: node.face, gate, port: 0, heartbeatMs: 20 })
})

afterAll(async () => {
  await server.close()
  node.remove()
})

interface Ask {
  readonly path?: string
  readonly method?: string
  readonly headers: Record<string, string | string[] | undefined>
  readonly body?: string
  /** Answers at the first line. */
  readonly first?: boolean
}

/** Sends exactly these headers; `Host` too. */
function ask({
  path = '/v1/runs',
  method = 'POST',
  headers,
  body,
  first,
}: Ask): Promise<{ status: number; text: string; headers: IncomingMessage['headers'] }> {
  return new Promise((resolve, reject) => {
    const given = Object.fromEntries(
      Object.entries(headers).filter(([, value]) => value !== undefined),
    ) as Record<string, string>
    const req = request(
      { host: '127.0.0.1', port: server.port, path, method, headers: given, setHost: false },
      (response) => {
        let text = ''
        const done = () => resolve({ status: response.statusCode!, text, headers: response.headers })
        response.on('data', (chunk) => {
          text += String(chunk)
          if (!first || !text.includes('\n\n')) return
          done()
          req.destroy()
        })
        response.on('end', done)
      },
    )
    req.on('error', reject)
    req.end(body ?? (method === 'POST' ? '{}' : undefined))
  })
}

const own = () => `127.0.0.1:${server.port}`
const HOSTS: Record<string, [value: () => string | undefined, isOwn: boolean]> = {
  'the address': [own, true],
  localhost: [() => `localhost:${server.port}`, true],
  'upper case': [() => `LOCALHOST:${server.port}`, true],
  IPv6: [() => `[::1]:${server.port}`, true],
  'another name': [() => `evil.example:${server.port}`, false],
  'a name that begins so': [() => `localhost.evil.example:${server.port}`, false],
  'a name that ends so': [() => `evil-localhost:${server.port}`, false],
  'without port': [() => '127.0.0.1', false],
  'another port': [() => '127.0.0.1:1', false],
  'all addresses': [() => `0.0.0.0:${server.port}`, false],
  'with a user': [() => `x@127.0.0.1:${server.port}`, false],
}
const ORIGINS: Record<string, [value: () => string | undefined, isOwn: boolean]> = {
  none: [() => undefined, true],
  own: [() => `http://${own()}`, true],
  'own by name': [() => `http://localhost:${server.port}`, true],
  null: [() => 'null', false],
  'another site': [() => 'https://evil.example', false],
  'another port': [() => 'http://127.0.0.1:8080', false],
  'https of ours': [() => `https://${own()}`, false],
  'with more behind': [() => `http://${own()}.evil.example`, false],
}
const TOKENS: Record<string, [value: string | undefined, isKnown: boolean]> = {
  'the node’s': [`Bearer ${TOKEN}`, true],
  'in lower case': [`bearer ${TOKEN}`, true],
  none: [undefined, false],
  empty: ['Bearer ', false],
  wrong: ['Bearer guess', false],
  'of another scheme': [`Basic ${TOKEN}`, false],
}
const TYPES: Record<string, [value: string | undefined, isJson: boolean]> = {
  json: ['application/json', true],
  'json with a charset': ['application/json; charset=utf-8', true],
  none: [undefined, false],
  'a form': ['application/x-www-form-urlencoded', false],
  text: ['text/plain', false],
  'json in the name': ['text/plain; application/json', false],
  'begins like json': ['application/jsonp', false],
}

const TABLE = Object.keys(HOSTS).flatMap((host) =>
  Object.keys(ORIGINS).flatMap((origin) =>
    Object.keys(TOKENS).map((token) => [host, origin, token] as const),
  ),
)

describe('every request', () => {
  it.each(TABLE)('[AP10] host: %s, origin: %s, token: %s', async (host, origin, token) => {
    for (const [type, isJson] of Object.values(TYPES)) {
      const answer = await ask({
        headers: {
          host: HOSTS[host]![0](),
          origin: ORIGINS[origin]![0](),
          authorization: TOKENS[token]![0],
          'content-type': type,
        },
      })
      const mayEnter = HOSTS[host]![1] && ORIGINS[origin]![1] && TOKENS[token]![1]
      // A host that is no host is refused by the parser already.
      if (host === 'with a user') expect([400, 403]).toContain(answer.status)
      else expect(answer.status).toBe(!mayEnter ? 403 : isJson ? 200 : 400)
      for (const name of Object.keys(answer.headers)) expect(name).not.toMatch(/^access-control/)
      if (answer.status !== 200) expect(answer.text).not.toContain('demo-7f2a')
    }
  })

  it.each(Object.keys(TOKENS))('[AP10] health is no exception, with the token: %s', async (token) => {
    for (const [host, isOwn] of Object.values(HOSTS)) {
      const answer = await ask({
        path: '/v1/health',
        method: 'GET',
        headers: { host: host(), authorization: TOKENS[token]![0] },
      })
      if (answer.status !== 400) expect(answer.status).toBe(isOwn && TOKENS[token]![1] ? 200 : 403)
      if (answer.status === 200)
        expect(JSON.parse(answer.text)).toEqual({ schemaVersion: 1, data: { ok: true } })
    }
  })

  it.each(['OPTIONS', 'PUT', 'DELETE', 'GET'])(
    '[AP10] %s changes nothing and allows nothing',
    async (method) => {
      const page = await ask({
        method,
        headers: { host: own(), origin: 'https://evil.example', 'content-type': 'application/json' },
      })
      expect(page.status).toBe(403)
      const owner = await ask({
        method,
        headers: { host: own(), authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      })
      expect(owner.status).toBe(404)
      for (const name of [...Object.keys(page.headers), ...Object.keys(owner.headers)])
        expect(name).not.toMatch(/^access-control|^set-cookie/)
    },
  )
})

const good = () => ({ host: own(), authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' })

describe('answers', () => {
  it.each(Object.entries(ERRORS))(
    '[AP11] %s has the status of the catalogue',
    async (code, { status, hint }) => {
      node.face.faults.set('runs', new OrchError(code as keyof typeof ERRORS, 'so it is'))
      const answer = await ask({ headers: good() })
      expect(answer.status).toBe(status)
      expect(JSON.parse(answer.text)).toEqual({
        schemaVersion: 1,
        error: { code, message: 'so it is', hint },
      })
    },
  )

  it('[AP11] a call answers with its data', async () => {
    const answer = await ask({ headers: good() })
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'cache-control': 'no-store', 'content-type': expect.stringContaining('application/json') },
    })
    expect(JSON.parse(answer.text)).toMatchObject({ schemaVersion: 1, data: [{ id: 'demo-7f2a' }] })
  })

  it('[AP11] a stream is lines with an end, and says that it lives', async () => {
    const events = await ask({ path: '/v1/events', headers: good() })
    expect(events.text).toBe('{"end":true}\n')
    expect(events.headers['content-type']).toBe('application/x-ndjson')
    const follow = await ask({ path: '/v1/followRun', headers: good(), first: true })
    expect(follow.text).toMatch(/^\{"data":\{"type":"run".*\}\}\n\n/)
  })

  it('[AP11] unknown methods and paths are 404, bad JSON is 400', async () => {
    expect(await ask({ path: '/v1/constructor', headers: good() })).toMatchObject({ status: 404 })
    expect(await ask({ path: '/', headers: good() })).toMatchObject({ status: 404 })
    const answer = await ask({ headers: good(), body: '{' })
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 'ORCH_USAGE' } })
  })

  it('[AP9] an attempt may send little, announced or not', async () => {
    const body = JSON.stringify({ summary: 'x'.repeat(ATTEMPT_REQUEST_BYTES_MAX) })
    const headers = { ...good(), authorization: `Bearer ${ATTEMPT_TOKEN}` }
    for (const length of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      const answer = await ask({ path: '/v1/complete', headers: { ...headers, ...length }, body })
      expect(answer.status).toBe(400)
      expect(answer.text).toContain(`at most ${ATTEMPT_REQUEST_BYTES_MAX} bytes`)
    }
    expect(node.face.request('complete')).toBeUndefined()
  })
})

describe('the client', () => {
  it('[AP8] nobody, or something that is no node, is told as ORCH_NO_NODE', async () => {
    await expect(connectHttp('http://127.0.0.1:1', 'x').face.status()).rejects.toMatchObject({
      code: 'ORCH_NO_NODE',
    })
    const { Server } = await import('node:http')
    const other = new Server((_request, response) => response.end('<html>'))
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    const client = connectHttp(`http://127.0.0.1:${port}`, 'x')
    await expect(client.face.status()).rejects.toMatchObject({ code: 'ORCH_NO_NODE' })
    const read = async () => {
      for await (const _ of client.face.events({}));
    }
    await expect(read()).rejects.toMatchObject({ code: 'ORCH_NO_NODE' })
    await client.close()
    other.closeAllConnections()
    other.close()
  })

  it.each(['', 'localhost', 'ftp://127.0.0.1', '7947'])('[AP2] %j is no URL of a node', (url) => {
    expect(() => connectHttp(url, undefined)).toThrow(expect.objectContaining({ code: 'ORCH_USAGE' }))
  })
})
