/** Goal: both ways to a node give the same answers and refusals. Method: one suite, run over the socket and over HTTP, against a face that records. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectHttp } from '../../src/api/http-client.ts'
import { METHODS, type MethodName } from '../../src/api/method.ts'
import type { RemoteNode, RemoteOptions } from '../../src/api/remote-face.ts'
import { type Served, serve } from '../../src/api/serve.ts'
import { connectSocket } from '../../src/api/socket-client.ts'
import { OrchError } from '../../src/core/error.ts'
import { STREAM_WINDOW_BYTES } from '../../src/core/limit.ts'
import type { EventItem, LogChunk } from '../../src/node/face.ts'
import { AT } from '../cli/fake-cluster.ts'
import { runOf, taskOf } from '../cli/fake-face.ts'
import { ATTEMPT, ATTEMPT_TOKEN, createFakeNode, type FakeNode, until } from './open-node.ts'

const ways = {
  socket: async (served: Served, token?: string, options?: RemoteOptions) => {
    const endpoint = await served.announced
    return connectSocket(endpoint.socket, token ?? endpoint.token, options)
  },
  http: async (served: Served, token?: string, options?: RemoteOptions) =>
    connectHttp(served.url, token ?? (await served.announced).token, options),
}

describe.each(Object.keys(ways) as (keyof typeof ways)[])('over %s', (way) => {
  let node: FakeNode
  let served: Served
  const clients: RemoteNode[] = []
  const connect = async (token?: string, options?: RemoteOptions) => {
    const client = await ways[way](served, token, options)
    clients.push(client)
    return client
  }

  beforeEach(async () => {
    node = createFakeNode()
    node.face.add(
      runOf('demo-7f2a', { status: 'complete' }),
      taskOf('demo-7f2a', 'math', 'running', { output: 'hello', diff: '+x' }),
    )
    served = await serve(node, { httpPort: 0 })
  })

  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close()
    await served.close()
    node.remove()
  })

  it('[AP1] every call arrives as it was made and is answered as the face answers', async () => {
    const { face } = await connect()
    const requests: Partial<Record<MethodName, object>> = {
      submit: { name: 'x', tasks: [['a', { kind: 'shell', run: 'true' }]] },
      addTasks: { run: 'demo-7f2a', tasks: [] },
      run: { run: 'demo' },
      tasks: { run: 'demo', limit: 1 },
      task: { task: 'math' },
      diff: { task: 'math', stat: true },
      prioritize: { task: 'math', priority: 'high' },
      retry: { task: 'math' },
      unblock: { task: 'math' },
      claim: { task: 'math' },
      cancel: { task: 'math' },
      pause: { task: 'math' },
      resume: { task: 'math' },
      complete: { task: 'demo-7f2a/math' },
      fail: { task: 'demo-7f2a/math', reason: 'x' },
      block: { task: 'demo-7f2a/math', reason: 'x' },
      release: { task: 'demo-7f2a/math' },
      approve: { who: 'new-box' },
      removeMember: { who: 'mac-anna' },
      setRole: { who: 'mac-anna', role: 'admin' },
      revokeInvite: { id: 'a1' },
      adopt: { run: 'demo' },
      drain: { node: 'mac-anna', deadlineMs: 1_000 },
    }
    const calls = (Object.keys(METHODS) as MethodName[]).filter(
      (name) => METHODS[name].kind === 'call' && name !== 'stop' && name !== 'leave',
    )
    for (const name of calls) {
      // A submission makes a run of its own, which would be the latest.
      if (name === 'task') node.face.runTable.delete('x-7f2a')
      const request = requests[name] ?? {}
      const call = face[name] as (request: object) => Promise<unknown>
      const answer = await call(request)
      expect(node.face.request(name), name).toEqual(request)
      const local = node.face[name] as (request: object) => Promise<unknown>
      expect(answer ?? undefined, name).toEqual((await local.call(node.face, request)) ?? undefined)
    }
  })

  it('[AP1] a refusal keeps its code, message, hint and context', async () => {
    const { face } = await connect()
    node.face.faults.set(
      'claim',
      new OrchError('ORCH_CLAIM_LOST', 'held by box', { context: { holder: 'box' }, hint: 'take another' }),
    )
    await expect(face.claim({})).rejects.toMatchObject({
      code: 'ORCH_CLAIM_LOST',
      message: 'held by box',
      hint: 'take another',
      context: { holder: 'box' },
    })
    node.face.faults.set('runs', new TypeError('oops'))
    const error = await face.runs().catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'ORCH_BUG', message: 'oops' })
    expect(JSON.stringify(error)).not.toContain('transport.test')
  })

  it('[AP2] a malformed request does not reach the face', async () => {
    const { face } = await connect()
    await expect(face.task({ task: 5 } as never)).rejects.toMatchObject({ code: 'ORCH_USAGE' })
    expect(node.face.request('task')).toBeUndefined()
  })

  it('[AP1] streams arrive whole and in order', async () => {
    const { face } = await connect()
    node.face.eventList = Array.from(
      { length: 5_000 },
      (_, n): EventItem => ({ n, event: { type: 'unblocked', at: AT + n, run: 'demo-7f2a', task: 'math' } }),
    )
    const found: EventItem[] = []
    for await (const item of face.events({})) found.push(item)
    expect(found).toEqual(node.face.eventList)
  })

  it('[AP1] what a stream throws reaches its reader, after the items before it', async () => {
    const { face } = await connect()
    node.face.events = async function* () {
      yield { n: 1, event: { type: 'unblocked', at: AT, run: 'r', task: 't' } }
      throw new OrchError('ORCH_BACKPRESSURE', 'dropped: 9 items behind')
    }
    const found: unknown[] = []
    const read = async () => {
      for await (const item of face.events({})) found.push(item)
    }
    await expect(read()).rejects.toMatchObject({
      code: 'ORCH_BACKPRESSURE',
      message: 'dropped: 9 items behind',
    })
    expect(found).toHaveLength(1)
    await expect(face.task({ task: 'nothing' })).rejects.toMatchObject({ code: 'ORCH_NOT_FOUND' })
  })

  it('[AP4] a call passes a stream whose reader waits', async () => {
    const { face } = await connect()
    node.face.logs = endless()
    const reader = face.logs({ task: 'math' })[Symbol.asyncIterator]()
    await reader.next()
    expect((await face.status()).name).toBe('box')
    await reader.return?.()
  })

  it('[AP5] a reader that waits holds the face back', async () => {
    const { face } = await connect()
    const pulled = { chunks: 0 }
    node.face.logs = endless(pulled)
    const reader = face.logs({ task: 'math' })[Symbol.asyncIterator]()
    await reader.next()
    // A stream that is not held back goes on by itself; this one stands still.
    let last = -1
    for (let calm = 0; calm < 20; ) {
      await face.status()
      calm = pulled.chunks === last ? calm + 1 : 0
      last = pulled.chunks
    }
    // What the kernel takes of a socket comes on top of the window.
    expect(pulled.chunks * CHUNK_BYTES).toBeLessThan(STREAM_WINDOW_BYTES + 8 * 1024 * 1024)
    const before = pulled.chunks
    for (let bytes = 0; bytes < 16 * 1024 * 1024; bytes += CHUNK_BYTES) await reader.next()
    expect(pulled.chunks).toBeGreaterThan(before)
    await reader.return?.()
  })

  it.each(['return', 'abort', 'disconnect'] as const)(
    '[AP6] the face learns when its reader is gone: %s',
    async (how) => {
      const client = await connect()
      const state = { aborted: false, closed: false }
      node.face.followRun = async function* (_request, signal) {
        signal!.addEventListener('abort', () => {
          state.aborted = true
        })
        try {
          yield { type: 'run', run: runOf('demo-7f2a') }
          await new Promise<void>((resolve) =>
            signal!.addEventListener('abort', () => resolve(), { once: true }),
          )
        } finally {
          state.closed = true
        }
      }
      const abort = new AbortController()
      const reader = client.face.followRun({}, abort.signal)[Symbol.asyncIterator]()
      expect((await reader.next()).value).toMatchObject({ type: 'run' })
      if (how === 'return') await reader.return?.()
      else if (how === 'abort') {
        const next = reader.next()
        abort.abort()
        expect((await next).done).toBe(true)
      } else {
        const next = reader.next()
        await client.close()
        await expect(next).rejects.toMatchObject({ code: 'ORCH_NO_NODE' })
      }
      await until(() => state.aborted && state.closed, 'the end of the face’s stream')
    },
  )

  it('[AP7] a call without an answer ends at its deadline, and names the method', async () => {
    const { face } = await connect(undefined, { callMs: 50 })
    node.face.runs = () => new Promise(() => {})
    await expect(face.runs()).rejects.toMatchObject({
      code: 'ORCH_NODE_TIMEOUT',
      message: expect.stringContaining('runs'),
    })
    expect((await face.status()).name).toBe('box')
  })

  it('[AP8] when the node ends, everything open fails', async () => {
    const { face } = await connect()
    const asked = { runs: false }
    node.face.runs = () => {
      asked.runs = true
      return new Promise(() => {})
    }
    const call = face.runs()
    const reader = face.followRun({})[Symbol.asyncIterator]()
    while ((await reader.next()).value?.type !== 'task');
    await until(() => asked.runs, 'the call')
    const next = reader.next()
    const results = Promise.allSettled([call, next])
    await served.close()
    for (const result of await results)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ORCH_NO_NODE' } })
    await expect(face.status()).rejects.toMatchObject({ code: 'ORCH_NO_NODE' })
  }, 20_000)

  it('[AP9] a request above the bound is not sent', async () => {
    const { face } = await connect()
    await expect(face.fail({ reason: 'x'.repeat(65 * 1024 * 1024) })).rejects.toMatchObject({
      code: 'ORCH_USAGE',
    })
    expect(node.face.request('fail')).toBeUndefined()
  })

  it('[AP12] an attempt’s token speaks of its own attempt', async () => {
    const { face } = await connect(ATTEMPT_TOKEN)
    expect(await face.progress({ step: 2 })).toEqual({ hints: ['the schema changed'] })
    expect(node.face.request('progress')).toEqual({ step: 2, attempt: ATTEMPT, task: 'demo-7f2a/math' })
    await expect(face.cancel({ task: 'math' })).rejects.toMatchObject({ code: 'ORCH_DENIED' })
    await expect(face.fail({ reason: 'x', task: 'demo-7f2a/other' })).rejects.toMatchObject({
      code: 'ORCH_DENIED',
    })
    expect(node.face.request('cancel')).toBeUndefined()
    expect(node.face.request('fail')).toBeUndefined()
  })

  it('[AP3] a token that is nobody’s opens nothing', async () => {
    const { face } = await connect('guess')
    await expect(face.status()).rejects.toMatchObject({ code: 'ORCH_DENIED' })
    expect(node.face.calls.filter(({ method }) => method !== 'status')).toEqual([])
  })
})

const CHUNK_BYTES = 48 * 1024

function endless(pulled = { chunks: 0 }) {
  const data = 'x'.repeat(CHUNK_BYTES)
  return async function* (): AsyncGenerator<LogChunk> {
    for (;;) {
      pulled.chunks++
      yield { data, offset: 0 }
    }
  }
}
