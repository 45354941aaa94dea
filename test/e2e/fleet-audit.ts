/**
 * What must be true of a cluster after any number of faults, looked up from outside when its processes have ended: the boards of all data directories, the repositories
 * with git, the processes in /proc, and what the nodes said. Returns what is wrong, in words.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Accept, Batch } from '../../src/core/fact.ts'
import { violations } from '../../src/core/invariant.ts'
import { NodeState } from '../../src/core/node-state.ts'
import { step } from '../../src/core/step.ts'
import { openIdentity, verifySignature } from '../../src/net/identity.ts'
import { readClusterFile } from '../../src/node/cluster-file.ts'
import { newAuthor } from '../../src/node/life.ts'
import { openCrdtStore } from '../../src/store/crdt.ts'
import { openLevelDisk } from '../../src/store/level-disk.ts'
import { everythingOf, git } from '../node/machine.ts'
import type { Fleet, FleetNode } from './fleet.ts'

export interface Board {
  readonly name: string
  readonly state: NodeState
  readonly batches: readonly Batch[]
}

/** The board of a data directory that no process has open, read anew from its frames. */
export async function readBoard({ name, dataDir }: FleetNode): Promise<Board> {
  const file = readClusterFile(dataDir)
  if (!file) throw new Error(`${name} belongs to no cluster`)
  const { cluster } = file
  const signer = openIdentity(dataDir)
  const author = newAuthor(signer.node)
  const disk = await openLevelDisk({ dataDir, cluster })
  const store = await openCrdtStore({ disk, author, signer, verify: verifySignature, cluster })
  try {
    const state = new NodeState({
      author,
      cluster,
      slots: 1,
      capacity: { cpu: 1, memoryBytes: 1, gpu: 0, quota: {} },
      capabilities: [],
      seed: 1,
      staggerMs: 100,
      settleMs: 100,
      pendingTasksMax: 10_000,
      stallMs: 0,
    })
    const batches: Batch[] = []
    for await (const batch of store.facts()) {
      batches.push(batch)
      step(state, { type: 'facts', batch }, 0, 0)
    }
    return { name, state, batches }
  } finally {
    await store.close()
  }
}

export interface FleetExpected {
  readonly fleet: Fleet
  /** Of `everythingOf(fleet.repo)`, before anything ran. */
  readonly before: Readonly<Record<string, string>>
  readonly run: string
  /** The node that integrated it. */
  readonly by: FleetNode
  /** Tasks, and the file each makes; it holds the task's name. */
  readonly files: Readonly<Record<string, string>>
  /** Nodes that are to agree; default: all. Those that are gone for good know less. */
  readonly nodes?: readonly FleetNode[]
}

/** Ends all nodes as a person does, then looks whether everything is as it must be. */
export async function endAndAudit(expected: FleetExpected): Promise<void> {
  await Promise.all(expected.fleet.nodes.map((node) => node.kill('SIGTERM')))
  const wrong = await auditFleet(expected)
  if (wrong.length > 0) throw new Error(`the audit says:\n${wrong.join('\n')}`)
}

/** Call it when no node runs any more. */
async function auditFleet(expected: FleetExpected): Promise<string[]> {
  const { fleet, run, by, files, nodes = fleet.nodes } = expected
  const boards: Board[] = []
  for (const node of nodes) boards.push(await readBoard(node))
  const wrong: string[] = []
  for (const board of boards) wrong.push(...wrongOnBoard(board, run, Object.keys(files)))
  wrong.push(...wrongBetween(boards, run))
  wrong.push(...wrongInRepositories(expected, boards[nodes.indexOf(by)]!))
  wrong.push(...lostWork(nodes, boards, run))
  wrong.push(...nodes.flatMap((node) => shame(node)))
  const left = fleet.left()
  if (left.length > 0) wrong.push(`still alive: ${left.join(' ')}`)
  return wrong
}

/** Accepts as they were written, before anything judges them; a node that read its ref back after a crash may write the same again. */
function acceptsOf({ batches }: Board, run: string): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>()
  for (const { facts } of batches) {
    for (const { doc, collection, key, body } of facts) {
      if (doc !== run || collection !== 'accepts') continue
      const task = key.split('/')[0]!
      const { position, commit } = body as Accept
      found.set(task, (found.get(task) ?? new Set()).add(`${position} ${commit ?? '-'}`))
    }
  }
  return found
}

function wrongOnBoard(board: Board, run: string, tasks: readonly string[]): string[] {
  const { name, state } = board
  const wrong = violations(state.board).map((v) => `${name}: ${v.invariant} ${v.subject}: ${v.message}`)
  const accepts = acceptsOf(board, run)
  for (const task of tasks) {
    const n = accepts.get(task)?.size ?? 0
    if (n !== 1) wrong.push(`${name}: ${task} has ${n} accepts`)
  }
  const positions = [...accepts.values()]
    .flatMap((told) => [...told].map((text) => Number(text.split(' ')[0])))
    .sort((x, y) => x - y)
  if (positions.some((p, i) => p !== i + 1)) wrong.push(`${name}: positions are ${positions.join(' ')}`)
  const status = state.board.runs.get(run)?.status
  if (status !== 'complete') wrong.push(`${name}: the run is ${status}`)
  return wrong
}

/** Every node that has heard everything derives the same. */
function wrongBetween(boards: readonly Board[], run: string): string[] {
  const tellings = boards.map(({ state }) => {
    const found = state.board.runs.get(run)
    const tasks = [...(found?.tasks.values() ?? [])].map(
      (t) => `${t.id} ${t.status} ${t.round} ${t.accepted?.position} ${t.accepted?.by} ${t.accepted?.commit}`,
    )
    return `${found?.tip()}\n${tasks.sort().join('\n')}`
  })
  return boards
    .filter((_, k) => tellings[k] !== tellings[0])
    .map(({ name }) => `${name} and ${boards[0]!.name} derive different things from the board`)
}

function wrongInRepositories(expected: FleetExpected, board: Board): string[] {
  const { fleet, run, by, files, before } = expected
  const { repo } = fleet
  const wrong: string[] = []
  const bare = bareOf(by)
  if (bare === undefined) return [`${by.name} has no repository of ours`]
  // The ref: one commit for each accepted task, in the order of the positions, and nothing else (I11).
  const head = `refs/orch/heads/${run}`
  const log = git(
    bare,
    'log',
    '--reverse',
    '--format=%H %(trailers:key=Orch-Task,valueonly,separator=)',
    `${git(repo, 'rev-parse', 'main')}..${head}`,
  )
  const told = [...acceptsOf(board, run)]
    .flatMap(([task, texts]) => [...texts].map((text) => [...text.split(' '), task] as const))
    .filter(([, commit]) => commit !== '-')
    .sort((x, y) => Number(x[0]) - Number(y[0]))
    .map(([, commit, task]) => `${commit} ${task}`)
  if (log !== told.join('\n'))
    wrong.push(`the ref has ${log.split('\n').length} commits, the accepts name ${told.length}, or others`)
  // The person's repository: the branch, its files, and nothing else.
  if (JSON.stringify(everythingOf(repo, `refs/heads/orch/${run}`)) !== JSON.stringify(before))
    wrong.push("something else changed in the person's repository")
  const tip = git(bare, 'rev-parse', head)
  if (git(repo, 'for-each-ref', '--format=%(objectname)', `refs/heads/orch/${run}`) !== tip)
    wrong.push(`orch/${run} is not what was integrated`)
  if (board.state.board.runs.get(run)?.tip() !== tip) wrong.push('the board names another tip than the ref')
  for (const [task, file] of Object.entries(files)) {
    const text = git(bare, 'show', `${tip}:${file}`)
    if (text !== task) wrong.push(`${file} holds ${JSON.stringify(text)}`)
  }
  return wrong
}

/** Every attempt that ran and had files has them under a ref of its node, or has them still; every success that anybody knows of is in some repository. */
function lostWork(nodes: readonly FleetNode[], boards: readonly Board[], run: string): string[] {
  const wrong: string[] = []
  const refs = new Set<string>()
  for (const node of nodes) {
    const bare = bareOf(node)
    const names = bare === undefined ? '' : git(bare, 'for-each-ref', '--format=%(refname) %(objectname)')
    for (const line of names.split('\n')) {
      const [name = '', oid = ''] = line.split(' ')
      refs.add(`${node.name} ${name}`).add(oid)
    }
    for (const { path, dir } of attemptsOf(node.dataDir, run)) {
      if (!existsSync(join(dir, 'shim.json'))) continue
      const record = JSON.parse(readFileSync(join(dir, 'node.json'), 'utf8')) as { workspace: string }
      if (!refs.has(`${node.name} refs/orch/runs/${run}/${path}`) && !existsSync(record.workspace))
        wrong.push(`${node.name}: the work of ${path} is lost`)
    }
  }
  for (const task of boards[0]?.state.board.runs.get(run)?.tasks.values() ?? [])
    for (const { result } of task.entries)
      if (result?.outcome === 'done' && result.head && !refs.has(result.head))
        wrong.push(`the result ${result.head} of ${task.id} is in no repository`)
  return wrong
}

/** Nothing that a person would be frightened by stands in a log. */
function shame(node: FleetNode): string[] {
  return node
    .said()
    .split('\n')
    .filter((line) =>
      /ORCH_BUG|^\s+at |\berror: |[Uu]nhandled|Error:|\bundefined\b|\[object|Warning:/.test(line),
    )
    .slice(0, 5)
    .map((line) => `${node.name} said: ${line.slice(0, 300)}`)
}

function bareOf({ dataDir }: FleetNode): string | undefined {
  const repos = join(dataDir, 'repos')
  const name = existsSync(repos) ? readdirSync(repos).find((n) => n.endsWith('.git')) : undefined
  return name === undefined ? undefined : join(repos, name)
}

/** `TASK/ROUND.EPOCH-…` and directory of each attempt of a run. */
function attemptsOf(dataDir: string, run: string): { readonly path: string; readonly dir: string }[] {
  const root = join(dataDir, 'attempts', run)
  if (!existsSync(root)) return []
  return readdirSync(root).flatMap((task) =>
    readdirSync(join(root, task)).map((name) => ({ path: `${task}/${name}`, dir: join(root, task, name) })),
  )
}
