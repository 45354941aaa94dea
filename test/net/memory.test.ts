/** The memory network keeps the contract, and does its faults as they were asked for. */
import { describe, expect, it } from 'vitest'
import { PING_MS_MAX } from '../../src/core/limit.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../src/net/memory.ts'
import type { Net } from '../../src/net/net.ts'
import { codeOf, identity, netContract, TOPIC } from './contract.ts'
import { createVirtualTime, type VirtualTime } from './virtual-time.ts'

netContract('memory', () => {
  const network = createMemoryNetwork()
  return {
    open: async ({ identity, listen: _, ...options }) => network.join({ node: identity.node, ...options }),
    deadAddress: ({ node }) => `/memory/${node}/p2p/${node}`,
  }
})

describe('faults of the memory network', () => {
  const open = async (seed: number): Promise<{ time: VirtualTime; network: MemoryNetwork; nets: Net[] }> => {
    const time = createVirtualTime(seed)
    const network = createMemoryNetwork({ seed, timing: time })
    const nets = [1, 2, 3].map((n) => network.join({ node: identity(n).node }))
    for (const net of nets) net.admit(() => 'member')
    for (const [i, net] of nets.entries())
      for (const other of nets.slice(0, i)) {
        let isUp = false
        void net.dial(other.addresses()[0]!).then(() => (isUp = true))
        await time.until(() => isUp)
      }
    return { time, network, nets }
  }

  it('[NT15] loss, doubling and overtaking happen as often as was asked for', async () => {
    const { time, network, nets } = await open(3)
    const [a, b] = nets as [Net, Net]
    network.setFaults({ loss: 0.3, duplicate: 0.2, reorder: 0.5, delayMs: [1, 2] })
    const heard: number[] = []
    b.subscribe(TOPIC, (bytes) => void heard.push(Number(Buffer.from(bytes).toString())))
    for (let i = 0; i < 1_000; i++) {
      await a.publish(TOPIC, Buffer.from(String(i)))
      await time.pass(2)
    }
    await time.pass(1_000)
    const distinct = new Set(heard).size
    expect(distinct).toBeGreaterThan(600)
    expect(distinct).toBeLessThan(800)
    expect(heard.length / distinct).toBeGreaterThan(1.1)
    expect(heard.some((n, i) => i > 0 && n < heard[i - 1]!)).toBe(true)
  })

  it('[NT15] a stream arrives whole and in order through all of them, and stands still over a short cut', async () => {
    const { time, network, nets } = await open(4)
    const [a, b] = nets as [Net, Net]
    network.setFaults({ loss: 0.3, duplicate: 0.5, reorder: 0.5, delayMs: [1, 50] })
    const heard: number[] = []
    let isOver = false
    b.handle('/test/count/1', async (channel) => {
      for await (const piece of channel.read()) heard.push(...piece)
      isOver = true
    })
    const channel = await a.open(b.node, '/test/count/1')
    for (let i = 0; i < 100; i++) await channel.write(Uint8Array.of(i))
    network.cut(a.node, b.node)
    for (let i = 100; i < 200; i++) await channel.write(Uint8Array.of(i))
    await time.pass(5_000)
    expect(heard.length).toBeLessThanOrEqual(100)
    network.heal()
    await channel.end()
    await time.until(() => isOver, 60_000)
    expect(heard).toEqual(Array.from({ length: 200 }, (_, i) => i))
  })

  it('[NT15] a long cut, also of one direction only, ends the connection on both sides', async () => {
    const { time, network, nets } = await open(5)
    const [a, b, c] = nets as [Net, Net, Net]
    network.cut(b.node, a.node)
    await time.pass(PING_MS_MAX + 100)
    expect(a.peers()).toEqual([c.node])
    expect(b.peers()).toEqual([c.node])
    const dialled = codeOf(a.dial(b.addresses()[0]!, { timeoutMs: 500 }))
    await time.pass(600)
    expect(await dialled).toBe('ORCH_PEER_UNREACHABLE')
  })

  it('[NT15] a dial can be given up', async () => {
    const { time, network, nets } = await open(6)
    const [a] = nets as [Net]
    const d = network.join({ node: identity(4).node })
    network.partition([[a.node], [d.node]])
    const controller = new AbortController()
    const dialled = codeOf(a.dial(d.addresses()[0]!, { signal: controller.signal }))
    await time.pass(10)
    controller.abort()
    expect(await dialled).toBe('ORCH_PEER_UNREACHABLE')
  })
})
