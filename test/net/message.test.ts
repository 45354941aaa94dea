/** Whole messages over a byte stream: any cutting of the bytes gives the same messages, and every wait ends. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import { messagesOver } from '../../src/net/message.ts'
import type { Channel } from '../../src/net/net.ts'
import { codeOf, identity } from './contract.ts'
import { createVirtualTime } from './virtual-time.ts'

function source(
  pieces: readonly Uint8Array[],
  isBroken = false,
): Channel & { aborted?: string; written: Uint8Array[] } {
  const channel: Channel & { aborted?: string; written: Uint8Array[] } = {
    peer: 'node-x',
    written: [],
    async *read() {
      yield* pieces
      if (isBroken) throw new Error('broken')
    },
    async write(bytes) {
      channel.written.push(bytes)
    },
    end: async () => undefined,
    abort(reason) {
      channel.aborted ??= reason
    },
  }
  return channel
}

async function all(channel: Channel, bytesMax?: number): Promise<Uint8Array[]> {
  const messages = messagesOver(channel, bytesMax === undefined ? {} : { bytesMax })
  const list: Uint8Array[] = []
  for (let next = await messages.receive(); next; next = await messages.receive()) list.push(next)
  return list
}

describe('messages', () => {
  it('[NT14] messages come out as they went in, however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 40 }),
        async (messages, cuts) => {
          const out = source([])
          const sender = messagesOver(out)
          for (const message of messages) await sender.send(message)
          const bytes = Buffer.concat(out.written)
          const pieces: Uint8Array[] = []
          let at = 0
          for (const cut of [...cuts, bytes.length]) {
            if (at < bytes.length) pieces.push(new Uint8Array(bytes.subarray(at, at + cut)))
            at += cut
          }
          expect((await all(source(pieces))).map((m) => [...m])).toEqual(messages.map((m) => [...m]))
        },
      ),
    )
  })

  it('[NT14] a message that is too long, cut off, or of an impossible length is refused and the stream aborted', async () => {
    const out = source([])
    await messagesOver(out).send(new Uint8Array(100))
    const long = source(out.written)
    expect(await codeOf(all(long, 99))).toBe('ORCH_PROTOCOL')
    expect(long.aborted).toBeDefined()
    const cut = source([out.written[0]!.subarray(0, 50)])
    expect(await codeOf(all(cut))).toBe('ORCH_PROTOCOL')
    expect(await codeOf(all(source([Uint8Array.of(200)])))).toBe('ORCH_PROTOCOL')
    expect(await codeOf(all(source([new Uint8Array(9).fill(255)])))).toBe('ORCH_PROTOCOL')
    expect(await codeOf(messagesOver(out, { bytesMax: 9 }).send(new Uint8Array(10)))).toBe('ORCH_BUG')
  })

  it('[NT14] what follows a header is read as it comes', async () => {
    const out = source([])
    await messagesOver(out).send(Buffer.from('head'))
    const messages = messagesOver(
      source([Buffer.concat([...out.written, Buffer.from('one')]), Buffer.from('two')]),
    )
    expect(Buffer.from((await messages.receive())!).toString()).toBe('head')
    const rest: string[] = []
    for await (const piece of messages.rest()) rest.push(Buffer.from(piece).toString())
    expect(rest.join('')).toBe('onetwo')
  })

  it('[NT14] a peer that says nothing, or takes nothing, is given up after the deadline', async () => {
    const time = createVirtualTime(1)
    const network = createMemoryNetwork({ timing: time })
    const [a, b] = [1, 2].map((n) => network.join({ node: identity(n).node }))
    for (const net of [a!, b!]) net.admit(() => 'member')
    b!.handle('/test/mute/1', () => new Promise(() => undefined))
    const dialled = a!.dial(b!.addresses()[0]!)
    await time.pass(100)
    await dialled
    const opened = a!.open(b!.node, '/test/mute/1')
    await time.pass(100)
    const messages = messagesOver(await opened, { timing: time, timeoutMs: 5_000 })
    const answer = codeOf(messages.receive())
    await time.pass(5_000)
    expect(await answer).toBe('ORCH_PEER_GONE')
    const second = a!.open(b!.node, '/test/mute/1')
    await time.pass(100)
    const full = messagesOver(await second, { timing: time, timeoutMs: 5_000 })
    const sent = codeOf(
      (async () => {
        for (let i = 0; i < 10; i++) await full.send(new Uint8Array(100_000))
      })(),
    )
    await time.pass(6_000)
    expect(await sent).toBe('ORCH_PEER_GONE')
  })
})
