/** Workspaces on disk: which are in use, which are saved under a ref and may go, which hold work that nothing else has. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AttemptId } from '../core/id.ts'
import { workRef } from '../git/ref.ts'
import { readRecord } from './attempt-record.ts'
import type { Engine } from './engine.ts'
import type { WorkspaceItem } from './face.ts'

export async function listWorkspaces(engine: Engine): Promise<WorkspaceItem[]> {
  const { dataDir, git } = engine.options
  const root = join(dataDir, 'attempts')
  const found: WorkspaceItem[] = []
  for (const run of await names(root)) {
    for (const task of await names(join(root, run))) {
      for (const attempt of await names(join(root, run, task))) {
        const record = await readRecord(join(root, run, task, attempt))
        if (!record || !(await exists(record.workspace))) continue
        const id: AttemptId = record.attempt
        const ref = workRef(id)
        const isLive = engine.runner.live.has(id)
        const isSaved =
          record.repository === undefined || (await git.readRef(record.repository, ref)) !== undefined
        found.push({
          path: record.workspace,
          attempt: id,
          state: isLive ? 'running' : isSaved ? 'saved' : 'unsaved',
          ...(isSaved && record.repository ? { ref } : {}),
          bytes: await bytesOf(record.workspace),
        })
      }
    }
  }
  return found
}

/** Removes what is proven to be saved; the git edge checks the proof again against the files. Unsaved work is saved first. */
export async function cleanWorkspaces(
  engine: Engine,
  dryRun: boolean,
): Promise<{ removed: WorkspaceItem[]; kept: WorkspaceItem[] }> {
  const removed: WorkspaceItem[] = []
  const kept: WorkspaceItem[] = []
  for (const item of await listWorkspaces(engine)) {
    if (item.state === 'running') {
      kept.push(item)
      continue
    }
    if (!dryRun) {
      try {
        await engine.work.clean(item.attempt)
      } catch (error) {
        engine.options.say(
          'warn',
          `${item.path} stays: ${error instanceof Error ? error.message : String(error)}`,
        )
        kept.push(item)
        continue
      }
    }
    removed.push(item)
  }
  return { removed, kept }
}

async function names(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  return entries.filter((e) => e.isDirectory()).map((e) => e.name)
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  )
}

async function bytesOf(dir: string): Promise<number> {
  let sum = 0
  const stack = [dir]
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    for (const entry of await readdir(next, { withFileTypes: true }).catch(() => [])) {
      const path = join(next, entry.name)
      if (entry.isDirectory()) stack.push(path)
      else sum += (await lstat(path).catch(() => undefined))?.size ?? 0
    }
  }
  return sum
}
