/**
 * What every CoordStore owes, whatever keeps its facts. An implementation joins by a factory that makes a fresh world: `open` starts a process
 * life of a node in it, `settle` moves everything between the open stores. Rules ST1-ST12 of core/SPEC.md.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isOrchError } from '../../src/core/error.ts'
import type { Batch, Fact } from '../../src/core/fact.ts'
import type { Author } from '../../src/core/id.ts'
import { COMMIT_FACTS_MAX } from '../../src/core/limit.ts'
import type { Json } from '../../src/core/task.ts'
import type { CoordStore, FactQuery } from '../../src/store/store.ts'

export interface StoreWorld {
  /** Starts a process life of `author.node`; what the node knew in an earlier life is there. */
  open(author: Author): Promise<CoordStore>
  /** Resolves when every open store has what every other has. */
  settle(): Promise<void>
  /** False when a world holds one node only: the tests with several are left out. */
  readonly hasPeers: boolean
  dispose(): Promise<void>
}

let lives = 0
/** An author that never wrote: a new incarnation of the named node. */
export function author(node = 'node-a'): Author {
  lives++
  return { node, incarnation: `01JD${String(lives).padStart(22, '0')}` }
}

export function kv(key: string, body: Json = null, doc = 'run-1'): Fact {
  return { doc, collection: 'kv', key, body }
}

export async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = []
  for await (const batch of batches) all.push(batch)
  return all
}

export async function keys(store: CoordStore, query?: FactQuery): Promise<string[]> {
  return (await collect(store.facts(query))).flatMap((batch) => batch.facts.map((fact) => fact.key))
}

export function storeContract(name: string, factory: () => Promise<StoreWorld>): void {
  describe(`${name} keeps the contract of CoordStore`, () => {
    let world: StoreWorld
    const isAlone = () => !world.hasPeers
    beforeEach(async () => {
      world = await factory()
    })
    afterEach(() => world.dispose())

    it('[ST1] a key is written once by an incarnation: the second write leaves the first', async () => {
      const store = await world.open(author())
      const first = store.put([kv('a/1', 'first')], 5)
      const second = store.put([kv('a/1', 'second'), kv('b/1')], 6)
      expect(first.written.map((fact) => fact.key)).toEqual(['a/1'])
      expect(second.written.map((fact) => fact.key)).toEqual(['b/1'])
      const batches = await collect(store.facts())
      expect(batches.flatMap((batch) => batch.facts)).toEqual([kv('a/1', 'first'), kv('b/1')])
    })

    it('[ST1] of two facts with one key in one commit the first is written', async () => {
      const store = await world.open(author())
      expect(store.put([kv('a/1', 1), kv('a/1', 2)], 5).written).toEqual([kv('a/1', 1)])
      expect((await collect(store.facts()))[0]?.facts).toEqual([kv('a/1', 1)])
    })

    it('[ST1] the same key in another document or collection is another key', async () => {
      const store = await world.open(author())
      store.put([kv('a/1', 1, 'run-1')], 5)
      const other: Fact = { doc: 'run-1', collection: 'messages', key: 'a/1', body: 3 }
      expect(store.put([kv('a/1', 2, 'run-2'), other], 6).written).toHaveLength(2)
    })

    it('[ST2] a new incarnation writes the key of an earlier one anew, and both stay', async () => {
      const first = await world.open(author())
      await first.put([kv('a/1', 'old')], 5).durable
      await first.close()
      const second = await world.open(author())
      const receipt = second.put([kv('a/1', 'new')], 6)
      expect(receipt.n).toBe(1)
      await receipt.durable
      const batches = await collect(second.facts())
      expect(batches.map((batch) => [batch.author, batch.n, batch.facts[0]?.body])).toEqual([
        [first.author, 1, 'old'],
        [second.author, 1, 'new'],
      ])
    })

    it('[ST2] an incarnation is opened once in its life', async () => {
      const once = author()
      const store = await world.open(once)
      await store.put([kv('a/1')], 5).durable
      await store.close()
      await expect(world.open(once)).rejects.toSatisfy(
        (error) => isOrchError(error) && error.code === 'ORCH_BUG',
      )
    })

    it('[ST2] a node is open once at a time', async () => {
      await world.open(author())
      await expect(world.open(author())).rejects.toSatisfy(
        (error) => isOrchError(error) && error.code === 'ORCH_LOCKED',
      )
    })

    it('[ST3] commits count from 1 without gaps; one with nothing new has no number', async () => {
      const store = await world.open(author())
      expect(store.put([kv('a/1')], 5).n).toBe(1)
      const repeated = store.put([kv('a/1'), kv('a/1')], 5)
      expect(repeated).toMatchObject({ n: 0, written: [] })
      await repeated.durable
      expect(store.put([], 5)).toMatchObject({ n: 0, written: [] })
      expect(store.put([kv('a/2')], 5).n).toBe(2)
      await store.put([kv('a/3')], 5).durable
      expect(store.put([kv('a/4')], 5).n).toBe(4)
      expect((await collect(store.facts())).map((batch) => batch.n)).toEqual([1, 2, 3, 4])
    })

    it('[ST4] a commit is read as one batch with its author, number, time and facts in order', async () => {
      const store = await world.open(author())
      const facts: Fact[] = [
        { doc: 'run-1', collection: 'claims', key: 't/1/1', body: {} },
        { doc: 'run-1', collection: 'starts', key: 't/1/1', body: {} },
        kv('z/1', 1),
        kv('a/1', 2),
      ]
      await store.put(facts, 1_700_000_000_123).durable
      expect(await collect(store.facts())).toEqual([
        { author: store.author, n: 1, at: 1_700_000_000_123, facts },
      ])
    })

    it('[ST5] reads include commits that are not durable yet, once each', async () => {
      const store = await world.open(author())
      const receipts = []
      for (let i = 0; i < 50; i++) {
        receipts.push(store.put([kv(`a/${i}`)], 5))
        if (i === 20) await receipts[3]?.durable
      }
      const read = collect(store.facts())
      const later = store.put([kv('later/1')], 6)
      expect((await read).map((batch) => batch.n)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
      await later.durable
      expect(await keys(store)).toHaveLength(51)
    })

    it('[ST6] what is durable is there in the next life, in order', async () => {
      const store = await world.open(author())
      for (let i = 1; i <= 20; i++) {
        const receipt = store.put([kv(`a/${i}`, i), kv(`b/${i}`, i)], i)
        if (i % 7 === 0) await receipt.durable
      }
      await store.close()
      const next = await world.open(author())
      const batches = await collect(next.facts())
      expect(batches.map((batch) => [batch.n, batch.at])).toEqual(
        Array.from({ length: 20 }, (_, i) => [i + 1, i + 1]),
      )
      expect(batches.every((batch) => batch.facts.length === 2)).toBe(true)
      expect(batches[0]?.author).toEqual(store.author)
    })

    it('[ST6] commits become durable in the order of their calls', async () => {
      const store = await world.open(author())
      const order: number[] = []
      const all = []
      for (let i = 0; i < 30; i++) all.push(store.put([kv(`a/${i}`)], 5).durable.then(() => order.push(i)))
      await Promise.all(all)
      expect(order).toEqual(Array.from({ length: 30 }, (_, i) => i))
    })

    it('[ST7] a body that changes after the call does not change what was written', async () => {
      const store = await world.open(author())
      const body = { list: [1, 2] }
      const receipt = store.put([kv('a/1', body)], 5)
      body.list.push(3)
      await receipt.durable
      const read = (await collect(store.facts()))[0]!.facts[0]!.body as { list: number[] }
      expect(read).toEqual({ list: [1, 2] })
      read.list.push(4)
      expect((await collect(store.facts()))[0]?.facts[0]?.body).toEqual({ list: [1, 2] })
    })

    it('[ST7] every JSON value comes back as it was', async () => {
      const store = await world.open(author())
      const values: Json[] = [
        null,
        true,
        0,
        -1.5e-300,
        Number.MAX_SAFE_INTEGER,
        '',
        'line\nend\r\n\t"\\ \u0000\u001f\u2028\u2029\u007f',
        'héllo ✓ 𝒳 👩‍👩‍👧 שלום',
        '\ud800 lone',
        [],
        {},
        [[[]], { a: [{ b: null }] }],
        JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":null,"":"empty"}'),
        'x'.repeat(1_000_000),
      ]
      await store.put(
        values.map((value, i) => kv(`v/${i}`, value)),
        5,
      ).durable
      await store.close()
      const next = await world.open(author())
      const facts = (await collect(next.facts()))[0]?.facts
      expect(facts?.map((fact) => JSON.stringify(fact.body))).toEqual(
        values.map((value) => JSON.stringify(value)),
      )
      expect(facts?.map((fact) => fact.body)).toEqual(values)
      expect(Object.keys(facts?.[12]?.body as object)).toEqual(['__proto__', 'constructor', 'toString', ''])
      expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
    })

    it('[ST7] keys and documents with any characters stay apart', async () => {
      const store = await world.open(author())
      const names = ['__proto__', 'constructor', 'a"b', 'a\\', 'ключ/1', 'a b', '\n']
      const facts = names.flatMap((name) => [kv(name, 1, 'run-1'), kv('k/1', 2, name)])
      expect(store.put(facts, 5).written).toHaveLength(14)
      expect(store.put(facts, 6).written).toHaveLength(0)
      for (const name of names) expect(await keys(store, { doc: name })).toEqual(['k/1'])
    })

    it('[ST8] a query picks by document, collection and prefix, and leaves empty batches out', async () => {
      const store = await world.open(author())
      store.put([kv('a/1', 1, 'run-1'), kv('b/1', 1, 'run-2')], 5)
      store.put([{ doc: 'run-2', collection: 'messages', key: 'b/2', body: { names: 'run-1' } }], 5)
      await store.put([kv('ab/1', 1, 'run-1'), kv('b/3', 1, 'run-2')], 5).durable
      store.put([kv('a/2', 1, 'run-1')], 5)
      expect(await keys(store, { doc: 'run-1' })).toEqual(['a/1', 'ab/1', 'a/2'])
      expect(await keys(store, { doc: 'run-2', collection: 'messages' })).toEqual(['b/2'])
      expect(await keys(store, { prefix: 'a/' })).toEqual(['a/1', 'a/2'])
      expect(await keys(store, { doc: 'run-2', collection: 'kv', prefix: 'b/3' })).toEqual(['b/3'])
      expect(await collect(store.facts({ doc: 'run-3' }))).toEqual([])
      expect((await collect(store.facts({ doc: 'run-1' }))).map((batch) => batch.n)).toEqual([1, 3, 4])
    })

    it('[ST9] ten thousand facts in one commit are there together', async () => {
      const store = await world.open(author())
      const facts = Array.from({ length: 10_000 }, (_, i) =>
        kv(`task-${i}/0`, { title: `task ${i}`, needs: [`task-${i - 1}`] }),
      )
      const receipt = store.put(facts, 5)
      expect(receipt.written).toHaveLength(10_000)
      await receipt.durable
      await store.close()
      const next = await world.open(author())
      expect(await collect(next.facts())).toEqual([{ author: store.author, n: 1, at: 5, facts }])
    })

    it('[ST9] a commit above the limits is refused and leaves no trace', async () => {
      const store = await world.open(author())
      const many = Array.from({ length: COMMIT_FACTS_MAX + 1 }, (_, i) => kv(`a/${i}`))
      const heavy = [kv('h/1', 'x'.repeat(65 * 1024 * 1024))]
      for (const facts of [many, heavy]) {
        expect(() => store.put(facts, 5)).toThrow(expect.objectContaining({ code: 'ORCH_USAGE' }))
      }
      const receipt = store.put([kv('a/0'), kv('h/1', 'light')], 5)
      expect(receipt).toMatchObject({ n: 1, written: { length: 2 } })
      await receipt.durable
    })

    it('[ST10] own commits are not told to own listeners', async () => {
      const store = await world.open(author())
      const told: Batch[] = []
      store.watch((batch) => told.push(batch))
      await store.put([kv('a/1')], 5).durable
      await world.settle()
      expect(told).toEqual([])
    })

    it('[ST10] foreign commits are told whole, in the order of their author, each once', async (test) => {
      if (isAlone()) return test.skip()
      const [a, b, c] = [
        await world.open(author('node-a')),
        await world.open(author('node-b')),
        await world.open(author('node-c')),
      ]
      const told: Batch[] = []
      b.watch((batch) => told.push(batch))
      for (let i = 1; i <= 10; i++) {
        a.put([kv(`a/${i}`, i), kv(`x/${i}`, i)], i)
        c.put([kv(`a/${i}`, -i)], i)
      }
      await world.settle()
      const of = (store: CoordStore) => told.filter((batch) => batch.author.node === store.author.node)
      expect(told).toHaveLength(20)
      expect(of(a).map((batch) => batch.n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      expect(of(a)[4]).toEqual({ author: a.author, n: 5, at: 5, facts: [kv('a/5', 5), kv('x/5', 5)] })
      expect(of(c).map((batch) => batch.n)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    })

    it('[ST10] who begins to watch is told only what arrives later, until it ends', async (test) => {
      if (isAlone()) return test.skip()
      const [a, b] = [await world.open(author('node-a')), await world.open(author('node-b'))]
      a.put([kv('before/1')], 5)
      await world.settle()
      const told: string[] = []
      const end = b.watch((batch) => told.push(...batch.facts.map((fact) => fact.key)))
      a.put([kv('during/1')], 5)
      await world.settle()
      end()
      a.put([kv('after/1')], 5)
      await world.settle()
      expect(told).toEqual(['during/1'])
      expect(await keys(b)).toEqual(['before/1', 'during/1', 'after/1'])
    })

    it('[ST10] a listener may write: what it writes arrives too', async (test) => {
      if (isAlone()) return test.skip()
      const [a, b] = [await world.open(author('node-a')), await world.open(author('node-b'))]
      b.watch((batch) => {
        for (const fact of batch.facts)
          if (fact.key.startsWith('ask/')) b.put([kv(`answer/${fact.key.slice(4)}`)], 6)
      })
      a.put([kv('ask/1')], 5)
      a.put([kv('ask/2')], 5)
      await world.settle()
      expect((await keys(a)).toSorted()).toEqual(['answer/1', 'answer/2', 'ask/1', 'ask/2'])
    })

    it('[ST10] no two members share an object', async (test) => {
      if (isAlone()) return test.skip()
      const [a, b] = [await world.open(author('node-a')), await world.open(author('node-b'))]
      const told: Batch[] = []
      b.watch((batch) => told.push(batch))
      const body = { list: [1] }
      const receipt = a.put([kv('a/1', body)], 5)
      await world.settle()
      body.list.push(2)
      ;(receipt.written[0]!.body as { list: number[] }).list.push(3)
      expect(told[0]?.facts[0]?.body).toEqual({ list: [1] })
    })

    it('[ST11] a member that was away gets what it missed', async (test) => {
      if (isAlone()) return test.skip()
      const [a, first] = [await world.open(author('node-a')), await world.open(author('node-b'))]
      a.put([kv('a/1')], 5)
      await world.settle()
      await first.close()
      a.put([kv('a/2')], 5)
      const second = await world.open(author('node-b'))
      a.put([kv('a/3')], 5)
      await world.settle()
      expect(await keys(second)).toEqual(['a/1', 'a/2', 'a/3'])
    })

    it('[ST12] close waits for what was put, may be called again, and ends all use', async () => {
      const store = await world.open(author())
      const states: string[] = []
      const receipt = store.put([kv('a/1')], 5)
      void receipt.durable.then(() => states.push('durable'))
      await Promise.all([store.close().then(() => states.push('closed')), store.close()])
      await store.close()
      expect(states).toEqual(['durable', 'closed'])
      expect(() => store.put([kv('a/2')], 5)).toThrow(expect.objectContaining({ code: 'ORCH_BUG' }))
      expect(() => store.facts()).toThrow(expect.objectContaining({ code: 'ORCH_BUG' }))
      expect(() => store.watch(() => {})).toThrow(expect.objectContaining({ code: 'ORCH_BUG' }))
      expect(await keys(await world.open(author()))).toEqual(['a/1'])
    })
  })
}
