/** Two nodes, each with a git edge of its own, and a wire between them. */
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import { onTestFinished } from 'vitest'
import type { Duplex } from '../../src/git/duplex.ts'
import type { Want } from '../../src/git/fetch.ts'
import { createGit, type Git } from '../../src/git/git.ts'
import type { TreeEntry } from '../../src/git/object.ts'
import { packet } from '../../src/git/pkt-line.ts'
import type { ServeOptions } from '../../src/git/upload-pack.ts'
import { duplexPair, type End, type Wire } from './duplex.ts'
import { attempt, type Files, git, NODE_A, type Place, place, tempDir } from './fixture.ts'

export interface Peers {
  readonly at: Place
  readonly id: string
  /** The node that has the repository. */
  readonly theirs: Git
  /** The node that has never seen it. */
  readonly ours: Git
  readonly dir: string
  /** Our repository, once there is one. */
  readonly ourRepo: string
  /** Streams opened so far. */
  readonly opened: End[]
  /** Opens streams to them. */
  connect(wire?: Wire, serve?: ServeOptions): () => Promise<Duplex>
}

export function edge(dataDir: string): Git {
  const made = createGit({ dataDir })
  onTestFinished(() => made.close())
  return made
}

export async function peers(files?: Files, ...init: string[]): Promise<Peers> {
  const at = await place(files, ...init)
  const dir = tempDir()
  const theirs = edge(join(at.dir, 'data'))
  const opened: End[] = []
  const { id } = at.facts
  return {
    at,
    id,
    theirs,
    ours: edge(dir),
    dir,
    ourRepo: join(dir, 'repos', `${id}.git`),
    opened,
    connect: (wire, serve) => async () => {
      const [mine, other] = duplexPair(wire)
      opened.push(mine)
      // Its outcome is told by the stream.
      theirs.serve(id, other, serve).catch(() => {})
      return mine
    },
  }
}

export const base = (commit: string): Want => ({ kind: 'base', commit })
export const result = (task: string, commit: string): Want => ({
  kind: 'work',
  commit,
  attempt: attempt(task),
})
export const head = (commit: string): Want => ({ kind: 'head', commit, run: 'demo-1a2b', node: NODE_A })

/** Everything that a repository of ours holds: refs, objects, and what waits in quarantine. */
export function contents(repo: string): { refs: string; objects: string[]; quarantine: string[] } {
  return {
    refs: git(repo, 'for-each-ref'),
    objects: git(repo, 'cat-file', '--batch-all-objects', '--unordered', '--batch-check=%(objectname)')
      .split('\n')
      .filter(Boolean)
      .sort(),
    quarantine: readdirSync(join(repo, 'orch', 'quarantine')),
  }
}

const PERSON = 'E <e@example.org> 1 +0000'

/** A commit in their repository, with entries written byte by byte. */
export async function plant(
  from: Peers,
  entries: readonly TreeEntry[],
  parents: readonly string[] = [from.at.base],
): Promise<string> {
  const { objects } = from.at.bare
  const honest = await objects.tree((await objects.commit(from.at.base)).tree)
  const kept = [...honest.values()].filter((old) => !entries.some(({ name }) => name === old.name))
  const tree = objects.writeTree([...kept, ...entries])
  const oid = objects.writeCommit({ tree, parents, author: PERSON, committer: PERSON, message: 'x\n' })
  await objects.flush()
  return oid
}

export const blob = (from: Peers, content: string): string =>
  from.at.bare.objects.write('blob', Buffer.from(content))

/** A peer that answers a request for objects with bytes of its own choice. */
export function forge(answer: readonly (Buffer | string)[], greeting = GREETING): () => Promise<Duplex> {
  return async () => {
    const [mine, other] = duplexPair()
    void (async () => {
      for (const piece of greeting) await other.write(Buffer.from(piece))
      let heard = ''
      for await (const piece of other.read()) {
        heard += Buffer.from(piece).toString('latin1')
        if (heard.endsWith('0009done\n0000')) break
      }
      for (const piece of answer) await other.write(Buffer.from(piece))
      await other.end()
    })().catch(() => {})
    return mine
  }
}

const GREETING: readonly (Buffer | string)[] = [
  packet('version 2\n'),
  packet('fetch=shallow\n'),
  packet('object-format=sha1\n'),
  '0000',
]

/** The answer that holds this pack. */
export function packAnswer(pack: Buffer): (Buffer | string)[] {
  const pieces: (Buffer | string)[] = [packet('packfile\n')]
  for (let at = 0; at < pack.length; at += 60_000) {
    const part = pack.subarray(at, at + 60_000)
    pieces.push((part.length + 5).toString(16).padStart(4, '0'), Buffer.of(1), part)
  }
  return [...pieces, '0000']
}

export const OBJECT_TYPES = { commit: 1, tree: 2, blob: 3, delta: 7 } as const

export interface PackEntry {
  readonly type: keyof typeof OBJECT_TYPES
  readonly body: Buffer
  /** Of a delta, the object it changes. */
  readonly onto?: string
}

/** A pack written byte by byte. `count` lies about how many there are. */
export function packOf(entries: readonly PackEntry[], count = entries.length): Buffer {
  const head = Buffer.alloc(12)
  head.write('PACK')
  head.writeUInt32BE(2, 4)
  head.writeUInt32BE(count, 8)
  const parts: Buffer[] = [head]
  for (const { type, body, onto } of entries) {
    const bytes: number[] = []
    let size = body.length
    let byte = (OBJECT_TYPES[type] << 4) | (size & 15)
    for (size = Math.floor(size / 16); size > 0; size = Math.floor(size / 128)) {
      bytes.push(byte | 128)
      byte = size & 127
    }
    bytes.push(byte)
    parts.push(Buffer.from(bytes), onto ? Buffer.from(onto, 'hex') : Buffer.alloc(0), deflateSync(body))
  }
  const bytes = Buffer.concat(parts)
  return Buffer.concat([bytes, createHash('sha1').update(bytes).digest()])
}
