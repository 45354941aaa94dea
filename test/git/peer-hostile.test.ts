// Goal: whatever a peer sends, refuses to send or stops sending, nothing of it stays that was not judged, and the next peer can still give it (threat model A7, X10-X12).
// Method: hostile trees served by real git; forged packs and broken streams in memory.
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { objectId, type TreeEntry } from '../../src/git/object.ts'
import { commitAll, git, gitInput, work, write } from './fixture.ts'
import {
  base,
  blob,
  contents,
  forge,
  type PackEntry,
  type Peers,
  packAnswer,
  packOf,
  peers,
  plant,
  result,
} from './peer-fixture.ts'

type Bad = [name: string, why: RegExp, entries: (from: Peers) => TreeEntry[]]

const file = (name: string, from: Peers): TreeEntry => ({ mode: '100644', name, oid: blob(from, 'x') })

/** The nine of X11. */
const NINE: Bad[] = [
  ['backslash name', /backslash/, (from) => [file('a\\b', from)]],
  [
    'link to /etc/passwd',
    /absolute/,
    (from) => [{ mode: '120000', name: 'l', oid: blob(from, '/etc/passwd') }],
  ],
  ['.gitmodules path ending in CR', /control|gitmodules/, (from) => [file('.gitmodules\r', from)]],
  ['gitlink', /gitlink/, (from) => [{ mode: '160000', name: 'sub', oid: from.at.base }]],
  ['control characters', /control/, (from) => [file('a\u001b[31mb', from)]],
  ['leading dash', /dash/, (from) => [file('--upload-pack=x', from)]],
  ['CON', /device/, (from) => [file('CON', from)]],
  ['odd mode', /mode 100666/, (from) => [{ mode: '100666', name: 'x', oid: blob(from, 'x') }]],
  ['FILE and file', /collides/, (from) => [file('FILE', from), file('file', from)]],
]

/** A node that has the base and nothing else, and what it holds then. */
async function withBase(): Promise<{ from: Peers; before: ReturnType<typeof contents> }> {
  const from = await peers()
  await from.ours.fetchFrom(from.id, { wants: [base(from.at.base)], connect: from.connect() })
  return { from, before: contents(from.ourRepo) }
}

describe('hostile trees', () => {
  it.each(NINE)('[PG7] refuses: %s', async (_, why, entries) => {
    const { from, before } = await withBase()
    const tip = await plant(from, entries(from))
    const fetching = from.ours.fetchFrom(from.id, { wants: [result('a', tip)], connect: from.connect() })
    await expect(fetching).rejects.toMatchObject({
      code: 'ORCH_GIT_HOSTILE',
      message: expect.stringMatching(why),
      context: { commit: tip },
    })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG7] refuses what hides in the middle of a history, or in a second parent', async () => {
    const { from, before } = await withBase()
    const bad = await plant(from, [file('--x', from)])
    const clean = await plant(from, [file('fine', from)], [bad])
    const merged = await plant(from, [file('fine', from)], [from.at.base, bad])
    for (const tip of [clean, merged]) {
      const fetching = from.ours.fetchFrom(from.id, { wants: [result('a', tip)], connect: from.connect() })
      await expect(fetching).rejects.toMatchObject({ code: 'ORCH_GIT_HOSTILE' })
    }
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG7] refuses a result that builds on nothing that is here', async () => {
    const { from, before } = await withBase()
    const orphan = await plant(from, [file('fine', from)], [])
    const fetching = from.ours.fetchFrom(from.id, { wants: [result('a', orphan)], connect: from.connect() })
    await expect(fetching).rejects.toMatchObject({
      code: 'ORCH_GIT_HOSTILE',
      message: expect.stringContaining('builds on nothing'),
    })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG7] one hostile result among several keeps all of that transfer out', async () => {
    const { from, before } = await withBase()
    const fine = await plant(from, [file('fine', from)])
    const bad = await plant(from, [file('CON', from)])
    const wants = [result('a', fine), result('b', bad)]
    const fetching = from.ours.fetchFrom(from.id, { wants, connect: from.connect() })
    await expect(fetching).rejects.toMatchObject({ context: { commit: bad } })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG7] bases and results never come in one transfer, where the lint would be left out', async () => {
    const from = await peers()
    const wants = [base(from.at.base), result('a', from.at.base)]
    await expect(from.ours.fetchFrom(from.id, { wants, connect: from.connect() })).rejects.toMatchObject({
      code: 'ORCH_BUG',
    })
  })
})

describe('a base', () => {
  it('[PG4] with old faults that hurt nobody comes in, one with a hostile name in its history does not', async () => {
    const from = await peers()
    const { user, bare } = from.at
    const tree = git(user, 'rev-parse', 'HEAD^{tree}')
    const odd = Buffer.from(
      `tree ${tree}\nparent ${from.at.base}\nauthor A <a@b> 1 +051800\ncommitter A<a@b> 1 +0000\n\nx\n`,
    )
    const old = gitInput(user, odd, 'hash-object', '-t', 'commit', '-w', '--stdin', '--literally')
    git(user, 'reset', '-q', '--hard', old)
    const facts = await from.theirs.inspect(user)
    await from.theirs.importBase(facts)
    await from.ours.fetchFrom(from.id, { wants: [base(old)], connect: from.connect() })
    expect(await from.ours.lacking(from.id, [old])).toEqual([])

    const planted = bare.objects.write(
      'tree',
      Buffer.concat([Buffer.from('100644 .git\0'), Buffer.from(blob(from, 'x'), 'hex')]),
    )
    const person = 'E <e@example.org> 1 +0000'
    const bad = bare.objects.writeCommit({
      tree: planted,
      parents: [old],
      author: person,
      committer: person,
      message: 'x\n',
    })
    const after = bare.objects.writeCommit({
      tree,
      parents: [bad],
      author: person,
      committer: person,
      message: 'x\n',
    })
    await bare.objects.flush()
    await expect(
      from.ours.fetchFrom(from.id, { wants: [base(after)], connect: from.connect() }),
    ).rejects.toMatchObject({ code: 'ORCH_GIT_HOSTILE', message: expect.stringContaining('hasDotgit') })
  })

  it.each([
    ['ORCH_GIT_LFS', { '.gitattributes': '*.bin filter=lfs\n' }],
    [
      'ORCH_GIT_SUBMODULES',
      { '.gitmodules': '[submodule "x"]\n\tpath = x\n\turl = https://example.org/x\n' },
    ],
  ])('[PG4] that no run can start from is refused: %s', async (code, files) => {
    const from = await peers()
    const { user, bare } = from.at
    write(user, files)
    const commit = commitAll(user, 'odd')
    git(bare.dir, '-c', 'protocol.file.allow=always', 'fetch', '-q', user, 'main')
    const fetching = from.ours.fetchFrom(from.id, { wants: [base(commit)], connect: from.connect() })
    await expect(fetching).rejects.toMatchObject({ code })
    expect(contents(from.ourRepo)).toEqual({ refs: '', objects: [], quarantine: [] })
  })
})

const PERSON = 'E <e@example.org> 1 +0000'

function commitEntry(tree: string, parent: string): { entry: PackEntry; oid: string } {
  const body = Buffer.from(`tree ${tree}\nparent ${parent}\nauthor ${PERSON}\ncommitter ${PERSON}\n\nx\n`)
  return { entry: { type: 'commit', body }, oid: objectId('sha1', 'commit', body) }
}

function treeEntry(name: string, oid: string): { entry: PackEntry; oid: string } {
  const body = Buffer.concat([Buffer.from(`100644 ${name}\0`), Buffer.from(oid, 'hex')])
  return { entry: { type: 'tree', body }, oid: objectId('sha1', 'tree', body) }
}

/** Sizes as deltas write them. */
function deltaSize(size: number): number[] {
  const bytes: number[] = []
  for (; size >= 128; size = Math.floor(size / 128)) bytes.push((size % 128) | 128)
  return [...bytes, size]
}

describe('packs', () => {
  it.each(['tree', 'blob', 'parent'])('[PG7] a missing %s is refused', async (what) => {
    const { from, before } = await withBase()
    const nothing = '1'.repeat(40)
    const tree = treeEntry('x', nothing)
    const made = commitEntry(
      what === 'blob'
        ? tree.oid
        : what === 'tree'
          ? nothing
          : git(from.ourRepo, 'rev-parse', `${from.at.base}^{tree}`),
      what === 'parent' ? nothing : from.at.base,
    )
    const entries = what === 'blob' ? [tree.entry, made.entry] : [made.entry]
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', made.oid)],
      connect: forge(packAnswer(packOf(entries))),
    })
    await expect(fetching).rejects.toMatchObject({ code: 'ORCH_GIT_HOSTILE' })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG7] a pack without what was asked for is refused', async () => {
    const { from, before } = await withBase()
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', '2'.repeat(40))],
      connect: forge(packAnswer(packOf([{ type: 'blob', body: Buffer.from('x') }]))),
    })
    await expect(fetching).rejects.toMatchObject({ code: 'ORCH_GIT_HOSTILE' })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG8] too many objects are refused by their count, before one is read', async () => {
    const { from, before } = await withBase()
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', '2'.repeat(40))],
      connect: forge(packAnswer(packOf([], 200_001))),
    })
    await expect(fetching).rejects.toMatchObject({
      code: 'ORCH_GIT_HOSTILE',
      message: expect.stringContaining('200001 objects'),
    })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG8] too many bytes are refused', async () => {
    const { from, before } = await withBase()
    const made = await work(from.at.bare, from.at.base, { big: randomBytes(400_000) })
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', made)],
      connect: from.connect(),
      limits: { bytesMax: 100_000 },
    })
    await expect(fetching).rejects.toMatchObject({ code: 'ORCH_GIT_HOSTILE' })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it.runIf(process.platform === 'linux')('[PG8] a delta that asks for much memory is ended', async () => {
    const { from, before } = await withBase()
    const zeros = Buffer.alloc(8 * 2 ** 20)
    const onto = objectId('sha1', 'blob', zeros)
    const times = 64
    // Copy of all of the base, over and over: 0x80 | three size bytes, offset 0.
    const copy = [0x80 | 0x40, 0x80]
    const ops = Array.from({ length: times }, () => copy).flat()
    const delta = Buffer.from([...deltaSize(zeros.length), ...deltaSize(times * zeros.length), ...ops])
    const pack = packOf([
      { type: 'blob', body: zeros },
      { type: 'delta', body: delta, onto },
    ])
    expect(pack.length).toBeLessThan(20_000)
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', '2'.repeat(40))],
      connect: forge(packAnswer(pack)),
      limits: { memoryBytesMax: 96 * 2 ** 20 },
    })
    await expect(fetching).rejects.toMatchObject({
      code: 'ORCH_GIT_HOSTILE',
      message: expect.stringContaining('of memory'),
    })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it.each<[string, (Buffer | string)[], string]>([
    ['no pack', packAnswer(Buffer.from('not a pack at all')), 'ORCH_GIT_HOSTILE'],
    ['nothing', [], 'ORCH_PEER_GONE'],
    ['half a packet', ['00ff1234'], 'ORCH_PEER_GONE'],
    ['another protocol', ['HTTP/1.1 200 OK\r\n'], 'ORCH_PROTOCOL'],
    ['an empty pack answer', ['000dpackfile\n0000'], 'ORCH_GIT_HOSTILE'],
    ['a cut pack answer', ['000dpackfile\n'], 'ORCH_PEER_GONE'],
    ['words on the error band', ['000dpackfile\n', '000b\u0003broken'], 'ORCH_GIT_FAILED'],
    ['an unknown band', ['000dpackfile\n', '0006\u0009x'], 'ORCH_PROTOCOL'],
    ['more after the pack', [...packAnswer(packOf([])), '0005\u0001'], 'ORCH_PROTOCOL'],
    ['an error of its own', ['000cERR what'], 'ORCH_GIT_FAILED'],
  ])('[PG9] a peer that answers with %s', async (_, answer, code) => {
    const { from, before } = await withBase()
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', '2'.repeat(40))],
      connect: forge(answer),
    })
    await expect(fetching).rejects.toMatchObject({ code })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it.each<[string, string[], string]>([
    ['an older protocol', ['000eversion 1\n', '0000'], 'ORCH_PROTOCOL'],
    ['no service', ['000eversion 2\n', '0000'], 'ORCH_PROTOCOL'],
    [
      'another digest',
      ['000eversion 2\n', '000afetch\n', '0019object-format=sha256\n', '0000'],
      'ORCH_PROTOCOL',
    ],
  ])('[PG9] a peer that greets with %s', async (_, greeting, code) => {
    const { from } = await withBase()
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', '2'.repeat(40))],
      connect: forge([], greeting),
    })
    await expect(fetching).rejects.toMatchObject({ code })
  })
})

describe('peers that fail', () => {
  it('[PG2] a commit that the peer lacks is told by name', async () => {
    const { from, before } = await withBase()
    const missing = '3'.repeat(40)
    const fetching = from.ours.fetchFrom(from.id, { wants: [result('a', missing)], connect: from.connect() })
    await expect(fetching).rejects.toMatchObject({ code: 'ORCH_NOT_FOUND', context: { missing } })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it.each([0, 10, 150, 300_000])(
    '[PG9] a peer that dies after %i bytes leaves nothing, and another one gives it',
    async (afterBytes) => {
      const { from, before } = await withBase()
      const made = await work(from.at.bare, from.at.base, { big: randomBytes(900_000) })
      const wants = [result('a', made)]
      await expect(
        from.ours.fetchFrom(from.id, { wants, connect: from.connect({ afterBytes, fault: 'break' }) }),
      ).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
      expect(contents(from.ourRepo)).toEqual(before)
      await from.ours.fetchFrom(from.id, { wants, connect: from.connect() })
      expect(await from.ours.lacking(from.id, [made])).toEqual([])
    },
  )

  it.each([0, 150, 300_000])('[PG8] a peer that is silent after %i bytes is left', async (afterBytes) => {
    const { from, before } = await withBase()
    const made = await work(from.at.bare, from.at.base, { big: randomBytes(900_000) })
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', made)],
      connect: from.connect({ afterBytes, fault: 'silence' }),
      silenceMs: 300,
    })
    await expect(fetching).rejects.toMatchObject({
      code: 'ORCH_PEER_GONE',
      message: expect.stringContaining('silent'),
    })
    expect(from.opened.at(-1)?.aborted()).toContain('silent')
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG8] a transfer that takes too long is ended, however lively the peer', async () => {
    const { from, before } = await withBase()
    const made = await work(from.at.bare, from.at.base, { x: 'x' })
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', made)],
      connect: from.connect({ afterBytes: 100, fault: 'silence' }),
      limits: { timeoutMs: 300 },
    })
    await expect(fetching).rejects.toMatchObject({ code: 'ORCH_PEER_GONE' })
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it('[PG8] a transfer can be cancelled', async () => {
    const { from, before } = await withBase()
    const abort = new AbortController()
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', await work(from.at.bare, from.at.base, { x: 'x' }))],
      connect: async () => {
        const made = await from.connect({ afterBytes: 0, fault: 'silence' })()
        abort.abort()
        return made
      },
      signal: abort.signal,
    })
    await expect(fetching).rejects.toMatchObject({ code: 'ORCH_CANCELLED' })
    expect(from.opened.at(-1)?.aborted()).toBeDefined()
    expect(contents(from.ourRepo)).toEqual(before)
  })

  it.each([200, 2_000])('[PG9] a byte changed on the way, at %i, is found', async (where) => {
    const { from, before } = await withBase()
    const made = await work(from.at.bare, from.at.base, { big: randomBytes(9_000) })
    let at = 0
    const tap = (piece: Uint8Array): Uint8Array => {
      const index = where - at
      at += piece.length
      if (index < 0 || index >= piece.length) return piece
      const changed = Uint8Array.from(piece)
      changed[index]! ^= 0xff
      return changed
    }
    const fetching = from.ours.fetchFrom(from.id, {
      wants: [result('a', made)],
      connect: from.connect({ tap }),
    })
    await expect(fetching).rejects.toMatchObject({ code: expect.stringMatching(/HOSTILE|PROTOCOL|GONE/) })
    expect(contents(from.ourRepo)).toEqual(before)
  })
})
