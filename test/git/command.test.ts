// Goal: no git call of ours waits for ever, floods memory, or reads what the person configured.
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { askGit, pipeGit, runGit } from '../../src/git/command.ts'
import { formatTree, parseTree, showPath } from '../../src/git/object.ts'
import { ObjectStore } from '../../src/git/object-store.ts'
import { git, place, script, tempDir, userRepository } from './fixture.ts'

/** A git that is not git. */
function fakeGit(text: string): void {
  const dir = tempDir()
  script(join(dir, 'git'), text)
  const path = process.env.PATH
  onTestFinished(() => {
    process.env.PATH = path
  })
  process.env.PATH = `${dir}:${path}`
}

describe('calls', () => {
  it('[GT1] the environment holds what we set and what git needs to be found', async () => {
    process.env.ORCH_SECRET_OF_TEST = 'x'
    process.env.GIT_DIR = '/nonexistent'
    fakeGit('env | sort; echo "$@"')
    const text = (await runGit(['status'], { cwd: tempDir() })).stdout.toString()
    delete process.env.ORCH_SECRET_OF_TEST
    delete process.env.GIT_DIR
    for (const line of [
      'GIT_CONFIG_GLOBAL=/dev/null',
      'GIT_CONFIG_NOSYSTEM=1',
      'GIT_ATTR_NOSYSTEM=1',
      'GIT_TERMINAL_PROMPT=0',
      'GIT_NO_LAZY_FETCH=1',
      'LC_ALL=C',
    ]) {
      expect(text).toContain(`${line}\n`)
    }
    for (const word of [
      'core.hooksPath=/dev/null',
      'core.attributesFile=/dev/null',
      'protocol.allow=never',
      'core.fsmonitor=false',
    ])
      expect(text).toContain(word)
    expect(text).not.toMatch(/ORCH_SECRET|GIT_DIR=|HOME=/)
  })

  it('[GT2] ends at its deadline, at its output bound, and on abort', async () => {
    fakeGit('case "$*" in *slow*) exec sleep 300;; *) while :; do echo 0123456789; done;; esac')
    const cwd = tempDir()
    await expect(runGit(['slow'], { cwd, timeoutMs: 100 })).rejects.toMatchObject({
      code: 'ORCH_GIT_FAILED',
      message: expect.stringContaining('100 ms'),
    })
    await expect(runGit(['flood'], { cwd, bytesMax: 10_000 })).rejects.toMatchObject({
      code: 'ORCH_GIT_FAILED',
      message: expect.stringContaining('bound'),
    })
    const abort = new AbortController()
    const waiting = runGit(['slow'], { cwd, signal: abort.signal })
    abort.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ORCH_CANCELLED' })
  })

  it("[GT1] a failure carries git's words; a full disk has its own code", async () => {
    const cwd = tempDir()
    userRepository(cwd)
    await expect(runGit(['cat-file', 'blob', '1'.repeat(40)], { cwd })).rejects.toMatchObject({
      code: 'ORCH_GIT_FAILED',
      context: { exit: 128, stderr: expect.stringContaining('fatal') },
    })
    fakeGit('echo "fatal: write error: No space left on device" >&2; exit 128')
    await expect(runGit(['add'], { cwd })).rejects.toMatchObject({ code: 'ORCH_DISK_FULL' })
  })

  it('[GT2] a pipe of two ends when either does', async () => {
    const cwd = tempDir()
    userRepository(cwd)
    const bad = {
      args: ['pack-objects', '--revs', '--stdout', '-q'],
      call: { cwd, input: `${'1'.repeat(40)}\n` },
    }
    const sink = { args: ['index-pack', '--stdin'], call: { cwd } }
    await expect(pipeGit(bad, sink)).rejects.toMatchObject({
      code: 'ORCH_GIT_FAILED',
      message: expect.stringContaining('pack-objects'),
    })
    fakeGit('case "$*" in *source*) while :; do echo 0123456789; done;; *) echo no room >&2; exit 3;; esac')
    await expect(
      pipeGit({ args: ['source'], call: { cwd } }, { args: ['sink'], call: { cwd } }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('no room'),
    })
  })

  it('[GT1] answers are lines of the program, nothing is read by a shell', async () => {
    const cwd = tempDir()
    userRepository(cwd)
    expect(await askGit(['rev-parse', '--verify', '--quiet', '--end-of-options', 'HEAD'], { cwd })).toMatch(
      /^[0-9a-f]{40}$/,
    )
    const word = '$(touch pwned); `touch pwned`'
    await runGit(['rev-parse', '--verify', '--quiet', '--end-of-options', word], { cwd, exits: [1] })
    expect(git(cwd, 'status', '--porcelain')).toBe('')
  })
})

describe('objects', () => {
  it('[GT2] one reader answers thousands of questions in order, also for what was written a moment ago', async () => {
    const { bare, base } = await place()
    const oids = Array.from({ length: 300 }, (_, n) =>
      bare.objects.write('blob', Buffer.from(`${n} `.repeat(n * 20))),
    )
    const found = await Promise.all(
      oids.map((oid, n) => (n % 3 ? bare.objects.read(oid) : bare.objects.info(oid))),
    )
    for (const [n, object] of found.entries())
      expect(object).toMatchObject({ oid: oids[n], type: 'blob', size: `${n} `.length * n * 20 })
    expect(found[299]!.body.toString()).toBe('299 '.repeat(299 * 20))
    expect(await bare.objects.read('1'.repeat(40))).toBeUndefined()
    expect((await bare.objects.read(`refs/orch/base/${base}`))?.oid).toBe(base)
    expect(git(bare.dir, 'fsck')).not.toMatch(/error|missing/)
  })

  it('[GT2] a reader that dies fails what was asked, and the next question starts another', async () => {
    const { bare, base } = await place()
    const dir = tempDir()
    const path = process.env.PATH
    script(join(dir, 'git'), 'exit 1')
    process.env.PATH = `${dir}:${path}`
    const store = new ObjectStore({ gitDir: bare.dir }, 'sha1')
    await expect(store.read(base)).rejects.toMatchObject({ code: 'ORCH_GIT_FAILED' })
    process.env.PATH = path
    expect((await store.read(base))?.type).toBe('commit')
    await store.close()
  })

  it.each(['HEAD', '-x', 'a b', 'refs/x\nrefs/y', 'refs/a:b', 'refs/a^{tree}', ''])(
    '[GT26] %j is not asked of the reader',
    async (name) => {
      const { bare } = await place()
      await expect(bare.objects.read(name)).rejects.toMatchObject({ code: 'ORCH_BUG' })
    },
  )

  it('[GT17] trees are written in the order of git, bytes as they are', async () => {
    const { bare } = await place()
    const oid = bare.objects.write('blob', Buffer.from('x'))
    const names = ['a.b', 'a', 'a-b', 'B', '\xff\xfe', 'ab', 'é']
    const tree = bare.objects.writeTree([
      { mode: '40000', name: 'a', oid: bare.objects.writeTree([{ mode: '100644', name: 'x', oid }]) },
      ...names.filter((name) => name !== 'a').map((name) => ({ mode: '100644', name, oid })),
    ])
    await bare.objects.flush()
    expect(git(bare.dir, 'fsck', '--strict')).not.toMatch(/error|treeNotSorted/)
    const body = (await bare.objects.read(tree))!.body
    expect(formatTree(parseTree(body, 'sha1'))).toEqual(body)
    expect(() => parseTree(body.subarray(0, -3), 'sha1')).toThrow(RangeError)
    expect(showPath(Buffer.from('日本').toString('latin1'))).toBe('日本')
  })
})
