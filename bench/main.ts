/**
 * `npm run bench -- NAME... [--json] [--runs N]`: measures the built product and holds it against the budget of the design. Each bench runs in a process of
 * its own, so that none is warmed up or burdened by the one before.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { GOALS, SETTINGS } from './budget.ts'
import { benchIntegrate, benchWorkspace } from './git.ts'
import { idle } from './idle.ts'
import { idle3 } from './idle3.ts'
import { join } from './join.ts'
import { benchJournal } from './journal.ts'
import { nodes100 } from './nodes100.ts'
import { benchPlan } from './plan.ts'
import { describeMachine, type Report, type Row, rowOf, textOf } from './report.ts'
import { restart, restartCluster } from './restart.ts'
import type { Sample } from './sample.ts'
import { w1 } from './w1.ts'
import { w1Cluster, w4Cluster } from './w1-cluster.ts'
import { w2 } from './w2.ts'
import { w3 } from './w3.ts'
import { w4 } from './w4.ts'
import { w5 } from './w5.ts'
import { w6 } from './w6.ts'

const BENCHES: Readonly<Record<string, (runs: number) => Promise<Sample[]>>> = {
  w1,
  w2,
  w4,
  plan: benchPlan,
  journal: benchJournal,
  workspace: benchWorkspace,
  integrate: benchIntegrate,
  restart,
  idle,
  w3,
  w5,
  w6,
  'w1-cluster': w1Cluster,
  'w4-cluster': w4Cluster,
  join,
  nodes100,
  idle3,
  'restart-cluster': restartCluster,
}
const RUNS_DEFAULT = 5
/** Exit code when some figure misses its `must`. */
const MISSED = 1

function usage(problem: string): never {
  process.stderr.write(
    `${problem}\nusage: npm run bench -- NAME... [--json] [--runs N]\nNAME: ${Object.keys(BENCHES).join(', ')}, all\n`,
  )
  process.exit(2)
}

function given(): { readonly names: readonly string[]; readonly json: boolean; readonly runs: number } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      runs: { type: 'string', default: String(RUNS_DEFAULT) },
    },
  })
  const runs = Number(values.runs)
  if (!Number.isSafeInteger(runs) || runs < 1) usage('--runs is a whole number from 1')
  if (positionals.length === 0) usage('name a bench')
  const unknown = positionals.find((name) => name !== 'all' && !Object.hasOwn(BENCHES, name))
  if (unknown !== undefined) usage(`there is no bench "${unknown}"`)
  return { names: positionals.includes('all') ? Object.keys(BENCHES) : positionals, json: values.json, runs }
}

async function rowsOf(name: string, runs: number): Promise<Row[]> {
  const samples = await BENCHES[name]!(runs)
  return samples.map((sample) => rowOf(name, sample, GOALS[name]?.[sample.name]))
}

function rowsApart(name: string, runs: number): readonly Row[] {
  process.stderr.write(`${name} ...\n`)
  const argv = [...process.execArgv, fileURLToPath(import.meta.url), name, '--json', '--runs', String(runs)]
  const { status, stdout } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0 && status !== MISSED) throw new Error(`the bench ${name} ended with ${status}`)
  return (JSON.parse(stdout) as Report).rows
}

const { names, json, runs } = given()
const machine = await describeMachine()
const rows: Row[] = []
for (const name of names) rows.push(...(names.length > 1 ? rowsApart(name, runs) : await rowsOf(name, runs)))
const report: Report = {
  schemaVersion: 1,
  machine,
  date: new Date().toISOString(),
  command: `npm run bench -- ${process.argv.slice(2).join(' ')}`,
  settings: SETTINGS,
  rows,
}
process.stdout.write(`${json ? JSON.stringify(report, null, 2) : textOf(report)}\n`)
process.exitCode = rows.some((row) => row.verdict === 'missed') ? MISSED : 0
