/** The only place where implementations are chosen. */
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import type { AttemptSpec } from '../core/attempt.ts'
import type { AttemptId, Author } from '../core/id.ts'
import type { Capacity } from '../core/quota.ts'
import type { Executor } from '../executor/executor.ts'
import { createScriptedExecutor } from '../executor/scripted.ts'
import { createShellExecutor } from '../executor/shell.ts'
import { createGit, type Git } from '../git/git.ts'
import { type AttemptLog, openAttemptLog } from '../log/attempt-log.ts'
import { openFileStore } from '../store/file.ts'
import type { JournalReport } from '../store/journal-repair.ts'
import type { DataDirLock } from '../store/lock.ts'
import { createMemoryHub } from '../store/memory.ts'
import { createMirror, type Mirror } from '../store/mirror.ts'
import type { CoordStore } from '../store/store.ts'

export interface Edges {
  readonly git: Git
  readonly log: AttemptLog
  readonly mirror: Mirror | undefined
  readonly executors: Map<string, Executor>
  readonly markOutput: (id: AttemptId) => Promise<void>
}

export function assembleEdges(
  dataDir: string,
  author: Author,
  backend: 'file' | 'memory',
  onFault: (message: string) => void,
): Edges {
  const log = openAttemptLog({
    dir: join(dataDir, 'events'),
    node: author.node,
    onFault: (fault) => onFault(fault.message),
  })
  const marks = new Map<AttemptId, number>()
  const resumeFrom = (spec: AttemptSpec): number | undefined => marks.get(spec.id)
  const executors = new Map<string, Executor>()
  for (const executor of [createShellExecutor({ resumeFrom }), createScriptedExecutor({ resumeFrom })])
    executors.set(executor.kind, executor)
  return {
    git: createGit({ dataDir }),
    log,
    markOutput: async (id) => {
      for await (const { event } of log.read(id)) if (event.type === 'output') marks.set(id, event.bytes)
    },
    mirror: backend === 'file' ? createMirror(join(dataDir, 'mirror')) : undefined,
    executors,
  }
}

function describeReport(report: JournalReport): string {
  switch (report.kind) {
    case 'torn-tail':
      return `the last write before a crash was not whole: ${report.bytes} bytes after line ${report.line} were cut (nobody had been told of them) and kept in ${report.kept}`
    case 'repaired':
      return `the journal was repaired: ${report.damaged.length} damaged line(s) left out; the journal as it was is kept in ${report.kept}`
  }
}

export interface StoreRequest {
  readonly backend: 'file' | 'memory'
  readonly dataDir: string
  readonly author: Author
  readonly lock: DataDirLock | undefined
  readonly onReport: (message: string) => void
}

export async function assembleStore(request: StoreRequest): Promise<CoordStore> {
  const { backend, dataDir, author, lock } = request
  if (backend === 'memory') return createMemoryHub().open(author)
  return openFileStore({
    dataDir,
    author,
    ...(lock ? { lock } : {}),
    onReport: (report) => request.onReport(describeReport(report)),
  })
}

/** What this machine has, when its configuration does not say. Units of a quota exist only where they are configured. */
export function machineCapacity(): Capacity {
  return { cpu: cpus().length, memoryBytes: totalmem(), gpu: 0, quota: {} }
}
