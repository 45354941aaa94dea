/** The mirror: what people read about agents. Whole values, latest wins, nothing ever fails because of it. */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MIRROR_AGENTS_MAX, MIRROR_VALUE_BYTES_MAX } from '../../src/core/limit.ts'
import { createMirror, mirrorName } from '../../src/store/mirror.ts'
import { useDataDir } from './data-dir.ts'

const read = (dir: string, agent: string, field: string) =>
  readFileSync(join(dir, 'agents', agent, field), 'utf8')

describe('mirror', () => {
  it('[ST16] shows the latest value of each field as a line of text', async () => {
    const dir = useDataDir()
    const mirror = createMirror(dir)
    for (let step = 1; step <= 1_000; step++) mirror.set('run-1/math/1.1/X', 'step', step)
    mirror.set('run-1/math/1.1/X', 'status', 'running')
    mirror.set('b', 'pid', 4711)
    mirror.set('b', 'branch', 'orch/run-1/b')
    await mirror.flush()
    expect(read(dir, 'run-1~math~1.1~X', 'step')).toBe('1000\n')
    expect(read(dir, 'run-1~math~1.1~X', 'status')).toBe('running\n')
    expect(readdirSync(join(dir, 'agents', 'b')).toSorted()).toEqual(['branch', 'pid'])
    mirror.set('b', 'pid', 4712)
    await mirror.close()
    expect(read(dir, 'b', 'pid')).toBe('4712\n')
    expect(mirror.failures).toBe(0)
  })

  it('[ST16] writes by itself, without a flush', async () => {
    const dir = useDataDir()
    const mirror = createMirror(dir)
    mirror.set('a', 'status', 'running')
    await expect.poll(() => readdirSync(dir), { interval: 5 }).toEqual(['agents'])
    await expect.poll(() => readdirSync(join(dir, 'agents', 'a')), { interval: 5 }).toEqual(['status'])
    await mirror.close()
  })

  it('[ST16] forgets agents that are removed; one of the same name begins empty', async () => {
    const dir = useDataDir()
    const mirror = createMirror(dir)
    mirror.set('a', 'status', 'running')
    mirror.set('b', 'status', 'running')
    mirror.set('b', 'pid', 1)
    await mirror.flush()
    mirror.remove('a')
    mirror.remove('b')
    mirror.remove('never there')
    mirror.set('b', 'status', 'pending')
    await mirror.flush()
    expect(readdirSync(join(dir, 'agents'))).toEqual(['b'])
    expect(readdirSync(join(dir, 'agents', 'b'))).toEqual(['status'])
    await mirror.close()
  })

  it('[ST16] begins empty: agents of an earlier process are gone', async () => {
    const dir = useDataDir()
    mkdirSync(join(dir, 'agents', 'old'), { recursive: true })
    writeFileSync(join(dir, 'agents', 'old', 'status'), 'running\n')
    const mirror = createMirror(dir)
    await mirror.flush()
    expect(readdirSync(dir)).toEqual([])
    await mirror.close()
  })

  it('[ST16] no name of an agent leaves the directory', () => {
    for (const id of ['..', '../../x', '.', '/', 'a/../b', '\0', 'ü', '.hidden', '~', '%2e']) {
      const name = mirrorName(id)
      expect(name).toMatch(/^[A-Za-z0-9_~%-][A-Za-z0-9._~%-]*$/)
      expect(name).not.toBe('..')
    }
    expect(new Set(['a%', 'a%25', 'ü', 'u', 'A', 'a'].map(mirrorName)).size).toBe(6)
  })

  it('[ST16] is bounded in agents and in bytes', async () => {
    const dir = useDataDir()
    const mirror = createMirror(dir)
    mirror.set('long', 'status', 'x'.repeat(MIRROR_VALUE_BYTES_MAX * 3))
    await mirror.flush()
    expect(read(dir, 'long', 'status')).toHaveLength(MIRROR_VALUE_BYTES_MAX + 1)
    const many = createMirror(join(dir, 'many'))
    for (let i = 0; i < MIRROR_AGENTS_MAX + 7; i++) many.set(`a${i}`, 'status', 'x')
    expect(many.failures).toBe(7)
    many.remove('a0')
    many.set('another', 'status', 'x')
    expect(many.failures).toBe(7)
    await mirror.close()
    await many.close()
  })

  it.skipIf(process.getuid?.() === 0)(
    '[ST16] a directory that cannot be written costs nothing but the mirror',
    async () => {
      const dir = useDataDir()
      chmodSync(dir, 0o500)
      const mirror = createMirror(dir)
      mirror.set('a', 'status', 'running')
      await mirror.close()
      expect(mirror.failures).toBeGreaterThan(0)
      chmodSync(dir, 0o700)
    },
  )

  it('[ST16] a place that is no directory costs nothing but the mirror', async () => {
    const dir = useDataDir()
    writeFileSync(join(dir, 'mirror'), 'a file')
    const mirror = createMirror(join(dir, 'mirror'))
    mirror.set('a', 'status', 'running')
    await mirror.close()
    expect(mirror.failures).toBeGreaterThan(0)
    expect(readFileSync(join(dir, 'mirror'), 'utf8')).toBe('a file')
  })
})
