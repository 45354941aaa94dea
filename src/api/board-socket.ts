/**
 * Boards for Yjs clients: `ws://127.0.0.1:7947/board/<run>`, and `/board/cluster`. Everything is checked before the handshake is answered: host, origin and token as for every
 * request (X16), then whether there is such a board. What watches, and the packages for it, are loaded for the first viewer.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { ERRORS, OrchError } from '../core/error.ts'
import { CLUSTER_DOC, type DocId } from '../core/id.ts'
import { BOARD_VIEWERS_MAX, STREAM_HEARTBEAT_MS } from '../core/limit.ts'
import type { BoardView } from '../node/board-view.ts'
import type { Viewers } from './board-socket-viewer.ts'
import type { Caller } from './caller.ts'
import { guard } from './http-guard.ts'
import { toWireError } from './wire-error.ts'

export interface BoardSocketOptions {
  /** Who a token belongs to. */
  readonly gate: (token: string | undefined) => Caller | undefined
  /** Values of the `Host` header that are ours. */
  readonly hosts: () => ReadonlySet<string>
  /** Absent: there are no boards to see. */
  readonly board?: (doc: DocId) => Promise<BoardView>
  /** Viewers wait for it. Default: no wait. */
  readonly ready?: Promise<void>
  /** Default STREAM_HEARTBEAT_MS. */
  readonly heartbeatMs?: number
}

export interface BoardSockets {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Ends all viewers. Idempotent. */
  close(): Promise<void>
}

const PATH = /^\/board\/([^/]+)$/

export function createBoardSockets(options: BoardSocketOptions): BoardSockets {
  const { board, ready } = options
  /** Of viewers, and of those that wait to be one. */
  const open = new Set<Duplex>()
  const waiting = new Set<Duplex>()
  let viewers: Promise<Viewers> | undefined
  let closed: Promise<void> | undefined

  const admit = async (request: IncomingMessage, socket: Duplex, head: Buffer, doc: DocId) => {
    await ready
    if (!board) throw noBoards()
    const view = await board(doc)
    try {
      viewers ??= import('./board-socket-viewer.ts').then(({ createViewers }) =>
        createViewers(options.heartbeatMs ?? STREAM_HEARTBEAT_MS),
      )
      const loaded = await viewers
      if (closed) throw stopped()
      waiting.delete(socket)
      loaded.accept(request, socket, head, view)
    } catch (error) {
      view.release()
      throw error
    }
  }
  return {
    upgrade(request, socket, head) {
      socket.on('error', () => socket.destroy())
      let doc: DocId
      try {
        doc = check(request, options)
        if (closed) throw stopped()
        if (open.size >= BOARD_VIEWERS_MAX) throw tooMany()
      } catch (error) {
        return refuse(socket, error)
      }
      open.add(socket)
      waiting.add(socket)
      socket.once('close', () => {
        open.delete(socket)
        waiting.delete(socket)
      })
      admit(request, socket, head, doc).catch((error: unknown) => refuse(socket, error))
    },
    close() {
      closed ??= (async () => {
        for (const socket of waiting) socket.destroy()
        const loaded = await viewers?.catch(() => undefined)
        await loaded?.close()
      })()
      return closed
    },
  }
}

/** The document that is asked for. @throws ORCH_DENIED, ORCH_USAGE, ORCH_NOT_FOUND; Unauthorized for the token */
function check(request: IncomingMessage, { gate, hosts }: BoardSocketOptions): DocId {
  const { headers } = request
  const url = readUrl(request.url)
  const token = url?.searchParams.get('token')
  // A browser can send no header with its handshake.
  const authorization = headers.authorization ?? (token ? `Bearer ${token}` : undefined)
  const { host, origin } = headers
  let isAtToken = false
  let caller: Caller
  try {
    caller = guard(
      { host, origin, authorization, contentType: undefined, hasBody: false },
      hosts(),
      (given) => {
        isAtToken = true
        return gate(given)
      },
    )
  } catch (error) {
    throw isAtToken ? new Unauthorized(error) : error
  }
  if (caller.kind !== 'owner')
    throw new OrchError('ORCH_DENIED', 'the token of an attempt may not watch a board', {
      hint: 'take the token of the node, in `endpoint.json` of its data directory',
    })
  if (headers.upgrade?.toLowerCase() !== 'websocket')
    throw new OrchError(
      'ORCH_USAGE',
      `there is no upgrade to ${JSON.stringify(headers.upgrade?.slice(0, 40))}`,
      {
        hint: 'ask without the header `Upgrade`',
      },
    )
  const name = PATH.exec(url?.pathname ?? '')?.[1]
  if (name === undefined)
    throw new OrchError('ORCH_NOT_FOUND', 'there is no such socket', { hint: 'boards are at `/board/RUN`' })
  return name === 'cluster' || name === '%40cluster' ? CLUSTER_DOC : name
}

function readUrl(url: string | undefined): URL | undefined {
  try {
    return new URL(url ?? '', 'http://localhost')
  } catch {
    return undefined
  }
}

/** Answered with 401, where the catalogue has 403 for all that is denied: clients of sockets know it as "the token". */
class Unauthorized extends Error {
  constructor(cause: unknown) {
    super('no token', { cause })
  }
}

function refuse(socket: Duplex, error: unknown): void {
  if (!socket.writable) return
  const fault = error instanceof Unauthorized ? error.cause : error
  const wire = toWireError(fault)
  const status = fault === error ? ERRORS[wire.code].status : 401
  const body = JSON.stringify({ schemaVersion: 1, error: wire })
  socket.once('finish', () => socket.destroy())
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Connection: close',
      'Cache-Control: no-store',
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...(status === 401 ? ['WWW-Authenticate: Bearer'] : []),
      '',
      body,
    ].join('\r\n'),
  )
}

function noBoards(): OrchError {
  return new OrchError('ORCH_UNSUPPORTED', 'this node shows no boards')
}

function stopped(): OrchError {
  return new OrchError('ORCH_NO_NODE', 'the node stops')
}

function tooMany(): OrchError {
  return new OrchError(
    'ORCH_BACKPRESSURE',
    `${BOARD_VIEWERS_MAX} viewers watch boards of this node already`,
    {
      hint: 'close one of them, or ask another node of the cluster',
    },
  )
}
