/** The memory store: the common contract, then what only its hub has, links that tests cut and heal. */
import { describe, expect, it } from 'vitest'
import { createPrng } from '../../src/core/prng.ts'
import { createMemoryHub, type MemoryHubOptions } from '../../src/store/memory.ts'
import type { CoordStore } from '../../src/store/store.ts'
import { author, collect, keys, kv, storeContract } from './contract.ts'

for (const deliver of ['sync', 'manual'] as const) {
  storeContract(`memory (${deliver})`, async () => {
    const hub = createMemoryHub({ deliver })
    return {
      hasPeers: true,
      open: async (author) => hub.open(author),
      settle: async () => {
        hub.deliver()
      },
      dispose: async () => {},
    }
  })
}

function trio(options?: MemoryHubOptions) {
  const hub = createMemoryHub(options)
  const stores = ['node-a', 'node-b', 'node-c'].map((node) => hub.open(author(node))) as [
    CoordStore,
    CoordStore,
    CoordStore,
  ]
  return { hub, stores }
}

describe('memory hub', () => {
  it('[ST11] a partition keeps commits inside; after heal everyone has everything, in author order', async () => {
    const { hub, stores } = trio()
    const [a, b, c] = stores
    hub.partition([['node-a', 'node-b'], ['node-c']])
    for (let i = 1; i <= 5; i++) for (const store of stores) store.put([kv(`${store.author.node}/${i}`)], i)
    expect(await keys(a)).toHaveLength(10)
    expect(await keys(c)).toHaveLength(5)
    hub.heal()
    for (const store of stores) {
      const batches = await collect(store.facts())
      expect(batches).toHaveLength(15)
      for (const { author } of [a, b, c]) {
        expect(batches.filter((batch) => batch.author.node === author.node).map((batch) => batch.n)).toEqual([
          1, 2, 3, 4, 5,
        ])
      }
    }
  })

  it('[ST11] a node in two groups carries commits between those that are not linked', async () => {
    const { hub, stores } = trio()
    hub.partition([
      ['node-a', 'node-b'],
      ['node-b', 'node-c'],
    ])
    stores[0].put([kv('from-a/1')], 5)
    expect(await keys(stores[2])).toEqual(['from-a/1'])
  })

  it('[ST11] what a member heard before its author left still reaches the others', async () => {
    const { hub, stores } = trio()
    hub.partition([['node-a', 'node-b']])
    stores[0].put([kv('last/1')], 5)
    await stores[0].close()
    hub.heal()
    expect(await keys(stores[2])).toEqual(['last/1'])
  })

  it('moves nothing by itself in manual mode, and no more than it is told to', async () => {
    const { hub, stores } = trio({ deliver: 'manual' })
    stores[0].put([kv('a/1')], 5)
    stores[0].put([kv('a/2')], 5)
    expect(await keys(stores[1])).toEqual([])
    expect(hub.deliver(1)).toBe(1)
    expect((await keys(stores[1])).length + (await keys(stores[2])).length).toBe(1)
    expect(hub.deliver()).toBe(3)
    expect(hub.deliver()).toBe(0)
    expect(await keys(stores[2])).toEqual(['a/1', 'a/2'])
  })

  it('[ST10] keeps author order whatever delivery is picked next, and repeats itself from a seed', async () => {
    const orders: string[] = []
    for (const seed of [1, 1, 2, 3]) {
      const prng = createPrng(seed)
      const { hub, stores } = trio({ deliver: 'manual', pick: (count) => Math.floor(prng.next() * count) })
      const told: string[] = []
      for (const store of stores) {
        const last = new Map<string, number>()
        store.watch((batch) => {
          expect(batch.n).toBe((last.get(batch.author.node) ?? 0) + 1)
          last.set(batch.author.node, batch.n)
          told.push(`${store.author.node}<${batch.author.node}${batch.n}`)
        })
        for (let i = 1; i <= 4; i++) store.put([kv(`k/${i}`)], i)
      }
      expect(hub.deliver()).toBe(24)
      orders.push(told.join(' '))
    }
    expect(orders[0]).toBe(orders[1])
    expect(new Set(orders).size).toBe(3)
  })
})
