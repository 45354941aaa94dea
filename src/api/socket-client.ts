/** The client's side of the local socket. One connection carries every call and stream of a process. */
import { connect, type Socket } from 'node:net'
import { OrchError } from '../core/error.ts'
import { ANSWER_BYTES_MAX, CALL_MS_DEFAULT, REQUEST_BYTES_MAX, STREAM_WINDOW_BYTES } from '../core/limit.ts'
import { createFrameReader, encodeFrame } from './frame.ts'
import { createRemoteNode, type RemoteNode, type RemoteOptions, type Transport } from './remote-face.ts'
import { type ServerMessage, SOCKET_PROTOCOL } from './socket-message.ts'
import { createIncoming, type IncomingStream } from './stream-receiver.ts'
import { fromWireError } from './wire-error.ts'

interface Waiting {
  readonly resolve: (data: unknown) => void
  readonly reject: (error: OrchError) => void
  readonly timer: NodeJS.Timeout
}

/** @throws ORCH_NO_NODE when nobody listens there */
export async function connectSocket(
  path: string,
  token: string,
  options: RemoteOptions = {},
): Promise<RemoteNode> {
  const socket = await open(path)
  return createRemoteNode(createTransport(socket, token), options)
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const timer = setTimeout(
      () => socket.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
      CALL_MS_DEFAULT,
    )
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', (cause) => {
      clearTimeout(timer)
      reject(
        new OrchError(
          'ORCH_NO_NODE',
          `nobody listens on ${path} (${(cause as NodeJS.ErrnoException).code})`,
          { cause },
        ),
      )
    })
  })
}

function createTransport(socket: Socket, token: string): Transport {
  const waiting = new Map<number, Waiting>()
  const streams = new Map<number, IncomingStream>()
  let lastId = 0
  let gone: OrchError | undefined
  let corked = false

  const send = (message: unknown) => {
    const frame = encodeFrame(message, REQUEST_BYTES_MAX)
    if (!corked) {
      corked = true
      socket.cork()
      process.nextTick(() => {
        corked = false
        socket.uncork()
      })
    }
    socket.write(frame)
  }
  let end!: (error: OrchError) => void
  const ended = new Promise<OrchError>((resolve) => {
    end = resolve
  })
  const lose = (error: OrchError) => {
    gone ??= error
    end(gone)
    for (const { reject, timer } of waiting.values()) {
      clearTimeout(timer)
      reject(gone)
    }
    waiting.clear()
    for (const stream of streams.values()) stream.end(gone)
    streams.clear()
    settle()
  }
  /** An idle connection does not keep its process alive. */
  const settle = () => (waiting.size + streams.size > 0 ? socket.ref() : socket.unref())

  const read = createFrameReader(ANSWER_BYTES_MAX, (raw, bytes) => {
    const message = raw as ServerMessage
    const { id } = message
    if (id === undefined) {
      if ('error' in message) lose(fromWireError(message.error))
      return
    }
    const call = waiting.get(id)
    if (call) {
      waiting.delete(id)
      clearTimeout(call.timer)
      if ('error' in message) call.reject(fromWireError(message.error))
      else call.resolve('data' in message ? message.data : undefined)
      settle()
      return
    }
    const stream = streams.get(id)
    if (!stream) return
    if ('items' in message) stream.push(message.items, bytes)
    else {
      streams.delete(id)
      stream.end('error' in message ? fromWireError(message.error) : undefined)
      settle()
    }
  })
  socket.on('data', (chunk) => {
    try {
      read(chunk)
    } catch (error) {
      lose(error as OrchError)
      socket.destroy()
    }
  })
  socket.on('error', () => {})
  socket.on('close', () =>
    lose(
      new OrchError('ORCH_NO_NODE', 'the node closed the connection', {
        hint: 'it was stopped, or ended by itself: see `orch-node doctor`',
      }),
    ),
  )
  send({ hello: SOCKET_PROTOCOL, token })
  settle()

  return {
    ended,
    call(method, params, deadlineMs) {
      if (gone) return Promise.reject(gone)
      const id = ++lastId
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(id)
          settle()
          reject(
            new OrchError(
              'ORCH_NODE_TIMEOUT',
              `the node did not answer ${method} within ${deadlineMs / 1000} s`,
              { context: { method, deadlineMs } },
            ),
          )
        }, deadlineMs)
        waiting.set(id, { resolve, reject, timer })
        try {
          send({ id, method, params })
        } catch (error) {
          waiting.delete(id)
          clearTimeout(timer)
          reject(error)
        }
        settle()
      })
    },
    stream(method, params, signal) {
      return createIncoming(signal, {
        start(stream) {
          if (gone) throw gone
          const id = ++lastId
          streams.set(id, stream)
          send({ id, method, params })
          settle()
          let consumed = 0
          return {
            consume(bytes) {
              consumed += bytes
              if (consumed < STREAM_WINDOW_BYTES / 2) return
              if (socket.writable) send({ id, ack: consumed })
              consumed = 0
            },
            cancel() {
              if (!streams.delete(id)) return
              if (socket.writable) send({ id, cancel: true })
              settle()
            },
          }
        },
      })
    },
    close: () =>
      new Promise((resolve) => {
        gone ??= new OrchError('ORCH_NO_NODE', 'the connection was closed here')
        if (socket.destroyed) return resolve()
        socket.once('close', () => resolve())
        socket.destroySoon()
        socket.ref()
      }),
  }
}
