/** What a node says of itself. */
import type { WallMs } from '../core/id.ts'
import { unfinished } from '../core/step.ts'
import { VERSION } from '../version.ts'
import type { Cluster } from './cluster.ts'
import type { Engine } from './engine.ts'
import type { NodeStatus } from './face.ts'

/** What outlives the engine. */
interface Lasting {
  readonly startedAt: WallMs
  readonly backend: NodeStatus['backend']
  readonly url: string | undefined
  /** What opening the store had to say. */
  readonly reports: readonly string[]
  readonly gitVersion: string | undefined
  readonly cluster: Cluster | undefined
}

export function nodeStatus(engine: Engine, lasting: Lasting): NodeStatus {
  const { state, recovery, options } = engine
  let ready = 0
  let open = 0
  let finished = 0
  for (const run of state.board.runs.values()) {
    if (!run.header) continue
    if (run.finished) finished++
    else open++
    if (unfinished(run) > 0) ready += run.count('ready')
  }
  return {
    node: state.me,
    name: options.record().name,
    incarnation: options.author.incarnation,
    version: VERSION,
    pid: process.pid,
    startedAt: lasting.startedAt,
    backend: lasting.backend,
    dataDir: options.dataDir,
    ...(lasting.url ? { url: lasting.url } : {}),
    slots: options.core.slots,
    running: state.attempts.size,
    ready,
    draining: state.draining,
    kinds: [...options.executors.keys()],
    capabilities: options.core.capabilities,
    runs: { open, finished },
    recovery: [...lasting.reports, ...recovery],
    ...(lasting.gitVersion ? { git: lasting.gitVersion } : {}),
    ...(lasting.cluster ? { cluster: lasting.cluster.status(engine) } : {}),
  }
}
