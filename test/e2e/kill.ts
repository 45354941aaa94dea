/**
 * Kills nodes and agents at random instants, again and again, until the run is done all the same, then audits what is left.
 *
 *     npx tsx test/e2e/kill.ts --times 50 [--seed N] [--nodes-only | --all]
 *
 * A run that fails keeps its directory and prints the seed that makes the same plan and the same kills (not the same machine).
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createPrng, type Prng } from '../../src/core/prng.ts'
import type { TaskSpec } from '../../src/core/task.ts'
import { everythingOf, git } from '../node/machine.ts'
import { audit } from './audit.ts'
import { agentsOf, type ChildNode, killAll, shimsOf, startChild } from './child.ts'

const LEVELS = 5
const WIDTH = 8
const KILLS_MAX = 5
const DEADLINE_MS = 90_000

export interface KillReport {
  readonly seed: number
  readonly dir: string
  readonly kills: readonly string[]
  readonly ms: number
  readonly wrong: readonly string[]
}

export async function killRun(seed: number, all: boolean): Promise<KillReport> {
  const startedAt = performance.now()
  const prng = createPrng(seed)
  const dir = mkdtempSync(join(tmpdir(), 'orch-kill-'))
  const dataDir = join(dir, 'data')
  const repo = join(dir, 'repo')
  const submission = join(dir, 'submission.json')
  mkdirSync(repo)
  git(repo, 'init', '-q', '-b', 'main')
  writeFileSync(join(repo, 'README'), 'base\n')
  git(repo, 'add', '-A')
  git(repo, 'commit', '-qm', 'base')
  const before = everythingOf(repo)
  const { tasks, files } = plan(prng)
  const merge = {
    mode: 'combined',
    verify: 'test ! -e broken && sleep 0.1',
    onConflict: 'retry',
    onPartial: 'hold',
  }
  writeFileSync(submission, JSON.stringify({ name: 'kill', tasks, repository: repo, merge }))

  const kills: string[] = []
  const wrong: string[] = []
  const heard: string[] = []
  const killsMax = 2 + Math.floor(prng.next() * (KILLS_MAX - 1))
  let run: string | undefined
  for (;;) {
    const child = startChild(dataDir, submission)
    const done = child
      .heard((word) => word.closed === true)
      .then(
        () => true,
        () => false,
      )
    let isGone = false
    while (kills.length < killsMax && !isGone) {
      const what = all ? (['node', 'node', 'agents', 'both'] as const)[Math.floor(prng.next() * 4)]! : 'node'
      // Now and then it is not even up.
      if (prng.next() > 0.15) await child.heard((word) => word.up !== undefined).catch(() => undefined)
      const afterMs = Math.round(20 + prng.next() ** 2 * 1_500)
      if ((await within(done, afterMs)) !== undefined) break
      await strike(what, child, dataDir)
      kills.push(`${what}+${afterMs}`)
      isGone = what !== 'agents'
    }
    if (isGone) {
      hear(child, heard)
      continue
    }
    const isDone = await within(done, DEADLINE_MS)
    if (isDone === undefined) {
      wrong.push(`not done within ${DEADLINE_MS} ms`)
      await child.kill()
      hear(child, heard)
      break
    }
    await child.exited
    hear(child, heard)
    run = child.words.find((word) => word.run)?.run
    if (!isDone) wrong.push('the node ended by itself')
    break
  }
  if (run !== undefined && wrong.length === 0) {
    wrong.push(...(await audit({ dataDir, repo, before, run, files })))
  }
  if (wrong.length === 0) rmSync(dir, { recursive: true, force: true })
  else {
    killAll([...agentsOf(dataDir), ...shimsOf(dataDir)])
    writeFileSync(join(dir, 'heard.txt'), heard.join('\n'))
  }
  return { seed, dir, kills, ms: Math.round(performance.now() - startedAt), wrong }
}

function hear(child: ChildNode, heard: string[]): void {
  for (const word of child.words) heard.push(JSON.stringify(word))
  heard.push('---')
}

async function strike(what: 'node' | 'agents' | 'both', child: ChildNode, dataDir: string): Promise<void> {
  if (what === 'agents') return killAll(agentsOf(dataDir))
  if (what === 'both') {
    const pids = [...shimsOf(dataDir), ...agentsOf(dataDir)]
    child.process.kill('SIGKILL')
    killAll(pids)
  }
  await child.kill()
}

/** `undefined` when it takes longer. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Levels of tasks, each on two of the level before; small random sleeps; some fail at first; one level is a group. */
function plan(prng: Prng): { tasks: [string, TaskSpec][]; files: Record<string, string> } {
  const tasks: [string, TaskSpec][] = []
  const files: Record<string, string> = {}
  for (let level = 0; level < LEVELS; level++) {
    for (let i = 0; i < WIDTH; i++) {
      const id = `t${level}${i}`
      const file = `${id}.txt`
      const needs = level === 0 ? [] : [`t${level - 1}${i}`, `t${level - 1}${(i + 3) % WIDTH}`]
      const fails = prng.next() < 0.15 ? '[ "$ORCH_EPOCH" -gt 1 ] || exit 1; ' : ''
      const sleep = (prng.next() * 0.25).toFixed(2)
      const reads = needs.map((need) => `grep -q ${need} ${need}.txt && `).join('')
      tasks.push([
        id,
        {
          kind: 'shell',
          run: `${fails}echo begin; sleep ${sleep}; ${reads}echo ${id} > ${file} && echo end`,
          scope: { write: [file], read: [] },
          retry: { strategy: 'fixed', attempts: 10, delayMs: 20 },
          ...(needs.length > 0 ? { needs } : {}),
          ...(level === 2 ? { group: { name: 'narrow', concurrency: 3 } } : {}),
          order: tasks.length,
        },
      ])
      files[id] = file
    }
  }
  return { tasks, files }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      times: { type: 'string', default: '10' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      'nodes-only': { type: 'boolean', default: false },
      all: { type: 'boolean', default: false },
    },
  })
  let failed = 0
  const times = Number(values.times)
  for (let i = 0; i < times; i++) {
    const report = await killRun(Number(values.seed) + i, values.all || !values['nodes-only'])
    const verdict =
      report.wrong.length === 0 ? 'ok' : `FAILED ${report.wrong.join('; ')} · kept ${report.dir}`
    console.log(
      `seed ${report.seed} · ${report.ms} ms · kills ${report.kills.join(' ') || 'none'} · ${verdict}`,
    )
    if (report.wrong.length > 0) failed++
  }
  console.log(`${times - failed} passed, ${failed} failed`)
  process.exitCode = failed > 0 ? 1 : 0
}

if (
  process.argv[1] &&
  readFileSync(process.argv[1], 'utf8') === readFileSync(fileURLToPath(import.meta.url), 'utf8')
)
  await main()
