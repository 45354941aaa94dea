/**
 * The closed catalogue of errors. One row = one code: exit code of the command line, HTTP status of the local endpoint, whether
 * trying the same again can help, and what a person should do. Command line, API and docs are printed from these rows.
 */
interface ErrorRow {
  readonly exit: number
  readonly status: number
  readonly retryable: boolean
  readonly hint: string
}

const row = (exit: number, status: number, retryable: boolean, hint: string): ErrorRow => ({
  exit,
  status,
  retryable,
  hint,
})

export const ERRORS = {
  // wrong usage, wrong input
  ORCH_USAGE: row(2, 400, false, 'see `orch-node --help`'),
  ORCH_PLAN_INVALID: row(2, 422, false, 'mend the places named above and run `orch-node validate PLAN`'),
  ORCH_PLAN_UNREADABLE: row(2, 400, false, 'give the path of a plan file (YAML or JSON)'),
  ORCH_NOT_FOUND: row(1, 404, false, 'list what exists with `orch-node runs` and `orch-node tasks`'),
  ORCH_AMBIGUOUS: row(2, 409, false, 'give more characters of the name'),
  // claims
  ORCH_NOTHING_READY: row(3, 409, true, 'see why with `orch-node ready --explain`'),
  ORCH_CLAIM_LOST: row(4, 409, false, 'another worker holds it: claim another task'),
  ORCH_SUPERSEDED: row(4, 409, false, 'this attempt no longer counts: stop, its work is kept under a ref'),
  ORCH_WRONG_STATE: row(1, 409, false, 'see the state with `orch-node task show ID`'),
  ORCH_SCOPE: row(5, 409, false, 'change only files inside `scope.write`, or widen it in the plan'),
  ORCH_EXCLUSIVE: row(
    7,
    409,
    false,
    'the exclusive name is taken or held for the operator: see `orch-node task show ID`',
  ),
  // reachability
  ORCH_NO_NODE: row(6, 503, true, 'start one with `orch-node start`'),
  ORCH_NODE_TIMEOUT: row(6, 504, true, 'the node did not answer in time: see `orch-node status`'),
  ORCH_DENIED: row(6, 403, false, 'the token or the Host/Origin of the request is wrong'),
  ORCH_LOCKED: row(6, 423, true, 'another process uses this data directory: talk to it, or stop it first'),
  ORCH_PORT_TAKEN: row(
    1,
    500,
    false,
    'choose another port with `--http PORT`, or leave the flag away to take the next free one',
  ),
  ORCH_BACKPRESSURE: row(
    7,
    429,
    true,
    'wait for running work to drain (`--wait`), or raise `pendingTasksMax`',
  ),
  // cluster
  ORCH_PEER_UNREACHABLE: row(
    6,
    504,
    true,
    'check the address, that `orch-node start` runs there, and that no firewall is in between',
  ),
  ORCH_PEER_DENIED: row(
    6,
    403,
    false,
    'that node does not let this one in: ask for an invitation there (`orch-node invite`)',
  ),
  ORCH_PEER_GONE: row(6, 503, true, 'the connection broke: the node tries again by itself'),
  ORCH_PROTOCOL: row(6, 502, false, 'the two versions do not understand each other: upgrade the older one'),
  ORCH_INVITE_INVALID: row(
    2,
    400,
    false,
    'copy the whole token again, or ask for a new one with `orch-node invite`',
  ),
  ORCH_INVITE_EXPIRED: row(6, 410, false, 'ask for a new one with `orch-node invite`'),
  ORCH_INVITE_USED: row(6, 410, false, 'ask for a new one with `orch-node invite`'),
  ORCH_NOT_MEMBER: row(
    6,
    403,
    false,
    'this node belongs to no cluster, or not to that one: see `orch-node members`',
  ),
  ORCH_REMOVED: row(6, 403, false, 'this node was removed from the cluster: ask an admin for an invitation'),
  ORCH_OTHER_CLUSTER: row(
    6,
    409,
    false,
    'a node belongs to one cluster: `orch-node leave` first, or use another data directory',
  ),
  ORCH_ROLE: row(6, 403, false, 'the role of this node does not allow it: see `orch-node members`'),
  ORCH_RESOURCE: row(7, 409, false, 'no node has the resources or capabilities that the task asks for'),
  // git
  ORCH_GIT_MISSING: row(1, 500, false, 'install git 2.38 or newer and put it on PATH'),
  ORCH_GIT_OLD: row(1, 500, false, 'install git 2.38 or newer'),
  ORCH_GIT_NOT_REPO: row(2, 400, false, 'run inside a git repository, or name one with `--repo DIR`'),
  ORCH_GIT_EMPTY: row(2, 400, false, 'make a first commit'),
  ORCH_GIT_DETACHED: row(2, 400, false, 'check out a branch, or name the base with `base:` in the plan'),
  ORCH_GIT_SHALLOW: row(2, 400, false, 'fetch the whole history with `git fetch --unshallow`'),
  ORCH_GIT_SUBMODULES: row(
    2,
    400,
    false,
    "submodules are not supported: work in the submodule's own repository",
  ),
  ORCH_GIT_LFS: row(2, 400, false, 'LFS pointers are not supported: agents would see pointer files'),
  ORCH_GIT_BASE: row(2, 400, false, 'name a commit, branch or tag that exists with `base:`'),
  ORCH_GIT_HOSTILE: row(
    1,
    422,
    false,
    'the result was refused; its objects stay in the quarantine of the attempt',
  ),
  ORCH_GIT_FAILED: row(1, 500, true, 'see the output of git above; `orch-node doctor` checks the repository'),
  ORCH_GATE: row(8, 409, false, 'see the output of the gate above; mend and `orch-node task retry ID`'),
  ORCH_CONFLICT: row(
    9,
    409,
    false,
    'see `orch-node conflicts RUN`; retry one side with `orch-node task retry ID`',
  ),
  ORCH_TARGET_MOVED: row(9, 409, true, 'the branch moved while landing: run `orch-node land RUN` again'),
  ORCH_TARGET_DIRTY: row(
    9,
    409,
    true,
    'commit or stash the changes of the checked-out branch, then land again',
  ),
  ORCH_NOT_INTEGRATED: row(1, 409, false, 'nothing is integrated yet: see `orch-node runs`'),
  ORCH_PARTIAL: row(10, 409, false, 'some tasks did not make it: see the list above'),
  // attempts
  ORCH_COMMAND_MISSING: row(
    1,
    500,
    false,
    'the command does not exist on this node: install it or mend PATH',
  ),
  ORCH_SHIM: row(
    1,
    500,
    true,
    'the process that watches an attempt did not start: see `shim.log` in the directory of the attempt',
  ),
  ORCH_TIMEOUT: row(124, 408, false, 'raise `timeout`, or split the task'),
  ORCH_CANCELLED: row(130, 409, false, 'cancelled by a person'),
  ORCH_FAILED: row(1, 500, false, 'see `orch-node task show ID` and `orch-node task logs ID`'),
  // disk
  ORCH_DISK_FULL: row(1, 507, true, 'free some space: nothing was lost, the node goes on by itself'),
  ORCH_DISK_FAILED: row(1, 500, true, 'check the disk and `orch-node doctor`'),
  ORCH_DATA_DIR: row(
    1,
    500,
    false,
    'make the data directory writable by you, or choose another with `--data-dir`',
  ),
  ORCH_JOURNAL_CORRUPT: row(
    1,
    500,
    false,
    'run `orch-node doctor --fix`: it keeps a full copy, and of the journal every line that is whole',
  ),
  ORCH_JOURNAL_NEWER: row(
    1,
    500,
    false,
    'the data directory was written by a newer version: upgrade orch-node',
  ),
  ORCH_STORE_CORRUPT: row(
    1,
    500,
    false,
    'run `orch-node doctor --fix`: what is whole is kept, the rest comes back from the other members',
  ),
  ORCH_IDENTITY: row(
    1,
    500,
    false,
    'the key file must be readable by you only (mode 0600) and hold an Ed25519 key',
  ),
  // the rest
  ORCH_UNSUPPORTED: row(2, 501, false, 'this needs a part that this version does not have'),
  ORCH_BUG: row(1, 500, false, 'this is a bug of orch-node: please report it with the lines above'),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

export interface OrchErrorOptions {
  /** Plain data for machines: ids, paths, counts. Never secrets. */
  readonly context?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
  /** Replaces the catalogue's hint where the place knows better. */
  readonly hint?: string
}

/** A fault: the world or the input failed. Compare `code`, never class or text. */
export class OrchError extends Error {
  override readonly name = 'OrchError'
  readonly code: ErrorCode
  readonly context: Readonly<Record<string, unknown>>
  readonly hint: string
  constructor(code: ErrorCode, message: string, options: OrchErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.context = options.context ?? {}
    this.hint = options.hint ?? ERRORS[code].hint
  }
}

export function isOrchError(error: unknown): error is OrchError {
  return error instanceof OrchError
}

/** A broken invariant: a bug of ours. Stops the node; state is never repaired by guessing. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new OrchError('ORCH_BUG', `invariant broken: ${invariant}`)
}

/** Makes a forgotten case of a union a compile error. */
export function unreachable(value: never): never {
  throw new OrchError('ORCH_BUG', `unreachable: ${JSON.stringify(value)}`)
}
