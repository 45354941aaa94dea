/** The store of a cluster: the common contract on both disks, then what only frames have: chains per document, commits over several frames, failing disks, archives. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Batch, Fact } from '../../src/core/fact.ts'
import {
  DOC_BYTES_MAX,
  FACT_BYTES_MAX,
  FACT_DEPTH_MAX,
  FACT_KEY_BYTES_MAX,
  FRAME_FACTS_MAX,
  GOSSIP_BYTES_MAX,
} from '../../src/core/limit.ts'
import type { Json } from '../../src/core/task.ts'
import type { CrdtStore } from '../../src/store/crdt.ts'
import { hashFrame, readFrame } from '../../src/store/frame.ts'
import { openLevelDisk } from '../../src/store/level-disk.ts'
import { createMemoryDisk, type MemoryDisk } from '../../src/store/memory-disk.ts'
import { type Board, CLUSTER, collectBytes, exchange, openBoard, view } from './board.ts'
import { author, collect, keys, kv, storeContract } from './contract.ts'
import { makeTemporaryDir } from './data-dir.ts'

async function settle(boards: readonly Board[]): Promise<void> {
  const open = boards.filter(({ store }) => !closed.has(store))
  for (let before = ''; ; ) {
    // Nothing new in it: it is durable when all before it is.
    for (const { store } of open) await store.put([], 0).durable
    await exchange(open.map(({ replica }) => replica))
    const now = open.map(({ replica }) => replica.digest()).join(' ')
    if (now === before) return
    before = now
  }
}

const closed = new WeakSet<CrdtStore>()

function noteClose(store: CrdtStore): void {
  const close = store.close.bind(store)
  store.close = () => {
    closed.add(store)
    return close()
  }
}

for (const medium of ['memory', 'level'] as const) {
  storeContract(`crdt (${medium} disk)`, async () => {
    const dir = makeTemporaryDir()
    const media = new Map<string, MemoryDisk>()
    const boards: Board[] = []
    return {
      hasPeers: true,
      open: async (author) => {
        const kept = media.get(author.node) ?? createMemoryDisk()
        media.set(author.node, kept)
        const disk =
          medium === 'level'
            ? await openLevelDisk({ dataDir: join(dir, author.node), cluster: CLUSTER })
            : kept.open()
        const board = await openBoard({ author, disk })
        noteClose(board.store)
        boards.push(board)
        return board.store
      },
      settle: () => settle(boards),
      dispose: async () => {
        for (const { store } of boards) await store.close()
        rmSync(dir, { recursive: true, force: true })
      },
    }
  })
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: planted`), { code })
}

/** A disk that holds each write until the test lets it go. */
function slowDisk() {
  const waiting: (() => void)[] = []
  const writes: number[] = []
  return {
    writes,
    beforeWrite: (changes: readonly unknown[]) => {
      writes.push(changes.length)
      return new Promise<void>((resolve) => {
        waiting.push(resolve)
      })
    },
    async letWrite(): Promise<void> {
      await expect.poll(() => waiting.length, { interval: 1 }).toBeGreaterThan(0)
      waiting.shift()!()
    },
  }
}

async function framesOf({ replica }: Board, doc = 'run-1') {
  const [head] = replica.heads(doc)
  return (await collectBytes(replica.range(head!, 1, head!.n))).map((bytes) => {
    const reading = readFrame(bytes)
    if (!reading.ok) throw new Error(reading.problem)
    return reading.frame
  })
}

describe('commits and frames', () => {
  it('[CS1] what is put while the disk is busy goes out with one write, as one frame for each document', async () => {
    const disk = slowDisk()
    const board = await openBoard({ beforeWrite: disk.beforeWrite })
    const first = board.store.put([kv('a/0')], 5).durable
    await expect.poll(() => disk.writes, { interval: 1 }).toEqual([1])
    const rest: Promise<void>[] = []
    for (let i = 1; i <= 30; i++)
      rest.push(board.store.put([kv(`a/${i}`, i), kv(`b/${i}`, i, `run-${1 + (i % 2)}`)], i).durable)
    await disk.letWrite()
    await first
    await disk.letWrite()
    await Promise.all(rest)
    expect(disk.writes).toEqual([1, 2])
    const frames = await framesOf(board)
    expect(frames.map(({ commits }) => commits.length)).toEqual([1, 30])
    expect(frames[1]!.prev).toBe(hashFrame(frames[0]!.bytes))
    expect(board.replica.heads('run-1')[0]).toMatchObject({ n: 2, commit: 31 })
    expect(board.replica.heads('run-2')[0]).toMatchObject({ n: 1, commit: 30 })
  })

  it('[CS2] the numbers, times and bounds of commits are the same for their author, for others and after a restart', async () => {
    const medium = createMemoryDisk()
    const a = await openBoard({ medium, author: author('node-a') })
    const b = await openBoard()
    const told: Batch[] = []
    b.store.watch((batch) => told.push(batch))
    for (let i = 1; i <= 12; i++)
      a.store.put(
        [kv(`a/${i}`, i, `run-${1 + (i % 3)}`), ...(i % 2 ? [kv(`b/${i}`, i, 'run-1')] : [])],
        100 + i,
      )
    await a.store.put([], 0).durable
    await exchange([a.replica, b.replica])
    const own = await collect(a.store.facts())
    expect(await collect(b.store.facts())).toEqual(own)
    expect([...told].sort((x, y) => docOf(x) - docOf(y))).toEqual(own)
    expect(own.filter((batch) => docOf(batch) === 2).map((batch) => [batch.n, batch.at])).toEqual(
      [1, 4, 7, 10].map((n) => [n, 100 + n]),
    )
    await a.store.close()
    const again = await openBoard({ medium, author: author('node-a') })
    expect(await collect(again.store.facts())).toEqual(own)
  })

  it('[CS3] a commit that is larger than a frame is several, is there whole or not at all, and is read as one', async () => {
    const medium = createMemoryDisk()
    const a = await openBoard({ medium })
    const many = Array.from({ length: FRAME_FACTS_MAX + 7 }, (_, i) => kv(`a/${i}`))
    const wide = Array.from({ length: 9 }, (_, i) => kv(`w/${i}`, 'x'.repeat(FACT_BYTES_MAX - 100)))
    a.store.put(many, 5)
    await a.store.put(wide, 6).durable
    const frames = await framesOf(a)
    expect(frames.map(({ commits }) => commits.map(({ n, facts }) => [n, facts]))).toEqual([
      [[1, FRAME_FACTS_MAX]],
      [[1, 7]],
      ...Array.from({ length: 9 }, () => [[2, 1]]),
    ])
    const read = await collect(a.store.facts())
    expect(read.map(({ n, facts }) => [n, facts.length])).toEqual([
      [1, FRAME_FACTS_MAX + 7],
      [2, 9],
    ])
    await a.store.close()
    medium.crash()
    const [before] = [JSON.stringify(read)]
    expect(JSON.stringify(await collect((await openBoard({ medium })).store.facts()))).toBe(before)
  })

  it('[CS1] small commits are joined as long as gossip carries the frame', async () => {
    const disk = slowDisk()
    const board = await openBoard({ beforeWrite: disk.beforeWrite })
    board.store.put([kv('a/0')], 5)
    await expect.poll(() => disk.writes.length, { interval: 1 }).toBe(1)
    for (let i = 1; i <= 200; i++) board.store.put([kv(`a/${i}`, 'x'.repeat(1_000))], 5)
    const { durable } = board.store.put([], 0)
    await disk.letWrite()
    await disk.letWrite()
    await durable
    const frames = await framesOf(board)
    expect(frames.length).toBeLessThan(8)
    for (const { bytes } of frames) expect(bytes.length).toBeLessThanOrEqual(GOSSIP_BYTES_MAX)
  })

  const refused: [string, Fact][] = [
    ['a value that is too long', kv('a/1', 'x'.repeat(FACT_BYTES_MAX))],
    ['a value that is nested too deep', kv('a/1', nested(FACT_DEPTH_MAX + 1))],
    ['a key that is too long', kv(`${'x'.repeat(FACT_KEY_BYTES_MAX)}/1`)],
    ['a key with half a surrogate pair', kv('\ud800/1')],
    ['an empty key', kv('')],
    ['a document without a name', kv('a/1', null, '')],
    ['a document with a long name', kv('a/1', null, 'x'.repeat(DOC_BYTES_MAX + 1))],
    ['a claim that is of no slot', { doc: 'run-1', collection: 'claims', key: 't/1', body: {} }],
  ]
  it.each(refused)('[CS4] %s is refused, and others of the commit with it', async (_, fact) => {
    const board = await openBoard()
    expect(() => board.store.put([kv('b/1'), fact], 5)).toThrow(
      expect.objectContaining({ code: 'ORCH_USAGE' }),
    )
    const receipt = board.store.put([kv('b/1'), kv('a/1', nested(FACT_DEPTH_MAX))], 6)
    expect(receipt).toMatchObject({ n: 1, written: { length: 2 } })
    await receipt.durable
    // Whatever is put, others take.
    const other = await openBoard()
    await exchange([board.replica, other.replica])
    expect(await collect(other.store.facts())).toEqual(await collect(board.store.facts()))
  })
})

describe('a disk that fails', () => {
  const cases = [
    { code: 'ENOSPC', expected: 'ORCH_DISK_FULL' },
    { code: 'EDQUOT', expected: 'ORCH_DISK_FULL' },
    { code: 'EIO', expected: 'ORCH_DISK_FAILED' },
  ]
  it.each(cases)(
    '[CS5] $code: nothing after it is believed or told, what was durable stays',
    async ({ code, expected }) => {
      const medium = createMemoryDisk()
      let isBroken = false
      const board = await openBoard({
        medium,
        beforeWrite: () => {
          if (isBroken) throw failure(code)
        },
      })
      const told: Uint8Array[] = []
      board.replica.onOwnFrame((bytes) => told.push(bytes))
      await board.store.put([kv('good/1')], 5).durable
      isBroken = true
      for (const { durable } of [board.store.put([kv('bad/1')], 5), board.store.put([kv('bad/2')], 5)])
        await expect(durable).rejects.toMatchObject({ code: expected })
      isBroken = false
      const after = board.store.put([kv('after/1')], 5)
      expect(after).toMatchObject({ n: 0, written: [] })
      await expect(after.durable).rejects.toMatchObject({ code: expected })
      expect(await keys(board.store)).toEqual(['good/1'])
      expect(told).toHaveLength(1)
      await board.store.close()
      expect(await keys((await openBoard({ medium })).store)).toEqual(['good/1'])
    },
  )

  it('[CS5] a frame of another that cannot be kept is not believed, and may come again', async () => {
    const medium = createMemoryDisk()
    const a = await openBoard({ author: author('node-a') })
    await a.store.put([kv('a/1')], 5).durable
    const b = await openBoard({
      medium,
      beforeWrite: () => {
        throw failure('ENOSPC')
      },
    })
    const before = await view(b)
    const [bytes] = await collectBytes(a.replica.range(a.replica.heads('run-1')[0]!, 1, 1))
    await expect(b.replica.ingest(bytes!)).rejects.toMatchObject({ code: 'ORCH_DISK_FULL' })
    expect(await view(b)).toBe(before)
    await b.store.close()
    const c = await openBoard({ medium })
    expect(await c.replica.ingest(bytes!)).toEqual({ type: 'taken' })
  })

  it('[CS6] a machine that stops loses frames of others at most: they are pulled again', async () => {
    const [mediumA, mediumB] = [createMemoryDisk(), createMemoryDisk()]
    const a = await openBoard({ medium: mediumA, author: author('node-a') })
    const b = await openBoard({ medium: mediumB })
    await b.store.put([kv('b/1')], 5).durable
    for (let i = 1; i <= 5; i++) await a.store.put([kv(`a/${i}`)], 5).durable
    await exchange([a.replica, b.replica])
    expect(await keys(b.store)).toHaveLength(6)
    mediumA.crash()
    mediumB.crash()
    const [a2, b2] = [await openBoard({ medium: mediumA }), await openBoard({ medium: mediumB })]
    expect(await keys(a2.store)).toEqual(['a/1', 'a/2', 'a/3', 'a/4', 'a/5'])
    expect(await keys(b2.store)).toEqual(['b/1'])
    await exchange([a2.replica, b2.replica])
    expect(await keys(b2.store)).toHaveLength(6)
    expect([...a2.reports, ...b2.reports]).toEqual([])
  })

  it('[CS7] a chain counts up to its first record that is not whole; it is reported, and comes back from others', async () => {
    for (const damage of ['unreadable', 'other frame'] as const) {
      const medium = createMemoryDisk()
      const a = await openBoard({ author: author('node-a') })
      const b = await openBoard({ medium, author: author('node-b') })
      for (let i = 1; i <= 5; i++) await a.store.put([kv(`a/${i}`)], 5).durable
      await b.store.put([kv('b/1')], 5).durable
      await exchange([a.replica, b.replica])
      const [chain] = a.replica.heads('run-1').filter(({ node }) => node === 'node-a')
      const frames = await collectBytes(a.replica.range(chain!, 1, 5))
      await b.store.close()
      const own = { ...b.store.author, doc: 'run-1' }
      medium.damage(chain!, 3, damage === 'other frame' ? frames[3]! : undefined)
      medium.damage(own, 1, undefined)
      const again = await openBoard({ medium, author: author('node-b') })
      const { doc, node, incarnation } = chain!
      expect(again.reports).toEqual([
        { kind: 'damaged', chain: { doc, node, incarnation }, from: 3, own: false },
        { kind: 'damaged', chain: own, from: 1, own: true },
      ])
      expect(await keys(again.store)).toEqual(['a/1', 'a/2'])
      await exchange([a.replica, again.replica])
      expect((await keys(again.store)).toSorted()).toEqual(['a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'b/1'])
    }
  })
})

function docOf({ facts: [fact] }: Batch): number {
  return Number(fact!.doc.slice(4))
}

function nested(depth: number): Json {
  let value: Json = []
  for (let i = 1; i < depth; i++) value = [value]
  return value
}
