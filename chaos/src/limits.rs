//! Every limit and default of the harness, with its unit and its reason.

use std::time::Duration;

/// A debug build on a busy machine with two cores starts in a second or two, and one that recounts a log after a crash
/// takes longer; this is for the worst day.
pub const NODE_READY_WAIT: Duration = Duration::from_secs(60);

/// How long `ostraka cluster add` may wait for a node that is still starting, seconds. Its own default is 10.
pub const CLUSTER_ADD_WAIT_S: u64 = 30;

/// A node that is asked to stop finishes its requests first; after this it is killed.
pub const NODE_STOP_WAIT: Duration = Duration::from_secs(30);

/// A killed process is gone at once, unless it is in an uninterruptible call on a slow disk.
pub const PROCESS_GONE_WAIT: Duration = Duration::from_secs(10);

/// How long one request to an operator port may take. Longer than an election.
pub const OPERATOR_CALL_WAIT: Duration = Duration::from_secs(3);

/// What failed while a disk was sick may end its node a moment later than it is well again.
pub const EXCUSE_GRACE: Duration = Duration::from_secs(2);

/// A process that was started less long ago may not have come to hear SIGTERM yet, and dies of it.
pub const NODE_HEARS_AFTER: Duration = Duration::from_secs(2);

/// A node's guard looks at its disk every 200 ms; before that nobody refuses votes for a disk that was filled at once.
pub const FULL_DISK_GUARD_WAIT: Duration = Duration::from_millis(500);

/// Pause between two looks at something that is waited for.
pub const POLL_PAUSE: Duration = Duration::from_millis(50);

/// Largest answer that is read from an operator port, bytes: `/metrics` of a node is a few hundred kilobytes.
pub const OPERATOR_ANSWER_BYTES_MAX: u64 = 8 << 20;

/// Each node's own disk, bytes. XFS refuses less than 300 MB; a run writes some tens of megabytes.
pub const DISK_BYTES: u64 = 512 << 20;

/// An unmounted file system may be busy for a moment: a killed process lets go of its files late.
pub const UNMOUNT_TRIES: u32 = 100;

/// A storm's fault may be several to the checkers: as many as there can be nodes, and a power of two for the eye.
pub const STORM_FAULT_LIKE_MAX: u16 = 16;

/// Highest number of a storm's fault: the ids of the checkers' faults have sixteen bits.
pub const STORM_FAULT_ID_MAX: u16 = u16::MAX / STORM_FAULT_LIKE_MAX;

/// Nodes of one rig at most: an address range and ports are laid out for these.
pub const NODES_MAX: u8 = 9;

/// Shortest wait before TCP sends a lost packet again, on the route between nodes, milliseconds. The kernel's own 200 ms are
/// for the internet; within a data centre a round trip takes less than 1 ms, and answers come within a few.
pub const TCP_RTO_MIN_MS: u64 = 10;

/// The second number of the harness's addresses, `10.77.x.y`: private, and rarely used by anybody.
pub const SUBNET_SECOND: u8 = 77;

/// Ports inside a node's namespace; the same for all nodes, as each has an address of its own.
pub const PUBLIC_PORT: u16 = 8080;
pub const OPERATOR_PORT: u16 = 8081;
pub const PEER_PORT: u16 = 8082;

/// Up and down of a crash loop: long enough that the node sometimes gets as far as taking part, and sometimes not.
pub const CRASH_LOOP_PERIOD: Duration = Duration::from_millis(1_500);

/// Cut and healed for this long in turn: longer than an election (400 ms at most), so that each half does something.
pub const FLAP_PERIOD: Duration = Duration::from_millis(700);

/// Packets lost of a thousand: TCP still gets through, an election now and then does not.
pub const LOSS_PER_MILLE: u32 = 100;

/// Extra time of each packet, each way. With the jitter it stays below half of the shortest election timeout (200 ms), so that
/// the cluster is slow and not leaderless.
pub const DELAY: Duration = Duration::from_millis(40);
pub const DELAY_JITTER: Duration = Duration::from_millis(20);

/// Packets that wait in the kernel for the delaying thread: 40 ms at 100,000 packets a second.
pub const DELAY_QUEUE_PACKETS_MAX: u32 = 4_096;

/// Pause of the delaying thread when nothing is due: how exact a delay is.
pub const DELAY_TICK: Duration = Duration::from_micros(200);

/// A link as slow as a bad mobile one, kilobits a second: heartbeats get through, batches queue.
pub const BANDWIDTH_KBIT_S: u32 = 256;

/// Space left on a full disk, bytes: less than the service's guard wants to see free.
pub const FULL_DISK_LEFT_BYTES: u64 = 1 << 20;

/// How much longer each barrier of a slow disk takes: an ageing disk, not a dead one.
pub const SLOW_BARRIER: Duration = Duration::from_millis(50);

/// How long `strace` may take to attach to all threads of a node, and to let go of them.
pub const STRACE_WAIT: Duration = Duration::from_secs(10);

/// Bytes taken off the end of a log: less than one record, so that a record is torn.
pub const TORN_TAIL_BYTES: u64 = 200;

/// A clock that jumps: further than any timeout of the service, less than a token lives.
pub const CLOCK_JUMP_S: i64 = 600;

/// Clocks of a cluster that differ: each node this much more than the one before, seconds.
pub const CLOCK_SKEW_STEP_S: i64 = 30;

/// How far a node's clock may be from where it was put, seconds: stamps have whole seconds, and the
/// shim's cache may be one old.
pub const CLOCK_TOLERANCE_S: i64 = 3;

/// Time for a changed clock to show: libfaketime reads its file at most once in this many seconds.
pub const CLOCK_SHIM_CACHE_S: u64 = 1;
pub const CLOCK_SHOWS_WAIT: Duration = Duration::from_secs(5);

/// What a throttled node gets of one core, microseconds of each 100 ms: a noisy neighbour's worth.
pub const CPU_QUOTA_MICROS: u64 = 15_000;
pub const CPU_PERIOD_MICROS: u64 = 100_000;

/// Streams that are opened and hardly read, and how many bytes of each a second.
pub const SLOW_READERS: usize = 200;
pub const SLOW_READER_BYTES_S: usize = 16;
/// Socket buffer of a slow reader, bytes: small, so that the sender's side fills up.
pub const SLOW_READER_BUFFER_BYTES: usize = 2_048;

/// Connections of a flood. A process may have 20,000 open files on the smallest machines, and the harness and the node
/// share that machine.
pub const FLOOD_CONNECTIONS: usize = 3_000;
/// How long one connection of a flood may take to be made.
pub const FLOOD_CONNECT_WAIT: Duration = Duration::from_millis(200);

/// How long a cluster may take to answer again after a fault is over.
pub const ANSWERS_AGAIN_WAIT: Duration = Duration::from_secs(60);

/// One request of the sample client: longer than an election, shorter than a fault.
pub const SAMPLE_REQUEST_WAIT: Duration = Duration::from_secs(3);

/// Voters of the sample client: registering one costs a password hash.
pub const SAMPLE_VOTERS: u32 = 4;

/// Votes are sent for this long before a fault begins, so that there is something in flight.
pub const SAMPLE_WARM_UP: Duration = Duration::from_secs(1);

/// Between two requests of one client of the sample: some hundred entries a second in all, which is no load.
pub const SAMPLE_PAUSE: Duration = Duration::from_millis(10);

/// Contestants of the sample's first event, which is the one that is watched: its first tally is some tens of kilobytes, so
/// that whoever does not read fills its connection at once.
pub const SAMPLE_CONTESTANTS: usize = 1_000;

/// What of a data folder is compared over a power cut, bytes: reading it takes time, in which the kernel goes on writing
/// what the cut is to catch.
pub const CUT_COMPARES_BYTES_MAX: usize = 64 << 20;

/// A vote that begins later than this after its time was held up by the load itself and not by the service.
pub const LOAD_LATE_START: Duration = Duration::from_millis(100);

/// A vote that should have begun so long ago is not sent any more, and counted as such: a load that sent all it owes would be the
/// later the longer it goes on.
pub const LOAD_GIVE_UP: Duration = Duration::from_secs(5);

/// Votes of a thousand that may begin so late: a p99 does not see them.
pub const LOAD_LATE_PER_MILLE_MAX: u64 = 10;

/// One try of a vote in a power-cut campaign: longer than an election, shorter than a reopening.
pub const CUT_REQUEST_WAIT: Duration = Duration::from_secs(2);

/// All tries of a vote: longer than a cluster that lost its power takes to serve again.
pub const CUT_VOTE_PATIENCE: Duration = Duration::from_secs(20);

/// Votes without an outcome at one time in a power-cut campaign: 10 s of darkness at its usual load.
pub const CUT_IN_FLIGHT_MAX: u32 = 4_096;

/// Votes of one cluster in a power-cut campaign, at about 150 bytes of the harness's memory each.
pub const CUT_CLUSTER_VOTES_MAX: usize = 1_000_000;

/// Voters' numbers of a load begin here: accounts that the cluster itself has lie below.
pub const LOAD_FIRST_VOTER: u32 = 1_000;

/// Contestants of a load's event: enough that a vote counted for another one would show.
pub const LOAD_CONTESTANTS: u16 = 5;

/// Cuts of one cluster before it is recounted and a new one is built: old enough for snapshots and a log of some parts.
pub const CUTS_PER_CLUSTER: u32 = 25;

/// The load is on for a random time between these before a cut: from the middle of a start to a warm service.
pub const CUT_AFTER: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(1_500));

/// The power stays away for a random time between these.
pub const CUT_DARK: (Duration, Duration) = (Duration::ZERO, Duration::from_millis(300));

/// Votes whose status is asked for at one time.
pub const STATUS_ASKED_AT_ONCE: usize = 32;

/// How long a node that is ready may take to know an acknowledged vote: it may have to catch up first.
pub const STATUS_KNOWN_WAIT: Duration = Duration::from_secs(20);

/// How long all nodes may take to have applied the same entry once nobody votes.
pub const SETTLED_WAIT: Duration = Duration::from_secs(60);

/// Entries between two snapshots of every other cluster of a campaign: some are written in each of its lives, and cuts hit
/// them.
pub const CUT_SNAPSHOT_EVERY_ENTRIES: &str = "400";

/// Findings that are told in words on a terminal, and how many more there are; a broken log would give thousands.
pub const FINDINGS_TOLD_MAX: usize = 20;

/// Findings that are kept for the evidence, which names each vote, of all kinds together and of each checker: more than one
/// cluster's campaign has votes in default, and some 30 MB of sentences. What is above is counted, and said to be missing.
pub const FINDINGS_KEPT_MAX: usize = 200_000;

/// Sentences of one list on a storm's page, and of one checker among its reasons; the evidence beside it holds all.
pub const SENTENCES_SHOWN_MAX: usize = 40;

/// Between two lines on how a storm goes, where nothing else happens: soon enough not to be taken for stuck.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// A storm with its calm before and after at most, milliseconds: its history is held in memory.
pub const STORM_MS_MAX: u64 = 600_000;
/// Its requests a second at most: each is judged one by one.
pub const STORM_REQUESTS_PER_S_MAX: u32 = 5_000;
pub const STORM_VIEWERS_MAX: u16 = 2_000;

/// What a drawn storm's crowd does: enough for every batch to hold several votes, and far from what a node can do, so that
/// whatever is slow is slow for the fault.
pub const STORM_REQUESTS_PER_S: u32 = 300;
pub const STORM_VIEWERS: u16 = 40;

/// Milliseconds without a fault, before and after: some thousand requests to measure a steady state by.
pub const STORM_CALM_MS: u64 = 6_000;
pub const STORM_AFTER_MS: u64 = 9_000;

/// What is asked so shortly before a storm, or after the cluster was formed, does not count for its steady state: it may
/// still be in flight when the first fault begins. Milliseconds.
pub const STEADY_EDGE_MS: u64 = 1_000;

/// Once all nodes are up, watchers come back within this, and then the cluster must be as it was before; milliseconds.
pub const STEADY_AGAIN_MS: u64 = 3_000;

/// A composition: this long in all, this many faults, each for so long; milliseconds. Long enough for an election and for
/// what follows it, short enough for several in a minute.
pub const COMPOSITION_MS: u64 = 60_000;
pub const COMPOSITION_FAULTS: (usize, usize) = (3, 5);
pub const COMPOSITION_FAULT_MS: (u64, u64) = (3_000, 12_000);

/// A request of a storm's crowd: longer than an election, shorter than a fault; milliseconds.
pub const CROWD_PATIENCE_MS: u64 = 3_000;

/// A curve's step, milliseconds.
pub const MEASURE_BUCKET_MS: u64 = 500;

/// A fault's cost is looked for until so long after it is over, milliseconds: an election and a reconnect.
pub const FAILOVER_LOOK_MS: u64 = 3_000;

/// Of a thousand requests to a cluster that nothing disturbs, so many are done (availability objective, 99.9 %).
pub const STEADY_DONE_PER_MILLE_MIN: u64 = 999;

/// From a vote to the screens, p99, milliseconds (objective of the API's contract).
pub const END_TO_END_MS_P99_MAX: f64 = 1_000.0;

/// The service's own shortest election timeout, milliseconds: its default, which rigs do not change.
pub const SERVICE_ELECTION_MS_MIN: u64 = 200;

/// Unused connections that a client of a load keeps open to each node: what a few hundred votes a second need at once.
pub const LOAD_IDLE_CONNECTIONS_MAX: usize = 64;

/// The same for the load of a failover measurement, whose stalls leave thousands of votes at once; those that were opened in
/// one are kept for the next.
pub const FAILOVER_IDLE_CONNECTIONS_MAX: usize = 2_048;

/// Writes are taken again after so long without a leader, median and worst of all rounds (objectives of a failover).
pub const FAILOVER_RESUME_MEDIAN_MAX: Duration = Duration::from_secs(1);
pub const FAILOVER_RESUME_MAX: Duration = Duration::from_secs(2);

/// Rounds, votes a second and length of the window for which these objectives are stated. What is less answers less, and
/// says so.
pub const FAILOVER_ROUNDS: u32 = 50;
pub const FAILOVER_VOTES_PER_S: u32 = 5_000;
pub const FAILOVER_WINDOW_S: u64 = 60;

/// From the intended start to the acknowledgement, p99, and from there to the screens, p95; milliseconds (objectives of the
/// service where nobody leads the cluster anew).
pub const ACK_MS_P99_MAX: f64 = 50.0;
pub const END_TO_END_MS_P95_MAX: f64 = 500.0;

/// Of a thousand packets that a follower of the objective "5 % packet loss" sends and is sent, so many are lost.
pub const FAILOVER_LOSS_PER_MILLE: u32 = 50;

/// One try of a vote: the longest that writes may stand still. With less, every vote of a stalled second would be asked twice,
/// over a second connection, which can keep an overload alive by itself.
pub const FAILOVER_REQUEST_WAIT: Duration = Duration::from_secs(2);

/// All tries of a vote: some times the worst failover that is allowed.
pub const FAILOVER_VOTE_PATIENCE: Duration = Duration::from_secs(10);

/// Votes without an outcome at one time: the longest that writes may stand still, at the full load. Each may have a connection
/// of its own, and a process may have 20,000 open files on the smallest machines.
pub const FAILOVER_IN_FLIGHT_MAX: u32 = 10_000;

/// Votes of one cluster, at about 200 bytes of the harness's memory each, and as many again while they are recounted.
pub const FAILOVER_CLUSTER_VOTES_MAX: usize = 2_000_000;

/// Each node's own disk, bytes: the votes of a cluster in a log that is kept whole, some times over.
pub const FAILOVER_DISK_BYTES: u64 = 2 << 30;

/// What of a round's time is not its window: spreading the clients, and becoming itself again. Seconds, for sharing rounds
/// out to clusters.
pub const FAILOVER_BETWEEN_S: u64 = 8;

/// From the viewers' first look, and from clients spread anew, to the window: connections are made meanwhile.
pub const FAILOVER_WARM_UP: Duration = Duration::from_secs(2);

/// Part of the window that lies before the fault, as a divisor, and at most so long: the steady state by which is told
/// whether this machine can carry the load at all.
pub const FAILOVER_LEAD_DIVISOR: u32 = 4;
pub const FAILOVER_LEAD_MAX: Duration = Duration::from_secs(10);

/// Viewers of each node: every pair of vote and viewer is counted, so a few give a million.
pub const FAILOVER_VIEWERS_PER_NODE: usize = 2;

/// How long viewers may take to be shown the last vote of a window; one not shown by then counts as never shown.
pub const FAILOVER_SHOWN_WAIT: Duration = Duration::from_secs(5);

/// How late the load may begin votes itself where the p99 of their acknowledgement is judged, p99, milliseconds: a fifth of that
/// objective.
pub const FAILOVER_LOAD_LATE_MS_P99_MAX: f64 = 10.0;

/// How long a round waits for the outcome of its last votes: their patience, and a little.
pub const FAILOVER_ANSWERS_WAIT: Duration = Duration::from_secs(12);

/// Entries of the log that are kept where all of it is to be recounted: more than any run writes.
pub const LOG_KEEP_ALL: &str = "1000000000";

/// Entries between two snapshots for faults that concern snapshots.
pub const SNAPSHOTS_OFTEN: &str = "1000";

/// How long a round waits at its beginning for the load to be on time, and for what waits from before to have its outcome.
pub const FAILOVER_CALM_WAIT: Duration = Duration::from_secs(20);

/// Votes without an outcome that a calm load may have, as a divisor of its votes a second: latency is far below 200 ms then.
pub const FAILOVER_CALM_DIVISOR: u32 = 5;

/// Votes in the log, votes a second and restarts for which the objectives of a large log are stated.
pub const SCALE_VOTES: u32 = 10_000_000;
pub const SCALE_VOTES_PER_S: u32 = 5_000;
pub const SCALE_RESTARTS: u32 = 3;

/// From the start of a killed node with so many votes to its serving again: ready, taking votes, and showing a right
/// leaderboard (objective).
pub const SCALE_SERVING_MAX: Duration = Duration::from_secs(5);

/// The load before a node is killed, after it serves again, and before and after a node is added.
pub const SCALE_BEFORE_KILL: Duration = Duration::from_secs(5);
pub const SCALE_AFTER_START: Duration = Duration::from_secs(3);
pub const SCALE_STRETCH: Duration = Duration::from_secs(20);

/// Votes cast at once between two lines of progress, and how long they may take: at a tenth of what an idle machine does.
pub const SCALE_FILL_CHUNK: u32 = 500_000;
pub const SCALE_FILL_CHUNK_WAIT: Duration = Duration::from_secs(300);

/// Pause between two looks where a start is timed: a thousandth of its objective.
pub const SCALE_LOOK_PAUSE: Duration = Duration::from_millis(5);

/// How long a killed node may take to serve again, and a new one to catch up, before it is given up.
pub const SCALE_START_WAIT: Duration = Duration::from_secs(120);
pub const SCALE_CATCH_UP_WAIT: Duration = Duration::from_secs(300);

/// Votes without an outcome at one time while a node is down. They come again and again meanwhile, and more of them would take
/// the processor from the start that is timed.
pub const SCALE_START_IN_FLIGHT_MAX: u32 = 1_024;

/// Votes of one load at most, at about 200 bytes of the harness's memory each.
pub const SCALE_LOAD_VOTES_MAX: usize = 4_000_000;

/// Each node's own disk, bytes: the log kept whole, two snapshots, and as much again.
pub const SCALE_DISK_BYTES: u64 = 6 << 30;
