//! Every limit of the service in one place, each with its unit and its reason.

mod clients;
mod events;
mod identity;

pub use clients::*;
pub use events::*;
pub use identity::*;

/// Votes in one log entry. A vote's offset must fit 14 bits of its packed position; 4,096 votes keep an entry under
/// 256 KiB and its commit near a millisecond.
pub const BATCH_VOTES_MAX: usize = 4_096;

/// Encoded bytes of one batch. Bounds the memory of a proposal, a forward and a peer message.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Encoded bytes of one command, an event's creation with all its texts being the longest: it must fit a batch by
/// itself, beside the batch's own head of `codec::BATCH_HEAD_BYTES`. The API refuses a longer one.
pub const COMMAND_BYTES_MAX: usize = BATCH_BYTES_MAX - 8;

/// Age in microseconds at which a batch closes although it is not full: the price a lone vote pays for company.
pub const BATCH_AGE_MICROS_MAX: u64 = 1_000;

/// Contestants in one event. A leaderboard stays one small JSON document.
pub const CONTESTANTS_PER_EVENT_MAX: usize = 1_000;

/// Contestants an event needs: a vote needs a choice, and one name may be a choice (approve or stay away).
pub const CONTESTANTS_PER_EVENT_MIN: usize = 1;

/// Events in one log group. Past it an event belongs to another group.
pub const EVENTS_MAX: usize = 100_000;

/// Bytes of an event's or contestant's name (UTF-8). Fits any title; keeps frames small.
pub const NAME_BYTES_MAX: usize = 200;

/// Bytes of a contestant's description (UTF-8).
pub const DESCRIPTION_BYTES_MAX: usize = 2_000;

/// Bytes of an image URL (the length that browsers and proxies agree to carry).
pub const URL_BYTES_MAX: usize = 2_048;

/// Further, really different submissions of one voter in one event that are remembered, each with its own vote id
/// and verdict. Beyond it the voter is told 429: a person changes their mind a few times, a script does not stop,
/// and the state must stay bounded.
pub const EXTRA_SUBMISSIONS_PER_VOTER_MAX: usize = 16;

/// Seconds after which a voter with too many submissions may come back: a day, since the same request is refused for as
/// long as the event lives.
pub const EXTRA_SUBMISSIONS_RETRY_AFTER_S: u32 = 86_400;

/// Probe submissions remembered per canary event for idempotent retry (a ring: the oldest is forgotten). 1,000 probes
/// an hour from a few places, retried within minutes.
pub const PROBE_KEYS_PER_EVENT_MAX: usize = 4_096;

/// Voters whose counted votes stand in one chunk of an event's voter table: 48 KiB when dense, so that pointers and heads
/// cost nothing beside it. The snapshot's format has the same chunks.
pub const VOTERS_PER_CHUNK: usize = 4_096;

/// Voters of a chunk kept as a sorted list before it becomes a dense array: at a quarter the list takes 16 KiB, a third
/// of the array, and an insertion moves 8 KiB on average.
pub const SPARSE_VOTERS_PER_CHUNK_MAX: usize = VOTERS_PER_CHUNK / 4;

/// Rows that are put beside a chunk which a snapshot's image holds, before the chunk is copied after all: 6 KiB of votes,
/// an eighth of the dense chunk, so that lookups stay short, and a copy then costs 192 bytes a vote.
pub const LATE_ROWS_PER_CHUNK_MAX: usize = 256;

/// Bytes that the snapshot codec gathers before it writes, and reads at once: large enough that a call costs nothing
/// beside its copy, small enough to stay in cache.
pub const SNAPSHOT_PIECE_BYTES: usize = 64 * 1024;

/// Bytes of one event's own record in a snapshot (texts, totals, counters; not its voters): a creation's texts, 8 bytes
/// of total for each contestant and the fixed fields.
pub const SNAPSHOT_EVENT_BYTES_MAX: usize = BATCH_BYTES_MAX + CONTESTANTS_PER_EVENT_MAX * 8 + 1_024;

/// Sampled trace ids carried in one tally delta; more are counted, not listed, so that a frame stays small.
pub const TRACES_PER_DELTA_MAX: usize = 64;

/// Bytes of a bearer token. Ours are under 400 with the longest key name; more is not worth hashing.
pub const TOKEN_BYTES_MAX: usize = 512;

/// Bytes of a signing key's name, the `kid`. It goes into every token: short, and free of anything that JSON would escape.
pub const KID_BYTES_MAX: usize = 32;

/// Free bytes on the data folder's disk below which votes are refused: what the logs may still write in the time in
/// which a full disk is noticed (0.2 s at 100 MB/s), with room for sled's segments (8 MiB each) and a snapshot's head.
pub const STORAGE_FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// Free bytes above which votes are taken again; higher than the minimum so that a disk at the edge does not flap.
pub const STORAGE_FREE_BYTES_RESUME: u64 = 96 * 1024 * 1024;

/// Milliseconds between two looks at the free space; the reserve is far more than a node writes in them.
pub const STORAGE_LOOK_MS: u64 = 200;

/// Seconds after which whoever was sent away for now (503) may come back to the same node, where nothing better is known: an
/// election takes less, and a node that shuts down is gone by then.
pub const UNAVAILABLE_RETRY_AFTER_S: u32 = 1;

/// Seconds after which a client that was refused for want of space may come back. An operator has to act first; asking
/// every second would only add to the load.
pub const STORAGE_RETRY_AFTER_S: u32 = 5;

/// Bytes of one log entry's body. Above any batch (`BATCH_BYTES_MAX`), with room for a later, larger batch; bounds what
/// a reader must hold to check an entry as a whole.
pub const LOG_ENTRY_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of newest log entries kept in memory, stored or not: replication to peers that keep up, and apply, then never
/// read the disk. At 16 MB of votes a second it is four seconds' worth.
pub const LOG_TAIL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of appended entries that may wait for the disk. Beyond it an append waits: a slow disk slows the leader down
/// instead of filling its memory.
pub const LOG_PENDING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of appends after which a group is closed and its barrier runs; the last append may carry it past the limit.
/// Bounds the latency of the barrier, and how far sled's reuse of its 512 KiB segments can get ahead of a real barrier.
/// It bounds that, and does not rule it out: sled writes about 1.8 bytes for each byte appended.
pub const LOG_GROUP_BYTES_MAX: usize = 256 * 1024;

/// Bytes of entries that one bounded read of the log returns (one entry may be larger). Keeps a message to a peer that
/// catches up near one megabyte.
pub const LOG_READ_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that sled may cache of the log's older part. Only peers that catch up, restarts and audits read there.
pub const LOG_CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Stored parts removed in one go after a purge. About 2 ms of work, so that appends hardly wait.
pub const LOG_PURGE_PARTS_MAX: usize = 512;

/// Bytes of one stored part of an entry. sled counts up to 17 values to a page and moves a page of more than 128 KiB to
/// a side file; 17 such parts are 68,000 bytes.
pub const LOG_PART_BYTES_MAX: usize = 4_000;

/// Entries that one write to the log takes: a write then stays within a few tens of MiB.
pub const LOG_WRITE_ENTRIES_MAX: u64 = 128;

/// Messages that wait for the consensus core; past it their senders wait.
pub const CORE_QUEUE_MESSAGES_MAX: u64 = 4_096;

/// Milliseconds that a stopping group waits for the core, which may be inside a slow write.
pub const GROUP_SHUTDOWN_MS_MAX: u64 = 10_000;

/// Niceness of a thread that writes a snapshot: about a tenth of a busy processor is left to it (a step is a factor of 1.25).
pub const BEHIND_ALL_NICENESS: i32 = 10;

/// Bytes of one proposal: a batch and what the service puts around it, with room to grow.
pub const PROPOSAL_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// Bytes of proposals that a leader holds unanswered. At 16 MB/s of votes four seconds' worth; past it the disk or the
/// quorum does not keep up, and telling so early is better than growing.
pub const PROPOSALS_IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Entries in one message of the append stream. Messages are pipelined, so larger ones would only hold up each other.
pub const APPEND_ENTRIES_MAX: usize = 16;

/// Bytes of one message of the append stream: entries of the largest size and their heads.
pub const APPEND_BYTES_MAX: usize = APPEND_ENTRIES_MAX * PROPOSAL_BYTES_MAX + 64 * 1024;

/// Unanswered messages of one append stream. 16 entries each, they cover 100 ms of round trip at 250 entries/s many
/// times over, and bound what a slow follower makes its leader hold.
pub const APPENDS_IN_FLIGHT_MAX: usize = 32;

/// Bytes of one small peer message: votes, acknowledgements, a snapshot's head. The largest carries the membership of a
/// cluster, about 50 bytes a node.
pub const PEER_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the machine's reply to one proposal: 256 for each vote of a full batch.
pub const REPLY_BYTES_MAX: usize = 256 * BATCH_VOTES_MAX;

/// Connections that the peer port serves at once. A peer opens four; the rest is for those that are being replaced.
pub const PEER_CONNECTIONS_MAX: usize = 256;

/// Streams on one peer connection: the forwarded batches in flight and the few others.
pub const PEER_STREAMS_MAX: u32 = 1_024;

/// Streams on one peer connection that were given up by the peer before this node looked at them, after which the connection is
/// closed (against CVE-2023-44487). A leader gives up what a starting node does not answer in time, and HTTP/2's usual 20 closed
/// its connections; only who has the cluster's key gets as far as costing more than that.
pub const PEER_RESETS_PENDING_MAX: usize = 1_024;

/// Callers that wait for the next round of read indexes. Each is one linearizable read of an HTTP client.
pub const READ_INDEX_WAITERS_MAX: usize = 16_384;

/// Bytes that a snapshot travels in at once: one HTTP/2 window's quarter.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of one chunk of a stored snapshot: what is held in memory on either side.
pub const SNAPSHOT_FILE_CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a snapshot that are written before they are synced: 5 ms of a disk that takes 400 MB/s, a tenth of what an
/// acknowledgement may take.
pub const SNAPSHOT_UNSYNCED_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Milliseconds between two attempts to write a snapshot while the process has no file to spare, at first and at most; the
/// pause doubles. Connections come and go within milliseconds, and a flood of them may last: then a line in the log every
/// five seconds is enough.
pub const SNAPSHOT_RETRY_MS_MIN: u64 = 100;
pub const SNAPSHOT_RETRY_MS_MAX: u64 = 5_000;

/// Bytes of a stored snapshot's encoded meta data. A log id and a few members; a megabyte would be thousands of nodes.
pub const SNAPSHOT_META_BYTES_MAX: usize = 1024 * 1024;

/// Connections of one public port that are open at once. Every one costs a file and some tens of KiB; with the
/// reserve below they fit the 20,000 files that a service should be given.
pub const HTTP_CONNECTIONS_MAX: usize = 16_000;

/// Files that a process may need open beside the connections of its public port: 256 connections of peers and 64 of
/// operators, some hundreds that are just being refused or closed, and a few dozen for logs, accounts, snapshots and backups.
pub const OPEN_FILES_RESERVE: usize = 1_024;

/// Connections of the operator port that are open at once: a scraper, a few probes and a person.
pub const OPERATOR_CONNECTIONS_MAX: usize = 64;

/// Milliseconds between two looks at a connection's progress. One timer a connection, whatever it carries.
pub const HTTP_WATCH_MS: u64 = 5_000;

/// Milliseconds that a connection may stay without one whole request head, or with no byte taken of a waiting answer,
/// before it is closed: a half-open peer, a slow sender of headers and a dead reader all end here.
pub const HTTP_STALL_MS_MAX: u64 = 15_000;

/// Milliseconds in which a request's body must have arrived. A body is a few KiB.
pub const HTTP_BODY_MS_MAX: u64 = 10_000;

/// Bytes of a request's head, and of a connection's read and write buffers. Sixteen pipelined votes are about 10 KiB.
pub const HTTP_BUFFER_BYTES_MAX: usize = 32 * 1024;

/// Room that a connection has for a read, at least: a vote and a half.
pub const HTTP_READ_BYTES_MIN: usize = 1_024;

/// Bytes up to which the head of a request is looked at again whenever more of it comes, so that what is none is told so at
/// once; longer ones at each line's end, or one who sends a byte at a time would cost the square of what he sends.
pub const HEAD_RELOOK_BYTES_MAX: usize = 1_024;

/// Votes of one connection that are being answered at once, one sent behind the other. A proxy's connection carries many
/// people's; more than a commit's worth of them would only wait here.
pub const EXPRESS_UNDER_WAY_MAX: usize = 128;

/// Lines of a request's head: hyper's own limit, which a refusal names.
pub const HTTP_HEAD_LINES_MAX: usize = 100;

/// Bytes of a request's body, an event's creation excepted. A vote is under 1 KiB.
pub const HTTP_BODY_BYTES_MAX: usize = 16 * 1024;

/// Bytes of the JSON that creates an event: what one batch can carry, and as much again for JSON's own signs.
pub const EVENT_BODY_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// Milliseconds for which the rest of a refused request's body is waited for before the answer says that the connection ends:
/// a body that was sent with its head is there within a round trip.
pub const HTTP_REST_MS_MAX: u64 = 1_000;

/// Milliseconds, and bytes, for which a connection that is over is still read from, so that its last answer arrives. A
/// client that is still sending when it is refused looks up within a round trip or two; one that does not is cut off.
pub const HTTP_LINGER_MS_MAX: u64 = 1_000;
pub const HTTP_LINGER_BYTES_MAX: u64 = 1024 * 1024;

/// Milliseconds of pause after a connection could not be accepted: it fails for want of files or memory, which a busy
/// loop does not bring back.
pub const ACCEPT_PAUSE_MS: u64 = 50;
pub const PEER_ACCEPT_PAUSE_MS: u64 = 100;

/// Milliseconds for a TLS handshake: two round trips to another continent and a lost packet, not more.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 5_000;

/// TLS handshakes at a time on one port. Each is some ten KiB; who comes meanwhile waits in the kernel's queue, and whoever says
/// nothing makes room after the time above.
pub const TLS_HANDSHAKES_MAX: usize = 4_096;

/// Milliseconds between two looks at whether a certificate's files were replaced: those who renew them do it days before the
/// old one ends.
pub const TLS_LOOK_MS: u64 = 5_000;

/// Log lines a second about requests that were refused for the client's mistake; the rest of that second is counted,
/// not written, so that a flood of bad requests does not become a flood of log lines.
pub const REFUSAL_LOG_LINES_PER_SECOND_MAX: u32 = 20;

/// Milliseconds for a connection to a peer: within a site a SYN is answered in one, and a lost one is sent again after
/// 1,000.
pub const PEER_CONNECT_MS_MAX: u64 = 1_500;

/// Milliseconds between two attempts to connect to a peer that refused, at first and at most; the pause doubles. Bounds
/// how late a restarted peer is found, well under the two seconds that a failover may take.
pub const PEER_RECONNECT_MS_MIN: u64 = 20;
pub const PEER_RECONNECT_MS_MAX: u64 = 250;

/// Milliseconds for the answer to a vote, a pre-vote, a transfer or a read index.
pub const PEER_CALL_MS_MAX: u64 = 1_000;

/// Times that leadership is handed over again where the word cannot have arrived or a connection broke under it: connections that a
/// cut has broken are found out one by one.
pub const TRANSFER_TRIES_MAX: u32 = 8;

/// Milliseconds before each of them: all together well under an election.
pub const TRANSFER_PAUSE_MS: u64 = 25;

/// Milliseconds until the oldest unanswered append counts as lost: several slow disk flushes.
pub const APPEND_ANSWER_MS_MAX: u64 = 5_000;

/// Milliseconds without progress after which a snapshot's transfer is given up and begun anew.
pub const SNAPSHOT_STALL_MS_MAX: u64 = 10_000;

/// Milliseconds that a follower may take to load a received snapshot: minutes for one of several gigabytes.
pub const SNAPSHOT_INSTALL_MS_MAX: u64 = 10 * 60 * 1_000;

/// Milliseconds between two pings on a peer connection, idle or not, and the milliseconds until a missing answer
/// closes it: so a connection that has died, or that TCP will not send on for long because its pauses double while
/// nothing gets through, is made anew within 1.5 seconds. The answer waits behind what is in flight: 8 MiB at 100 Mbit/s
/// take 0.7 s.
pub const PEER_PING_MS: u64 = 500;
pub const PEER_PING_ANSWER_MS_MAX: u64 = 1_000;

/// Milliseconds within which a new peer connection must show the cluster key: half-open ones end there.
pub const PEER_HELLO_MS_MAX: u64 = 5_000;

/// Milliseconds without a word from the leader, or for the leader from a quorum, after which a node is not ready for
/// traffic. A change of leader takes 600, and is no reason to send clients elsewhere; a lost quorum is.
pub const QUORUM_SILENCE_MS_MAX: u64 = 2_000;

/// Milliseconds without a word from a leader with a quorum behind it after which a node holds itself for cut off, and
/// between two looks at that: it has nothing new to show and can commit nothing, so watchers and voters are better off
/// with another node. A change of leader takes 600 to 700, and is no reason to send anybody away. After half of it the
/// others are asked whether they hear a leader, with two looks' patience.
pub const CUT_OFF_MS: u64 = 1_000;
pub const CUT_OFF_LOOK_MS: u64 = 100;

/// Milliseconds for which a node without a log that would form a cluster, with secrets that others may have, first listens
/// whether one counts it as its member: its folder may have been emptied. Members call one that does not answer at least
/// every `PEER_RECONNECT_MS_MAX`, and a change of leader may come before that.
pub const FORMING_LISTEN_MS: u64 = 2_000;

/// Milliseconds for which a node that is a cluster by itself takes no votes after a member of another one has called it as its
/// own: ten times the longest pause between two such calls, and a change of leader.
pub const FOREIGN_CLAIM_MS: u64 = 5_000;

/// Milliseconds that one attempt of a submission waits before the next looks for a leader anew. A change of leader ends
/// it earlier.
pub const SUBMIT_ATTEMPT_MS_MAX: u64 = 2_000;

/// Milliseconds between two attempts of a submission, at first and at most; the wait doubles and is jittered.
pub const SUBMIT_RETRY_MS_MIN: u64 = 5;
pub const SUBMIT_RETRY_MS_MAX: u64 = 100;

/// Milliseconds until a change of membership or a transfer of leadership is reported as unfinished.
pub const MEMBERSHIP_CHANGE_MS_MAX: u64 = 10_000;

/// Milliseconds between two looks at whether an earlier change of membership has ended: a few rounds through the log.
pub const MEMBERSHIP_LOOK_MS: u64 = 20;

/// Milliseconds that a new node gets to catch up with each log before it is taken out again and the operator told.
pub const CATCH_UP_MS_MAX: u64 = 60_000;

/// Milliseconds that the last round of catching up may take, and rounds after which it may take twice as long, and so on
/// up to the longest election timeout. A round brings what was written during the one before; when the node becomes a voter,
/// what it still lacks is what acknowledgements wait for, so they wait about as long as the last round took.
pub const CATCH_UP_ROUND_MS_MAX: u64 = 20;
pub const CATCH_UP_ROUNDS_PATIENT: u32 = 32;

/// Seconds that `ostraka cluster add` waits for a node that does not answer yet, unless told otherwise: a script starts
/// it and adds it in the next line, and it listens within a second or two.
pub const JOINING_NODE_WAIT_S: u64 = 10;

/// Milliseconds between two questions whether that node answers by now.
pub const JOINING_NODE_LOOK_MS: u64 = 200;

/// Seconds that `ostraka cluster add` can be told to wait: a machine that is booting.
pub const JOINING_NODE_WAIT_S_MAX: u64 = 600;

/// Milliseconds that `ostraka cluster` waits for an answer: catching up with two logs, and the change after it. The
/// server gives up earlier and says more.
pub const CLUSTER_CALL_MS_MAX: u64 = 150_000;

/// Milliseconds that a backup waits for a quorum's word on what is committed, and for its node to have applied that: a
/// change of leader and a follower that is a little behind.
pub const BACKUP_READ_MS_MAX: u64 = 10_000;

/// Backups that one node takes at once. Each takes two snapshots and reads them whole; a second operator can wait.
pub const BACKUPS_AT_ONCE_MAX: usize = 1;

/// Bytes that a backup travels in, and is read in, at once.
pub const BACKUP_PIECE_BYTES: usize = 256 * 1024;

/// Bytes of a backup's header: a few numbers and at most three parts.
pub const BACKUP_HEADER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a file of secrets within a backup. Names of token keys and 32 secret bytes are under 1 KiB.
pub const BACKUP_SECRETS_BYTES_MAX: u64 = 64 * 1024;

/// Milliseconds that `ostraka backup` waits for a backup to begin (two snapshots of several gigabytes may have to be
/// written first), and for more of it to come once it has.
pub const BACKUP_BEGIN_MS_MAX: u64 = 30 * 60 * 1_000;
pub const BACKUP_STALL_MS_MAX: u64 = 60_000;

/// Log indexes that a restored vote log leaves out, so that what the lost cluster gave out after the backup (vote ids,
/// stream positions) is never given out again: 49 days at 250 entries a second. A position has 42 bits, which is room
/// for 4,000 restores.
pub const RESTORED_LOG_GAP_ENTRIES: u64 = 1 << 30;

/// The highest index of a vote log that can be restored: behind the gap the new log has as much room again, within the 42
/// bits of a position.
pub const RESTORED_LOG_INDEX_MAX: u64 = (1 << 42) - 2 * RESTORED_LOG_GAP_ENTRIES;

/// Milliseconds that a stopping node waits for its hand-over of leadership, a round trip or two, and between two looks
/// at whether it has come about.
pub const HAND_OVER_MS_MAX: u64 = 1_000;
pub const HAND_OVER_LOOK_MS: u64 = 10;

/// Milliseconds that requests being answered get when a node stops: longer than any of them may take.
pub const DRAIN_MS_MAX: u64 = 10_000;

/// Milliseconds that submissions which were taken in get when a node stops: a failover and a commit.
pub const FLUSH_MS_MAX: u64 = 6_000;

/// Milliseconds that requests being answered, and submissions taken in, get each when a node cannot go on. What hangs on
/// its broken log has an error at once, another leader answers in a round trip or two, and until the process has ended
/// no supervisor starts it again.
pub const FAILED_DRAIN_MS_MAX: u64 = 250;

/// Milliseconds that the operator port gets when a node stops. It is the last to go; a scraper comes again.
pub const OPERATOR_DRAIN_MS_MAX: u64 = 1_000;

/// Milliseconds that a new cluster's first start waits for the operator's account, so that its first request may be the
/// operator's login: a password hash and a barrier or two take a tenth. On a full disk it comes when there is space.
pub const OPERATOR_ACCOUNT_MS_MAX: u64 = 5_000;

/// Milliseconds between two looks of a new cluster's nodes at who leads and whether there is an operator.
pub const BOOTSTRAP_LOOK_MS: u64 = 100;

/// Milliseconds between two attempts to make the operator's account after one was refused, as by a disk that is nearly
/// full: a person has to do something first, and each attempt is a line in the log.
pub const BOOTSTRAP_RETRY_MS: u64 = 5_000;

/// Encoded bytes of commands that one node has taken in and not yet answered. About 80,000 votes: at 50,000 votes/s
/// what waits longest waits under two seconds. More is refused at once.
pub const INGEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Batches that one node has submitted and not yet answered: one at the disk, one on its way there. More makes batches
/// smaller, and each costs its own round through the log.
pub const BATCHES_IN_FLIGHT_MAX: usize = 2;

/// Milliseconds in which a submission must have its answer. Covers the election of a new leader and one resubmission.
pub const SUBMIT_MS_MAX: u64 = 5_000;

/// Milliseconds that a read waits for a quorum's word, or for this replica to catch up, before it answers with what it
/// has (and says so) or not at all.
pub const READ_BARRIER_MS_MAX: u64 = 1_000;

/// Milliseconds between two looks at the clock for scheduled openings and closings, on the leader. A cut-off is an
/// entry's stamp, so this delays the news, never the cut-off itself.
pub const SCHEDULE_LOOK_MS: u64 = 100;

/// Subscribers of all streams of one node. Each costs a connection and a few KiB; votes need connections too.
pub const SUBSCRIBERS_MAX: usize = 10_000;

/// Milliseconds between two tallies of one event on a stream, at least. People see no faster change, and a node's work
/// no longer grows with the number of votes.
pub const TALLY_MS_MIN: u64 = 50;

/// Milliseconds between two looks at whether a stream was silent, and needs a sign of life: it is silent for less than two,
/// which is below the idle limit of common proxies (30 s).
pub const HEARTBEAT_MS: u64 = 10_000;

/// Milliseconds after which a cut-off watcher comes back, at least and at most: spread, so that the watchers of a node
/// that went away do not all come at once.
pub const STREAM_RETRY_MS_MIN: u64 = 250;
pub const STREAM_RETRY_MS_MAX: u64 = 1_250;

/// Milliseconds after which a watcher comes back to an event that is closed, at least and at most: there is no more news,
/// but a browser does come back by itself if its page does not stop it.
pub const CLOSED_RETRY_MS_MIN: u64 = 30_000;
pub const CLOSED_RETRY_MS_MAX: u64 = 60_000;

/// Milliseconds that a stream stays open after the final result, so that the watcher can end it and not be cut off.
pub const CLOSED_LINGER_MS: u64 = 2_000;

/// Milliseconds that opening a database waits for the lock of one that this process has just dropped, and between two
/// looks: the engine's own threads hold it for a few.
pub const ENGINE_LOCK_MS_MAX: u64 = 1_000;
pub const ENGINE_LOCK_LOOK_MS: u64 = 10;
