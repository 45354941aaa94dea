/**
 * Several nodes over the memory store, from seeds. Without faults each task starts about once. With delayed and reordered delivery, partitions, crashes, adoption
 * and false suspicion, in the end: every task accepted exactly once, the ref and the board agree, all boards are equal and say what their stores say, no rule is
 * broken, nothing runs. Each seed gives the same trace twice. Planted bugs are noticed.
 */
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type * as ClaimModule from '../../src/core/claim.ts'
import type * as DeriveModule from '../../src/core/derive.ts'
import type { TaskState } from '../../src/core/task-state.ts'
import type { ClusterOptions } from './cluster.ts'
import { Cluster } from './cluster.ts'

async function play(
  seeds: number,
  from: number,
  over: Partial<ClusterOptions> = {},
): Promise<{ problems: string[]; starts: number }> {
  const problems: string[] = []
  let starts = 0
  for (let seed = from; seed < from + seeds; seed++) {
    const cluster = await new Cluster({ seed, nodes: 2 + (seed % 4), ...over }).run()
    problems.push(...cluster.problems)
    starts += cluster.starts
  }
  return { problems, starts }
}

describe('a cluster', () => {
  it('[CH14] without faults every task is started once, and accepted once', async () => {
    const { problems, starts } = await play(40, 1, { steady: true })
    expect(problems).toEqual([])
    expect(starts / (40 * 10)).toBeLessThan(1.02)
  })

  it('[IV5] with faults: everything accepted exactly once, boards equal, no rule broken, 300 seeds', async () => {
    const { problems } = await play(300, 1_000, { faultsMs: 15_000 })
    expect(problems).toEqual([])
  })

  it.each([[1497], [2148], [3109], [8]])(
    '[IV5] seed %i, which failed once, does not any more',
    async (seed) => {
      // 1497, 3109: a better result without files came while another of the same task was on its way to the ref. 2148: the same, and the queue stood still.
      expect((await play(1, seed, { faultsMs: 15_000 })).problems).toEqual([])
    },
  )

  it('[ND2] a seed gives the same trace twice', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const options = { seed, nodes: 2 + (seed % 4), faultsMs: 8_000 }
      const first = await new Cluster(options).run()
      const second = await new Cluster(options).run()
      expect(first.trace.length).toBeGreaterThan(20)
      expect(second.trace).toEqual(first.trace)
    }
  })
})

describe('planted bugs', () => {
  beforeEach(() => {
    vi.resetModules()
    vi.doUnmock('../../src/core/claim.ts')
    vi.doUnmock('../../src/core/derive.ts')
  })

  async function found(options: Partial<ClusterOptions>, seeds = 60): Promise<string[]> {
    const { Cluster: Broken } = await import('./cluster.ts')
    for (let seed = 1; seed <= seeds; seed++) {
      const { problems } = await new Broken({ seed, nodes: 2 + (seed % 4), ...options }).run()
      if (problems.length > 0) return problems
    }
    return []
  }

  it('[IV6] the harness itself finds nothing without one', async () => {
    expect(await found({ faultsMs: 10_000 }, 20)).toEqual([])
  })

  it('[IV6] the last writer holds the task', async () => {
    vi.doMock('../../src/core/claim.ts', async (original) => {
      const actual = await original<typeof ClaimModule>()
      const lastWriter: typeof actual.holder = (slot, entries) =>
        entries.findLast(
          (e) => e.round === slot.round && e.epoch === slot.epoch && actual.entryClass(e) !== undefined,
        )
      return { ...actual, holder: lastWriter }
    })
    expect((await found({ faultsMs: 10_000 })).join('\n')).toContain('boards differ')
  })

  it('[IV6] a void removes a success', async () => {
    vi.doMock('../../src/core/derive.ts', async (original) => {
      const actual = await original<typeof DeriveModule>()
      const derive: typeof actual.derive = (task: TaskState, slotsOf) => {
        const { entries, accepted } = task
        const voided = (e: TaskState['entries'][number]) =>
          task.voids.some((v) => v.round === e.round && v.epoch === e.epoch)
        if (!accepted) task.entries = entries.filter((e) => e.result?.outcome !== 'done' || !voided(e))
        const status = actual.derive(task, slotsOf)
        task.entries = entries
        return status
      }
      return { ...actual, derive }
    })
    expect(await found({ faultsMs: 10_000 })).not.toEqual([])
  })

  it('[IV6] accepted before the ref has moved', async () => {
    expect((await found({ faultsMs: 10_000, planted: 'accept-before-ref' })).join('\n')).toMatch(
      /ref holds|not over/,
    )
  })

  it('[IV6] effects that do not wait for the disk', async () => {
    expect((await found({ faultsMs: 10_000, planted: 'effects-before-disk' })).join('\n')).toMatch(
      /without a start|does not say/,
    )
  })
})
