/**
 * The node over HTTP, on this machine only: `POST /v1/<method>` with the request as JSON, `GET /v1/health`. An answer is
 * `{schemaVersion: 1, data}` or `{schemaVersion: 1, error: {code, message, hint}}`; a stream is one JSON object per line: `{data}` …, and at its
 * end `{end: true}` or `{error}`. Empty lines only say that it lives. An upgrade to a web socket is for a board.
 */
import { type IncomingMessage, Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { ERRORS, OrchError } from '../core/error.ts'
import type { DocId } from '../core/id.ts'
import {
  ATTEMPT_REQUEST_BYTES_MAX,
  CONNECTIONS_MAX,
  ENDPOINT_CLOSE_MS_MAX,
  PORTS_TRIED_MAX,
  REQUEST_BYTES_MAX,
  STREAM_HEARTBEAT_MS,
} from '../core/limit.ts'
import type { BoardView } from '../node/board-view.ts'
import type { NodeFace } from '../node/face.ts'
import { type BoardSockets, createBoardSockets } from './board-socket.ts'
import { authorize, type Caller } from './caller.ts'
import { guard, hostsOf } from './http-guard.ts'
import { streamLines } from './line-stream.ts'
import { invoke, isMethodName, METHODS } from './method.ts'
import { readRequest } from './request.ts'
import { toWireError } from './wire-error.ts'

export const HTTP_PORT = 7947
const ADDRESS = '127.0.0.1'

export interface HttpAppOptions {
  readonly face: NodeFace
  /** Who a token belongs to. */
  readonly gate: (token: string | undefined) => Caller | undefined
  /** Values of the `Host` header that are ours; asked for each request, since the port is known late. */
  readonly hosts: () => ReadonlySet<string>
  /** Requests wait for it. Default: no wait. */
  readonly ready?: Promise<void>
  /** Calls that were answered, for the host. */
  readonly onCall?: (method: string, request: unknown, answer: unknown) => void
  /** Boards for Yjs clients. */
  readonly board?: (doc: DocId) => Promise<BoardView>
  /** Default STREAM_HEARTBEAT_MS. */
  readonly heartbeatMs?: number
}

export interface HttpServerOptions extends Omit<HttpAppOptions, 'hosts'> {
  /** Default HTTP_PORT; 0 = any free one. */
  readonly port?: number
  /** True: this port or none. False: the next free one. */
  readonly fixed?: boolean
}

export interface HttpServer {
  readonly url: string
  readonly port: number
  /** Ends streams, waits a little for calls. Idempotent. */
  close(): Promise<void>
}

function createHttpApp(options: HttpAppOptions): Hono<{ Variables: { caller: Caller } }> {
  const { face, gate, hosts, onCall } = options
  const app = new Hono<{ Variables: { caller: Caller } }>()
  app.use(async (c, next) => {
    const head = (name: string) => c.req.header(name)
    const caller = guard(
      {
        host: head('host'),
        origin: head('origin'),
        authorization: head('authorization'),
        contentType: head('content-type'),
        hasBody: c.req.method !== 'GET' && c.req.method !== 'HEAD',
      },
      hosts(),
      gate,
    )
    c.set('caller', caller)
    await next()
    c.header('Cache-Control', 'no-store')
    c.header('X-Content-Type-Options', 'nosniff')
  })
  app.get('/v1/health', (c) => c.json({ schemaVersion: 1, data: { ok: true } }))
  app.post('/v1/:method', async (c) => {
    const name = c.req.param('method')
    if (!isMethodName(name))
      throw new OrchError('ORCH_NOT_FOUND', `there is no method ${JSON.stringify(name.slice(0, 60))}`, {
        hint: 'client and node must be of one version',
      })
    const caller = c.get('caller')
    const bytesMax = caller.kind === 'owner' ? REQUEST_BYTES_MAX : ATTEMPT_REQUEST_BYTES_MAX
    const request = authorize(caller, name, readRequest(name, await readBody(c, bytesMax)))
    await options.ready
    if (METHODS[name].kind === 'stream') {
      const items = (signal: AbortSignal) => invoke(face, name, request, signal) as AsyncIterable<unknown>
      return c.body(streamLines(items, options.heartbeatMs ?? STREAM_HEARTBEAT_MS), 200, {
        'Content-Type': 'application/x-ndjson',
      })
    }
    const data = await (invoke(face, name, request) as Promise<unknown>)
    onCall?.(name, request, data)
    return c.json({ schemaVersion: 1, data: data ?? null })
  })
  app.notFound((c) =>
    refuse(
      c,
      new OrchError('ORCH_NOT_FOUND', `there is no ${c.req.method} ${c.req.path.slice(0, 100)}`, {
        hint: 'ask POST /v1/<method> or GET /v1/health',
      }),
    ),
  )
  app.onError((error, c) => refuse(c, error))
  return app
}

function refuse(c: Context, error: unknown): Response {
  const wire = toWireError(error)
  // A body that was refused unread would be taken for the next request.
  if (!c.req.raw.bodyUsed) c.header('Connection', 'close')
  c.header('Cache-Control', 'no-store')
  return c.json({ schemaVersion: 1, error: wire }, ERRORS[wire.code].status as 400)
}

async function readBody(c: Context, bytesMax: number): Promise<unknown> {
  const length = c.req.header('content-length')
  if (Number(length ?? 0) > bytesMax) throw tooLarge(bytesMax)
  // Node's parser holds a body to its announced length. The text is read without a web stream, which takes a millisecond.
  const text = length === undefined ? await readChunks(c, bytesMax) : await c.req.text()
  if (text === '') return {}
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new OrchError('ORCH_USAGE', `the request is not JSON: ${(cause as Error).message}`, {
      cause,
      hint: 'send one JSON object',
    })
  }
}

async function readChunks(c: Context, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of (c.req.raw.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge(bytesMax)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function tooLarge(bytesMax: number): OrchError {
  return new OrchError('ORCH_USAGE', `a request has at most ${bytesMax} bytes`, { context: { bytesMax } })
}

/** @throws ORCH_PORT_TAKEN naming the port */
export async function listenHttp(options: HttpServerOptions): Promise<HttpServer> {
  const first = options.port ?? HTTP_PORT
  const tries = options.fixed || first === 0 ? 1 : PORTS_TRIED_MAX
  for (let port = first; ; port++) {
    const { server, boards } = createServer(options)
    const bound = await bind(server, port)
    if (bound !== undefined)
      return { url: `http://${ADDRESS}:${bound}`, port: bound, close: closer(server, boards) }
    if (port + 1 >= first + tries || port >= 65_535) {
      const last = first + tries - 1
      throw new OrchError(
        'ORCH_PORT_TAKEN',
        tries === 1
          ? `port ${first} is taken by another program`
          : `the ports ${first} to ${last} are all taken`,
        { context: { port: first } },
      )
    }
  }
}

function createServer(options: HttpServerOptions): { server: Server; boards: BoardSockets } {
  let hosts: ReadonlySet<string> = new Set()
  const app = createHttpApp({ ...options, hosts: () => hosts })
  const listener = getRequestListener(app.fetch)
  const server = new Server({ noDelay: true }, (request, response) => void listener(request, response))
  server.on('listening', () => {
    hosts = hostsOf(portOf(server))
  })
  server.maxConnections = CONNECTIONS_MAX
  // Long reads have no end; each request must come in whole within Node's usual five minutes.
  server.timeout = 0
  server.on('clientError', (_error: Error, socket: IncomingMessage['socket']) => socket.destroy())
  const boards = createBoardSockets({ ...options, hosts: () => hosts })
  server.on('upgrade', (request, socket, head) => boards.upgrade(request, socket, head))
  return { server, boards }
}

function bind(server: Server, port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EADDRINUSE') resolve(undefined)
      else
        reject(
          new OrchError('ORCH_PORT_TAKEN', `cannot listen on ${ADDRESS}:${port}: ${cause.code}`, {
            cause,
            context: { port },
          }),
        )
    })
    server.listen(port, ADDRESS, () => {
      server.removeAllListeners('error')
      resolve(portOf(server))
    })
  })
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

function closer(server: Server, boards: BoardSockets): () => Promise<void> {
  let closed: Promise<void> | undefined
  return () => {
    closed ??= new Promise((resolve) => {
      void boards.close()
      const timer = setTimeout(() => server.closeAllConnections(), ENDPOINT_CLOSE_MS_MAX)
      server.close(() => {
        clearTimeout(timer)
        resolve()
      })
      server.closeIdleConnections()
    })
    return closed
  }
}
