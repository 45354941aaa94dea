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
/** Delta between the ranks of bidders, and the settle window, until delays are measured; never longer. */
export const STAGGER_MS_DEFAULT = 200
export const SETTLE_MS_DEFAULT = 500
/** Of the settle window: what two busy machines side by side need to hear each other. Four round trips come on top; the stagger is in proportion. */
export const SETTLE_MS_MIN = 100

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
/** Versions of orders, and epochs, may leave so many out: a far-future one must not own a register, or use up all numbers. */
export const VERSION_JUMP_MAX = 1_000
/** Another member fetches what the run's integrator, though it lives, has not acknowledged for so long; one more each time as long again. */
export const FETCH_HELP_MS = 30_000
/** Rest between two tries to fetch the objects of a result, doubled from a second up to this. */
export const FETCH_REST_MS_MAX = 60_000
/** Rest of a task whose base could not be fetched, doubled with each try of any member up to the second, or until a member comes back: else all would try in turn. */
export const BASE_REST_MS = 5_000
export const BASE_REST_MS_MAX = 60_000
/** From the end of a run to its archive, in a cluster. */
export const ARCHIVE_AFTER_MS_DEFAULT = 7 * 24 * 60 * 60_000
/** Of that, at least so long in one life of the integrator: its wall clock may have jumped between two. */
export const ARCHIVE_OWN_MS = 10 * 60_000
/** Free disk below which nothing new is started. */
export const DISK_FREE_BYTES_MIN = 512 * 1024 * 1024

/** Two wire protocols are understood: this one and the one before. */
export const PROTOCOL_MIN = 1
export const PROTOCOL_MAX = 1
/** One frame: facts of one author in one flush. A submission of 100,000 tasks is cut into several. */
export const FRAME_BYTES_MAX = 4 * 1024 * 1024
/** Facts of one frame. */
export const FRAME_FACTS_MAX = 20_000
/** One value of the board, encoded; COMMAND_BYTES_MAX with room for the rest of a spec. */
export const FACT_BYTES_MAX = 1024 * 1024
/** One key of the board with its author. */
export const FACT_KEY_BYTES_MAX = 1_024
/** Nesting of a value of the board. */
export const FACT_DEPTH_MAX = 64
/** A longer frame is announced by gossip and pulled over a stream. */
export const GOSSIP_BYTES_MAX = 64 * 1024
/** Frames of one author that wait for those before them, in number and bytes; more is dropped and pulled again. */
export const PARKED_FRAMES_MAX = 256
export const PARKED_BYTES_MAX = 8 * 1024 * 1024
/** Name of a document of the board, in UTF-8. */
export const DOC_BYTES_MAX = 255
/** Frames of others that wait to be checked; more is refused and pulled again. */
export const INGEST_QUEUE_BYTES_MAX = 64 * 1024 * 1024
/** Chains of one node in one document: its process starts. About 500 bytes each. */
export const CHAINS_MAX = 20_000
/** Proofs of double talk of one author that are told to others; one is enough to know him. */
export const PROOFS_TOLD_MAX = 16
/** Connection to a peer, with its handshakes and hello. */
export const DIAL_MS_MAX = 5_000
/** One answer on a direct stream of the sync, join and call protocols. */
export const PEER_ANSWER_MS_MAX = 10_000
/** One message on those streams; a range of frames is cut into such pieces. */
export const PEER_MESSAGE_BYTES_MAX = 8 * 1024 * 1024
/** Streams of one peer at once, per protocol. */
export const PEER_STREAMS_MAX = 32
/** Anti-entropy with a random peer, jittered. */
export const SYNC_MS = 4_000
/** A node that starts waits so long for a member to bring it up to date, then begins alone. */
export const FIRST_SYNC_MS_MAX = 5_000
/** Members of a cluster. */
export const MEMBERS_MAX = 1_000
/** Between two heartbeats. */
export const BEAT_MS = 1_000
/** Silence after which a member is suspected; void with two suspecters. */
export const SUSPECT_MS = 8_000
/** Silence after which one suspecter is enough. */
export const SUSPECT_ALONE_MS = 24_000
/** A node that restarts has this long to adopt its process attempts before a closed and refused connection counts as its death. */
export const ADOPT_GRACE_MS = 10_000
/** Life of an invitation, unless it is said otherwise, and at most. */
export const INVITE_MS_DEFAULT = 24 * 60 * 60_000
export const INVITE_MS_MAX = 30 * 24 * 60 * 60_000
/** Clocks of two machines may differ by this much before an invitation counts as expired. */
export const CLOCK_TOLERANCE_MS = 10 * 60_000
/** Addresses in an invitation: each makes the token about 12 to 50 characters longer. */
export const INVITE_ADDRESSES_MAX = 6
/** Name of a node or a cluster as others see it. */
export const NAME_CHARS_MAX = 64
/** One message of the join protocol, which strangers may speak. */
export const JOIN_BYTES_MAX = 4 * 1024
/** Streams of joiners at once on one node, those of one joiner (one, and those that it left), and those from one address. */
export const JOIN_STREAMS_MAX = 128
export const JOIN_STREAMS_PEER_MAX = 3
export const JOIN_STREAMS_ADDRESS_MAX = 32
/** Tries to join that came to nothing, of one node or from one address, in a span; further ones are told to wait. */
export const JOIN_TRIES_MAX = 5
export const JOIN_TRIES_MS = 60_000
/** Nodes and addresses whose tries are counted. */
export const JOIN_TRIES_KEPT_MAX = 4_096
/** Requests to join that wait for a person, of all and from one address, and how long each waits. */
export const JOIN_REQUESTS_MAX = 32
export const JOIN_REQUESTS_ADDRESS_MAX = 8
export const JOIN_REQUEST_MS_MAX = 15 * 60_000
/** A waiting joiner hears of the decision at once, or after so long that it must ask again. */
export const JOIN_POLL_MS = 25_000
/** A joiner whose connection broke, or who was told to come again, waits this long at first, and at most. */
export const JOIN_AGAIN_MS_MIN = 500
export const JOIN_AGAIN_MS_MAX = 15_000
/** One beat on the wire. */
export const BEAT_BYTES_MAX = 16 * 1024
/** Silent members named in one beat; who misses more is cut off himself. */
export const BEAT_SUSPECTS_MAX = 256
/** A larger cluster beats slower: so many beats a second of all together. */
export const BEATS_PER_SECOND_MAX = 100
/** Calls of one peer at once, and of all: further ones are refused with ORCH_BACKPRESSURE. Fewer than PEER_STREAMS_MAX, so that the refusal can be said in words. */
export const CALLS_PEER_MAX = 24
export const CALLS_MAX = 256
/** One message of a call between nodes: its parameters, its answer, some items of a stream. Longer answers are streams. */
export const CALL_BYTES_MAX = 4 * 1024 * 1024
/** A node that works on a call says so this often; one that is silent for three times as long is taken to be gone. */
export const CALL_ALIVE_MS = 10_000
/** A caller that takes nothing of its stream for so long is let go. */
export const CALL_STALL_MS_MAX = 10 * 60_000

/** Git objects served at once to one peer, and to all: each costs two processes, and one core while it packs. */
export const GIT_SERVES_PER_PEER_MAX = 4
export const GIT_SERVES_MAX = 16
/** What a peer may say while it asks for objects: names of commits. */
export const GIT_ASK_BYTES_MAX = 1024 * 1024
/** Silence in the middle of a stream of objects. Git says something every five seconds even while it packs. */
export const GIT_SILENCE_MS_MAX = 30_000
/** Results fetched from one peer in one go: 512 MiB over 7 Mbit/s. */
export const GIT_FETCH_MS_MAX = 10 * 60_000
/** History behind a base, fetched from a peer. Linux has 10 M objects in 5 GiB. */
export const HISTORY_BYTES_MAX = 16 * 1024 * 1024 * 1024
export const HISTORY_OBJECTS_MAX = 20_000_000
/** What the new objects of one result may hold once they are unpacked: a small pack can hold much. */
export const UNPACKED_BYTES_MAX = 2 * 1024 * 1024 * 1024
/** Memory of the git that takes a peer's pack in: a delta of some bytes can ask for gigabytes. Looked at every so often, where the system tells. */
export const GIT_RECEIVE_MEMORY_BYTES_MAX = 2 * 1024 * 1024 * 1024
/** The same for a whole history, whose list of objects alone can take a gigabyte. */
export const HISTORY_MEMORY_BYTES_MAX = 8 * 1024 * 1024 * 1024
export const GIT_RECEIVE_LOOK_MS = 100
/** Commits told to a peer as known, so that it sends only what is new. */
export const HAVES_MAX = 512
/** Fetches from peers at once, rounds through all the peers that may have the objects, and the first wait between two rounds (doubled each time). */
export const FETCHES_MAX = 4
export const FETCH_ROUNDS_MAX = 3
export const FETCH_BACKOFF_MS = 500
/** Life of a connection's greeting: both hellos. */
export const HELLO_BYTES_MAX = 4 * 1024
/** Connections of peers that are no members (yet), at once; and how long one may stay without an open stream. */
export const STRANGERS_MAX = 64
export const STRANGER_IDLE_MS_MAX = 30_000
/** Unread bytes of one stream before its reader is paused, and what the multiplexer may still hold then: its largest window, with room. */
export const STREAM_UNREAD_BYTES = 1024 * 1024
export const STREAM_WINDOW_BYTES_MAX = 4 * 1024 * 1024
export const STREAM_BUFFER_BYTES_MAX = 16 * 1024 * 1024
/** A peer that said nothing for so long is pinged; it answers in the second span, or its connection is closed. */
export const PING_MS = 5_000
export const PING_MS_MAX = 9_000
/** And so often in any case: the spans of claims follow the round trip. */
export const ROUND_TRIP_MS = 30_000
/** Unsent gossip of one peer before its connection is closed: it sleeps, and what it missed comes by the sync. */
export const GOSSIP_UNSENT_BYTES_MAX = 32 * 1024 * 1024
/** Messages of gossip are known again for so long. */
export const GOSSIP_SEEN_MS = 60_000
/** Received frames that wait to be checked; further ones are left to the sync. */
export const GOSSIP_QUEUE_BYTES_MAX = 64 * 1024 * 1024
/** What one peer may hand on by gossip: sustained a second, and at once. A run of 100,000 tasks by one author makes about 5,000 frames a second at full speed. */
export const GOSSIP_PEER_MESSAGES = 10_000
export const GOSSIP_PEER_MESSAGES_BURST = 100_000
export const GOSSIP_PEER_BYTES = 64 * 1024 * 1024
export const GOSSIP_PEER_BYTES_BURST = 512 * 1024 * 1024
/** Messages of one peer dropped for being too many, since it last kept to the bounds, before it is refused. */
export const GOSSIP_PEER_DROPPED_MAX = 50_000
/** Faults that only the sender can be blamed for, in the span of a refusal, before it is refused. */
export const PEER_FAULTS_MAX = 20
/** How long a peer that broke the rules is not let in. */
export const PEER_REFUSED_MS = 10 * 60_000
/** Sessions in which this node pulls from others, at once. */
export const PULLS_MAX = 2
/** One piece of frames, digests or heads on the sync stream; a longer frame makes a piece of its own. */
export const SYNC_PIECE_BYTES = 512 * 1024
/** Documents, or ranges, asked for in one request. */
export const SYNC_BATCH_MAX = 256
/** Documents and heads of one answer that are kept in memory. */
export const SYNC_LIST_MAX = 1_000_000
/** A node that pulls may think so long between two requests: it writes what it got. */
export const SYNC_IDLE_MS_MAX = 60_000
/** Single ranges wanted of one peer before its whole state is compared instead. */
export const SYNC_WANTS_MAX = 64
/** Chains of one session in which the fork of two histories is searched; the others wait for the next. */
export const SYNC_FORKS_MAX = 8
/** A chain that was refused is not asked for again for so long, unless it grew; so many are remembered. */
export const SYNC_REFUSED_MS = 15_000
export const SYNC_REFUSED_KEPT_MAX = 10_000
/** Up to so many members a node keeps a connection to each, beyond that to a few at random. */
export const CONNECT_ALL_MAX = 20
export const CONNECT_SOME = 8
/** A member that does not answer is tried again after a span that doubles from the first to the second value; who came in by itself is dialled at its own address after the third. */
export const REDIAL_MS_MIN = 125
export const REDIAL_MS_MAX = 30_000
export const PROVE_MS = 100
/** Dials under way at once. */
export const DIALS_MAX = 16
/** Addresses remembered of one member. */
export const ADDRESSES_MAX = 16
/** An invitation or an address, as a person or a file gives it; an invitation with all its addresses has about 1,000 characters. */
export const JOIN_WAY_CHARS_MAX = 4_096
/** A file with one invitation, and what editors add to it. */
export const JOIN_FILE_BYTES_MAX = 16 * 1024
/** Addresses that a node may listen on, and ways into a cluster that it may be given. */
export const NODE_ADDRESSES_MAX = 16
/** The version of a membership fact is at most so far beyond all before it: a far-future one would leave none to write after it. */
export const MEMBER_VERSION_JUMP_MAX = 1_000
/** Batches of authors that are not (yet) known as members, kept until their admission comes; more are read again from the store then. */
export const STRANGER_BATCHES_MAX = 1_024
/** `drain` without a deadline: what runs may finish so long, then it is given back. */
export const DRAIN_MS_DEFAULT = 60 * 60_000
/** Public keys of nodes kept ready to verify with, about 1 KiB each: those of all members, and some that come and go. */
export const PUBLIC_KEYS_KEPT_MAX = 1_200
/** Yjs clients that watch boards of a node at once: each gets every change. */
export const BOARD_VIEWERS_MAX = 128
/** One message of such a client. It only says what it has: about 12 bytes for each process life of an author. */
export const BOARD_MESSAGE_BYTES_MAX = 1024 * 1024
