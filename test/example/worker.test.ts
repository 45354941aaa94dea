/** The library example, as its head says: it finds broken links, and there are none in the documents of this project. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { runProgram } from './program.ts'

describe('worker example', () => {
  const dirs: string[] = []
  const temporary = async () => {
    const dir = await mkdtemp(join(tmpdir(), 'orch-example-'))
    dirs.push(dir)
    return dir
  }
  const check = async (...args: string[]) =>
    runProgram(process.execPath, ['examples/worker/main.mjs', ...args], { home: await temporary() })

  afterEach(() => Promise.all(dirs.splice(0).map((dir) => rm(dir, { recursive: true, force: true }))))

  it('names each broken link and fails', async () => {
    const dir = await temporary()
    await writeFile(
      join(dir, 'a.md'),
      'See [b](b.md), [c](c.md#there) and [out](https://example.org). `[no](link.md)`\n',
    )
    await writeFile(join(dir, 'b.md'), '[back](./a.md)\n')
    const { code, stdout } = await check(dir)
    expect(stdout).toContain('completed report')
    expect(stdout).toMatch(/^finished {2}links-\w+: complete$/m)
    expect(stdout).toMatch(/2 files, 3 links, 1 broken\n {2}a\.md: c\.md#there\n$/)
    expect(code).toBe(1)
  })

  it('finds every document that this project links to', async () => {
    const { code, stdout, stderr } = await check()
    expect(stdout.slice(stdout.search(/^\d+ files/m))).toMatch(/ 0 broken\n$/)
    expect(stderr).toBe('')
    expect(code).toBe(0)
  })
})
