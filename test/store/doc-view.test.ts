/** Documents for Yjs clients, and documents that go to the archive: made of the same frames, in step with them, and gone when nobody needs them. */
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { createPrng } from '../../src/core/prng.ts'
import { bundleDoc, restoreDoc } from '../../src/store/archive.ts'
import { DocViews } from '../../src/store/doc-view.ts'
import { openLevelDisk } from '../../src/store/level-disk.ts'
import { createMemoryDisk } from '../../src/store/memory-disk.ts'
import { type Board, CLUSTER, exchange, openBoard, Scribe, view } from './board.ts'
import { author, collect, keys, kv } from './contract.ts'
import { useDataDir } from './data-dir.ts'

/** Facts as the document shows them and as the store reads them, under one name. */
function shown(doc: Y.Doc): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const collection of doc.share.keys())
    for (const [key, bytes] of doc.getMap<Uint8Array>(collection).entries())
      found[`${collection} ${key}`] = JSON.parse(Buffer.from(bytes).toString())
  return found
}

async function read({ store }: Board, doc: string): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {}
  for await (const { author: by, facts } of store.facts({ doc }))
    for (const { collection, key, body } of facts)
      found[`${collection} ${key}/${by.node}/${by.incarnation}`] = body
  return found
}

async function* pieces(list: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* list
}

async function bundle({ replica }: Board, doc: string): Promise<Uint8Array[]> {
  const list: Uint8Array[] = []
  for await (const bytes of bundleDoc(replica, doc)) list.push(bytes)
  return list
}

describe('a document for Yjs', () => {
  it('[CS14] shows the facts of the store, own and foreign, and stays in step with both', async () => {
    const [a, b] = [
      await openBoard({ author: author('node-a') }),
      await openBoard({ author: author('node-b') }),
    ]
    for (let i = 1; i <= 30; i++) {
      await a.store.put(
        [
          kv(`k/${i}`, i),
          { doc: 'run-1', collection: 'specs', key: `t-${i}`, body: { kind: 'shell', run: 'true' } },
        ],
        i,
      ).durable
      await b.store.put([kv(`k/${i}`, -i), kv('else/1', 1, `run-${i}`)], i).durable
    }
    await exchange([a.replica, b.replica])
    const views = new DocViews(a.replica)
    const held = await views.hold('run-1')
    const same = await views.hold('run-1')
    expect(same.doc).toBe(held.doc)
    expect(Object.keys(shown(held.doc)).length).toBeGreaterThan(90)
    expect(shown(held.doc)).toEqual(await read(a, 'run-1'))
    let updates = 0
    held.doc.on('update', () => updates++)
    await a.store.put([kv('new/1', 'own')], 50).durable
    await b.store.put([kv('new/1', 'foreign')], 50).durable
    await exchange([a.replica, b.replica])
    expect(updates).toBe(2)
    expect(shown(held.doc)).toEqual(await read(a, 'run-1'))
    // A client that gets the state of the document has the same.
    const client = new Y.Doc()
    Y.applyUpdate(client, Y.encodeStateAsUpdate(held.doc))
    for (const name of held.doc.share.keys()) client.getMap(name)
    expect(shown(client)).toEqual(shown(held.doc))
  })

  it('[CS14] misses nothing that comes while it is made', async () => {
    const a = await openBoard({ author: author('node-a') })
    const scribe = new Scribe()
    for (let i = 1; i <= 50; i++) scribe.write(`k/${i}`)
    await a.replica.ingestRange(scribe.id, scribe.bytes.slice(0, 20))
    const views = new DocViews(a.replica)
    const holding = views.hold('run-1')
    for (const bytes of scribe.bytes.slice(20)) await a.replica.ingest(bytes)
    const { doc } = await holding
    expect(doc.store.pendingStructs).toBeNull()
    expect(shown(doc)).toEqual(await read(a, 'run-1'))
    expect(Object.keys(shown(doc))).toHaveLength(50)
  })

  it('[CS14] is destroyed with its last holder, and made anew for the next', async () => {
    const a = await openBoard()
    await a.store.put([kv('k/1')], 5).durable
    const views = new DocViews(a.replica)
    const [one, two] = [await views.hold('run-1'), await views.hold('run-1')]
    one.release()
    one.release()
    expect(two.doc.isDestroyed).toBe(false)
    two.release()
    expect(two.doc.isDestroyed).toBe(true)
    await a.store.put([kv('k/2')], 5).durable
    expect(Object.keys(shown(two.doc))).toHaveLength(1)
    const three = await views.hold('run-1')
    expect(three.doc).not.toBe(two.doc)
    expect(Object.keys(shown(three.doc))).toHaveLength(2)
    // Let go of before it was there.
    const early = views.hold('run-2')
    three.release()
    ;(await early).release()
  })

  it('[CS14] ends when facts that it shows do not count any more', async () => {
    const a = await openBoard()
    const scribe = new Scribe()
    for (let i = 1; i <= 4; i++) scribe.write(`k/${i}`)
    await a.replica.ingestRange(scribe.id, scribe.bytes)
    const views = new DocViews(a.replica)
    const held = await views.hold('run-1')
    let resets = 0
    held.onReset(() => resets++)
    const end = held.onReset(() => resets++)
    end()
    await a.replica.ingest(scribe.fork(2).write('other/3').bytes)
    expect(resets).toBe(1)
    expect(held.doc.isDestroyed).toBe(true)
    const anew = await views.hold('run-1')
    held.release()
    expect(anew.doc.isDestroyed).toBe(false)
    expect(Object.keys(shown(anew.doc))).toHaveLength(2)
  })
})

describe('a document that is archived', () => {
  async function makeRun(): Promise<{ readonly a: Board; readonly wanted: Set<string> }> {
    const wanted = new Set(['run-1', 'run-2', '@cluster'])
    const a = await openBoard({
      author: author('node-a'),
      isWanted: (doc) => wanted.has(doc),
      disk: await openLevelDisk({ dataDir: useDataDir(), cluster: CLUSTER }),
    })
    const b = await openBoard({ author: author('node-b') })
    for (let i = 1; i <= 20; i++) {
      await a.store.put([kv(`k/${i}`, i), kv('keep/1', 1, 'run-2')], i).durable
      await b.store.put([kv(`k/${i}`, -i)], i).durable
    }
    const liar = new Scribe({ node: 'node-c' })
    for (let i = 1; i <= 3; i++) liar.write(`k/${i}`)
    await a.replica.ingestRange(liar.id, liar.bytes)
    await a.replica.ingest(liar.fork(1).write('other/2').bytes)
    await exchange([a.replica, b.replica])
    return { a, wanted }
  }

  it('[CS15] is one stream, which puts back the same frames and proofs anywhere, in whatever pieces', async () => {
    const { a } = await makeRun()
    const bytes = Buffer.concat(await bundle(a, 'run-1'))
    for (const size of [bytes.length, 7]) {
      const other = await openBoard({ author: author('node-d') })
      const cut: Uint8Array[] = []
      for (let at = 0; at < bytes.length; at += size) cut.push(bytes.subarray(at, at + size))
      expect(await restoreDoc(other.replica, pieces(cut))).toBe(41)
      expect(other.replica.docs()).toEqual(a.replica.docs().filter(({ doc }) => doc === 'run-1'))
      expect(other.replica.proofs()).toHaveLength(1)
      expect(await restoreDoc(other.replica, pieces(cut))).toBe(41)
      expect(await read(other, 'run-1')).toEqual(await read(a, 'run-1'))
    }
    await a.store.close()
  })

  it('[CS15] is refused when its stream is cut or damaged', async () => {
    const { a } = await makeRun()
    const bytes = Buffer.concat(await bundle(a, 'run-1'))
    const prng = createPrng(2)
    for (let trial = 0; trial < 60; trial++) {
      const at = Math.floor(prng.next() * bytes.length)
      const bad =
        trial % 2 ? bytes.subarray(0, at) : Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ 16 : byte)))
      const other = await openBoard()
      await expect(restoreDoc(other.replica, pieces([bad]))).rejects.toMatchObject({
        code: 'ORCH_STORE_CORRUPT',
      })
    }
    const other = await openBoard({ isWanted: () => false })
    await expect(restoreDoc(other.replica, pieces([bytes]))).rejects.toMatchObject({
      code: 'ORCH_STORE_CORRUPT',
    })
    await a.store.close()
  })

  it('[CS11] leaves nothing behind, comes back only when it is wanted, and is written to no more', async () => {
    const { a, wanted } = await makeRun()
    const stream = await bundle(a, 'run-1')
    const facts = await read(a, 'run-1')
    const last = a.store.put([kv('late/1')], 99).durable
    wanted.delete('run-1')
    await a.store.dropDoc('run-1')
    await last
    expect(a.replica.docs().map(({ doc }) => doc)).toEqual(['run-2'])
    expect(a.replica.proofs()).toEqual([])
    expect(await keys(a.store)).toEqual(['keep/1'])
    expect(() => a.store.put([kv('k/99')], 5)).toThrow(expect.objectContaining({ code: 'ORCH_USAGE' }))
    await a.store.put([kv('k/99', 1, 'run-2')], 5).durable
    const scribe = new Scribe()
    expect(await a.replica.ingest(scribe.write('a/1').bytes)).toMatchObject({ type: 'unwanted' })
    wanted.add('run-1')
    await restoreDoc(a.replica, pieces(stream))
    expect(await read(a, 'run-1')).toEqual(facts)
    expect(a.reports.filter(({ kind }) => kind === 'cloned')).toEqual([])
    expect(() => a.store.put([kv('k/99')], 5)).toThrow(expect.objectContaining({ code: 'ORCH_USAGE' }))
    await a.store.close()
  })

  it('[CS11] a removed document is gone from the disk too', async () => {
    const medium = createMemoryDisk()
    const a = await openBoard({ medium })
    await a.store.put([kv('a/1'), kv('b/1', 1, 'run-2')], 5).durable
    await a.store.dropDoc('run-1')
    const before = await view(a)
    await a.store.close()
    const again = await openBoard({ medium })
    expect(await view(again)).toBe(before)
    expect((await collect(again.store.facts())).map(({ facts: [fact] }) => fact!.doc)).toEqual(['run-2'])
  })
})
