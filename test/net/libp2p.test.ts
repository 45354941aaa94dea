/** The net over TCP keeps the contract; and what only it has: addresses, ports, other programs. */
import { type AddressInfo, connect, createServer } from 'node:net'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  GOSSIP_BYTES_MAX,
  GOSSIP_UNSENT_BYTES_MAX,
  PING_MS,
  PING_MS_MAX,
  STRANGER_IDLE_MS_MAX,
} from '../../src/core/limit.ts'
import { encodeAnswer, encodeHello, HELLO_PROTOCOL } from '../../src/net/hello.ts'
import { createLibp2pNet, type Libp2pOptions } from '../../src/net/libp2p.ts'
import { StreamChannel } from '../../src/net/libp2p-channel.ts'
import { messagesOver } from '../../src/net/message.ts'
import type { Net } from '../../src/net/net.ts'
import { codeOf, eventually, identity, netContract, TOPIC } from './contract.ts'

netContract('libp2p', () => ({
  open: ({ listen, ...options }) =>
    createLibp2pNet({
      name: options.identity.node.slice(-8),
      version: '1.2.3',
      listen: [listen ?? '/ip4/127.0.0.1/tcp/0'],
      topics: [TOPIC],
      ...options,
    }),
  // Port 1 of this machine: nobody listens there.
  deadAddress: ({ node }) => `/ip4/127.0.0.1/tcp/1/p2p/${node}`,
}))

describe('libp2p', () => {
  const nets: Net[] = []
  const open = async (n: number, options: Partial<Libp2pOptions> = {}): Promise<Net> => {
    const net = await createLibp2pNet({
      identity: identity(n),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      cluster: 'c1',
      name: `n${n}`,
      version: '1.0.0',
      topics: [TOPIC],
      ...options,
    })
    nets.push(net)
    net.admit(() => 'member')
    return net
  }
  const portOf = (net: Net): string => net.addresses()[0]!.split('/')[4]!

  afterEach(async () => {
    await Promise.all(nets.splice(0).map((net) => net.close()))
  })

  it('[NT16] addresses as people write them are dialled: host and port, a name, a multiaddr with and without its end', async () => {
    const [a, b] = [await open(1), await open(2)]
    const port = portOf(a)
    for (const address of [
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      `/dns4/localhost/tcp/${port}`,
      `/ip4/127.0.0.1/tcp/${port}`,
      a.addresses()[0]!,
    ])
      expect((await b.dial(address)).node).toBe(a.node)
    expect(await codeOf(b.dial(`127.0.0.1:${portOf(b)}`))).toBe('ORCH_USAGE')
    expect(b.peers()).toEqual([a.node])
  })

  it('[NT16] what is no address is said to be none', async () => {
    const b = await open(2)
    for (const bad of [
      '',
      'host',
      'host:0',
      'host:99999',
      '1.2.3.4:x',
      '/ip4/1.2.3.4',
      '/ip4/1.2.3.4/udp/5',
      '/ip4/300.2.3.4/tcp/5',
      '/ip4/1.2.3.4/tcp/0',
      '/ip4/1.2.3.4/tcp/5/p2p/nobody',
      '/ip4/1.2.3.4/tcp/5/p2p-circuit',
      '-x:5',
      'a b:5',
    ])
      expect([bad, await codeOf(b.dial(bad))]).toEqual([bad, 'ORCH_USAGE'])
  })

  it('[NT16] announced addresses are told instead of those listened on', async () => {
    const a = await open(1, { announce: ['node.example:7946'] })
    expect(a.addresses()).toEqual([`/dns4/node.example/tcp/7946/p2p/${a.node}`])
  })

  it('[NT17] a port that is taken is told as such, and the next one can be tried', async () => {
    const a = await open(1)
    expect(await codeOf(open(2, { listen: [`/ip4/127.0.0.1/tcp/${portOf(a)}`] }))).toBe('ORCH_PORT_TAKEN')
    expect(await codeOf(open(2, { listen: ['nonsense'] }))).toBe('ORCH_USAGE')
    expect((await open(2)).addresses()).toHaveLength(1)
  })

  it('[NT6] a machine that takes a connection and says nothing, or something else, is told apart', async () => {
    const b = await open(2)
    const servers = [
      createServer(() => undefined),
      createServer((socket) => {
        socket.on('error', () => undefined)
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      }),
    ]
    try {
      const ports = await Promise.all(
        servers.map(
          (server) =>
            new Promise<number>((resolve) => {
              server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
            }),
        ),
      )
      await expect(b.dial(`127.0.0.1:${ports[0]}`, { timeoutMs: 300 })).rejects.toThrow(
        /nobody answered within 300 ms/,
      )
      await expect(b.dial(`127.0.0.1:${ports[1]}`)).rejects.toThrow(/is no orch-node/)
    } finally {
      for (const server of servers) server.close()
    }
  })

  it('[NT3] a program that speaks libp2p, but not our hello, is no peer', async () => {
    const b = await open(2)
    const foreign = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    })
    try {
      const address = foreign.getMultiaddrs()[0]!.toString()
      await expect(b.dial(address)).rejects.toMatchObject({
        code: 'ORCH_PROTOCOL',
        message: expect.stringContaining('not the protocol of orch-node'),
      })
      await foreign.dial(multiaddr(b.addresses()[0]!))
      expect(b.peers()).toEqual([])
    } finally {
      await foreign.stop()
    }
  })

  /** A program that greets as a member does, and then does only what it is told to. */
  const foreign = async (): Promise<Libp2p> => {
    const node = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    })
    await node.handle(HELLO_PROTOCOL, async (stream, connection) => {
      const messages = messagesOver(new StreamChannel(stream, connection.remotePeer.toString(), ''))
      await messages.receive()
      await messages.send(encodeHello({ protocol: [1, 1], cluster: 'c1', version: '1.0.0', name: 'foreign' }))
      await messages.send(encodeAnswer('member'))
      await messages.receive()
      await messages.end()
    })
    return node
  }

  it('[NT19] a connection over which nothing comes back is closed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'] })
    const [a, b] = [await open(1), await open(2)]
    // Between the two: what goes through can stop without an end, as behind a cut cable.
    let isDark = false
    const pass = async (ms: number): Promise<void> => {
      for (let left = ms; left > 0; left -= 500) {
        vi.advanceTimersByTime(Math.min(left, 500))
        await new Promise((resume) => setImmediate(resume))
      }
    }
    const proxy = createServer((near) => {
      const far = connect({ host: '127.0.0.1', port: Number(portOf(a)) })
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('data', (bytes) => {
          if (!isDark) to.write(bytes)
        })
        from.on('error', () => to.destroy())
        from.on('close', () => to.destroy())
      }
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const { port } = proxy.address() as AddressInfo
    try {
      await b.dial(`/ip4/127.0.0.1/tcp/${port}/p2p/${a.node}`)
      await eventually(() => expect([a.peers(), b.peers()]).toEqual([[b.node], [a.node]]))
      // The first look measures the round trip, on both sides.
      await pass(PING_MS)
      await eventually(() => {
        expect(a.roundTripMs(b.node)).toBeDefined()
        expect(b.roundTripMs(a.node)).toBeDefined()
      })
      isDark = true
      await pass(PING_MS_MAX - 1)
      expect([a.peers(), b.peers()]).toEqual([[b.node], [a.node]])
      await pass(PING_MS * 2)
      await eventually(() => expect([a.peers(), b.peers()]).toEqual([[], []]))
    } finally {
      vi.useRealTimers()
      proxy.close()
    }
  })

  it('[NT18] a member whose gossip is dead while its connection lives is let go, to be connected anew', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const node = await foreign()
    try {
      const b = await open(2)
      await b.dial(node.getMultiaddrs()[0]!.toString())
      await eventually(() => expect(b.peers()).toHaveLength(1))
      vi.advanceTimersByTime(PING_MS)
      expect(b.peers()).toHaveLength(1)
      vi.advanceTimersByTime(PING_MS)
      await eventually(() => expect(b.peers()).toEqual([]))
    } finally {
      vi.useRealTimers()
      await node.stop()
    }
  })

  it('[NT18] a member that takes no gossip is let go before it fills the memory', async () => {
    const node = await foreign()
    try {
      const b = await open(2)
      b.subscribe(TOPIC, () => undefined)
      await node.handle('/meshsub/1.2.0', (stream) => stream.pause())
      await b.dial(node.getMultiaddrs()[0]!.toString())
      const topic = Buffer.from(`orch/c1/${TOPIC}`)
      const subscription = Buffer.concat([Buffer.of(0x08, 1, 0x12, topic.length), topic])
      const rpc = Buffer.concat([Buffer.of(0x0a, subscription.length), subscription])
      const stream = await node.getConnections()[0]!.newStream('/meshsub/1.2.0')
      stream.send(Buffer.concat([Buffer.of(rpc.length), rpc]))
      await eventually(async () => expect(await b.publish(TOPIC, Buffer.from(`${Math.random()}`))).toBe(1))
      let sent = 0
      for (; sent < 2_000 && b.peers().length > 0; sent++) {
        const bytes = new Uint8Array(GOSSIP_BYTES_MAX)
        new DataView(bytes.buffer).setUint32(0, sent)
        await b.publish(TOPIC, bytes)
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(b.peers()).toEqual([])
      expect(sent * GOSSIP_BYTES_MAX).toBeLessThan(GOSSIP_UNSENT_BYTES_MAX * 2)
    } finally {
      await node.stop()
    }
  })

  it('[NT18] a stranger without a purpose is let go', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
    try {
      const [a, b] = [await open(1), await open(2)]
      a.admit(() => 'stranger')
      await b.dial(a.addresses()[0]!)
      await eventually(() => expect(a.peers()).toEqual([b.node]))
      vi.advanceTimersByTime(STRANGER_IDLE_MS_MAX - PING_MS)
      expect(a.peers()).toEqual([b.node])
      vi.advanceTimersByTime(PING_MS * 3)
      await eventually(() => expect([a.peers(), b.peers()]).toEqual([[], []]))
    } finally {
      vi.useRealTimers()
    }
  })

  it('[NT18] a transport made of an identity that is none of ours is a bug', async () => {
    const { node, publicKey, sign } = identity(1)
    expect(await codeOf(open(1, { identity: { node, publicKey, sign } }))).toBe('ORCH_BUG')
  })
})
