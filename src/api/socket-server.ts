/** The node's side of the local socket: private to its user, framed, multiplexed; every queue of it is bounded. */
import { chmodSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { OrchError } from '../core/error.ts'
import {
  CONNECTION_REQUESTS_MAX,
  CONNECTIONS_MAX,
  FOLLOWER_BYTES_MAX,
  HELLO_MS_MAX,
  REQUEST_BYTES_MAX,
} from '../core/limit.ts'
import type { NodeFace } from '../node/face.ts'
import { authorize, type Caller } from './caller.ts'
import { bytesIn, createFrameReader, encodeFrame, frameOf } from './frame.ts'
import { invoke, isMethodName, METHODS, type MethodName } from './method.ts'
import { readRequest } from './request.ts'
import { type ClientMessage, type ServerMessage, SOCKET_PROTOCOL } from './socket-message.ts'
import { type OutgoingStream, sendStream } from './stream-sender.ts'
import { toWireError } from './wire-error.ts'

export interface SocketServerOptions {
  readonly face: NodeFace
  /** Who a token belongs to. */
  readonly gate: (token: string | undefined) => Caller | undefined
  readonly path: string
  /** Requests wait for it. Default: no wait. */
  readonly ready?: Promise<void>
  /** Calls that were answered, for the host. */
  readonly onCall?: (method: string, request: unknown, answer: unknown) => void
}

export interface SocketServer {
  /** Refuses new connections and ends the open ones, with a last word if there is one. Idempotent. */
  close(reason?: OrchError): Promise<void>
}

/** @throws ORCH_LOCKED when a living process listens there */
export async function listenSocket(options: SocketServerOptions): Promise<SocketServer> {
  const { path } = options
  const open = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    serveConnection(socket, options)
  })
  server.maxConnections = CONNECTIONS_MAX
  if (process.platform !== 'win32') await removeStale(path)
  await listen(server, path)
  let closed: Promise<void> | undefined
  return {
    close(reason) {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve())
        if (reason)
          for (const socket of open)
            if (socket.writable) socket.write(encodeFrame({ error: toWireError(reason) }))
        for (const socket of open) socket.destroySoon()
        for (const socket of open) socket.once('finish', () => socket.destroy())
      })
      return closed
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new OrchError('ORCH_DATA_DIR', `cannot listen on ${path}: ${(cause as NodeJS.ErrnoException).code}`, {
          cause,
        }),
      )
    })
    // The kernel makes it by the process's mask: nobody else may connect in the instant before the mode is set.
    const mask = process.platform === 'win32' ? undefined : process.umask(0o177)
    try {
      server.listen(path, () => {
        server.removeAllListeners('error')
        if (mask !== undefined) chmodSync(path, 0o600)
        resolve()
      })
    } finally {
      if (mask !== undefined) process.umask(mask)
    }
  })
}

/** A socket file outlives a killed node. One that answers is somebody's. */
async function removeStale(path: string): Promise<void> {
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (answers) throw new OrchError('ORCH_LOCKED', `another process listens on ${path}`, { context: { path } })
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function serveConnection(socket: Socket, { face, gate, onCall, ready }: SocketServerOptions): void {
  let caller: Caller | undefined
  let calls = 0
  let corked = false
  let isReady = ready === undefined
  /** Requests that were taken back before the node was ready for them. */
  const cancelled = new Set<number>()
  const streams = new Map<number, OutgoingStream>()

  const hello = setTimeout(
    () => end(new OrchError('ORCH_DENIED', 'the connection did not say who it is')),
    HELLO_MS_MAX,
  )
  hello.unref()

  const write = (frame: Buffer) => {
    if (!socket.writable) return
    if (!corked) {
      corked = true
      socket.cork()
      process.nextTick(() => {
        corked = false
        socket.uncork()
      })
    }
    // Who does not read answers cannot ask more.
    if (!socket.write(frame) && socket.writableLength > FOLLOWER_BYTES_MAX) socket.pause()
  }
  const send = (message: ServerMessage) => write(encodeFrame(message))
  const sendError = (id: number, error: unknown) => send({ id, error: toWireError(error) })
  const end = (error: unknown) => {
    if (!socket.writable) return
    send({ error: toWireError(error) })
    socket.end()
  }

  const ask = async (id: number, name: string, params: unknown) => {
    if (!isMethodName(name))
      throw new OrchError('ORCH_NOT_FOUND', `there is no method ${JSON.stringify(name.slice(0, 60))}`, {
        hint: 'client and node must be of one version',
      })
    if (calls + streams.size >= CONNECTION_REQUESTS_MAX) {
      throw new OrchError(
        'ORCH_BACKPRESSURE',
        `more than ${CONNECTION_REQUESTS_MAX} requests are open on this connection`,
        { hint: 'wait for answers' },
      )
    }
    const request = authorize(caller!, name, readRequest(name, params))
    calls++
    try {
      if (ready && !isReady) {
        await ready
        isReady = true
      }
      // Whoever asked may be gone by now, or want nothing more.
      if (!socket.writable || cancelled.delete(id)) return
      if (METHODS[name].kind === 'stream') return openStream(id, name, request)
      const data = await (invoke(face, name, request) as Promise<unknown>)
      send({ id, data: data ?? null })
      onCall?.(name, request, data)
    } finally {
      calls--
    }
  }
  const openStream = (id: number, name: MethodName, request: unknown) => {
    const stream = sendStream({
      items: (signal) => invoke(face, name, request, signal) as AsyncIterable<unknown>,
      write: (json) => {
        const frame = frameOf(`{"id":${id},"items":[${json}]}`)
        write(frame)
        return bytesIn(frame)
      },
      onEnd: (error) => {
        streams.delete(id)
        if (error === undefined) send({ id, end: true })
        else sendError(id, error)
      },
    })
    streams.set(id, stream)
  }
  const cancel = (id: number) => {
    const stream = streams.get(id)
    if (stream) {
      streams.delete(id)
      stream.cancel()
    } else if (!isReady) cancelled.add(id)
  }

  const read = createFrameReader(REQUEST_BYTES_MAX, (raw) => {
    const message = raw as ClientMessage
    if (typeof raw !== 'object' || raw === null)
      throw new OrchError('ORCH_USAGE', 'a message is not an object')
    if ('hello' in message) {
      clearTimeout(hello)
      if (message.hello !== SOCKET_PROTOCOL)
        throw new OrchError(
          'ORCH_UNSUPPORTED',
          `this node speaks version ${SOCKET_PROTOCOL} of the socket, not ${String(message.hello)}`,
          { hint: "use the program of the node's version, or start the node again" },
        )
      caller = gate(typeof message.token === 'string' ? message.token : undefined)
      if (!caller) throw new OrchError('ORCH_DENIED', "the token is nobody's")
      return
    }
    if (!caller) throw new OrchError('ORCH_DENIED', 'the connection did not say who it is')
    const { id } = message
    if (!Number.isSafeInteger(id)) throw new OrchError('ORCH_USAGE', 'a request has no number')
    if ('ack' in message) streams.get(id)?.acknowledge(Number(message.ack))
    else if ('cancel' in message) cancel(id)
    else ask(id, String(message.method), message.params).catch((error: unknown) => sendError(id, error))
  })

  socket.on('data', (chunk) => {
    try {
      read(chunk)
    } catch (error) {
      socket.removeAllListeners('data')
      end(error)
    }
  })
  socket.on('drain', () => socket.resume())
  // What was asked goes on; only who watches is let go.
  socket.on('close', () => {
    clearTimeout(hello)
    for (const stream of streams.values()) stream.cancel()
  })
  socket.on('error', () => socket.destroy())
}
