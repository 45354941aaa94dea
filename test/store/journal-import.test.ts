/** From a journal to a board: the same facts under the same names, numbers and times; done again after any crash, with the same frames. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Batch } from '../../src/core/fact.ts'
import { FACT_BYTES_MAX, FRAME_FACTS_MAX } from '../../src/core/limit.ts'
import { openFileStore } from '../../src/store/file.ts'
import type { FrameDisk } from '../../src/store/frame-disk.ts'
import { importJournal, type JournalImport } from '../../src/store/journal-import.ts'
import { openLevelDisk } from '../../src/store/level-disk.ts'
import { createMemoryDisk } from '../../src/store/memory-disk.ts'
import { CLUSTER, exchange, fakeSigner, openBoard } from './board.ts'
import { author, collect, keys, kv } from './contract.ts'
import { useDataDir } from './data-dir.ts'

/** Three lives of one node, and what they wrote. */
async function makeJournal(dataDir: string): Promise<Batch[]> {
  for (let life = 0; life < 3; life++) {
    const store = await openFileStore({ dataDir, author: author() })
    for (let i = 1; i <= 40; i++)
      store.put(
        [kv(`a/${i}`, { i, life }, `run-${1 + (i % 3)}`), kv(`b/${i}`, life, '@cluster')],
        1_000 * life + i,
      )
    if (life === 1)
      store.put(
        Array.from({ length: FRAME_FACTS_MAX + 5 }, (_, i) => kv(`many/${i}`)),
        2_000,
      )
    await store.close()
  }
  const store = await openFileStore({ dataDir, author: author() })
  const batches = await collect(store.facts())
  await store.close()
  return batches
}

async function* of(batches: readonly Batch[]): AsyncGenerator<Batch> {
  yield* batches
}

function run(disk: FrameDisk, batches: readonly Batch[]): Promise<JournalImport> {
  return importJournal({ disk, cluster: CLUSTER, signer: fakeSigner('node-a'), batches: of(batches) })
}

/** Facts with what a board is told of each, whatever the order over documents. */
function facts(batches: readonly Batch[]): string[] {
  return batches
    .flatMap(({ author: by, n, at, facts }) => facts.map((fact) => JSON.stringify([by, n, at, fact])))
    .toSorted()
}

describe('a journal becomes a board', () => {
  it('[CS12] with the same authors, numbers, times and facts, which others take', async () => {
    const dataDir = useDataDir()
    const batches = await makeJournal(dataDir)
    const disk = await openLevelDisk({ dataDir, cluster: CLUSTER })
    const outcome = await run(disk, batches)
    expect(outcome).toMatchObject({ facts: 240 + FRAME_FACTS_MAX + 5, skipped: [], written: outcome.frames })
    await disk.close()
    const board = await openBoard({
      author: author(),
      disk: await openLevelDisk({ dataDir, cluster: CLUSTER }),
    })
    expect(facts(await collect(board.store.facts()))).toEqual(facts(batches))
    const other = await openBoard()
    await exchange([board.replica, other.replica])
    expect(facts(await collect(other.store.facts()))).toEqual(facts(batches))
    await board.store.close()
    const journal = await openFileStore({ dataDir: join(dataDir), author: author() })
    expect(await collect(journal.facts())).toEqual(batches)
    await journal.close()
  })

  it('[CS13] again after a crash at any write, and twice, with the same frames', async () => {
    const batches = (await makeJournal(useDataDir())).filter(({ facts: list }) => list.length < 100)
    const large = batches.map((batch, i) => ({
      ...batch,
      facts: [...batch.facts, kv(`large/${i}`, 'x'.repeat(40_000))],
    }))
    const whole = createMemoryDisk()
    const complete = whole.open()
    const first = await run(complete, large)
    expect((await run(complete, large)).written).toBe(0)
    await complete.close()
    const { digest } = (await openBoard({ medium: whole })).replica.docs()[0]!
    let crashes = 0
    for (let at = 1; ; at++) {
      const medium = createMemoryDisk()
      let writes = 0
      const disk = medium.open({
        beforeWrite: () => {
          writes++
          if (writes === at) throw new Error('the machine stops')
        },
      })
      const failed = await run(disk, large).then(
        () => false,
        () => true,
      )
      medium.crash()
      if (!failed) break
      crashes++
      const again = medium.open()
      const second = await run(again, large)
      expect(second.frames).toBe(first.frames)
      expect(second.written).toBeLessThanOrEqual(first.frames)
      await again.close()
      const board = await openBoard({ medium })
      expect(board.replica.docs()[0]!.digest).toBe(digest)
      expect(board.reports).toEqual([])
    }
    expect(crashes).toBeGreaterThan(2)
  })

  it('[CS12] without facts that no board takes; those are told', async () => {
    const disk = createMemoryDisk().open()
    const by = author()
    const { skipped, facts: count } = await run(disk, [
      {
        author: by,
        n: 1,
        at: 1,
        facts: [kv('good/1'), kv('large/1', 'x'.repeat(FACT_BYTES_MAX)), kv('a/1', 1, '')],
      },
      { author: by, n: 2, at: 1, facts: [{ doc: 'run-1', collection: 'claims', key: 'no slot', body: {} }] },
      { author: by, n: 4, at: -7.5, facts: [kv('good/2')] },
    ])
    expect(skipped).toHaveLength(3)
    expect(count).toBe(2)
    await disk.close()
  })

  it('[CS13] but not over other facts of the same incarnations', async () => {
    const medium = createMemoryDisk()
    const by = author()
    const disk = medium.open()
    await run(disk, [{ author: by, n: 1, at: 1, facts: [kv('a/1', 'one')] }])
    await expect(run(disk, [{ author: by, n: 1, at: 1, facts: [kv('a/1', 'two')] }])).rejects.toMatchObject({
      code: 'ORCH_STORE_CORRUPT',
    })
    await disk.close()
    expect(await keys((await openBoard({ medium })).store)).toEqual(['a/1'])
  })
})
