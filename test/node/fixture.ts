/** A node on a real repository in a temporary folder: what the sequences of this folder are played on. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach } from 'vitest'
import type { MergePolicy } from '../../src/core/task.ts'
import type { TaskInput } from '../../src/index.ts'
import type { RunSummary, RunUpdate, TaskSummary } from '../../src/node/face.ts'
import { openNode } from '../../src/node/node.ts'
import type { NodeConfig } from '../../src/node/node-config.ts'
import type { OpenNode } from '../../src/node/open-node.ts'
import { git } from './machine.ts'

export { git }

const undo: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const release of undo.splice(0).reverse()) await release()
})

export function temporaryDir(prefix = 'orch-test-'): string {
  const dir = mkdtempSync(join(tmpdir(), prefix))
  undo.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** A repository with one commit on `main`. */
export function repository(files: Readonly<Record<string, string>>): string {
  const dir = temporaryDir('orch-repo-')
  git(dir, 'init', '-q', '-b', 'main')
  writeFiles(dir, files)
  git(dir, 'add', '-A')
  git(dir, 'commit', '-qm', 'base')
  return dir
}

function writeFiles(dir: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
}

export interface TestNode extends OpenNode {
  /** What it said, level and text. */
  readonly said: string[]
}

export async function startNode(config: NodeConfig): Promise<TestNode> {
  const said: string[] = []
  const node = await openNode({ ...config, log: (level, message) => void said.push(`${level}: ${message}`) })
  undo.push(() => node.close({ now: true }))
  return Object.assign(node, { said })
}

export interface Plan {
  readonly repository?: string
  readonly merge?: Partial<MergePolicy>
  readonly base?: string
  readonly tasks: readonly TaskInput[]
}

/** Shell task that may write the given globs. */
export function shell(
  id: string,
  run: string,
  more: Partial<TaskInput> & { readonly write?: readonly string[] } = {},
): TaskInput {
  const { write, ...rest } = more
  return { id, kind: 'shell', run, ...(write ? { scope: { write, read: [] } } : {}), ...rest }
}

export async function submit(node: OpenNode, plan: Plan): Promise<string> {
  const { run } = await node.face.submit({
    name: 'test',
    tasks: plan.tasks.map(({ id, ...spec }, order) => [id, { order, ...spec }] as const),
    merge: { mode: 'combined', onConflict: 'retry', onPartial: 'hold', ...plan.merge },
    ...(plan.repository ? { repository: plan.repository } : {}),
    ...(plan.base ? { base: plan.base } : {}),
  })
  return run
}

/** Follows a run until `until` is true of an update, or it ends; fails after the deadline. */
export async function follow(
  node: OpenNode,
  run: string,
  until: (update: RunUpdate) => boolean = () => false,
  deadlineMs = 40_000,
): Promise<RunSummary> {
  const signal = AbortSignal.timeout(deadlineMs)
  for await (const update of node.face.followRun({ run }, signal)) {
    if (update.type === 'end') return update.run
    if (until(update)) return node.face.run({ run })
  }
  const tasks = await node.face.tasks({ run })
  throw new Error(
    `not within ${deadlineMs} ms: ${tasks.map((t) => `${t.id}=${t.status}${t.reason ? ` (${t.reason})` : ''}`).join(', ')}`,
  )
}

export async function play(
  node: OpenNode,
  plan: Plan,
): Promise<{
  readonly run: string
  readonly summary: RunSummary
  readonly tasks: Readonly<Record<string, TaskSummary>>
}> {
  const run = await submit(node, plan)
  const summary = await follow(node, run)
  const tasks = await node.face.tasks({ run })
  return { run, summary, tasks: Object.fromEntries(tasks.map((t) => [t.id, t])) }
}

export function undoLater(release: () => Promise<void> | void): void {
  undo.push(release)
}
