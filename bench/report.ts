/** One shape for every report: rows of figures with the budget of DESIGN 12 beside them, and the machine they are of. */
import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { rawSyncs, withDirectory } from './disk.ts'
import { median, quantile, type Sample } from './sample.ts'

export interface Row {
  readonly bench: string
  readonly name: string
  readonly unit: string
  readonly runs: number
  readonly median: number
  readonly min: number
  readonly max: number
  readonly must?: number
  readonly aim?: number
  /** What the median reaches; `none` where nothing was promised. */
  readonly verdict: 'aim' | 'must' | 'missed' | 'none'
}

export interface Goal {
  readonly must?: number
  readonly aim?: number
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly os: string
  readonly node: string
  readonly git: string
  /** Append of 240 bytes + fdatasync in the temporary directory, in this session. */
  readonly fsyncMs: { readonly p50: number; readonly p99: number }
}

export interface Report {
  readonly schemaVersion: 1
  readonly machine: Machine
  readonly date: string
  readonly command: string
  readonly settings: Readonly<Record<string, string | number>>
  readonly rows: readonly Row[]
}

export async function describeMachine(): Promise<Machine> {
  const spans = await withDirectory((dir) => rawSyncs(dir, 2_000))
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()}`,
    node: process.version,
    git: execFileSync('git', ['--version'], { encoding: 'utf8' }).trim(),
    fsyncMs: { p50: round(quantile(spans, 0.5)), p99: round(quantile(spans, 0.99)) },
  }
}

export function rowOf(bench: string, sample: Sample, goal: Goal = {}): Row {
  const { name, unit, values } = sample
  const middle = median(values)
  return {
    bench,
    name,
    unit,
    runs: values.length,
    median: round(middle),
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
    ...goal,
    verdict: judge(middle, unit, goal),
  }
}

/** Rates are better the larger they are, all else the smaller. */
function judge(value: number, unit: string, { must, aim }: Goal): Row['verdict'] {
  if (must === undefined) return 'none'
  const reaches = (goal: number): boolean => (unit.endsWith('/s') ? value >= goal : value <= goal)
  if (!reaches(must)) return 'missed'
  return aim !== undefined && reaches(aim) ? 'aim' : 'must'
}

function round(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(4))
}

const HEADS = ['bench', 'figure', 'unit', 'runs', 'median', 'min', 'max', 'must', 'aim', 'verdict'] as const

export function textOf(report: Report): string {
  const { machine, settings } = report
  const lines = report.rows.map((row) => [
    row.bench,
    row.name,
    row.unit,
    String(row.runs),
    ...[row.median, row.min, row.max, row.must, row.aim].map(shown),
    row.verdict === 'none' ? '' : row.verdict,
  ])
  const widths = HEADS.map((head, i) => Math.max(head.length, ...lines.map((line) => line[i]!.length)))
  const isNumber = (i: number): boolean => i >= 3 && i <= 8
  const print = (line: readonly string[]): string =>
    line
      .map((cell, i) => (isNumber(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os}, Node ${machine.node}, ${machine.git}`,
    `append + fdatasync p50 ${machine.fsyncMs.p50} ms, p99 ${machine.fsyncMs.p99} ms; ${report.date}`,
    Object.entries(settings)
      .map(([name, value]) => `${name}: ${value}`)
      .join('; '),
    '',
    print(HEADS),
    ...lines.map(print),
  ].join('\n')
}

function shown(value: number | undefined): string {
  return value === undefined ? '' : value.toLocaleString('en-US', { maximumFractionDigits: 3 })
}
