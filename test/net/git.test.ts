// Goal: a stream of git objects begins with the name of a repository and an answer that says why not. Method: two nodes of the memory net; the server is played.
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  GIT_PROTOCOL,
  type GitServeOptions,
  type GitServer,
  openGitStream,
  serveGitStreams,
} from '../../src/net/git.ts'
import { createMemoryNetwork } from '../../src/net/memory.ts'
import { messagesOver } from '../../src/net/message.ts'
import type { ChannelHandler, Net } from '../../src/net/net.ts'

const A = '12D3KooWAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
const B = '12D3KooWBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB'
const ID = '0123456789abcdef0123456789abcdef'

async function pair(): Promise<[Net, Net]> {
  const network = createMemoryNetwork()
  const nets = [network.join({ node: A }), network.join({ node: B })] as const
  for (const net of nets) {
    net.admit(() => 'member')
    onTestFinished(() => net.close())
  }
  await nets[0].dial(nets[1].addresses()[0]!)
  return [...nets]
}

async function served(server: GitServer, options?: GitServeOptions): Promise<Net> {
  const [asking, serving] = await pair()
  serveGitStreams(serving, server, options)
  return asking
}

async function handled(handler: ChannelHandler): Promise<Net> {
  const [asking, serving] = await pair()
  serving.handle(GIT_PROTOCOL, handler)
  return asking
}

async function text(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  let all = ''
  for await (const piece of pieces) all += Buffer.from(piece).toString()
  return all
}

describe('streams of git objects', () => {
  it('[PG1] carry bytes both ways after the answer, and each side ends for itself', async () => {
    const asked: string[] = []
    const net = await served(async (repository, peer) => {
      asked.push(repository, peer)
      return {
        ok: true,
        async serve(stream) {
          const question = await text(stream.read())
          await stream.write(Buffer.from(`you said ${question}`))
          await stream.end()
        },
      }
    })
    const stream = await openGitStream(net, B, ID)
    await stream.write(Buffer.from('one '))
    await stream.write(Buffer.from('two'))
    await stream.end()
    expect(await text(stream.read())).toBe('you said one two')
    expect(asked).toEqual([ID, A])
  })

  it('[PG1] a repository that is not there is refused with a code and words', async () => {
    const net = await served(async () => ({ ok: false, code: 'ORCH_NOT_FOUND', message: 'not\nhere' }))
    await expect(openGitStream(net, B, ID)).rejects.toMatchObject({
      code: 'ORCH_NOT_FOUND',
      message: expect.stringContaining('not here'),
      context: { node: B, repository: ID },
    })
  })

  it.each(['', '../x', 'ABCDEF01', `${ID} ${ID}`, '--upload-pack=x', '0'.repeat(65)])(
    '[PG1] %j is asked of nobody',
    async (repository) => {
      const asked: string[] = []
      const net = await served(async (id) => {
        asked.push(id)
        return { ok: false, code: 'ORCH_NOT_FOUND', message: 'x' }
      })
      await expect(openGitStream(net, B, repository)).rejects.toMatchObject({ code: 'ORCH_NOT_FOUND' })
      expect(asked).toEqual([])
    },
  )

  it('[PG2] too many at once are refused, for one peer and for all; a free place is given again', async () => {
    for (const options of [{ perPeerMax: 2 }, { max: 2 }]) {
      let finish = (): void => {}
      const gate = new Promise<void>((resolve) => {
        finish = resolve
      })
      const net = await served(
        async () => ({
          ok: true,
          async serve(stream) {
            await gate
            await stream.end()
          },
        }),
        options,
      )
      const open = await Promise.all([openGitStream(net, B, ID), openGitStream(net, B, ID)])
      await expect(openGitStream(net, B, ID)).rejects.toMatchObject({ code: 'ORCH_BACKPRESSURE' })
      finish()
      for (const stream of open) {
        await stream.end()
        expect(await text(stream.read())).toBe('')
      }
      await expect(openGitStream(net, B, ID)).resolves.toBeDefined()
    }
  })

  it('[PG2] a fault of the server breaks the stream', async () => {
    const net = await served(async () => {
      throw new Error('no')
    })
    await expect(openGitStream(net, B, ID)).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
  })

  it.each([
    ['yes', 'ORCH_PROTOCOL'],
    ['no ORCH_BUG stop', 'ORCH_PROTOCOL'],
    ['no', 'ORCH_PROTOCOL'],
    ['x'.repeat(600), 'ORCH_PROTOCOL'],
  ])('[PG2] an answer that means nothing is no stream: %s', async (answer, code) => {
    const net = await handled(async (channel) => {
      const messages = messagesOver(channel)
      await messages.receive()
      await messages.send(Buffer.from(answer))
    })
    await expect(openGitStream(net, B, ID)).rejects.toMatchObject({ code })
  })

  it('[PG2] a server that ends without a word, and one that is waited for no longer', async () => {
    const ended = await handled(async (channel) => channel.end())
    await expect(openGitStream(ended, B, ID)).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
    const abort = new AbortController()
    const silent = await handled(async (channel) => {
      await messagesOver(channel).receive()
      abort.abort()
      await text(channel.read())
    })
    await expect(openGitStream(silent, B, ID, { signal: abort.signal })).rejects.toMatchObject({
      code: 'ORCH_PEER_GONE',
    })
  })
})
