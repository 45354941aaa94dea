/** What the git edge costs, on real repositories in a temporary directory. Sizes: 1,000 and 20,000 files of 1-2 KB. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { devNull } from 'node:os'
import { join } from 'node:path'
import type { Delta, MergeRequest } from '../src/core/integrate.ts'
import type { Git } from '../src/git/git.ts'
import { withDirectory } from './disk.ts'
import { createGit } from './product.ts'
import type { Sample } from './sample.ts'

const INCARNATION = '01JD0000000000000000ABCDEF'

async function measure(
  name: string,
  runs: number,
  work: (run: number) => Promise<number | undefined>,
): Promise<Sample> {
  const values: number[] = []
  for (let run = 0; run < runs; run += 1) {
    const start = performance.now()
    // A part that is not meant (setting up) is left out by returning the span itself.
    const span = await work(run)
    values.push(span ?? performance.now() - start)
  }
  return { name, unit: 'ms', values }
}

function git(cwd: string, ...args: string[]): string {
  const env = {
    PATH: process.env.PATH,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: devNull,
    GIT_AUTHOR_NAME: 'Ann',
    GIT_AUTHOR_EMAIL: 'ann@example.org',
    GIT_COMMITTER_NAME: 'Ann',
    GIT_COMMITTER_EMAIL: 'ann@example.org',
  }
  return execFileSync('git', args, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 28,
  }).trim()
}

function repository(dir: string, files: number): void {
  mkdirSync(dir, { recursive: true })
  git(dir, 'init', '-q', '-b', 'main')
  for (let n = 0; n < files; n += 1) {
    const folder = join(dir, `pkg${n % 20}`, `mod${n % 200}`)
    if (n < 200) mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `file${n}.ts`), `export const value${n} = ${n}\n`.repeat(40 + (n % 30)))
  }
  git(dir, 'add', '-A')
  git(dir, 'commit', '-q', '-m', 'base')
}

interface Stage {
  readonly edge: Git
  readonly id: string
  readonly base: string
  readonly user: string
  readonly dir: string
}

async function stage(dir: string, files: number): Promise<Stage> {
  const user = join(dir, 'user')
  repository(user, files)
  const edge = createGit({ dataDir: join(dir, 'data') })
  const facts = await edge.inspect(user)
  await edge.importBase(facts)
  return { edge, id: facts.id, base: facts.base, user, dir }
}

const attemptOf = (n: number): string => `bench-0000/t${n}/1.1/${INCARNATION}`

async function collect(at: Stage, n: number, edit: (dir: string) => void): Promise<Delta> {
  const dir = join(at.dir, `work${n}`)
  await at.edge.createWorkspace(at.id, { dir, base: at.base, authorName: 'agent' })
  edit(dir)
  const request = {
    dir,
    attempt: attemptOf(n),
    base: at.base,
    title: `Task ${n}`,
    authorName: 'agent',
    at: 0,
  }
  const done = await at.edge.collectWork(at.id, request)
  rmSync(dir, { recursive: true })
  return {
    task: `t${n}`,
    round: 1,
    epoch: 1,
    by: 'bench',
    base: at.base,
    head: done.head,
    title: `Task ${n}`,
    authorName: 'agent',
  }
}

async function workspaceRows(root: string, files: number, runs: number): Promise<Sample[]> {
  const at = await stage(join(root, `files${files}`), files)
  const { edge, id, base } = at
  const label = `${files / 1000}k files`
  const rows: Sample[] = []
  const dirOf = (run: number): string => join(at.dir, `ws${run}`)
  const create = (run: number): Promise<unknown> =>
    edge.createWorkspace(id, { dir: dirOf(run), base, authorName: 'agent' })
  rows.push(await measure(`workspace create, ${label}`, runs, async (run) => void (await create(run))))
  rows.push(
    await measure(`collect 5 changed files, ${label}`, runs, async (run) => {
      for (let n = 0; n < 5; n += 1)
        writeFileSync(join(dirOf(run), `pkg${n}`, `mod${n}`, `file${n}.ts`), `changed ${run} ${n}\n`)
      const start = performance.now()
      await edge.collectWork(id, {
        dir: dirOf(run),
        attempt: attemptOf(run),
        base,
        title: 't',
        authorName: 'agent',
        at: 0,
        mayWrite: () => true,
      })
      return performance.now() - start
    }),
  )
  rows.push(
    await measure(`workspace remove with proof, ${label}`, runs, async (run) => {
      await edge.removeWorkspace(
        id,
        dirOf(run),
        `refs/orch/runs/bench-0000/t${run}/1.1-${INCARNATION.slice(-8)}`,
      )
      return undefined
    }),
  )
  const clone = join(at.dir, 'clone')
  rows.push(
    await measure(`git clone --shared for comparison, ${label}`, runs, async () => {
      const start = performance.now()
      git(at.dir, 'clone', '-q', '--shared', at.user, clone)
      const span = performance.now() - start
      rmSync(clone, { recursive: true })
      return span
    }),
  )
  const gate = { dir: join(at.dir, 'gate'), command: 'true', env: { PATH: process.env.PATH ?? '' } }
  const other = await collect(at, 9000, (dir) =>
    writeFileSync(join(dir, 'pkg0', 'mod0', 'file0.ts'), 'gate\n'),
  )
  rows.push(
    await measure(`gate \`true\` on the next candidate, ${label}`, runs, async (run) => {
      await edge.runGate(id, { ...gate, commit: run % 2 ? base : other.head })
      return undefined
    }),
  )
  await edge.close()
  return rows
}

async function mergeRows(root: string, runs: number): Promise<Sample[]> {
  const at = await stage(join(root, 'merge'), 1_000)
  const { edge, id, base } = at
  const plain: Delta[] = []
  const content: Delta[] = []
  for (let n = 0; n < 50; n += 1) {
    plain.push(
      await collect(at, n, (dir) => {
        writeFileSync(join(dir, `pkg${n % 20}`, `mod${n}`, `new${n}.ts`), `new ${n}\n`)
        writeFileSync(join(dir, `pkg${n % 20}`, `mod${n}`, `file${n}.ts`), `changed ${n}\n`)
      }),
    )
    content.push(
      await collect(at, 100 + n, (dir) => {
        const lines = 'export const value0 = 0\n'.repeat(40).split('\n')
        writeFileSync(join(dir, 'shared.ts'), `${lines.join('\n')}\n`)
        const list = Array.from({ length: 120 }, (_, line) => `line ${line}`)
        list[n * 2] = `changed by ${n}`
        writeFileSync(join(dir, 'list.txt'), list.join('\n'))
      }),
    )
  }
  const shared = await collect(at, 900, (dir) => {
    writeFileSync(join(dir, 'list.txt'), Array.from({ length: 120 }, (_, line) => `line ${line}`).join('\n'))
    writeFileSync(
      join(dir, 'shared.ts'),
      `${'export const value0 = 0\n'.repeat(40).split('\n').join('\n')}\n`,
    )
  })
  const edits = content.map((delta) => ({ ...delta, base: shared.head }))
  let date = 0
  const nextDate = (): number => {
    date += 1_000
    return date
  }
  // Another date each time: other commits, so that nothing is found ready.
  const request = (tip: string, deltas: readonly Delta[]): MergeRequest => ({
    run: 'bench-0000',
    tip,
    deltas,
    term: 1,
    date: nextDate(),
  })
  const rows: Sample[] = []
  const fold = async (tip: string, deltas: readonly Delta[]): Promise<number> => {
    const start = performance.now()
    const out = await edge.fold(id, request(tip, deltas))
    if (out.conflict) throw new Error(`unexpected conflict: ${out.conflict.output}`)
    return performance.now() - start
  }
  rows.push(await measure('fold 50 deltas, disjoint files', runs, () => fold(base, plain)))
  rows.push(await measure('fold 50 deltas, all edit one file', runs, () => fold(shared.head, edits)))
  rows.push(
    await measure(
      'try one merge, disjoint',
      20,
      async (run) => void (await edge.tryMerge(id, request(plain[0]!.head, []), plain[run + 1]!)),
    ),
  )
  rows.push(
    await measure(
      'try one merge, same file',
      20,
      async (run) => void (await edge.tryMerge(id, request(edits[0]!.head, []), edits[run + 1]!)),
    ),
  )
  const clash = { ...plain[1]!, base: edits[0]!.head, head: edits[1]!.head, task: 'clash' }
  rows.push(
    await measure(
      'try one merge, conflict',
      20,
      async () => void (await edge.tryMerge(id, request(base, []), clash)),
    ),
  )
  const outcome = await edge.fold(id, request(base, plain))
  let held: string | undefined
  rows.push(
    await measure('advance the run by one commit', 20, async (run) => {
      const to = outcome.chain[run]!.commit
      if (!(await edge.advance(id, 'refs/orch/heads/bench-0000', to, held))) throw new Error('stale')
      held = to
      return undefined
    }),
  )
  git(at.user, 'checkout', '-q', '--detach')
  rows.push(
    await measure('land on a branch that is not checked out', 10, async (run) => {
      git(at.user, 'branch', '-f', 'target', base)
      const start = performance.now()
      await edge.land(id, at.user, { branch: 'target', base, tip: outcome.chain[run + 20]!.commit })
      return performance.now() - start
    }),
  )
  git(at.user, 'checkout', '-q', 'main')
  let from = base
  rows.push(
    await measure('land on the checked-out branch', 10, async (run) => {
      const tip = outcome.chain[run + 30]!.commit
      await edge.land(id, at.user, { branch: 'main', base: from, tip })
      from = tip
      return undefined
    }),
  )
  await edge.close()
  return rows
}

/** Workspaces of repositories with 1,000 and 20,000 files. */
export function benchWorkspace(runs: number): Promise<Sample[]> {
  return withDirectory(async (dir) => {
    const root = realpathSync(dir)
    return [...(await workspaceRows(root, 1_000, runs)), ...(await workspaceRows(root, 20_000, runs))]
  })
}

export function benchIntegrate(runs: number): Promise<Sample[]> {
  return withDirectory((dir) => mergeRows(realpathSync(dir), runs))
}
