/** A node reached by its URL: for agents (ORCH_URL, ORCH_TOKEN), scripts, and tunnels from elsewhere. */
import {
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  request as requestHttp,
} from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { OrchError } from '../core/error.ts'
import { ANSWER_BYTES_MAX, LINE_BYTES_MAX, STREAM_HEARTBEAT_MS } from '../core/limit.ts'
import type { MethodName } from './method.ts'
import { createRemoteNode, type RemoteNode, type RemoteOptions, type Transport } from './remote-face.ts'
import { fromWireError } from './wire-error.ts'

/** Two heartbeats missed: the other end, or something in between, is gone. */
const STREAM_SILENCE_MS = 3 * STREAM_HEARTBEAT_MS
/** One item of a stream. */
const ITEM_BYTES_MAX = 16 * LINE_BYTES_MAX

/**
 * Nothing is sent yet: the first call tells whether somebody is there.
 *
 * @throws ORCH_USAGE when `url` is none
 */
export function connectHttp(url: string, token: string | undefined, options: RemoteOptions = {}): RemoteNode {
  const base = parseUrl(url)
  const open = new Set<ClientRequest>()
  const isSecure = base.protocol === 'https:'
  const agent = isSecure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true })

  const send = (method: MethodName, params: unknown, signal?: AbortSignal): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const body = Buffer.from(JSON.stringify(params ?? {}))
      const request = (isSecure ? requestHttps : requestHttp)(new URL(`v1/${method}`, base), {
        method: 'POST',
        agent,
        headers: {
          'Content-Type': 'application/json',
          'Content-Length': body.length,
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
        },
        ...(signal && { signal }),
      })
      open.add(request)
      request.once('close', () => open.delete(request))
      request.once('response', resolve)
      request.on('error', (cause: NodeJS.ErrnoException) => reject(noNode(base, cause)))
      request.end(body)
    })

  const transport: Transport = {
    async call(method, params, deadlineMs) {
      const deadline = AbortSignal.timeout(deadlineMs)
      try {
        const response = await send(method, params, deadline)
        return readAnswer(await readText(response, base), response.statusCode ?? 0)
      } catch (error) {
        if (!deadline.aborted) throw error
        throw new OrchError(
          'ORCH_NODE_TIMEOUT',
          `the node did not answer ${method} within ${deadlineMs / 1000} s`,
          { context: { method, deadlineMs } },
        )
      }
    },
    async *stream(method, params, signal) {
      if (signal?.aborted) return
      let response: IncomingMessage
      try {
        response = await send(method, params, signal)
      } catch (error) {
        if (signal?.aborted) return
        throw error
      }
      if (response.statusCode !== 200) {
        readAnswer(await readText(response, base), response.statusCode ?? 0)
        throw notANode(base)
      }
      response.setTimeout(STREAM_SILENCE_MS, () =>
        response.destroy(Object.assign(new Error('silent'), { code: 'ETIMEDOUT' })),
      )
      try {
        for await (const line of readLines(response)) {
          if (line === '') continue
          const { data, end, error } = JSON.parse(line) as { data?: unknown; end?: true; error?: unknown }
          if (error !== undefined) throw fromWireError(error)
          if (end) return
          yield data
        }
        throw new OrchError('ORCH_NO_NODE', 'the node closed the connection before the end of the stream')
      } catch (error) {
        if (signal?.aborted) return
        throw error instanceof OrchError ? error : noNode(base, error as NodeJS.ErrnoException)
      } finally {
        response.destroy()
      }
    },
    async close() {
      for (const request of open) request.destroy()
      agent.destroy()
    },
  }
  return createRemoteNode(transport, options)
}

function parseUrl(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined
  if (!base || (base.protocol !== 'http:' && base.protocol !== 'https:')) {
    throw new OrchError('ORCH_USAGE', `${JSON.stringify(url)} is no URL of a node`, {
      hint: 'for example http://127.0.0.1:7947',
    })
  }
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  return base
}

function noNode(base: URL, cause: NodeJS.ErrnoException): OrchError {
  return new OrchError('ORCH_NO_NODE', `no node answers at ${base.origin} (${cause.code ?? cause.message})`, {
    cause,
    context: { url: base.origin },
  })
}

function notANode(base: URL): OrchError {
  return new OrchError('ORCH_NO_NODE', `what answers at ${base.origin} is no node of orch-node`, {
    context: { url: base.origin },
    hint: 'check the URL',
  })
}

function readAnswer(text: string, status: number): unknown {
  let answer: { schemaVersion?: number; data?: unknown; error?: unknown }
  try {
    answer = JSON.parse(text)
  } catch (cause) {
    throw new OrchError('ORCH_NO_NODE', `what answers there (status ${status}) is no node of orch-node`, {
      cause,
      hint: 'check the URL',
    })
  }
  if (answer.error !== undefined) throw fromWireError(answer.error)
  return answer.data
}

async function readText(response: IncomingMessage, base: URL): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ANSWER_BYTES_MAX)
        throw new OrchError('ORCH_USAGE', `the answer has more than ${ANSWER_BYTES_MAX} bytes`, {
          hint: 'ask for less: name a run, or a limit',
        })
      chunks.push(chunk)
    }
  } catch (error) {
    throw error instanceof OrchError ? error : noNode(base, error as NodeJS.ErrnoException)
  }
  return Buffer.concat(chunks, bytes).toString('utf8')
}

async function* readLines(response: IncomingMessage): AsyncGenerator<string> {
  let held: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    let start = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      yield Buffer.concat([...held, chunk.subarray(start, at)]).toString('utf8')
      held = []
      bytes = 0
      start = at + 1
    }
    if (start === chunk.length) continue
    held.push(chunk.subarray(start))
    bytes += chunk.length - start
    if (bytes > ITEM_BYTES_MAX)
      throw new OrchError('ORCH_FAILED', `the node sent a line of more than ${ITEM_BYTES_MAX} bytes`)
  }
}
