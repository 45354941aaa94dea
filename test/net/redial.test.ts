/** The redial loop under a virtual clock: everybody is connected again, however long it was away, and nobody is asked too often. */
import { afterEach, describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/core/id.ts'
import {
  CONNECT_ALL_MAX,
  CONNECT_SOME,
  PING_MS_MAX,
  REDIAL_MS_MAX,
  REDIAL_MS_MIN,
} from '../../src/core/limit.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../src/net/memory.ts'
import type { Net } from '../../src/net/net.ts'
import { createRedial, type Redial, type RedialOptions } from '../../src/net/redial.ts'
import { identity } from './contract.ts'
import { createVirtualTime, type VirtualTime } from './virtual-time.ts'

describe('redial', () => {
  const loops: Redial[] = []
  let time: VirtualTime
  let network: MemoryNetwork

  const start = (seed = 1): void => {
    time = createVirtualTime(seed)
    network = createMemoryNetwork({ seed, timing: time })
  }
  const join = (n: number): Net => {
    const net = network.join({ node: identity(n).node })
    net.admit(() => 'member')
    return net
  }
  const loop = (net: Net, members: readonly NodeId[], options: Partial<RedialOptions> = {}): Redial => {
    const redial = createRedial({ net, members: () => members, timing: time, ...options })
    loops.push(redial)
    return redial
  }
  /** Counts the dials of a net. */
  const counted = (net: Net): { net: Net; dials: NodeId[] } => {
    const dials: NodeId[] = []
    const dial = net.dial.bind(net)
    net.dial = (address, options) => {
      dials.push(options!.expected!)
      return dial(address, options)
    }
    return { net, dials }
  }

  afterEach(() => {
    for (const each of loops.splice(0)) each.close()
  })

  it('[RD1] every member whose address is learnt is connected, and connected again when it comes back after an hour', async () => {
    start()
    const [a, b, c] = [join(1), join(2), join(3)]
    const members = [a.node, b.node, c.node]
    const redial = loop(a, members)
    await time.pass(1_000)
    expect(a.peers()).toEqual([])
    redial.learn(b.node, b.addresses())
    redial.learn(c.node, c.addresses())
    await time.until(() => a.peers().length === 2, 1_000)
    await b.close()
    await time.pass(60 * 60_000)
    expect(a.peers()).toEqual([c.node])
    join(2)
    await time.until(() => a.peers().length === 2, REDIAL_MS_MAX * 1.5)
  })

  it('[RD1] a cut line heals: found by the ping, redialled until it is there again', async () => {
    start()
    const [a, b] = [join(1), join(2)]
    loop(a, [b.node]).learn(b.node, b.addresses())
    await time.until(() => a.peers().length === 1)
    network.partition([[a.node], [b.node]])
    await time.until(() => a.peers().length === 0, PING_MS_MAX + 1_000)
    await time.pass(60_000)
    network.heal()
    await time.until(() => a.peers().length === 1, REDIAL_MS_MAX * 2)
  })

  it('[RD2] the spans between two dials grow from one second to half a minute, and begin anew after a wake', async () => {
    start()
    const { net: a, dials } = counted(join(1))
    const redial = loop(a, [identity(9).node])
    redial.learn(identity(9).node, [`/memory/${identity(9).node}`])
    await time.pass(8_000)
    expect(dials.length).toBeGreaterThanOrEqual(3)
    await time.pass(5 * 60_000)
    const before = dials.length
    await time.pass(10 * 60_000)
    expect(dials.length - before).toBeGreaterThanOrEqual(15)
    expect(dials.length - before).toBeLessThanOrEqual(28)
    const woken = dials.length
    redial.wake()
    await time.pass(100)
    expect(dials.length).toBe(woken + 1)
    await time.pass(4_000)
    expect(dials.length).toBeGreaterThanOrEqual(woken + 3)
  })

  it('[RD3] refused where it answered before is told, at once; refused where it never answered is not', async () => {
    start()
    const [a, b] = [join(1), join(2)]
    const refused: [NodeId, number][] = []
    const never = identity(9).node
    const redial = loop(a, [b.node, never], { onRefused: (node) => refused.push([node, time.now()]) })
    redial.learn(never, [`/memory/${never}`])
    redial.learn(b.node, b.addresses())
    await time.until(() => a.peers().length === 1)
    await time.pass(60_000)
    expect(refused).toEqual([])
    const closedAt = time.now()
    await b.close()
    await time.pass(REDIAL_MS_MIN / 2)
    expect(refused.map(([node]) => node)).toEqual([b.node])
    expect(refused[0]![1] - closedAt).toBeLessThan(100)
  })

  it('[RD3] who came in by itself is dialled once at its own address, so that a refusal there is told', async () => {
    start()
    const [{ net: a, dials }, b] = [counted(join(1)), join(2)]
    const refused: NodeId[] = []
    const redial = loop(a, [b.node], { onRefused: (node) => refused.push(node) })
    const came = b.dial(a.addresses()[0]!)
    await time.until(() => a.peers().length === 1)
    await came
    redial.learn(b.node, b.addresses())
    await time.pass(60_000)
    expect(dials).toHaveLength(1)
    await b.close()
    await time.pass(1_000)
    expect(refused[0]).toBe(b.node)
  })

  it('[RD3] silence is not told as a refusal', async () => {
    start()
    const [a, b] = [join(1), join(2)]
    const refused: NodeId[] = []
    loop(a, [b.node], { onRefused: (node) => refused.push(node) }).learn(b.node, b.addresses())
    await time.until(() => a.peers().length === 1)
    network.partition([[a.node], [b.node]])
    await time.pass(120_000)
    expect(a.peers()).toEqual([])
    expect(refused).toEqual([])
  })

  it('[RD4] in a large cluster a few at random are connected, and those that are needed', async () => {
    start(5)
    const a = join(0)
    const others = Array.from({ length: CONNECT_ALL_MAX + 20 }, (_, i) => join(i + 1))
    const redial = loop(a, [a.node, ...others.map(({ node }) => node)])
    for (const other of others) redial.learn(other.node, other.addresses())
    await time.pass(10_000)
    expect(a.peers().length).toBeGreaterThanOrEqual(CONNECT_SOME)
    expect(a.peers().length).toBeLessThan(CONNECT_SOME + 4)
    const needed = others.find(({ node }) => !a.peers().includes(node))!
    const undo = redial.need(needed.node)
    await time.until(() => a.peers().includes(needed.node), 1_000)
    undo()
    for (const node of a.peers().slice(0, 5)) await others.find((other) => other.node === node)!.close()
    await time.until(() => a.peers().length >= CONNECT_SOME, 60_000)
  })

  it('[RD5] who does not let this node in is asked seldom; who is no member any more not at all', async () => {
    start()
    const { net: a, dials } = counted(join(1))
    const b = network.join({ node: identity(2).node })
    const members = [b.node]
    const faults: unknown[] = []
    const redial = loop(a, members, { onFault: (_, error) => faults.push(error) })
    redial.learn(b.node, b.addresses())
    await time.pass(20_000)
    expect(dials).toHaveLength(1)
    expect(faults).toMatchObject([{ code: 'ORCH_PEER_DENIED' }])
    await time.pass(100_000)
    expect(dials.length).toBeLessThan(7)
    members.length = 0
    redial.review()
    const before = dials.length
    await time.pass(10 * 60_000)
    expect(dials.length).toBe(before)
  })
})
