/** What a seed is: everything, and nothing else. And how what goes wrong is told. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Dice } from '../../src/sim/dice.ts'
import { FAULTS, faultsOf, PROFILES, readFaults } from '../../src/sim/fault.ts'
import { Oracle } from '../../src/sim/oracle.ts'
import { simulateSeed } from '../../src/sim/simulation.ts'
import { Timeline } from '../../src/sim/timeline.ts'

const planOf = (text: string) => {
  const read = readFaults(text)
  if (!read.ok) throw new Error(read.problem)
  return read.plan
}

afterEach(() => vi.restoreAllMocks())

describe('a seed', () => {
  it('[SI2] asks neither the real clock nor a real timer nor real chance', async () => {
    const asked: string[] = []
    const tell = (what: string) => (): never => {
      asked.push(what)
      throw new Error(`${what} is real`)
    }
    vi.spyOn(Date, 'now').mockImplementation(tell('Date.now'))
    vi.spyOn(performance, 'now').mockImplementation(tell('performance.now'))
    vi.spyOn(Math, 'random').mockImplementation(tell('Math.random'))
    const timer = vi.spyOn(globalThis, 'setTimeout').mockImplementation(tell('setTimeout'))
    const report = await simulateSeed({ seed: 1, nodes: 4, tasks: 12, faults: planOf('storm') })
    timer.mockRestore()
    expect(asked).toEqual([])
    expect(report.breaches).toEqual([])
  })

  it('[SI2] another seed is another history, also when several are played at once', async () => {
    const reports = await Promise.all(
      [1, 2, 3].map((seed) => simulateSeed({ seed, nodes: 3, tasks: 6, faults: planOf('calm') })),
    )
    expect(new Set(reports.map(({ trace }) => trace)).size).toBe(3)
  })

  it('[SI1] tells every event to who listens, and is the same when nobody does', async () => {
    const lines: string[] = []
    const options = { seed: 5, nodes: 3, tasks: 6, faults: planOf('crash,partition') }
    const told = await simulateSeed({ ...options, onTrace: (line) => lines.push(line) })
    expect((await simulateSeed(options)).trace).toBe(told.trace)
    expect(lines.some((line) => line.includes('submit'))).toBe(true)
    expect(lines.some((line) => line.includes('spawned'))).toBe(true)
  })
})

describe('faults', () => {
  it('[SI3] are one of three kinds of weather, or a list of names', () => {
    for (const profile of PROFILES) expect(planOf(profile).text).toBe(profile)
    expect(planOf('calm').faults).toEqual([])
    expect(planOf(' crash, partition,crash').faults).toEqual(['crash', 'partition'])
  })

  it('[SI3] a name that is none is refused, with the closest one or with all', () => {
    expect(readFaults('partitoin')).toEqual({
      ok: false,
      problem: 'there is no fault "partitoin": did you mean "partition"?',
    })
    expect(readFaults('xyzzyxyzzy')).toMatchObject({
      ok: false,
      problem: expect.stringContaining('calm, mild'),
    })
  })

  it('[SI4] of a storm each seed has half, so that all are had alone and together; those of a list all happen', () => {
    const storm = planOf('storm')
    const drawn = Array.from({ length: 40 }, (_, seed) => faultsOf(storm, new Dice(seed)))
    for (const faults of drawn) expect(faults.size).toBe(Math.ceil(FAULTS.length / 2))
    for (const fault of FAULTS) {
      expect(drawn.some((faults) => faults.has(fault))).toBe(true)
      expect(drawn.every((faults) => faults.has(fault))).toBe(false)
    }
    expect([...faultsOf(planOf('loss,crash'), new Dice(1))]).toEqual(['loss', 'crash'])
  })
})

describe('a broken rule', () => {
  it('[SI5] is told with its moment, its node and its task; one seed tells so many at most', () => {
    const timeline = new Timeline()
    const oracle = new Oracle({ timeline, machines: new Map(), liars: new Set(), departed: new Set() })
    timeline.at(1_500, () => oracle.breach('I8', 'node-2', 'is started here though node-1 runs it', 't3'))
    timeline.next(2_000)
    expect(oracle.breaches).toEqual([
      { rule: 'I8', at: 1_500, node: 'node-2', task: 't3', message: 'is started here though node-1 runs it' },
    ])
    for (let i = 0; i < 100; i++) oracle.breach('L2', 'cluster', 'is not over')
    expect(oracle.breaches).toHaveLength(50)
  })
})
