/** Opens a node to other processes of its user: the socket for this program, HTTP for everything else, and the file that tells where. */
import { OrchError } from '../core/error.ts'
import type { DocId, RunId } from '../core/id.ts'
import type { SubmitAnswer } from '../node/face.ts'
import type { OpenNode } from '../node/open-node.ts'
import { createGate, createToken } from './caller.ts'
import { type Endpoint, refuseOpenDataDir, removeEndpoint, writeEndpoint } from './endpoint.ts'
import { type HttpServer, listenHttp } from './http-server.ts'
import { socketPathOf } from './socket-path.ts'
import { listenSocket } from './socket-server.ts'

export interface ServeOptions {
  /** Default HTTP_PORT; 0 = any free one. */
  readonly httpPort?: number
  /** True: this port or none. Default: the next free one. */
  readonly fixed?: boolean
  /** A run came in from another process. */
  readonly onSubmit?: (run: RunId) => void
  /** Requests wait for it, and only then the file tells of the node: a board that is not read whole would give wrong answers. */
  readonly ready?: Promise<void>
}

/** What is asked of a node to serve it. */
export type ServedNode = Pick<OpenNode, 'face' | 'tokens' | 'setUrl'> & Partial<Pick<OpenNode, 'board'>>

export interface Served {
  readonly url: string
  /** Resolves when others can find the node. */
  readonly announced: Promise<Endpoint>
  /** Removes the file first, so that nobody new comes; then ends what is open. Idempotent. */
  close(): Promise<void>
}

/**
 * Resolves when the node listens and its attempts know where.
 *
 * @throws ORCH_PORT_TAKEN, ORCH_DATA_DIR, ORCH_LOCKED
 */
export async function serve(node: ServedNode, options: ServeOptions = {}): Promise<Served> {
  const { face } = node
  const { dataDir } = await face.status()
  refuseOpenDataDir(dataDir)
  const token = createToken()
  let stopped = false
  const onCall = (method: string, _request: unknown, answer: unknown) => {
    if (method === 'stop') stopped = true
    if (method === 'submit') options.onSubmit?.((answer as SubmitAnswer).run)
  }
  const given = {
    face,
    gate: createGate(token, node.tokens),
    onCall,
    ready: options.ready ?? Promise.resolve(),
  }
  const path = socketPathOf(dataDir)
  const socket = await listenSocket({ ...given, path })
  let http: HttpServer
  try {
    http = await listenHttp({
      ...given,
      ...(node.board && { board: (doc: DocId) => node.board!(doc) }),
      ...(options.httpPort !== undefined && { port: options.httpPort }),
      ...(options.fixed !== undefined && { fixed: options.fixed }),
    })
  } catch (error) {
    await socket.close()
    throw error
  }
  const { url } = http
  node.setUrl(url, path)
  let endpoint: Endpoint | undefined
  let closed: Promise<void> | undefined
  const announced = given.ready.then(() => {
    if (closed) throw new OrchError('ORCH_NO_NODE', 'the node was closed before it was ready')
    endpoint = writeEndpoint(dataDir, { url, socket: path, token })
    return endpoint
  })
  // Whoever opened the node awaits it; if that failed, nobody does.
  announced.catch(() => {})
  return {
    url,
    announced,
    close() {
      closed ??= (async () => {
        if (endpoint) removeEndpoint(dataDir, endpoint)
        // Who follows a run takes over from a node that is gone, but not from one that a person stopped.
        const reason = stopped
          ? new OrchError('ORCH_NO_NODE', 'the node was stopped', { context: { stopped } })
          : undefined
        await Promise.all([socket.close(reason), http.close()])
      })()
      return closed
    },
  }
}
