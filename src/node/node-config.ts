/** What a node is opened with: by the command line, a program, a test. */
import type { Author, DurationMs } from '../core/id.ts'
import type { Capacity } from '../core/quota.ts'
import type { Executor } from '../executor/executor.ts'
import type { Identity } from '../net/identity.ts'
import type { Address, Net } from '../net/net.ts'
import type { CoordStore } from '../store/store.ts'
import type { JoinUpdate } from './face.ts'
import type { OpenNode } from './open-node.ts'

export interface NetRequest {
  readonly identity: Identity
  readonly listen: readonly Address[]
  /** Absent while the node belongs to none. */
  readonly cluster?: string
  readonly name: string
}

export interface NodeConfig {
  /** Absolute or relative to here; made when it is not there. Memory backend: a temporary one by default. */
  readonly dataDir?: string
  /** Default: `crdt` once the data directory belongs to a cluster, else `file`. `crdt` without a cluster founds one. */
  readonly backend?: 'file' | 'crdt' | 'memory'
  /** Where other members reach this node; `fixed` = these ports or none, else the next free ones. Only of use in a cluster. */
  readonly p2p?: { readonly listen: readonly Address[]; readonly fixed: boolean }
  /** Tokens or addresses of a cluster to join before the node begins. Left alone once it belongs to that cluster. */
  readonly join?: readonly string[]
  readonly onJoin?: (update: JoinUpdate) => void
  /** For people; default the host's name. */
  readonly name?: string
  /** Attempts of process kinds at once, 1..SLOTS_MAX, default 5. */
  readonly slots?: number
  readonly capabilities?: readonly string[]
  /** Default: this machine's cores and memory, no gpu, no quota. */
  readonly capacity?: Partial<Capacity>
  /** Silence after which an agent's attempt counts as stalled; default 60 s. Shell tasks have no such limit unless they say so. */
  readonly stallMs?: DurationMs
  /** In a cluster: from the end of a run to its archive, ms; default ARCHIVE_AFTER_MS_DEFAULT. */
  readonly archiveAfterMs?: DurationMs
  /** R24: unfinished tasks beyond which submissions are refused. */
  readonly pendingTasksMax?: number
  /** Environment names let through to workers, beyond the allow-list. */
  readonly keepEnv?: readonly string[]
  /** Further executors, by their kind. */
  readonly executors?: readonly Executor[]
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void
  /** Makes the node reachable before it starts anything, so that the first attempt already knows the address. */
  readonly listen?: (node: OpenNode) => Promise<void>
  /** Tests: a store of their own instead of the backend's. */
  readonly openStore?: (author: Author) => Promise<CoordStore>
  /** Tests: a network of their own. */
  readonly openNet?: (request: NetRequest) => Promise<Net>
}
