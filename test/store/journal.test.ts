/**
 * What a crash or a bad disk leaves in the journal: torn tails are cut, damage is refused and named, repair keeps what is whole; and a process
 * killed at any instant has lost nothing that it acknowledged.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createPrng } from '../../src/core/prng.ts'
import { crc32c } from '../../src/store/crc32c.ts'
import { openFileStore } from '../../src/store/file.ts'
import { encodeLine } from '../../src/store/journal-line.ts'
import type { JournalReport } from '../../src/store/journal-repair.ts'
import { checkJournal } from '../../src/store/journal-scan.ts'
import { author, collect, keys, kv } from './contract.ts'
import { useDataDir } from './data-dir.ts'

/** A journal with `groups` x `perGroup` commits, key `k/<n>` each; every group has its own sync. */
async function makeJournal(groups: number, perGroup = 1) {
  const dataDir = useDataDir()
  const by = author()
  const store = await openFileStore({ dataDir, author: by, now: () => 1_732_156_800_000 })
  for (let group = 0, n = 1; group < groups; group++) {
    const all = []
    for (let i = 0; i < perGroup; i++, n++) all.push(store.put([kv(`k/${n}`, { n })], n).durable)
    await Promise.all(all)
  }
  await store.close()
  const path = join(dataDir, 'journal.jsonl')
  return {
    dataDir,
    path,
    by,
    text: readFileSync(path, 'utf8'),
    lines: readFileSync(path, 'utf8').split('\n').slice(0, -1),
  }
}

async function reopen(dataDir: string, repair = false) {
  const reports: JournalReport[] = []
  const store = await openFileStore({
    dataDir,
    author: author(),
    repair,
    now: () => 1_732_156_900_000,
    onReport: (report) => reports.push(report),
  })
  const found = await keys(store)
  await store.close()
  return { found, reports }
}

const flip = (line: string) => line.replace('"kv"', '"kw"')

describe('crc32c', () => {
  it('gives the check values of RFC 3720, whatever the alignment', () => {
    const vectors: [Uint8Array, number][] = [
      [Buffer.from('123456789'), 0xe3069283],
      [new Uint8Array(32), 0x8a9136aa],
      [new Uint8Array(32).fill(255), 0x62a8ab43],
      [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
      [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
      [new Uint8Array(0), 0],
    ]
    for (const [bytes, expected] of vectors) {
      expect(crc32c(bytes)).toBe(expected)
      const shifted = Buffer.concat([Buffer.from('abc'), bytes, Buffer.from('de')])
      expect(crc32c(shifted, 3, 3 + bytes.length)).toBe(expected)
    }
  })
})

describe('a torn tail', () => {
  it('[FJ6] is cut wherever the last line breaks off, told, and kept beside', async () => {
    const { dataDir, path, text, lines } = await makeJournal(3)
    const start = text.lastIndexOf('\n', text.length - 2) + 1
    for (const length of [1, 8, 9, 10, 60, text.length - start - 2, text.length - start - 1]) {
      writeFileSync(path, text.slice(0, start + length))
      const { found, reports } = await reopen(dataDir)
      expect(found).toEqual(['k/1', 'k/2'])
      expect(reports).toMatchObject([{ kind: 'torn-tail', line: lines.length, bytes: length }])
      const [report] = reports as [Extract<JournalReport, { kind: 'torn-tail' }>]
      expect(readFileSync(report.kept, 'utf8')).toBe(text.slice(start, start + length))
      expect(readFileSync(path, 'utf8')).toBe(text.slice(0, start))
    }
    expect(readdirSync(dataDir).filter((name) => name.startsWith('journal.torn-'))).toHaveLength(7)
  })

  it('[FJ6] ends where the last sync group begins: pages of it may reach the disk in any order', async () => {
    const { dataDir, path, lines } = await makeJournal(3, 4)
    // Line 1 is the header; the last group is lines 10-13.
    for (const hole of [10, 11, 12]) {
      const torn = lines.map((line, i) => (i + 1 === hole ? '\0'.repeat(line.length) : line))
      writeFileSync(path, `${torn.join('\n')}\n`)
      const { found, reports } = await reopen(dataDir)
      expect(found).toEqual(Array.from({ length: hole - 2 }, (_, i) => `k/${i + 1}`))
      expect(reports).toMatchObject([{ kind: 'torn-tail', line: hole }])
    }
  })

  it('[FJ6] a journal that is all torn, or empty, begins anew', async () => {
    const { dataDir, path, text } = await makeJournal(1)
    for (const length of [0, 1, 40]) {
      writeFileSync(path, text.slice(0, length))
      const { found, reports } = await reopen(dataDir)
      expect(found).toEqual([])
      expect(reports).toHaveLength(length === 0 ? 0 : 1)
      expect((await checkJournal(path)).lines).toBe(1)
    }
  })

  it('[FJ6] bytes that were never a line are cut in bounded memory', async () => {
    const { dataDir, path } = await makeJournal(2)
    const noise = Buffer.alloc(80 * 1024 * 1024, 0)
    appendFileSync(path, noise)
    const { found, reports } = await reopen(dataDir)
    expect(found).toEqual(['k/1', 'k/2'])
    expect(reports).toMatchObject([{ kind: 'torn-tail', line: 4, bytes: noise.length }])
  })
})

describe('a damaged journal', () => {
  it('[FJ7] is refused with file and line, and left as it is', async () => {
    const { dataDir, path, lines } = await makeJournal(6)
    for (const line of [1, 2, 4, 6]) {
      const bad = lines
        .map((text, i) => (i + 1 === line ? `${text.slice(0, 40)}#${text.slice(41)}` : text))
        .join('\n')
      writeFileSync(path, `${bad}\n`)
      await expect(openFileStore({ dataDir, author: author() })).rejects.toMatchObject({
        code: 'ORCH_JOURNAL_CORRUPT',
        message: expect.stringContaining(`${path}: line ${line} `),
        context: { path, line },
      })
      expect(readFileSync(path, 'utf8')).toBe(`${bad}\n`)
      expect(readdirSync(dataDir)).toEqual(['journal.jsonl'])
    }
  })

  it('[FJ7] a missing, repeated or foreign line is damage too', async () => {
    const { dataDir, path, lines } = await makeJournal(5)
    const foreign = encodeLine('{"v":1,"hello":"world"}').toString().trimEnd()
    const cases = {
      missing: [3, lines.filter((_, i) => i !== 2)],
      repeated: [4, [...lines.slice(0, 3), ...lines.slice(2)]],
      foreign: [4, [...lines.slice(0, 3), foreign, ...lines.slice(3)]],
      'foreign at the end': [7, [...lines, foreign]],
      'no header': [1, lines.slice(1)],
      'second header': [7, [...lines, lines[0]]],
    } as const
    for (const [what, [line, changed]] of Object.entries(cases)) {
      writeFileSync(path, `${changed.join('\n')}\n`)
      await expect(openFileStore({ dataDir, author: author() }), what).rejects.toMatchObject({
        code: 'ORCH_JOURNAL_CORRUPT',
        context: { line },
      })
    }
  })

  it('[FJ8] repair keeps every whole line and a full copy, and records which commits are gone', async () => {
    const { dataDir, path, by, text, lines } = await makeJournal(8)
    const bad = text
      .replace(lines[3]!, flip(lines[3]!))
      .replace(lines[4]!, flip(lines[4]!))
      .replace(lines[6]!, lines[6]!.slice(0, 30))
    writeFileSync(path, bad)
    const { found, reports } = await reopen(dataDir, true)
    expect(found).toEqual(['k/1', 'k/2', 'k/5', 'k/7', 'k/8'])
    const [report] = reports as [Extract<JournalReport, { kind: 'repaired' }>]
    expect(report.damaged.map((damaged) => damaged.line)).toEqual([4, 5, 7])
    expect(report.missing).toEqual([
      [by.node, by.incarnation, 3, 4],
      [by.node, by.incarnation, 6, 6],
    ])
    expect(report.kept).toBe(join(dataDir, 'journal.corrupt-20241121T024140Z.jsonl'))
    expect(readFileSync(report.kept, 'utf8')).toBe(bad)
    // The record makes the gaps lawful: no second repair.
    expect((await reopen(dataDir)).reports).toEqual([])
    expect((await checkJournal(path)).missing).toEqual(report.missing)
  })

  it('[FJ8] repair mends the header, and a torn tail stays in the copy', async () => {
    const { dataDir, path, text, lines } = await makeJournal(3)
    const bad = `${text.replace(lines[0]!, 'no header')}0123`
    writeFileSync(path, bad)
    const { found, reports } = await reopen(dataDir, true)
    expect(found).toEqual(['k/1', 'k/2', 'k/3'])
    expect(reports).toMatchObject([{ kind: 'repaired', missing: [] }])
    const [report] = reports as [JournalReport]
    expect(readFileSync(report.kept, 'utf8')).toBe(bad)
  })

  it('[FJ8] repair changes nothing of a journal that is whole', async () => {
    const { dataDir, path, text } = await makeJournal(3)
    expect((await reopen(dataDir, true)).reports).toEqual([])
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  it('[FJ7] damage that happens while the store is open is told to the reader', async () => {
    const { dataDir, path, text, lines } = await makeJournal(4)
    const store = await openFileStore({ dataDir, author: author() })
    onTestFinished(() => store.close())
    writeFileSync(path, text.replace(lines[2]!, flip(lines[2]!)))
    await expect(collect(store.facts())).rejects.toMatchObject({ code: 'ORCH_JOURNAL_CORRUPT' })
  })

  it('[FJ9] a newer format is refused untouched, whatever its checksum is like', async () => {
    const { dataDir, path, text, lines } = await makeJournal(2)
    const header = lines[0]!.slice(9).replace('"v":1', '"v":2')
    const whole = encodeLine(header).toString().trimEnd()
    const line = encodeLine('{"v":3,"whatever":1}').toString()
    for (const newer of [
      text.replace(lines[0]!, whole),
      text.replace(lines[0]!, `00000000 ${header}`),
      text + line,
    ]) {
      writeFileSync(path, newer)
      await expect(openFileStore({ dataDir, author: author(), repair: true })).rejects.toMatchObject({
        code: 'ORCH_JOURNAL_NEWER',
      })
      expect(readFileSync(path, 'utf8')).toBe(newer)
    }
  })

  it('[FJ7] one flipped bit anywhere before the last group never opens and never changes what is read', async () => {
    const { dataDir, path, text } = await makeJournal(6)
    const bytes = Buffer.from(text)
    // Not the newline itself: without it the last line and the one before are one.
    const last = text.lastIndexOf('\n', text.length - 2)
    const prng = createPrng(20241121)
    for (let i = 0; i < 300; i++) {
      const at = Math.floor(prng.next() * last)
      const bad = Buffer.from(bytes)
      bad[at]! ^= 1 << Math.floor(prng.next() * 8)
      writeFileSync(path, bad)
      await expect(openFileStore({ dataDir, author: author() }), `bit of byte ${at}`).rejects.toMatchObject({
        code: expect.stringMatching(/^ORCH_JOURNAL_(CORRUPT|NEWER)$/),
      })
    }
  })

  it('checkJournal reads a journal that a process is writing, and judges only', async () => {
    const dataDir = useDataDir()
    const store = await openFileStore({ dataDir, author: author() })
    await store.put([kv('a/1'), kv('a/2')], 5).durable
    const path = join(dataDir, 'journal.jsonl')
    appendFileSync(path, '12345678 {"v":1,"a"')
    const before = readFileSync(path)
    expect(await checkJournal(path)).toMatchObject({
      lines: 3,
      commits: 1,
      torn: { line: 3, bytes: 19 },
      damaged: [],
      missing: [],
    })
    expect(readFileSync(path).equals(before)).toBe(true)
    await store.close()
  })
})

function startLoop(dataDir: string, incarnation: string) {
  const script = fileURLToPath(new URL('./child/commit-loop.ts', import.meta.url))
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', script, dataDir, incarnation], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

describe('kill -9', () => {
  it('[FJ10] loses no commit that was acknowledged, and leaves no half of one', async () => {
    const dataDir = useDataDir()
    const prng = createPrng(7)
    const acknowledged: { incarnation: string; n: number; name: string; facts: number }[] = []
    for (let life = 0; life < 6; life++) {
      const { incarnation } = author()
      const child = startLoop(dataDir, incarnation)
      const ended = new Promise((resolve) => child.once('exit', resolve))
      const killAt = 20 + Math.floor(prng.next() * 400)
      let seen = 0
      for await (const line of createInterface({ input: child.stdout! })) {
        const [n, name, facts] = line.split(' ') as [string, string, string]
        // The last line may be half a line.
        if (facts !== undefined) acknowledged.push({ incarnation, n: Number(n), name, facts: Number(facts) })
        if (++seen === killAt) child.kill('SIGKILL')
      }
      await ended
      expect(seen).toBeGreaterThanOrEqual(killAt)
    }
    const reports: JournalReport[] = []
    const store = await openFileStore({
      dataDir,
      author: author(),
      onReport: (report) => reports.push(report),
    })
    const found = new Map<string, readonly string[]>()
    for await (const batch of store.facts()) {
      found.set(
        `${batch.author.incarnation} ${batch.n}`,
        batch.facts.map((fact) => fact.key),
      )
    }
    await store.close()
    expect(acknowledged.length).toBeGreaterThan(200)
    for (const { incarnation, n, name, facts } of acknowledged) {
      const got = found.get(`${incarnation} ${n}`)
      expect(got, `commit ${n} of ${incarnation}`).toHaveLength(facts)
      expect(got?.[0]).toBe(`${name}/0`)
    }
    for (const got of found.values()) expect([1, 3, 40, 2_000]).toContain(got.length)
  })
})
