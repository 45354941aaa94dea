/** The disk of LevelDB: one process at a time, its own format and cluster, damage found at open, removal that survives a crash, and no acknowledged frame lost to kill -9. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Level } from 'level'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createPrng } from '../../src/core/prng.ts'
import { openLevelDisk } from '../../src/store/level-disk.ts'
import { acquireLock } from '../../src/store/lock.ts'
import { CLUSTER, collectBytes, exchange, openBoard, Scribe } from './board.ts'
import { author, collect, keys, kv } from './contract.ts'
import { useDataDir } from './data-dir.ts'

async function openOn(dataDir: string, by = author('node-a')) {
  return openBoard({ author: by, disk: await openLevelDisk({ dataDir, cluster: CLUSTER }) })
}

/** Changes the records behind the back of the store. */
async function meddle(
  dataDir: string,
  change: (db: Level<string, Uint8Array>) => Promise<void>,
): Promise<void> {
  const db = new Level<string, Uint8Array>(join(dataDir, 'board'), { valueEncoding: 'view' })
  await change(db)
  await db.close()
}

describe('who may open a board', () => {
  it('[CS8] one at a time, in this process and under a lock that its caller holds', async () => {
    const dataDir = useDataDir()
    const lock = acquireLock(dataDir)
    const disk = await openLevelDisk({ dataDir, cluster: CLUSTER, lock })
    for (const options of [{}, { lock }])
      await expect(openLevelDisk({ dataDir, cluster: CLUSTER, ...options })).rejects.toMatchObject({
        code: 'ORCH_LOCKED',
      })
    await disk.close()
    await expect(openLevelDisk({ dataDir, cluster: CLUSTER })).rejects.toMatchObject({ code: 'ORCH_LOCKED' })
    lock.release()
    await (await openLevelDisk({ dataDir, cluster: CLUSTER })).close()
    expect(readdirSync(dataDir)).toEqual(['board'])
  })

  it('[CS8] nobody while another process has it open', async () => {
    const dataDir = useDataDir()
    await (await openLevelDisk({ dataDir, cluster: CLUSTER })).close()
    const child = startLoop(dataDir, author().incarnation)
    for await (const _ of createInterface({ input: child.stdout! })) break
    await expect(openLevelDisk({ dataDir, cluster: CLUSTER })).rejects.toMatchObject({ code: 'ORCH_LOCKED' })
    rmSync(join(dataDir, 'node.lock'))
    await expect(openLevelDisk({ dataDir, cluster: CLUSTER })).rejects.toMatchObject({ code: 'ORCH_LOCKED' })
  })

  it('[CS9] a board of another cluster, of a newer format or without its head is refused untouched', async () => {
    const dataDir = useDataDir()
    const { store } = await openOn(dataDir)
    await store.put([kv('a/1')], 5).durable
    await store.close()
    await expect(openLevelDisk({ dataDir, cluster: 'ff'.repeat(16) })).rejects.toMatchObject({
      code: 'ORCH_OTHER_CLUSTER',
    })
    const formats: [string, string][] = [
      [JSON.stringify({ v: 2, format: 'orch-node board', cluster: CLUSTER }), 'ORCH_JOURNAL_NEWER'],
      [JSON.stringify({ v: 1, format: 'something else' }), 'ORCH_STORE_CORRUPT'],
      ['{', 'ORCH_STORE_CORRUPT'],
    ]
    for (const [format, code] of formats) {
      await meddle(dataDir, (db) => db.put('m/format', new Uint8Array(Buffer.from(format))))
      await expect(openLevelDisk({ dataDir, cluster: CLUSTER })).rejects.toMatchObject({ code })
    }
    await meddle(dataDir, (db) => db.del('m/format'))
    await expect(openLevelDisk({ dataDir, cluster: CLUSTER })).rejects.toMatchObject({
      code: 'ORCH_STORE_CORRUPT',
    })
    rmSync(join(dataDir, 'board', 'CURRENT'))
    await expect(openLevelDisk({ dataDir, cluster: CLUSTER })).rejects.toMatchObject({
      code: 'ORCH_STORE_CORRUPT',
    })
    writeFileSync(join(dataDir, 'board', 'CURRENT'), 'MANIFEST-999999\n')
    await expect(openLevelDisk({ dataDir, cluster: CLUSTER })).rejects.toMatchObject({
      code: 'ORCH_STORE_CORRUPT',
    })
  })
})

describe('what is on the disk', () => {
  it('[CS10] the keys are those of LAYOUT.md, and frames lie in their order', async () => {
    const dataDir = useDataDir()
    const board = await openOn(dataDir, { node: 'node-a', incarnation: '0'.repeat(26) })
    for (let i = 1; i <= 300; i++)
      await board.store.put([kv(`a/${i}`, i, i === 1 ? '@cluster' : 'a/ü')], i).durable
    const [head] = board.replica.heads('a/ü')
    const frames = await collectBytes(board.replica.range(head!, 1, 299))
    await board.store.close()
    const found: [string, Uint8Array][] = []
    await meddle(dataDir, async (db) => {
      for await (const record of db.iterator()) found.push(record)
    })
    expect(found.map(([key]) => key)).toEqual([
      `f/%40cluster/node-a/${'0'.repeat(26)}/00000001`,
      ...frames.map(
        (_, i) => `f/a%2F%C3%BC/node-a/${'0'.repeat(26)}/${(i + 1).toString(16).padStart(8, '0')}`,
      ),
      'm/format',
    ])
    expect(found.slice(1, -1).map(([, value]) => Buffer.from(value.subarray(4)))).toEqual(
      frames.map((frame) => Buffer.from(frame)),
    )
  })

  it('[CS7] a bit that changed in a record, or a record that is gone, cuts the chain before it', async () => {
    const dataDir = useDataDir()
    const source = await openBoard({ author: author('node-s') })
    for (let i = 1; i <= 9; i++) await source.store.put([kv(`a/${i}`)], i).durable
    for (const kind of ['bit', 'gone', 'short'] as const) {
      const board = await openOn(dataDir)
      await exchange([source.replica, board.replica])
      expect(await keys(board.store)).toHaveLength(9)
      const { doc, node, incarnation } = source.replica.heads('run-1')[0]!
      await board.store.close()
      await meddle(dataDir, async (db) => {
        const key = `f/run-1/${node}/${incarnation}/00000006`
        const value = await db.get(key)
        if (kind === 'gone') await db.del(key)
        else
          await db.put(
            key,
            kind === 'short' ? value.slice(0, 3) : value.map((byte, i) => (i === 150 ? byte ^ 4 : byte)),
          )
      })
      const again = await openOn(dataDir)
      expect(again.reports).toEqual([
        { kind: 'damaged', chain: { doc, node, incarnation }, from: 6, own: false },
      ])
      expect(await keys(again.store)).toEqual(['a/1', 'a/2', 'a/3', 'a/4', 'a/5'])
      await exchange([source.replica, again.replica])
      expect(await keys(again.store)).toHaveLength(9)
      await again.store.close()
    }
  })

  it('[CS7] a record that is damaged while the board is open is an error of its reader', async () => {
    const dataDir = useDataDir()
    const disk = await openLevelDisk({ dataDir, cluster: CLUSTER })
    const scribe = new Scribe()
    scribe.write('a/1')
    const frames = scribe.frames.map(
      ({ bytes }) => ({ type: 'frame', chain: scribe.id, n: 1, frame: bytes }) as const,
    )
    await disk.write(frames, { sync: true })
    await disk.close()
    await meddle(dataDir, (db) =>
      db.put(`f/run-1/${scribe.id.node}/${scribe.id.incarnation}/00000001`, new Uint8Array(9)),
    )
    const again = await openLevelDisk({ dataDir, cluster: CLUSTER })
    await expect(again.read(scribe.id, 1, 1)[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'ORCH_STORE_CORRUPT',
    })
    await again.close()
  })

  it('[RP6] proofs and evidence of double talk are kept', async () => {
    const dataDir = useDataDir()
    const board = await openOn(dataDir)
    const one = new Scribe()
    for (let i = 1; i <= 4; i++) one.write(`k/${i}`)
    const two = one.fork(2)
    await board.replica.ingestRange(one.id, one.bytes)
    await board.replica.ingest(two.write('other/3').bytes)
    const proofs = board.replica.proofs().map(([a, b]) => [Buffer.from(a), Buffer.from(b)])
    await board.store.close()
    const found: string[] = []
    await meddle(dataDir, async (db) => {
      for await (const key of db.keys({ lt: 'm' })) found.push(`${key.slice(0, 1)} ${key.slice(-2)}`)
    })
    expect(found).toEqual(['e 03', 'e 04', 'f 01', 'f 02'])
    const again = await openOn(dataDir)
    expect(again.replica.proofs().map(([a, b]) => [Buffer.from(a), Buffer.from(b)])).toEqual(proofs)
    expect(again.reports).toEqual([])
    await again.store.close()
  })

  it('[CS11] the removal of a document is finished at the next open when a crash came in between', async () => {
    const dataDir = useDataDir()
    const board = await openOn(dataDir)
    await board.store.put([kv('a/1', 1, 'run-1'), kv('b/1', 1, 'run-10'), kv('c/1', 1, 'run-2')], 5).durable
    await board.store.close()
    await meddle(dataDir, (db) => db.put('d/run-1', new Uint8Array(0)))
    const again = await openOn(dataDir)
    expect((await keys(again.store)).toSorted()).toEqual(['b/1', 'c/1'])
    expect(again.reports).toEqual([])
    await again.store.close()
  })
})

function startLoop(dataDir: string, incarnation: string): ChildProcess {
  const script = fileURLToPath(new URL('./child/board-loop.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, dataDir, incarnation], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

describe('kill -9', () => {
  it('[CS6] loses no commit that was acknowledged, and leaves no half of one', async () => {
    const dataDir = useDataDir()
    const prng = createPrng(7)
    const acknowledged: { id: string; facts: number; name: string }[] = []
    for (let life = 0; life < 4; life++) {
      const { incarnation } = author()
      const child = startLoop(dataDir, incarnation)
      const ended = new Promise((resolve) => child.once('exit', resolve))
      const killAt = 20 + Math.floor(prng.next() * 300)
      let seen = 0
      for await (const line of createInterface({ input: child.stdout! })) {
        const [n, name, facts] = line.split(' ') as [string, string, string]
        // The last line may be half a line.
        if (facts !== undefined) acknowledged.push({ id: `${incarnation} ${n}`, facts: Number(facts), name })
        if (++seen === killAt) child.kill('SIGKILL')
      }
      await ended
      expect(seen).toBeGreaterThanOrEqual(killAt)
    }
    const { store, reports } = await openOn(dataDir)
    const found = new Map<string, string[]>()
    for (const { author: by, n, facts } of await collect(store.facts())) {
      const id = `${by.incarnation} ${n}`
      found.set(id, [...(found.get(id) ?? []), ...facts.map((fact) => fact.key)])
    }
    await store.close()
    expect(reports).toEqual([])
    expect(acknowledged.length).toBeGreaterThan(100)
    for (const { id, facts, name } of acknowledged) {
      expect(found.get(id), id).toHaveLength(facts)
      expect(found.get(id)!.every((key) => key.startsWith(`${name}/`))).toBe(true)
    }
    for (const [id, list] of found) expect([1, 3, 40, 2_000], id).toContain(list.length)
  })
})
