// Goal: serving objects costs a bounded part of this node, and ends with the peer. Method: real `git upload-pack`, peers in memory that misbehave.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, expect, it, vi } from 'vitest'
import { packet } from '../../src/git/pkt-line.ts'
import type { Served, ServeOptions } from '../../src/git/upload-pack.ts'
import { duplexPair, type End, type Wire } from './duplex.ts'
import { work } from './fixture.ts'
import { base, type Peers, peers, result } from './peer-fixture.ts'

/** Serves to a peer that the test plays. */
function serving(from: Peers, options?: ServeOptions, wire?: Wire): { peer: End; served: Promise<Served> } {
  const [peer, other] = duplexPair(wire)
  const served = from.theirs.serve(from.id, other, options)
  served.catch(() => {})
  return { peer, served }
}

async function hear(peer: End, until = /$^/): Promise<string> {
  let text = ''
  for await (const piece of peer.read()) {
    text += Buffer.from(piece).toString('latin1')
    if (until.test(text)) break
  }
  return text
}

function ask(...lines: string[]): Buffer {
  const head = [packet('command=fetch\n'), packet('object-format=sha1\n'), Buffer.from('0001')]
  return Buffer.concat([...head, ...lines.map((line) => packet(`${line}\n`)), Buffer.from('0000')])
}

/** No git works for a peer any more. */
async function nothingRuns(from: Peers): Promise<void> {
  await vi.waitFor(() => {
    const all = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })
    expect(
      all.split('\n').filter((line) => line.includes('upload-pack') && line.includes(from.at.dir)),
    ).toEqual([])
  }, 10_000)
}

describe('serving', () => {
  it('[PG1] speaks version 2 and hands out what is asked, then ends with the peer', async () => {
    const from = await peers()
    const { peer, served } = serving(from)
    const greeting = await hear(peer, /0000$/)
    expect(greeting).toContain('version 2')
    expect(greeting).not.toContain('filter')
    await peer.write(ask(`want ${from.at.base}`, 'done'))
    await peer.end()
    const { bytes, exit } = await served
    expect(exit).toBe(0)
    expect(bytes).toBeGreaterThan(500)
    await nothingRuns(from)
  })

  it('[PG2] says which commit it lacks, and the stream ends in order', async () => {
    const from = await peers()
    const { peer, served } = serving(from)
    await peer.write(ask(`want ${'4'.repeat(40)}`, 'done'))
    await peer.end()
    expect(await hear(peer)).toContain(`not our ref ${'4'.repeat(40)}`)
    expect((await served).exit).not.toBe(0)
    expect(peer.aborted()).toBeUndefined()
  })

  it('[PG2] a peer that says nothing is left', async () => {
    const from = await peers()
    const { peer, served } = serving(from, { silenceMs: 300 })
    await expect(hear(peer)).rejects.toThrow('silent')
    await expect(served).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
    await nothingRuns(from)
  })

  it('[PG2] a peer that takes nothing is left', async () => {
    const from = await peers()
    const made = await work(from.at.bare, from.at.base, { big: randomBytes(3_000_000) })
    const { peer, served } = serving(from, { silenceMs: 300 })
    await peer.write(ask(`want ${made}`, 'done'))
    await expect(served).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
    expect(peer.aborted()).toContain('silent')
    await nothingRuns(from)
  })

  it('[PG2] a peer that breaks off, a deadline, or the end of this node leave no process behind', async () => {
    const from = await peers()
    const made = await work(from.at.bare, from.at.base, { big: randomBytes(3_000_000) })
    const close = new AbortController()
    const broken = serving(from)
    const late = serving(from, { timeoutMs: 300 })
    const closed = serving(from, { signal: close.signal })
    for (const { peer } of [broken, late, closed]) await peer.write(ask(`want ${made}`, 'done'))
    await hear(broken.peer, /PACK/)
    broken.peer.abort('enough')
    await hear(closed.peer, /PACK/)
    close.abort()
    for (const { served } of [broken, late, closed])
      await expect(served).rejects.toMatchObject({ code: expect.stringMatching(/PEER_GONE|CANCELLED/) })
    await nothingRuns(from)
  })

  it('[PG2] a question without end, or an answer above its bound, is cut', async () => {
    const from = await peers()
    const { peer, served } = serving(from)
    const lines = Array.from({ length: 25_000 }, () => `have ${'5'.repeat(40)}`)
    await peer.write(ask(`want ${from.at.base}`, ...lines, 'done'))
    await expect(served).rejects.toMatchObject({ code: 'ORCH_GIT_HOSTILE' })
    const made = await work(from.at.bare, from.at.base, { big: randomBytes(500_000) })
    const bounded = serving(from, { bytesMax: 100_000 })
    await bounded.peer.write(ask(`want ${made}`, 'done'))
    await bounded.peer.end()
    await hear(bounded.peer).catch(() => {})
    await expect(bounded.served).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
    await nothingRuns(from)
  })

  it('[PG2] garbage is answered by git, not by a crash', async () => {
    const from = await peers()
    for (const garbage of ['', 'zzzz', '0009--x\n', 'GET / HTTP/1.1\r\n\r\n', '\0'.repeat(1_000)]) {
      const { peer, served } = serving(from)
      await peer.write(Buffer.from(garbage))
      await peer.end()
      await hear(peer).catch(() => {})
      expect((await served).exit).toBeTypeOf('number')
    }
    await from.ours.fetchFrom(from.id, { wants: [base(from.at.base)], connect: from.connect() })
    expect(await from.ours.lacking(from.id, [from.at.base])).toEqual([])
  })

  it('[PG1] objects that were just made here are given too', async () => {
    const from = await peers()
    const { objects } = from.at.bare
    await from.ours.fetchFrom(from.id, { wants: [base(from.at.base)], connect: from.connect() })
    const { tree } = await objects.commit(from.at.base)
    const person = 'E <e@example.org> 1 +0000'
    const fresh = objects.writeCommit({
      tree,
      parents: [from.at.base],
      author: person,
      committer: person,
      message: 'x\n',
    })
    await objects.flush()
    await from.ours.fetchFrom(from.id, { wants: [result('a', fresh)], connect: from.connect() })
    expect(await from.ours.lacking(from.id, [fresh])).toEqual([])
  })
})
