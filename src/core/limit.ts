/**
 * Every bound of the system, in one place: sizes in bytes, spans in milliseconds, counts. Raising one costs what its comment
 * says; nothing else in the code holds a limit of its own.
 */

/** A plan file as text. 16 MiB is about 100,000 small tasks. */
export const PLAN_BYTES_MAX = 16 * 1024 * 1024
/** Tasks of one run; planning is linear, 1 M takes 2-3 s and 1 GB. */
export const RUN_TASKS_MAX = 1_000_000
/** One title, for lists and commit subjects. */
export const TITLE_CHARS_MAX = 1_000
/** Prompt, command, check, verify: what a process still takes as one argument on Linux (128 KiB less the environment). */
export const COMMAND_BYTES_MAX = 100 * 1024
/** Needs of one task. More is a missing barrier: use a group. */
export const NEEDS_MAX = 5_000
/** Globs in one scope list. */
export const SCOPE_GLOBS_MAX = 1_000
/** Combinations a `matrix` may unfold to. */
export const MATRIX_MAX = 10_000
/** Nesting of a plan file; ours needs 6. */
export const PLAN_DEPTH_MAX = 64
/** Values that aliases (`*name`) of a plan file may unfold to: an alias bomb stops here. */
export const PLAN_ALIAS_VALUES_MAX = 100_000
/** Values of one `{a,b}` product in a glob. */
export const GLOB_ALTERNATIVES_MAX = 256
/** One `if:` after its matrix names are unfolded, and its nesting. */
export const CONDITION_CHARS_MAX = 100_000
export const CONDITION_DEPTH_MAX = 100
/** Attempts of one round that a plan may ask for (R62). */
export const RETRY_ATTEMPTS_MAX = 100
/** Memory of the reachability index while a plan is checked; more means fewer walks over the graph. */
export const REACH_BYTES_MAX = 64 * 1024 * 1024
/** Comparisons of globs and of tasks while scopes of a plan are checked, about 2 s; what is left over is told in a warning. */
export const SCOPE_COMPARISONS_MAX = 20_000_000
/** Cycles named in one report; mending them shows the rest. */
export const CYCLES_NAMED_MAX = 20
/** Problems printed of one plan; the count of the rest is told. */
export const PROBLEMS_SHOWN_MAX = 200

/** Attempts at once on a node (R27). */
export const SLOTS_DEFAULT = 5
export const SLOTS_MAX = 1_024
/** In-process tasks claimed and started in one commit: what a crash may start twice. */
export const BATCH_STARTS_MAX = 256
/** Agent timeout (R38). */
export const TIMEOUT_MS_DEFAULT = 30 * 60_000
/** TERM to KILL. */
export const TERM_GRACE_MS = 10_000
/** Backoff never waits longer (R62). */
export const BACKOFF_MS_MAX = 5 * 60_000
/** Epochs of one round that may be lost with their node before the task fails. */
export const LOST_MAX = 5
/** Rounds opened by rejections (conflict, gate, scope) before the task fails. */
export const REJECTS_MAX = 3
/** An agent that makes the same call so often in a row (R58), or so many steps without an effect (R57), is told to go another way. */
export const AGENT_LOOP_CALLS = 3
export const AGENT_IDLE_STEPS = 10
/** A waiting task gains one priority level for each such span (R22). */
export const AGING_MS = 10 * 60_000
/** Delta between the ranks of bidders, and the settle window, until delays are measured. */
export const STAGGER_MS_DEFAULT = 200
export const SETTLE_MS_DEFAULT = 500

/** Back-pressure (R24): unfinished tasks on one node before `submit` is refused. */
export const PENDING_TASKS_MAX = 2_000_000

/** Output of one attempt kept on disk: the head and the tail, the middle is counted and dropped. */
export const OUTPUT_HEAD_BYTES = 8 * 1024 * 1024
export const OUTPUT_TAIL_BYTES = 8 * 1024 * 1024
/** Part of the output that goes into a fact: reason of a failure, hint of the next attempt. */
export const OUTPUT_EXCERPT_BYTES = 4 * 1024
/** One line of a worker's event stream; a longer one is cut and counted. */
export const LINE_BYTES_MAX = 1024 * 1024
/** `step`, `status`, `handoff.json`, `summary.md` of `$ORCH_DIR`. */
export const HANDOFF_BYTES_MAX = 64 * 1024
/** Spawn of a shim to its record on disk; a Node start takes 0.05-0.3 s, more on a loaded machine. */
export const SHIM_START_MS_MAX = 30_000
/** Processes that outlive the command of an attempt: TERM to KILL, and how long a held pipe delays the end. */
export const LEFTOVER_GRACE_MS = 1_000
/** After KILL: how long until a process that is still there (uninterruptible) is reported and left. */
export const KILL_MS_MAX = 5_000
/** The shim ends an attempt by itself so long after its timeout, should the node be gone. */
export const BACKSTOP_MS = 60_000
/** Memory of an attempt is sampled so often. */
export const MEMORY_SAMPLE_MS = 2_000
/** Output of a plain command becomes at most one event per span, of at most so many bytes: the latest; the rest is only counted. */
export const OUTPUT_EVENT_MS = 50
export const OUTPUT_EVENT_BYTES = 64 * 1024
/** Unsent output of one reader of a shim before it is read from disk instead. */
export const SHIM_READER_BYTES_MAX = 1024 * 1024
/** A worker's declared wait or rate limit suspends supervision no longer than this. */
export const WAIT_MS_MAX = 6 * 60 * 60_000
/** Value returned by an in-process worker, as JSON. */
export const RESULT_BYTES_MAX = 64 * 1024

/** One request over the local endpoint. */
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024
/** A call to a node that does not answer. Long reads (follow) have none. */
export const CALL_MS_DEFAULT = 30_000
/** Unsent bytes of one follower before it is dropped with an error that says so. */
export const FOLLOWER_BYTES_MAX = 8 * 1024 * 1024
/** One answer over the local endpoint, as its client takes it; V8 holds no longer text. A list of 1 M tasks is about 300 MB. */
export const ANSWER_BYTES_MAX = 480 * 1024 * 1024
/** Items of a stream on their way, not yet consumed by its reader, before the node waits: back-pressure. */
export const STREAM_WINDOW_BYTES = 1024 * 1024
/** Items of a stream gathered into one message. */
export const STREAM_BATCH_BYTES = 64 * 1024
/** Requests open at once on one connection; further ones are refused with ORCH_BACKPRESSURE. */
export const CONNECTION_REQUESTS_MAX = 1_024
/** Connections to the local endpoint. */
export const CONNECTIONS_MAX = 1_024
/** One request made with the token of an attempt: a handoff and a value, with room. */
export const ATTEMPT_REQUEST_BYTES_MAX = 256 * 1024
/** A silent HTTP stream says so this often, so that both ends and all between see that it lives. */
export const STREAM_HEARTBEAT_MS = 15_000
/** A new connection must say who it is. */
export const HELLO_MS_MAX = 10_000
/** Ports tried from the usual one on, when none is asked for. */
export const PORTS_TRIED_MAX = 20
/** A command meets a data directory in use by a process that does not listen (yet): it looks again so long, this often. */
export const LOCKED_WAIT_MS_MAX = 10_000
export const LOCKED_LOOK_MS = 50
/** Start of a node in the background, until it answers; a million tasks are replayed in a few seconds. */
export const NODE_START_MS_MAX = 120_000
/** Nodes that one `run` may follow one after the other, when each goes away. */
export const FOLLOW_TRIES_MAX = 10
/** `run --wait` asks again so often while too much work is pending. */
export const BACKPRESSURE_LOOK_MS = 1_000
/** A run that cannot go on by itself is believed to be stuck after this long. */
export const STUCK_SETTLE_MS = 500
/** Live view: at most ten frames a second. */
export const FRAME_MS = 100
/** Rows of a report about one run; what is over is counted. */
export const REPORT_ROWS_MAX = 500
/** Failures of a run told with their last output. */
export const REPORT_FAILURES_MAX = 20
/** What is still under way when the endpoint closes. */
export const ENDPOINT_CLOSE_MS_MAX = 5_000

/** One line of the journal: facts of one commit. */
export const JOURNAL_LINE_BYTES_MAX = 64 * 1024 * 1024
/** Facts written by one fsync at most. */
export const COMMIT_FACTS_MAX = 50_000
/** Bytes of commits that wait for the disk before `put` is refused: seconds of full speed on a disk that hangs. */
export const JOURNAL_QUEUE_BYTES_MAX = 256 * 1024 * 1024
/** A group of commits takes no more in once it has so many bytes; each group is one write and one sync. */
export const JOURNAL_GROUP_BYTES = 16 * 1024 * 1024
/** A group up to this size is written on the event loop (2 us); a larger one goes through the thread pool, 1 MiB would stall for 3 ms. */
export const JOURNAL_SYNC_WRITE_BYTES_MAX = 128 * 1024
/** The journal is read in pieces of this size. */
export const JOURNAL_READ_BYTES = 1024 * 1024
/** Contenders that may come and go while one process takes a stale lock over. */
export const LOCK_TRIES_MAX = 1_000
/** Agents shown in the mirror directory, twice SLOTS_MAX; later ones are left out of it. */
export const MIRROR_AGENTS_MAX = 2_048
/** One file of the mirror. */
export const MIRROR_VALUE_BYTES_MAX = 4 * 1024
/** Changes of the mirror are gathered so long. */
export const MIRROR_DELAY_MS = 20
/** Events kept of one attempt; what follows is counted and dropped (R79). */
export const ATTEMPT_EVENTS_MAX = 100_000
/** Events wait at most so long, and so many bytes of one attempt, before they are written. */
export const ATTEMPT_LOG_DELAY_MS = 50
export const ATTEMPT_LOG_FLUSH_BYTES = 64 * 1024
/** Unwritten events of all attempts on a disk that hangs; what follows is counted and dropped. */
export const ATTEMPT_LOG_QUEUE_BYTES_MAX = 64 * 1024 * 1024
/** A running git command of ours, unless it is said otherwise. */
export const GIT_MS_MAX = 120_000
/** First import of a repository, and landing: moves as much history as there is. */
export const GIT_IMPORT_MS_MAX = 30 * 60_000
/** Output of one git command that we hold in memory. A list of 1 M paths of 60 bytes fits. */
export const GIT_OUTPUT_BYTES_MAX = 256 * 1024 * 1024
/** Directory entries kept parsed in memory for one repository, about 150 bytes each. */
export const TREE_ENTRIES_CACHED_MAX = 400_000
/** Paths told in a result, a conflict or an error; the count of all is told apart. */
export const PATHS_SHOWN_MAX = 100
/** Gates: `check` and `verify`. */
export const GATE_MS_MAX = 30 * 60_000
/** Results tried as one integration candidate. Bisection costs log2 of it in gate runs. */
export const MERGE_BATCH_MAX = 32
/** Objects that one attempt may bring in. */
export const PACK_BYTES_MAX = 512 * 1024 * 1024
export const PACK_OBJECTS_MAX = 200_000
export const TREE_DEPTH_MAX = 64
export const PATH_BYTES_MAX = 1_024
/** The target branch moved: tried again so often before exit 9. */
export const LAND_TRIES_MAX = 3
/** Free disk below which nothing new is started. */
export const DISK_FREE_BYTES_MIN = 512 * 1024 * 1024
