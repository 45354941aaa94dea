// Goal: the objects of a run are here when they are needed, whoever has them, and nothing is fetched twice. Method: real git, nodes of the memory net; the scheduling
// alone is tried with a git that is played.
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OrchError } from '../../src/core/error.ts'
import type { Fetched, FetchRequest, Want } from '../../src/git/fetch.ts'
import type { Git } from '../../src/git/git.ts'
import { openGitStream } from '../../src/net/git.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import type { Net } from '../../src/net/net.ts'
import { Objects, type ObjectsOptions } from '../../src/node/objects.ts'
import { serveObjects } from '../../src/node/objects-serve.ts'
import { bareOf, git, type Place, place, tempDir, work } from '../git/fixture.ts'
import { base, blob, contents, edge, type Peers, plant, result } from '../git/peer-fixture.ts'

const names = ['A', 'B', 'C', 'D', 'E']
const nodeId = (name: string): string => `12D3KooW${name.repeat(44)}`
const [A, B, C, D] = names.map(nodeId) as [string, string, string, string]

interface Node {
  readonly net: Net
  readonly git: Git
  readonly dir: string
  readonly objects: Objects
  readonly said: string[]
}

/** A cluster in which `A` has the repository; all are members of each other. */
async function cluster(
  count: number,
  options: Partial<ObjectsOptions> = {},
): Promise<{ at: Place; nodes: Node[] }> {
  const at = await place()
  const network = createMemoryNetwork()
  const nodes: Node[] = []
  for (const name of names.slice(0, count)) {
    const dir = name === 'A' ? join(at.dir, 'data') : tempDir()
    const net = network.join({ node: nodeId(name) })
    net.admit(() => 'member')
    const made = edge(dir)
    const said: string[] = []
    const say = (_: string, message: string): void => void said.push(message)
    const undo = serveObjects({ net, git: made, say })
    const objects = new Objects({
      git: made,
      open: (node, repository, signal) => openGitStream(net, node, repository, { signal }),
      say,
      backoffMs: 5,
      ...options,
    })
    onTestFinished(async () => {
      undo()
      await objects.close()
      await net.close()
    })
    nodes.push({ net, git: made, dir, objects, said })
  }
  for (const [i, { net }] of nodes.entries())
    for (const other of nodes.slice(0, i)) await net.dial(other.net.addresses()[0]!)
  return { at, nodes }
}

describe('over the net', () => {
  it('[PG11] a base and a result come from a member, and nobody is asked again', async () => {
    const { at, nodes } = await cluster(2)
    const { objects, git: ours, said } = nodes[1]!
    const { id } = at.facts
    const made = await work(at.bare, at.base, { new: 'new' })
    const wants = [result('a', made), base(at.base)]
    await objects.need(id, wants, [A])
    expect(await ours.lacking(id, [made, at.base])).toEqual([])
    expect(said).toHaveLength(2)
    await objects.need(id, wants, [])
    expect(said).toHaveLength(2)
  })

  it('[PG11] what one member gave is given on to a third one', async () => {
    const { at, nodes } = await cluster(3)
    const { id } = at.facts
    await nodes[1]!.objects.need(id, [base(at.base)], [A])
    await nodes[0]!.net.close()
    await nodes[2]!.objects.need(id, [base(at.base)], [A, B])
    expect(await nodes[2]!.git.lacking(id, [at.base])).toEqual([])
  })

  it('[PG12] members that do not have it, are gone or unknown are passed over', async () => {
    const { at, nodes } = await cluster(4)
    const { id } = at.facts
    await nodes[2]!.net.close()
    await nodes[3]!.objects.need(id, [base(at.base)], [nodeId('Z'), C, B, A])
    expect(await nodes[3]!.git.lacking(id, [at.base])).toEqual([])
  })

  it('[PG12] the error names whom it asked, and why each could not', async () => {
    const { at, nodes } = await cluster(3)
    const { id } = at.facts
    await nodes[0]!.net.close()
    const needing = nodes[2]!.objects.need(id, [base(at.base)], [A, B])
    await expect(needing).rejects.toMatchObject({
      code: 'ORCH_PEER_UNREACHABLE',
      message: expect.stringMatching(new RegExp(`${at.base.slice(0, 12)}.*${A.slice(-8)}.*${B.slice(-8)}`)),
      context: {
        repository: id,
        commits: [at.base],
        asked: [
          { node: A, code: 'ORCH_PEER_UNREACHABLE' },
          { node: B, code: 'ORCH_NOT_FOUND' },
        ],
      },
    })
    await expect(nodes[2]!.objects.need(id, [base(at.base)], [])).rejects.toMatchObject({
      code: 'ORCH_PEER_UNREACHABLE',
      message: expect.stringContaining('no peer is known'),
    })
  })

  it('[PG12] commits that lie on different members are gathered', async () => {
    const { at, nodes } = await cluster(3)
    const { id } = at.facts
    const one = await work(at.bare, at.base, { one: '1' })
    const other = await bareOf(nodes[1]!.dir, at.facts)
    const two = await work(other, at.base, { two: '2' })
    const wants = [base(at.base), result('a', one), result('b', two)]
    await nodes[2]!.objects.need(id, wants, [A, B])
    expect(await nodes[2]!.git.lacking(id, [one, two])).toEqual([])
  })

  it('[PG13] a hostile commit is told by its name at once, and the honest ones beside it come in', async () => {
    const { at, nodes } = await cluster(2)
    const { id } = at.facts
    const { objects, git: ours, dir } = nodes[1]!
    const from = { at } as Peers
    const fine = await work(at.bare, at.base, { fine: '1' })
    const bad = await plant(from, [{ mode: '120000', name: 'l', oid: blob(from, '/etc/passwd') }])
    const more = await work(at.bare, at.base, { more: '1' })
    await objects.need(id, [base(at.base)], [A])
    const wants = [result('a', fine), result('b', bad), result('c', more)]
    await expect(objects.need(id, wants, [A])).rejects.toMatchObject({
      code: 'ORCH_GIT_HOSTILE',
      context: { commit: bad },
    })
    expect(await ours.lacking(id, [fine, bad, more])).toEqual([bad])
    expect(contents(join(dir, 'repos', `${id}.git`)).refs).not.toContain(bad)
  })

  it('[PG2] a serving node that closes ends what it serves', async () => {
    const { at, nodes } = await cluster(2)
    const closing = nodes[0]!
    const stream = await openGitStream(nodes[1]!.net, A, at.facts.id)
    await closing.net.close()
    await expect(
      (async () => {
        for await (const _ of stream.read());
      })(),
    ).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
  })

  it('[PG12] all members fetch at once, and every repository is whole', async () => {
    const { at, nodes } = await cluster(5)
    const { id } = at.facts
    const made = await work(at.bare, at.base, { x: 'x' })
    const wants = [base(at.base), result('a', made)]
    await Promise.all(nodes.slice(1).map(({ objects }) => objects.need(id, wants, [A, B, C, D])))
    for (const { dir } of nodes.slice(1)) {
      const repo = join(dir, 'repos', `${id}.git`)
      expect(git(repo, 'fsck', '--strict')).not.toMatch(/missing|error/)
    }
  })
})

/** A git that is played: knows what is here, and lets the test answer each fetch. */
class Played {
  readonly here = new Set<string>()
  readonly asked: { readonly commits: string[]; readonly source: Promise<string> }[] = []
  running = 0
  peak = 0
  answer: (commits: string[], request: FetchRequest) => Promise<void> = async () => {}

  async lacking(_: string, commits: readonly string[]): Promise<string[]> {
    return [...new Set(commits)].filter((commit) => !this.here.has(commit))
  }

  async fetchFrom(_: string, request: FetchRequest): Promise<Fetched> {
    const commits = request.wants.map((want: Want) => want.commit)
    const source = request.connect(request.signal!).then(String)
    this.asked.push({ commits, source })
    this.running += 1
    this.peak = Math.max(this.peak, this.running)
    try {
      await this.answer(commits, request)
      for (const commit of commits) this.here.add(commit)
      return { objects: 1, ms: 1 }
    } finally {
      this.running -= 1
    }
  }
}

function played(options: Partial<ObjectsOptions> = {}): { git: Played; objects: Objects } {
  const git = new Played()
  const open = async (node: string): Promise<never> => node as never
  const objects = new Objects({ git, open, say: () => {}, backoffMs: 1, ...options })
  onTestFinished(() => objects.close())
  return { git, objects }
}

const want = (n: number): Want => base(n.toString(16).padStart(40, '0'))

function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** Until the condition holds; the runner's deadline ends it otherwise. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

describe('scheduling', () => {
  it('[PG12] equal needs share one fetch, and overlapping ones fetch only the rest', async () => {
    const { git, objects } = played()
    const hold = gate()
    git.answer = () => hold.opened
    const needs = [
      objects.need('r', [want(1), want(2)], ['a']),
      objects.need('r', [want(1), want(2)], ['a']),
      objects.need('r', [want(2), want(3)], ['b']),
    ]
    await until(() => git.asked.length === 2)
    hold.open()
    await Promise.all(needs)
    expect(git.asked.map(({ commits }) => commits.map((oid) => Number.parseInt(oid, 16)))).toEqual([
      [1, 2],
      [3],
    ])
  })

  it('[PG12] who joined a fetch that fails asks its own peers', async () => {
    const { git, objects } = played()
    const hold = gate()
    git.answer = async () => {
      if (git.asked.length > 3) return
      await hold.opened
      throw new OrchError('ORCH_PEER_GONE', 'gone')
    }
    const first = objects.need('r', [want(1)], ['a'])
    await until(() => git.asked.length === 1)
    const second = objects.need('r', [want(1)], ['b'])
    hold.open()
    await expect(first).rejects.toMatchObject({ code: 'ORCH_PEER_UNREACHABLE' })
    await second
    expect(await Promise.all(git.asked.map(({ source }) => source))).toEqual(['a', 'a', 'a', 'b'])
  })

  it('[PG12] peers that fail are asked again after a rest, in order; those that lack it are not', async () => {
    const { git, objects } = played()
    git.answer = async () => {
      throw new OrchError(git.asked.length % 2 === 1 ? 'ORCH_PEER_GONE' : 'ORCH_BACKPRESSURE', 'no')
    }
    await expect(objects.need('r', [want(1)], ['a', 'b'])).rejects.toMatchObject({
      code: 'ORCH_PEER_UNREACHABLE',
    })
    expect(await Promise.all(git.asked.map(({ source }) => source))).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
    git.asked.length = 0
    git.answer = async (commits) => {
      throw new OrchError('ORCH_NOT_FOUND', 'no', { context: { missing: commits[0] } })
    }
    await expect(objects.need('r', [want(1)], ['a', 'b'])).rejects.toMatchObject({
      code: 'ORCH_PEER_UNREACHABLE',
    })
    expect(git.asked).toHaveLength(2)
  })

  it('[PG13] a pack that one peer spoilt is asked of the next; a full disk is told at once', async () => {
    const { git, objects } = played()
    git.answer = async () => {
      if (git.asked.length === 1) throw new OrchError('ORCH_GIT_HOSTILE', 'spoilt')
    }
    await objects.need('r', [want(1)], ['a', 'b'])
    expect(git.asked).toHaveLength(2)
    git.answer = async () => {
      throw new OrchError('ORCH_DISK_FULL', 'full')
    }
    await expect(objects.need('r', [want(2)], ['a', 'b'])).rejects.toMatchObject({ code: 'ORCH_DISK_FULL' })
    expect(git.asked).toHaveLength(3)
    git.answer = async () => {
      throw new OrchError('ORCH_GIT_HOSTILE', 'spoilt everywhere')
    }
    await expect(objects.need('r', [want(3)], ['a', 'b'])).rejects.toMatchObject({ code: 'ORCH_GIT_HOSTILE' })
  })

  it('[PG12] no more than so many at once; the others wait in order', async () => {
    const { git, objects } = played({ fetchesMax: 2 })
    const hold = gate()
    git.answer = () => hold.opened
    const needs = [1, 2, 3, 4, 5].map((n) => objects.need('r', [want(n)], ['a']))
    await until(() => git.asked.length === 2)
    hold.open()
    await Promise.all(needs)
    expect(git.peak).toBe(2)
    expect(git.asked.map(({ commits }) => Number.parseInt(commits[0]!, 16))).toEqual([1, 2, 3, 4, 5])
  })

  it('[PG12] who does not want it any more leaves; the last one ends the fetch, also one that waits for its turn', async () => {
    const { git, objects } = played({ fetchesMax: 1 })
    let ended = 0
    git.answer = (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => {
          ended += 1
          reject(new OrchError('ORCH_CANCELLED', 'cancelled'))
        })
      })
    const [one, two, three] = [new AbortController(), new AbortController(), new AbortController()]
    const first = objects.need('r', [want(1)], ['a'], { signal: one.signal })
    const second = objects.need('r', [want(1)], ['a'], { signal: two.signal })
    const waiting = objects.need('r', [want(2)], ['a'], { signal: three.signal })
    await until(() => git.asked.length === 1)
    three.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ORCH_CANCELLED' })
    one.abort()
    await expect(first).rejects.toMatchObject({ code: 'ORCH_CANCELLED' })
    expect(ended).toBe(0)
    two.abort()
    await expect(second).rejects.toMatchObject({ code: 'ORCH_CANCELLED' })
    expect(ended).toBe(1)
    expect(git.asked).toHaveLength(1)
    git.answer = async () => {}
    await objects.need('r', [want(2)], ['a'])
  })

  it('[PG12] closing ends what is under way, and nothing new begins', async () => {
    const { git, objects } = played()
    git.answer = (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => reject(new OrchError('ORCH_CANCELLED', 'cancelled')))
      })
    const needing = objects.need('r', [want(1)], ['a'])
    needing.catch(() => {})
    await until(() => git.asked.length === 1)
    await objects.close()
    await expect(needing).rejects.toMatchObject({ code: 'ORCH_CANCELLED' })
    await expect(objects.need('r', [want(2)], ['a'])).rejects.toMatchObject({ code: 'ORCH_CANCELLED' })
    expect(git.running).toBe(0)
  })
})
