/** The loop over a store whose disk the test holds: what waits for durability, what becomes one commit, what a fault ends, what timers do. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Effect } from '../../src/core/effect.ts'
import { OrchError } from '../../src/core/error.ts'
import type { Batch, Fact } from '../../src/core/fact.ts'
import { NodeState } from '../../src/core/node-state.ts'
import type { TaskSpec } from '../../src/core/task.ts'
import { Loop } from '../../src/node/loop.ts'
import type { CoordStore, PutReceipt } from '../../src/store/store.ts'
import { incarnation, RUN } from './lone-node.ts'

const author = { node: 'node-a', incarnation: incarnation(1) }

/** Commits become durable when the test says so, in order. */
class SlowStore implements CoordStore {
  readonly author = author
  readonly commits: (readonly Fact[])[] = []
  readonly #waiting: { resolve: () => void; reject: (error: unknown) => void }[] = []
  refusing: Error | undefined
  factsMax = Number.POSITIVE_INFINITY

  put(facts: readonly Fact[]): PutReceipt {
    if (this.refusing) throw this.refusing
    if (facts.length > this.factsMax) throw new OrchError('ORCH_USAGE', 'too many facts in one commit')
    this.commits.push(facts)
    const durable = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }))
    return { n: this.commits.length, written: facts, durable }
  }

  async *facts(): AsyncGenerator<Batch> {}

  watch(): () => void {
    return () => {}
  }

  async close(): Promise<void> {}

  async sync(count = this.#waiting.length): Promise<void> {
    for (const { resolve } of this.#waiting.splice(0, count)) resolve()
    await turn()
  }

  async breakDisk(error: Error): Promise<void> {
    this.refusing = error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
    await turn()
  }
}

/** All promise jobs and offers of this turn are over. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function setUp(over: { slots?: number } = {}) {
  const store = new SlowStore()
  const state = new NodeState({
    author,
    slots: over.slots ?? 2,
    capacity: { cpu: 8, memoryBytes: 1_000, gpu: 0, quota: {} },
    capabilities: [],
    seed: 1,
    staggerMs: 1,
    settleMs: 1,
    pendingTasksMax: 100,
    stallMs: 0,
  })
  const done: Effect[] = []
  const faults: unknown[] = []
  const batches: Batch[] = []
  let turns = 0
  const loop = new Loop({
    now: () => performance.now(),
    state,
    store,
    perform: (effect) => void done.push(effect),
    onBatch: (batch) => void batches.push(batch),
    onTurn: () => void turns++,
    onFault: (error) => void faults.push(error),
  })
  loop.post({ type: 'kind', kind: 'shell', inProcess: false, concurrency: 0 })
  const started = loop.post({ type: 'started', adopted: [], record: { name: 'a', slots: 2, version: '0' } })
  const submit = (tasks: Record<string, Partial<TaskSpec>>) =>
    loop.post({
      type: 'submit',
      run: RUN,
      header: {
        name: 'r',
        creator: 'node-a',
        createdAt: 1,
        integrator: 'node-a',
        merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
      },
      tasks: Object.entries(tasks).map(([id, spec]) => [id, { kind: 'shell', ...spec }] as const),
      seal: true,
    })
  const attempt = (id: string) => state.byTask.get(state.board.task(RUN, id)!)!.id
  return { store, state, loop, done, faults, batches, started, submit, attempt, turns: () => turns }
}

afterEach(() => {
  vi.useRealTimers()
})

describe('durability', () => {
  it('[ND1] effects of a step are carried out when its facts are durable, not before', async () => {
    const { store, done, submit } = setUp()
    await store.sync()
    const { reply, durable } = submit({ a: {} })
    expect(reply).toEqual({ ok: true, n: 1 })
    let isDurable = false
    void durable.then(() => {
      isDurable = true
    })
    await turn()
    expect([done.length, isDurable]).toEqual([0, false])
    await store.sync()
    expect([done.length, isDurable]).toEqual([1, true])
  })

  it('[ND1] effects of a step without facts wait for the facts of all steps before it', async () => {
    const { store, done, loop, submit, attempt } = setUp()
    submit({ a: { stallMs: 0 } })
    await store.sync()
    done.length = 0
    // Facts without an effect, then an effect without facts.
    loop.post({ type: 'order', run: RUN, subject: 'a', order: { verb: 'prioritize', priority: 'high' } })
    loop.post({ type: 'release', attempt: attempt('a'), reason: 'x' })
    await turn()
    expect(done).toEqual([])
    await store.sync()
    expect(done.map((e) => e.type)).toEqual(['stop'])
    loop.stop()
  })

  it('[ND1] with everything on disk an effect without facts is carried out at once', async () => {
    const { store, done, loop, submit, attempt } = setUp()
    submit({ a: {} })
    await store.sync()
    done.length = 0
    loop.post({ type: 'release', attempt: attempt('a'), reason: 'x' })
    expect(done.map((e) => e.type)).toEqual(['stop'])
    loop.stop()
  })

  it('[ND1] effects keep the order of the steps', async () => {
    const { store, done, loop, submit, attempt } = setUp({ slots: 1 })
    submit({ a: {}, b: {} })
    loop.post({ type: 'attempt-ended', attempt: attempt('a'), result: { outcome: 'done' } })
    await store.sync(1)
    await store.sync()
    expect(done.map((e) => (e.type === 'start' ? e.request.slot.task : e.type))).toEqual(['a', 'b'])
    loop.stop()
  })
})

describe('batching', () => {
  it('[ND5] what is offered in one turn becomes one commit', async () => {
    const { store, loop, submit, attempt, batches, turns } = setUp()
    submit({ a: {}, b: {} })
    await store.sync()
    const [commits, before] = [store.commits.length, turns()]
    for (const id of ['a', 'b'])
      loop.offer({ type: 'attempt-ended', attempt: attempt(id), result: { outcome: 'done' } })
    expect(store.commits.length).toBe(commits)
    await turn()
    expect(store.commits.length).toBe(commits + 1)
    expect(turns()).toBe(before + 1)
    const facts = store.commits.at(-1)!
    expect(facts.map((f) => f.collection)).toEqual(expect.arrayContaining(['results', 'accepts', 'orders']))
    expect(batches.at(-1)).toMatchObject({ author, n: commits + 1, facts })
    loop.stop()
  })

  it('[ND5] a post takes what was offered before it first', async () => {
    const { store, loop, submit, attempt } = setUp()
    submit({ a: {} })
    await store.sync()
    loop.offer({ type: 'attempt-ended', attempt: attempt('a'), result: { outcome: 'done' } })
    const { reply } = loop.post({ type: 'order', run: RUN, subject: 'a', order: { verb: 'cancel' } })
    expect(reply).toMatchObject({ ok: false, code: 'ORCH_WRONG_STATE' })
    loop.stop()
  })

  it('[ND5] more facts than one commit holds are written in several, in order', async () => {
    const { store, loop, submit } = setUp()
    await store.sync()
    store.factsMax = 7
    const before = store.commits.length
    submit(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`t${i}`, {}])))
    const facts = store.commits.slice(before).flat()
    expect(store.commits.length - before).toBeGreaterThan(5)
    expect(facts.filter((f) => f.collection === 'specs').map((f) => f.key)).toEqual(
      Array.from({ length: 40 }, (_, i) => `t${i}`),
    )
    loop.stop()
  })

  it('[ND5] flushed resolves when all of it is durable and handed out', async () => {
    const { store, loop, done, submit } = setUp()
    submit({ a: {} })
    let isOver = false
    const over = loop.flushed().then(() => {
      isOver = true
    })
    await turn()
    expect(isOver).toBe(false)
    await store.sync()
    await over
    expect(done).toHaveLength(1)
    loop.stop()
    await expect(loop.flushed()).rejects.toMatchObject({ code: 'ORCH_NO_NODE' })
  })
})

describe('faults', () => {
  it('[ND9] a disk that fails ends everything: told once, nothing more is stepped or carried out', async () => {
    const { store, loop, done, faults, submit, started } = setUp()
    const { durable } = submit({ a: {} })
    const rejected = expect(durable).rejects.toThrow('no space')
    started.durable.catch(() => {})
    await store.breakDisk(new OrchError('ORCH_DISK_FULL', 'no space'))
    await rejected
    expect(faults).toHaveLength(1)
    expect(done).toEqual([])
    loop.offer({ type: 'tick' })
    expect(() => loop.post({ type: 'tick' })).toThrow(expect.objectContaining({ code: 'ORCH_NO_NODE' }))
    await turn()
    expect(faults).toHaveLength(1)
  })

  it('[ND9] a store that refuses a write: the caller of a post gets it, for an offer it is told only as the fault', async () => {
    for (const offered of [false, true]) {
      const { store, loop, faults, submit, attempt } = setUp()
      submit({ a: {} })
      await store.sync()
      store.refusing = new OrchError('ORCH_DISK_FAILED', 'EIO')
      const end = { type: 'attempt-ended', attempt: attempt('a'), result: { outcome: 'done' } } as const
      if (offered) loop.offer(end)
      else expect(() => loop.post(end)).toThrow('EIO')
      await turn()
      expect(faults).toMatchObject([{ code: 'ORCH_DISK_FAILED' }])
    }
  })

  it('[ND9] a bug in a step ends the loop as well', async () => {
    const { loop, faults, store } = setUp()
    await store.sync()
    loop.offer({ type: 'no such input' } as never)
    await turn()
    expect(faults).toMatchObject([{ code: 'ORCH_BUG' }])
    expect(() => loop.post({ type: 'tick' })).toThrow()
  })
})

describe('timers', () => {
  it('[ND10] the core is called when it asked for it, and a nearer time replaces a farther one', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
    const { store, loop, done, submit, attempt } = setUp()
    submit({ far: { timeoutMs: 60_000 }, near: { timeoutMs: 5_000 } })
    await store.sync()
    done.length = 0
    const near = attempt('near')
    await vi.advanceTimersByTimeAsync(4_900)
    expect(done).toEqual([])
    await vi.advanceTimersByTimeAsync(200)
    await turn()
    expect(done).toMatchObject([{ type: 'stop', attempt: near, reason: 'timed-out' }])
    await vi.advanceTimersByTimeAsync(55_000)
    await turn()
    expect(done).toHaveLength(2)
    loop.stop()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('[ND10] a time farther than the runtime can wait is waited for in parts', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
    const { store, loop, done, submit } = setUp()
    submit({ a: { timeoutMs: 2 ** 31 + 5_000 } })
    await store.sync()
    done.length = 0
    await vi.advanceTimersByTimeAsync(2 ** 31)
    await turn()
    expect(done).toEqual([])
    await vi.advanceTimersByTimeAsync(6_000)
    await turn()
    expect(done).toMatchObject([{ type: 'stop' }])
    loop.stop()
  })
})
