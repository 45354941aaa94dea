/** The replica: what is believed, in which order, and what double talk, gaps, floods, crashes and damaged disks do to it. */
import { describe, expect, expectTypeOf, it } from 'vitest'
import { PARKED_FRAMES_MAX, PROOFS_TOLD_MAX } from '../../src/core/limit.ts'
import { createPrng } from '../../src/core/prng.ts'
import type { Replica } from '../../src/net/replica.ts'
import { type Frame, hashFrame } from '../../src/store/frame.ts'
import { createMemoryDisk } from '../../src/store/memory-disk.ts'
import type { FrameReplica } from '../../src/store/replica.ts'
import { type Board, CLUSTER, collectBytes, exchange, fakeVerify, openBoard, Scribe, view } from './board.ts'
import { author, keys, kv } from './contract.ts'

const TAKEN = { type: 'taken' }
const KNOWN = { type: 'known' }

function chainOf(count: number, id = {}): Scribe {
  const scribe = new Scribe(id)
  for (let i = 1; i <= count; i++) scribe.write(`k/${i}`)
  return scribe
}

function watchFrames({ replica }: Board): number[] {
  const told: number[] = []
  replica.onFrame((frame) => told.push(frame.n))
  return told
}

describe('one frame', () => {
  it('[RP1] is the replica that the network asks for', () => {
    expectTypeOf<FrameReplica>().toExtend<Replica>()
  })

  it('[RP1] is taken, told once, and known from then on', async () => {
    const board = await openBoard()
    const told = watchFrames(board)
    const { bytes } = chainOf(2)
    expect(await board.replica.ingest(bytes[0]!)).toEqual(TAKEN)
    expect(await board.replica.ingest(bytes[0]!)).toEqual(KNOWN)
    expect(await board.replica.ingest(bytes[1]!)).toEqual(TAKEN)
    expect(await board.replica.ingest(bytes[0]!)).toEqual(KNOWN)
    expect(told).toEqual([1, 2])
    expect(await keys(board.store)).toEqual(['k/1', 'k/2'])
  })

  it('[RP2] that comes early waits, and the missing range is named', async () => {
    const board = await openBoard()
    const told = watchFrames(board)
    const { bytes, id } = chainOf(4)
    expect(await board.replica.ingest(bytes[3]!)).toEqual({ type: 'gap', chain: id, from: 1, to: 3 })
    expect(await board.replica.ingest(bytes[2]!)).toEqual({ type: 'gap', chain: id, from: 1, to: 2 })
    expect(await board.replica.ingest(bytes[0]!)).toEqual(TAKEN)
    expect(told).toEqual([1])
    expect(await board.replica.ingest(bytes[1]!)).toEqual(TAKEN)
    expect(told).toEqual([1, 2, 3, 4])
    expect(await board.replica.ingest(bytes[3]!)).toEqual(KNOWN)
  })

  it('[RP2] what waits is bounded for each author, and the rest is asked for again', async () => {
    const board = await openBoard()
    const count = PARKED_FRAMES_MAX + 50
    const scribe = chainOf(count)
    for (const bytes of scribe.bytes.slice(1))
      expect(await board.replica.ingest(bytes)).toMatchObject({ type: 'gap' })
    expect(await board.replica.ingest(scribe.bytes[0]!)).toEqual(TAKEN)
    expect(board.replica.heads('run-1')[0]!.n).toBe(PARKED_FRAMES_MAX + 1)
    const rest = scribe.bytes.slice(PARKED_FRAMES_MAX + 1)
    expect(await board.replica.ingestRange(scribe.id, rest)).toEqual(TAKEN)
    expect(board.replica.heads('run-1')[0]!.n).toBe(count)
    // Nothing of it is left that would take another author's or its own place.
    const other = chainOf(PARKED_FRAMES_MAX + 1, { node: scribe.id.node })
    for (const bytes of other.bytes.slice(1)) await board.replica.ingest(bytes)
    await board.replica.ingest(other.bytes[0]!)
    expect(
      board.replica
        .heads('run-1')
        .map(({ n }) => n)
        .sort(),
    ).toContain(PARKED_FRAMES_MAX + 1)
  })

  const forged = (change: (frame: Frame, scribe: Scribe) => Uint8Array): Uint8Array => {
    const scribe = new Scribe()
    return change(scribe.draft('a/1'), scribe)
  }
  const wrong: [string, Uint8Array, object][] = [
    ['noise', new Uint8Array(200).fill(1), { type: 'rejected', blame: 'sender' }],
    [
      'a frame that its author did not sign',
      forged(({ bytes }) => flip(bytes, bytes.length - 1)),
      { type: 'rejected', blame: 'sender' },
    ],
    [
      'a frame under the name of another',
      forged(({ bytes }) => renamed(bytes, 'node-a', 'node-v')),
      { type: 'rejected', blame: 'sender' },
    ],
    [
      'a frame of another cluster',
      forged((_, scribe) => scribe.draft('a/1', { cluster: 'ff'.repeat(16) }).bytes),
      { type: 'rejected', blame: 'sender' },
    ],
    [
      'an unsigned frame far ahead',
      forged((_, scribe) => flip(scribe.draft('a/1', { n: 9, prev: 'ab'.repeat(32) }).bytes, 20)),
      { type: 'rejected', blame: 'sender' },
    ],
    [
      'a body that the guard refuses',
      forged((_, scribe) => scribe.draft('a/1', { body: new Uint8Array(3) }).bytes),
      { type: 'rejected', blame: 'author' },
    ],
    [
      'a frame that says it has more facts',
      forged((_, scribe) => scribe.draft('a/1', { commits: [{ n: 1, at: 1, facts: 2 }] }).bytes),
      { type: 'rejected', blame: 'author' },
    ],
    [
      'a frame of a later protocol',
      forged(({ bytes }) => Buffer.concat([Buffer.of(2), bytes.subarray(1)])),
      { type: 'unwanted' },
    ],
    [
      'a document that is not kept',
      forged((_, scribe) => scribe.draft('a/1', { doc: 'run-archived' }).bytes),
      { type: 'unwanted' },
    ],
  ]
  it.each(wrong)('[RP3] [RP4] %s leaves no trace', async (_, bytes, verdict) => {
    const board = await openBoard({ isWanted: (doc) => doc !== 'run-archived' })
    await board.replica.ingest(chainOf(2).bytes[0]!)
    const told = watchFrames(board)
    const before = await view(board)
    expect(await board.replica.ingest(bytes)).toMatchObject(verdict)
    expect(await view(board)).toBe(before)
    expect(told).toEqual([])
  })

  it('[RP3] commits that go back, and what builds on a refused frame, are the fault of the author', async () => {
    const { replica } = await openBoard()
    const scribe = chainOf(1)
    await replica.ingest(scribe.bytes[0]!)
    const back = scribe.write('b/1', { commits: [{ n: 1, at: 1, facts: 1 }] })
    expect(await replica.ingest(back.bytes)).toEqual(TAKEN)
    const bad = scribe.write('c/1', { body: new Uint8Array(3), commits: [{ n: 5, at: 1, facts: 1 }] })
    const next = scribe.write('d/1')
    expect(await replica.ingest(bad.bytes)).toMatchObject({ type: 'rejected', blame: 'author' })
    expect(await replica.ingest(next.bytes)).toMatchObject({ type: 'rejected', blame: 'author' })
    expect(await replica.ingest(bad.bytes)).toMatchObject({ type: 'rejected', blame: 'author' })
    const lower = scribe.fork(2).draft('e/1', { commits: [{ n: 1, at: 1, facts: 1 }] })
    expect(replica.heads('run-1')[0]!.n).toBe(2)
    const falling = chainOf(3)
    for (const bytes of falling.bytes) await replica.ingest(bytes)
    expect(
      await replica.ingest(falling.draft('f/1', { commits: [{ n: 2, at: 1, facts: 1 }] }).bytes),
    ).toMatchObject({
      type: 'rejected',
      blame: 'author',
      reason: 'holds commit 2 after 3',
    })
    expect(lower.n).toBe(3)
  })

  it('[RP3] a key that its chain has is refused, also after a restart', async () => {
    const medium = createMemoryDisk()
    const first = await openBoard({ medium })
    const scribe = chainOf(2)
    await first.replica.ingestRange(scribe.id, scribe.bytes)
    await first.store.close()
    const { replica } = await openBoard({ medium })
    expect(await replica.ingest(scribe.draft('k/1').bytes)).toMatchObject({
      type: 'rejected',
      blame: 'author',
    })
    expect(await replica.ingest(scribe.draft('k/3').bytes)).toMatchObject({
      type: 'rejected',
      reason: expect.stringMatching(/two stories/),
    })
  })
})

describe('ranges', () => {
  it('[RP5] are given as they were signed, from and to, and end where the chain does', async () => {
    const { replica } = await openBoard()
    const { bytes, id } = chainOf(5)
    expect(await replica.ingestRange(id, bytes)).toEqual(TAKEN)
    expect(await replica.ingestRange(id, bytes)).toEqual(KNOWN)
    expect(await replica.ingestRange(id, [])).toEqual(KNOWN)
    for (const [from, to, expected] of [
      [1, 5, bytes],
      [2, 3, bytes.slice(1, 3)],
      [4, 99, bytes.slice(3)],
      [6, 9, []],
      [0, 1, bytes.slice(0, 1)],
      [3, 2, []],
    ] as const)
      expect(await collectBytes(replica.range(id, from, to))).toEqual(expected)
    expect(await collectBytes(replica.range({ ...id, doc: 'run-9' }, 1, 5))).toEqual([])
  })

  it('[RP5] need the signature of their last frame only; without it nothing is taken', async () => {
    let checks = 0
    const { replica } = await openBoard({
      verify: (...all) => {
        checks++
        return fakeVerify(...all)
      },
    })
    const { bytes, id } = chainOf(5)
    const unsigned = [...bytes.slice(0, 4), flip(bytes[4]!, bytes[4]!.length - 1)]
    expect(await replica.ingestRange(id, unsigned)).toMatchObject({ type: 'rejected', blame: 'sender' })
    expect(replica.docs()).toEqual([])
    checks = 0
    expect(await replica.ingestRange(id, bytes)).toEqual(TAKEN)
    expect(checks).toBe(1)
  })

  it('[RP5] with a frame left out, out of order or of another chain are refused whole', async () => {
    const { replica } = await openBoard()
    const { bytes, id } = chainOf(5)
    const [a, b, c] = bytes as [Uint8Array, Uint8Array, Uint8Array]
    for (const list of [
      [a, c],
      [b, a],
      [a, a],
      [a, chainOf(2).bytes[1]!],
      [a, b.subarray(1)],
    ])
      expect(await replica.ingestRange(id, list)).toMatchObject({ type: 'rejected', blame: 'sender' })
    expect(await replica.ingestRange(id, [b, c])).toEqual({ type: 'gap', chain: id, from: 1, to: 1 })
    expect(await replica.ingestRange({ ...id, doc: 'run-2' }, bytes)).toMatchObject({ type: 'rejected' })
    expect(replica.docs()).toEqual([])
  })

  it('[RP5] keep what came before a frame that is refused, and overlap with what is known', async () => {
    const { replica } = await openBoard()
    const scribe = chainOf(3)
    await replica.ingestRange(scribe.id, scribe.bytes.slice(0, 2))
    scribe.write('bad/1', { body: new Uint8Array(3) })
    scribe.write('k/5')
    expect(await replica.ingestRange(scribe.id, scribe.bytes)).toMatchObject({
      type: 'rejected',
      blame: 'author',
    })
    expect(replica.heads('run-1')[0]!.n).toBe(3)
  })

  it('[RP2] let in what waited behind them', async () => {
    const { replica } = await openBoard()
    const { bytes, id } = chainOf(6)
    await replica.ingest(bytes[5]!)
    expect(await replica.ingestRange(id, bytes.slice(0, 5))).toEqual(TAKEN)
    expect(replica.heads('run-1')[0]!.n).toBe(6)
  })
})

describe('double talk', () => {
  const forkedAt = (n: number) => {
    const one = chainOf(6)
    const two = one.fork(n)
    for (let i = n + 1; i <= 8; i++) two.write(`other/${i}`)
    return { one, two }
  }

  it('[RP6] two frames for one place cut the chain before it, for good, and the pair convinces others', async () => {
    const { one, two } = forkedAt(3)
    const board = await openBoard()
    const cuts: object[] = []
    board.replica.onCut((chain) => cuts.push(chain))
    await board.replica.ingestRange(one.id, one.bytes)
    expect(await board.replica.ingest(two.bytes[3]!)).toMatchObject({ type: 'rejected', blame: 'author' })
    expect(cuts).toEqual([one.id])
    expect(board.reports).toEqual([{ kind: 'equivocation', chain: one.id, from: 4 }])
    expect(await keys(board.store)).toEqual(['k/1', 'k/2', 'k/3'])
    expect(board.replica.heads('run-1')[0]).toMatchObject({ n: 3, head: hashFrame(one.bytes[2]!), commit: 3 })
    for (const bytes of [one.bytes[3]!, two.bytes[3]!, two.bytes[4]!, one.bytes[5]!])
      expect(await board.replica.ingest(bytes)).toMatchObject({ type: 'unwanted' })
    expect(board.medium.evidence(one.id)).toEqual(one.bytes.slice(3))
    const [pair] = board.replica.proofs()
    const other = await openBoard()
    await other.replica.ingestRange(two.id, two.bytes)
    expect(await other.replica.ingestProof(pair!)).toBe(true)
    expect(await other.replica.ingestProof([pair![1], pair![0]])).toBe(true)
    expect(other.replica.digest()).toBe(board.replica.digest())
    expect(other.replica.proofs()).toEqual([pair])
  })

  it('[RP6] a signed successor that names another frame before it is a proof too', async () => {
    const { one, two } = forkedAt(3)
    const board = await openBoard()
    await board.replica.ingestRange(one.id, one.bytes.slice(0, 4))
    expect(await board.replica.ingest(two.bytes[4]!)).toMatchObject({ type: 'rejected', blame: 'author' })
    expect(board.replica.heads('run-1')[0]!.n).toBe(3)
    const other = await openBoard()
    expect(await other.replica.ingestProof(board.replica.proofs()[0]!)).toBe(true)
    expect(await other.replica.ingestRange(two.id, two.bytes)).toMatchObject({ type: 'unwanted' })
    expect(other.replica.digest()).toBe(board.replica.digest())
  })

  it('[RP6] a range that parts from what is known shows where', async () => {
    const { one, two } = forkedAt(2)
    const board = await openBoard()
    await board.replica.ingestRange(one.id, one.bytes)
    expect(await board.replica.ingestRange(two.id, two.bytes)).toMatchObject({
      type: 'rejected',
      blame: 'author',
    })
    expect(board.replica.heads('run-1')[0]!.n).toBe(2)
  })

  it('[RP6] in whatever order the stories, their parts and their proofs come, all end with the same', async () => {
    const prng = createPrng(3)
    const digests = new Set<string>()
    for (let trial = 0; trial < 60; trial++) {
      const one = chainOf(6, { node: 'node-a', incarnation: '0'.repeat(26) })
      const two = one.fork(3)
      two.write('other/4')
      const three = one.fork(1)
      for (let i = 2; i <= 6; i++) three.write(`third/${i}`)
      const [a, b] = [await openBoard(), await openBoard()]
      const all = shuffled([...one.bytes, ...two.bytes.slice(3), ...three.bytes.slice(1)], prng)
      for (const bytes of all) await (prng.next() < 0.5 ? a : b).replica.ingest(bytes)
      for (const bytes of shuffled(all, prng)) for (const board of [a, b]) await board.replica.ingest(bytes)
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const)
        for (const pair of from.replica.proofs()) expect(await to.replica.ingestProof(pair)).toBe(true)
      for (let again = 0; again < 6; again++)
        for (const bytes of one.bytes) for (const board of [a, b]) await board.replica.ingest(bytes)
      digests.add(a.replica.digest())
      digests.add(b.replica.digest())
      expect(a.replica.heads('run-1')[0]!.n).toBe(1)
    }
    expect(digests.size).toBe(1)
  })

  it('[RP6] the cut and its proof outlive a restart, also frames that came in between', async () => {
    const { one, two } = forkedAt(3)
    const medium = createMemoryDisk()
    const first = await openBoard({ medium })
    await first.replica.ingestRange(one.id, one.bytes)
    await first.replica.ingest(two.bytes[3]!)
    const before = await view(first)
    await first.store.close()
    medium.damage(one.id, 4, one.bytes[3]!)
    const second = await openBoard({ medium })
    expect(await view(second)).toBe(before)
    expect(second.reports).toEqual([])
    expect(await second.replica.ingest(one.bytes[3]!)).toMatchObject({ type: 'unwanted' })
    await second.store.close()
  })

  it('[RP6] pairs that prove nothing are refused: the same frame, another chain, no signature, another cluster', async () => {
    const board = await openBoard()
    const { one, two } = forkedAt(3)
    const stranger = chainOf(6)
    const foreign = [1, 2].map(
      (at) =>
        one.draft('x/1', {
          cluster: 'ff'.repeat(16),
          n: 9,
          prev: 'ab'.repeat(32),
          commits: [{ n: 9, at, facts: 1 }],
        }).bytes,
    )
    const a = one.bytes[3]!
    const b = two.bytes[3]!
    for (const pair of [
      [a, a],
      [a, stranger.bytes[3]!],
      [a, flip(b, b.length - 1)],
      [flip(a, a.length - 1), b],
      [one.bytes[2]!, a],
      [one.bytes[0]!, a],
      [foreign[0]!, foreign[1]!],
      [new Uint8Array(0), a],
    ] as const)
      expect(await board.replica.ingestProof(pair)).toBe(false)
    expect(board.replica.proofs()).toEqual([])
  })

  it('[RP6] a frame that was refused and another one in its place are a proof as well', async () => {
    const board = await openBoard()
    const scribe = chainOf(2)
    await board.replica.ingestRange(scribe.id, scribe.bytes)
    await board.replica.ingest(scribe.draft('x/1', { body: new Uint8Array(3) }).bytes)
    expect(await board.replica.ingest(scribe.draft('y/1').bytes)).toMatchObject({
      type: 'rejected',
      blame: 'author',
    })
    expect(board.replica.proofs()).toHaveLength(1)
    expect(board.replica.heads('run-1')[0]!.n).toBe(2)
  })

  it('[RP6] of many double-tongued chains of one author a few are told', async () => {
    const board = await openBoard()
    for (let i = 0; i < PROOFS_TOLD_MAX + 4; i++) {
      const scribe = new Scribe({ node: 'node-a' })
      await board.replica.ingest(scribe.draft('a/1').bytes)
      await board.replica.ingest(scribe.draft('b/1').bytes)
    }
    expect(board.replica.proofs()).toHaveLength(PROOFS_TOLD_MAX)
    expect(board.replica.docs()).toEqual([])
  })
})

describe('the own chains', () => {
  it('[RP7] nobody cuts them without the own signature', async () => {
    const board = await openBoard()
    await board.store.put([kv('a/1')], 5).durable
    const before = await view(board)
    const { author: by } = board.store
    const liar = new Scribe({ ...by, doc: 'run-1' })
    const claims = liar.draft('b/1').bytes
    expect(await board.replica.ingest(flip(claims, claims.length - 1))).toMatchObject({
      type: 'rejected',
      blame: 'sender',
    })
    const [own] = await collectBytes(board.replica.range(liar.id, 1, 1))
    expect(await board.replica.ingestProof([own!, flip(claims, claims.length - 1)])).toBe(false)
    expect(await view(board)).toBe(before)
    expect(board.reports).toEqual([])
  })

  it('[RP7] a second process with this identity is found out, and nothing more is written under this incarnation', async () => {
    const board = await openBoard()
    await board.store.put([kv('a/1')], 5).durable
    const clone = new Scribe({ ...board.store.author, doc: 'run-1' })
    const ahead = new Scribe({ ...board.store.author, doc: 'run-2' })
    expect(await board.replica.ingest(ahead.draft('b/1').bytes)).toMatchObject({ type: 'unwanted' })
    expect(board.reports).toEqual([{ kind: 'cloned', chain: ahead.id }])
    expect(await board.replica.ingest(clone.draft('b/1').bytes)).toMatchObject({
      type: 'rejected',
      blame: 'author',
    })
    expect(board.reports.map(({ kind }) => kind)).toEqual(['cloned', 'equivocation'])
    const receipt = board.store.put([kv('c/1')], 6)
    expect(receipt).toMatchObject({ n: 0, written: [] })
    await expect(receipt.durable).rejects.toMatchObject({ code: 'ORCH_IDENTITY' })
    expect(await keys(board.store)).toEqual([])
  })

  it('[RP7] frames of earlier lives come back from others when the disk lost them', async () => {
    const a = await openBoard({ author: author('node-a') })
    const b = await openBoard()
    await a.store.put([kv('a/1')], 5).durable
    await exchange([a.replica, b.replica])
    const again = await openBoard({ author: author('node-a') })
    await exchange([again.replica, b.replica])
    expect(await keys(again.store)).toEqual(['a/1'])
  })
})

describe('what is told to others', () => {
  it('[RP8] the same frames in any order, repeated and from any side give the same digests and facts', async () => {
    const scribes = [
      chainOf(12),
      chainOf(7, { node: 'node-b' }),
      chainOf(5, { node: 'node-b', doc: 'run-2' }),
    ]
    const all = scribes.flatMap(({ bytes }) => bytes)
    const prng = createPrng(9)
    const views = new Set<string>()
    for (let trial = 0; trial < 30; trial++) {
      const board = await openBoard()
      const told: string[] = []
      board.replica.onFrame(({ doc, node, incarnation, n }) =>
        told.push(`${doc} ${node} ${incarnation} ${n}`),
      )
      for (const bytes of shuffled([...all, ...all.slice(0, 9)], prng)) await board.replica.ingest(bytes)
      views.add(await view(board))
      expect(new Set(told).size).toBe(24)
      expect(told).toHaveLength(24)
      for (const { id, frames } of scribes)
        expect(told.filter((text) => text.startsWith(`${id.doc} ${id.node} ${id.incarnation} `))).toEqual(
          frames.map(({ n }) => `${id.doc} ${id.node} ${id.incarnation} ${n}`),
        )
    }
    expect(views.size).toBe(1)
  })

  it('[RP8] a digest changes with every frame, and only that of its document', async () => {
    const { replica } = await openBoard()
    const seen = [replica.digest()]
    const one = chainOf(2)
    await replica.ingestRange(one.id, one.bytes)
    const [before] = replica.docs()
    const two = chainOf(3, { doc: 'run-0' })
    for (const bytes of two.bytes) {
      await replica.ingest(bytes)
      seen.push(replica.digest())
    }
    expect(new Set(seen).size).toBe(4)
    expect(replica.docs().map(({ doc }) => doc)).toEqual(['run-0', 'run-1'])
    expect(replica.docs()[1]).toEqual(before)
    expect(replica.heads('run-0')).toEqual([{ ...two.id, n: 3, head: hashFrame(two.bytes[2]!), commit: 3 }])
  })

  it('[RP9] own frames are told once they are on the disk, with their place, and shown not before', async () => {
    let let_: (() => void) | undefined
    const board = await openBoard({
      beforeWrite: () =>
        new Promise<void>((resolve) => {
          let_ = resolve
        }),
    })
    const told: object[] = []
    board.replica.onOwnFrame((bytes, head) => told.push({ ...head, bytes }))
    const { durable } = board.store.put([kv('a/1')], 5)
    await expect.poll(() => let_ !== undefined, { interval: 1 }).toBe(true)
    expect(told).toEqual([])
    expect(board.replica.docs()).toEqual([])
    let_?.()
    await durable
    const [head] = board.replica.heads('run-1')
    const [bytes] = await collectBytes(board.replica.range(head!, 1, 1))
    const { commit, ...place } = head!
    expect(commit).toBe(1)
    expect(told).toEqual([{ ...place, bytes }])
    expect(CLUSTER).toHaveLength(32)
  })

  it('[RP10] calls at once are dealt with in their order', async () => {
    const turns: string[] = []
    const board = await openBoard({
      beforeWrite: async (changes) => {
        turns.push(`write ${changes.map((change) => ('n' in change ? change.n : change.type)).join(' ')}`)
        for (let hop = 0; hop < 5; hop++) await null
      },
    })
    const { bytes } = chainOf(4)
    const verdicts = await Promise.all(bytes.map((frame) => board.replica.ingest(frame)))
    expect(verdicts).toEqual([TAKEN, TAKEN, TAKEN, TAKEN])
    expect(turns).toEqual(['write 1', 'write 2', 'write 3', 'write 4'])
  })
})

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice()
  changed[at]! ^= 1
  return changed
}

function renamed(bytes: Uint8Array, from: string, to: string): Uint8Array {
  return new Uint8Array(Buffer.from(Buffer.from(bytes).toString('latin1').replace(from, to), 'latin1'))
}

function shuffled<T>(list: readonly T[], prng: { next(): number }): T[] {
  return list
    .map((item) => [prng.next(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)
}
