//! The machine against a naive model, over both stores, across crashes and snapshots.

mod naive;

use ostraka_core::UnixMs;
use proptest::prelude::*;

use super::*;
use crate::identity::account::Email;
use crate::identity::store::{MemoryAccounts, SledAccounts};
use naive::Naive;

fn meta(index: u64) -> EntryMeta {
    EntryMeta {
        index: LogIndex(index),
        stamped_at: UnixMs(index * 1_000),
    }
}

fn operator(request: u128, name: &str) -> Command {
    Command::CreateOperator(CreateOperator {
        request: RequestKey(request),
        username: Username::new(name),
        password_hash: format!("$hash of {request}"),
    })
}

fn register(request: u128, name: &str, email: &str) -> Command {
    Command::Register(Register {
        request: RequestKey(request),
        username: Username::new(name),
        email: Email::new(email),
        date_of_birth: None,
        password_hash: None,
        registered_by: VoterNumber(1),
    })
}

fn solve(request: u128, nonce: u8, challenge_expires_at: u64) -> Command {
    Command::SolveChallenge(SolveChallenge {
        request: RequestKey(request),
        nonce: Nonce([nonce; 16]),
        challenge_expires_at: UnixMs(challenge_expires_at),
        lifetime_ms: 20_000,
    })
}

fn by_token(request: u128, nonce: u8, name: &str, email: &str) -> Command {
    Command::RegisterByToken(RegisterByToken {
        request: RequestKey(request),
        nonce: Nonce([nonce; 16]),
        username: Username::new(name),
        email: Email::new(email),
        date_of_birth: None,
        password_hash: None,
    })
}

fn revoke(voter: u32, by_operator: bool) -> Command {
    Command::RevokeTokens(RevokeTokens {
        voter: VoterNumber(voter),
        lifetime_ms: 20_000,
        by_operator,
    })
}

fn renew(voter: u32, replaces: &str, password_hash: &str) -> Command {
    Command::RenewPassword(RenewPassword {
        voter: VoterNumber(voter),
        replaces: hash_digest(replaces),
        password_hash: password_hash.to_owned(),
    })
}

fn apply(machine: &mut IdentityMachine, index: u64, command: &Command) -> Outcome {
    Outcome::decode(&machine.apply(meta(index), &command.encode())).unwrap()
}

fn memory() -> IdentityMachine {
    IdentityMachine::new(MemoryAccounts::default())
}

fn snapshot(machine: &IdentityMachine) -> Vec<u8> {
    let mut bytes = Vec::new();
    machine.image().write_to(&mut bytes).unwrap();
    bytes
}

/// Few names, addresses and keys, so that collisions and resubmissions are the rule.
fn any_command() -> impl Strategy<Value = Command> {
    (0..10u8, 0..8u8, 0..8u8, 0..12u128, any::<bool>()).prop_map(|(kind, name, email, request, upper)| {
        let name = format!("{}{name}", if upper { "USER" } else { "user" });
        match kind {
            0 => operator(request, &name),
            1 => solve(request, email % 4, 10_000 + 5_000 * u64::from(email % 4)),
            8 => revoke(u32::from(email), upper),
            // Of an operator's account, one hash after the other.
            9 => renew(
                u32::from(email),
                &format!("$hash of {request}"),
                &format!("$hash of {}", request / 2),
            ),
            2 | 3 => by_token(request, email % 4, &name, &format!("m{email}@example.org")),
            _ => register(request, &name, &format!("m{email}@example.org")),
        }
    })
}

#[test]
fn a_resubmission_gets_the_first_outcome_and_creates_nothing() {
    let mut machine = memory();
    assert_eq!(
        apply(&mut machine, 1, &register(1, "ann", "ann@example.org")),
        Outcome::Created(VoterNumber(1))
    );
    assert_eq!(
        apply(&mut machine, 2, &register(2, "bob", "bob@example.org")),
        Outcome::Created(VoterNumber(2))
    );
    assert_eq!(
        apply(&mut machine, 3, &register(1, "ann", "ann@example.org")),
        Outcome::Created(VoterNumber(1))
    );
    assert_eq!(
        apply(&mut machine, 4, &register(3, "Ann", "other@example.org")),
        Outcome::UsernameTaken
    );
    assert_eq!(
        apply(&mut machine, 5, &register(4, "cid", "BOB@example.org")),
        Outcome::EmailTaken
    );
    assert_eq!(
        apply(&mut machine, 6, &register(4, "cid", "BOB@example.org")),
        Outcome::EmailTaken
    );
    assert_eq!(machine.accounts(), 2);
    assert_eq!(
        machine.account(VoterNumber(1)).unwrap().registered_at,
        UnixMs(1_000)
    );
}

#[test]
fn there_is_one_first_operator() {
    let mut machine = memory();
    assert_eq!(machine.operator(), None);
    assert_eq!(
        apply(&mut machine, 1, &operator(1, "operator")),
        Outcome::Created(VoterNumber(1))
    );
    assert_eq!(
        apply(&mut machine, 2, &operator(2, "operator")),
        Outcome::OperatorExists
    );
    assert_eq!(
        apply(&mut machine, 3, &operator(3, "other")),
        Outcome::OperatorExists
    );
    assert_eq!(
        apply(&mut machine, 4, &operator(1, "operator")),
        Outcome::Created(VoterNumber(1))
    );
    assert_eq!(machine.operator(), Some(VoterNumber(1)));
    let account = machine.account_by_username(&Username::new("OPERATOR")).unwrap();
    assert_eq!(
        (account.role, account.password_hash.as_deref()),
        (Role::Operator, Some("$hash of 1"))
    );
}

#[test]
fn a_challenge_registers_one_and_a_snapshot_remembers_it() {
    let mut machine = memory();
    assert_eq!(
        apply(&mut machine, 1, &solve(1, 7, 5_000)),
        Outcome::Granted(UnixMs(21_000))
    );
    assert_eq!(
        apply(&mut machine, 2, &solve(2, 7, 5_000)),
        Outcome::ChallengeUsed
    );
    assert_eq!(
        apply(&mut machine, 5, &solve(3, 8, 5_000)),
        Outcome::ChallengeExpired
    );
    assert_eq!(
        apply(&mut machine, 6, &by_token(4, 8, "ann", "ann@example.org")),
        Outcome::TokenExpired
    );
    let mut restored = memory();
    restored.restore(&mut &snapshot(&machine)[..]).unwrap();
    for machine in [&mut machine, &mut restored] {
        assert_eq!(
            apply(machine, 7, &by_token(5, 7, "ann", "ann@example.org")),
            Outcome::Created(VoterNumber(1))
        );
        assert_eq!(
            apply(machine, 8, &by_token(6, 7, "bob", "bob@example.org")),
            Outcome::TokenUsed
        );
        assert_eq!(apply(machine, 9, &solve(9, 7, 50_000)), Outcome::ChallengeUsed);
    }
    let mut spent = memory();
    spent.restore(&mut &snapshot(&machine)[..]).unwrap();
    assert_eq!(
        apply(&mut spent, 10, &by_token(6, 7, "bob", "bob@example.org")),
        Outcome::TokenUsed
    );
}

#[test]
fn a_revocation_is_published_and_a_snapshot_remembers_it() {
    let mut machine = memory();
    let ann = VoterNumber(1);
    assert_eq!(apply(&mut machine, 1, &revoke(1, false)), Outcome::NoSuchAccount);
    apply(&mut machine, 2, &register(1, "ann", "ann@example.org"));
    assert_eq!(apply(&mut machine, 3, &revoke(1, false)), Outcome::Revoked);
    let published = Arc::clone(machine.revoked());
    assert!(published.is_revoked(ann, LogIndex(2)) && !published.is_revoked(ann, LogIndex(3)));
    assert_eq!(apply(&mut machine, 4, &revoke(1, true)), Outcome::Revoked);
    assert!(
        published.is_revoked(ann, LogIndex(3)),
        "those who look see it change"
    );
    assert_eq!(apply(&mut machine, 5, &revoke(2, true)), Outcome::NoSuchAccount);

    let mut restored = memory();
    let published = Arc::clone(restored.revoked());
    restored.restore(&mut &snapshot(&machine)[..]).unwrap();
    assert!(published.is_revoked(ann, LogIndex(3)) && !published.is_revoked(ann, LogIndex(4)));

    // And so does the disk.
    let folder = tempfile::tempdir().unwrap();
    let mut disk = IdentityMachine::new(SledAccounts::open(folder.path()).unwrap());
    disk.restore(&mut &snapshot(&machine)[..]).unwrap();
    drop(disk);
    let opened = IdentityMachine::new(SledAccounts::open(folder.path()).unwrap());
    assert!(opened.revoked().is_revoked(ann, LogIndex(3)));
}

#[test]
fn only_the_hash_that_was_verified_is_renewed() {
    let mut machine = memory();
    apply(&mut machine, 1, &operator(1, "operator"));
    apply(&mut machine, 2, &register(2, "ann", "ann@example.org"));
    for (index, (voter, replaces, expected)) in [
        (1, "$another", Outcome::NotRenewed),
        (2, "$hash of 1", Outcome::NotRenewed),
        (3, "$hash of 1", Outcome::NotRenewed),
        (0, "$hash of 1", Outcome::NotRenewed),
        (1, "$hash of 1", Outcome::Renewed),
        (1, "$hash of 1", Outcome::NotRenewed),
    ]
    .into_iter()
    .enumerate()
    {
        let renewal = renew(voter, replaces, "$dearer");
        assert_eq!(apply(&mut machine, index as u64 + 3, &renewal), expected);
    }
    let hash_of = |voter| machine.account(VoterNumber(voter)).unwrap().password_hash;
    assert_eq!((hash_of(1).as_deref(), hash_of(2)), (Some("$dearer"), None));
}

/// Snapshots of releases before there were challenges stay readable.
#[test]
fn an_older_snapshot_is_read() {
    let mut machine = memory();
    apply(&mut machine, 1, &operator(1, "operator"));
    let mut older = snapshot(&machine);
    older[0] = 1;
    older.drain(17..29);
    let mut restored = memory();
    restored.restore(&mut &older[..]).unwrap();
    assert_eq!(snapshot(&restored), snapshot(&machine));
}

#[test]
fn damaged_commands_are_refused_and_blank_entries_pass() {
    let mut machine = memory();
    for (index, body) in [&b""[..], b"\x01", b"\x01\x09", b"\x01\x01\x05"]
        .into_iter()
        .enumerate()
    {
        let outcome = machine.apply(meta(index as u64 + 1), body);
        assert_eq!(Outcome::decode(&outcome), Ok(Outcome::Refused));
    }
    machine.skip(LogIndex(9));
    assert_eq!((machine.last_applied(), machine.accounts()), (LogIndex(9), 0));
}

#[test]
#[should_panic(expected = "newer ostraka")]
fn a_newer_command_stops_the_replica() {
    memory().apply(meta(1), &[4, 1, 0]);
}

#[test]
#[should_panic(expected = "applied after")]
fn an_entry_is_never_applied_twice() {
    let mut machine = memory();
    machine.skip(LogIndex(5));
    machine.apply(meta(5), &operator(1, "operator").encode());
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut machine = memory();
    apply(&mut machine, 1, &operator(1, "operator"));
    apply(&mut machine, 2, &register(2, "ann", "ann@example.org"));
    let good = snapshot(&machine);
    assert!(memory().restore(&mut &good[..]).is_ok());
    for length in 0..good.len() {
        assert!(memory().restore(&mut &good[..length]).is_err(), "cut at {length}");
    }
    for (position, byte) in [(0, 4), (9, 0), (13, 7), (25, 0xff), (29, 0xff), (34, 9)] {
        let mut bad = good.clone();
        bad[position] = byte;
        let mut target = memory();
        target.skip(LogIndex(1));
        assert!(target.restore(&mut &bad[..]).is_err(), "byte {position}");
        assert_eq!(target.last_applied(), LogIndex(1), "what was there stays");
    }
}

proptest! {
    #[test]
    fn outcomes_are_those_of_the_naive_model(commands in proptest::collection::vec(any_command(), 0..60)) {
        let (mut machine, mut naive) = (memory(), Naive::default());
        for (index, command) in commands.iter().enumerate() {
            prop_assert_eq!(apply(&mut machine, index as u64 + 1, command), naive.apply(1_000 * (index as u64 + 1), command));
        }
        prop_assert_eq!(machine.accounts() as usize, naive.0.len());
        let operator = naive.0.iter().position(|known| known.3).map(|position| VoterNumber(position as u32 + 1));
        prop_assert_eq!(machine.operator(), operator);
    }

    #[test]
    fn snapshot_then_replay_equals_replay(commands in proptest::collection::vec(any_command(), 1..40), cut in 0usize..40) {
        let cut = cut % commands.len();
        let (mut whole, mut early) = (memory(), memory());
        for (index, command) in commands.iter().enumerate() {
            if index == cut {
                early.restore(&mut &snapshot(&whole)[..]).unwrap();
            }
            let outcome = apply(&mut whole, index as u64 + 1, command);
            if index >= cut {
                prop_assert_eq!(apply(&mut early, index as u64 + 1, command), outcome);
            }
        }
        prop_assert_eq!(snapshot(&early), snapshot(&whole));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The disk's machine, stopped and replayed from where it says it is, as the log would.
    #[test]
    fn sled_and_memory_agree_across_restarts(
        commands in proptest::collection::vec(any_command(), 1..60),
        restarts in proptest::collection::btree_set(0usize..60, 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let open = || IdentityMachine::new(SledAccounts::open(folder.path()).unwrap());
        let (mut disk, mut twin) = (open(), memory());
        for (index, command) in commands.iter().enumerate() {
            if restarts.contains(&index) {
                drop(disk);
                disk = open();
                prop_assert_eq!(disk.last_applied(), twin.last_applied());
            }
            let index = index as u64 + 1;
            prop_assert_eq!(apply(&mut disk, index, command), apply(&mut twin, index, command));
        }
        prop_assert_eq!(snapshot(&disk), snapshot(&twin));
    }
}

/// A process killed at any moment: its files as they were, opened again, brought up to date by the log.
#[test]
fn a_killed_replica_catches_up_by_replay() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = IdentityMachine::new(SledAccounts::open(folder.path()).unwrap());
    let commands: Vec<Command> = (1..=3_000u128)
        .map(|n| {
            register(
                n,
                &format!("user{}", n % 2_500),
                &format!("m{}@example.org", n % 2_700),
            )
        })
        .collect();
    for (index, command) in commands.iter().enumerate() {
        apply(&mut disk, index as u64 + 1, command);
    }
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let mut left = IdentityMachine::new(SledAccounts::open(copy.path()).unwrap());
    let behind = left.last_applied().0;
    assert!(
        behind < 3_000,
        "the kill lost nothing, so this test shows nothing"
    );
    for (index, command) in commands.iter().enumerate().skip(behind as usize) {
        apply(&mut left, index as u64 + 1, command);
    }
    assert_eq!(snapshot(&left), snapshot(&disk));
}
