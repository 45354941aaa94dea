// Goal: objects travel over real connections: TCP, noise, yamux, with half-closed streams and back-pressure. Method: three libp2p nodes of this process, real git.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openGitStream } from '../../src/net/git.ts'
import { identityFromSeed } from '../../src/net/identity.ts'
import { createLibp2pNet } from '../../src/net/libp2p.ts'
import type { Net } from '../../src/net/net.ts'
import { Objects } from '../../src/node/objects.ts'
import { serveObjects } from '../../src/node/objects-serve.ts'
import { git, place, tempDir, work } from '../git/fixture.ts'
import { base, edge, result } from '../git/peer-fixture.ts'

async function listening(): Promise<Net> {
  const net = await createLibp2pNet({
    identity: identityFromSeed(randomBytes(32)),
    name: 'n',
    version: '1.2.3',
    cluster: 'c',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    topics: [],
  })
  net.admit(() => 'member')
  onTestFinished(() => net.close())
  return net
}

describe('over libp2p', () => {
  it('[PG11] [PG12] a repository, a large result, a peer that is gone and one that lacks it', async () => {
    const at = await place()
    const { id } = at.facts
    const nets = await Promise.all([1, 2, 3, 4].map(listening))
    const [a, b, c, d] = nets as [Net, Net, Net, Net]
    for (const net of [a, b, d]) await c.dial(net.addresses()[0]!)
    const say = (): void => {}
    const [theirs, empty, ours] = [edge(join(at.dir, 'data')), edge(tempDir()), tempDir()]
    const mine = edge(ours)
    onTestFinished(serveObjects({ net: a, git: theirs, say }))
    onTestFinished(serveObjects({ net: b, git: empty, say }))
    await d.close()
    const objects = new Objects({
      git: mine,
      open: (node, repository, signal) => openGitStream(c, node, repository, { signal, timeoutMs: 2_000 }),
      say,
      backoffMs: 5,
    })
    onTestFinished(() => objects.close())
    const big = await work(at.bare, at.base, { big: randomBytes(6_000_000) })
    const lines = await work(at.bare, at.base, { lines: 'x\n'.repeat(100) })
    const sources = [d.node, b.node, a.node]
    await objects.need(id, [base(at.base)], sources)
    await Promise.all([
      objects.need(id, [result('a', big)], sources),
      objects.need(id, [result('b', lines)], sources),
    ])
    expect(await mine.lacking(id, [at.base, big, lines])).toEqual([])
    expect(git(join(ours, 'repos', `${id}.git`), 'fsck', '--strict')).not.toMatch(/missing|error/)
  })
})
