/**
 * The file store: the common contract, the bytes of its format against the golden ones of LAYOUT.md, and group commit over a file system that
 * records, delays and fails.
 */

import * as nodeFs from 'node:fs'
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Author } from '../../src/core/id.ts'
import { openFileStore } from '../../src/store/file.ts'
import type { JournalFs } from '../../src/store/journal-writer.ts'
import { acquireLock } from '../../src/store/lock.ts'
import type { CoordStore } from '../../src/store/store.ts'
import { author, collect, keys, kv, storeContract } from './contract.ts'
import { makeTemporaryDir, useDataDir } from './data-dir.ts'

storeContract('file', async () => {
  const dir = makeTemporaryDir()
  const open: CoordStore[] = []
  return {
    hasPeers: false,
    open: async (author: Author) => {
      const store = await openFileStore({ dataDir: join(dir, author.node), author })
      open.push(store)
      return store
    },
    settle: async () => {},
    dispose: async () => {
      for (const store of open) await store.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
})

/** Holds each sync until the test lets it go; records what reached the file system. */
function slowDisk() {
  const calls: string[] = []
  let waiting: (() => void) | undefined
  const fs: Partial<JournalFs> = {
    writeSync: ((fd: number, buffer: Buffer, at: number, length: number) => {
      calls.push(`write ${buffer.toString('utf8', at, at + length).split('\n').length - 1}`)
      return nodeFs.writeSync(fd, buffer, at, length)
    }) as JournalFs['writeSync'],
    fdatasync: ((fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
      calls.push('sync')
      waiting = () => {
        waiting = undefined
        nodeFs.fdatasyncSync(fd)
        done(null)
      }
    }) as JournalFs['fdatasync'],
  }
  return {
    fs,
    calls,
    /** Waits until a sync was asked for, then lets it return. */
    async letSync(): Promise<void> {
      await expect.poll(() => waiting !== undefined, { interval: 1 }).toBe(true)
      waiting?.()
    },
  }
}

function failure(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: planted`), { code })
}

describe('group commit', () => {
  it('[FJ1] a commit is durable only after the sync that follows its write has returned', async () => {
    const disk = slowDisk()
    const store = await openFileStore({ dataDir: useDataDir(), author: author(), fs: disk.fs })
    let isDurable = false
    const receipt = store.put([kv('a/1')], 5)
    void receipt.durable.then(() => {
      isDurable = true
    })
    await expect.poll(() => disk.calls, { interval: 1 }).toEqual(['write 1', 'sync'])
    await new Promise(setImmediate)
    expect(isDurable).toBe(false)
    await disk.letSync()
    await receipt.durable
    expect(isDurable).toBe(true)
    await store.close()
  })

  it('[FJ2] what is put while the disk is busy goes out with one write and one sync', async () => {
    const disk = slowDisk()
    const store = await openFileStore({ dataDir: useDataDir(), author: author(), fs: disk.fs })
    const first = store.put([kv('a/1')], 5).durable
    await expect.poll(() => disk.calls.length, { interval: 1 }).toBe(2)
    const rest = []
    for (let i = 2; i <= 40; i++) rest.push(store.put([kv(`a/${i}`)], 5).durable)
    await disk.letSync()
    await first
    await disk.letSync()
    await Promise.all(rest)
    expect(disk.calls).toEqual(['write 1', 'sync', 'write 39', 'sync'])
    await store.close()
  })

  it('[FJ2] commits of one turn of the event loop share a sync, also when they follow one that just returned', async () => {
    const disk = slowDisk()
    const store = await openFileStore({ dataDir: useDataDir(), author: author(), fs: disk.fs })
    const worker = async (name: string, hops: number) => {
      for (let i = 0; i < 3; i++) {
        await store.put([kv(`${name}/${i}`)], 5).durable
        for (let hop = 0; hop < hops; hop++) await null
      }
    }
    const workers = Promise.all([worker('a', 0), worker('b', 3), worker('c', 20)])
    for (let i = 0; i < 3; i++) await disk.letSync()
    await workers
    expect(disk.calls).toEqual(['write 3', 'sync', 'write 3', 'sync', 'write 3', 'sync'])
    await store.close()
  })

  it('[FJ2] a large group is written whole, in order, off the event loop', async () => {
    const dataDir = useDataDir()
    const writes: number[] = []
    const fs: Partial<JournalFs> = {
      // Short writes on top: the rest has to follow.
      write: ((
        fd: number,
        buffer: Buffer,
        at: number,
        length: number,
        position: null,
        done: (error: NodeJS.ErrnoException | null, written: number) => void,
      ) => {
        writes.push(length)
        nodeFs.write(fd, buffer, at, Math.min(length, 700_001), position, done)
      }) as JournalFs['write'],
    }
    const store = await openFileStore({ dataDir, author: author(), fs })
    for (let i = 0; i < 20; i++) store.put([kv(`a/${i}`, 'é'.repeat(50_000))], 5)
    await store.put([kv('last/1')], 5).durable
    expect(writes.length).toBeGreaterThan(2)
    await store.close()
    const next = await openFileStore({ dataDir, author: author() })
    const batches = await collect(next.facts())
    expect(batches.map((batch) => batch.n)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1))
    expect(batches[19]?.facts[0]?.body).toBe('é'.repeat(50_000))
    await next.close()
  })

  it('[FJ2] puts are refused while too much waits for a disk that hangs', async () => {
    const disk = slowDisk()
    // The bytes of this test never reach a disk: only the queue before it is of interest.
    const write = ((
      _fd: number,
      _buffer: Buffer,
      _at: number,
      length: number,
      _position: null,
      done: (error: null, written: number) => void,
    ) => setImmediate(done, null, length)) as unknown as JournalFs['write']
    const store = await openFileStore({ dataDir: useDataDir(), author: author(), fs: { ...disk.fs, write } })
    const first = store.put([kv('a/1')], 5).durable
    await expect.poll(() => disk.calls.length, { interval: 1 }).toBe(2)
    const body = 'x'.repeat(60 * 1024 * 1024)
    let n = 1
    expect(() => {
      for (; n < 20; n++) store.put([kv(`big/${n}`, body)], 5)
    }).toThrow(expect.objectContaining({ code: 'ORCH_BACKPRESSURE' }))
    expect(n).toBe(6)
    await disk.letSync()
    await first
    // One group each: together they would be one write of 300 MB.
    for (let group = 1; group <= 5; group++) await disk.letSync()
    expect(disk.calls.filter((call) => call === 'sync')).toHaveLength(6)
    expect(store.put([kv('a/2')], 5).n).toBe(7)
    const closed = store.close()
    await disk.letSync()
    await closed
  })

  it('[FJ1] without fsync a commit counts when it was written', async () => {
    const dataDir = useDataDir()
    const fs: Partial<JournalFs> = {
      fdatasync: (() => {
        throw new Error('not asked for')
      }) as unknown as JournalFs['fdatasync'],
    }
    const store = await openFileStore({ dataDir, author: author(), fsync: false, fs })
    await store.put([kv('a/1')], 5).durable
    expect(readFileSync(join(dataDir, 'journal.jsonl'), 'utf8')).toContain('a/1')
    await store.close()
  })
})

describe('a disk that fails', () => {
  const cases = [
    { code: 'ENOSPC', expected: 'ORCH_DISK_FULL' },
    { code: 'EDQUOT', expected: 'ORCH_DISK_FULL' },
    { code: 'EIO', expected: 'ORCH_DISK_FAILED' },
  ]
  for (const { code, expected } of cases) {
    for (const call of ['write', 'sync', 'large write'] as const) {
      it(`[FJ3] ${code} on ${call}: nothing after it is believed, what was durable stays`, async () => {
        const dataDir = useDataDir()
        let isBroken = false
        const fs: Partial<JournalFs> = {
          writeSync: ((fd: number, buffer: Buffer, at: number, length: number) => {
            if (!isBroken || call !== 'write') return nodeFs.writeSync(fd, buffer, at, length)
            // Half of the line gets through before the disk refuses.
            nodeFs.writeSync(fd, buffer, at, Math.floor(length / 2))
            throw failure(code)
          }) as JournalFs['writeSync'],
          write: ((
            _fd: number,
            _buffer: Buffer,
            _at: number,
            _length: number,
            _position: null,
            done: (error: Error) => void,
          ) => setImmediate(done, failure(code))) as unknown as JournalFs['write'],
          fdatasync: ((fd: number, done: (error: NodeJS.ErrnoException | null) => void) => {
            if (isBroken && call === 'sync') setImmediate(done, failure(code))
            else nodeFs.fdatasync(fd, done)
          }) as JournalFs['fdatasync'],
        }
        const store = await openFileStore({ dataDir, author: author(), fs })
        await store.put([kv('good/1')], 5).durable
        const size = statSync(join(dataDir, 'journal.jsonl')).size
        isBroken = true
        const body = call === 'large write' ? 'x'.repeat(300_000) : 'x'
        const lost = [store.put([kv('bad/1', body)], 5), store.put([kv('bad/2')], 5)]
        for (const { durable } of lost) await expect(durable).rejects.toMatchObject({ code: expected })
        isBroken = false
        const after = store.put([kv('after/1')], 5)
        expect(after).toMatchObject({ n: 0, written: [] })
        await expect(after.durable).rejects.toMatchObject({ code: expected })
        await expect(store.put([kv('good/1')], 5).durable).rejects.toMatchObject({ code: expected })
        expect(await keys(store)).toEqual(['good/1'])
        expect(statSync(join(dataDir, 'journal.jsonl')).size).toBe(size)
        await store.close()
        const next = await openFileStore({ dataDir, author: author() })
        expect(await keys(next)).toEqual(['good/1'])
        await next.put([kv('bad/1')], 5).durable
        await next.close()
      })
    }
  }

  it('[FJ3] a half line that cannot be cut off at once is cut at the next open', async () => {
    const dataDir = useDataDir()
    const fs: Partial<JournalFs> = {
      writeSync: ((fd: number, buffer: Buffer, at: number, length: number) => {
        nodeFs.writeSync(fd, buffer, at, length - 5)
        throw failure('EIO')
      }) as unknown as JournalFs['writeSync'],
      ftruncateSync: () => {
        throw failure('EIO')
      },
    }
    const store = await openFileStore({ dataDir, author: author(), fs })
    await expect(store.put([kv('bad/1')], 5).durable).rejects.toMatchObject({ code: 'ORCH_DISK_FAILED' })
    await store.close()
    const reports: string[] = []
    const next = await openFileStore({
      dataDir,
      author: author(),
      onReport: (report) => reports.push(report.kind),
    })
    expect(reports).toEqual(['torn-tail'])
    expect(await keys(next)).toEqual([])
    await next.close()
  })

  it('[FJ3] a receipt that nobody looks at does not end the process', async () => {
    const unhandled: unknown[] = []
    const listen = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', listen)
    const fs: Partial<JournalFs> = {
      writeSync: (() => {
        throw failure('EIO')
      }) as JournalFs['writeSync'],
    }
    const store = await openFileStore({ dataDir: useDataDir(), author: author(), fs })
    store.put([kv('a/1')], 5)
    await store.close()
    await new Promise(setImmediate)
    process.off('unhandledRejection', listen)
    expect(unhandled).toEqual([])
  })
})

describe('the files', () => {
  const layout = readFileSync(new URL('../../src/store/LAYOUT.md', import.meta.url), 'utf8')

  it('[FJ4] the journal has the golden bytes of LAYOUT.md', async () => {
    const golden = /```journal\n([\s\S]*?)```/.exec(layout)?.[1]
    const dataDir = useDataDir()
    const by = {
      node: '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN',
      incarnation: '01JD4ZQ3N8C5V0K7R2M9X4T6WB',
    }
    const store = await openFileStore({ dataDir, author: by, now: () => 1_732_156_800_000 })
    store.put(
      [{ doc: 'demo-7f2a', collection: 'specs', key: 'math', body: { kind: 'shell', run: 'npm test' } }],
      1_732_156_800_250,
    )
    await store.put(
      [
        { doc: 'demo-7f2a', collection: 'claims', key: 'math/1/1', body: {} },
        { doc: 'demo-7f2a', collection: 'starts', key: 'math/1/1', body: {} },
      ],
      1_732_156_800_251,
    ).durable
    await store.put(
      [{ doc: '@cluster', collection: 'kv', key: 'motto/1', body: 'nichts geht verloren – ✓' }],
      1_732_156_800_300,
    ).durable
    await store.close()
    expect(readFileSync(join(dataDir, 'journal.jsonl'), 'utf8')).toBe(golden)
  })

  it('[FJ5] directory and files are readable by their owner only', async () => {
    const dataDir = join(useDataDir(), 'deep', 'data')
    const store = await openFileStore({ dataDir, author: author() })
    await store.put([kv('a/1')], 5).durable
    expect(statSync(dataDir).mode & 0o777).toBe(0o700)
    expect(readdirSync(dataDir).toSorted()).toEqual(['journal.jsonl', 'node.lock'])
    for (const name of readdirSync(dataDir)) expect(statSync(join(dataDir, name)).mode & 0o777).toBe(0o600)
    await store.close()
    expect(readdirSync(dataDir)).toEqual(['journal.jsonl'])
  })

  it('[FJ5] a store opens under a lock that its caller holds, and leaves it alone', async () => {
    const dataDir = useDataDir()
    const lock = acquireLock(dataDir)
    const store = await openFileStore({ dataDir, author: author(), lock })
    await store.close()
    expect(readdirSync(dataDir).toSorted()).toEqual(['journal.jsonl', 'node.lock'])
    await expect(openFileStore({ dataDir, author: author() })).rejects.toMatchObject({ code: 'ORCH_LOCKED' })
    lock.release()
    await (await openFileStore({ dataDir, author: author() })).close()
  })

  it('a path that cannot be a data directory is refused by name, and no lock stays', async () => {
    const dir = useDataDir()
    writeFileSync(join(dir, 'file'), '')
    await expect(
      openFileStore({ dataDir: join(dir, 'file', 'data'), author: author() }),
    ).rejects.toMatchObject({
      code: 'ORCH_DATA_DIR',
      message: expect.stringContaining('file'),
    })
  })
})

describe('reading', () => {
  it('[ST5] several readers at once, and one that stops early, do not disturb each other or the writer', async () => {
    const store = await openFileStore({ dataDir: useDataDir(), author: author() })
    for (let i = 0; i < 3_000; i++) store.put([kv(`a/${i}`, 'x'.repeat(1_000))], 5)
    await store.put([kv('last/1')], 5).durable
    const stopped = (async () => {
      for await (const batch of store.facts()) if (batch.n === 1_500) return batch.n
      return 0
    })()
    const [all, some, first] = await Promise.all([keys(store), keys(store, { prefix: 'a/29' }), stopped])
    store.put([kv('later/1')], 6)
    expect(all).toHaveLength(3_001)
    expect(some).toHaveLength(111)
    expect(first).toBe(1_500)
    await store.close()
  })
})
