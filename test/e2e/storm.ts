/**
 * A cluster of real processes under random faults, while it works on a run; healed at the end, and audited from outside.
 *
 *     npx tsx test/e2e/storm.ts --nodes 7 --tasks 200 --times 24 [--seed N] [--faults 12]
 *
 * Nodes are killed, stand still, are stopped and started, lose their network (in namespaces, where the system gives them). A storm that fails keeps its directory and prints the
 * seed that makes the same plan and the same faults (not the same machine).
 */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createPrng, type Prng } from '../../src/core/prng.ts'
import { everythingOf } from '../node/machine.ts'
import { Fleet, type FleetNode, type FleetTask } from './fleet.ts'
import { endAndAudit } from './fleet-audit.ts'
import { whyNoNamespaces } from './namespace.ts'

export interface StormOptions {
  readonly nodes: number
  readonly tasks: number
  readonly seed: number
  readonly faults: number
}

export interface StormReport {
  readonly seed: number
  readonly dir: string
  readonly faults: readonly string[]
  readonly ms: number
  /** From the submission to the moment when the last node knew that the run is complete. */
  readonly runMs: number
  readonly wrong: string | undefined
}

/** All healed, the run has so long to come to its end on every node: on a busy machine of two cores, all nodes on it. */
const CALM_MS = 120_000
const CALM_TASK_MS = 2_500

export async function storm({
  nodes,
  tasks: count,
  seed,
  faults: times,
}: StormOptions): Promise<StormReport> {
  const startedAt = performance.now()
  const prng = createPrng(seed)
  const fleet = new Fleet({ apart: whyNoNamespaces() === undefined })
  const faults: string[] = []
  let runMs = 0
  let wrong: string | undefined
  try {
    await fleet.found(Array.from({ length: nodes }, (_, k) => `n${k}`))
    const [first] = fleet.nodes
    const before = everythingOf(fleet.repo)
    const { tasks, files } = plan(prng, count)
    const run = await first!.submit(tasks, { verify: 'test ! -e broken' })
    const submittedAt = performance.now()
    const isOver = async (): Promise<boolean> => {
      const up = fleet.nodes.find((node) => node.isUp && !frozen.has(node))
      return up === undefined ? false : (await up.run(run).catch(() => undefined))?.status === 'complete'
    }
    const frozen = new Set<FleetNode>()
    const under: Promise<void>[] = []
    for (let k = 0; k < times && !(await isOver()); k++) {
      await pause(300 + prng.next() * 2_500)
      const told = strike(fleet, prng, frozen)
      if (!told) continue
      faults.push(told.what)
      // A fault that fails tells so at the end, where it is waited for.
      told.over.catch(() => undefined)
      under.push(told.over)
    }
    await Promise.all(under)
    fleet.network?.heal()
    for (const node of fleet.nodes) await node.knows(run, 'complete', CALM_MS + count * CALM_TASK_MS)
    runMs = performance.now() - submittedAt
    for (const node of fleet.nodes) await node.sees(fleet.nodes)
    await endAndAudit({ fleet, before, run, by: first!, files })
  } catch (error) {
    wrong = (error as Error).message
  }
  await fleet.end(wrong !== undefined)
  const ms = Math.round(performance.now() - startedAt)
  return { seed, dir: fleet.dir, faults, ms, runMs: Math.round(runMs), wrong }
}

interface Strike {
  readonly what: string
  readonly over: Promise<void>
}

/** One fault on a node that has none at the moment; what it costs is drawn now, so that the same seed draws the same. */
function strike(fleet: Fleet, prng: Prng, busy: Set<FleetNode>): Strike | undefined {
  const kinds = [
    'kill',
    'kill',
    'power',
    'freeze',
    'restart',
    ...(fleet.network ? ['cut', 'mute', 'split'] : []),
  ]
  const kind = kinds[Math.floor(prng.next() * kinds.length)]!
  const node = fleet.nodes[Math.floor(prng.next() * fleet.nodes.length)]!
  const ms = Math.round(200 + prng.next() ** 2 * 14_000)
  const half = fleet.nodes.map(() => prng.next() < 0.5)
  if (busy.has(node)) return undefined
  busy.add(node)
  const over = play(kind, node, ms, half).finally(() => busy.delete(node))
  return { what: `${kind} ${node.name} ${ms}`, over }
}

async function play(kind: string, node: FleetNode, ms: number, half: readonly boolean[]): Promise<void> {
  const { fleet } = node
  const { network } = fleet
  switch (kind) {
    case 'kill':
    case 'power':
      await (kind === 'kill' ? node.kill() : node.cutPower())
      await pause(ms)
      return node.restart()
    case 'restart':
      await node.kill('SIGTERM')
      return node.restart()
    case 'freeze':
      node.signal('SIGSTOP')
      await pause(ms)
      return node.signal('SIGCONT')
    case 'cut':
    case 'split': {
      // The next one heals it; so does its end.
      const places = fleet.nodes.map(({ place }) => place)
      if (kind === 'cut') network!.isolate(node.place)
      else network!.split([places.filter((p) => half[p]), places.filter((p) => !half[p])])
      await pause(ms)
      return network!.heal()
    }
    case 'mute':
      network!.muffle(node.place)
      await pause(ms)
      return network!.heal()
  }
}

/** Small edits, each on some of those before it; some fail at first, some take a while. */
function plan(
  prng: Prng,
  count: number,
): { readonly tasks: Record<string, FleetTask>; readonly files: Record<string, string> } {
  const tasks: Record<string, FleetTask> = {}
  const files: Record<string, string> = {}
  const ids: string[] = []
  for (let k = 0; k < count; k++) {
    const id = `t${k}`
    const needs = new Set<string>()
    const wanted = k < 10 ? 0 : Math.floor(prng.next() * 3)
    // Not only of the last ones: some wait long for what came early.
    for (let n = 0; n < wanted; n++) needs.add(ids[Math.floor(prng.next() * Math.max(1, k - 6))]!)
    const fails = prng.next() < 0.12 ? '[ "$ORCH_EPOCH" -gt 1 ] || exit 1; ' : ''
    const sleep = (prng.next() ** 3 * 2.5).toFixed(2)
    const reads = [...needs].map((need) => `grep -q ${need} dir${need}/file && `).join('')
    files[id] = `dir${id}/file`
    tasks[id] = {
      run: `${fails}echo begin; sleep ${sleep}; ${reads}mkdir dir${id} && echo ${id} > dir${id}/file`,
      write: [`dir${id}/*`],
      retry: { strategy: 'fixed', attempts: 12, delayMs: 50 },
      ...(needs.size > 0 && { needs: [...needs] }),
    }
    ids.push(id)
  }
  return { tasks, files }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      nodes: { type: 'string', default: '7' },
      tasks: { type: 'string', default: '200' },
      times: { type: 'string', default: '1' },
      faults: { type: 'string', default: '12' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    },
  })
  // By way of the exit, where all that was started is ended.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const why = whyNoNamespaces()
  if (why) console.log(`no partitions: ${why}`)
  let failed = 0
  const times = Number(values.times)
  for (let k = 0; k < times; k++) {
    const { seed, ms, runMs, faults, wrong, dir } = await storm({
      nodes: Number(values.nodes),
      tasks: Number(values.tasks),
      faults: Number(values.faults),
      seed: Number(values.seed) + k,
    })
    const verdict = wrong === undefined ? 'ok' : `FAILED ${wrong} · kept ${dir}`
    console.log(`seed ${seed} · ${ms} ms, run ${runMs} ms · ${faults.join(', ') || 'calm'} · ${verdict}`)
    if (wrong !== undefined) failed++
  }
  console.log(`${times - failed} passed, ${failed} failed`)
  process.exitCode = failed > 0 ? 1 : 0
}

if (
  process.argv[1] &&
  readFileSync(process.argv[1], 'utf8') === readFileSync(fileURLToPath(import.meta.url), 'utf8')
)
  await main()
