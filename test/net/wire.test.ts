/** Decoders of what peers send: golden bytes, round trips, and 10,000 mutated messages that may do nothing but be refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createPrng } from '../../src/core/prng.ts'
import { encodeAnnounce, encodeFrame, readGossip } from '../../src/net/gossip-message.ts'
import {
  encodeAnswer as encodeGreeting,
  encodeHello,
  readAnswer as readGreeting,
  readHello,
} from '../../src/net/hello.ts'
import {
  encodeAnswer,
  encodeRequest,
  readAnswer,
  readRequest,
  type SyncAnswer,
  type SyncRequest,
} from '../../src/net/sync-message.ts'

const NODE = '12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5'
const INCARNATION = '01JD0000000000000000000001'
const HASH = 'ab'.repeat(32)

const hash = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'))
const doc = fc.constantFrom('@cluster', 'run-1', 'ünï', 'x'.repeat(200))
const chain = fc.record({ doc, node: fc.constantFrom(NODE, 'n'), incarnation: fc.constant(INCARNATION) })
const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const head = fc.tuple(chain, count, hash).map(([c, n, h]) => ({ ...c, n, head: h }))
const frames = fc.array(
  fc.uint8Array({ maxLength: 50 }).map((bytes) => new Uint8Array(bytes)),
  { maxLength: 4 },
)

const request: fc.Arbitrary<SyncRequest> = fc.oneof(
  fc.record({ type: fc.constant('compare' as const), digest: hash }),
  fc.record({ type: fc.constant('heads' as const), docs: fc.array(doc, { maxLength: 5 }) }),
  fc.record({
    type: fc.constant('ranges' as const),
    ranges: fc.array(fc.record({ chain, from: count, to: count }), { maxLength: 5 }),
  }),
  fc.record({ type: fc.constant('proofs' as const) }),
  fc.record({ type: fc.constant('proof' as const), id: hash }),
)
const answer: fc.Arbitrary<SyncAnswer> = fc.oneof(
  fc.record({ type: fc.constant('same' as const) }),
  fc.record({
    type: fc.constant('docs' as const),
    more: fc.boolean(),
    docs: fc.array(fc.record({ doc, digest: hash }), { maxLength: 5 }),
  }),
  fc.record({
    type: fc.constant('heads' as const),
    more: fc.boolean(),
    heads: fc.array(head, { maxLength: 5 }),
  }),
  fc.record({ type: fc.constant('frames' as const), more: fc.boolean(), index: count, frames }),
  fc.record({ type: fc.constant('proofs' as const), ids: fc.array(hash, { maxLength: 5 }) }),
  fc.record({ type: fc.constant('unknown' as const) }),
)

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function mutated(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = [...bytes]
  for (let i = 1 + Math.floor(random() * 4); i > 0; i--) {
    const at = Math.floor(random() * (copy.length + 1))
    const dice = random()
    if (dice < 0.5) copy[at] = Math.floor(random() * 256)
    else if (dice < 0.75) copy.splice(at, 1 + Math.floor(random() * 20))
    else copy.splice(at, 0, Math.floor(random() * 256))
  }
  return Uint8Array.from(copy, (byte) => byte ?? 0)
}

describe('wire', () => {
  it('[SY1] requests and answers of the sync are read as they were written', () => {
    fc.assert(
      fc.property(request, (value) => {
        expect(readRequest(encodeRequest(value))).toEqual(value)
      }),
    )
    fc.assert(
      fc.property(answer, (value) => {
        expect(readAnswer(encodeAnswer(value))).toEqual(value)
      }),
    )
  })

  it('[SY1] the bytes are those of PROTOCOL.md', () => {
    const at = { doc: 'run-1', node: 'n', incarnation: INCARNATION }
    expect(hex(encodeRequest({ type: 'compare', digest: HASH }))).toBe(`01${HASH}`)
    const chainHex = `0572756e2d31016e1a${Buffer.from(INCARNATION).toString('hex')}`
    expect(hex(encodeRequest({ type: 'ranges', ranges: [{ chain: at, from: 1, to: 300 }] }))).toBe(
      `0301${chainHex}01ac02`,
    )
    expect(hex(encodeAnswer({ type: 'heads', more: true, heads: [{ ...at, n: 7, head: HASH }] }))).toBe(
      `430101${chainHex}07${HASH}`,
    )
    expect(hex(encodeAnswer({ type: 'frames', more: false, index: 0, frames: [] }))).toBe('44000000')
    expect(hex(encodeAnnounce({ ...at, n: 2, head: HASH }))).toBe(`0102${chainHex}02${HASH}`)
    expect(hex(encodeFrame(Uint8Array.of(9, 9)))).toBe('01010909')
  })

  it('[SY1] a request of a later version is told apart from a malformed one', () => {
    expect(readRequest(Uint8Array.of(6, 1, 2))).toEqual({ type: 'unknown' })
    expect(readRequest(Uint8Array.of(1, 1, 2))).toBeUndefined()
    expect(readRequest(new Uint8Array(0))).toBeUndefined()
    expect(readAnswer(Uint8Array.of(99))).toBeUndefined()
  })

  it('[GO1] gossip of a later version, or of a kind not known, is neither understood nor wrong', () => {
    expect(readGossip(Uint8Array.of(1, 1, 5))).toEqual({ type: 'frame', frame: Uint8Array.of(5) })
    expect(readGossip(Uint8Array.of(2, 1, 5))).toEqual({ type: 'unknown' })
    expect(readGossip(Uint8Array.of(1, 9))).toEqual({ type: 'unknown' })
    for (const bad of [[], [1], [0, 1, 5], [1, 1], [1, 2, 3]])
      expect(readGossip(Uint8Array.from(bad))).toBeUndefined()
  })

  it('[NT3] a hello of a later version is read, without what is new in it', () => {
    const hello = { protocol: [1, 2] as const, cluster: 'c', version: '1.0.0', name: 'n' }
    expect(readHello(encodeHello({ ...hello, more: 1 } as never))).toEqual(hello)
    expect(readGreeting(encodeGreeting('stranger'))).toBe('stranger')
    for (const bad of [
      '',
      '{',
      'null',
      '[]',
      '{"protocol":[1]}',
      '{"protocol":["1",2],"version":"","name":""}',
    ])
      expect(readHello(Buffer.from(bad))).toBeUndefined()
    expect(readGreeting(Buffer.from('{"answer":"king"}'))).toBeUndefined()
  })

  it('[SY1] 10,000 mutated messages: whatever is read is sound, nothing throws', () => {
    const { next: random } = createPrng(7)
    const samples: [Uint8Array, (bytes: Uint8Array) => unknown][] = [
      ...fc
        .sample(request, { numRuns: 40, seed: 7 })
        .map((value) => [encodeRequest(value), readRequest] as [Uint8Array, typeof readRequest]),
      ...fc
        .sample(answer, { numRuns: 40, seed: 7 })
        .map((value) => [encodeAnswer(value), readAnswer] as [Uint8Array, typeof readAnswer]),
      [encodeAnnounce({ doc: 'd', node: 'n', incarnation: INCARNATION, n: 3, head: HASH }), readGossip],
      [encodeHello({ protocol: [1, 1], version: '1', name: 'n' }), readHello],
      [encodeGreeting('member'), readGreeting],
    ]
    let refused = 0
    for (let i = 0; i < 10_000; i++) {
      const [bytes, read] = samples[i % samples.length]!
      const value = read(mutated(bytes, random))
      if (value === undefined) refused++
      const isRequest = read === readRequest && value !== undefined
      if (isRequest && (value as { type: string }).type !== 'unknown') encodeRequest(value as SyncRequest)
      if (read === readAnswer && value !== undefined) encodeAnswer(value as SyncAnswer)
    }
    expect(refused).toBeGreaterThan(5_000)
  })
})
