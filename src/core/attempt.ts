import type { ErrorCode } from './error.ts'
import type { AttemptId, DurationMs, Oid, Slot, WallMs } from './id.ts'
import type { Json, TaskSpec } from './task.ts'

/** How an attempt ended: exactly these six. */
export const OUTCOMES = ['done', 'failed', 'timed-out', 'lost', 'cancelled', 'released'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** R73, the seven fields. Written by the worker to `$ORCH_DIR/handoff.json`, given to the next attempt. */
export interface Handoff {
  readonly current_focus: string
  readonly progress: readonly string[]
  readonly next_steps: readonly string[]
  readonly blockers?: readonly string[]
  readonly open_questions?: readonly string[]
  readonly files_touched?: readonly string[]
  readonly updated_at: string
}

/** Work tokens and money of an attempt; cache reads are apart, they are not work. */
export interface Usage {
  readonly inputTokens?: number
  readonly outputTokens?: number
  readonly cacheReadTokens?: number
  readonly cacheWriteTokens?: number
  readonly usd?: number
  readonly wallMs?: DurationMs
  readonly memoryBytesMax?: number
  /** Time that its workspace took to make. */
  readonly workspaceMs?: DurationMs
}

/** What an attempt leaves on the board. `base`..`head` is its work, both in our own repository. */
export interface Result {
  readonly outcome: Outcome
  /** One line for people: why it is not `done`, or what was done. */
  readonly reason?: string
  readonly error?: ErrorCode
  readonly exit?: number
  readonly signal?: string
  readonly base?: Oid
  readonly head?: Oid
  /** The objects are on the author's disk only: the result counts once another member has acknowledged them (`acks`). */
  readonly unshared?: true
  /** Given back because nobody who has the objects of its base could be reached. */
  readonly noBase?: true
  /** Number of changed files. */
  readonly files?: number
  /** The first of their paths, for lists and conflict reports. */
  readonly paths?: readonly string[]
  readonly handoff?: Handoff
  readonly usage?: Usage
  /** Last output, at most OUTPUT_EXCERPT_BYTES: the hint of the next attempt when this one failed. */
  readonly excerpt?: string
  /** What supervision advises the next attempt. */
  readonly hint?: string
  /** What an in-process or outside worker returned. */
  readonly value?: Json
}

/**
 * The normalised stream of a worker, whatever program it is (AGENT-CLIS 0). Supervision, events and logs see only this.
 */
export type AttemptEvent =
  | { readonly type: 'session'; readonly id: string; readonly model?: string }
  | { readonly type: 'step'; readonly n: number; readonly status?: string }
  | { readonly type: 'text'; readonly role: 'agent' | 'user' | 'output'; readonly text: string }
  | {
      readonly type: 'tool-call'
      readonly id: string
      readonly name: string
      readonly args?: Json
      readonly kind: 'read' | 'write' | 'run' | 'mcp' | 'other'
    }
  | {
      readonly type: 'tool-result'
      readonly id: string
      readonly ok: boolean
      readonly bytes?: number
      readonly summary?: string
    }
  | { readonly type: 'file-changed'; readonly path: string; readonly op: 'add' | 'modify' | 'delete' }
  | { readonly type: 'usage'; readonly usage: Usage }
  | { readonly type: 'rate-limit'; readonly untilMs: DurationMs }
  | { readonly type: 'wait'; readonly forMs: DurationMs; readonly why: string }
  | { readonly type: 'permission'; readonly tool: string; readonly decision: 'allow' | 'deny' }
  | { readonly type: 'progress'; readonly handoff: Handoff }
  | { readonly type: 'output'; readonly bytes: number }
  | { readonly type: 'error'; readonly code: string; readonly message: string; readonly retryable: boolean }
  | { readonly type: 'finished'; readonly ok: boolean; readonly reason?: string }

/** Everything an executor needs to run one attempt; nothing else of the node reaches it. */
export interface AttemptSpec {
  readonly id: AttemptId
  readonly slot: Slot
  readonly task: TaskSpec
  /** Directory of the attempt, made by the node: logs, exit record, `orch/` ($ORCH_DIR). */
  readonly dir: string
  /** Where the worker runs: its own clone, or an empty scratch directory when the run has no repository. */
  readonly workspace: string
  /** The whole environment of the process: allow-list, task's `env`, `ORCH_*`. */
  readonly env: Readonly<Record<string, string>>
  readonly timeoutMs: DurationMs
  /** Shown to the worker on a retry: what went wrong before (R57-R59). */
  readonly hints: readonly string[]
  readonly handoff?: Handoff
}

/** How the process of an attempt ended, as the shim recorded it. */
export interface AttemptEnd {
  /** `null` when a signal ended it, or when it never started. */
  readonly exit: number | null
  readonly signal?: string
  /** Set when it could not be started: command not found, no permission. */
  readonly spawnError?: string
  /** Set when the stream said how it ended (`finished`), or an in-process worker threw. */
  readonly finished?: { readonly ok: boolean; readonly reason?: string }
  /** What we did to it, if we did. */
  readonly stopped?: 'cancelled' | 'timed-out' | 'stalled' | 'memory' | 'shutdown'
  /** The process is gone and left no record of its end (its shim was killed too): the work so far is kept, the attempt is lost. */
  readonly lost?: boolean
  readonly startedAt: WallMs
  readonly endedAt: WallMs
  readonly outputBytes: number
  /** Last output as text, invalid UTF-8 replaced, at most OUTPUT_EXCERPT_BYTES. */
  readonly excerpt: string
  readonly usage?: Usage
  readonly value?: Json
}
