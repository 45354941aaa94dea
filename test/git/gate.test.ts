// Goal: a gate sees exactly the candidate, leaves nothing running, and its failure is a value.
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type GateRequest, type GateResult, runGate } from '../../src/git/gate.ts'
import { git, type Place, place, work, write } from './fixture.ts'

const ENV = {
  PATH: process.env.PATH ?? '',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  MARK: 'from the caller',
}

function gate(at: Place, command: string, more: Partial<GateRequest> = {}): Promise<GateResult> {
  return runGate(at.bare, { dir: join(at.dir, 'gate'), commit: at.base, command, env: ENV, ...more })
}

/** True when no process has this id; a child that ended is reaped by init. */
async function gone(pid: number): Promise<boolean> {
  const deadline = performance.now() + 10_000
  while (performance.now() < deadline) {
    try {
      process.kill(pid, 0)
      if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))) return true
    } catch {
      return true
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  return false
}

describe('gate', () => {
  it('[GT23] runs the command in a checkout of the candidate, with the environment given and no other', async () => {
    const at = await place()
    process.env.ORCH_SECRET_OF_TEST = 'x'
    const result = await gate(
      at,
      'cat src/b.txt; echo "$MARK"; env | grep -c ORCH_SECRET; git rev-parse HEAD; git status --porcelain',
    )
    delete process.env.ORCH_SECRET_OF_TEST
    expect(result).toMatchObject({ ok: true, exit: 0, output: `b\nfrom the caller\n0\n${at.base}\n` })
    expect(result.ms).toBeGreaterThan(0)
  })

  it('[GT23] a failure is a value with exit code and last output', async () => {
    const at = await place()
    const result = await gate(at, 'echo out; echo bad >&2; exit 7')
    expect(result).toMatchObject({ ok: false, exit: 7 })
    expect(result.output.split('\n').sort()).toEqual(['', 'bad', 'out'])
  })

  it('[GT23] the checkout goes from candidate to candidate: tracked files exact, untracked gone, ignored kept', async () => {
    const at = await place()
    const next = await work(at.bare, at.base, {
      'src/b.txt': null,
      'src/new.txt': 'n\n',
      'docs/guide.md': 'changed\n',
    })
    await gate(
      at,
      'mkdir -p ignored left/over && touch ignored/cache left/over/file && echo spoilt > src/a.txt && rm README.md && echo "*" > .gitignore',
    )
    const second = await gate(
      at,
      'ls src; cat README.md docs/guide.md; ls ignored; ls left 2>/dev/null; git status --porcelain',
      { commit: next },
    )
    expect(second.output).toBe('a.txt\nnew.txt\nhello\nchanged\ncache\n')
    const back = await gate(at, 'ls src; git status --porcelain')
    expect(back.output).toBe('a.txt\nb.txt\n')
    const fresh = await gate(at, 'ls ignored 2>/dev/null', { fresh: true })
    expect(fresh).toMatchObject({ ok: false, output: '' })
  })

  it('[GT23] a gate that spoils its checkout does not spoil the next one', async () => {
    const at = await place()
    const dir = join(at.dir, 'gate')
    await gate(
      at,
      'rm -rf .git src && mkdir -p README.md.d && echo x > src && git init -q nested && touch nested/f',
    )
    expect((await gate(at, 'cat src/b.txt; git rev-parse HEAD; ls')).output).toBe(
      `b\n${at.base}\nREADME.md\ndocs\nsrc\n`,
    )
    rmSync(dir, { recursive: true })
    expect((await gate(at, 'cat src/b.txt')).output).toBe('b\n')
    rmSync(dir, { recursive: true })
    mkdirSync(join(at.dir, 'precious'))
    write(join(at.dir, 'precious'), { file: 'x' })
    symlinkSync(join(at.dir, 'precious'), dir)
    expect((await gate(at, 'cat src/b.txt')).output).toBe('b\n')
    expect(existsSync(join(at.dir, 'precious/file'))).toBe(true)
  })

  it('[GT23] output of any size is counted, its end kept', async () => {
    const at = await place()
    let heard = 0
    const result = await gate(at, 'head -c 3000000 /dev/zero | tr "\\0" x; echo; echo the end', {
      onOutput: (chunk) => (heard += chunk.length),
    })
    expect(result.outputBytes).toBe(3_000_009)
    expect(heard).toBe(3_000_009)
    expect(Buffer.byteLength(result.output)).toBe(4096)
    expect(result.output.endsWith('x\nthe end\n')).toBe(true)
  })

  it('[GT23] invalid UTF-8 is replaced', async () => {
    const at = await place()
    expect((await gate(at, "printf 'a\\377b'")).output).toBe('a\uFFFDb')
  })

  it('[GT23] a gate that takes too long is ended with all its children, also when it ignores TERM', async () => {
    const at = await place()
    const pids = join(at.dir, 'pids')
    const result = await gate(
      at,
      `trap '' TERM; sleep 300 & echo $! >> ${pids}; echo $$ >> ${pids}; while :; do wait; done`,
      {
        timeoutMs: 300,
        graceMs: 100,
      },
    )
    expect(result).toMatchObject({ ok: false, exit: null, stopped: 'timed-out' })
    const all = readFileSync(pids, 'utf8').trim().split('\n').map(Number)
    expect(all).toHaveLength(2)
    for (const pid of all) expect(await gone(pid)).toBe(true)
  })

  it('[GT23] what a gate leaves in the background is ended with it', async () => {
    const at = await place()
    const pid = join(at.dir, 'pid')
    const result = await gate(at, `sleep 300 & echo $! > ${pid}; echo done`)
    expect(result).toMatchObject({ ok: true, output: 'done\n' })
    expect(await gone(Number(readFileSync(pid, 'utf8')))).toBe(true)
  })

  it('[GT23] an abort ends it; before the start, nothing runs', async () => {
    const at = await place()
    const started = join(at.dir, 'started')
    const abort = new AbortController()
    const running = gate(at, `touch ${started}; echo up; sleep 300`, {
      signal: abort.signal,
      graceMs: 100,
      onOutput: () => abort.abort(),
    })
    expect(await running).toMatchObject({ ok: false, stopped: 'cancelled', output: 'up\n' })
    rmSync(started)
    expect(await gate(at, `touch ${started}`, { signal: abort.signal })).toMatchObject({
      ok: false,
      stopped: 'cancelled',
    })
    expect(existsSync(started)).toBe(false)
  })

  it('[GT23] a command that does not exist fails as the shell says', async () => {
    const at = await place()
    expect(await gate(at, 'no-such-command-here')).toMatchObject({ ok: false, exit: 127 })
    writeFileSync(join(at.dir, 'plain'), '')
    await expect(gate(at, 'true', { env: { PATH: join(at.dir, 'plain') } })).rejects.toMatchObject({
      code: 'ORCH_COMMAND_MISSING',
    })
  })

  it('[GT23] an unknown candidate is a fault of ours', async () => {
    const at = await place()
    await expect(gate(at, 'true', { commit: '1'.repeat(40) })).rejects.toMatchObject({
      code: 'ORCH_GIT_FAILED',
    })
    expect(git(at.bare.dir, 'rev-parse', `refs/orch/base/${at.base}`)).toBe(at.base)
  })
})
