/**
 * What must be true after any number of crashes, looked up from outside: the journal as text, the repositories with git, the processes in /proc. Returns what
 * is wrong, in words.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { violations } from '../../src/core/invariant.ts'
import { openNode } from '../../src/node/node.ts'
import { carriersOf, everythingOf, git } from '../node/machine.ts'
import { shimsOf } from './child.ts'

export interface Expected {
  readonly dataDir: string
  readonly repo: string
  /** Of `everythingOf(repo)`, before anything ran. */
  readonly before: Readonly<Record<string, string>>
  readonly run: string
  /** Tasks, and the file each makes. */
  readonly files: Readonly<Record<string, string>>
}

export async function audit(expected: Expected): Promise<string[]> {
  const { dataDir, repo, run, files } = expected
  const wrong: string[] = []
  const tasks = Object.keys(files)

  // The journal, without the code that wrote it: one accept for each task, at positions 1..n.
  const accepts = acceptsOf(dataDir, run)
  for (const task of tasks) {
    const n = accepts.filter((a) => a.task === task).length
    if (n !== 1) wrong.push(`${task} has ${n} accepts`)
  }
  const positions = accepts.map((a) => a.position).sort((a, b) => a - b)
  if (positions.some((p, i) => p !== i + 1)) wrong.push(`positions are ${positions.join(' ')}`)

  // The ref: one commit for each accepted task, in the order of the positions, and nothing else (I11).
  const repos = join(dataDir, 'repos')
  const bare = join(repos, readdirSync(repos).find((name) => name.endsWith('.git'))!)
  const head = `refs/orch/heads/${run}`
  const base = git(repo, 'rev-parse', 'main')
  const log = git(
    bare,
    'log',
    '--reverse',
    '--format=%H %(trailers:key=Orch-Task,valueonly,separator=)',
    `${base}..${head}`,
  )
  const commits = log === '' ? [] : log.split('\n')
  const told = accepts
    .filter((a) => a.commit)
    .sort((a, b) => a.position - b.position)
    .map((a) => `${a.commit} ${a.task}`)
  if (commits.join('\n') !== told.join('\n'))
    wrong.push(`the ref has ${commits.length} commits, the accepts name ${told.length}, or others`)

  // The person's repository: the branch, its files, and nothing else.
  if (JSON.stringify(everythingOf(repo, `refs/heads/orch/${run}`)) !== JSON.stringify(expected.before))
    wrong.push("something else changed in the person's repository")
  const tip = git(bare, 'rev-parse', head)
  if (git(repo, 'for-each-ref', '--format=%(objectname)', `refs/heads/orch/${run}`) !== tip)
    wrong.push(`orch/${run} is not what was integrated`)
  for (const [task, file] of Object.entries(files)) {
    const text = git(bare, 'show', `${tip}:${file}`)
    if (text !== task) wrong.push(`${file} holds ${JSON.stringify(text)}`)
  }

  // What the node itself says, opened once more.
  const node = await openNode({ dataDir })
  try {
    wrong.push(...violations(node.engine.state.board).map((v) => `${v.invariant} ${v.subject}: ${v.message}`))
    const summary = await node.face.run({ run })
    if (summary.status !== 'complete') wrong.push(`the run is ${summary.status}`)
    for (const item of await node.face.workspaces())
      if (item.state !== 'saved') wrong.push(`${item.path} is ${item.state}`)
  } finally {
    await node.close()
  }

  // Every attempt that ran and had files has them under a ref, or has them still.
  for (const { path, dir } of attemptsOf(dataDir, run)) {
    if (!existsSync(join(dir, 'shim.json'))) continue
    const record = JSON.parse(readFileSync(join(dir, 'node.json'), 'utf8')) as { workspace: string }
    const ref = git(bare, 'for-each-ref', '--format=%(refname)', `refs/orch/runs/${run}/${path}`)
    if (ref === '' && !existsSync(record.workspace)) wrong.push(`the work of ${path} is lost`)
  }

  const left = [...carriersOf(dataDir), ...shimsOf(dataDir)]
  if (left.length > 0) wrong.push(`still alive: ${left.join(' ')}`)
  return wrong
}

interface AcceptLine {
  readonly task: string
  readonly position: number
  readonly commit?: string
}

function acceptsOf(dataDir: string, run: string): AcceptLine[] {
  const found: AcceptLine[] = []
  for (const line of readFileSync(join(dataDir, 'journal.jsonl'), 'utf8').split('\n')) {
    if (line === '') continue
    const { f = [] } = JSON.parse(line.slice(9)) as { f?: [string, string, string, AcceptLine][] }
    for (const [doc, collection, key, body] of f) {
      if (doc === run && collection === 'accepts') found.push({ ...body, task: key.split('/')[0]! })
    }
  }
  return found
}

/** `TASK/ROUND.EPOCH-…` and directory of each attempt of a run. */
function attemptsOf(dataDir: string, run: string): { readonly path: string; readonly dir: string }[] {
  const root = join(dataDir, 'attempts', run)
  return readdirSync(root).flatMap((task) =>
    readdirSync(join(root, task)).map((name) => ({ path: `${task}/${name}`, dir: join(root, task, name) })),
  )
}
