/**
 * Plan files: text → a checked `Plan`, or everything that is wrong with it, with line and column. A wrong part never hides another: what could be
 * read is checked with the rest.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { slug } from '../core/id.ts'
import { PLAN_BYTES_MAX } from '../core/limit.ts'
import { type Capacity, MERGE_DEFAULT } from '../core/plan.ts'
import { type PlanPath, quote } from '../core/plan-refusal.ts'
import type { MergePolicy, Plan } from '../core/task.ts'
import { applyOverrides, type Override } from './plan-override.ts'
import { defaultsSchema, frameSchema, mergeSchema, type PlanDefaults, type PlanMerge } from './plan-schema.ts'
import { readShape, type ShapeReport } from './plan-shape.ts'
import { type PlainValue, type PlanSource, readPlanSource } from './plan-source.ts'
import { readTasks } from './plan-tasks.ts'
import { type Problem, showPath } from './problem.ts'

export { formatProblems, type Problem } from './problem.ts'

export interface PlanOptions {
  /** Shown in messages; gives the plan its name when it has none. */
  readonly fileName?: string
  /** `key.path=value`, applied in order. */
  readonly overrides?: readonly string[]
  /** Agent of tasks with a prompt when neither they nor the file name one. For a flag that wins over the file, override `defaults.agent`. */
  readonly defaultAgent?: string
  /** Kinds of task that can run here; `acp:*` stands for all that begin so. Default `shell`, `scripted`, `outside`. */
  readonly knownKinds?: readonly string[]
  /** What the nodes of the cluster offer. Absent = not checked. */
  readonly capacities?: readonly Capacity[]
}

export interface PlanReading {
  /** Absent when a problem is an error. */
  readonly plan?: Plan
  /** In the order of the file. */
  readonly problems: readonly Problem[]
}

/** Reads at most PLAN_BYTES_MAX. Never rejects: a file that cannot be read is a problem like any other. */
export async function readPlanFile(path: string, options: PlanOptions = {}): Promise<PlanReading> {
  const fileName = options.fileName ?? path
  const refuse = (code: string, message: string, hint?: string): PlanReading => ({
    problems: [
      { severity: 'error', code, message, path: '', line: 1, column: 1, ...(hint !== undefined && { hint }) },
    ],
  })
  try {
    const file = await open(path, 'r')
    try {
      const stat = await file.stat()
      if (stat.isDirectory())
        return refuse('is-directory', 'this is a directory, not a plan file', 'name a file in it')
      // Anything else may never end, or never begin.
      if (!stat.isFile()) return refuse('unreadable', 'this is not an ordinary file')
      const bytes = await readUpTo(file, PLAN_BYTES_MAX + 1)
      if (bytes.length > PLAN_BYTES_MAX)
        return refuse('too-large', `the file has more than ${PLAN_BYTES_MAX} bytes`)
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
      return parsePlan(text, { ...options, fileName })
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR') return refuse('not-found', 'there is no such file')
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return refuse('not-text', 'the file is not UTF-8 text')
    if (code === undefined) throw error
    return refuse('unreadable', `the file cannot be read: ${code}`)
  }
}

/** A file may grow while it is read, and a size of 0 may be a lie. */
async function readUpTo(file: FileHandle, max: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let length = 0; length < max; ) {
    const chunk = Buffer.allocUnsafe(Math.min(max - length, 1024 * 1024))
    const { bytesRead } = await file.read(chunk, 0, chunk.length, length)
    if (bytesRead === 0) break
    chunks.push(chunk.subarray(0, bytesRead))
    length += bytesRead
  }
  return Buffer.concat(chunks)
}

export function parsePlan(text: string, options: PlanOptions = {}): PlanReading {
  if (text.length > PLAN_BYTES_MAX) {
    const message = `the plan has ${text.length} characters; at most ${PLAN_BYTES_MAX} are taken`
    return { problems: [{ severity: 'error', code: 'too-large', message, path: '', line: 1, column: 1 }] }
  }
  const source = readPlanSource(text)
  const problems: Problem[] = [...source.problems]
  if (source.value === undefined) return { problems }
  if (source.value === null || typeof source.value !== 'object' || Array.isArray(source.value)) {
    const message = 'a plan is a mapping with the key "tasks"'
    return {
      problems: [
        ...problems,
        { severity: 'error', code: 'not-a-plan', message, path: '', ...source.placeOf([]) },
      ],
    }
  }
  const root = source.value
  const overrides = applyOverrides(root, options.overrides ?? [])
  problems.push(...overrides.problems)
  const report = createReport(source, overrides.applied, problems)
  const plan = readPlan(root, source, options, report)
  problems.sort(byPlace)
  return problems.some((problem) => problem.severity === 'error') ? { problems } : { plan, problems }
}

export type ProblemReport = (
  severity: Problem['severity'],
  path: PlanPath,
  code: string,
  message: string,
  at?: 'key' | 'value',
  hint?: string,
) => void

function createReport(
  source: PlanSource,
  overrides: readonly Override[],
  problems: Problem[],
): ProblemReport {
  const startsWith = (path: PlanPath, prefix: PlanPath) => prefix.every((part, k) => path[k] === part)
  return (severity, path, code, message, at = 'value', hint) => {
    const origin = overrides.findLast((override) => startsWith(path, override.path))?.origin
    problems.push({
      severity,
      code,
      message,
      path: showPath(path),
      ...source.placeOf(path, at),
      ...(hint !== undefined && { hint }),
      ...(origin !== undefined && { origin }),
    })
  }
}

function byPlace(a: Problem, b: Problem): number {
  if ((a.origin === undefined) !== (b.origin === undefined)) return a.origin === undefined ? -1 : 1
  return a.line - b.line || a.column - b.column
}

function readPlan(
  root: { [key: string]: PlainValue },
  source: PlanSource,
  options: PlanOptions,
  report: ProblemReport,
): Plan {
  const shape: ShapeReport = (path, code, message, at, hint) => report('error', path, code, message, at, hint)
  const frame = readShape(frameSchema, withoutSections(root), [], shape).data
  const defaults: PlanDefaults =
    sectionOf(root, 'defaults', (value) => readShape(defaultsSchema, value, ['defaults'], shape).data) ?? {}
  const merge: PlanMerge =
    sectionOf(root, 'merge', (value) => readShape(mergeSchema, value, ['merge'], shape).data) ?? {}
  const tasks = readTasks(root, source, { ...options, defaults }, report)
  const name = frame?.name ?? nameOf(options.fileName)
  if (slug(name) === '')
    report('error', ['name'], 'bad-value', `the name ${quote(name)} has no letter or digit`)
  if (name.length > 200 || /\p{Cc}/u.test(name))
    report('error', ['name'], 'bad-value', 'the name must be one line of at most 200 characters')
  for (const key of ['repo', 'base'] as const) {
    const value = frame?.[key]
    if (value !== undefined && (value.includes('\0') || (key === 'base' && value.startsWith('-')))) {
      report('error', [key], 'bad-value', `${quote(value)} cannot be used as ${key}`)
    }
  }
  return {
    name,
    tasks,
    merge: readMerge(merge, report),
    ...(frame?.repo !== undefined && { repo: frame.repo }),
    ...(frame?.base !== undefined && { base: frame.base }),
  }
}

/** A wrong key in one section may not cost the others: they are read on their own. */
function withoutSections(root: { [key: string]: PlainValue }): object {
  const { defaults: _defaults, merge: _merge, ...rest } = root
  return rest
}

function sectionOf<T>(
  root: { [key: string]: PlainValue },
  key: string,
  read: (value: PlainValue) => T,
): T | undefined {
  const value = root[key]
  return value === undefined ? undefined : read(value)
}

function nameOf(fileName: string | undefined): string {
  const name = fileName === undefined ? '' : basename(fileName).replace(/\.(ya?ml|json)$/i, '')
  return slug(name) === '' ? 'plan' : name.slice(0, 200)
}

/** What git takes as a branch name, and no option. */
const BRANCH =
  /^(?!-)(?!.*(?:\.\.|@\{|\/\/|\.lock(?:\/|$)|(?:^|\/)\.|\.$|\/$))(?!\/)[^\s~^:?*[\\\p{Cc}]{1,200}$/u

function readMerge(merge: PlanMerge, report: ProblemReport): MergePolicy {
  const { land, verify } = merge
  const lands = land !== undefined && land !== 'none'
  if (lands && !BRANCH.test(land))
    report('error', ['merge', 'land'], 'bad-value', `${quote(land)} cannot be a branch name`)
  return {
    mode: merge.mode ?? MERGE_DEFAULT.mode,
    onConflict: merge.onConflict ?? MERGE_DEFAULT.onConflict,
    onPartial: merge.onPartial ?? MERGE_DEFAULT.onPartial,
    ...(verify !== undefined && { verify }),
    ...(lands && { land }),
  }
}
