/** Goal: nobody can speak for another, and nothing old counts. Method: beats as bytes, damaged and replayed; nodes on the memory net with time by hand. */
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { BEAT_MS, BEAT_SUSPECTS_MAX, GOSSIP_BYTES_MAX } from '../../src/core/limit.ts'
import type { Beat } from '../../src/core/presence.ts'
import {
  BEAT_TOPIC,
  type BeatState,
  type Beats,
  beatPeriodMs,
  encodeBeat,
  reachOf,
  readBeat,
  type SentBeat,
  startBeats,
} from '../../src/net/beat.ts'
import { createLibp2pNet } from '../../src/net/libp2p.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import type { GossipListener, Net } from '../../src/net/net.ts'
import { eventually, identity } from './contract.ts'
import { HandTiming } from './hand-timing.ts'

const CLUSTER = '00112233445566778899aabbccddeeff'
const LIFE = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
const LATER = '01ARZ3NDEKTSV4RRFFQ69G5FAW'
const STATE: BeatState = { suspects: [], slots: 5, free: 3, protocol: [1, 1] }
const author = identity(1)
const BEAT: Beat = { ...STATE, node: author.node, incarnation: LIFE, counter: 7 }

const open: { net?: Net; beats: Beats }[] = []
afterEach(async () => {
  for (const { beats } of open) beats.stop()
  await Promise.all(open.splice(0).map(({ net }) => net?.close()))
})

/** A listener on a wire of the test's own. */
function ear(isMember = (_node: string) => true, connected: readonly string[] = []) {
  let listener: GossipListener = () => {}
  const heard: Beat[] = []
  const sent: Uint8Array[] = []
  const timing = new HandTiming()
  const beats = startBeats({
    net: {
      publish: async (topic, bytes) => {
        expect(topic).toBe(BEAT_TOPIC)
        return sent.push(bytes)
      },
      subscribe: (_topic, given) => {
        listener = given
        return () => {
          listener = () => {}
        }
      },
      members: () => connected,
    },
    identity: identity(2),
    incarnation: LIFE,
    cluster: CLUSTER,
    isMember,
    members: () => 3,
    state: () => STATE,
    onBeat: (beat) => heard.push(beat),
    timing,
  })
  open.push({ beats })
  return { beats, heard, sent, timing, hear: (bytes: Uint8Array) => listener(bytes, 'somebody') }
}

const bytesOf = (change: Partial<SentBeat> = {}, by = author, cluster = CLUSTER) =>
  encodeBeat({ ...BEAT, node: by.node, ...change }, by, cluster)

describe('a beat', () => {
  it('[BE1] is read as it was written', () => {
    const beats: Partial<SentBeat>[] = [
      {},
      { draining: true, leaving: 'stop', digest: 'ab'.repeat(32) },
      { leaving: 'upgrade', suspects: [identity(3).node, identity(4).node], counter: 2 ** 40 },
      { refused: [identity(3).node], reach: '0123456789abcdef' },
      { refused: [identity(4).node, identity(5).node], digest: 'ab'.repeat(32) },
    ]
    for (const change of beats) expect(readBeat(bytesOf(change))).toEqual({ ...BEAT, ...change })
    expect(bytesOf().length).toBeLessThan(150)
    const many = bytesOf({ suspects: Array.from({ length: 1_000 }, (_, i) => identity(i).node) })
    expect(readBeat(many)!.suspects).toHaveLength(BEAT_SUSPECTS_MAX)
    expect(many.length).toBeLessThan(GOSSIP_BYTES_MAX)
  })

  it('[BE1] its bytes are those of the protocol', () => {
    expect(
      Buffer.from(bytesOf({ draining: true, suspects: [identity(3).node] })).toString('hex'),
    ).toMatchInlineSnapshot(
      `"01129b52598ec042a9e8716ab23eef89d4901477b16868c6ae34cd08c4ab6642a6303141525a334e44454b5453563452524646513639473546415607010503010101e06363706d37a80758b78a6818c6f669e7d9e3ef7f7389fce0d1c7e4f46a94e90b32b1ac2e66edc5a1df56312768d615c124e84f158c11e28fc14886d25e674490ca6a6a1830f84c21d3c39ed8869ed7b58bc120c522b41e2d46d8f63613f501"`,
    )
  })

  it('[BE2] counts once, and only when it is newer than what was heard', async () => {
    const { hear, heard, beats } = ear()
    const [seventh, eighth] = [bytesOf(), bytesOf({ counter: 8 })]
    for (const bytes of [eighth, eighth, seventh]) await hear(bytes)
    await hear(bytesOf({ incarnation: LATER, counter: 1 }))
    await hear(bytesOf({ counter: 9 }))
    expect(heard.map(({ incarnation, counter }) => [incarnation, counter])).toEqual([
      [LIFE, 8],
      [LATER, 1],
    ])
    expect(beats.counts()).toMatchObject({ taken: 2, old: 3 })
  })

  it('[BE3] of nobody else: forged, of a stranger, of another cluster, or an own one', async () => {
    const { hear, heard, beats } = ear((node) => node !== identity(9).node)
    const stolen = encodeBeat(
      { ...BEAT, counter: 8 },
      { ...identity(3), publicKey: author.publicKey },
      CLUSTER,
    )
    expect(readBeat(stolen)!.node).toBe(author.node)
    expect(await hear(stolen)).toBe(false)
    expect(await hear(bytesOf({}, author, 'ff'.repeat(16)))).toBe(false)
    expect(await hear(bytesOf({}, identity(9)))).toBe(false)
    expect(await hear(bytesOf({}, identity(2)))).toBe(true)
    expect(heard).toEqual([])
    expect(beats.counts()).toMatchObject({ taken: 0, forged: 2, foreign: 1, unreadable: 0 })
    // The forged one with its higher counter does not stand in the way of the true one.
    expect(await hear(bytesOf())).toBe(true)
    expect(heard).toEqual([BEAT])
  })

  it('[BE3] every flipped bit is noticed', async () => {
    const { hear, heard } = ear()
    const bytes = bytesOf({ suspects: [identity(3).node], refused: [author.node], reach: 'ef'.repeat(8) })
    for (let i = 0; i < bytes.length * 8; i++) {
      const altered = Uint8Array.from(bytes)
      altered[i >> 3]! ^= 1 << (i & 7)
      await hear(altered)
    }
    expect(heard).toEqual([])
    await hear(bytes)
    expect(heard).toHaveLength(1)
  })

  it('[BE7] is not passed on by who is connected to the same members, but every fourth one', async () => {
    const others = [author.node, identity(4).node]
    const { hear, heard } = ear(() => true, others)
    const same = reachOf(author.node, [identity(2).node, identity(4).node])
    expect(await hear(bytesOf({ counter: 1, reach: same }))).toBe(false)
    expect(await hear(bytesOf({ counter: 4, reach: same }))).toBe(true)
    expect(await hear(bytesOf({ counter: 5, reach: same }))).toBe(false)
    expect(await hear(bytesOf({ counter: 6, reach: reachOf(author.node, [identity(2).node]) }))).toBe(true)
    expect(await hear(bytesOf({ counter: 7 }))).toBe(true)
    expect(heard).toHaveLength(5)
  })

  it('[BE4] 10,000 damaged messages never throw', () => {
    const sound = bytesOf({
      suspects: [identity(3).node],
      refused: [identity(4).node],
      reach: 'ef'.repeat(8),
      digest: 'cd'.repeat(32),
    })
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(250), fc.nat(255)), { maxLength: 6 }),
        fc.nat(310),
        fc.uint8Array({ maxLength: 40 }),
        (changes, length, tail) => {
          const bytes = Buffer.concat([sound.subarray(0, length), tail])
          for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
          const beat = readBeat(bytes)
          if (beat) expect(beat.free).toBeLessThanOrEqual(beat.slots)
        },
      ),
      { numRuns: 10_000 },
    )
    expect(readBeat(new Uint8Array(1_000_000))).toBeUndefined()
  })
})

describe('beats', () => {
  it('[BE5] one each period, slower in a large cluster, and one out of turn when asked for', async () => {
    const { sent, timing, beats } = ear()
    expect(sent).toHaveLength(1)
    timing.advance(10 * BEAT_MS)
    expect(sent).toHaveLength(11)
    expect(await beats.beat()).toBe(12)
    expect(sent.map((bytes) => readBeat(bytes)!.counter)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1))
    expect([1, 50, 100, 101, 1_000].map(beatPeriodMs)).toEqual([1_000, 1_000, 1_000, 1_010, 10_000])
  })

  it('[BE6] the last one says why, and nothing follows', async () => {
    const { sent, timing, beats } = ear()
    await beats.leave('upgrade')
    expect(readBeat(sent.at(-1)!)).toMatchObject({ leaving: 'upgrade', counter: 2 })
    timing.advance(10 * BEAT_MS)
    expect(await beats.beat()).toBe(0)
    expect(await beats.leave('stop')).toBe(0)
    expect(sent).toHaveLength(2)
    expect(timing.waiting).toBe(0)
  })

  it.each(['memory', 'libp2p'])(
    '[BE2] [BE6] three nodes hear each other, and hear one go, over %s',
    async (kind) => {
      const network = createMemoryNetwork()
      const nets: Net[] = []
      const heard = new Map<string, Map<string, Beat>>()
      for (const n of [1, 2, 3]) {
        const { node } = identity(n)
        const net =
          kind === 'memory'
            ? network.join({ node, cluster: CLUSTER })
            : await createLibp2pNet({
                identity: identity(n),
                listen: ['/ip4/127.0.0.1/tcp/0'],
                cluster: CLUSTER,
                name: `node ${n}`,
                version: '1.0.0',
                topics: [BEAT_TOPIC],
              })
        net.admit(() => 'member')
        for (const other of nets) await net.dial(other.addresses()[0]!)
        nets.push(net)
        const own = new Map<string, Beat>()
        heard.set(node, own)
        const beats = startBeats({
          net,
          identity: identity(n),
          incarnation: LIFE,
          cluster: CLUSTER,
          isMember: () => true,
          members: () => 3,
          state: () => STATE,
          onBeat: (beat) => own.set(beat.node, beat),
        })
        open.push({ net, beats })
      }
      await eventually(() => expect([...heard.values()].map((own) => own.size)).toEqual([2, 2, 2]))
      await open[2]!.beats.leave('stop')
      await eventually(() => {
        for (const n of [1, 2])
          expect(heard.get(identity(n).node)!.get(identity(3).node)!.leaving).toBe('stop')
      })
    },
  )
})
