/**
 * Arbitrary sets of facts about one small run, plausible and not: several authors and process lives, wrong authors, wrong rounds, double accepts, orders in
 * every combination. Needs form a DAG (what a checked plan guarantees); everything else may happen.
 */
import fc from 'fast-check'
import { Board } from '../../src/core/board.ts'
import type { Batch, Fact, Order, Reject, RunHeader } from '../../src/core/fact.ts'
import { type Author, authorKey, CLUSTER_DOC } from '../../src/core/id.ts'
import type { RunState } from '../../src/core/run-state.ts'
import { sealOf } from '../../src/core/seal.ts'
import type { TaskSpec } from '../../src/core/task.ts'
import type { TaskState } from '../../src/core/task-state.ts'

export const RUN = 'demo-0001'
const NODES = ['node-a', 'node-b', 'node-c'] as const
const TASKS = ['t0', 't1', 't2', 't3', 't4'] as const

export interface Written {
  readonly author: Author
  readonly fact: Fact
}

function life(node: string, n: number): Author {
  return { node, incarnation: `01J${String(n).padStart(23, '0')}` }
}

const nodeOf = fc.constantFrom(...NODES)
const taskOf = fc.constantFrom(...TASKS)
const anyAuthor: fc.Arbitrary<Author> = fc
  .tuple(nodeOf, fc.integer({ min: 1, max: 2 }))
  .map(([node, n]) => life(node, n))
/** Mostly the integrator's first life. */
const integratorAuthor = fc.oneof(
  { weight: 4, arbitrary: fc.constant(life('node-a', 1)) },
  { weight: 1, arbitrary: anyAuthor },
)
const round = fc.oneof(
  { weight: 5, arbitrary: fc.constant(1) },
  { weight: 2, arbitrary: fc.constant(2) },
  { weight: 1, arbitrary: fc.constant(3) },
)
const epoch = fc.oneof(
  { weight: 4, arbitrary: fc.constant(1) },
  { weight: 3, arbitrary: fc.constant(2) },
  { weight: 1, arbitrary: fc.constant(3) },
)
const slot = fc.tuple(taskOf, round, epoch).map(([t, r, e]) => `${t}/${r}/${e}`)

function specOf(at: number): fc.Arbitrary<TaskSpec> {
  const others = TASKS.slice(0, at)
  return fc
    .record({
      kind: fc.constantFrom('shell', 'shell', 'shell', 'barrier'),
      needs: fc
        .tuple(fc.subarray([...others]), fc.integer({ min: 0, max: 15 }))
        .map(([ids, n]) => (n === 0 ? [...ids, 'ghost'] : n === 1 ? [...ids, ...ids] : ids)),
      after: fc.subarray([...others]).map((ids) => ids.slice(0, 1)),
      condition: fc.constantFrom(
        '',
        '',
        '',
        'always()',
        'failure()',
        'success()',
        "!success('t0')",
        'not a condition',
      ),
      priority: fc.constantFrom(undefined, 'critical', 'high', 'low', 'backlog'),
      attempts: fc.integer({ min: 1, max: 3 }),
      exclusive: fc.constantFrom(undefined, undefined, undefined, 'prod'),
    })
    .map(({ kind, needs, after, condition, priority, attempts, exclusive }) => ({
      kind,
      ...(needs.length > 0 ? { needs } : {}),
      ...(after.length > 0 ? { after } : {}),
      ...(condition ? { if: condition } : {}),
      ...(priority ? { priority: priority as 'high' } : {}),
      ...(attempts > 1 ? { retry: { strategy: 'fixed' as const, attempts, delayMs: 1 } } : {}),
      ...(exclusive ? { exclusive } : {}),
    }))
}

function header(creator: string, integrator: string): RunHeader {
  return {
    name: 'demo',
    creator,
    createdAt: 1,
    integrator,
    base: 'b'.repeat(40),
    repository: { id: 'repo', path: '/repo', base: 'b'.repeat(40) },
    merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold' },
  }
}

const fact = (collection: Fact['collection'], key: string, body: unknown, doc = RUN): Fact =>
  ({ doc, collection, key, body }) as unknown as Fact

const outcome = fc.constantFrom('done', 'done', 'failed', 'timed-out', 'lost', 'cancelled', 'released')
const result = fc
  .tuple(outcome, fc.boolean())
  .map(([o, unshared]) =>
    o === 'done'
      ? { outcome: o, base: 'b'.repeat(40), head: 'd'.repeat(40), ...(unshared ? { unshared } : {}) }
      : { outcome: o, reason: `was ${o}` },
  )
const reject: fc.Arbitrary<Reject> = fc
  .record({
    why: fc.constantFrom('conflict', 'conflict', 'check', 'verify', 'base'),
    end: fc.constantFrom('', '', '', 'hold', 'drop'),
    reason: fc.constantFrom('one', 'two'),
  })
  .map(({ why, end, reason }) => ({
    why: why as 'conflict',
    reason,
    ...(end === 'hold' ? { hold: true } : {}),
    ...(end === 'drop' ? { drop: true } : {}),
  }))

const taskOrder: fc.Arbitrary<Order> = fc.oneof(
  fc.constant<Order>({ verb: 'cancel', reason: 'no need' }),
  fc.integer({ min: 0, max: 3 }).map<Order>((r) => ({ verb: 'retry', round: r, hint: `hint ${r}` })),
  fc.constant<Order>({ verb: 'retry', round: 2_000 }),
  fc.constantFrom<Order[]>(
    { verb: 'pause', reason: 'wait' },
    { verb: 'pause' },
    { verb: 'resume' },
    { verb: 'unblock' },
  ),
  fc.record({
    verb: fc.constant('block' as const),
    reason: fc.constant('stuck'),
    round,
    blockers: fc.subarray([...TASKS, 'nobody'], { maxLength: 2 }),
  }),
  fc.constantFrom<Order[]>(
    { verb: 'prioritize', priority: 'critical' },
    { verb: 'prioritize', priority: 'backlog' },
  ),
  fc.constant<Order>({ verb: 'landed', branch: 'main', commit: 'c'.repeat(40) }),
)
const runOrder: fc.Arbitrary<Order> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<Order[]>({ verb: 'pause', reason: 'wait' }, { verb: 'resume' }) },
  { weight: 1, arbitrary: fc.constant<Order>({ verb: 'cancel', reason: 'enough' }) },
  { weight: 1, arbitrary: fc.constant<Order>({ verb: 'unblock' }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Order[]>(
      { verb: 'close', outcome: 'complete', commit: 'b'.repeat(40) },
      { verb: 'close', outcome: 'partial' },
      { verb: 'landed', branch: 'main', commit: 'b'.repeat(40) },
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({
        term: fc.constantFrom(2, 2, 2, 3, 3, 4, 0, 2.5),
        cutoff: fc.constantFrom(0, 1, 2, 3, 5, -1),
        of: fc.constantFrom(undefined, ...NODES),
      })
      .map(({ of, ...adopt }): Order => ({ verb: 'adopt', ...adopt, ...(of ? { of } : {}) })),
  },
)

export interface SetOptions {
  /** One header, one life of the creator: what a correct creator writes. */
  readonly oneHeader?: boolean
  /** Versions out of reach, and the end of the whole run: what one fact changes is told by others. */
  readonly far?: boolean
}

const specAuthor = (one: boolean) =>
  one
    ? fc.constant(life('node-a', 1))
    : fc.oneof({ weight: 6, arbitrary: fc.constant(life('node-a', 1)) }, { weight: 1, arbitrary: anyAuthor })

function written(one: boolean, far: boolean): fc.Arbitrary<Written> {
  const by = (author: fc.Arbitrary<Author>, made: fc.Arbitrary<Fact>): fc.Arbitrary<Written> =>
    fc.record({ author, fact: made })
  const on = (collection: Fact['collection'], key: fc.Arbitrary<string>, body: fc.Arbitrary<unknown>) =>
    fc.tuple(key, body).map(([k, b]) => fact(collection, k, b))
  const near = fc.integer({ min: 0, max: 4 })
  const version = far ? fc.oneof(near, near, fc.constantFrom(1_002, 1_500, 2_001, 9_999)) : near
  return fc.oneof(
    { weight: 5, arbitrary: by(anyAuthor, on('claims', slot, fc.constant({}))) },
    {
      weight: 9,
      arbitrary: by(
        anyAuthor,
        on('starts', slot, fc.constantFrom({}, {}, { cont: true }, { outside: true })),
      ),
    },
    { weight: 9, arbitrary: by(anyAuthor, on('results', slot, result)) },
    {
      weight: 5,
      arbitrary: by(
        anyAuthor,
        on(
          'voids',
          slot,
          fc.constantFrom('lost', 'released', 'restarted').map((why) => ({ why })),
        ),
      ),
    },
    {
      weight: 5,
      arbitrary: by(
        anyAuthor,
        on(
          'acks',
          fc.tuple(slot, nodeOf).map(([s, n]) => `${s}/${n}`),
          fc.constant({}),
        ),
      ),
    },
    {
      weight: 5,
      arbitrary: by(
        integratorAuthor,
        on(
          'accepts',
          fc.tuple(taskOf, round, fc.integer({ min: 1, max: 2 })).map(([t, r, term]) => `${t}/${r}/${term}`),
          fc
            .record({
              epoch,
              by: nodeOf,
              position: fc.integer({ min: 1, max: 5 }),
              commit: fc.constantFrom('e'.repeat(40), 'f'.repeat(40)),
            })
            .chain((a) => fc.constantFrom(a, { epoch: a.epoch, by: a.by, position: a.position })),
        ),
      ),
    },
    {
      weight: 5,
      arbitrary: by(
        integratorAuthor,
        on(
          'rejects',
          fc.tuple(slot, nodeOf).map(([s, n]) => `${s}/${n}`),
          reject,
        ),
      ),
    },
    {
      weight: 5,
      arbitrary: by(
        anyAuthor,
        on(
          'orders',
          fc.tuple(taskOf, version).map(([t, n]) => `${t}/${n}`),
          taskOrder,
        ),
      ),
    },
    {
      weight: 2,
      arbitrary: by(
        anyAuthor,
        on(
          'orders',
          version.map((n) => `*/${n}`),
          runOrder,
        ),
      ),
    },
    {
      weight: 1,
      arbitrary: anyAuthor.chain((author) =>
        fc.tuple(version, fc.constantFrom(1, 2, 8, 0, -1, 1.5, Number.NaN)).map(([n, slots]) => ({
          author,
          fact: fact('nodes', `${author.node}/${n}`, { name: author.node, slots, version: '0' }, CLUSTER_DOC),
        })),
      ),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        author: specAuthor(one),
        fact: fc.constantFrom(3, 4, 5).map((count) => fact('seals', '*', sealOf(TASKS.slice(0, count)))),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        { author: life('node-b', 1), fact: fact('claims', 'nobody/1/1', {}) },
        { author: life('node-b', 1), fact: fact('claims', 'no such/key', {}) },
        { author: life('node-b', 1), fact: fact('results', 't0/0/1', { outcome: 'done' }) },
        { author: life('node-b', 1), fact: fact('orders', 't0', { verb: 'cancel' }) },
        { author: life('node-b', 1), fact: fact('runs', `${RUN}/0`, header('node-a', 'node-b')) },
        { author: life('node-a', 1), fact: fact('runs', `${RUN}/1`, header('node-a', 'node-b')) },
        { author: life('node-a', 1), fact: fact('seals', 'plan', sealOf(TASKS)) },
        { author: life('node-a', 1), fact: fact('kv', 'x/1', 1) },
      ),
    },
    ...(far
      ? [
          {
            weight: 1,
            arbitrary: fc.constantFrom('run', 'demo-0002', RUN, '').map((id) => ({
              author: life('node-b', 1),
              fact: fact(
                'runs',
                `${id}/1`,
                { verb: 'archived', creator: 'node-a', createdAt: 1 },
                CLUSTER_DOC,
              ),
            })),
          },
        ]
      : []),
    ...(one
      ? []
      : [
          {
            weight: 1,
            arbitrary: fc.constantFrom(
              { author: life('node-a', 2), fact: fact('runs', `${RUN}/0`, header('node-a', 'node-b')) },
              { author: life('node-b', 1), fact: fact('runs', `${RUN}/0`, header('node-b', 'node-b')) },
            ),
          },
        ]),
  )
}

/** The header, most specs, and anything else, each key of an author once. */
export function factSets(options: SetOptions = {}): fc.Arbitrary<Written[]> {
  const one = options.oneHeader ?? false
  const far = options.far ?? false
  const specs = fc.tuple(
    ...TASKS.map((id, at) =>
      fc.record({ author: specAuthor(one), fact: specOf(at).map((spec) => fact('specs', id, spec)) }),
    ),
  )
  const more = one
    ? fc.constant<Written[]>([])
    : fc.array(
        fc.integer({ min: 0, max: 4 }).chain((at) =>
          fc.record({
            author: specAuthor(one),
            fact: specOf(at).map((spec) => fact('specs', TASKS[at]!, spec)),
          }),
        ),
        { maxLength: 2 },
      )
  const seal: Written = { author: life('node-a', 1), fact: fact('seals', '*', sealOf(TASKS)) }
  const first: Written = {
    author: life('node-a', 1),
    fact: fact('runs', `${RUN}/0`, header('node-a', 'node-a')),
  }
  return fc
    .tuple(specs, fc.boolean(), fc.array(written(one, far), { minLength: 3, maxLength: 40 }), more)
    .map(([given, sealed, rest, extra]) =>
      once([first, ...given, ...extra, ...(sealed ? [seal] : []), ...rest]),
    )
}

function once(all: readonly Written[]): Written[] {
  const seen = new Set<string>()
  return all.filter(({ author, fact: f }) => {
    const key = [authorKey(author), f.doc, f.collection, f.key].join('|')
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** One batch a fact, numbered by author in the order given. */
export function batchesOf(all: readonly Written[]): Batch[] {
  const count = new Map<string, number>()
  return all.map(({ author, fact: f }) => {
    const n = (count.get(authorKey(author)) ?? 0) + 1
    count.set(authorKey(author), n)
    return { author, n, at: 1_000 + n, facts: [f] }
  })
}

export function boardOf(batches: Iterable<Batch>): Board {
  const board = new Board()
  for (const batch of batches) board.apply(batch)
  return board
}

const byKey = (a: string, b: string): number => (a < b ? -1 : 1)

/** All that is derived, as plain data, without anything that depends on the order of arrival. */
export function dump(board: Board): unknown {
  const runs = [...board.runs.values()].sort((a, b) => byKey(a.id, b.id)).map(dumpRun)
  const nodes = [...board.nodes]
    .map(([id, r]) => [id, r.n, r.author.incarnation, String(r.value.slots)].join(' '))
    .sort()
  return { runs, nodes, unfinished: board.unfinished }
}

function dumpRun(run: RunState): unknown {
  const tasks = [...run.tasks.values()].filter(
    (t) => t.spec !== undefined || t.entries.length + t.voids.length > 0,
  )
  return {
    id: run.id,
    status: run.status,
    sealed: run.sealed,
    settled: run.settled,
    finished: run.finished,
    outcome: run.outcome,
    tip: run.tip(),
    lastPosition: run.lastPosition,
    specs: run.specCount,
    orders: run.orderVersion,
    terms: run.terms.map((t) => `${t.integrator} ${t.until}`),
    end: [run.closing, run.landed, run.verified].map(
      (r) => r && `${r.n} ${r.author.node} ${r.author.incarnation}`,
    ),
    counts: (
      [
        'waiting',
        'ready',
        'claimed',
        'running',
        'provisional',
        'accepted',
        'skipped',
        'passed',
        'failed',
        'dropped',
        'cancelled',
        'paused',
        'blocked',
        'held',
      ] as const
    ).map((s) => run.count(s)),
    positions: [...run.positions].map(([p, t]) => `${p} ${t.id}`).sort(),
    tasks: tasks.sort((a, b) => byKey(a.id, b.id)).map(dumpTask),
  }
}

function dumpTask(task: TaskState): unknown {
  const name = (e: TaskState['holder']): string | undefined =>
    e && `${e.round}.${e.epoch} ${e.node} ${e.incarnation} ${e.startedAt} ${e.result?.outcome}`
  const {
    id,
    status,
    reason,
    round: r,
    epoch: e,
    failures,
    lost,
    level,
    criticalPath,
    pendingNeeds,
    failedNeeds,
    orderVersion,
    retryRound,
  } = task
  return {
    id,
    status,
    reason,
    round: r,
    epoch: e,
    failures,
    lost,
    level,
    criticalPath,
    pendingNeeds,
    failedNeeds,
    orderVersion,
    retryRound,
    spec: JSON.stringify(task.spec),
    needs: task.needs.map((n) => n.id),
    holder: name(task.holder),
    provisional: name(task.provisional),
    accepted: task.accepted && JSON.stringify(task.accepted),
    entries: task.entries
      .map(
        (x) =>
          `${name(x)} ${x.claim}${x.start}${x.cont}${x.outside}${x.failed} ${x.resultIncarnation} ${x.endedAt}`,
      )
      .sort(),
  }
}
