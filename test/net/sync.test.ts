/**
 * Anti-entropy and gossip over real stores: under a virtual clock with loss, partitions and restarts, and over libp2p. What converges is the whole board, byte for byte.
 */
import { afterEach, describe, expect, it } from 'vitest'
import type { NodeId } from '../../src/core/id.ts'
import { GOSSIP_BYTES_MAX, PEER_FAULTS_MAX, SYNC_WANTS_MAX } from '../../src/core/limit.ts'
import { Conduct } from '../../src/net/conduct.ts'
import { BOARD_TOPIC, createGossip, type Gossip } from '../../src/net/gossip.ts'
import { encodeFrame } from '../../src/net/gossip-message.ts'
import { createLibp2pNet } from '../../src/net/libp2p.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../src/net/memory.ts'
import { messagesOver } from '../../src/net/message.ts'
import type { Net } from '../../src/net/net.ts'
import { createSync, SYNC_PROTOCOL, type Sync } from '../../src/net/sync.ts'
import { encodeAnswer, readRequest } from '../../src/net/sync-message.ts'
import type { Timing } from '../../src/net/timing.ts'
import { createMemoryDisk, type MemoryDisk } from '../../src/store/memory-disk.ts'
import { type Board, collectBytes, openBoard, Scribe } from '../store/board.ts'
import { author, collect, kv } from '../store/contract.ts'
import { eventually, identity as netIdentity } from './contract.ts'
import { createVirtualTime, type VirtualTime } from './virtual-time.ts'

interface Member {
  readonly node: NodeId
  readonly net: Net
  readonly board: Board
  readonly sync: Sync
  readonly gossip: Gossip | undefined
  readonly faults: string[]
  close(): Promise<void>
}

interface MemberOptions {
  readonly timing?: Timing
  readonly gossip?: boolean
  readonly medium?: MemoryDisk
  /** Of the author; default: never used before. */
  readonly incarnation?: string
}

async function createMember(net: Net, options: MemberOptions = {}): Promise<Member> {
  net.admit(() => 'member')
  const { incarnation = author().incarnation } = options
  const by = { node: net.node, incarnation }
  const board = await openBoard({ author: by, ...(options.medium ? { medium: options.medium } : {}) })
  const faults: string[] = []
  const timing = options.timing ? { timing: options.timing } : {}
  const conduct = new Conduct({ net, ...timing, onFault: (_, reason) => faults.push(reason) })
  const shared = { net, replica: board.replica, conduct, ...timing }
  const sync = createSync(shared)
  const gossip = options.gossip === false ? undefined : createGossip({ ...shared, sync })
  return {
    node: net.node,
    net,
    board,
    sync,
    gossip,
    faults,
    async close() {
      gossip?.close()
      await Promise.all([sync.close(), net.close()])
      await board.store.close()
    },
  }
}

/** One commit, one frame. */
async function write(member: Member, key: string, body: string | null = null): Promise<void> {
  await member.board.store.put([kv(key, body)], 5).durable
}

function same(members: readonly Member[]): boolean {
  return new Set(members.map(({ board }) => board.replica.digest())).size === 1
}

function frames(member: Member): number {
  return member.board.replica
    .docs()
    .flatMap(({ doc }) => member.board.replica.heads(doc))
    .reduce((sum, { n }) => sum + n, 0)
}

describe('sync under a virtual clock', () => {
  const running: Member[] = []
  let time: VirtualTime
  let network: MemoryNetwork

  const start = (seed: number): void => {
    time = createVirtualTime(seed)
    network = createMemoryNetwork({ seed, timing: time })
  }
  const join = async (n: number, options: Omit<MemberOptions, 'timing'> = {}): Promise<Member> => {
    const net = network.join({ node: netIdentity(n).node, cluster: 'c1' })
    const member = await createMember(net, { timing: time, ...options })
    running.push(member)
    return member
  }
  const connect = async (a: Member, b: Member): Promise<void> => {
    let isUp = false
    const dialled = a.net.dial(b.net.addresses()[0]!).then(() => (isUp = true))
    await time.until(() => isUp)
    await dialled
  }
  const mesh = async (members: readonly Member[]): Promise<void> => {
    for (const [i, member] of members.entries())
      for (const other of members.slice(0, i)) await connect(member, other)
  }

  afterEach(async () => {
    const closing = Promise.all(running.splice(0).map((member) => member.close()))
    await time.pass(60_000)
    await closing
  })

  it('[SY2] two boards that connect are the same soon, without gossip', async () => {
    start(1)
    const [a, b] = [await join(1, { gossip: false }), await join(2, { gossip: false })]
    for (let i = 0; i < 50; i++) await write(a, `a${i}`)
    for (let i = 0; i < 30; i++) await write(b, `b${i}`)
    await connect(a, b)
    await time.until(() => same([a, b]), 1_000)
    expect(frames(a)).toBe(80)
    expect((await collect(a.board.store.facts())).length).toBe((await collect(b.board.store.facts())).length)
    await time.until(() => a.sync.syncedWith(b.node) !== undefined, 1_000)
    expect(a.sync.syncedWith(b.node)).toBeLessThanOrEqual(time.now())
  })

  it('[SY3] without gossip at all, what is written later comes with the rounds', async () => {
    start(2)
    const members = await Promise.all([1, 2, 3].map((n) => join(n, { gossip: false })))
    await mesh(members)
    await time.until(() => same(members))
    for (let i = 0; i < 100; i++) await write(members[i % 3]!, `later ${i}`)
    await time.until(() => same(members) && frames(members[0]!) === 100, 60_000)
  })

  it('[SY10] who says that it has the same is not asked, until it says otherwise or says nothing', async () => {
    start(12)
    const [a, b] = [await join(1, { gossip: false }), await join(2, { gossip: false })]
    let asked = 0
    const open = a.net.open.bind(a.net)
    a.net.open = (...args) => {
      asked++
      return open(...args)
    }
    const spend = async (seconds: number, digest?: string): Promise<number> => {
      const before = asked
      for (let i = 0; i < seconds; i++) {
        if (digest !== undefined) a.sync.heard(b.node, digest)
        await time.pass(1_000)
      }
      return asked - before
    }
    await write(b, 'first')
    await connect(a, b)
    await time.until(() => same([a, b]), 1_000)
    const before = b.board.replica.digest()
    expect(await spend(60, before)).toBe(0)
    expect(time.now() - a.sync.syncedWith(b.node)!).toBeLessThan(6_000)
    // Its word is a moment old, and then too old.
    await write(b, 'second')
    expect(await spend(20)).toBeGreaterThan(1)
    expect(same([a, b])).toBe(true)
    await write(b, 'third')
    expect(await spend(20, b.board.replica.digest())).toBe(1)
    expect(same([a, b])).toBe(true)
  })

  it('[SY3] 3 nodes, 2,000 frames, 30 % loss, a partition and a restart in the middle: all the same', async () => {
    for (const seed of [3, 4]) {
      start(seed)
      network.setFaults({ loss: 0.3, delayMs: [1, 40], duplicate: 0.1, reorder: 0.2 })
      const medium = createMemoryDisk()
      const members = [await join(1), await join(2), await join(3, { medium })]
      await mesh(members)
      for (let i = 0; i < 2_000; i++) {
        await write(members[i % 3]!, `k${i}`)
        if (i % 10 === 0) await time.pass(5)
        if (i === 500) network.partition([[members[0]!.node], [members[1]!.node, members[2]!.node]])
        if (i === 900) {
          network.heal()
          await mesh(members)
        }
        if (i === 1_200) {
          const old = members[2]!
          const closing = old.close()
          await time.pass(1_000)
          await closing
          running.splice(running.indexOf(old), 1)
          members[2] = await join(3, { medium })
          await mesh(members)
        }
      }
      await time.until(() => same(members), 5 * 60_000)
      expect(members.map(frames)).toEqual([2_000, 2_000, 2_000])
      expect(members.flatMap(({ faults }) => faults)).toEqual([])
      const closing = Promise.all(running.splice(0).map((member) => member.close()))
      await time.pass(60_000)
      await closing
    }
  }, 120_000)

  it('[SY3] a bridge between two halves carries everything across', async () => {
    start(5)
    const [a, bridge, c] = [await join(1), await join(2), await join(3)]
    network.partition([
      [a.node, bridge.node],
      [bridge.node, c.node],
    ])
    await connect(a, bridge)
    await connect(c, bridge)
    for (let i = 0; i < 40; i++) await write(i % 2 ? a : c, `k${i}`)
    await time.until(() => same([a, bridge, c]) && frames(a) === 40, 60_000)
  })

  it('[SY4] a gap is pulled at once, not with the next round', async () => {
    start(6)
    const [a, b] = [await join(1), await join(2)]
    await connect(a, b)
    await write(a, 'one')
    await time.until(() => same([a, b]), 100)
    network.setFaultsBetween(a.node, b.node, { loss: 1 })
    await write(a, 'lost')
    network.setFaultsBetween(a.node, b.node, undefined)
    const before = time.now()
    await write(a, 'three')
    await time.until(() => same([a, b]), 1_000)
    expect(frames(b)).toBe(3)
    expect(time.now() - before).toBeLessThan(1_000)
  })

  it('[GO2] a frame too long for gossip is announced and pulled', async () => {
    start(7)
    const [a, b, c] = [await join(1), await join(2), await join(3)]
    await mesh([a, b, c])
    await time.pass(1_000)
    const sent: number[] = []
    c.net.subscribe(BOARD_TOPIC, (bytes) => void sent.push(bytes.length))
    const before = time.now()
    await write(a, 'big', 'x'.repeat(GOSSIP_BYTES_MAX))
    await time.until(() => same([a, b, c]), 1_000)
    expect(time.now() - before).toBeLessThan(1_000)
    expect(sent.length).toBeGreaterThan(0)
    expect(Math.max(...sent)).toBeLessThan(300)
  })

  it('[SY5] a first sync says when one member was taken from completely, or that nobody is there', async () => {
    start(8)
    const [a, b] = [await join(1, { gossip: false }), await join(2, { gossip: false })]
    for (let i = 0; i < 20; i++) await write(a, `k${i}`)
    const first = b.sync.firstSync(5_000)
    const alone = a.sync.firstSync(50)
    await time.pass(60)
    expect(await alone).toEqual({ type: 'alone' })
    await connect(b, a)
    await time.until(() => b.sync.syncedWith(a.node) !== undefined, 1_000)
    expect(await first).toEqual({ type: 'synced', with: a.node })
    expect(await b.sync.firstSync(5_000)).toEqual({ type: 'synced', with: a.node })
    expect(frames(b)).toBe(20)
  })

  it('[SY5] a member that is there and answers nothing leaves a node behind, not waiting', async () => {
    start(9)
    const a = await join(1)
    const mute = network.join({ node: netIdentity(2).node, cluster: 'c1' })
    mute.admit(() => 'member')
    mute.handle(SYNC_PROTOCOL, () => new Promise(() => undefined))
    let isUp = false
    const dialled = a.net.dial(mute.addresses()[0]!).then(() => (isUp = true))
    await time.until(() => isUp)
    await dialled
    const first = a.sync.firstSync(5_000)
    await time.pass(6_000)
    expect(await first).toEqual({ type: 'behind' })
    await mute.close()
  })

  it('[SY6] two stories of one author of the same length: both nodes see the proof and end the chain at one place', async () => {
    start(10)
    const [a, b] = [await join(1, { gossip: false }), await join(2, { gossip: false })]
    const liar = new Scribe()
    for (let i = 0; i < 10; i++) liar.write(`common ${i}`)
    const other = liar.fork(10)
    for (let i = 0; i < 6; i++) {
      liar.write(`one ${i}`)
      other.write(`two ${i}`)
    }
    for (const frame of liar.frames) await a.board.replica.ingest(frame.bytes)
    for (const frame of other.frames) await b.board.replica.ingest(frame.bytes)
    expect([frames(a), frames(b)]).toEqual([16, 16])
    await connect(a, b)
    await time.until(() => same([a, b]), 60_000)
    expect([frames(a), frames(b)]).toEqual([10, 10])
    expect(a.board.replica.proofs()).toHaveLength(1)
    expect(b.board.replica.proofs()).toHaveLength(1)
    expect([...a.faults, ...b.faults]).toEqual([])
  })

  it('[SY6] two stories of different length, and a third node that saw only one: the proof reaches all', async () => {
    start(11)
    const [a, b, c] = [
      await join(1, { gossip: false }),
      await join(2, { gossip: false }),
      await join(3, { gossip: false }),
    ]
    const liar = new Scribe()
    for (let i = 0; i < 5; i++) liar.write(`common ${i}`)
    const other = liar.fork(5)
    for (let i = 0; i < 3; i++) liar.write(`one ${i}`)
    for (let i = 0; i < 9; i++) other.write(`two ${i}`)
    for (const frame of liar.frames) {
      await a.board.replica.ingest(frame.bytes)
      await c.board.replica.ingest(frame.bytes)
    }
    for (const frame of other.frames) await b.board.replica.ingest(frame.bytes)
    await connect(a, b)
    await connect(c, a)
    await time.until(
      () => same([a, b, c]) && [a, b, c].every(({ board }) => board.replica.proofs().length === 1),
      5 * 60_000,
    )
    expect([frames(a), frames(b), frames(c)]).toEqual([5, 5, 5])
  })

  it('[SY7] what a node signed itself never, told by a member, is counted against that member, who is refused in the end', async () => {
    start(12)
    const [a, b] = [await join(1), await join(2, { gossip: false })]
    await connect(a, b)
    await time.pass(1_000)
    const scribe = new Scribe()
    const frame = scribe.write('forged')
    for (let i = 0; i < PEER_FAULTS_MAX; i++) {
      const bad = frame.bytes.slice()
      bad[bad.length - 1 - i]! ^= 1
      await b.net.publish(BOARD_TOPIC, encodeFrame(bad))
    }
    await time.until(() => a.net.peers().length === 0, 10_000)
    expect(a.faults).toHaveLength(PEER_FAULTS_MAX)
    expect(frames(a)).toBe(0)
    let refused = ''
    const dialled = b.net
      .dial(a.net.addresses()[0]!)
      .catch((error: { code: string }) => (refused = error.code))
    await time.pass(6_000)
    await dialled
    expect(refused).toBe('ORCH_PEER_DENIED')
  })

  it('[SY7] a member that serves forged frames, or nonsense, is found out and changes nothing', async () => {
    start(13)
    const a = await join(1)
    const rogue = network.join({ node: netIdentity(2).node, cluster: 'c1' })
    rogue.admit(() => 'member')
    const scribe = new Scribe()
    const frame = scribe.write('x')
    const forged = frame.bytes.slice()
    forged[forged.length - 1]! ^= 1
    const head = { ...scribe.id, n: 1, head: 'cd'.repeat(32) }
    rogue.handle(SYNC_PROTOCOL, async (channel) => {
      const messages = messagesOver(channel, { timing: time })
      for (let bytes = await messages.receive(); bytes; bytes = await messages.receive()) {
        const request = readRequest(bytes)
        if (request?.type === 'compare')
          await messages.send(
            encodeAnswer({
              type: 'docs',
              more: false,
              docs: [{ doc: scribe.id.doc, digest: 'ef'.repeat(32) }],
            }),
          )
        else if (request?.type === 'heads')
          await messages.send(encodeAnswer({ type: 'heads', more: false, heads: [head] }))
        else if (request?.type === 'ranges')
          await messages.send(encodeAnswer({ type: 'frames', more: true, index: 0, frames: [forged] }))
        else await messages.send(Uint8Array.of(250, 1, 2, 3))
      }
    })
    let isUp = false
    const dialled = a.net.dial(rogue.addresses()[0]!).then(() => (isUp = true))
    await time.until(() => isUp)
    await dialled
    await time.until(() => a.faults.length > 0, 60_000)
    expect(frames(a)).toBe(0)
    expect(a.sync.syncedWith(rogue.node)).toBeUndefined()
    await rogue.close()
  })

  it('[SY8] many wishes at once make one session, and are bounded', async () => {
    start(14)
    const [a, b] = [await join(1, { gossip: false }), await join(2, { gossip: false })]
    for (let i = 0; i < 10; i++) await write(a, `k${i}`)
    let sessions = 0
    a.net.handle(SYNC_PROTOCOL, async (channel) => {
      sessions++
      channel.abort('not now')
    })
    await connect(b, a)
    await time.pass(100)
    const before = sessions
    const chain = a.board.replica.heads(a.board.replica.docs()[0]!.doc)[0]!
    for (let i = 0; i < SYNC_WANTS_MAX * 3; i++) {
      b.sync.pull(a.node)
      b.sync.pullRange({ chain: { ...chain, doc: `d${i}` }, from: 1, to: 5 }, a.node)
    }
    await time.pass(100)
    expect(sessions - before).toBeLessThanOrEqual(2)
    expect(sessions - before).toBeGreaterThan(0)
  })

  it('[SY9] the same seed gives the same run', async () => {
    const traces: string[] = []
    for (let run = 0; run < 2; run++) {
      start(99)
      network.setFaults({ loss: 0.2, delayMs: [1, 30], duplicate: 0.2, reorder: 0.3 })
      // Names of lives go into the bytes, and a clock of Yjs takes one byte more for some.
      const members = await Promise.all(
        [1, 2, 3].map((n) => join(n, { incarnation: `01JE000000000000000000000${n}` })),
      )
      const trace: string[] = []
      for (const { net, node } of members)
        net.subscribe(
          BOARD_TOPIC,
          (bytes, from) => void trace.push(`${time.now()} ${node} ${from} ${bytes.length}`),
        )
      await mesh(members)
      for (let i = 0; i < 60; i++) {
        await write(members[i % 3]!, `k${i}`)
        await time.pass(3)
      }
      await time.until(() => same(members), 60_000)
      traces.push(trace.join('\n'), String(time.now()))
      const closing = Promise.all(running.splice(0).map((member) => member.close()))
      await time.pass(60_000)
      await closing
    }
    expect(traces[0]!.length).toBeGreaterThan(1_000)
    expect(traces.slice(2)).toEqual(traces.slice(0, 2))
  })
})

describe('sync over libp2p', () => {
  const running: Member[] = []
  const open = (n: number, listen = '/ip4/127.0.0.1/tcp/0'): Promise<Net> =>
    createLibp2pNet({
      identity: netIdentity(n),
      listen: [listen],
      cluster: 'c1',
      name: `n${n}`,
      version: '1.0.0',
      topics: [BOARD_TOPIC],
    })
  const join = async (n: number, options: MemberOptions = {}): Promise<Member> => {
    const member = await createMember(await open(n), options)
    running.push(member)
    return member
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((member) => member.close()))
  })

  it.each([true, false])(
    '[SY3] 3 nodes, 2,000 frames, one restarts in the middle, gossip %s',
    async (gossip) => {
      const medium = createMemoryDisk()
      const members = [
        await join(1, { gossip }),
        await join(2, { gossip }),
        await join(3, { gossip, medium }),
      ]
      const mesh = async (): Promise<void> => {
        for (const [i, member] of members.entries())
          for (const other of members.slice(0, i)) await member.net.dial(other.net.addresses()[0]!)
      }
      await mesh()
      for (let i = 0; i < 2_000; i++) {
        await write(members[i % 3]!, `k${i}`)
        if (i === 1_000) {
          await running.splice(running.indexOf(members[2]!), 1)[0]!.close()
          members[2] = await join(3, { gossip, medium })
          await mesh()
        }
      }
      await eventually(() => expect(same(members)).toBe(true))
      expect(members.map(frames)).toEqual([2_000, 2_000, 2_000])
      expect(members.flatMap(({ faults }) => faults)).toEqual([])
    },
  )

  it('[SY2] a fresh node takes 20 MB in bounded pieces', async () => {
    const a = await join(1, { gossip: false })
    for (let i = 0; i < 40; i++) await write(a, `k${i}`, 'y'.repeat(500_000))
    const b = await join(2, { gossip: false })
    await b.net.dial(a.net.addresses()[0]!)
    expect(await b.sync.firstSync(30_000)).toEqual({ type: 'synced', with: a.node })
    expect(same([a, b])).toBe(true)
    const [chain] = b.board.replica.heads('run-1')
    expect(await collectBytes(b.board.replica.range(chain!, 1, 40))).toHaveLength(40)
  })
})
