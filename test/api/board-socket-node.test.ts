/** Goal: a run of a real node is watched while it works. Method: whole nodes on a memory network, served as `orch-node start` does, and the program of the example. */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { type Served, serve } from '../../src/api/serve.ts'
import { startCluster } from '../node/cluster-fixture.ts'
import { follow, shell, submit, type TestNode, undoLater } from '../node/fixture.ts'
import { until } from './open-node.ts'

const WATCH = fileURLToPath(new URL('../../examples/yjs-client/watch.mjs', import.meta.url))

interface ServedNode {
  readonly node: TestNode
  readonly served: Served
  readonly token: string
}

async function serveNode(node: TestNode): Promise<ServedNode> {
  chmodSync(node.dataDir, 0o700)
  const served = await serve(node, { httpPort: 0 })
  undoLater(() => served.close())
  const { token } = await served.announced
  return { node, served, token }
}

function watch({ served, token }: ServedNode, run: string) {
  const doc = new Y.Doc()
  const provider = new WebsocketProvider(`${served.url.replace('http', 'ws')}/board`, run, doc, {
    params: { token },
    WebSocketPolyfill: WebSocket as never,
    disableBc: true,
    maxBackoffTime: 200,
  })
  provider.on('connection-error', () => {})
  undoLater(() => provider.destroy())
  const facts = (collection: string): [string, Record<string, unknown>][] =>
    [...doc.getMap<Uint8Array>(collection).entries()].map(([key, bytes]) => [
      key.split('/').slice(0, -2).join('/'),
      JSON.parse(Buffer.from(bytes).toString()),
    ])
  return { provider, facts }
}

function statusOf({ served, token }: ServedNode, run: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve) => {
    const client = new WebSocket(`${served.url.replace('http', 'ws')}/board/${run}?token=${token}`)
    client.on('open', () => {
      client.close()
      resolve({ status: 101, body: '' })
    })
    client.on('error', () => {})
    client.on('unexpected-response', (_request, response) => {
      let body = ''
      response.on('data', (chunk) => {
        body += String(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode!, body }))
    })
  })
}

describe('a board that is watched', () => {
  it('[BW1] shows the facts of a run while it works, on every member', async () => {
    const { nodes } = await startCluster(['a', 'b'])
    const [a, b] = await Promise.all(nodes.map(serveNode))
    const run = await submit(a!.node, {
      tasks: [shell('one', 'echo one'), shell('two', 'sleep 0.3; echo two', { needs: ['one'] })],
    })
    const here = watch(a!, run)
    await until(() => here.provider.synced, 'the first sync')
    const summary = await follow(a!.node, run)
    expect(summary.status).toBe('complete')
    await until(() => here.facts('accepts').length === 2, 'the accepts')
    expect(
      here
        .facts('specs')
        .map(([key]) => key)
        .sort(),
    ).toEqual(['one', 'two'])
    expect(
      here
        .facts('results')
        .map(([key]) => key)
        .sort(),
    ).toEqual(['one/1/1', 'two/1/1'])
    expect(here.facts('results').map(([, { outcome }]) => outcome)).toEqual(['done', 'done'])
    expect(here.facts('runs').map(([, { name }]) => name)).toEqual(['test'])
    const there = watch(b!, run)
    await until(() => there.facts('accepts').length === 2, 'the same on the other member')
    const cluster = watch(b!, 'cluster')
    await until(() => cluster.facts('members').length >= 2, 'the members')
    const [, found] = cluster.facts('members').find(([, { verb }]) => verb === 'found')!
    expect(found).toMatchObject({ verb: 'found', name: 'a' })
  })

  it('[BW5] a run that is not there, or is another’s prefix, is 404', async () => {
    const { nodes } = await startCluster(['a'])
    const a = await serveNode(nodes[0]!)
    const run = await submit(a.node, { tasks: [shell('one', 'true')] })
    expect(await statusOf(a, run)).toMatchObject({ status: 101 })
    for (const name of ['test-0000', run.slice(0, -1), `${run}x`, '@other', '%2e%2e', '%zz'])
      expect(await statusOf(a, name)).toMatchObject({ status: 404 })
    expect([...a.node.engine.state.board.runs.keys()]).toEqual([run])
  })

  it('[BW13] needs the board of a cluster: a node alone says so, and how to get there', async () => {
    const cluster = await startCluster(['a'])
    const b = await serveNode(await cluster.start('b'))
    const run = await submit(b.node, { tasks: [shell('one', 'echo one')] })
    const answer = await statusOf(b, run)
    expect(answer.status).toBe(501)
    expect(JSON.parse(answer.body)).toMatchObject({
      error: { code: 'ORCH_UNSUPPORTED', hint: expect.stringContaining('orch-node invite') },
    })
    const { provider, facts } = watch(b, run)
    await b.node.face.invite({})
    await until(() => provider.synced && facts('specs').length === 1, 'the board of the new cluster')
  })

  it('[BW12] closes with the node', async () => {
    const { nodes } = await startCluster(['a'])
    const a = await serveNode(nodes[0]!)
    const { provider } = watch(a, 'cluster')
    const codes: (number | undefined)[] = []
    provider.on('connection-close', (event: { code: number } | null) => codes.push(event?.code))
    await until(() => provider.synced, 'the first sync')
    await a.node.close()
    await until(() => codes.length > 0, 'the close')
    expect(codes[0]).toBe(1001)
    await a.served.close()
  })
})

describe('the example', () => {
  function start(dataDir: string, ...args: string[]): { readonly child: ChildProcess; text(): string } {
    const env = { PATH: process.env.PATH, HOME: dataDir, ORCH_DATA_DIR: dataDir }
    const child = spawn(process.execPath, [WATCH, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    undoLater(() => void child.kill('SIGKILL'))
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        text += String(chunk)
      })
    return { child, text: () => text }
  }

  it('[BW1] prints specs and results as they come', async () => {
    const { nodes } = await startCluster(['a'])
    const a = await serveNode(nodes[0]!)
    const run = await submit(a.node, {
      tasks: [shell('one', 'echo one'), shell('two', 'sleep 0.5; false', { needs: ['one'] })],
    })
    const { text } = start(a.node.dataDir, run)
    await until(() => text().includes(`-- in step with ${run}`), 'the first sync', 30_000)
    await follow(a.node, run)
    const by = `by ${a.node.node.slice(-8)}`
    const line = (start: string) => text().match(new RegExp(`^${start} ${by}: (\\{.*\\})$`, 'm'))?.[1]
    await until(() => line('results two/1/1') !== undefined, 'the last result')
    expect(JSON.parse(line('results two/1/1')!)).toMatchObject({ outcome: 'failed', exit: 1 })
    expect(JSON.parse(line('results one/1/1')!)).toMatchObject({ outcome: 'done' })
    expect(JSON.parse(line('specs one')!)).toMatchObject({ kind: 'shell', run: 'echo one' })
  })

  it('[BW1] shows the cluster when no run is named, and says when it is refused', async () => {
    const { nodes } = await startCluster(['a'])
    const a = await serveNode(nodes[0]!)
    const cluster = start(a.node.dataDir)
    const nobody = start(a.node.dataDir, 'no-such-run')
    const shows = (pattern: RegExp) => until(() => pattern.test(cluster.text()), String(pattern), 30_000)
    await shows(/^members \S+ by \w{8}: \{.*"verb":"found"/m)
    await shows(/^nodes \S+ by \w{8}: \{.*"name":"a"/m)
    await until(() => nobody.text().includes('-- Unexpected server response: 404'), 'the refusal', 30_000)
  })
})
