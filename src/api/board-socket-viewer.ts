/**
 * One Yjs client that watches a board. It is told what it lacks when it asks, then each change; it is never asked what it has, since nothing is taken from it: so a copy that
 * somebody wrote to, or that knows of facts before this node does, can watch all the same.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { BOARD_MESSAGE_BYTES_MAX, ENDPOINT_CLOSE_MS_MAX, FOLLOWER_BYTES_MAX } from '../core/limit.ts'
import type { BoardView } from '../node/board-view.ts'
import {
  deniedMessage,
  nobodyMessage,
  readViewerMessage,
  stateMessage,
  updateMessage,
} from './board-socket-message.ts'

export interface Viewers {
  /** Completes the handshake; the view is released when the viewer is gone. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, view: BoardView): void
  close(): Promise<void>
}

const READ_ONLY = 'this board is read-only: ask the node, which signs what it writes'
const CLOSE = {
  bad: [1007, 'bad message'],
  write: [1008, READ_ONLY],
  stop: [1001, 'the node stops'],
  closed: [1001, 'this life of the node is over: connect again'],
  // y-websocket does not come back after 44xx.
  withdrawn: [4409, 'facts of this board were withdrawn: begin with a new Y.Doc'],
  dropped: [4410, 'the run is archived'],
} as const

export function createViewers(heartbeatMs: number): Viewers {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: BOARD_MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  })
  return {
    accept(request, socket, head, view) {
      let isOpen = false
      server.handleUpgrade(request, socket, head, (client) => {
        isOpen = true
        serveViewer(client, view, heartbeatMs)
      })
      // It answered by itself: the handshake was none.
      if (!isOpen) view.release()
    },
    async close() {
      server.close()
      await Promise.all([...server.clients].map(endViewer))
    },
  }
}

function endViewer(client: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => client.terminate(), ENDPOINT_CLOSE_MS_MAX)
    client.once('close', () => {
      clearTimeout(timer)
      resolve()
    })
    client.close(...CLOSE.stop)
  })
}

/** Viewers of one board are told the same change: its message is made, and held in memory, once. */
const messages = new WeakMap<Uint8Array, Uint8Array>()

function changeMessage(update: Uint8Array): Uint8Array {
  const made = messages.get(update) ?? updateMessage(update)
  messages.set(update, made)
  return made
}

function serveViewer(client: WebSocket, view: BoardView, heartbeatMs: number): void {
  let hasState = false
  /** Of a state on its way, which may be larger than all that may be unsent. */
  let stateBytes = 0
  /** Asked again meanwhile; the latest counts. */
  let asked: Uint8Array | undefined

  const send = (message: Uint8Array, onSent?: () => void) => {
    if (client.readyState !== client.OPEN) return
    // It connects again and is told what it missed.
    if (client.bufferedAmount - stateBytes > FOLLOWER_BYTES_MAX) client.terminate()
    else client.send(message, onSent)
  }
  const end = (why: keyof typeof CLOSE) => {
    const [code, words] = CLOSE[why]
    client.close(code, words)
  }
  const guarded = (work: () => void) => {
    try {
      work()
    } catch {
      end('bad')
    }
  }
  const answer = (stateVector: Uint8Array) => {
    const message = stateMessage(view.updateSince(stateVector))
    hasState = true
    send(message, () => {
      stateBytes = 0
      const next = asked
      asked = undefined
      if (next) guarded(() => answer(next))
    })
    stateBytes = message.length
  }
  const read = (bytes: Uint8Array) => {
    const message = readViewerMessage(bytes)
    switch (message.type) {
      case 'ask':
        if (stateBytes > 0) asked = message.stateVector
        else answer(message.stateVector)
        return
      case 'update':
        if (view.holds(message.update)) return
        send(deniedMessage(READ_ONLY))
        return end('write')
      case 'awareness-query':
        return send(nobodyMessage())
      case 'awareness':
        return
    }
  }

  // The client takes 30 s of silence for a dead connection, and a ping for silence.
  const heartbeat = setInterval(() => send(nobodyMessage()), heartbeatMs)
  heartbeat.unref()
  const undo = [
    view.onUpdate((update) => {
      if (hasState) send(changeMessage(update))
    }),
    view.onReset(end),
  ]
  client.on('message', (data: RawData, isBinary) => {
    if (client.readyState !== client.OPEN) return
    // Bytes in a buffer of their own: a length in a message cannot reach beyond it.
    if (isBinary) guarded(() => read(new Uint8Array(data as Buffer)))
    else end('bad')
  })
  // Wrong frames and too long ones; its close follows.
  client.on('error', () => {})
  client.on('close', () => {
    clearInterval(heartbeat)
    for (const forget of undo) forget()
    view.release()
  })
}
