/** What one peer may hand on, and what comes of one that goes beyond it. */
import { describe, expect, it } from 'vitest'
import {
  GOSSIP_PEER_BYTES,
  GOSSIP_PEER_BYTES_BURST,
  GOSSIP_PEER_DROPPED_MAX,
  GOSSIP_PEER_MESSAGES,
  GOSSIP_PEER_MESSAGES_BURST,
  PEER_FAULTS_MAX,
  PEER_REFUSED_MS,
} from '../../src/core/limit.ts'
import { Conduct } from '../../src/net/conduct.ts'
import { createGossip } from '../../src/net/gossip.ts'
import { encodeAnnounce, encodeFrame } from '../../src/net/gossip-message.ts'
import { GossipQuota } from '../../src/net/gossip-quota.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import type { GossipListener, Net } from '../../src/net/net.ts'
import type { ChainHead } from '../../src/net/replica.ts'
import type { Sync } from '../../src/net/sync.ts'
import { openBoard } from '../store/board.ts'
import { author as createAuthor, kv } from '../store/contract.ts'
import { identity } from './contract.ts'
import { createVirtualTime } from './virtual-time.ts'

describe('gossip', () => {
  it('[GO3] a burst passes, then the sustained rate; what is above is dropped', () => {
    const quota = new GossipQuota()
    for (let i = 0; i < GOSSIP_PEER_MESSAGES_BURST; i++) expect(quota.take('a', 200, 0)).toBe('pass')
    expect(quota.take('a', 200, 0)).toBe('drop')
    expect(quota.take('b', 200, 0)).toBe('pass')
    let passed = 0
    for (let i = 0; i < GOSSIP_PEER_MESSAGES * 2; i++) if (quota.take('a', 200, 1_000) === 'pass') passed++
    expect(passed).toBe(GOSSIP_PEER_MESSAGES)
  })

  it('[GO3] bytes are bounded too', () => {
    const quota = new GossipQuota()
    const piece = 64 * 1024
    let passed = 0
    while (quota.take('a', piece, 0) === 'pass') passed += piece
    expect(passed).toBe(GOSSIP_PEER_BYTES_BURST)
    passed = 0
    while (quota.take('a', piece, 1_000) === 'pass') passed += piece
    expect(passed).toBe(GOSSIP_PEER_BYTES)
  })

  it('[GO3] a run of 100,000 tasks by one author passes: 5,000 frames a second for a minute', () => {
    const quota = new GossipQuota()
    for (let i = 0; i < 300_000; i++) expect(quota.take('a', 2_000, i / 5)).toBe('pass')
  })

  it('[GO3] a peer that goes on in spite of it floods; one that calms down is forgiven', () => {
    const quota = new GossipQuota()
    for (let i = 0; i < GOSSIP_PEER_MESSAGES_BURST + GOSSIP_PEER_DROPPED_MAX; i++)
      expect(quota.take('a', 1, 0)).not.toBe('flood')
    expect(quota.take('a', 1, 0)).toBe('flood')
    expect(quota.take('a', 1, 60_000)).toBe('pass')
    for (let i = 0; i < GOSSIP_PEER_MESSAGES_BURST; i++) quota.take('a', 1, 60_000)
    expect(quota.take('a', 1, 60_000)).toBe('drop')
    quota.forget('a')
    expect(quota.take('a', 1, 60_000)).toBe('pass')
  })

  it('[GO4] what its author handed to all is not handed on; what came another way is, or when the author does not reach all', async () => {
    const [me, author, other] = [1, 2, 3].map((n) => identity(n).node) as [string, string, string]
    let hear: GossipListener = () => undefined
    const net = {
      ...createMemoryNetwork().join({ node: me }),
      members: () => [author, other],
      onPeer: () => () => {},
      subscribe: (_topic: string, listener: GossipListener) => {
        hear = listener
        return () => {}
      },
    } as unknown as Net
    const board = await openBoard({ author: { node: me, incarnation: createAuthor().incarnation } })
    const far = await openBoard({ author: { node: author, incarnation: createAuthor().incarnation } })
    const reached = new Set<string>()
    const sync = { pullRange: () => {} } as unknown as Sync
    const conduct = new Conduct({ net })
    const gossip = createGossip({
      net,
      replica: board.replica,
      sync,
      conduct,
      isHeardByAll: (node) => reached.has(node),
    })
    const frames: Uint8Array[] = []
    const heads: ChainHead[] = []
    far.replica.onOwnFrame((frame, head) => {
      frames.push(encodeFrame(frame))
      heads.push(head)
    })
    for (let i = 0; i < 3; i++) await far.store.put([kv(`k${i}`, null)], 5).durable
    expect(await hear(frames[0]!, author)).toBe(true)
    reached.add(author)
    expect(await hear(frames[1]!, author)).toBe(false)
    // The author's connection to the other one broke a moment ago, and somebody else hands it on.
    expect(await hear(frames[2]!, other)).toBe(true)
    expect(await hear(encodeAnnounce(heads[2]!), author)).toBe(false)
    expect(await hear(encodeAnnounce(heads[2]!), other)).toBe(true)
    expect(board.replica.digest()).toBe(far.replica.digest())
    gossip.close()
    await Promise.all([board.store.close(), far.store.close()])
  })

  it('[SY7] faults count for the span of a refusal; then the peer may come again', async () => {
    const time = createVirtualTime(1)
    const network = createMemoryNetwork({ timing: time })
    const [a, b] = [1, 2].map((n) => network.join({ node: identity(n).node }))
    for (const net of [a!, b!]) net.admit(() => 'member')
    const conduct = new Conduct({ net: a!, timing: time })
    const dial = async (): Promise<string> => {
      let result = ''
      b!.dial(a!.addresses()[0]!).then(
        () => (result = 'in'),
        (error: { code: string }) => (result = error.code),
      )
      await time.until(() => result !== '', 10_000)
      return result
    }
    expect(await dial()).toBe('in')
    for (let i = 1; i < PEER_FAULTS_MAX; i++) conduct.blame(b!.node, 'test')
    await time.pass(PEER_REFUSED_MS)
    conduct.blame(b!.node, 'long after')
    expect(a!.peers()).toEqual([b!.node])
    for (let i = 1; i < PEER_FAULTS_MAX; i++) conduct.blame(b!.node, 'test')
    expect(a!.peers()).toEqual([])
    expect(await dial()).toBe('ORCH_PEER_DENIED')
    await time.pass(PEER_REFUSED_MS)
    expect(await dial()).toBe('in')
  })
})
