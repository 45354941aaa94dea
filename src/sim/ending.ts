/** What must hold when the faults are over and the cluster had time: everything is done, everybody agrees, nothing is left behind, and the facts alone tell the same. */
import { Board } from '../core/board.ts'
import { isRejected } from '../core/derive.ts'
import type { Batch } from '../core/fact.ts'
import type { NodeId } from '../core/id.ts'
import { Judge } from '../core/judge.ts'
import { Roster } from '../core/roster.ts'
import { upTo } from '../core/roster-fact.ts'
import type { RunState } from '../core/run-state.ts'
import { isFinal } from '../core/status.ts'
import type { SimCluster } from './cluster.ts'
import { BASE } from './commit.ts'
import type { Life } from './life.ts'
import { difference, viewOf } from './view.ts'
import { RUN } from './workload.ts'

/** Members that are still there. */
function remaining(cluster: SimCluster): Life[] {
  return cluster.ready().filter(({ node }) => !cluster.departed.has(node))
}

/** Nothing is under way any more, as far as anybody can see. */
export function isOver(cluster: SimCluster): boolean {
  const lives = remaining(cluster)
  const machines = [...cluster.machines.values()].filter((m) => !m.isLost && !cluster.departed.has(m.node))
  if (lives.length < machines.length) return false
  const digest = lives[0]?.store.replica.digest()
  return lives.every(
    (life) =>
      life.isQuiet &&
      life.machine.agents.size === 0 &&
      life.state.board.runs.get(RUN)?.finished === true &&
      life.store.replica.digest() === digest,
  )
}

export async function judgeEnd(cluster: SimCluster): Promise<void> {
  const { oracle } = cluster
  const lives = remaining(cluster)
  if (!isOver(cluster)) for (const life of lives) sayWhatIsOpen(cluster, life)
  oracle.checkpoint(lives, isOver(cluster))
  for (const machine of cluster.machines.values()) {
    if (machine.isLost || cluster.departed.has(machine.node)) continue
    if (!cluster.lives.get(machine.node)?.isReady)
      oracle.breach('L2', machine.node, 'its node does not come back')
    for (const { attempt } of machine.agents.values())
      oracle.breach('L7', machine.node, `${attempt} is left behind`)
  }
  const first = lives[0]
  if (!first) return oracle.breach('L2', 'cluster', 'nobody is left')
  const view = viewOf(first.state.board)
  const judged = new Set<string>()
  for (const life of lives) {
    const own = viewOf(life.state.board)
    if (own !== view) oracle.breach('L4', life.node, `believes ${difference(own, view)} of ${first.node}`)
    const digest = life.store.replica.digest()
    if (!judged.has(digest)) await judgeFacts(cluster, life, own)
    judged.add(digest)
    const run = life.state.board.runs.get(RUN)
    if (run) judgeHistory(cluster, life.node, run)
  }
  const run = first.state.board.runs.get(RUN)
  if (run) judgeWork(cluster, run)
}

function sayWhatIsOpen(cluster: SimCluster, { node, state, pending, store }: Life): void {
  const { oracle } = cluster
  const run = state.board.runs.get(RUN)
  if (!run?.finished) {
    const open = [...(run?.tasks.values() ?? [])].filter(
      (t) => !['accepted', 'failed', 'dropped'].includes(t.status),
    )
    const words = open
      .slice(0, 5)
      .map((t) => `${t.id} ${t.status} ${t.round}.${t.epoch} by ${t.holder?.node ?? '-'}`)
    oracle.breach(
      'L2',
      node,
      `the run is ${run?.status ?? 'unknown'}, integrated by ${run?.integrator} in term ${run?.term}; ${open.length} tasks are open: ${words.join('; ')}`,
    )
  } else if (pending > 0 || state.attempts.size > 0 || state.bids.size > 0)
    oracle.breach(
      'L3',
      node,
      `${pending} writes, ${state.attempts.size} attempts and ${state.bids.size} bids are under way`,
    )
  else oracle.breach('L4', node, `all is done, and it knows ${store.replica.digest().slice(0, 8)}`)
}

/** The same facts in any order say the same (I2), and what was written after its author's removal says nothing (I22). */
async function judgeFacts(cluster: SimCluster, life: Life, view: string): Promise<void> {
  const { roster } = life.state
  const batches: Batch[] = []
  for await (const batch of life.store.facts()) {
    // Liars are workers: what only others may say is nothing in their mouth, whatever the judge thinks of it.
    const isLiar = cluster.liars.has(batch.author.node)
    batches.push(
      isLiar
        ? { ...batch, facts: batch.facts.filter(({ collection }) => OF_WORKERS.has(collection)) }
        : batch,
    )
  }
  const counting = batches.filter(({ author, n, facts }) => {
    const member = roster?.member(author.node)
    return (
      member?.role !== 'none' || facts.every(({ doc }) => n <= upTo(member.since, doc, author.incarnation))
    )
  })
  const again = boardOf(cluster, counting)
  if (again !== view)
    cluster.oracle.breach('I2', life.node, `believes what its facts do not say: ${difference(view, again)}`)
}

const OF_WORKERS: ReadonlySet<string> = new Set([
  'claims',
  'starts',
  'results',
  'acks',
  'voids',
  'nodes',
  'messages',
  'kv',
])

/** Members first: a board that learns of a removal afterwards has to be made anew. */
function boardOf(cluster: SimCluster, batches: readonly Batch[]): string {
  const board = new Board(new Judge(new Roster(cluster.cluster)))
  const mixed = cluster.dice.shuffle(batches)
  for (const batch of mixed)
    board.apply({ ...batch, facts: batch.facts.filter(({ collection }) => collection === 'members') })
  for (const batch of mixed) board.apply(batch)
  return viewOf(board)
}

/** Everybody makes the same commits of what was accepted (I11), and the integrator's ref stands where they end. */
function judgeHistory(cluster: SimCluster, node: NodeId, run: RunState): void {
  const { graph, oracle, machines } = cluster
  let tip = BASE
  for (const [, task] of [...run.positions].sort(([a], [b]) => a - b)) {
    const { round, epoch, by, commit } = task.accepted!
    if (commit === undefined) continue
    const result = task.entries.find((e) => e.round === round && e.epoch === epoch && e.node === by)?.result
    // What a member wrote beyond its removal is not on the board, though it was accepted before that was known: the chain of commits ends here.
    if (!result && cluster.departed.has(by)) return
    if (result?.head === undefined) {
      oracle.breach('I12', node, 'is accepted with a commit that no result has', task.id)
      continue
    }
    const { base, head } = result
    tip = graph.fold(tip, { task: task.id, round, epoch, by, base: base!, head, title: '', authorName: '' })
    if (tip !== commit)
      return oracle.breach('I11', node, 'its accept names another commit than its facts make', task.id)
  }
  const integrator = machines.get(run.integrator ?? '')
  const ref = integrator?.repository.tip(run.id, run.term)
  if (integrator && !integrator.isLost && ref !== undefined && ref !== run.tip())
    oracle.breach('I11', node, `the ref stands at ${ref}, the accepts end at ${run.tip()}`)
}

/** Each task was accepted once, and what was accepted is still on some machine (I24). */
function judgeWork(cluster: SimCluster, run: RunState): void {
  const { oracle, meter, machines } = cluster
  const alive = [...machines.values()].filter((m) => !m.isLost)
  for (const task of run.tasks.values()) {
    const { accepted } = task
    for (const entry of task.entries) {
      const { head } = entry.result ?? {}
      if (head !== undefined && isRejected(task, entry)) meter.refused(cluster.graph.get(head).work)
    }
    if (!accepted) {
      // A task may be lost with its node LOST_MAX times, and then takes with it what needs it.
      if (!isFinal(task.status)) oracle.breach('L2', 'cluster', `ends as ${task.status}`, task.id)
      continue
    }
    const { round, epoch, by } = accepted
    const entry = task.entries.find((e) => e.round === round && e.epoch === epoch && e.node === by)
    const head = entry?.result?.head
    const { commit } = accepted
    const isKept = alive.some(({ repository }) =>
      [commit, head].some((oid) => oid !== undefined && repository.has(oid)),
    )
    // What the integrator itself made is on no other disk before somebody builds on it: it burns with its machine.
    if (head !== undefined && !isKept && !machines.get(by)?.isLost)
      oracle.breach('I24', by, 'its accepted work is nowhere any more', task.id)
    meter.accepted(head === undefined ? undefined : cluster.graph.get(head).work)
  }
}
