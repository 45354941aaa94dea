/**
 * The contract of the net edge, run against every implementation: who is connected, what a hello lets through, gossip among members, and streams with back-pressure.
 */
import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { isOrchError } from '../../src/core/error.ts'
import { GOSSIP_BYTES_MAX } from '../../src/core/limit.ts'
import { type Identity, identityFromSeed } from '../../src/net/identity.ts'
import type { Channel, Net, Standing } from '../../src/net/net.ts'

export interface NetOptions {
  readonly identity: Identity
  readonly cluster?: string
  readonly name?: string
  readonly version?: string
  readonly protocol?: readonly [number, number]
  /** As it listened before, for a peer that comes back. */
  readonly listen?: string
}

export interface NetWorld {
  open(options: NetOptions): Promise<Net>
  /** An address where a machine answers and nobody listens, of a node that does not run. */
  deadAddress(identity: Identity): string
}

export function identity(n: number): Identity {
  return identityFromSeed(new Uint8Array(createHash('sha256').update(`net ${n}`).digest()))
}

export const TOPIC = 'board'
const ECHO = '/test/echo/1'

export async function eventually(what: () => void | Promise<void>): Promise<void> {
  await vi.waitFor(what, { timeout: 20_000, interval: 10 })
}

export async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'no error',
    (error: unknown) => (isOrchError(error) ? error.code : `not ours: ${String(error)}`),
  )
}

async function textOf(channel: Channel): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of channel.read()) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

async function echo(channel: Channel): Promise<void> {
  for await (const piece of channel.read()) await channel.write(piece)
}

export function netContract(name: string, createWorld: () => NetWorld): void {
  describe(`net contract: ${name}`, () => {
    const world = createWorld()
    const nets: Net[] = []
    const make = async (n: number, options: Omit<NetOptions, 'identity'> = {}): Promise<Net> => {
      const net = await world.open({ identity: identity(n), cluster: 'c1', ...options })
      nets.push(net)
      return net
    }
    const member = async (n: number, options: Omit<NetOptions, 'identity'> = {}): Promise<Net> => {
      const net = await make(n, options)
      net.admit(() => 'member')
      return net
    }
    const pair = async (): Promise<[Net, Net]> => {
      const [a, b] = [await member(1), await member(2)]
      await b.dial(a.addresses()[0]!)
      await eventually(() => expect(a.peers()).toEqual([b.node]))
      return [a, b]
    }

    afterEach(async () => {
      await Promise.all(nets.splice(0).map((net) => net.close()))
    })

    it('[NT1] a dial resolves when both hellos are through, and both sides tell of the peer', async () => {
      const [a, b] = [await member(1), await member(2)]
      const told: string[] = []
      a.onPeer((node, state) => told.push(`a: ${node} ${state}`))
      b.onPeer((node, state) => told.push(`b: ${node} ${state}`))
      const dialled = await b.dial(a.addresses()[0]!)
      expect(dialled).toEqual({ node: a.node, address: a.addresses()[0], standing: 'member' })
      expect(b.peers()).toEqual([a.node])
      expect(b.members()).toEqual([a.node])
      expect(b.roundTripMs(a.node)).toBeGreaterThanOrEqual(0)
      await eventually(() => expect(told.sort()).toEqual([`a: ${b.node} up`, `b: ${a.node} up`]))
      await b.close()
      await eventually(() => expect(told).toContain(`a: ${b.node} down`))
      expect(a.peers()).toEqual([])
    })

    it('[NT1] each address names the node; dialling it twice, or from both sides at once, leaves both connected', async () => {
      const [a, b] = [await member(1), await member(2)]
      for (const address of a.addresses()) expect(address.endsWith(`/p2p/${a.node}`)).toBe(true)
      await Promise.all([a.dial(b.addresses()[0]!), b.dial(a.addresses()[0]!), b.dial(a.addresses()[0]!)])
      await eventually(() => expect([a.peers(), b.peers()]).toEqual([[b.node], [a.node]]))
      a.handle(ECHO, echo)
      const channel = await b.open(a.node, ECHO)
      await channel.write(Buffer.from('still there'))
      await channel.end()
      expect(await textOf(channel)).toBe('still there')
    })

    it('[NT1] who came in by itself can be dialled anew at its own address; what is under way goes on', async () => {
      const [a, b] = [await member(1), await member(2)]
      const told: string[] = []
      await b.dial(a.addresses()[0]!)
      await eventually(() => expect(a.peers()).toEqual([b.node]))
      a.onPeer((_, state) => told.push(state))
      a.handle(ECHO, echo)
      const channel = await b.open(a.node, ECHO)
      await channel.write(Buffer.from('before '))
      expect(await a.dial(b.addresses()[0]!, { anew: true })).toMatchObject({ node: b.node })
      await channel.write(Buffer.from('and after'))
      await channel.end()
      expect(await textOf(channel)).toBe('before and after')
      expect([a.peers(), b.peers()]).toEqual([[b.node], [a.node]])
      expect(told).not.toContain('down')
    })

    it('[NT2] before anybody is admitted everybody is denied, and the other side hears it', async () => {
      const [a, b] = [await make(1), await member(2)]
      expect(await codeOf(b.dial(a.addresses()[0]!))).toBe('ORCH_PEER_DENIED')
      expect(await codeOf(a.dial(b.addresses()[0]!))).toBe('ORCH_PEER_DENIED')
      expect([a.peers(), b.peers()]).toEqual([[], []])
    })

    it('[NT3] a node of another cluster is refused, in words, on both sides; one without a cluster is not', async () => {
      const [a, other, none] = [
        await member(1),
        await member(2, { cluster: 'c2', name: 'beta' }),
        await member(3, { cluster: undefined as never }),
      ]
      expect(await codeOf(a.dial(other.addresses()[0]!))).toBe('ORCH_OTHER_CLUSTER')
      expect(await codeOf(other.dial(a.addresses()[0]!))).toBe('ORCH_OTHER_CLUSTER')
      await expect(a.dial(other.addresses()[0]!)).rejects.toThrow(/beta belongs to cluster c2.*c1/)
      expect((await none.dial(a.addresses()[0]!)).node).toBe(a.node)
      await eventually(() => expect(a.peers()).toEqual([none.node]))
    })

    it('[NT3] versions of the protocol that do not overlap are refused; the error names the version to install', async () => {
      const old = await member(1, { protocol: [1, 2], version: '0.9.0', name: 'old' })
      const young = await member(2, { protocol: [3, 4], version: '2.1.0', name: 'young' })
      const middle = await member(3, { protocol: [2, 3] })
      for (const [from, to] of [
        [old, young],
        [young, old],
      ] as const) {
        const error = await from.dial(to.addresses()[0]!).catch((caught: unknown) => caught)
        expect(error).toMatchObject({
          code: 'ORCH_PROTOCOL',
          hint: expect.stringContaining('orch-node 2.1.0'),
        })
      }
      expect((await middle.dial(old.addresses()[0]!)).node).toBe(old.node)
      expect((await middle.dial(young.addresses()[0]!)).node).toBe(young.node)
    })

    it('[NT4] a stranger reaches only what is registered for strangers', async () => {
      const [a, b] = [await make(1), await member(2)]
      a.admit(() => 'stranger')
      a.handle(ECHO, echo)
      a.handle('/test/join/1', echo, { strangers: true })
      expect((await b.dial(a.addresses()[0]!)).standing).toBe('stranger')
      await eventually(() => expect([a.peers(), a.members()]).toEqual([[b.node], []]))
      const join = await b.open(a.node, '/test/join/1')
      await join.write(Buffer.from('please'))
      await join.end()
      expect(await textOf(join)).toBe('please')
      const closed = await b.open(a.node, ECHO)
      expect(await codeOf(textOf(closed))).toBe('ORCH_PEER_GONE')
    })

    it('[NT4] gossip is neither taken from a stranger nor given to one', async () => {
      const [a, b, c] = [await make(1), await member(2), await member(3)]
      a.admit((node) => (node === c.node ? 'stranger' : 'member'))
      const [atA, atC]: [string[], string[]] = [[], []]
      a.subscribe(TOPIC, (bytes) => void atA.push(Buffer.from(bytes).toString()))
      c.subscribe(TOPIC, (bytes) => void atC.push(Buffer.from(bytes).toString()))
      b.subscribe(TOPIC, () => undefined)
      await Promise.all([b.dial(a.addresses()[0]!), c.dial(a.addresses()[0]!)])
      let n = 0
      await eventually(async () => {
        await c.publish(TOPIC, Buffer.from(`from c ${++n}`))
        await b.publish(TOPIC, Buffer.from(`from b ${n}`))
        expect(atA.some((text) => text.startsWith('from b'))).toBe(true)
      })
      expect(await a.publish(TOPIC, Buffer.from('from a'))).toBe(1)
      expect(atA.filter((text) => text.startsWith('from c'))).toEqual([])
      expect(atC).toEqual([])
    })

    it('[NT5] a review closes what is not allowed any more, and tells of a stranger that became a member', async () => {
      const standing: { b: Standing; c: Standing } = { b: 'member', c: 'stranger' }
      const [a, b, c] = [await make(1), await member(2), await member(3)]
      a.admit((node) => (node === b.node ? standing.b : standing.c))
      await Promise.all([b.dial(a.addresses()[0]!), c.dial(a.addresses()[0]!)])
      await eventually(() => expect([...a.peers()].sort()).toEqual([b.node, c.node].sort()))
      const told: string[] = []
      a.onPeer((node, state) => told.push(`${node} ${state}`))
      standing.b = 'denied'
      standing.c = 'member'
      a.reviewStandings()
      await eventually(() => expect(b.peers()).toEqual([]))
      expect(a.members()).toEqual([c.node])
      await eventually(() => expect(told.sort()).toEqual([`${b.node} down`, `${c.node} up`].sort()))
      expect(await codeOf(b.dial(a.addresses()[0]!))).toBe('ORCH_PEER_DENIED')
      const heard: string[] = []
      c.subscribe(TOPIC, (bytes) => void heard.push(Buffer.from(bytes).toString()))
      await eventually(async () => expect(await a.publish(TOPIC, Buffer.from(`${Math.random()}`))).toBe(1))
      await eventually(() => expect(heard.length).toBeGreaterThan(0))
    })

    it('[NT5] a refused peer is let go and not let in, whatever the member list says', async () => {
      const [a, b] = await pair()
      a.refuse(b.node, 60_000)
      await eventually(() => expect([a.peers(), b.peers()]).toEqual([[], []]))
      expect(await codeOf(b.dial(a.addresses()[0]!))).toBe('ORCH_PEER_DENIED')
      expect(await codeOf(a.dial(b.addresses()[0]!))).toBe('ORCH_PEER_DENIED')
    })

    it('[NT6] a dial that fails says why', async () => {
      const a = await member(1)
      const dead = await a.dial(world.deadAddress(identity(9))).catch((error: unknown) => error)
      expect(dead).toMatchObject({ code: 'ORCH_PEER_UNREACHABLE', context: { refused: true } })
      expect(await codeOf(a.dial(a.addresses()[0]!))).toBe('ORCH_USAGE')
      expect(await codeOf(a.dial('nowhere at all'))).toBe('ORCH_USAGE')
      expect(await codeOf(a.open(identity(9).node, ECHO, { timeoutMs: 1_000 }))).toBe('ORCH_PEER_UNREACHABLE')
      const b = await member(2)
      const wrong = a.dial(b.addresses()[0]!.split('/p2p/')[0]!, { expected: identity(9).node })
      await expect(wrong).rejects.toMatchObject({
        code: 'ORCH_PEER_UNREACHABLE',
        context: { otherNode: true },
      })
    })

    it('[NT7] a message reaches every member that listens, once', async () => {
      const all = await Promise.all([1, 2, 3, 4].map((n) => member(n)))
      const heard = all.map(() => [] as string[])
      all.forEach((net, i) => {
        net.subscribe(TOPIC, (bytes) => void heard[i]!.push(Buffer.from(bytes).toString()))
      })
      for (const [i, net] of all.entries())
        for (const other of all.slice(0, i)) await net.dial(other.addresses()[0]!)
      let warm = 0
      await eventually(async () => {
        for (const net of all) expect(await net.publish(TOPIC, Buffer.from(`warm ${++warm}`))).toBe(3)
      })
      for (const [i, net] of all.entries()) await net.publish(TOPIC, Buffer.from(`real ${i}`))
      await eventually(() => {
        for (const [i, texts] of heard.entries())
          expect(texts.filter((text) => text.startsWith('real')).sort()).toEqual(
            [0, 1, 2, 3].filter((n) => n !== i).map((n) => `real ${n}`),
          )
      })
    })

    it('[NT7] what a listener calls bad is not handed on', async () => {
      // A chain a - b - c: c hears only what b hands on.
      const [a, b, c] = [await member(1), await member(2), await member(3)]
      const heard: string[] = []
      a.subscribe(TOPIC, () => undefined)
      b.subscribe(TOPIC, async (bytes) => !Buffer.from(bytes).toString().startsWith('bad'))
      c.subscribe(TOPIC, (bytes) => void heard.push(Buffer.from(bytes).toString()))
      await a.dial(b.addresses()[0]!)
      await c.dial(b.addresses()[0]!)
      let n = 0
      await eventually(async () => {
        await a.publish(TOPIC, Buffer.from(`bad ${++n}`))
        await a.publish(TOPIC, Buffer.from(`good ${n}`))
        expect(heard.some((text) => text.startsWith('good'))).toBe(true)
      })
      expect(heard.filter((text) => text.startsWith('bad'))).toEqual([])
    })

    it('[NT7] a lone node publishes to nobody; what is too long is a bug of the caller', async () => {
      const a = await member(1)
      expect(await a.publish(TOPIC, Buffer.from('hello?'))).toBe(0)
      expect(await codeOf(a.publish(TOPIC, new Uint8Array(GOSSIP_BYTES_MAX + 1)))).toBe('ORCH_BUG')
    })

    it('[NT8] a stream carries bytes both ways, and each side ends on its own', async () => {
      const [a, b] = await pair()
      a.handle(ECHO, async (channel) => {
        expect(channel.peer).toBe(b.node)
        expect(channel.address).toBeTypeOf('string')
        const text = await textOf(channel)
        await channel.write(Buffer.from(`you said ${text}`))
        await channel.write(Buffer.from(', goodbye'))
      })
      const channel = await b.open(a.node, ECHO)
      await channel.write(Buffer.from('one '))
      await channel.write(Buffer.from('two'))
      await channel.end()
      expect(await textOf(channel)).toBe('you said one two, goodbye')
    })

    it('[NT8] the listener may end first and read on', async () => {
      const [a, b] = await pair()
      let heard = ''
      a.handle(ECHO, async (channel) => {
        await channel.write(Buffer.from('go'))
        await channel.end()
        heard = await textOf(channel)
      })
      const channel = await b.open(a.node, ECHO)
      expect(await textOf(channel)).toBe('go')
      await channel.write(Buffer.from('late'))
      await channel.end()
      await eventually(() => expect(heard).toBe('late'))
    })

    it('[NT9] a slow reader holds the sender back: 50 MB are never in memory at once', async () => {
      const [a, b] = await pair()
      const total = 50 * 1024 * 1024
      const piece = new Uint8Array(256 * 1024).fill(7)
      let written = 0
      let read = 0
      let ahead = 0
      const hash = createHash('sha256')
      let isDone = false
      a.handle(ECHO, async (channel) => {
        for await (const part of channel.read()) {
          read += part.length
          hash.update(part)
          ahead = Math.max(ahead, written - read)
          // Slow: everything else of this process goes first.
          for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
        }
        isDone = true
      })
      const channel = await b.open(a.node, ECHO)
      for (; written < total; written += piece.length) await channel.write(piece)
      await channel.end()
      await eventually(() => expect(isDone).toBe(true))
      expect(read).toBe(total)
      expect(hash.digest('hex')).toBe(
        createHash('sha256').update(new Uint8Array(total).fill(7)).digest('hex'),
      )
      expect(ahead).toBeLessThan(24 * 1024 * 1024)
    })

    it('[NT9] a reader that takes nothing stops the sender', async () => {
      const [a, b] = await pair()
      const release: { now?: () => void } = {}
      a.handle(ECHO, (channel) =>
        new Promise<void>((resolve) => (release.now = resolve)).then(() => channel.abort('enough')),
      )
      const channel = await b.open(a.node, ECHO)
      const piece = new Uint8Array(1024 * 1024)
      let written = 0
      const writing = (async () => {
        for (; written < 200; written++) await channel.write(piece)
      })()
      const result = codeOf(writing)
      await eventually(() => expect(release.now).toBeTypeOf('function'))
      let before = -1
      await eventually(() => {
        const still = before === written
        before = written
        expect(still).toBe(true)
      })
      expect(written).toBeLessThan(32)
      release.now!()
      expect(await result).toBe('ORCH_PEER_GONE')
    })

    it('[NT10] an abort is heard by both ends; a handler that throws aborts', async () => {
      const [a, b] = await pair()
      let heard = ''
      a.handle(ECHO, async (channel) => {
        heard = await codeOf(textOf(channel))
      })
      a.handle('/test/throw/1', async () => {
        throw new Error('no')
      })
      const channel = await b.open(a.node, ECHO)
      await channel.write(Buffer.from('x'))
      channel.abort('changed my mind')
      channel.abort('twice')
      expect(await codeOf(channel.write(Buffer.from('x')))).toBe('ORCH_PEER_GONE')
      expect(await codeOf(textOf(channel))).toBe('ORCH_PEER_GONE')
      await eventually(() => expect(heard).toBe('ORCH_PEER_GONE'))
      const thrown = await b.open(a.node, '/test/throw/1')
      expect(await codeOf(textOf(thrown))).toBe('ORCH_PEER_GONE')
      expect(b.peers()).toEqual([a.node])
    })

    it('[NT10] hanging up breaks the streams on both sides, in the middle of a message too', async () => {
      const [a, b] = await pair()
      let heard = ''
      a.handle(ECHO, async (channel) => {
        heard = await codeOf(textOf(channel))
      })
      const channel = await b.open(a.node, ECHO)
      await channel.write(new Uint8Array(1_000))
      await eventually(async () => {
        await a.hangUp(b.node)
        expect([a.peers(), b.peers()]).toEqual([[], []])
      })
      expect(await codeOf(textOf(channel))).toBe('ORCH_PEER_GONE')
      await eventually(() =>
        expect(['ORCH_PEER_GONE', 'no error']).toContain(heard === '' ? 'no error' : heard),
      )
    })

    it('[NT11] an unknown protocol, and one whose handler went, is said to be unknown', async () => {
      const [a, b] = await pair()
      expect(await codeOf(b.open(a.node, '/test/none/1'))).toBe('ORCH_PROTOCOL')
      const undo = a.handle(ECHO, echo)
      const channel = await b.open(a.node, ECHO)
      await channel.end()
      expect(await textOf(channel)).toBe('')
      undo()
      expect(await codeOf(b.open(a.node, ECHO))).toBe('ORCH_PROTOCOL')
    })

    it('[NT11] many streams at once, up to the bound of the protocol', async () => {
      const [a, b] = await pair()
      let open = 0
      const release: { now?: () => void } = {}
      const released = new Promise<void>((resolve) => (release.now = resolve))
      a.handle(
        ECHO,
        async (channel) => {
          open++
          await channel.write(Buffer.from('in'))
          await released
        },
        { streamsMax: 4 },
      )
      const results = await Promise.all(
        Array.from({ length: 6 }, async () => {
          try {
            const channel = await b.open(a.node, ECHO)
            for await (const _ of channel.read()) return { channel, isIn: true }
            return { channel, isIn: false }
          } catch {
            return { isIn: false }
          }
        }),
      )
      expect(results.filter(({ isIn }) => isIn)).toHaveLength(4)
      expect(open).toBe(4)
      release.now!()
    })

    it('[NT12] closing ends everything, twice does no harm', async () => {
      const [a, b] = await pair()
      a.handle(ECHO, echo)
      const channel = await b.open(a.node, ECHO)
      await channel.write(Buffer.from('x'))
      await a.close()
      await a.close()
      expect(
        await codeOf(
          (async () => {
            for await (const _ of channel.read());
          })(),
        ),
      ).toBe('ORCH_PEER_GONE')
      await eventually(() => expect(b.peers()).toEqual([]))
      expect(await codeOf(a.dial(b.addresses()[0]!))).toBe('ORCH_PEER_GONE')
      expect(await codeOf(b.dial(world.deadAddress(identity(1))))).toBe('ORCH_PEER_UNREACHABLE')
    })

    it('[NT12] a peer that restarts with the same identity is reached again, with all it does', async () => {
      const [a, b] = await pair()
      const listen = a.addresses()[0]!.split('/p2p/')[0]!
      await a.close()
      await eventually(() => expect(b.peers()).toEqual([]))
      const again = await member(1, { listen })
      again.handle(ECHO, echo)
      const heard: string[] = []
      again.subscribe(TOPIC, (bytes) => void heard.push(Buffer.from(bytes).toString()))
      b.learn(again.node, again.addresses())
      const channel = await b.open(again.node, ECHO)
      await channel.write(Buffer.from('back'))
      await channel.end()
      expect(await textOf(channel)).toBe('back')
      await eventually(async () => {
        await b.publish(TOPIC, Buffer.from(`${Math.random()}`))
        expect(heard.length).toBeGreaterThan(0)
      })
    })

    it('[NT13] 20 nodes that join one at the same moment all get in', async () => {
      const hub = await member(0)
      const others = await Promise.all(Array.from({ length: 20 }, (_, i) => member(i + 1)))
      await Promise.all(others.map((net) => net.dial(hub.addresses()[0]!, { timeoutMs: 30_000 })))
      await eventually(() => expect(hub.peers()).toHaveLength(20))
    })

    it('[NT13] 16 nodes on one address, all connected to one: a message of a leaf reaches all', async () => {
      const all = await Promise.all(Array.from({ length: 16 }, (_, i) => member(i)))
      const heard = all.map(() => new Set<string>())
      all.forEach((net, i) => {
        net.subscribe(TOPIC, (bytes) => void heard[i]!.add(Buffer.from(bytes).toString()))
      })
      await Promise.all(all.slice(1).map((net) => net.dial(all[0]!.addresses()[0]!, { timeoutMs: 30_000 })))
      await eventually(async () => {
        expect(await all[0]!.publish(TOPIC, Buffer.from(`warm ${Math.random()}`))).toBe(15)
      })
      await all[7]!.publish(TOPIC, Buffer.from('from a leaf'))
      await eventually(() => {
        for (const [i, texts] of heard.entries()) expect(i === 7 || texts.has('from a leaf')).toBe(true)
      })
    })
  })
}
