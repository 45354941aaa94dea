/**
 * Speed of the journal: what one durable commit costs alone, what several writers share, bulk, the disk's own limit, and how long a large
 * journal takes to open and to replay.
 */
import type { Fact } from '../src/core/fact.ts'
import type { CoordStore } from '../src/store/store.ts'
import { rawSyncs, withDirectory } from './disk.ts'
import { openFileStore } from './product.ts'
import { median, perSecond, quantile, type Sample, Samples, timed } from './sample.ts'

let lives = 0
const author = () => ({
  node: '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN',
  incarnation: `01JD${String(++lives).padStart(22, '0')}`,
})

const spec = (name: string): Fact => ({
  doc: 'bench-7f2a',
  collection: 'specs',
  key: name,
  body: {
    title: `task ${name}`,
    kind: 'shell',
    run: 'npm test',
    needs: ['contract'],
    scope: { write: [`src/${name}/**`], read: [] },
  },
})

const claim = (name: string): Fact[] => [
  { doc: 'bench-7f2a', collection: 'claims', key: `${name}/1/1`, body: {} },
  { doc: 'bench-7f2a', collection: 'starts', key: `${name}/1/1`, body: {} },
]

function withStore<T>(use: (store: CoordStore, dataDir: string) => Promise<T>): Promise<T> {
  return withDirectory(async (dataDir) => {
    const store = await openFileStore({ dataDir, author: author() })
    const result = await use(store, dataDir)
    await store.close()
    return result
  })
}

/** Milliseconds of each of `count` commits, one after the other in each of `writers`. */
async function latencies(store: CoordStore, writers: number, count: number): Promise<number[]> {
  const spans: number[] = []
  const write = async (writer: number) => {
    for (let i = 0; i < count / writers; i++) {
      const start = performance.now()
      await store.put(claim(`w${writer}-${i}`), i).durable
      spans.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)))
  return spans
}

async function commits(samples: Samples): Promise<void> {
  await withStore(async (store, dataDir) => {
    // In turns on one disk, so that a slow minute of the machine hits all alike.
    const raw = await rawSyncs(dataDir, 1_000)
    samples.add('raw write + fdatasync, p50', 'ms', median(raw))
    samples.add('raw write + fdatasync, p99', 'ms', quantile(raw, 0.99))
    await commitsOf(store, 1, 1_000, 'one commit (claim + start) at a time', samples)
  })
  await withStore((store) => commitsOf(store, 8, 8_000, '8 writers', samples))
}

async function commitsOf(
  store: CoordStore,
  writers: number,
  count: number,
  name: string,
  samples: Samples,
): Promise<void> {
  let spans: number[] = []
  const ms = await timed(async () => {
    spans = await latencies(store, writers, count)
  })
  samples.add(`${name}, p50`, 'ms', median(spans))
  samples.add(`${name}, p99`, 'ms', quantile(spans, 0.99))
  samples.add(name, 'commits/s', perSecond(count, ms))
}

async function bulk(facts: readonly Fact[], samples: Samples): Promise<void> {
  await withStore(async (store) => {
    const ms = await timed(async () => {
      const all: Promise<void>[] = []
      for (let i = 0; i < facts.length; i += 10_000)
        all.push(store.put(facts.slice(i, i + 10_000), i).durable)
      await Promise.all(all)
    })
    samples.add('bulk, 10,000 facts a commit, synced', 'facts/s', perSecond(facts.length, ms))
  })
  await withStore(async (store) => {
    const ms = await timed(async () => {
      // 512 commits wait at a time, as many writers would.
      for (let i = 0; i < facts.length; i += 512) {
        let last: Promise<void> | undefined
        for (const fact of facts.slice(i, i + 512)) last = store.put([fact], i).durable
        await last
      }
    })
    samples.add('single-fact commits, 512 in flight, synced', 'commits/s', perSecond(facts.length, ms))
  })
}

async function reopen(runs: number, samples: Samples): Promise<void> {
  const total = 400_000
  await withDirectory(async (dataDir) => {
    const store = await openFileStore({ dataDir, author: author(), fsync: false })
    for (let i = 0; i < total; i++) {
      const { durable } = store.put([spec(`task-${i}`)], i)
      if (i % 10_000 === 0) await durable
    }
    await store.close()
    for (let run = 0; run < runs; run++) {
      let again: CoordStore | undefined
      const opened = await timed(async () => {
        again = await openFileStore({ dataDir, author: author() })
      })
      samples.add('reopen and check 400,000 single-fact commits', 'ms', opened)
      let facts = 0
      const replayed = await timed(async () => {
        for await (const batch of again!.facts()) facts += batch.facts.length
      })
      samples.add('replay 400,000 single-fact commits', 'ms', replayed)
      if (facts !== total) throw new Error(`${facts} facts came back of ${total}`)
      await again!.close()
    }
  })
}

export async function benchJournal(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  const facts = Array.from({ length: 100_000 }, (_, i) => spec(`task-${i}`))
  for (let run = 0; run < runs; run++) await commits(samples)
  for (let run = 0; run < runs; run++) await bulk(facts, samples)
  await reopen(runs, samples)
  return samples.all()
}
