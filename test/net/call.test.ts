/** Goal: whatever becomes of a call, its caller learns it by a code, and nothing of it stays behind. Method: pairs of nodes of the memory net, methods that the test holds open. */
import { setMaxListeners } from 'node:events'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { OrchError } from '../../src/core/error.ts'
import { CALL_ALIVE_MS, CALL_BYTES_MAX, CALLS_PEER_MAX } from '../../src/core/limit.ts'
import type { Json } from '../../src/core/task.ts'
import { CALL_PROTOCOL, callPeer, streamPeer } from '../../src/net/call.ts'
import {
  decodeAnswer,
  decodeRequest,
  encodeError,
  encodeItems,
  encodeRequest,
} from '../../src/net/call-message.ts'
import {
  type CallContext,
  type CallMethods,
  type ServeOptions,
  serveCalls,
} from '../../src/net/call-serve.ts'
import { createLibp2pNet } from '../../src/net/libp2p.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import { messagesOver } from '../../src/net/message.ts'
import type { Net } from '../../src/net/net.ts'
import { codeOf, eventually, identity } from './contract.ts'
import { HandTiming } from './hand-timing.ts'

const nets: Net[] = []
afterEach(async () => {
  await Promise.all(nets.splice(0).map((net) => net.close()))
})

async function pair(
  methods: CallMethods,
  options?: ServeOptions,
): Promise<{ ask: Net; answer: Net; undo: () => void }> {
  const network = createMemoryNetwork()
  const [answer, ask] = [1, 2].map((n) => {
    const net = network.join({ node: identity(n).node, cluster: 'c1' })
    net.admit(() => 'member')
    nets.push(net)
    return net
  }) as [Net, Net]
  await ask.dial(answer.addresses()[0]!)
  return { ask, answer, undo: serveCalls(answer, methods, options) }
}

function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

async function all(items: AsyncIterable<Json>): Promise<Json[]> {
  const list: Json[] = []
  for await (const item of items) list.push(item)
  return list
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

describe('a call', () => {
  it('[CA1] gets the answer, and the method learns who asks', async () => {
    const { ask, answer } = await pair({
      sum: async (params, { peer }) => ({ sum: (params as number[]).reduce((a, b) => a + b), peer }),
      nothing: async () => null,
    })
    expect(await callPeer(ask, answer.node, 'sum', [1, 2, 3])).toEqual({ sum: 6, peer: ask.node })
    expect(await callPeer(ask, answer.node, 'nothing', null)).toBeNull()
    const many = Array.from({ length: 20 }, (_, i) => callPeer(ask, answer.node, 'sum', [i, 1]))
    expect(await Promise.all(many)).toEqual(
      Array.from({ length: 20 }, (_, i) => ({ sum: i + 1, peer: ask.node })),
    )
  })

  it('[CA2] an error arrives by its code, with words, hint and data; a bug over there is a failure here', async () => {
    const { ask, answer } = await pair({
      refuse: async () => {
        throw new OrchError('ORCH_ROLE', 'observers may not', {
          hint: 'be a worker',
          context: { role: 'observer' },
        })
      },
      break: async () => {
        throw new TypeError('x is not a function')
      },
      assert: () => {
        throw new OrchError('ORCH_BUG', 'invariant broken')
      },
    })
    await expect(callPeer(ask, answer.node, 'refuse', {})).rejects.toMatchObject({
      code: 'ORCH_ROLE',
      message: 'observers may not',
      hint: 'be a worker',
      context: { role: 'observer' },
    })
    await expect(callPeer(ask, answer.node, 'break', {})).rejects.toMatchObject({
      code: 'ORCH_FAILED',
      message: 'x is not a function',
    })
    await expect(callPeer(ask, answer.node, 'assert', {})).rejects.toMatchObject({
      code: 'ORCH_FAILED',
      message: 'invariant broken (ORCH_BUG)',
    })
  })

  it('[CA3] an unknown method, a stream asked as an answer and the other way round: ORCH_PROTOCOL in words', async () => {
    const { ask, answer } = await pair({
      one: async () => 1,
      many: async function* () {
        yield 1
      },
    })
    const { node } = answer
    await expect(callPeer(ask, node, 'two', {})).rejects.toMatchObject({
      code: 'ORCH_PROTOCOL',
      message: expect.stringContaining('does not know the call `two`'),
    })
    await expect(callPeer(ask, node, 'toString', {})).rejects.toMatchObject({ code: 'ORCH_PROTOCOL' })
    await expect(callPeer(ask, node, 'many', {})).rejects.toThrow('`many` is a stream')
    await expect(all(streamPeer(ask, node, 'one', {}))).rejects.toThrow('`one` is no stream')
  })

  it('[CA4] a node that does not answer in time: ORCH_NODE_TIMEOUT, and the method is told', async () => {
    const contexts: CallContext[] = []
    const { ask, answer } = await pair({
      hang: (_params, context) => {
        contexts.push(context)
        return aborted(context.signal).then(() => 1)
      },
    })
    await expect(callPeer(ask, answer.node, 'hang', {}, { timeoutMs: 50 })).rejects.toMatchObject({
      code: 'ORCH_NODE_TIMEOUT',
    })
    await eventually(() => expect(contexts[0]?.signal.aborted).toBe(true))
  })

  it('[CA4] a node that accepts the call and is silent: ORCH_NODE_TIMEOUT', async () => {
    const { ask, answer, undo } = await pair({})
    undo()
    const release = deferred()
    answer.handle(CALL_PROTOCOL, () => release.promise)
    const fault = await callPeer(ask, answer.node, 'x', {}, { timeoutMs: 50 }).catch(
      (error: unknown) => error,
    )
    expect(fault).toMatchObject({
      code: 'ORCH_NODE_TIMEOUT',
      message: expect.stringContaining('`x` within 0.05 s'),
    })
    await expect(all(streamPeer(ask, answer.node, 'x', {}, { silenceMs: 50 }))).rejects.toMatchObject({
      code: 'ORCH_NODE_TIMEOUT',
    })
    release.resolve()
  })

  it('[CA4] one that works for long shows that it lives', async () => {
    const release = deferred()
    const [there, here] = [new HandTiming(), new HandTiming()]
    const { ask, answer } = await pair({ slow: () => release.promise.then(() => 'done') }, { timing: there })
    const call = callPeer(ask, answer.node, 'slow', {}, { timing: here, timeoutMs: 600_000 })
    await eventually(() => expect(there.waiting).toBeGreaterThan(1))
    // Together far longer than the silence that is allowed.
    for (let i = 0; i < 10; i++) {
      const set = here.set
      there.advance(CALL_ALIVE_MS)
      await eventually(() => expect(here.set).toBeGreaterThan(set))
      here.advance(CALL_ALIVE_MS)
    }
    release.resolve()
    expect(await call).toBe('done')
    // Nothing of the call is left behind on either side.
    await eventually(() => expect([here.waiting, there.waiting]).toEqual([0, 0]))
  })

  it('[CA5] a node that goes away, or closes: ORCH_PEER_GONE, and ORCH_NO_NODE when it can still say so', async () => {
    const started = deferred()
    const { ask, answer, undo } = await pair({
      hang: (_params, { signal }) => {
        started.resolve()
        return aborted(signal).then(() => 1)
      },
      rude: async () => 1,
    })
    const first = codeOf(callPeer(ask, answer.node, 'hang', {}))
    await started.promise
    undo()
    expect(await first).toBe('ORCH_NO_NODE')
    answer.handle(CALL_PROTOCOL, async (channel) => {
      await messagesOver(channel).receive()
    })
    expect(await codeOf(callPeer(ask, answer.node, 'rude', {}))).toBe('ORCH_PEER_GONE')
    await answer.close()
    expect(await codeOf(callPeer(ask, answer.node, 'rude', {}))).toMatch(
      /ORCH_PEER_UNREACHABLE|ORCH_PEER_GONE/,
    )
  })

  it('[CA5] a connection that breaks under a call: ORCH_PEER_GONE on one side, the signal on the other', async () => {
    const context = deferred<CallContext>()
    const { ask, answer } = await pair({
      hang: (_params, given) => {
        context.resolve(given)
        return aborted(given.signal).then(() => 1)
      },
    })
    const call = codeOf(callPeer(ask, answer.node, 'hang', {}))
    const { signal } = await context.promise
    await answer.hangUp(ask.node)
    expect(await call).toBe('ORCH_PEER_GONE')
    await eventually(() => expect(signal.aborted).toBe(true))
  })

  it('[CA6] given up by its caller: ORCH_CANCELLED here, the signal there', async () => {
    const context = deferred<CallContext>()
    const { ask, answer } = await pair({
      hang: (_params, given) => {
        context.resolve(given)
        return aborted(given.signal).then(() => 1)
      },
    })
    const stop = new AbortController()
    const call = codeOf(callPeer(ask, answer.node, 'hang', {}, { signal: stop.signal }))
    const { signal } = await context.promise
    stop.abort()
    expect(await call).toBe('ORCH_CANCELLED')
    await eventually(() => expect(signal.aborted).toBe(true))
    expect(await codeOf(callPeer(ask, answer.node, 'hang', {}, { signal: stop.signal }))).toBe(
      'ORCH_CANCELLED',
    )
  })

  it('[CA7] more calls of one peer than allowed are refused in words, and a place is free when its method has settled', async () => {
    const releases: (() => void)[] = []
    const { ask, answer } = await pair({
      hang: () => new Promise((resolve) => releases.push(() => resolve(1))),
      quick: async () => 2,
    })
    const stop = new AbortController()
    setMaxListeners(0, stop.signal)
    const calls = Array.from({ length: CALLS_PEER_MAX }, () =>
      codeOf(callPeer(ask, answer.node, 'hang', {}, { signal: stop.signal })),
    )
    await eventually(() => expect(releases).toHaveLength(CALLS_PEER_MAX))
    await expect(callPeer(ask, answer.node, 'quick', {})).rejects.toMatchObject({
      code: 'ORCH_BACKPRESSURE',
      message: expect.stringContaining('too many calls'),
    })
    // Whoever leaves does not free what still works for him.
    stop.abort()
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['ORCH_CANCELLED']))
    expect(await codeOf(callPeer(ask, answer.node, 'quick', {}))).toBe('ORCH_BACKPRESSURE')
    for (const release of releases) release()
    await eventually(async () => expect(await callPeer(ask, answer.node, 'quick', {})).toBe(2))
  })

  it('[CA7] parameters and answers beyond the limit are refused in words', async () => {
    const { ask, answer } = await pair({ big: async () => 'x'.repeat(CALL_BYTES_MAX) })
    await expect(callPeer(ask, answer.node, 'big', 'x'.repeat(CALL_BYTES_MAX))).rejects.toMatchObject({
      code: 'ORCH_USAGE',
    })
    await expect(callPeer(ask, answer.node, 'big', {})).rejects.toMatchObject({
      code: 'ORCH_PROTOCOL',
      message: expect.stringContaining('too long for one message'),
    })
  })

  it('[CA8] what is no call, and what is no answer: ORCH_PROTOCOL', async () => {
    const { ask, answer, undo } = await pair({})
    const talk = messagesOver(await ask.open(answer.node, CALL_PROTOCOL))
    await talk.send(Buffer.from('{"v":1}'))
    const reply = decodeAnswer((await talk.receive())!)
    expect(reply).toMatchObject({ type: 'error', error: { code: 'ORCH_PROTOCOL' } })
    undo()
    answer.handle(CALL_PROTOCOL, (channel) => messagesOver(channel).send(Buffer.from('?')))
    expect(await codeOf(callPeer(ask, answer.node, 'x', {}))).toBe('ORCH_PROTOCOL')
  })

  it('[CA8] 10,000 damaged messages: a value or ORCH_PROTOCOL, never anything else', () => {
    const sound = [
      encodeRequest({ method: 'logs', params: { task: 'a' }, stream: true, timeoutMs: 5 }),
      encodeError(new OrchError('ORCH_ROLE', 'no', { context: { a: 1 } })),
      encodeItems(['1', '{"a":2}']),
      Buffer.from('E{"code":"__proto__","message":5,"context":null}'),
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...sound),
        fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
        fc.nat(80),
        (message, changes, length) => {
          const bytes = Buffer.from(message)
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          for (const decode of [decodeRequest, decodeAnswer]) {
            try {
              decode(bytes.subarray(0, length))
            } catch (error) {
              expect(error).toMatchObject({ code: 'ORCH_PROTOCOL' })
            }
          }
        },
      ),
      { numRuns: 10_000 },
    )
  })

  it('[CA8] words of another node cannot play with the terminal', () => {
    const error = decodeAnswer(encodeError(new OrchError('ORCH_ROLE', 'a\u001b[2Jb\u202ec')))
    expect(error).toMatchObject({ error: { message: 'a\ufffd[2Jb\ufffdc' } })
  })
})

describe('a stream', () => {
  it('[CA9] gives every item in order, at once where they come alone', async () => {
    const gates = [deferred(), deferred(), deferred()]
    const { ask, answer } = await pair({
      tell: async function* (params) {
        for (let i = 0; i < (params as number); i++) yield { i }
      },
      slowly: async function* () {
        for (const gate of gates) {
          await gate.promise
          yield 'tick'
        }
      },
    })
    expect(await all(streamPeer(ask, answer.node, 'tell', 25_000))).toEqual(
      Array.from({ length: 25_000 }, (_, i) => ({ i })),
    )
    expect(await all(streamPeer(ask, answer.node, 'tell', 0))).toEqual([])
    const ticks = streamPeer(ask, answer.node, 'slowly', {})
    for (const gate of gates) {
      const tick = ticks.next()
      gate.resolve()
      expect(await tick).toEqual({ done: false, value: 'tick' })
    }
    expect(await ticks.next()).toEqual({ done: true, value: undefined })
  })

  it('[CA9] what came before an error arrives, then the error', async () => {
    const { ask, answer } = await pair({
      tell: async function* () {
        yield 1
        yield 2
        throw new OrchError('ORCH_NOT_FOUND', 'the log ends here')
      },
    })
    const got: Json[] = []
    const read = async () => {
      for await (const item of streamPeer(ask, answer.node, 'tell', {})) got.push(item)
    }
    await expect(read()).rejects.toMatchObject({ code: 'ORCH_NOT_FOUND', message: 'the log ends here' })
    expect(got).toEqual([1, 2])
  })

  it('[CA10] a slow reader holds the method back', async () => {
    let told = 0
    const { ask, answer } = await pair({
      flood: async function* () {
        for (; told < 10_000; told++) yield 'x'.repeat(10_000)
      },
    })
    const flood = streamPeer(ask, answer.node, 'flood', {})
    await flood.next()
    // It goes on until all buffers on the way are full, then no more.
    let before = -1
    await eventually(() => {
      const isStill = told === before
      before = told
      expect(isStill).toBe(true)
    })
    const held = told
    let count = 1
    for await (const _ of flood) count++
    expect(count).toBe(10_000)
    expect(held).toBeLessThan(5_000)
  })

  it('[CA6] a reader that stops, and one that aborts, end the method over there', async () => {
    const ended: string[] = []
    const { ask, answer } = await pair({
      forever: async function* (params, { signal }) {
        try {
          yield 1
          await aborted(signal)
        } finally {
          ended.push(params as string)
        }
      },
    })
    for await (const _ of streamPeer(ask, answer.node, 'forever', 'stopped')) break
    await eventually(() => expect(ended).toEqual(['stopped']))
    const stop = new AbortController()
    const items = streamPeer(ask, answer.node, 'forever', 'aborted', { signal: stop.signal })
    expect(await items.next()).toEqual({ done: false, value: 1 })
    const next = items.next()
    stop.abort()
    expect(await next).toEqual({ done: true, value: undefined })
    await eventually(() => expect(ended).toEqual(['stopped', 'aborted']))
  })
})

describe('calls over libp2p', () => {
  it('[CA1] [CA9] [CA6] answers, streams, errors and leaving work on real connections', async () => {
    const ended: string[] = []
    const [answer, ask] = (await Promise.all(
      [1, 2].map(async (n) => {
        const net = await createLibp2pNet({
          identity: identity(n),
          listen: ['/ip4/127.0.0.1/tcp/0'],
          cluster: 'c1',
          name: `node ${n}`,
          version: '1.0.0',
          topics: [],
        })
        net.admit(() => 'member')
        nets.push(net)
        return net
      }),
    )) as [Net, Net]
    serveCalls(answer, {
      echo: async (params, { peer }) => ({ params, peer }),
      count: async function* (params) {
        for (let i = 0; i < (params as number); i++) yield { i, text: 'x'.repeat(500) }
      },
      forever: async function* (_params, { signal }) {
        yield 1
        await aborted(signal)
        ended.push('forever')
      },
      refuse: async () => {
        throw new OrchError('ORCH_ROLE', 'no')
      },
    })
    await ask.dial(answer.addresses()[0]!)
    for (let i = 0; i < 100; i++)
      expect(await callPeer(ask, answer.node, 'echo', { i })).toEqual({ params: { i }, peer: ask.node })
    expect(await all(streamPeer(ask, answer.node, 'count', 20_000))).toHaveLength(20_000)
    expect(await codeOf(callPeer(ask, answer.node, 'refuse', {}))).toBe('ORCH_ROLE')
    for await (const _ of streamPeer(ask, answer.node, 'forever', {})) break
    await eventually(() => expect(ended).toEqual(['forever']))
  })
})
