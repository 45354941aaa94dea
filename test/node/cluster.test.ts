// Sequences of a whole cluster in one process: real nodes, real git, real frames; the network is in memory, so that it can be cut.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { violations } from '../../src/core/invariant.ts'
import type { CrdtStore } from '../../src/store/crdt.ts'
import { eventually, startCluster, type TestCluster } from './cluster-fixture.ts'
import { follow, git, repository, shell, submit, type TestNode } from './fixture.ts'

describe('cluster', () => {
  it('[CN1] tasks run on all members, and the integrated branch lands where the repository is', async () => {
    const repo = repository({ 'a.txt': 'a' })
    const cluster = await startCluster(['a', 'b', 'c'], () => ({ slots: 2 }))
    const { nodes } = cluster
    const [a] = nodes
    const names = ['t1', 't2', 't3', 't4', 't5', 't6']
    const run = await submit(a!, {
      repository: repo,
      tasks: [
        ...names.map((id) => shell(id, `sleep 0.5; echo ${id} > ${id}.txt`, { write: [`${id}.txt`] })),
        shell('all', 'cat t*.txt > all.txt', { needs: names, write: ['all.txt'] }),
      ],
    })
    const summary = await follow(a!, run)
    expect(summary.status).toBe('complete')
    const tasks = await a!.face.tasks({ run })
    expect(new Set(tasks.map((t) => t.holder)).size).toBeGreaterThan(1)
    expect(git(repo, 'show', `orch/${run}:all.txt`)).toBe(names.join('\n'))
    for (const node of nodes) {
      await eventually(
        'every board says the same',
        async () => (await node.face.run({ run })).status === 'complete',
      )
      expect(await node.face.run({ run })).toMatchObject({ commit: summary.commit })
      expect(violations(node.engine.state.board)).toEqual([])
    }
  })
})

/** Cuts a node off from all others, in both directions. */
function isolate(cluster: TestCluster, node: TestNode): void {
  const others = cluster.nodes.filter((n) => n !== node).map((n) => n.node)
  cluster.network.partition([[node.node], others])
}

/** Resolves when every board has every frame. */
async function settled(cluster: TestCluster): Promise<void> {
  await eventually(
    'all boards are the same',
    () => new Set(cluster.nodes.map((node) => replicaOf(node).digest())).size === 1,
  )
}

function replicaOf(node: TestNode): CrdtStore['replica'] {
  return (node.engine.options.store as CrdtStore).replica
}

function statusOf(node: TestNode, run: string, task: string): string | undefined {
  return node.engine.state.board.task(run, task)?.status
}

describe('cluster in trouble', () => {
  it('[CN2] a result that nobody else holds is done again when its author is gone, and its work is not lost when he comes back', async () => {
    const repo = repository({ 'a.txt': 'a' })
    const cluster = await startCluster(['a', 'b', 'c'], (name) => ({
      capabilities: name === 'a' ? [] : ['far'],
      slots: 2,
    }))
    const [a] = cluster.nodes
    // Both of the others have the repository from an earlier run.
    const warm = ['w1', 'w2', 'w3', 'w4'].map((id) => shell(id, 'sleep 0.5', { capabilities: ['far'] }))
    expect((await follow(a!, await submit(a!, { repository: repo, tasks: warm }))).status).toBe('complete')
    const run = await submit(a!, {
      repository: repo,
      tasks: [shell('far', 'sleep 1; echo far > far.txt', { write: ['far.txt'], capabilities: ['far'] })],
    })
    await eventually('it runs somewhere', () => statusOf(a!, run, 'far') === 'running')
    const holder = a!.engine.state.board.task(run, 'far')!.holder!.node
    const author = cluster.nodes.find((n) => n.node === holder)!
    // Gone before anybody could fetch: the result itself is written in the cut.
    isolate(cluster, author)
    await eventually('its result is on its own board', () =>
      author.engine.state.board
        .task(run, 'far')!
        .entries.some((e) => e.node === holder && e.result?.outcome === 'done'),
    )
    expect(statusOf(author, run, 'far')).toBe('running')
    const summary = await follow(a!, run)
    expect(summary.status).toBe('complete')
    const accepted = a!.engine.state.board.task(run, 'far')!.accepted!
    expect(accepted.by).not.toBe(holder)
    cluster.network.heal()
    await eventually(
      'its author sees what was accepted',
      () => author.engine.state.board.task(run, 'far')!.accepted?.by === accepted.by,
    )
    const { ref } = (await author.face.task({ task: `${run}/far` })).attemptList.find(
      (x) => x.node === holder,
    )!
    expect(ref).toBeDefined()
  })

  it('[CN3] a removed member does nothing any more, also what it did in a partition counts no more', async () => {
    const cluster = await startCluster(['a', 'b', 'c'])
    const [a, b, c] = cluster.nodes
    isolate(cluster, b!)
    await a!.face.removeMember({ who: 'b' })
    const run = await submit(b!, { tasks: [shell('late', 'true')] }).catch((error: unknown) => error)
    // A worker may not start runs at all; as one it was invited.
    expect(run).toMatchObject({ code: 'ORCH_ROLE' })
    cluster.network.heal()
    await eventually('c knows', () => c!.engine.state.roster!.role(b!.node) === 'none')
    await eventually(
      'nobody is connected to it',
      () => !a!.engine.state.live.includes(b!.node) && !c!.engine.state.live.includes(b!.node),
    )
    const again = await submit(a!, { tasks: [shell('x', 'true'), shell('y', 'true'), shell('z', 'true')] })
    expect((await follow(a!, again)).status).toBe('complete')
    for (const task of await a!.face.tasks({ run: again })) expect(task.holder).not.toBe('b')
  })

  it('[CN4] another member takes a run over; the integrator that comes back changes nothing', async () => {
    const repo = repository({ 'a.txt': 'a' })
    const cluster = await startCluster(['a', 'b', 'c'], () => ({ role: 'admin', slots: 2 }))
    const [a, b, c] = cluster.nodes
    const { id } = await a!.engine.options.git.inspect(repo)
    const run = await submit(a!, {
      repository: repo,
      tasks: [
        shell('one', 'echo 1 > one.txt', { write: ['one.txt'] }),
        shell('two', 'sleep 1; echo 2 > two.txt', { needs: ['one'], write: ['two.txt'] }),
        shell('three', 'sleep 1; echo 3 > three.txt', { needs: ['two'], write: ['three.txt'] }),
      ],
    })
    await eventually('the first is accepted, and another member has its commit', async () => {
      const { accepted } = b!.engine.state.board.task(run, 'one') ?? {}
      const heads = [b!, c!].map(async (n) => {
        const { git } = n.engine.options
        return (await git.has(id)) ? git.readRef(id, `refs/orch/heads/${run}`) : undefined
      })
      return accepted?.commit !== undefined && (await Promise.all(heads)).includes(accepted.commit)
    })
    isolate(cluster, a!)
    const { term } = await b!.face.adopt({ run, reason: 'a is gone' })
    expect(term).toBe(2)
    const summary = await follow(b!, run)
    const onB = (await b!.face.tasks({ run })).map((t) => [t.id, t.status, t.reason, t.attempts])
    expect([summary.status, onB]).toMatchObject(['complete', {}])
    cluster.network.heal()
    await eventually(
      'all say the same',
      async () => {
        const all = await Promise.all([a!, b!, c!].map((n) => n.face.run({ run })))
        return all.every((s) => s.status === summary.status && s.commit === all[0]!.commit)
      },
      30_000,
      () =>
        Promise.all(
          [a!, b!, c!].map(async (n) => [
            await n.face.run({ run }),
            (await n.face.tasks({ run })).map((t) => [t.id, t.status, t.position, t.commit]),
          ]),
        ),
    )
    await settled(cluster)
    for (const node of [a!, b!, c!]) expect(violations(node.engine.state.board)).toEqual([])
  })

  it('[CN5] both sides of a partition go on; in the end each task has one accepted result', async () => {
    const repo = repository({ 'a.txt': 'a' })
    const cluster = await startCluster(['a', 'b', 'c', 'd'], () => ({ slots: 2 }))
    const [a, , , d] = cluster.nodes
    const run = await submit(a!, {
      repository: repo,
      tasks: ['p', 'q', 'r', 's'].flatMap((id) => [
        shell(id, `sleep 1; echo ${id} > ${id}.txt`, { write: [`${id}.txt`] }),
        shell(`${id}2`, `sleep 0.2; cat ${id}.txt > ${id}2.txt`, { needs: [id], write: [`${id}2.txt`] }),
      ]),
    })
    await eventually(
      'they run',
      () => a!.engine.state.board.runs.get(run)!.count('running', 'provisional', 'accepted') >= 4,
    )
    isolate(cluster, d!)
    const summary = await follow(a!, run)
    expect(summary.status).toBe('complete')
    cluster.network.heal()
    await eventually('all say the same', async () => {
      const all = await Promise.all(cluster.nodes.map((n) => n.face.run({ run })))
      return all.every((s) => s.status === 'complete' && s.commit === summary.commit)
    })
    await settled(cluster)
    for (const node of cluster.nodes) expect(violations(node.engine.state.board)).toEqual([])
  })

  it('[CN6] output, events and work of an attempt are read on any node, wherever it ran', async () => {
    const repo = repository({ 'a.txt': 'a' })
    const cluster = await startCluster(['a', 'b', 'c'], (name) => ({
      capabilities: name === 'b' ? ['b'] : [],
    }))
    const [a, b, c] = cluster.nodes
    const run = await submit(a!, {
      repository: repo,
      tasks: [
        shell('far', 'echo seen; sleep 1; echo more; echo b > b.txt', {
          capabilities: ['b'],
          write: ['b.txt'],
        }),
      ],
    })
    await eventually('it runs on b', () => statusOf(c!, run, 'far') === 'running')
    let output = ''
    for await (const { data } of c!.face.logs({ task: `${run}/far`, follow: true }))
      output += Buffer.from(data, 'base64').toString()
    expect(output).toBe('seen\nmore\n')
    expect((await follow(a!, run)).status).toBe('complete')
    await eventually('c has the result', () => statusOf(c!, run, 'far') === 'accepted')
    const events: string[] = []
    for await (const { event } of c!.face.attemptEvents({ task: `${run}/far` })) events.push(event.type)
    expect(events).toContain('output')
    expect((await c!.face.diff({ task: `${run}/far` })).diff).toContain('+b')
    isolate(cluster, b!)
    const silent = c!.face
      .logs({ task: `${run}/far` })
      [Symbol.asyncIterator]()
      .next()
    await expect(silent).rejects.toMatchObject({
      code: expect.stringMatching(/^ORCH_(PEER_UNREACHABLE|PEER_GONE|NODE_TIMEOUT)$/),
    })
  })

  it('[CN7] an admin drains a node from anywhere; a worker may not', async () => {
    const cluster = await startCluster(['a', 'b', 'c'])
    const [a, b, c] = cluster.nodes
    await expect(c!.face.drain({ node: 'b' })).rejects.toMatchObject({ code: 'ORCH_ROLE' })
    await a!.face.drain({ node: 'b' })
    await eventually('all know', () => c!.engine.state.board.nodes.get(b!.node)?.value.draining === true)
    const run = await submit(a!, { tasks: ['x', 'y', 'z'].map((id) => shell(id, 'true')) })
    expect((await follow(a!, run)).status).toBe('complete')
    for (const task of await a!.face.tasks({ run })) expect(task.holder).not.toBe('b')
    await a!.face.undrain({ node: 'b' })
    await eventually(
      'it works again',
      () => c!.engine.state.board.nodes.get(b!.node)?.value.draining !== true,
    )
    await expect(a!.face.drain({ node: 'nobody' })).rejects.toMatchObject({ code: 'ORCH_NOT_FOUND' })
  })

  it('[CN8] a run that is over for long is archived by all, in one file, and does not come back by who was away', async () => {
    const cluster = await startCluster(['a', 'b', 'c'], () => ({ archiveAfterMs: 6_000 }))
    const [a, b, c] = cluster.nodes
    const run = await submit(a!, { tasks: [shell('x', 'true')] })
    expect((await follow(a!, run)).status).toBe('complete')
    // What a node has not got by the time of the archive is in the archives of the others only.
    await settled(cluster)
    expect(replicaOf(c!).heads(run)).not.toEqual([])
    const exported = async (node: TestNode): Promise<string[]> => {
      const keys: string[] = []
      for await (const { author, facts } of node.face.exportRun({ run }))
        for (const { collection, key } of facts) keys.push(`${collection} ${key} ${author.incarnation}`)
      return keys.sort()
    }
    const before = await exported(a!)
    expect(before.length).toBeGreaterThan(5)
    isolate(cluster, c!)
    for (const [name, node] of [
      ['a', a!],
      ['b', b!],
    ] as const) {
      await eventually('it is archived', () =>
        existsSync(join(cluster.dirOf(name), 'archive', `${run}.frames`)),
      )
      await eventually(
        'its board is gone',
        () =>
          !replicaOf(node)
            .docs()
            .some(({ doc }) => doc === run),
      )
      expect(node.engine.state.board.runs.has(run)).toBe(false)
    }
    cluster.network.heal()
    await eventually('who was away archives it too', () =>
      existsSync(join(cluster.dirOf('c'), 'archive', `${run}.frames`)),
    )
    await settled(cluster)
    for (const node of cluster.nodes) expect(node.engine.state.board.runs.has(run)).toBe(false)
    await expect(a!.face.run({ run })).rejects.toMatchObject({ code: 'ORCH_NOT_FOUND' })
    for (const node of cluster.nodes) expect(await exported(node)).toEqual(before)
  })

  it('[CN10] a node that leaves is gone for all, keeps its board aside, and starts again as one machine', async () => {
    const cluster = await startCluster(['a', 'b'])
    const [a, b] = cluster.nodes
    const run = await submit(a!, { tasks: [shell('x', 'true')] })
    expect((await follow(a!, run)).status).toBe('complete')
    await b!.face.leave()
    await b!.closed
    await eventually('a knows', () => a!.engine.state.roster!.role(b!.node) === 'none')
    await eventually('its board is aside', () =>
      readdirSync(cluster.dirOf('b')).some((name) => name.startsWith('left-')),
    )
    const again = await cluster.start('b')
    expect((await again.face.status()).backend).toBe('file')
    await expect(again.face.members()).rejects.toMatchObject({ code: 'ORCH_NOT_MEMBER' })
    // The key that left stays with the board: another one can be let in again.
    expect(again.node).not.toBe(b!.node)
    const { token } = await a!.face.invite({})
    for await (const update of again.face.join({ to: token })) expect(update.type).toBe('joined')
    await eventually('it is a member again', () => a!.engine.state.live.includes(again.node))
  })
})
